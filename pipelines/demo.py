#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks questions about a video, prints the answers as they come, and writes the annotated video, the
answers as JSON lines and as WebVTT, and one annotated frame. Run it through pipelines/demo."""
import argparse
import json
import os
import shutil
import signal
import sys
from urllib.parse import urlsplit

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402

from stream import about_sound, local_path, quoted, rate  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CLIP = os.path.join(HERE, "demo.webm")
CLIP_QUESTIONS = ["Is there a car?", "Is there a person?", "Is there a dog?", "Describe the picture."]
QUESTIONS = ["Is there a person?", "Is there a car?", "How many people are there?"]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="pipelines/demo", description=__doc__)
    parser.add_argument("source", nargs="?", help="file, rtsp:// address or camera device")
    parser.add_argument("question", nargs="*", help="questions about it")
    parser.add_argument("--out", default="demo-out", help="folder for the results (%(default)s)")
    parser.add_argument("--model", default="", help="folder of a checkpoint (the shipped one)")
    parser.add_argument("--device", default="auto", help="Vulkan device (%(default)s)")
    parser.add_argument("--frame-rate", type=rate, default="1/1", help="frames asked about a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0, help="stop after that much stream time")
    return parser.parse_args()


def source_description(source):
    """The beginning of the gst-launch line, and whether the source is live."""
    try:
        source = local_path(source)
    except GLib.Error as error:
        sys.exit("pipelines/demo: %s" % error.message)
    if source.startswith("/dev/"):
        return 'v4l2src device=%s ! decodebin' % quoted(source), True
    if "://" in source:
        return 'uridecodebin uri=%s caps="video/x-raw(ANY)"' % quoted(source), True
    path = os.path.abspath(source)
    if not os.path.isfile(path):
        sys.exit("pipelines/demo: %s: no such file (nor a camera under /dev, nor an address with ://)" % source)
    return 'uridecodebin uri=%s caps="video/x-raw(ANY)"' % (
        quoted(GLib.filename_to_uri(path, None))), False


def shown(source):
    """The source without a password in it, for a terminal or a log."""
    parts = urlsplit(source)
    if "@" not in parts.netloc:
        return source
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class Demo:
    def __init__(self, args):
        self.args = args
        self.source = args.source or CLIP
        self.questions = args.question or (QUESTIONS if args.source else CLIP_QUESTIONS)
        self.failed = None
        self.sample = None
        self.answers = 0
        self.stopping = False
        self.tty = sys.stdout.isatty()
        self.progress_shown = False
        try:
            os.makedirs(args.out, exist_ok=True)
            self.jsonl = open(os.path.join(args.out, "answers.jsonl"), "w", encoding="utf-8")
        except OSError as error:
            sys.exit("pipelines/demo: --out %s: cannot be written (%s); name a folder of yours with --out FOLDER"
                     % (args.out, error.strerror))

        head, self.live = source_description(self.source)
        def out(name):
            return quoted(os.path.join(args.out, name))
        self.pipeline = Gst.parse_launch(
            head + ' ! videoconvert ! fusionvqa name=vqa ! fusionoverlay name=overlay ! videoconvert'
            ' ! video/x-raw,format=I420 ! queue'
            ' ! vp8enc deadline=1 cpu-used=8 threads=2 target-bitrate=1500000 keyframe-max-dist=60'
            ' ! webmmux ! filesink location=%s'
            ' vqa.text ! queue ! webvttenc ! filesink location=%s'
            % (out("annotated.webm"), out("answers.vtt")))
        vqa = self.pipeline.get_by_name("vqa")
        vqa.set_property("prompt", " || ".join(self.questions))
        vqa.set_property("model", args.model)
        vqa.set_property("device", args.device)
        Gst.util_set_object_arg(vqa, "frame-rate", args.frame_rate)
        if not args.source:     # things stand at the lower edge of the clip
            Gst.util_set_object_arg(self.pipeline.get_by_name("overlay"), "valignment", "top")
        self.pipeline.get_by_name("overlay").get_static_pad("src").add_probe(
            Gst.PadProbeType.BUFFER, self.on_annotated)

    # -- one annotated frame for frame.png: the first with answers past the middle, else the last with answers
    def on_annotated(self, pad, info):
        buf = info.get_buffer()
        if buf.get_custom_meta("fusion-answer") is None:
            return Gst.PadProbeReturn.OK
        known, duration = self.pipeline.query_duration(Gst.Format.TIME)
        middle = duration // 2 if known and not self.live else 0
        self.sample = Gst.Sample.new(buf, pad.get_current_caps(), None, None)
        done = middle and buf.pts >= middle
        return Gst.PadProbeReturn.REMOVE if done else Gst.PadProbeReturn.OK

    def say(self, text):
        if self.progress_shown:
            sys.stdout.write("\r\033[K")
            self.progress_shown = False
        print(text, flush=True)

    def show(self, text):
        """A line that the next one replaces; nothing where there is no terminal."""
        if self.tty:
            sys.stdout.write("\r\033[K" + text)
            sys.stdout.flush()
            self.progress_shown = True

    def on_answer(self, structure):
        record = json.loads(structure.get_string("json"))
        if not record.get("final", True):
            return
        self.answers += 1
        self.jsonl.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.jsonl.flush()
        self.say("%7.1f s  %-40s %-14s (confidence %.2f, %.0f ms)" % (
            record["timestamp_seconds"], record["question"], record["result"],
            record["confidence"], record["latency"] / 1e6))

    def show_progress(self):
        if not self.tty:
            return True
        ok, position = self.pipeline.query_position(Gst.Format.TIME)
        if ok:
            known, duration = self.pipeline.query_duration(Gst.Format.TIME)
            text = "%.1f s" % (position / Gst.SECOND)
            if known and duration > 0:
                text = "%3d %%  %s of %.1f s" % (100 * position // duration, text, duration / Gst.SECOND)
            self.show(text)
        return True

    def check_time(self):
        ok, position = self.pipeline.query_position(Gst.Format.TIME)
        if ok and position >= self.args.seconds * Gst.SECOND:
            self.stop()
            return False
        return True

    def stop(self):
        """Ends the stream so that the files are complete; a second call ends at once."""
        if self.stopping:
            self.loop.quit()
        self.stopping = True
        self.pipeline.send_event(Gst.Event.new_eos())
        return True

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            self.failed = "%s: %s\n%s" % (message.src.get_name(), error.message, debug or "")
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            error, _debug = message.parse_warning()
            if not about_sound(error):
                self.say("warning: " + error.message)
        elif message.type == Gst.MessageType.PROGRESS:
            kind, _code, text = message.parse_progress()
            if kind != Gst.ProgressType.CONTINUE:
                self.say(text)
            else:
                self.show(text)
        elif message.type == Gst.MessageType.ELEMENT and message.get_structure() is not None \
                and message.get_structure().get_name() == "fusion-answer":
            self.on_answer(message.get_structure())
        return True

    def run(self):
        print("Source:    %s" % shown(self.source))
        for question in self.questions:
            print("Question:  %s" % question)
        self.loop = GLib.MainLoop()
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.stop)
        GLib.timeout_add(300, self.show_progress)
        if self.args.seconds:
            GLib.timeout_add(100, self.check_time)
        if self.live:
            print("Live source: Ctrl-C ends it and completes the files.")
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        # Answers that were posted while the end of the stream was on its way.
        while True:
            message = bus.pop()
            if message is None:
                break
            self.on_message(bus, message)
        self.jsonl.close()
        if self.progress_shown:
            sys.stdout.write("\r\033[K")

    def write_frame(self):
        if self.sample is None:
            return
        path = os.path.join(self.args.out, "frame.png")
        png = GstVideo.video_convert_sample(
            self.sample, Gst.Caps.from_string("image/png"), 10 * Gst.SECOND)
        buf = png.get_buffer()
        with open(path, "wb") as f:
            f.write(buf.extract_dup(0, buf.get_size()))


def main():
    args = parse_arguments()
    Gst.init(None)
    if Gst.ElementFactory.find("fusionvqa") is None:
        sys.exit("pipelines/demo: GStreamer does not find the element fusionvqa: run pipelines/demo, which sets "
                 "GST_PLUGIN_PATH, or install the plugin with 'meson install -C build'")
    demo = Demo(args)
    demo.run()
    if demo.failed:
        sys.exit("pipelines/demo: " + demo.failed.rstrip())
    demo.write_frame()
    columns = shutil.get_terminal_size().columns
    print("-" * min(columns, 60))
    print("%d answers. Look at:" % demo.answers)
    for name in ("annotated.webm", "answers.jsonl", "answers.vtt", "frame.png"):
        path = os.path.join(args.out, name)
        if os.path.exists(path):
            print("  %s" % path)
    if demo.answers == 0 and not demo.stopping:
        sys.exit("pipelines/demo: the stream ended without an answer")


if __name__ == "__main__":
    main()
