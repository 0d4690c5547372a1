# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures a model on scenes it never saw and on real footage, through the engine.

    python3 evaluate.py card MODEL                     everything below; prints the card's tables and
                                                       writes MODEL/measured.json

    python3 evaluate.py scenes DIR [--pictures 800]    draws DIR/*.png and DIR/questions.jsonl, and
                                                       DIR/training.jsonl for the question-only model
    python3 evaluate.py engine MODEL QUESTIONS ANSWERS answers by `fusion-ask --batch`; goes on where it
                                                       stopped
    python3 evaluate.py torch MODEL QUESTIONS ANSWERS  answers by PyTorch (pictures only)
    python3 evaluate.py guess TRAINING QUESTIONS ANSWERS   answers without looking
    python3 evaluate.py table QUESTIONS ANSWERS [GUESSES]  the figures as Markdown

QUESTIONS has a line {"file", "at", "question", "answers", "kind"} per question; --files names the folder of
its files (else the folder of QUESTIONS). ANSWERS has a line with "question" and "result" for each, in the
same order. Real footage is looked for in --clips, else ../shared/clips beside the project; without it
its tables are left out. FUSION_BUILD names the build folder (else build/)."""

import argparse
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile

import card as page
import held_out
import scores
from held_out import find_program, write_lines
from recipe import RECIPES

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
STAGES = ("preprocess_ms", "global_ms", "guided_ms", "prefill_ms", "decode_ms")


def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


# ---- the set -------------------------------------------------------------------------------------

def scenes(folder, pictures=800, questions=4000, guess_pictures=1500, seed=0, pack=None, recipe=None):
    """`recipe`: whose nouns the scenes show, and how many things; None: all."""
    if recipe and RECIPES[recipe].get("nouns"):
        from scenes import vocabulary
        vocabulary.prefer(RECIPES[recipe]["nouns"], things=RECIPES[recipe].get("things"))
    os.makedirs(folder, exist_ok=True)
    renderer = held_out.renderer(pack)
    each = -(-questions // pictures) + 1
    first = held_out.FIRST_SEED + seed * held_out.SEEDS         # no scene is of two sets
    lines = held_out.make_set(held_out.Language(True, 5 + seed), renderer, folder, pictures, questions,
                              each, first)
    training = held_out.make_set(held_out.Language(False, 6 + seed), renderer, folder, guess_pictures,
                                 guess_pictures * 26, 26, first + held_out.SEEDS // 2,
                                 keep_pictures=False)
    write_lines(os.path.join(folder, "training.jsonl"), training)
    write_lines(os.path.join(folder, "questions.jsonl"), lines)
    kinds = {}
    for line in lines:
        kinds[line["kind"]] = kinds.get(line["kind"], 0) + 1
    print("%d questions in %s: %s; %d for the question-only model"
          % (len(lines), folder, ", ".join("%s %d" % k for k in sorted(kinds.items())), len(training)),
          flush=True)


# ---- answers -------------------------------------------------------------------------------------

def moments(lines):
    """(file, time, lines) of questions that follow each other about the same picture"""
    for (name, at), group in itertools.groupby(lines, lambda x: (x["file"], x.get("at", 0))):
        yield name, at, list(group)


def check_order(questions, answers):
    if len(questions) != len(answers):
        raise ValueError("%d questions but %d answers" % (len(questions), len(answers)))
    for q, a in zip(questions, answers):
        if a["question"].strip() != q["question"].strip():
            raise ValueError("answers are in another order: %r, expected %r" % (a["question"], q["question"]))


def results(questions, answers):
    check_order(questions, answers)
    return [a.get("result") or "" for a in answers]


def engine(model, questions, out, files=None, options=(), ask=None):
    """Answers of the C engine, by one process; a file of answers that is there already is gone on with, if
    it is of the same weights, questions and options. Returns the answers' lines."""
    lines = read_lines(questions)
    files = os.path.abspath(files or os.path.dirname(os.path.abspath(questions)))
    ask = ask or find_program("fusion-ask", ("model", "tools"))
    made_of = {"model": digest(os.path.join(model, "model.safetensors")), "questions": digest(questions),
               "options": list(options)}
    done = []
    if os.path.exists(out) and os.path.exists(out + ".of"):
        with open(out + ".of", encoding="utf-8") as f:
            if json.load(f) == made_of:
                with open(out, encoding="utf-8") as g:
                    done = [json.loads(x) for x in g if x.endswith("\n")]
    check_order(lines[:len(done)], done)
    if len(done) < len(lines):
        with open(out, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(x, ensure_ascii=False) + "\n" for x in done)
        with open(out + ".of", "w", encoding="utf-8") as f:
            json.dump(made_of, f)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as batch:
            for name, at, group in moments(lines[len(done):]):
                batch.write(json.dumps({"file": os.path.join(files, name), "at": at,
                                        "questions": [x["question"] for x in group]},
                                       ensure_ascii=False) + "\n")
            batch.flush()
            with open(out, "a", encoding="utf-8") as f:
                status = subprocess.run([ask, "--model", model, "--batch", batch.name, *options],
                                        stdout=f).returncode
        done = read_lines(out)
        # A question that failed has its own line and counts as wrong; an engine that died has fewer lines.
        if len(done) != len(lines):
            sys.exit("%s: ended with status %d after %d of %d answers; the same command goes on there"
                     % (ask, status, len(done), len(lines)))
    check_order(lines, done)
    failed = [a for a in done if "error" in a]
    if failed:
        print("%d of %d questions failed, the first: %s" % (len(failed), len(done), failed[0]["error"]),
              file=sys.stderr)
    return done


def prompt_pieces(config, question):
    """The three text pieces of a prompt with one question: before place [1], between, after [2]."""
    c = config["conversation"]
    system = c["system_prefix"] + c["system"] + c["system_suffix"]
    return (system + c["user_prefix"] + "<vision_start>", "<vision_end><vision_start>",
            "<vision_end>\n" + question + c["user_suffix"] + c["assistant_prefix"])


def pixels(path, side):
    """[5, 3, s, s]: the four global tiles and the guided image of a picture, -1..1"""
    import numpy as np
    import torch
    from PIL import Image
    picture = Image.open(path).convert("RGB")

    def squash(n):
        values = np.array(picture.resize((n, n), Image.BICUBIC), np.float32)
        return torch.from_numpy(values).permute(2, 0, 1) / 127.5 - 1

    s = side
    large = squash(2 * s)
    return torch.stack([large[:, :s, :s], large[:, :s, s:], large[:, s:, :s], large[:, s:, s:], squash(s)])


class TorchModel:
    """A checkpoint in PyTorch, asked as the engine is asked."""

    def __init__(self, folder, latents=0, guidance=True):
        import torch
        from fusion import load_model
        from fusion.tokenizer import Tokenizer
        torch.set_num_threads(1)
        self.model = load_model(folder).eval()
        self.tokenizer = Tokenizer.load(os.path.join(folder, "tokenizer.json"))
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        with open(os.path.join(folder, "generation_config.json"), encoding="utf-8") as f:
            self.generation = json.load(f)
        stop = self.generation["eos_token_id"]
        self.stop = stop if isinstance(stop, list) else [stop]
        self.latents = latents or self.model.config.query_lens[0]
        if not guidance:
            # The guided pass as the tiles' pass: no rows of text.
            guided = self.model.guided
            self.model.guided = lambda pixels, ids, valid=None: guided(pixels, ids[:, :0])

    def answer(self, tiles, question, max_new=None):
        """The answer's text; `stages` keeps what model.answer gave."""
        import torch
        text = question.strip()
        with torch.no_grad():
            out = self.model.answer(tiles, self.tokenizer.encode(text),
                                    [self.tokenizer.encode(p) for p in prompt_pieces(self.config, text)],
                                    self.latents, max_new=max_new or self.generation["max_new_tokens"],
                                    stop=self.stop)
        self.stages = out
        return self.tokenizer.decode([i for i in out["greedy_ids"] if i not in self.stop]).strip()


def by_torch(model, questions, out, files=None, latents=0, guidance=True):
    lines = read_lines(questions)
    files = files or os.path.dirname(os.path.abspath(questions))
    asked = TorchModel(model, latents, guidance)
    answers = []
    for name, _, group in moments(lines):
        tiles = pixels(os.path.join(files, name), asked.model.config.vision.side)
        answers += [{"question": x["question"], "result": asked.answer(tiles, x["question"])} for x in group]
    write_lines(out, answers)
    return answers


def guess(training, questions, out):
    from guess import Guesser
    texts = [x["question"] for x in read_lines(questions)]
    found = Guesser(read_lines(training)).guess(texts)
    answers = [{"question": q, "result": a} for q, a in zip(texts, found)]
    write_lines(out, answers)
    return answers


# ---- the card's figures --------------------------------------------------------------------------

def answer_ms(answers, lines):
    """Median time of an answer to the first question about a frame, the frame's part included."""
    times, before = [], None
    for line, a in zip(lines, answers):
        moment = (line["file"], line.get("at", 0))
        if moment != before and "metrics" in a:
            times.append(sum(a["metrics"].get(s) or 0 for s in STAGES))
        before = moment
    return round(statistics.median(times), 1) if times else None


def device_of(ask):
    done = subprocess.run([ask, "--list-devices"], capture_output=True, text=True)
    first = done.stdout.splitlines()[:1]
    return first[0].split(None, 1)[-1] if first else "unknown"


def measure_all(model, work, clips=None, ask=None, options=()):
    """The figures of a model as JSON: on the held-out set in `work`, and on real footage where there is."""
    questions = os.path.join(work, "questions.jsonl")
    training = os.path.join(work, "training.jsonl")
    ask = ask or find_program("fusion-ask", ("model", "tools"))
    weights = digest(os.path.join(model, "model.safetensors"))
    lines = read_lines(questions)
    answers = engine(model, questions, os.path.join(work, "answers-%s.jsonl" % weights[:12]),
                     options=options, ask=ask)
    blind = results(lines, guess(training, questions, os.path.join(work, "guesses.jsonl")))
    found = {"model_sha256": weights, "set_sha256": digest(questions), "device": device_of(ask),
             "pictures": len({x["file"] for x in lines}), "answer_ms": answer_ms(answers, lines),
             "held_out": scores.measure(lines, results(lines, answers), blind)}
    if clips:
        real = os.path.join(clips, "questions.jsonl")
        lines = read_lines(real)
        answers = engine(model, real, os.path.join(work, "real-%s.jsonl" % weights[:12]), options=options,
                         ask=ask)
        blind = results(lines, guess(training, real, os.path.join(work, "real-guesses.jsonl")))
        found["real"] = scores.measure(lines, results(lines, answers), blind)
        found["real"]["pairs"] = scores.measure_pairs(lines, results(lines, answers))
        found["real"]["table"] = scores.table_of_questions(lines)
    return found


def find_clips(named):
    folder = named or os.path.join(ROOT, "..", "shared", "clips")
    if os.path.exists(os.path.join(folder, "questions.jsonl")):
        return folder
    if named:
        sys.exit("%s: no questions.jsonl there" % named)
    print("no real footage (%s): its tables are left out" % folder, file=sys.stderr)
    return None


def card(a):
    os.makedirs(a.work, exist_ok=True)
    if not os.path.exists(os.path.join(a.work, "questions.jsonl")):
        scenes(a.work, a.pictures, a.total, pack=a.pack, recipe=a.recipe)
    found = measure_all(a.model, a.work, find_clips(a.clips), a.ask)
    found["nouns"] = RECIPES[a.recipe].get("nouns")
    path = a.out or os.path.join(a.model, "measured.json")
    page.merge(path, found)
    made = page.blocks(page.load(path), a.model)
    print("\n\n".join(made[name] for name in ("held-out", *page.DETAILS, "real") if name in made))


def table(a):
    lines = read_lines(a.questions)
    guesses = results(lines, read_lines(a.guesses)) if a.guesses else None
    answers = results(lines, read_lines(a.answers))
    found = scores.measure(lines, answers, guesses)
    print(scores.table(found["kinds"], every=found["all"], goals=page.GOALS))
    for key, first in page.DETAILS.items():
        if key in found:
            print("\n" + scores.table(found[key], first, most=key != "count"))
    pairs = scores.measure_pairs(lines, answers)
    if pairs["pairs"]:
        print("\n%d pairs of equal questions with different answers, both right in %d" %
              (pairs["pairs"], pairs["both"]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)
    c = commands.add_parser("card")
    c.add_argument("model")
    c.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "fusion-held-out"),
                   help="the held-out set and the answers; made if missing (default: %(default)s)")
    c.add_argument("--pictures", type=int, default=800)
    c.add_argument("--total", type=int, default=4000)
    c.add_argument("--pack", help="scenes.pack, if not in model/scenes")
    c.add_argument("--recipe", default="cpu", help="whose nouns the scenes show")
    c.add_argument("--clips", help="folder of real clips with questions.jsonl")
    c.add_argument("--ask", help="fusion-ask, if not in the build folder")
    c.add_argument("--out", help="default: MODEL/measured.json")
    c.set_defaults(run=card)
    c = commands.add_parser("scenes")
    c.add_argument("folder")
    c.add_argument("--pictures", type=int, default=800)
    c.add_argument("--total", type=int, default=4000, help="questions")
    c.add_argument("--guess-pictures", type=int, default=1500)
    c.add_argument("--recipe", default="cpu", help="whose nouns the scenes show")
    c.add_argument("--seed", type=int, default=0)
    c.add_argument("--pack")
    c.set_defaults(run=lambda a: scenes(a.folder, a.pictures, a.total, a.guess_pictures, a.seed, a.pack, a.recipe))
    for name in ("engine", "torch"):
        c = commands.add_parser(name)
        c.add_argument("model")
        c.add_argument("questions")
        c.add_argument("answers")
        c.add_argument("--files")
        c.add_argument("--latents", type=int, default=0)
        if name == "engine":
            c.add_argument("--grid", type=int, default=0, help="resize the image tokens to N x N")
            c.add_argument("--ask", help="fusion-ask, if not in the build folder")
            c.set_defaults(run=lambda a: engine(a.model, a.questions, a.answers, a.files,
                                                engine_options(a.latents, a.grid), a.ask))
        else:
            c.add_argument("--no-guidance", action="store_true")
            c.set_defaults(run=lambda a: by_torch(a.model, a.questions, a.answers, a.files, a.latents,
                                                  not a.no_guidance))
    c = commands.add_parser("guess")
    c.add_argument("training")
    c.add_argument("questions")
    c.add_argument("answers")
    c.set_defaults(run=lambda a: guess(a.training, a.questions, a.answers))
    c = commands.add_parser("table")
    c.add_argument("questions")
    c.add_argument("answers")
    c.add_argument("guesses", nargs="?")
    c.set_defaults(run=table)
    a = p.parse_args()
    a.run(a)


def engine_options(latents=0, grid=0):
    return ((["--latent-tokens", str(latents)] if latents else [])
            + (["--vision-grid", str(grid)] if grid else []))


if __name__ == "__main__":
    main()
