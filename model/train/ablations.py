# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ablations at equal steps: what each part of the model is worth at this size.

    python3 ablations.py DIR --start RUN/encoder.pt --steps 3000 --set HELD_OUT [--seeds 1,2] [-- MORE...]

Every variant is trained by train.py from the same start (the encoder and the language model of a run's stage 0,
which the run leaves as encoder.pt) for the same number of steps with the same seed, and answers the same
held-out questions: through the engine where it can compute the variant, else through PyTorch. MORE goes to
train.py as it is (--pool POOL --pools 0, --workers 1 to be deterministic, ...). A variant that is done is not
done again, so a stopped run goes on with the next one. DIR/ablations.json holds the figures; --card MODEL puts
them into MODEL/measured.json too."""

import argparse
import collections
import json
import os
import subprocess
import sys

import card
import evaluate
import scores

HERE = os.path.dirname(os.path.abspath(__file__))

# flags: of train.py. latents, grid: when asking, 0 for the model's own. The engine has alignment layers and guides
# every question; what has not is answered by PyTorch.
Variant = collections.namedtuple("Variant", "flags latents grid engine guidance", defaults=(0, 0, True, True))
VARIANTS = {
    "full": Variant([]),
    "no text guidance": Variant(["--no-guidance"], engine=False, guidance=False),
    "no alignment layers": Variant(["--no-alignment"], engine=False),
    "no mapping loss": Variant(["--no-mapping"]),
    "plain concatenation": Variant(["--plain"], engine=False, guidance=False),
    "q = 4 only": Variant(["--query-lens", "4"], latents=4),
    "q = 16 only": Variant(["--query-lens", "16"], latents=16),
    "q = 36 only": Variant(["--query-lens", "36"], latents=36),
    "fewer image tokens": Variant(["--image-grid", "6"], grid=6),
}
# Asked of the model "full" again, not trained: the number of latent tokens and the grid are free when asking.
ASKED = {"full, asked with q = 4": Variant([], latents=4), "full, asked with q = 16": Variant([], latents=16),
         "full, asked with q = 36": Variant([], latents=36),
         "full, asked with fewer image tokens": Variant([], grid=6)}


def slug(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower()).replace("--", "-").strip("-")


def train(folder, flags, a, seed):
    """Trains a variant; the folder of its export."""
    export = os.path.join(folder, "export")
    mark = os.path.join(folder, "trained.json")
    made_of = {"flags": flags, "steps": a.steps, "seed": seed, "start": evaluate.digest(a.start),
               "more": a.more}
    if os.path.exists(mark):
        with open(mark, encoding="utf-8") as f:
            if json.load(f) == made_of:
                return export
        sys.exit("%s: trained otherwise before; use another folder, or delete it" % folder)
    subprocess.run([*a.train, folder, "--start", a.start, "--steps", str(a.steps), "--seed", str(seed),
                    *flags, *a.more], check=True)
    if not os.path.exists(os.path.join(export, "model.safetensors")):
        sys.exit("%s: train.py left no export/model.safetensors" % folder)
    with open(mark, "w", encoding="utf-8") as f:
        json.dump(made_of, f)
    return export


def some_questions(lines, most):
    """At most so many lines, of whole pictures that lie evenly over all of them."""
    files = sorted({x["file"] for x in lines})
    pictures = max(1, len(files) * min(most, len(lines)) // len(lines))
    kept = {files[i * len(files) // pictures] for i in range(pictures)}
    return [x for x in lines if x["file"] in kept]


def ask(export, folder, name, a, variant):
    """(figures, how it was answered)"""
    questions = os.path.join(a.folder, "questions.jsonl")
    out = os.path.join(folder, "answers-%s.jsonl" % slug(name))
    lines = evaluate.read_lines(questions)
    if variant.engine:
        answers = evaluate.engine(export, questions, out, a.set, ask=a.ask,
                                  options=evaluate.engine_options(variant.latents, variant.grid))
    elif os.path.exists(out) and len(evaluate.read_lines(out)) == len(lines):
        answers = evaluate.read_lines(out)
    else:
        answers = evaluate.by_torch(export, questions, out, a.set, variant.latents, variant.guidance)
    return (scores.measure(lines, evaluate.results(lines, answers)),
            "the engine" if variant.engine else "PyTorch")


def main():
    argv = sys.argv[1:]
    more = argv[argv.index("--") + 1:] if "--" in argv else []
    argv = argv[:argv.index("--")] if "--" in argv else argv
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--start", required=True, help="encoder.pt of a run")
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--set", required=True, help="folder of the held-out set (evaluate.py scenes)")
    p.add_argument("--most", type=int, default=2000, help="questions of the set that are asked")
    p.add_argument("--seeds", default="1")
    p.add_argument("--only", help="names of variants, by commas")
    p.add_argument("--no-asked", action="store_true", help="do not ask the full model in other ways")
    p.add_argument("--ask", help="fusion-ask, if not in the build folder")
    p.add_argument("--train", default=None, help="in place of train.py")
    p.add_argument("--card", help="folder of the shipped model")
    a = p.parse_args(argv)
    a.more = more
    a.train = [sys.executable, a.train or os.path.join(HERE, "train.py")]
    names = a.only.split(",") if a.only else list(VARIANTS)
    unknown = set(names) - set(VARIANTS)
    if unknown:
        sys.exit("no such variant: %s; there are: %s" % (", ".join(sorted(unknown)), ", ".join(VARIANTS)))
    os.makedirs(a.folder, exist_ok=True)
    lines = some_questions(evaluate.read_lines(os.path.join(a.set, "questions.jsonl")), a.most)
    evaluate.write_lines(os.path.join(a.folder, "questions.jsonl"), lines)
    found = {"steps": a.steps, "variants": {}}

    def record(name, figures, how, seed):
        v = found["variants"].setdefault(name, {"answered_by": how, "runs": []})
        v["runs"].append({"seed": seed, "kinds": figures["kinds"], "all": figures["all"]})
        with open(os.path.join(a.folder, "ablations.json"), "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1)

    for seed in map(int, a.seeds.split(",")):
        for name in names:
            variant = VARIANTS[name]
            folder = os.path.join(a.folder, "%s-%d" % (slug(name), seed))
            os.makedirs(folder, exist_ok=True)
            export = train(folder, variant.flags, a, seed)
            record(name, *ask(export, folder, name, a, variant), seed)
            if name == "full" and not a.no_asked:
                lens = card.load(os.path.join(export, "config.json"))["query_len"].split(",")
                for other, variant in ASKED.items():
                    if not variant.latents or str(variant.latents) in lens:
                        record(other, *ask(export, folder, other, a, variant), seed)
    print(card.ablations(found))
    if a.card:
        card.merge(os.path.join(a.card, "measured.json"), {"ablations": found})


if __name__ == "__main__":
    main()
