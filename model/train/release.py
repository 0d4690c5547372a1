# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks a measured checkpoint and makes it the one that ships.

    python3 evaluate.py card RUN/export                 measures it first
    python3 release.py RUN/export ../nano               checks, copies, writes the card

Refused are: activations that come near what F16 holds (the engine keeps them in 16 bits; measured over
held-out frames), more than 26 MB, figures that are missing or of other weights, a card that does not state the
weights' licence. Frames and samples are those of the held-out set in --work."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import card
from evaluate import TorchModel, digest, moments, pixels, read_lines, results

BOUND = 2e4
MOST_BYTES = 26_000_000
FILES = ("config.json", "generation_config.json", "tokenizer.json", "model.safetensors")
HERE = os.path.dirname(os.path.abspath(__file__))


def largest_activation(model, questions, pictures=32):
    """(value, name of the module) over frames with their questions"""
    import torch
    worst = [0.0, ""]

    def watch(name):
        def hook(module, inputs, output):
            for t in output if isinstance(output, (tuple, list)) else (output,):
                if torch.is_tensor(t) and t.is_floating_point() and t.numel():
                    value = float(t.abs().max())
                    # also for NaN
                    if not value <= worst[0]:
                        worst[:] = [value, name]
        return hook

    asked = TorchModel(model)
    hooks = [m.register_forward_hook(watch(n)) for n, m in asked.model.named_modules() if n]
    folder = os.path.dirname(os.path.abspath(questions))
    groups = [(n, g) for n, _, g in moments(read_lines(questions)) if n.endswith(".png")]
    step = max(1, len(groups) // pictures)
    for name, group in groups[::step][:pictures]:
        tiles = pixels(os.path.join(folder, name), asked.model.config.vision.side)
        for line in group[:3]:
            asked.answer(tiles, line["question"], max_new=2)
    for h in hooks:
        h.remove()
    return tuple(worst)


def agreement(model, questions, answers, most=200):
    """(same, compared): to how many questions PyTorch gives the engine's answer, over pictures that lie evenly
    over the set"""
    lines = read_lines(questions)
    given = dict(zip(((x["file"], x["question"]) for x in lines), results(lines, read_lines(answers))))
    folder, asked = os.path.dirname(os.path.abspath(questions)), TorchModel(model)
    same = compared = 0
    groups = list(moments(lines))
    for name, _, group in groups[::max(1, len(lines) // most)]:
        tiles = pixels(os.path.join(folder, name), asked.model.config.vision.side)
        for line in group:
            compared += 1
            same += asked.answer(tiles, line["question"]) == given[line["file"], line["question"]].strip()
    return same, compared


def faults(source, activation, measured, template=card.TEMPLATE):
    """What speaks against shipping it, as texts."""
    found = []
    value, name = activation
    if not value < BOUND:
        found.append("largest activation %.0f, in %s: too large for F16, expected less than %.0f"
                     % (value, name, BOUND))
    size = sum(os.path.getsize(os.path.join(source, f)) for f in FILES)
    if size > MOST_BYTES:
        found.append("%.1f MB: expected at most %.0f MB" % (size / 1e6, MOST_BYTES / 1e6))
    weights = digest(os.path.join(source, "model.safetensors"))
    if measured.get("model_sha256") != weights:
        found.append("%s: %s; run evaluate.py card %s" % (
            os.path.join(source, "measured.json"),
            "measured with other weights" if measured.get("model_sha256") else "no figures", source))
    with open(template, encoding="utf-8") as f:
        text = f.read()
    if "## Licence" not in text or "LGPL-2.1-or-later" not in text.split("## Licence", 1)[-1]:
        found.append("%s: expected a section \"## Licence\" that states the weights' licence" % template)
    try:
        card.fill(text, {})
    except ValueError as e:
        found.append("%s: %s" % (template, e))
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("source")
    p.add_argument("target")
    p.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "fusion-held-out"),
                   help="of evaluate.py card (default: %(default)s)")
    p.add_argument("--no-samples", action="store_true", help="leave samples.jpg as it is")
    a = p.parse_args()
    questions = os.path.join(a.work, "questions.jsonl")
    measured = card.load(os.path.join(a.source, "measured.json"))
    activation = largest_activation(a.source, questions)
    print("largest activation: %.1f, in %s" % activation)
    found = faults(a.source, activation, measured)
    if found:
        sys.exit("not released:\n" + "\n".join(found))
    answers = os.path.join(a.work, "answers-%s.jsonl" % measured["model_sha256"][:12])
    measured["pytorch_same"] = agreement(a.source, questions, answers)
    print("PyTorch gives the engine's answer to %d of %d questions" % measured["pytorch_same"])
    os.makedirs(a.target, exist_ok=True)
    for f in FILES:
        shutil.copyfile(os.path.join(a.source, f), os.path.join(a.target, f))
        print("%-24s %9d bytes" % (f, os.path.getsize(os.path.join(a.target, f))))
    measured["largest_activation"] = round(activation[0], 1)
    run = card.read_log(os.path.join(a.source, "..", "log.jsonl"))
    if run:
        measured["training"] = run
    card.merge(os.path.join(a.target, "measured.json"), measured)
    card.write(a.target)
    if not a.no_samples:
        subprocess.run([sys.executable, os.path.join(HERE, "report.py"), questions, answers,
                        os.path.join(a.target, "samples.jpg")], check=True)


if __name__ == "__main__":
    main()
