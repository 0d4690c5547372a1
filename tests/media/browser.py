# SPDX-License-Identifier: LGPL-2.1-or-later
"""A browser without a screen that looks at a page: what the page reports, and a picture of it."""
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading

import tap

BROWSERS = ["chromium", "chromium-browser", "google-chrome"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder. A page POSTs what it found to /report; the picture /wait comes only then, so that the
    browser, which pictures a page once all of it is there, waits for it."""
    extensions_map = dict(http.server.SimpleHTTPRequestHandler.extensions_map, **{
        ".vtt": "text/vtt", ".webm": "video/webm", ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"})

    def do_GET(self):
        if self.path == "/wait":
            self.server.reported.wait(60)
            self.send_error(404)
        else:
            super().do_GET()

    def do_POST(self):
        self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reported.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


def find():
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    raise tap.Skip("no browser: install chromium to have this tested")


def look(folder, page, picture, size=(640, 480), seconds=120):
    """Shows a page of a folder; what it reported. The picture is written to the path."""
    browser = find()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    server.daemon_threads = True
    server.reported, server.report = threading.Event(), None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = os.path.join(folder, "profile")
    try:
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio",
             "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars", "--user-data-dir=" + profile,
             "--window-size=%d,%d" % size, "--screenshot=" + picture,
             "http://127.0.0.1:%d/%s" % (server.server_address[1], page)],
            timeout=seconds, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(os.environ, HOME=folder))
    finally:
        server.shutdown()
        server.server_close()
    assert server.report, "the page reported nothing:\n" + done.stdout[-2000:]
    assert os.path.isfile(picture), done.stdout[-2000:]
    return server.report
