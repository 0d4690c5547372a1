#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""RTSP cameras that come, go and change, in pipelines with fusionvqa and in pipelines/stream. Prints TAP."""
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import gi

COMMON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common")
sys.path.insert(0, COMMON)
import tap  # noqa: E402
from play import SOURCE, Gst, Taker, need, read_file  # noqa: E402

try:
    gi.require_version("GstRtspServer", "1.0")
except ValueError:
    print("1..0 # SKIP no RTSP server: install gir1.2-gst-rtsp-server-1.0")
    sys.exit()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A program whose lines are read while it runs."""

    def __init__(self, *command):
        self.lines = []
        self.process = subprocess.Popen([sys.executable, "-u"] + list(command), text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def count(self, words):
        return sum(words in line for line in list(self.lines))

    def wait_for(self, words, times=1, seconds=40):
        tap.wait_until(lambda: self.count(words) >= times or self.process.poll() is not None, seconds,
                       lambda: "%d times %s in:\n%s" % (times, words, "\n".join(self.lines)))
        assert self.count(words) >= times, "it ended:\n" + "\n".join(self.lines)

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def end(self, number):
        self.process.send_signal(number)
        status = self.process.wait(20)
        self.reader.join(5)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Camera(Process):
    """Its stream is /0."""

    def __init__(self, port, *options, size="160x120", rate="10"):
        super().__init__(os.path.join(COMMON, "rtsp_cameras.py"), "--port", str(port), "--size", size, "--fps", rate,
                         *options)
        self.wait_for("ready")


class Watch:
    """A pipeline with a camera and fusionvqa: what goes in, comes out, and is answered."""

    def __init__(self, port, source="latency=100 protocols=tcp", vqa="prompt=q frame-rate=2/1"):
        self.pipeline = Gst.parse_launch(
            "rtspsrc location=rtsp://127.0.0.1:%d/0 %s ! decodebin ! fusionvqa name=vqa %s ! "
            "fakesink sync=true" % (port, source, vqa))
        self.vqa = self.pipeline.get_by_name("vqa")
        self.frames = {"sink": [], "src": []}
        self.caps = []
        for name in self.frames:
            self.vqa.get_static_pad(name).add_probe(
                Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM, self.probe, name)
        self.pipeline.set_state(Gst.State.PLAYING)

    def probe(self, _pad, info, name):
        if info.type & Gst.PadProbeType.BUFFER:
            buffer = info.get_buffer()
            pixels = hashlib.md5(buffer.extract_dup(0, buffer.get_size())).digest()
            self.frames[name].append((buffer.pts, buffer.duration, pixels))
        elif name == "src" and info.get_event().type == Gst.EventType.CAPS:
            s = info.get_event().parse_caps().get_structure(0)
            self.caps.append((s.get_value("width"), s.get_value("height")))
        return Gst.PadProbeReturn.OK

    def stat(self, name):
        return self.vqa.get_property("stats").get_uint64(name).value

    def more(self, frames, answers, seconds=30):
        """Waits until so many more frames have passed and answers have come."""
        self.check()
        frames += len(self.frames["src"])
        answers += self.stat("answered")
        tap.wait_until(lambda: len(self.frames["src"]) >= frames and self.stat("answered") >= answers, seconds,
                       lambda: "%d frames, %d answers; there are %d, %d" % (
                           frames, answers, len(self.frames["src"]), self.stat("answered")))

    def check(self):
        message = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        assert message is None, message.parse_error()

    def end(self):
        """Every frame that went in came out as it was."""
        self.pipeline.set_state(Gst.State.NULL)
        went, came = self.frames["sink"], self.frames["src"]
        assert came == went[:len(came)] and len(went) - len(came) <= 1, (len(went), len(came))


def change_in_mid_stream(*options):
    port = free_port()
    with Camera(port, *options) as camera:
        watch = Watch(port)
        watch.more(20, 3)
        for words in ("320x240 5", "96x64 20", "160x120 10"):
            seen = len(watch.caps)
            camera.say(words)
            tap.wait_until(lambda: len(watch.caps) > seen, 20, "caps of " + words)
            watch.more(10, 2)
        watch.end()
        assert watch.caps == [(160, 120), (320, 240), (96, 64), (160, 120)], watch.caps


def test_change_in_mid_stream(folder):
    """Another size and another rate while it plays."""
    change_in_mid_stream()


def test_change_in_mid_stream_h264(folder):
    need("openh264enc", "openh264dec")
    change_in_mid_stream("--codec", "h264")


def test_clock_of_its_own(folder):
    """A camera whose seconds are a twentieth too long, and one whose are too short."""
    for speed in ("0.95", "1.05"):
        port = free_port()
        with Camera(port, "--speed", speed, rate="20"):
            watch = Watch(port)
            watch.more(20, 1)
            begin, answered, now = len(watch.frames["src"]), watch.stat("answered"), time.monotonic()
            watch.more(80, 6)
            times = [f[0] for f in watch.frames["src"]]
            assert times == sorted(times), times
            seconds = time.monotonic() - now
            played = (times[-1] - times[begin]) / Gst.SECOND
            assert abs(played - seconds) < 1.5, (played, seconds)   # and the receiver follows
            assert watch.stat("answered") - answered >= played * 2 * 0.7, (watch.stat("answered"), played)
            watch.end()


def test_lost_over_udp(folder):
    """The camera dies without a word: nothing more comes, and the pipeline still stops at once."""
    port = free_port()
    with Camera(port) as camera:
        watch = Watch(port, "latency=100 protocols=udp timeout=0")
        watch.more(10, 1)
        camera.end(signal.SIGKILL)
        time.sleep(0.5)
        begin = time.monotonic()
        watch.end()
        assert time.monotonic() - begin < 5


class Stream(Process):
    """pipelines/stream, with the plugin that answers as told."""

    def __init__(self, *arguments):
        super().__init__(os.path.join(SOURCE, "pipelines", "stream.py"), *arguments)


def check_playlist(folder, ended):
    with open(os.path.join(folder, "live.m3u8"), encoding="utf-8") as f:
        text = f.read()
    assert text.startswith("#EXTM3U") and ("#EXT-X-ENDLIST" in text) == ended, text
    durations = [float(d) for d in re.findall(r"#EXTINF:([0-9.]+)", text)]
    segments = re.findall(r"^segment\d+\.ts$", text, re.M)
    assert durations and len(segments) == len(durations), text
    # what was missing while no camera was there is in none of them
    assert all(0 < d < 4 for d in durations), text
    return segments, sum(durations)


def test_stream_reconnects(folder):
    """No camera, a camera, none, another one of another size and codec: HLS of one size, without a hole."""
    need("openh264enc", "openh264dec", "hlssink2")
    port = free_port()
    with Stream("rtsp://127.0.0.1:%d/0" % port, "say hello", folder, "--size", "320x240", "--rate", "10",
                "--segment", "1", "--timeout", "5") as stream:
        stream.wait_for("camera lost: Could not")
        with Camera(port) as camera:
            stream.wait_for("connected")
            stream.wait_for("say hello  hello", 3)
            camera.end(signal.SIGKILL)
        stream.wait_for("camera lost", stream.count("camera lost") + 1)
        answers = stream.count("say hello  hello")
        with Camera(port, "--codec", "h264", size="240x160", rate="5"):
            stream.wait_for("connected", 2)
            stream.wait_for("say hello  hello", answers + 3)
            tap.wait_until(lambda: len(check_playlist(folder, False)[0]) >= 4, 20, "four segments")
            assert stream.end(signal.SIGINT) == 0, stream.lines
    assert not [line for line in stream.lines if "CRITICAL" in line or "Traceback" in line], stream.lines
    segments, seconds = check_playlist(folder, True)
    frames = 0
    for segment in segments:
        takers = read_file(os.path.join(folder, segment),
                           "tsdemux ! h264parse ! openh264dec ! videoconvert ! "
                           "video/x-raw,format=GRAY8,width=320,height=240 ! fakesink name=video")
        frames += len(takers["video"].buffers)
    assert abs(frames - 10 * seconds) <= 10, (frames, seconds)
    # the answer is drawn into the lower left corner of all of the last frames
    for pts, _, data in takers["video"].buffers:
        corner = b"".join(data[320 * row + 8:320 * row + 90] for row in range(205, 235))
        assert sum(value > 110 for value in corner) > 60, pts


def test_stream_of_a_camera_that_hangs(folder):
    """It neither sends nor closes the connection, and later comes to itself."""
    port = free_port()
    with Camera(port) as camera, Stream("rtsp://127.0.0.1:%d/0" % port, "say hello", "--timeout", "2") as stream:
        stream.wait_for("say hello  hello", 2)
        camera.process.send_signal(signal.SIGSTOP)
        stream.wait_for("camera lost: no frame for 2 s")
        camera.process.send_signal(signal.SIGCONT)
        stream.wait_for("connected", 2)
        stream.wait_for("say hello  hello", stream.count("say hello  hello") + 2)
        assert stream.end(signal.SIGTERM) == 0, stream.lines


def test_stream_over_rtsp(folder):
    """The camera's picture with answers, served over RTSP, while the camera is there and when it is not."""
    need("openh264enc", "openh264dec", "intervideosink")
    port, out = free_port(), free_port()
    address = "rtsp://127.0.0.1:%d/answers" % out
    with Camera(port) as camera, Stream("rtsp://127.0.0.1:%d/0" % port, "say hello", address, "--size",
                                        "320x240", "--rate", "10") as stream:
        stream.wait_for("connected")
        stream.wait_for("say hello  hello")
        viewer = Gst.parse_launch("rtspsrc location=%s protocols=tcp latency=100 ! rtph264depay ! h264parse ! "
                                  "openh264dec ! video/x-raw,width=320,height=240 ! fakesink name=video" % address)
        taker = Taker(viewer.get_by_name("video"))
        viewer.set_state(Gst.State.PLAYING)
        tap.wait_until(lambda: len(taker.buffers) >= 15, 30, "frames for a viewer")
        camera.end(signal.SIGKILL)
        stream.wait_for("camera lost")
        seen = len(taker.buffers)
        tap.wait_until(lambda: len(taker.buffers) >= seen + 15, 30, "frames while there is no camera")
        viewer.set_state(Gst.State.NULL)
        assert stream.end(signal.SIGINT) == 0, stream.lines


if __name__ == "__main__":
    tap.end(tap.run(tap.functions(globals(), "media-cameras", sys.argv[3:], between="-")))
