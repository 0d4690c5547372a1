#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera: an RTSP server on loopback that plays a picture that moves, in a process of its own, which can be
killed. camera.py PORT [WIDTHxHEIGHT [RATE [SPEED [h264]]]]; lines on standard input change the first two while it
plays."""
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
LAUNCH = "( videotestsrc is-live=true pattern=ball name=src ! capsfilter name=caps ! videorate name=speed ! %s )"
JPEG = "jpegenc ! rtpjpegpay name=pay0 pt=26"
H264 = "openh264enc gop-size=10 ! h264parse ! rtph264pay config-interval=-1 name=pay0 pt=96"


def caps(size="160x120", rate="10", *_rest):
    width, height = size.split("x")
    return Gst.Caps.from_string("video/x-raw,format=I420,width=%s,height=%s,framerate=%s/1" % (width, height, rate))


class Camera:
    def __init__(self, port, words):
        self.words = words
        self.media = []
        server = GstRtspServer.RTSPServer()
        server.set_address("127.0.0.1")
        server.set_service(port)
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(LAUNCH % (H264 if "h264" in words else JPEG))
        factory.set_shared(True)
        factory.connect("media-configure", self.on_media)
        server.get_mount_points().add_factory("/camera", factory)
        self.server, self.factory = server, factory
        if not server.attach(None):
            sys.exit("camera.py: port %s is taken" % port)

    def on_media(self, _factory, media):
        self.media = [media.get_element()]
        if len(self.words) > 2:    # a clock of its own: what is a second there takes SPEED of ours
            self.media[0].get_by_name("speed").set_property("rate", float(self.words[2]))
        self.change(self.words)

    def change(self, words):
        self.words = words
        for element in self.media:
            element.get_by_name("caps").set_property("caps", caps(*words))

    def read(self):
        for line in sys.stdin:
            GLib.idle_add(self.change, line.split())
        GLib.idle_add(sys.exit)    # whoever started it is gone


camera = Camera(sys.argv[1], sys.argv[2:])
threading.Thread(target=camera.read, daemon=True).start()
print("ready", flush=True)
GLib.MainLoop().run()
