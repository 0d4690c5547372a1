# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model card: card.md holds what a person writes, with marks; what stands at a mark is written from
measured.json and from the checkpoint itself, never by hand.

    python3 card.py MODEL       writes MODEL/README.md anew from card.md and MODEL/measured.json

    <!-- measured: held-out -->
    ... replaced ...
    <!-- end -->"""

import json
import os
import re
import struct
import sys

import scores

BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
GOALS = {"presence": 97, "colour": 95, "attribute": 92, "count": 85, "spatial": 92, "scene": 97,
         "indoors": 97, "posture": 90, "text": 85}


TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "card.md")
DETAILS = {"count": "count, by the true count", "colour": "colour, by things in the picture",
           "size": "height of what is asked about, of the picture's", "pair": "colour, by noun and colour",
           "wording": "wording of the question"}


def load(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def merge(path, new):
    """Adds measurements to a file. Figures of other weights are dropped; ablations are of models of their
    own and stay."""
    old = load(path)
    if "model_sha256" in new and old.get("model_sha256") != new["model_sha256"]:
        old = {k: v for k, v in old.items() if k == "ablations"}
    old.update(new)
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(old, f, indent=1, ensure_ascii=False)
        f.write("\n")
    os.replace(path + ".new", path)


def tensors(path):
    """{name: (dtype, shape)} of a safetensors file"""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
    return {k: (v["dtype"], v["shape"]) for k, v in header.items() if k != "__metadata__"}


def parameters(path):
    total = 0
    for _, shape in tensors(path).values():
        n = 1
        for s in shape:
            n *= s
        total += n
    return total


def sizes(model, measured):
    """The table of what the model is."""
    c = load(os.path.join(model, "config.json"))
    g = load(os.path.join(model, "generation_config.json"))
    weights = os.path.join(model, "model.safetensors")
    v = c["vision_config"]
    patches = v["image_size"] // v["patch_size"]
    dtypes = sorted({d for d, _ in tensors(weights).values()})
    used = v.get("used_layers", v["num_hidden_layers"] - 1)
    start, stride = c["start_of_vision_sampler_layers"], c["stride_of_vision_sampler_layers"]
    n = c["num_of_vision_sampler_layers"]
    after = ", ".join(str(start + i * stride) for i in range(n))
    rows = [("parameters", "%.2f M, %s, %.1f MB" % (parameters(weights) / 1e6, "/".join(dtypes),
                                                    os.path.getsize(weights) / 1e6)),
            ("encoder", "side %d, patch %d (%d x %d patches, global map %d x %d), width %d, %d layers (%d "
             "early), %d heads, MLP %d" % (v["image_size"], v["patch_size"], patches, patches, 2 * patches,
                                           2 * patches, v["hidden_size"], used, v.get("early_layers", 0),
                                           v["num_attention_heads"], v["intermediate_size"])),
            ("language model", "%s type, width %d, %d layers, %d heads, SwiGLU %d, vocabulary %d"
             % ("Phi" if c["model_type"].endswith("phi") else "LLaMA", c["hidden_size"],
                c["num_hidden_layers"], c["num_attention_heads"], c["intermediate_size"], c["vocab_size"])),
            ("alignment", "%d layers, after decoder layers %s, %d heads, window %d; %s latent tokens"
             % (n, after, c.get("vision_sampler_heads", 16), c["window_size"],
                c["query_len"].replace(",", ", "))),
            ("answers", "at most %d tokens" % g["max_new_tokens"])]
    if measured.get("answer_ms"):
        rows.append(("time of an answer", "%.0f ms: median over %d new frames, the frame's part included, %s"
                     % (measured["answer_ms"], measured.get("pictures_timed", measured["pictures"]),
                        measured["device"])))
    if measured.get("largest_activation"):
        rows.append(("largest activation", "%.0f (F16 holds 65,504)" % measured["largest_activation"]))
    if measured.get("pytorch_same"):
        rows.append(("PyTorch's answers", "the engine's in %d of %d questions" % tuple(measured["pytorch_same"])))
    return "| | |\n|---|---|\n" + "\n".join("| %s | %s |" % r for r in rows)


def real(found):
    lines = [scores.table(found["kinds"], every=found["all"]), ""]
    lines.append("A table that knows these very questions and their answers, but no picture, gets %s."
                 % scores.percent(found["table"]))
    pairs = found["pairs"]
    if pairs["pairs"]:
        lines.append("Of %d pairs of equal questions about different moments whose right answers differ, both "
                     "are right in %d (%s); without looking that cannot happen. Of the %d questions in such "
                     "pairs %s are right; the same answer to equal questions gets %s at best."
                     % (pairs["pairs"], pairs["both"], scores.percent(pairs["both"] / pairs["pairs"]),
                        pairs["questions"], scores.percent(pairs["right"]), scores.percent(pairs["blind"])))
    return "\n".join(lines)


def ablations(found):
    """Rows: variants; columns: the families. Means over the seeds."""
    variants = found["variants"]
    kinds = sorted({k for v in variants.values() for r in v["runs"] for k in r["kinds"]})
    lines = ["| variant | seeds | all | %s | answered by |" % " | ".join(kinds),
             "|" + "---|" * (len(kinds) + 4)]
    for name, v in variants.items():
        def mean(get):
            values = [get(r) for r in v["runs"]]
            return 100 * sum(values) / len(values), values
        every, values = mean(lambda r: r["all"]["right"])
        spread = " (%s)" % ", ".join("%.1f" % (100 * x) for x in values) if len(values) > 1 else ""
        cells = ["%.1f" % mean(lambda r, k=k: r["kinds"].get(k, {"right": 0})["right"])[0] for k in kinds]
        lines.append("| %s | %d | %.1f%s | %s | %s |"
                     % (name, len(values), every, spread, " | ".join(cells), v["answered_by"]))
    first = next(iter(variants.values()))["runs"][0]
    n = first["all"]["n"]
    lines.append("")
    lines.append("Right answers in %%; %d steps each from the same start, %d questions, standard error of all "
                 "%.1f." % (found["steps"], n, 100 * first["all"].get("error", 0)))
    return "\n".join(lines)


def nouns(names):
    """The sentence on what the pictures of a recipe show; None: everything that the pack holds"""
    if not names:
        return "Its pictures showed every thing that the pack of models holds."
    groups = "vehicle or animal; men, women and children are a person to it" if "person" in names else "person or vehicle"
    return ("It knows %d kinds of things: %s and %s; and words for several of them at once, such as %s. Answers about "
            "other things are not worth anything." % (len(names), ", ".join(names[:-1]), names[-1], groups))


def training(found):
    by_stage = ", ".join("%s %s" % (name, "{:,}".format(n)) for name, n in found["stages"].items())
    return ("%.0f minutes of training, %s steps (until the end of each stage: %s), %s views of pictures."
            % (found["minutes"], "{:,}".format(found["step"]), by_stage, "{:,}".format(found["views"])))


def read_log(path):
    """What a run's log.jsonl says of the whole run, or None."""
    if not os.path.exists(path):
        return None
    found = {"stages": {}}
    with open(path, encoding="utf-8") as f:
        for line in f:
            raw = json.loads(line)
            if "views" in raw:
                found.update({k: raw[k] for k in ("minutes", "step", "views")})
                found["stages"][raw["stage"]] = raw["step"]
    return found if "step" in found else None


def blocks(measured, model):
    """{name: Markdown} of what can be written"""
    made = {}
    if os.path.exists(os.path.join(model, "model.safetensors")):
        made["sizes"] = sizes(model, measured)
    if "nouns" in measured:
        made["nouns"] = nouns(measured["nouns"])
    if "held_out" in measured:
        h = measured["held_out"]
        made["held-out"] = scores.table(h["kinds"], every=h["all"], goals=GOALS)
        if "caption" in h:
            made["held-out"] += ("\n\nOf a caption's words %s are true of the scene; it says %s of what the "
                                 "reference says." % (scores.percent(h["caption"]["precision"]),
                                                      scores.percent(h["caption"]["recall"])))
        for name, first in DETAILS.items():
            if name in h:
                made[name] = scores.table(h[name], first, most=name != "count")
    if "real" in measured:
        made["real"] = real(measured["real"])
    if "training" in measured:
        made["training"] = training(measured["training"])
    if "ablations" in measured:
        made["ablations"] = ablations(measured["ablations"])
    return made


def fill(text, made):
    """The card's text with its blocks written anew; unknown blocks are an error, blocks that cannot be
    written say so."""
    known = {"sizes", "nouns", "held-out", "real", "ablations", "training", *DETAILS}

    def put(match):
        name = match.group(2)
        if name not in known:
            raise ValueError("the card has an unknown block %r; known: %s" % (name, ", ".join(sorted(known))))
        return match.group(1) + made.get(name, "Not measured yet.") + "\n" + match.group(3)

    text, n = BLOCK.subn(put, text)
    if n == 0:
        raise ValueError("the card has no block to fill: no line <!-- measured: NAME -->")
    return text


def write(model):
    measured = load(os.path.join(model, "measured.json"))
    with open(TEMPLATE, encoding="utf-8") as f:
        text = fill(f.read(), blocks(measured, model))
    with open(os.path.join(model, "README.md"), "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
