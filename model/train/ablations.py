# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ablations at equal steps: what each part of the model is worth at this size.

    python3 ablations.py DIR --start RUN/encoder.pt --steps 3000 --set HELD_OUT [--seeds 1,2] [-- MORE...]

Every variant is trained by train.py from the same start (the encoder and language checkpoint of stage 0) for
the same number of steps with the same seed, and answers the same held-out questions: through the engine
where it can compute the variant, else through PyTorch (the guided pass without a question is none of the
engine's). MORE goes to train.py as it is (--pool POOL ...). A variant that is done is not done again, so a
stopped run goes on with the next one. DIR/ablations.json holds the figures; --card MODEL puts them into
MODEL/measured.json too."""

import argparse
import json
import os
import subprocess
import sys

import card
import evaluate
import scores

HERE = os.path.dirname(os.path.abspath(__file__))

# name: flags of train.py, then how it is asked: latent tokens, grid of the image tokens, with guidance
VARIANTS = {
    "full": ([], 0, 0, True),
    "no text guidance": (["--no-guidance"], 0, 0, False),
    "no alignment layers": (["--no-alignment"], 0, 0, True),
    "no mapping loss": (["--no-mapping"], 0, 0, True),
    "plain concatenation": (["--plain"], 0, 0, False),
    "q = 4 only": (["--query-lens", "4"], 4, 0, True),
    "q = 16 only": (["--query-lens", "16"], 16, 0, True),
    "q = 36 only": (["--query-lens", "36"], 36, 0, True),
    "fewer image tokens": (["--image-grid", "6"], 0, 6, True),
}
# Asked of the model "full" again, not trained: the number of latent tokens and the grid are free when asking.
ASKED = {"full, asked with q = 4": (4, 0), "full, asked with q = 16": (16, 0),
         "full, asked with q = 36": (36, 0), "full, asked with fewer image tokens": (0, 6)}


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


def ask(export, folder, name, a, latents, grid, guidance):
    """(figures, how it was answered)"""
    questions = os.path.join(a.set, "questions.jsonl")
    out = os.path.join(folder, "answers-%s.jsonl" % slug(name))
    lines = evaluate.read_lines(questions)
    if guidance:
        answers = evaluate.engine(export, questions, out, options=evaluate.engine_options(latents, grid),
                                  ask=a.ask)
        how = "engine"
    else:
        kept = os.path.exists(out) and len(evaluate.read_lines(out)) == len(lines)
        answers = evaluate.read_lines(out) if kept else evaluate.by_torch(export, questions, out,
                                                                          latents=latents, guidance=False)
        how = "PyTorch"
    return scores.measure(lines, evaluate.results(lines, answers)), how


def main():
    argv = sys.argv[1:]
    more = argv[argv.index("--") + 1:] if "--" in argv else []
    argv = argv[:argv.index("--")] if "--" in argv else argv
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--start", required=True)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--set", required=True, help="folder of the held-out set (evaluate.py scenes)")
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
    found = {"steps": a.steps, "variants": {}}

    def record(name, figures, how, seed):
        v = found["variants"].setdefault(name, {"answered_by": how, "runs": []})
        v["runs"].append({"seed": seed, "kinds": figures["kinds"], "all": figures["all"]})
        with open(os.path.join(a.folder, "ablations.json"), "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1)

    for seed in map(int, a.seeds.split(",")):
        for name in names:
            flags, latents, grid, guidance = VARIANTS[name]
            folder = os.path.join(a.folder, "%s-%d" % (slug(name), seed))
            os.makedirs(folder, exist_ok=True)
            export = train(folder, flags, a, seed)
            record(name, *ask(export, folder, name, a, latents, grid, guidance), seed)
            if name == "full" and not a.no_asked:
                lens = card.load(os.path.join(export, "config.json"))["query_len"].split(",")
                for other, (latents, grid) in ASKED.items():
                    if not latents or str(latents) in lens:
                        record(other, *ask(export, folder, other, a, latents, grid, True), seed)
    print(card.ablations(found))
    if a.card:
        card.merge(os.path.join(a.card, "measured.json"), {"ablations": found})


if __name__ == "__main__":
    main()
