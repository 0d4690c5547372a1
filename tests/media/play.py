# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pipelines with frames of known content, and what came out of them."""
import os
import re
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

import tap  # noqa: E402

SOURCE = sys.argv[1]
Gst.init(None)
MS = Gst.MSECOND
CAPS = "video/x-raw,format=RGBx,width=%d,height=%d,framerate=10/1"


def need(*elements):
    missing = [name for name in elements if Gst.ElementFactory.find(name) is None]
    if missing:
        raise tap.Skip("no element " + ", ".join(missing))


def frame(value, ms, width=32, height=24, duration=100):
    """A frame of one grey; a question that does not tell its answer is answered with "QUESTION@value"."""
    buffer = Gst.Buffer.new_wrapped(bytes([value]) * (4 * width * height))
    buffer.pts = ms * MS
    buffer.duration = duration * MS
    return buffer


def start(description, state=Gst.State.PLAYING):
    pipeline = Gst.parse_launch(description)
    pipeline.set_state(state)
    return pipeline


def wait_message(pipeline, kinds, seconds=60):
    message = pipeline.get_bus().timed_pop_filtered(seconds * Gst.SECOND, kinds | Gst.MessageType.ERROR)
    assert message, "not within %d s: %s" % (seconds, kinds)
    if message.type == Gst.MessageType.ERROR:
        error, debug = message.parse_error()
        raise AssertionError("%s: %s\n%s" % (message.src.get_path_string(), error.message, debug))
    return message


def finish(pipeline, seconds=60):
    wait_message(pipeline, Gst.MessageType.EOS, seconds)
    pipeline.set_state(Gst.State.NULL)


def source(width=32, height=24):
    """Takes frames in feed()."""
    return "appsrc name=src format=time max-bytes=0 caps=%s" % (CAPS % (width, height))


def feed(pipeline, frames):
    src = pipeline.get_by_name("src")
    for buffer in frames:
        assert src.emit("push-buffer", buffer) == Gst.FlowReturn.OK
    src.emit("end-of-stream")


def change_prompt(pipeline, changes):
    """changes: {time in ms: prompt}, before the first frame not earlier than that is asked about."""
    vqa = pipeline.get_by_name("vqa")
    left = sorted(changes.items())

    def probe(_pad, info):
        while left and info.get_buffer().pts >= left[0][0] * MS:
            vqa.set_property("prompt", left.pop(0)[1])
        return Gst.PadProbeReturn.OK
    vqa.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, probe)


class Taker:
    """What came to a fakesink: buffers as (stream time in ms, duration in ms, bytes), gaps as (start, end)."""

    def __init__(self, sink):
        self.buffers, self.gaps, self.events = [], [], []
        self.segment = None
        sink.set_property("sync", False)
        sink.get_static_pad("sink").add_probe(
            Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM | Gst.PadProbeType.EVENT_FLUSH, self.probe)

    def time(self, pts):
        return round(self.segment.to_stream_time(Gst.Format.TIME, pts) / MS)

    def probe(self, _pad, info):
        if info.type & Gst.PadProbeType.BUFFER:
            buffer = info.get_buffer()
            duration = 0 if buffer.duration == Gst.CLOCK_TIME_NONE else buffer.duration
            self.buffers.append((self.time(buffer.pts), round(duration / MS),
                                 buffer.extract_dup(0, buffer.get_size())))
            return Gst.PadProbeReturn.OK
        event = info.get_event()
        self.events.append(event.type)
        if event.type == Gst.EventType.SEGMENT:
            self.segment = event.parse_segment()
        elif event.type == Gst.EventType.GAP:
            pts, duration = event.parse_gap()
            end = pts if duration == Gst.CLOCK_TIME_NONE else pts + duration
            self.gaps.append((self.time(pts), self.time(end)))
        return Gst.PadProbeReturn.OK

    def cues(self):
        return [(pts, duration, data.decode().rstrip("\n\0")) for pts, duration, data in self.buffers]


def location(folder, name):
    return 'filesink location="%s"' % os.path.join(folder, name)


def read_file(path, description):
    """Plays a file through "filesrc ! DESCRIPTION"; the Takers of its fakesinks by name."""
    pipeline = Gst.parse_launch('filesrc location="%s" ! %s' % (path, description))
    names = re.findall(r"fakesink name=(\w+)", description)
    takers = {name: Taker(pipeline.get_by_name(name)) for name in names}
    pipeline.set_state(Gst.State.PLAYING)
    finish(pipeline)
    return takers
