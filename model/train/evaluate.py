# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures a model on scenes it never saw, through the engine or through PyTorch.

    python3 evaluate.py scenes DIR [--pictures 600]     draws DIR/*.png and DIR/questions.jsonl
    python3 evaluate.py batch QUESTIONS [FOLDER]        the input of `fusion-ask --batch`, to stdout
    python3 evaluate.py torch MODEL QUESTIONS [FOLDER]  answers by PyTorch (pictures only), to stdout
    python3 evaluate.py table QUESTIONS ANSWERS         a table per kind of question, Markdown

So a measurement of the engine is

    python3 evaluate.py scenes /tmp/held-out
    python3 evaluate.py batch /tmp/held-out/questions.jsonl > /tmp/batch.jsonl
    fusion-ask --model ../nano --batch /tmp/batch.jsonl > /tmp/answers.jsonl
    python3 evaluate.py table /tmp/held-out/questions.jsonl /tmp/answers.jsonl

QUESTIONS has a line {"file", "at", "question", "answers", "kind"} per question, FOLDER is where its
files are (else the folder of QUESTIONS); ANSWERS a line with "question" and "result" per question, in
the same order."""

import argparse
import itertools
import json
import math
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

FIRST_SEED = 20_000_000         # far from the seeds that training and its own checks use
ALWAYS = ("presence", "colour", "attribute", "count")
REST = ("relation", "side", "check", "what", "scene", "describe")


def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def scenes(a):
    from PIL import Image
    from scenes2d import random_scene, render
    from scenes2d.questions import Object, QuestionMaker
    os.makedirs(a.folder, exist_ok=True)
    maker = QuestionMaker(random.Random(a.seed))
    lines = []
    for i in range(a.pictures):
        scene = random_scene(FIRST_SEED + i, held_out=True)
        picture, _ = render(scene)
        name = "scene-%04d.png" % i
        Image.fromarray(picture).save(os.path.join(a.folder, name))
        things = [Object(t.kind, t.colour, t.box[0] + t.box[2] / 2, t.box[1] + t.box[3] / 2)
                  for t in scene.things]
        families = list(ALWAYS) + [REST[i % len(REST)], REST[(i + 2) % len(REST)]]
        for family in families:
            q = maker.ask(things, scene.place, family)
            if q:
                lines.append({"file": name, "at": 0, "question": q.text, "answers": [q.answer],
                              "kind": family, "things": len(things)})
    with open(os.path.join(a.folder, "questions.jsonl"), "w", encoding="utf-8") as f:
        for line in lines:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")
    print("%d pictures, %d questions in %s" % (a.pictures, len(lines), a.folder))


def groups(a):
    """(path, time, lines) of questions that follow each other about the same picture"""
    folder = a.files or os.path.dirname(os.path.abspath(a.questions))
    for (name, at), lines in itertools.groupby(read_lines(a.questions),
                                               lambda x: (x["file"], x["at"])):
        yield os.path.abspath(os.path.join(folder, name)), at, list(lines)


def batch(a):
    for path, at, lines in groups(a):
        print(json.dumps({"file": path, "at": at, "questions": [x["question"] for x in lines]},
                         ensure_ascii=False))


def by_torch(a):
    import numpy as np
    import torch
    from PIL import Image
    from batches import to_pixels
    from fusion import load_model
    from fusion.tokenizer import Tokenizer
    from pool import squash
    from recipe import prompt_pieces
    torch.set_num_threads(1)
    model = load_model(a.model)
    tokenizer = Tokenizer.load(os.path.join(a.model, "tokenizer.json"))
    with open(os.path.join(a.model, "generation_config.json"), encoding="utf-8") as f:
        generation = json.load(f)
    for path, _, lines in groups(a):
        picture = np.asarray(Image.open(path).convert("RGB"))
        large, small = squash(picture, model.config.vision.side)
        tiles, guided = to_pixels(large[None].copy(), small[None].copy())
        for line in lines:
            text = line["question"].strip()
            out = model.answer(torch.cat([tiles[0], guided]), tokenizer.encode(text),
                               [tokenizer.encode(p) for p in prompt_pieces(text)],
                               a.latents or model.config.query_lens[0],
                               max_new=generation["max_new_tokens"],
                               stop=generation["eos_token_id"])
            ids = [i for i in out["greedy_ids"] if i not in generation["eos_token_id"]]
            print(json.dumps({"question": line["question"], "result": tokenizer.decode(ids).strip()},
                             ensure_ascii=False), flush=True)


def plain(text):
    text = re.sub(r"[^\w\s]", "", text.lower()).strip()
    return re.sub(r"^(a|an|the) ", "", text)


def rows(questions, answers):
    """(name, n, right, commonest answer's share) for every kind, and for what the goals name"""
    if len(questions) != len(answers):
        sys.exit("%d questions but %d answers" % (len(questions), len(answers)))
    kinds = {}
    for q, a in zip(questions, answers):
        if a["question"].strip() != q["question"].strip():
            sys.exit("answers are in another order: %r, expected %r" % (a["question"], q["question"]))
        good = plain(a.get("result") or "") in [plain(x) for x in q["answers"]]
        names = [q["kind"]]
        if q["kind"] == "colour" and q.get("things") in (1, 2, 3):
            names.append("colour, 1 to 3 things")
        for name in names:
            kinds.setdefault(name, []).append((good, plain(q["answers"][0]),
                                               plain(a.get("result") or "")))
    for name in sorted(kinds):
        truth = [x[1] for x in kinds[name]]
        most = max(truth.count(x) for x in set(truth))
        yield name, len(truth), sum(x[0] for x in kinds[name]), most, kinds[name]


def table(a):
    print("| kind of question | n | right | standard error | most common answer |")
    print("|---|---|---|---|---|")
    total = right = common = 0
    for name, n, good, most, _ in rows(read_lines(a.questions), read_lines(a.answers)):
        p = good / n
        print("| %s | %d | %.1f %% | %.1f | %.1f %% |"
              % (name, n, 100 * p, 100 * math.sqrt(p * (1 - p) / n), 100 * most / n))
        if "," not in name:
            total, right, common = total + n, right + good, common + most
    print("| all | %d | %.1f %% | %.1f | %.1f %% |" % (
        total, 100 * right / total, 100 * math.sqrt(right / total * (1 - right / total) / total),
        100 * common / total))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)
    c = commands.add_parser("scenes")
    c.add_argument("folder")
    c.add_argument("--pictures", type=int, default=600)
    c.add_argument("--seed", type=int, default=5)
    c.set_defaults(run=scenes)
    c = commands.add_parser("batch")
    c.add_argument("questions")
    c.add_argument("files", nargs="?")
    c.set_defaults(run=batch)
    c = commands.add_parser("torch")
    c.add_argument("model")
    c.add_argument("questions")
    c.add_argument("files", nargs="?")
    c.add_argument("--latents", type=int, default=0)
    c.set_defaults(run=by_torch)
    c = commands.add_parser("table")
    c.add_argument("questions")
    c.add_argument("answers")
    c.set_defaults(run=table)
    a = p.parse_args()
    a.run(a)


if __name__ == "__main__":
    main()
