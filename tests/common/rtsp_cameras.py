#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cameras on loopback: an RTSP server with Motion JPEG streams /0, /1, ... of different pictures.

Each stream plays the frames of a clip from a place of its own, every other one mirrored, so that no two show the
same at a time. The last eight lines of a picture hold the stream's number and the frame's as black and white squares:
read_mark() reads them, after any decoder.

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


class Stream:
    """The frames of one camera: what need-data of its appsrc is given."""

    def __init__(self, number, streams, clip, width, height, fps):
        self.number, self.streams, self.clip = number, streams, clip
        self.width, self.height, self.fps = width, height, fps

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

    def configure(self, factory, media):
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


class Cameras:
    """The server, in threads of GLib's default main context, which the caller runs."""

    def __init__(self, clip, streams, width=320, height=240, fps=15):
        self.server = GstRtspServer.RTSPServer.new()
        self.server.set_address("127.0.0.1")
        self.server.set_service("0")
        frames = decode(clip, width, height)
        for i in range(streams):
            factory = GstRtspServer.RTSPMediaFactory.new()
            factory.set_launch(
                "( appsrc name=src format=time max-bytes=1 caps=video/x-raw,format=I420,width=%d,height=%d,"
                "framerate=%d/1 ! jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26 )" % (width, height, fps))
            factory.connect("media-configure", Stream(i, streams, frames, width, height, fps).configure)
            self.server.get_mount_points().add_factory("/%d" % i, factory)
        self.server.attach(None)
        self.address = "rtsp://127.0.0.1:%d/" % self.server.get_bound_port()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--fps", type=int, default=15)
    args = parser.parse_args()
    Gst.init(None)
    cameras = Cameras(args.clip, args.streams, fps=args.fps)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready " + cameras.address, flush=True)
    loop.run()


if __name__ == "__main__":
    main()
