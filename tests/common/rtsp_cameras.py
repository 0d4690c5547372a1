#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cameras on loopback: an RTSP server with streams /0, /1, ... in a process of its own, which can be killed.

Of a clip, each stream plays the frames from a place of its own, for each client from the first one on, every other
stream mirrored, so that no two show the same at a time. The last eight lines of a picture hold the stream's number
and the frame's as black and white squares: read_mark() reads them, after any decoder.

Without a clip, a ball moves on black, the same for all clients, and size and rate change while it plays: by lines
`WIDTHxHEIGHT RATE` on standard input.

As a program: prints `ready rtsp://127.0.0.1:PORT/` and serves until its standard input ends."""
import argparse
import sys
import threading

import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402
import numpy as np  # noqa: E402

CELL = 8  # pixels: a block of JPEG, which a square of one colour passes unharmed
STREAM_BITS, FRAME_BITS, CHECK_BITS = 4, 24, 4
BITS = STREAM_BITS + FRAME_BITS + CHECK_BITS
CODECS = {"jpeg": "jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26",
          "h264": "openh264enc gop-size=10 ! h264parse ! rtph264pay config-interval=-1 name=pay0 pt=96"}


def mark_bits(stream, frame):
    word = (stream << FRAME_BITS | frame % (1 << FRAME_BITS)) << CHECK_BITS
    check = 0
    for shift in range(CHECK_BITS, BITS, CHECK_BITS):
        check ^= word >> shift & 15
    word |= check ^ 9
    return [word >> (BITS - 1 - i) & 1 for i in range(BITS)]


def read_mark(luma):
    """(stream, frame) of a picture's luma, an array [height, width]; None if there is no mark."""
    row = luma[luma.shape[0] - CELL:, :BITS * CELL].reshape(CELL, BITS, CELL).mean(axis=(0, 2))
    if row.size != BITS or any(60 < value < 190 for value in row):
        return None
    bits = [int(value > 128) for value in row]
    word = int("".join(map(str, bits)), 2)
    stream, frame = word >> (FRAME_BITS + CHECK_BITS), word >> CHECK_BITS & ((1 << FRAME_BITS) - 1)
    return (stream, frame) if mark_bits(stream, frame) == bits else None


def decode(path, width, height):
    """The frames of a clip as I420, an array [frames, bytes of one]."""
    pipeline = Gst.parse_launch(
        'filesrc location="%s" ! decodebin ! videoconvert ! videoscale ! '
        "video/x-raw,format=I420,width=%d,height=%d,pixel-aspect-ratio=1/1 ! appsink name=sink sync=false" % (
            path, width, height))
    pipeline.set_state(Gst.State.PLAYING)
    frames = []
    while sample := pipeline.get_by_name("sink").emit("try-pull-sample", 60 * Gst.SECOND):
        buffer = sample.get_buffer()
        frames.append(np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8))
    pipeline.set_state(Gst.State.NULL)
    assert frames, "nothing to see in " + path
    return np.stack(frames)


def raw_caps(width, height, fps):
    return "video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1" % (width, height, fps)


class ClipStream:
    """The frames of a clip, marked: what need-data of its appsrc is given."""
    shared = False

    def __init__(self, number, streams, clip, width, height, fps):
        self.number, self.streams, self.clip = number, streams, clip
        self.width, self.height, self.fps = width, height, fps
        self.launch = "appsrc name=src format=time max-bytes=1 caps=" + raw_caps(width, height, fps)

    def picture(self, frame):
        clip = self.clip
        data = clip[(frame + self.number * len(clip) // self.streams) % len(clip)].copy()
        size, w, h = self.width * self.height, self.width, self.height
        luma = data[:size].reshape(h, w)
        chroma = data[size:].reshape(2, h // 2, w // 2)
        if self.number % 2:
            luma[:] = luma[:, ::-1].copy()
            chroma[:] = chroma[:, :, ::-1].copy()
        luma[h - CELL:, :BITS * CELL] = np.repeat(
            np.array(mark_bits(self.number, frame), np.uint8) * 255, CELL)
        chroma[:, (h - CELL) // 2:, :BITS * CELL // 2] = 128
        return data.tobytes()

    def configure(self, _factory, media):
        state = {"frame": 0}
        source = media.get_element().get_by_name("src")

        def need_data(src, _length):
            n = state["frame"]
            buffer = Gst.Buffer.new_wrapped(self.picture(n))
            buffer.pts = buffer.dts = Gst.util_uint64_scale(n, Gst.SECOND, self.fps)
            buffer.duration = Gst.SECOND // self.fps
            state["frame"] = n + 1
            src.emit("push-buffer", buffer)

        source.connect("need-data", need_data)


class BallStream:
    """A live ball. Its camera may have a clock of its own: what is a second there takes `speed` of ours."""
    launch = ("videotestsrc is-live=true pattern=ball name=src ! capsfilter name=caps ! "
              "videorate name=speed")
    shared = True

    def __init__(self, width, height, fps, speed):
        self.caps, self.speed, self.element = raw_caps(width, height, fps), speed, None

    def configure(self, _factory, media):
        self.element = media.get_element()
        if self.speed:
            self.element.get_by_name("speed").set_property("rate", self.speed)
        self.apply()

    def apply(self):
        if self.element:
            self.element.get_by_name("caps").set_property("caps", Gst.Caps.from_string(self.caps))

    def change(self, width, height, fps):
        self.caps = raw_caps(width, height, fps)
        self.apply()


class Cameras:
    """The server, in threads of GLib's default main context, which the caller runs. Port 0: a free one."""

    def __init__(self, streams, codec="jpeg", port=0):
        self.server = GstRtspServer.RTSPServer.new()
        self.server.set_address("127.0.0.1")
        self.server.set_service(str(port))
        for i, stream in enumerate(streams):
            factory = GstRtspServer.RTSPMediaFactory.new()
            factory.set_launch("( %s ! %s )" % (stream.launch, CODECS[codec]))
            factory.set_shared(stream.shared)
            factory.connect("media-configure", stream.configure)
            self.server.get_mount_points().add_factory("/%d" % i, factory)
        if not self.server.attach(None):
            sys.exit("rtsp_cameras.py: port %d is taken" % port)
        self.address = "rtsp://127.0.0.1:%d/" % self.server.get_bound_port()


def size(text):
    width, height = text.split("x")
    return int(width), int(height)


def read_changes(streams, loop):
    """From standard input, until whoever started this closes it or is gone."""
    for line in sys.stdin:
        words = line.split()
        for stream in streams:
            GLib.idle_add(stream.change, *size(words[0]), int(words[1]))
    GLib.idle_add(loop.quit)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--size", type=size, default=(320, 240))
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--codec", choices=sorted(CODECS), default="jpeg")
    parser.add_argument("--speed", type=float, help="of the clock, without a clip")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    Gst.init(None)
    if args.clip:
        frames = decode(args.clip, *args.size)
        streams = [ClipStream(i, args.streams, frames, *args.size, args.fps) for i in range(args.streams)]
    else:
        streams = [BallStream(*args.size, args.fps, args.speed) for _ in range(args.streams)]
    changing = [] if args.clip else streams
    cameras = Cameras(streams, args.codec, args.port)
    loop = GLib.MainLoop()
    threading.Thread(target=read_changes, args=(changing, loop), daemon=True).start()
    print("ready " + cameras.address, flush=True)
    loop.run()


if __name__ == "__main__":
    main()
