# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the model that ships, everything in one command; a stopped run goes on where it was.

    python3 train.py RUN --recipe cpu --minutes 80 --renderer .../scene-render [--pack scenes.pack]

It makes the tokenizer, starts the workers that render pictures (pool.py) and stops them, goes through the
stages of the recipe and writes RUN/export, the averaged weights as a checkpoint folder. RUN/checkpoint.pt
holds everything to resume, RUN/log.jsonl a line per report. Stages: language (text alone), encoder (the
renderer's truth and the referring mask, without the decoder), align, fusion, instruct; the learning rate
falls to nothing over the elapsed time."""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time

# Memory of large tensors is kept instead of being given back to the system at every step: a fifth of the time.
KEEP = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
        "TORCHINDUCTOR_COMPILE_THREADS": "1"}
if __name__ == "__main__" and any(k not in os.environ for k in KEEP):
    os.environ.update(KEEP)
    os.execv(sys.executable, [sys.executable] + sys.argv)

import numpy as np                                              # noqa: E402
import torch                                                    # noqa: E402
import torch.nn.functional as F                                 # noqa: E402

import dense                                                    # noqa: E402
from batches import Ring, to_pixels                             # noqa: E402
from fusion import FusionConfig, FusionModel                    # noqa: E402
from fusion.checkpoint import load_state                        # noqa: E402
from fusion.tokenizer import Tokenizer                          # noqa: E402
from pool import drawn                                          # noqa: E402
from recipe import RECIPES, build_tokenizer, language, model_config     # noqa: E402
from unseen import pairs                                        # noqa: E402
from worker import Worker                                       # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def start_pools(a, recipe, side):
    """The workers that render; they end when this process does."""
    pools = []
    for k in range(a.pools):
        command = [sys.executable, os.path.join(HERE, "pool.py"), a.pool, "--side", str(side), "--renderer",
                   a.renderer, "--worker", str(k), "--workers", str(a.pools), "--ring", str(recipe["ring"]),
                   "--ahead", str(recipe["ahead"]), "--views", str(recipe["views"]), "--seed", str(a.seed),
                   "--rate", str(recipe["pool_rate"] / a.pools), "--nice", str(recipe["pool_nice"])]
        if a.pack:
            command += ["--pack", a.pack]
        if recipe.get("nouns"):
            command += ["--nouns", ",".join(recipe["nouns"])]
        if recipe.get("things"):
            command += ["--things", str(recipe["things"])]
        if a.teacher:
            command += ["--teacher", a.teacher]
        log = open(os.path.join(a.run, "pool-%d.log" % k), "a")
        pools.append(subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS="1")))
    return pools


def prepare_language(a, recipe):
    """(tokenizer, answers that the answer head tells apart), made once and kept in RUN"""
    kept, names = os.path.join(a.run, "tokenizer.json"), os.path.join(a.run, "answers.json")
    if a.start and not os.path.exists(kept):
        beside = a.start if os.path.isdir(a.start) else os.path.dirname(os.path.abspath(a.start))
        shutil.copyfile(os.path.join(beside, "tokenizer.json"), kept)
        if os.path.exists(os.path.join(beside, "answers.json")):
            shutil.copyfile(os.path.join(beside, "answers.json"), names)
    if os.path.exists(kept) and os.path.exists(names):
        with open(names, encoding="utf-8") as f:
            return Tokenizer.load(kept), json.load(f)
    questions, words = language(random.Random(a.seed), 12000 if recipe["vocabulary"] < 2000 else 25000)
    tokenizer = Tokenizer.load(kept) if os.path.exists(kept) else build_tokenizer(recipe["vocabulary"], questions, words)
    counts = {}
    for q in questions:
        if q["family"] not in ("caption", "words", "text"):
            counts[q["answer"].lower()] = counts.get(q["answer"].lower(), 0) + 1
    answers = sorted(counts, key=lambda x: -counts[x])[:400]
    tokenizer.save(kept)
    with open(names, "w", encoding="utf-8") as f:
        json.dump(answers, f)
    return tokenizer, answers


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run")
    p.add_argument("--recipe", choices=sorted(RECIPES), default="cpu")
    p.add_argument("--minutes", type=float, default=80)
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--renderer", default=os.environ.get("SCENE_RENDER", "scene-render"),
                   help="path of scene-render; 'stub' for trials of the code")
    p.add_argument("--pack", default=os.environ.get("SCENES_PACK"), help="scenes.pack, if not where it is built")
    p.add_argument("--pool", help="folder of the pictures (RUN/pool)")
    p.add_argument("--teacher", help="folder of the teacher's packages (teacher.py), or 'installed'")
    p.add_argument("--pools", type=int, help="render workers; 0: the pool is filled by somebody else")
    p.add_argument("--first-pictures", type=int, default=1000, help="to wait for before the start")
    p.add_argument("--rate", type=float)
    p.add_argument("--warm-up", type=int, default=150, help="steps")
    p.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    p.add_argument("--precision", choices=["auto", "f32", "bf16"], default="auto")
    p.add_argument("--compile", type=int, default=1, help="compile the layers (PyTorch 2)")
    p.add_argument("--workers", type=int,
                   help="processes that train the same weights, without locks: on a few cores far faster than "
                        "threads that wait for each other; 1 is deterministic by the seed")
    p.add_argument("--threads", type=int, default=1, help="of each worker, on a CPU")
    p.add_argument("--report", type=float, default=30, help="seconds between reports")
    p.add_argument("--measure-minutes", type=float, default=8)
    p.add_argument("--measure-pictures", type=int, default=160)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=0, help="so many steps instead of --minutes (ablations)")
    p.add_argument("--start", help="weights to start from (another run's encoder.pt or checkpoint.pt, or an exported "
                                   "folder), after its encoder stage; with the tokenizer that lies beside it")
    p.add_argument("--again", action="store_true", help="with --start: through the encoder stage, too")
    p.add_argument("--skip-stages", default="", help="comma-separated names of stages to leave out")
    p.add_argument("--no-guidance", action="store_true", help="the guided pass sees no text")
    p.add_argument("--no-alignment", action="store_true", help="no alignment layers")
    p.add_argument("--no-mapping", action="store_true", help="without the mapping losses")
    p.add_argument("--plain", action="store_true", help="none of these three")
    p.add_argument("--query-lens", help="numbers of latents, comma-separated")
    p.add_argument("--image-grid", type=int, default=0, help="image tokens resized to so many squared")
    p.add_argument("--question-only", action="store_true", help="grey instead of pictures")
    a = p.parse_args()
    recipe = dict(RECIPES[a.recipe])
    if a.plain:
        a.no_guidance = a.no_alignment = a.no_mapping = True
    if a.start:
        a.skip_stages += ",language" if a.again else ",language,encoder"
    if a.skip_stages:
        recipe["stages"] = [s for s in recipe["stages"] if s[0] not in a.skip_stages.split(",")]
    a.pool = a.pool or os.path.join(a.run, "pool")
    a.rate = a.rate or recipe["rate"]
    a.workers = a.workers or recipe["workers"]
    a.pools = recipe["pools"] if a.pools is None else a.pools
    a.hold = 0
    if a.device == "cuda":
        a.workers = 1
    if torch.__version__.startswith("1."):
        a.compile = 0
    return a, recipe


def main():
    a, recipe = arguments()
    if a.device == "cpu":
        torch.set_num_threads(1)
    else:
        torch.set_float32_matmul_precision("high")
    torch.manual_seed(a.seed)
    os.makedirs(a.run, exist_ok=True)
    os.makedirs(a.pool, exist_ok=True)
    side = recipe["vision"]["image_size"]
    a.before = drawn(a.pool) * recipe["views"]
    pools = start_pools(a, recipe, side)
    try:
        train(a, recipe, pools)
    finally:
        for pool in pools:
            pool.terminate()


@torch.no_grad()
def whiten(model, ring, pictures=1500):
    """Starts the patch embedding as the principal components of patches, each scaled to the same
    variance. From random weights brightness and colour drown everything else, and shapes are learnt
    many times later."""
    layer = model.encoder.embeddings.patch_embedding
    size = model.config.vision.patch
    raw, _ = ring.stack(ring.picks(np.random.RandomState(0), min(pictures, ring.size())))
    tiles, guided = to_pixels(raw["large"], raw["small"])
    views = torch.cat([guided, tiles[:, 0], tiles[:, 3]]).cpu()
    patches = F.unfold(views[:, :, 5:, 5:], size, stride=size).transpose(1, 2).flatten(0, 1)
    patches = patches[torch.randperm(len(patches))[:120000]]
    mean = patches.mean(0)
    centred = patches - mean
    variance, directions = torch.linalg.eigh(centred.t() @ centred / len(centred))
    width = layer.weight.shape[0]
    variance, directions = variance[-width:], directions[:, -width:]
    # Little of a direction that holds no more than the sensor's noise.
    filters = 0.5 * directions.t() / (variance.clamp(min=0) + 0.02).sqrt()[:, None]
    layer.weight.copy_(filters.view_as(layer.weight))
    layer.bias.copy_(-filters @ mean)
    model.encoder.embeddings.position_embedding.weight.normal_(std=0.2)


def load_run(path):
    """What a run saved. PyTorch 1.x knows no numbers in a file of weights only: there, a file of one's own."""
    return torch.load(path, map_location="cpu", weights_only=not torch.__version__.startswith("1."))


def go_on_from(path, model, heads):
    """Loads the weights of another run: of encoder.pt, of checkpoint.pt (the averaged ones are the better ones), or of an
    exported folder, which has no heads. Whether all heads begin anew: they are no part of the model."""
    if os.path.isdir(path):
        start = {"model": load_state(path), "heads": {}}
    else:
        start = load_run(path)
    if "average" in start:
        start["model"].update(zip((n for n, _ in model.named_parameters()), start["average"]))
    sizes = lambda t: "x".join(str(n) for n in t.shape)
    for name, own in model.state_dict().items():
        if name in start["model"] and start["model"][name].shape != own.shape:
            raise SystemExit("%s: not of this recipe: expected %s of %s, found %s; start from weights of the same recipe"
                             % (path, name, sizes(own), sizes(start["model"][name])))
    missing, extra = model.load_state_dict(start["model"], strict=False)
    extra = [n for n in extra if "vision_sampler" not in n]
    if missing or extra:
        raise SystemExit("%s: not of this recipe: missing %s, unexpected %s" % (path, missing, extra))
    missing, extra = heads.load_state_dict(start["heads"], strict=False)
    if missing or extra:
        print("heads that begin anew: %s; left out: %s" % (missing, extra), flush=True)
    return not start["heads"]


def train(a, recipe, pools):
    tokenizer, answers = prepare_language(a, recipe)
    lens = [int(x) for x in a.query_lens.split(",")] if a.query_lens else None
    raw_config = model_config(recipe, tokenizer, lens, not a.no_alignment)
    ring = Ring(a.pool, recipe["ring"], a.device)
    while ring.refresh(1000) < a.first_pictures:
        if pools and all(p.poll() is not None for p in pools):
            raise SystemExit("the render workers ended: see %s/pool-0.log" % a.run)
        print("%d pictures so far" % ring.size(), flush=True)
        time.sleep(5)
    about = ring.about
    model = FusionModel(FusionConfig(raw_config))
    model.initialise()
    heads = dense.DenseHeads(model.config.width, len(about["nouns"]), len(about["colours"]), len(about["postures"]),
                             (len(about["places"]), len(about["times"]), len(about["weather"])), len(answers),
                             pairs(about["nouns"], about["colours"]))
    print("parameters: %.2f M" % (sum(x.numel() for x in model.parameters()) / 1e6), flush=True)
    path, saved = os.path.join(a.run, "checkpoint.pt"), None
    if os.path.exists(path):
        saved = load_run(path)
        model.load_state_dict(saved["model"])
        heads.load_state_dict(saved["heads"])
        print("resumed at step %d, %.1f min" % (saved["state"]["step"], saved["state"]["elapsed"] / 60), flush=True)
    elif a.start:
        a.hold = a.warm_up if go_on_from(a.start, model, heads) else 0
    else:
        whiten(model, ring)
    model, heads = model.to(a.device), heads.to(a.device)
    others = []
    make = lambda k: Worker(k, a, recipe, model, heads, tokenizer, answers, raw_config, ring, saved)
    if a.workers > 1:
        model.share_memory()
        heads.share_memory()
        others = [multiprocessing.get_context("fork").Process(target=lambda k=k: make(k).run(), daemon=True)
                  for k in range(1, a.workers)]
        for other in others:
            other.start()
    try:
        make(0).run()
    finally:
        for other in others:
            other.terminate()
            other.join()
    print("done", flush=True)


if __name__ == "__main__":
    main()
