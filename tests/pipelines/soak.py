#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Eight cameras for half an hour: run it through tests/soak, which sets up and builds.

An RTSP server in a process of its own plays the cameras (tests/common/rtsp_cameras.py): 320x240, 15 frames a second,
different pictures. This process asks three questions of each with the model that ships, and then says whether

  rate      every stream keeps its rate: each frame that the camera sent left again, none lost, doubled or held up;
            by the numbers in the pixels of the first and the last frame looked at and by counting those between
  memory    resident memory is flat. The bound is 2 % from the fifth minute to the end; a run of less than ten minutes
            measures from its first minute on and allows 5 %, because a few MB that come once weigh more there
  answers   no answer belongs to another stream or frame: of some answered frames of every stream, the pixels name
            the stream and the frame, and fusion-ask gives the same answers to the very same JPEG. How often the
            answers of another frame would have passed is told too: that has to be seldom, or nothing was checked
  counters  chosen = submitted + skipped, asked = answered + failed + cancelled, and as many messages as answers
  fair      no stream gets less than half of the mean number of answers, give or take a frame's

A run goes on, for three times as long at most, until three frames of every stream were answered: a machine that has
other things to do may need that.

Prints TAP, and what was measured in comments."""
import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict

import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402
import numpy as np  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))
import rtsp_cameras  # noqa: E402
import tap  # noqa: E402

SOURCE = os.path.join(HERE, "..", "..")
CLIP = os.path.join(SOURCE, "pipelines", "demo.webm")
FPS, WIDTH, HEIGHT = 15, 320, 240
QUESTIONS = ["Is there a car? [yes|no]", "How many people are there?", "Describe the picture."]
KEPT_FRAMES, SLOT = 90 * FPS, 1 << 16  # JPEGs kept of each stream: an answer may take a minute on a loaded machine
CONFIDENCE = 0.02  # how far the element's and fusion-ask's may be apart: sums in another order
BEGIN = 20  # seconds that connecting may take
LATE = 2.0  # seconds that a frame may be in the element more than the least; live mode holds none back


def resident_mb():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize() / 1e6


class Stream:
    """One camera, asked: what comes in, what goes out, and some answered frames for later."""

    def __init__(self, number, address, model, keep):
        self.number, self.name, self.keep = number, "camera%d" % number, keep
        self.came, self.left, self.messages = 0, 0, 0
        self.jpegs = OrderedDict()  # PTS: (how many came before it, size) of the newest ones
        self.file = tempfile.TemporaryFile()  # which hold the JPEGs: no part of this process's memory
        self.open = OrderedDict()   # PTS: {question: answer} of frames without their last answer
        self.samples, self.complete, self.strangers = [], 0, 0
        self.inside, self.longest = OrderedDict(), 0.0
        self.last = 0.0  # when a frame left
        self.counts = []  # (when, frames that had left), every two seconds
        self.pipeline = Gst.parse_launch(
            "rtspsrc location=%s%d protocols=tcp latency=500 ! rtpjpegdepay name=depay ! jpegdec ! "
            "fusionvqa name=%s %s ! fakesink name=sink sync=false" % (
                address, number, self.name, 'model="%s"' % model if model else ""))
        self.pipeline.set_property("auto-flush-bus", False)  # what is told until it has stopped counts
        self.vqa = self.pipeline.get_by_name(self.name)
        self.vqa.set_property("prompt", " || ".join(QUESTIONS))
        depay, sink = self.pipeline.get_by_name("depay"), self.pipeline.get_by_name("sink")
        depay.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self.on_jpeg)
        self.vqa.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.on_in)
        sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.on_out)

    def on_jpeg(self, _pad, info):
        buffer = info.get_buffer()
        size = buffer.get_size()
        assert size <= SLOT, size
        os.pwrite(self.file.fileno(), buffer.extract_dup(0, size), self.came % KEPT_FRAMES * SLOT)
        self.jpegs[buffer.pts] = (self.came, size)
        self.came += 1
        while len(self.jpegs) > KEPT_FRAMES - 1:
            self.jpegs.popitem(last=False)
        return Gst.PadProbeReturn.OK

    def on_in(self, _pad, info):
        self.inside[info.get_buffer().pts] = time.monotonic()
        return Gst.PadProbeReturn.OK

    def on_out(self, _pad, info):
        self.left += 1
        self.last = time.monotonic()
        began = self.inside.pop(info.get_buffer().pts, None)
        if began is not None:
            self.longest = max(self.longest, time.monotonic() - began)
        return Gst.PadProbeReturn.OK

    def on_answer(self, s):
        """An answer's message. Frames with all answers are a sample, of which `keep` stay by even chance."""
        self.messages += 1
        answer = json.loads(s.get_string("json"))
        pts = answer["timestamp"]
        if answer["stream"] != self.name or pts not in self.jpegs:
            self.strangers += 1
            return
        answers = self.open.setdefault(pts, {})
        answers[answer["question"]] = answer
        while len(self.open) > 20:  # one that was cancelled
            self.open.popitem(last=False)
        if len(answers) < len(QUESTIONS):
            return
        del self.open[pts]
        self.complete += 1
        count, size = self.jpegs[pts]
        sample = (pts, count, os.pread(self.file.fileno(), size, count % KEPT_FRAMES * SLOT), answers)
        if len(self.samples) < self.keep:
            self.samples.append(sample)
        elif (at := random.randrange(self.complete)) < self.keep:
            self.samples[at] = sample

    def stats(self):
        s = self.vqa.get_property("stats")
        return {name: s.get_uint64(name)[1] for name in (
            "frames", "chosen", "submitted", "skipped", "asked", "answered", "failed", "cancelled", "pending")}


class Soak:
    def __init__(self, args, address):
        self.args = args
        self.streams = [Stream(i, address, args.model, args.check) for i in range(args.streams)]
        self.by_name = {s.name: s for s in self.streams}
        self.errors, self.memory, self.loop = [], [], GLib.MainLoop()
        for s in self.streams:
            bus = s.pipeline.get_bus()
            bus.add_signal_watch()
            bus.connect("message", self.on_message)

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.ERROR:
            self.errors.append("%s: %s" % (message.src.get_path_string(), message.parse_error()))
            self.loop.quit()
        elif message.type == Gst.MessageType.EOS:
            self.errors.append("%s: the camera ended" % message.src.get_name())
            self.loop.quit()
        elif message.type == Gst.MessageType.ELEMENT and message.get_structure().get_name() == "fusion-answer":
            self.by_name[message.src.get_name()].on_answer(message.get_structure())

    def measure(self):
        seconds = time.monotonic() - self.began
        self.memory.append((seconds, resident_mb()))
        for s in self.streams:
            s.counts.append((s.last, s.left))
        if len(self.memory) % 15 == 0:
            print("# %4.0f s: %.0f MB, %d frames, %d answers" % (
                seconds, self.memory[-1][1], sum(s.left for s in self.streams),
                sum(s.messages for s in self.streams)), flush=True)
        enough = min(s.complete for s in self.streams) >= 3 or seconds > 180 * self.args.minutes
        if seconds >= 60 * self.args.minutes and enough:
            self.loop.quit()
        return GLib.SOURCE_CONTINUE

    def run(self):
        for s in self.streams:
            assert s.pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE, s.name
        self.began = time.monotonic()
        GLib.timeout_add(2000, self.measure)
        self.loop.run()
        self.seconds = time.monotonic() - self.began
        self.came = [(s.came, s.left, s.stats()["frames"]) for s in self.streams]
        for s in self.streams:
            s.pipeline.set_state(Gst.State.NULL)
        for s in self.streams:  # the last answers, told when the loop had ended
            bus = s.pipeline.get_bus()
            while message := bus.pop_filtered(Gst.MessageType.ELEMENT):
                self.on_message(bus, message)

    def check_plays(self, _folder):
        assert not self.errors, "\n".join(self.errors)

    def check_rate(self, _folder):
        for s, (came, left, seen) in zip(self.streams, self.came):
            # Three may be between the two counters at a time.
            assert came - 3 <= left <= came, (s.name, came, left)
            assert seen - left <= 3, (s.name, seen, left)
            # From when all have begun: a camera holds its first frame until the client plays.
            (t0, n0), (t1, n1) = s.counts[BEGIN // 2], s.counts[-1]
            rate = (n1 - n0) / (t1 - t0)
            print("# %s: %d frames in, %d out, %.2f a second, at most %.0f ms inside" % (
                s.name, came, left, rate, 1e3 * s.longest))
            # A second at either end is the network's, and a camera's clock may be another one.
            assert abs(rate - FPS) <= 0.01 * FPS + FPS / (t1 - t0), (s.name, rate)
            assert n0 and s.longest < LATE, (s.name, n0, s.longest)
            assert len(s.samples) >= 3, "%s has %d answered frames" % (s.name, len(s.samples))
            # The camera's numbers grow by one with every frame that came.
            apart = {frame - count for _, count, _, _, (_, frame) in self.marked(s)}
            assert len(apart) == 1, "%s: frames were lost or doubled: %s" % (s.name, sorted(apart))

    def check_memory(self, _folder):
        long = self.args.minutes >= 10
        start, bound = (300, 0.02) if long else (60, 0.05)
        window = max(10, min(60, (self.seconds - start) / 4))
        first = [mb for t, mb in self.memory if start <= t < start + window]
        last = [mb for t, mb in self.memory if t >= self.seconds - window]
        assert first and last, "the run was too short to measure memory: --minutes 1.5 is the least"
        begin, end = np.median(first), np.median(last)
        print("# %.1f MB at %d s, %.1f MB at the end: %+.2f %% (the bound is %d %%)" % (
            begin, start, end, 100 * (end / begin - 1), 100 * bound))
        assert end / begin - 1 < bound, (begin, end)

    def marked(self, stream):
        """The samples with what their pixels say, read once."""
        if not hasattr(stream, "marks"):
            stream.marks = [(*sample, read_jpeg(sample[2])) for sample in stream.samples]
        return stream.marks

    def check_answers(self, folder):
        assert not any(s.strangers for s in self.streams), [s.strangers for s in self.streams]
        asked = []
        for s in self.streams:
            for pts, _count, jpeg, answers, mark in self.marked(s):
                assert mark and mark[0] == s.number, (s.name, pts, mark)
                path = os.path.join(folder, "%s-%d.jpg" % (s.name, pts))
                with open(path, "wb") as f:
                    f.write(jpeg)
                asked.append((s, mark[1], path, answers))
        told = ask(self.args, folder, [path for _, _, path, _ in asked])
        wrong, apart, questions = [], 0, [q.split(" [")[0] for q in QUESTIONS]
        for s, frame, path, answers in asked:
            for q in questions:
                apart = max(apart, abs(answers[q]["confidence"] - told[path][q]["confidence"]))
                if not alike(answers[q], told[path][q]):
                    wrong.append((s.name, frame, q, answers[q]["result"], round(answers[q]["confidence"], 3),
                                  told[path][q]["result"], round(told[path][q]["confidence"], 3)))
        pairs = passed = 0
        for i, (_, _, _, answers) in enumerate(asked):
            for j, (_, _, path, _) in enumerate(asked):
                if i != j:
                    pairs += 1
                    passed += all(alike(answers[q], told[path][q]) for q in questions)
        print("# %d answers about %d frames compared, %d differ, confidences by at most %.4f; of another frame's "
              "answers %.1f %% would pass" % (len(asked) * len(questions), len(asked), len(wrong), apart,
                                              100.0 * passed / max(pairs, 1)))
        assert not wrong, wrong[:10]
        assert passed <= 0.2 * pairs, "the pictures are too much alike to tell their answers apart"

    def check_counters(self, _folder):
        for s in self.streams:
            n = s.stats()
            print("# %s: %s" % (s.name, " ".join("%s %d" % item for item in n.items())))
            assert n["pending"] == 0 and n["failed"] == 0, (s.name, n)
            assert n["chosen"] == n["submitted"] + n["skipped"], (s.name, n)
            assert n["asked"] == n["answered"] + n["failed"] + n["cancelled"], (s.name, n)
            # A frame that was submitted just before the stop may have questions that were not asked any more.
            unasked = len(QUESTIONS) * n["submitted"] - n["asked"]
            assert 0 <= unasked <= len(QUESTIONS), (s.name, n)
            assert s.messages <= n["answered"] <= s.messages + len(QUESTIONS), (s.name, n, s.messages)
            # One frame a second is chosen, by running time.
            assert abs(n["chosen"] - n["frames"] / FPS) <= 2 + 0.02 * n["chosen"], (s.name, n)

    def check_fairness(self, _folder):
        counts = [s.messages for s in self.streams]
        mean = sum(counts) / len(counts)
        print("# answers: %s, %.1f a second in all" % (counts, sum(counts) / self.seconds))
        assert min(counts) >= mean / 2 - len(QUESTIONS) and mean >= len(QUESTIONS), counts


def read_jpeg(jpeg):
    """What the pixels of a picture say: (stream, frame), or None."""
    pipeline = Gst.parse_launch("appsrc name=src caps=image/jpeg ! jpegdec ! videoconvert ! "
                                "video/x-raw,format=GRAY8,width=%d ! appsink name=sink sync=false" % WIDTH)
    pipeline.set_state(Gst.State.PLAYING)
    source = pipeline.get_by_name("src")
    source.emit("push-buffer", Gst.Buffer.new_wrapped(jpeg))
    source.emit("end-of-stream")
    sample = pipeline.get_by_name("sink").emit("try-pull-sample", 30 * Gst.SECOND)
    assert sample, "a JPEG that cannot be decoded"
    buffer = sample.get_buffer()
    luma = np.frombuffer(buffer.extract_dup(0, WIDTH * HEIGHT), np.uint8).reshape(HEIGHT, WIDTH)
    pipeline.set_state(Gst.State.NULL)
    return rtsp_cameras.read_mark(luma)


def ask(args, folder, paths):
    """{path: {question: answer}} of fusion-ask."""
    batch = os.path.join(folder, "batch.jsonl")
    with open(batch, "w", encoding="utf-8") as f:
        for path in paths:
            f.write(json.dumps({"file": path, "questions": QUESTIONS}) + "\n")
    command = [os.path.join(args.build, "model", "tools", "fusion-ask")]
    if args.model:
        command += ["--model", args.model]
    done = subprocess.run(command + ["--json", "--batch", batch], text=True, stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(paths) * len(QUESTIONS), len(lines)
    told = {}
    for i, path in enumerate(paths):
        own = lines[i * len(QUESTIONS):(i + 1) * len(QUESTIONS)]
        told[path] = {line["question"]: line for line in own}
    return told


def alike(a, b):
    return a["result"] == b["result"] and abs(a["confidence"] - b["confidence"]) <= CONFIDENCE


def main():
    parser = argparse.ArgumentParser(prog="tests/soak", description="Asks about many cameras for a long time.")
    parser.add_argument("--minutes", type=float, default=30, help="how long (%(default)s)")
    parser.add_argument("--streams", type=int, default=8, help="cameras (%(default)s)")
    parser.add_argument("--check", type=int, default=None, help="frames of each that fusion-ask is asked about too "
                        "(one a minute, 4 at least)")
    parser.add_argument("--model", default="", help="folder of a checkpoint (the shipped one)")
    parser.add_argument("--build", default=os.environ.get("FUSION_BUILD", os.path.join(SOURCE, "build")),
                        help="the build folder (%(default)s)")
    args = parser.parse_args()
    args.check = args.check or max(4, int(args.minutes))
    Gst.init(None)
    random.seed(1)

    camera = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "common", "rtsp_cameras.py"), CLIP,
                               "--streams", str(args.streams), "--fps", str(FPS)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        soak = Soak(args, camera.stdout.readline().split()[1])
        soak.run()
    finally:
        camera.stdin.close()
        camera.wait(30)

    checks = [soak.check_plays, soak.check_rate, soak.check_memory, soak.check_answers, soak.check_counters,
              soak.check_fairness]
    return tap.run([("soak/" + check.__name__[len("check_"):], check) for check in checks])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
