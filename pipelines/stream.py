#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera in, questions, and the picture with the answers on it out, as HLS or over RTSP. A camera that is lost is
connected to again; the output goes on. Run it through pipelines/stream."""
import argparse
import errno
import json
import math
import os
import signal
import sys
import time
from urllib.parse import urlsplit

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

MOST_SECONDS = 30   # between two attempts to connect


def size(text):
    width, height = (int(n) for n in text.split("x"))
    if width < 16 or height < 16 or width % 2 or height % 2:
        raise ValueError    # argparse says which option
    return width, height


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def seconds(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("expected a number of seconds above 0, found %r" % text)
    return number


def rate(text):
    """A rate as the element takes it: what it cannot read would leave the property as it is, without a word."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 2 or not all(p.isdigit() for p in parts) or int(parts[-1]) == 0 and len(parts) == 2:
        raise argparse.ArgumentTypeError("expected frames a second as 2/1 or 1/5, found %r" % text)
    return "/".join(parts) if len(parts) == 2 else text + "/1"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="pipelines/stream", description=__doc__)
    parser.add_argument("source", help="rtsp:// or another address, camera device, or file")
    parser.add_argument("questions", help="QUESTION || QUESTION")
    parser.add_argument("out", nargs="?", default="", help="folder for HLS, or rtsp://0.0.0.0:8554/answers")
    parser.add_argument("--size", type=size, default="640x360", help="of the output, both even (%(default)s)")
    parser.add_argument("--rate", type=positive, default=15, help="frames a second of the output (%(default)s)")
    parser.add_argument("--bitrate", type=positive, default=1000, help="of the output, in kbit/s (%(default)s)")
    parser.add_argument("--frame-rate", type=rate, default="1/1", help="frames asked about a second (%(default)s)")
    parser.add_argument("--segment", type=positive, default=2, help="seconds of an HLS segment (%(default)s)")
    parser.add_argument("--timeout", type=seconds, default=10,
                        help="a camera that sends no frame for so many seconds is lost (%(default)s)")
    return parser.parse_args()


def quoted(text):
    """As GStreamer's parser of pipelines reads the value of a property, whatever is in it."""
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def local_path(source):
    """The path that a file:// address names; anything else as it is. Raises GLib.Error."""
    return GLib.filename_from_uri(source)[0] if source.lower().startswith("file://") else source


def server_port(address):
    """The port of an address that is served; None if it has one that cannot be."""
    try:
        port = urlsplit(address).port
    except ValueError:
        return None
    return 8554 if port is None else port or None


def about_sound(error):
    """Whether it is that a stream of sound is left alone: nobody asks about that. (That uridecodebin should leave it alone
    by itself, expose-all-streams, keeps it from finding some decoders of video, too.)"""
    return error.matches(Gst.StreamError.quark(), Gst.StreamError.CODEC_NOT_FOUND) and "audio/" in error.message


def encoder(args):
    gop = args.rate * args.segment
    if Gst.ElementFactory.find("x264enc"):
        return "x264enc tune=zerolatency speed-preset=veryfast bitrate=%d key-int-max=%d" % (args.bitrate, gop)
    if Gst.ElementFactory.find("openh264enc"):
        return "openh264enc complexity=low bitrate=%d gop-size=%d" % (1000 * args.bitrate, gop)
    sys.exit("pipelines/stream: no encoder for H.264: install gstreamer1.0-plugins-bad or gstreamer1.0-plugins-ugly")


class Stream:
    def __init__(self, args):
        self.args = args
        self.place = local_path(args.source)    # a path or an address
        self.file = "://" not in self.place and not self.place.startswith("/dev/")
        if self.file and not os.path.isfile(self.place):
            sys.exit("pipelines/stream: %s: no such file (nor a camera under /dev, nor an address with ://)"
                     % args.source)
        self.source = None          # the element that is connected, or tries to be
        self.again = 0              # timer of the next attempt
        self.wait = 1               # seconds until then
        self.failed = None
        self.stopping = False
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(
            # What comes when the rest is busy gives way to what is newer; a file waits instead.
            "queue name=in max-size-buffers=%d max-size-time=0 max-size-bytes=0 leaky=%s ! videoconvert ! "
            "fusionvqa name=vqa prompt=%s frame-rate=%s ! fusionoverlay ! %s"
            % (5, "no" if self.file else "downstream", quoted(args.questions), args.frame_rate, self.output()))
        # The output plays whether a camera is there or not.
        self.pipeline.connect("deep-element-added", lambda _pipeline, _bin, element: self.do_not_wait(element))
        self.pipeline.iterate_recurse().foreach(self.do_not_wait)
        self.written = 0            # end of the last frame, in the time of the output
        gapless = self.pipeline.get_by_name("gapless")
        if gapless:
            gapless.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self.close_gap)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)

    # -- the output

    def output(self):
        caps = "video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1,pixel-aspect-ratio=1/1" % (
            *self.args.size, self.args.rate)
        # Whatever the camera changes, viewers see one size and rate; nothing makes up for its absence.
        shaped = "videoconvert ! videoscale ! videorate max-duplication-time=1000000000 ! %s" % caps
        out = self.args.out
        if not out:
            return "fakesink sync=false"
        if out.startswith("rtsp://"):
            self.serve(out, caps)
            return shaped + " ! intervideosink channel=answers"
        try:
            os.makedirs(out, exist_ok=True)
            if not os.access(out, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            sys.exit("pipelines/stream: OUT %s: cannot be written (%s); name a folder of yours" % (out, error.strerror))
        return shaped + " ! identity name=gapless ! %s ! h264parse ! hls.video hlssink2 name=hls async-handling=true " \
            "target-duration=%d max-files=%d playlist-length=%d location=%s playlist-location=%s" % (
                encoder(self.args), self.args.segment, 0 if self.file else 12, 0 if self.file else 6,
                quoted(os.path.join(out.replace("%", "%%"), "segment%05d.ts")), quoted(os.path.join(out, "live.m3u8")))

    def close_gap(self, pad, info):
        """Takes the time without a camera out, or a segment would last as long; as that before the first frame."""
        buffer = info.get_buffer()
        segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
        now = segment.to_running_time(Gst.Format.TIME, buffer.pts) + pad.get_offset()
        if now > self.written + Gst.SECOND:
            pad.set_offset(pad.get_offset() - (now - self.written))
            now = self.written
        self.written = now + buffer.duration
        return Gst.PadProbeReturn.OK

    def serve(self, address, caps):
        try:
            gi.require_version("GstRtspServer", "1.0")
        except ValueError:
            sys.exit("pipelines/stream: RTSP needs GStreamer's RTSP server: install gir1.2-gst-rtsp-server-1.0")
        from gi.repository import GstRtspServer
        port = server_port(address)
        if port is None:
            sys.exit("pipelines/stream: OUT %s: expected an address such as rtsp://0.0.0.0:8554/answers, with a port "
                     "of 1 to 65535" % address)
        parts = urlsplit(address)
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch("( intervideosrc channel=answers ! %s ! %s ! rtph264pay config-interval=-1 name=pay0 )"
                           % (caps, encoder(self.args)))
        factory.set_shared(True)
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(parts.hostname or "0.0.0.0")
        self.server.set_service(str(port))
        # viewers who went without a word
        GLib.timeout_add_seconds(30, lambda: self.server.get_session_pool().cleanup() >= 0)
        self.server.get_mount_points().add_factory(parts.path or "/", factory)
        if not self.server.attach(None):
            sys.exit("pipelines/stream: %s: the address cannot be served (is the port taken?)" % address)

    @staticmethod
    def do_not_wait(element):
        if element.find_property("async") and element.find_property("sync"):
            element.set_property("async", False)

    # -- the camera

    def connect(self):
        if self.place.startswith("/dev/"):
            uri = "v4l2://" + self.place
        else:
            uri = GLib.filename_to_uri(os.path.abspath(self.place), None) if self.file else self.place
        self.again = 0
        self.shown = False
        self.last_frame = time.monotonic()
        self.source = Gst.ElementFactory.make("uridecodebin")
        self.source.set_property("uri", uri)
        self.source.set_property("caps", Gst.Caps.from_string("video/x-raw"))
        self.source.connect("source-setup", self.on_source)
        self.source.connect("pad-added", self.on_pad)
        self.pipeline.add(self.source)
        self.source.sync_state_with_parent()
        return False

    def on_source(self, _decoder, source):
        if source.find_property("protocols"):   # RTSP: over TCP, through firewalls and without lost packets
            Gst.util_set_object_arg(source, "protocols", "tcp")
            source.set_property("latency", 200)

    def on_pad(self, source, pad):
        sink = self.pipeline.get_by_name("in").get_static_pad("sink")
        kind = (pad.get_current_caps() or pad.query_caps(None)).get_structure(0).get_name()
        if source is not self.source or sink.is_linked() or not kind.startswith("video/"):
            return
        pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM, self.on_passing, source)
        pad.link(sink)

    def on_passing(self, _pad, info, source):
        if info.type & Gst.PadProbeType.BUFFER:
            self.last_frame = time.monotonic()
            if not self.shown:
                self.shown = True
                GLib.idle_add(self.say, "connected")
        elif info.get_event().type == Gst.EventType.EOS and not self.file:
            GLib.idle_add(self.lose, source, "it ended the stream")
            return Gst.PadProbeReturn.DROP      # of the camera, not of what we send
        return Gst.PadProbeReturn.OK

    def lose(self, source, why):
        """Takes the camera out of the pipeline; the next attempt is later each time, until one shows something."""
        if source is not self.source or self.stopping:
            return False
        self.source = None
        self.wait = 1 if self.shown else min(2 * self.wait, MOST_SECONDS)
        self.say("camera lost: %s; again in %d s" % (why, self.wait))
        source.set_locked_state(True)   # a state change of the pipeline that is on its way must not wake it
        source.set_state(Gst.State.NULL)
        self.pipeline.remove(source)
        self.pipeline.set_state(Gst.State.PLAYING)  # forgets that a part of it failed
        self.again = GLib.timeout_add(1000 * self.wait, self.connect)
        return False

    def watch(self):
        if self.source and not self.file and time.monotonic() - self.last_frame > self.args.timeout:
            self.lose(self.source, "no frame for %g s" % self.args.timeout)
        return True

    # -- messages

    def say(self, text):
        print(text, flush=True)

    def on_message(self, _bus, message):
        kind = message.type
        if kind == Gst.MessageType.EOS:
            self.loop.quit()
        elif kind == Gst.MessageType.LATENCY:
            self.pipeline.recalculate_latency()
        elif kind == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            if self.source and not self.file and (
                    message.src is self.source or message.src.has_as_ancestor(self.source)):
                self.lose(self.source, error.message)
            elif message.src is self.pipeline or message.src.has_as_ancestor(self.pipeline):
                self.failed = "%s: %s\n%s" % (message.src.get_name(), error.message, debug or "")
                self.loop.quit()
            # else of a camera that was taken out
        elif kind == Gst.MessageType.WARNING:
            error, _debug = message.parse_warning()
            if not about_sound(error):
                self.say("warning: " + error.message)
        elif kind == Gst.MessageType.ELEMENT and message.get_structure().get_name() == "fusion-answer":
            answer = json.loads(message.get_structure().get_string("json"))
            if answer.get("final", True):
                self.say("%7.1f s  %s  %s (confidence %.2f)" % (
                    answer["timestamp_seconds"], answer["question"], answer["result"], answer["confidence"]))

    def stop(self):
        """Ends the stream so that the playlist is complete; a second call ends at once."""
        if self.stopping:
            self.loop.quit()
        self.stopping = True
        if self.again:
            GLib.source_remove(self.again)
        self.pipeline.get_by_name("in").get_static_pad("sink").send_event(Gst.Event.new_eos())
        GLib.timeout_add_seconds(5, self.loop.quit)
        return True

    def run(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.stop)
        GLib.timeout_add(500, self.watch)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.connect()
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        if self.failed:
            sys.exit("pipelines/stream: " + self.failed.rstrip())


def main():
    args = parse_arguments()
    Gst.init(None)
    if Gst.ElementFactory.find("fusionvqa") is None:
        sys.exit("pipelines/stream: GStreamer does not find the element fusionvqa: run pipelines/demo, which "
                 "builds it, or install the plugin with 'meson install -C build'")
    try:
        stream = Stream(args)
    except GLib.Error as error:
        sys.exit("pipelines/stream: " + error.message)
    stream.run()


if __name__ == "__main__":
    main()
