# SPDX-License-Identifier: LGPL-2.1-or-later
"""scene-render as a child process: scene descriptions in, pictures with their truth out, in the same order."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

from .assets import sources

ROOT = Path(__file__).resolve().parents[2]


def find(binary=None, pack=None):
    """The command line of scene-render. Without arguments: that of the build folder (FUSION_BUILD, else build/) or of
    PATH, with the pack of this folder. FileNotFoundError and sources.Stale say what to do."""
    build = Path(os.environ.get("FUSION_BUILD") or ROOT / "build")
    built = build / "model" / "scenes" / "render" / "scene-render"
    program = shutil.which(binary or built) or not binary and shutil.which(built.name)
    if not program:
        raise FileNotFoundError("%s is not there: build with -Dscenes=enabled, let FUSION_BUILD name the build folder, "
                                "or name the program with --renderer" % (binary or built))
    pack = pack or Path(__file__).parent / "scenes.pack"
    if not os.path.exists(pack):
        raise FileNotFoundError("%s is not there: make it with model/scenes/assets/make_pack.py, or name it with --pack" % pack)
    sources.check(pack)
    return [program, "--pack", str(pack)]


class Renderer:
    """One process. `send` some descriptions, `receive` as many answers; in between at most a few pictures wait."""

    def __init__(self, command):
        self.command = command
        # lavapipe in this process's own thread: the other processors are for other processes
        environment = dict(os.environ)
        environment.setdefault("LP_NUM_THREADS", "0")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def send(self, description):
        self.process.stdin.write(json.dumps(description).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self):
        """(truth, bytes: RGB, then the ids). Where the scene could not be drawn the truth has an "error" and there
        are no bytes."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("%s ended early, status %s" % (self.command[0], self.process.wait()))
        truth = json.loads(line)
        size = truth.get("bytes", 0)
        data = self.process.stdout.read(size)
        if len(data) != size:
            raise RuntimeError("%s ended within a picture, status %s" % (self.command[0], self.process.wait()))
        return truth, data

    def close(self):
        """Ends the process; its status. What it has drawn and nobody received is lost."""
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:          # what was still to be written has no reader
                pass
        return self.process.wait()


def arrays(truth, data):
    """(RGB [h, w, 3], ids [h, w]) of a picture's bytes."""
    import numpy as np
    w, h = truth["width"], truth["height"]
    raw = np.frombuffer(data, np.uint8)
    return raw[:w * h * 3].reshape(h, w, 3), raw[w * h * 3:w * h * 4].reshape(h, w)


def draw(command, descriptions):
    """Yields (truth, bytes) of every description, by a process of its own."""
    descriptions, child = list(descriptions), Renderer(command)

    def feed():
        try:
            for description in descriptions:
                child.send(description)
            child.process.stdin.close()
        except (OSError, ValueError):    # it has ended, `receive` says so; or nobody wants more
            pass

    feeder, done = threading.Thread(target=feed, daemon=True), False
    try:
        feeder.start()
        for _ in descriptions:
            yield child.receive()
        done = True
    finally:
        if not done:
            child.process.kill()
        feeder.join(10)
        status = child.close() if not feeder.is_alive() else child.process.wait()
    if status != 0:
        raise RuntimeError("%s ended with status %d" % (command[0], status))
