#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs every command of the README's tables "What it does" and "Asking" as a person would, and looks at what comes
out: answers to every question, alerts, captions, records at a broker. Prints TAP. Arguments after the two folders
choose rows by words in them.

What a command names is put in its place, and nothing else is changed:
  rtsp://HOST.local/stream  a camera on loopback (rtsp_cameras.py), each HOST another one
  yard.webm                 the demo's clip
  people.webm               two drawn faces, which facedetect finds
  questions.txt             a file with two questions
  mqtt://broker.local       a mosquitto of the test's own
  autovideosink             fakesink
  yes > N% in an alert      yes >= 0%: that rules work is tested here, not how good the model is
  pipelines/NAME            the script, with the build that is tested
  a command that begins with another element than a source is put behind the clip (or, if it looks for faces, the
  faces), and before a fakesink
Each runs in an empty folder with messages shown (-m), and is interrupted as soon as all that it has to show is there,
unless its result is a file; a row whose elements are not in this version of GStreamer is skipped."""
import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import tap  # noqa: E402

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
CLIP = os.path.join(SOURCE, "pipelines", "demo.webm")
CAMERAS = os.path.join(SOURCE, "tests", "common", "rtsp_cameras.py")
LIMIT = 300  # seconds that a command may take; a second or two where nothing else runs
HEADINGS = ("What it does", "Asking")
FILE_QUESTIONS = ["Is there a dog?", "What is shown?"]


class Commands:
    """What the commands are run with: cameras, a broker, files."""

    def __init__(self, folder):
        self.folder, self.hosts, self.processes = folder, [], []
        self.environment = dict(os.environ, GST_PLUGIN_PATH=os.path.join(BUILD, "plugin"),
                                FUSION_BUILD=BUILD)

    def cameras(self):
        if not hasattr(self, "address"):
            server = subprocess.Popen([sys.executable, CAMERAS, CLIP, "--streams", "4"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
            self.processes.append(server)
            self.address = server.stdout.readline().split()[1]
        return self.address

    def camera(self, host):
        if host not in self.hosts:
            self.hosts.append(host)
        return self.cameras() + str(self.hosts.index(host))

    def broker(self):
        """Its port; what it is told goes into broker.log."""
        if not hasattr(self, "port"):
            program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            config = os.path.join(self.folder, "mosquitto.conf")
            with open(config, "w", encoding="utf-8") as f:
                f.write("listener %d 127.0.0.1\nallow_anonymous true\nlog_type all\nlog_dest file %s\n" % (
                    self.port, self.broker_log()))
                f.write("user root\n" if os.geteuid() == 0 else "")
            self.processes.append(subprocess.Popen([program, "-c", config], stdin=subprocess.PIPE,
                                                   stderr=subprocess.DEVNULL))
        return self.port

    def broker_log(self):
        return os.path.join(self.folder, "broker.log")

    def faces(self):
        path = os.path.join(self.folder, "people.webm")
        if not os.path.exists(path):
            picture = os.path.join(self.folder, "people.png")
            draw_faces(picture)
            subprocess.run(["gst-launch-1.0", "-q", "filesrc", "location=" + picture, "!", "pngdec", "!",
                            "imagefreeze", "num-buffers=30", "!", "video/x-raw,framerate=10/1", "!", "videoconvert",
                            "!", "vp8enc", "deadline=1", "min-quantizer=2", "max-quantizer=10", "!", "webmmux", "!",
                            "filesink", "location=" + path], check=True, timeout=LIMIT)
        return path

    def close(self):
        for process in self.processes:
            process.stdin.close()
            process.terminate()
            process.wait(30)

    def replace(self, word):
        word = re.sub(r"rtsp://(\w+)\.local/stream", lambda m: self.camera(m.group(1)), word)
        word = re.sub(r"mqtt://broker\.local", lambda m: "mqtt://127.0.0.1:%d" % self.broker(), word)
        word = word.replace("location=yard.webm", "location=" + CLIP)
        if word == "location=people.webm":
            word = "location=" + self.faces()
        if word.startswith("alert="):
            word = re.sub(r"yes > \d+%", "yes >= 0%", word)
        return "fakesink" if word == "autovideosink" else word

    def arguments(self, command):
        words = shlex.split(command)
        if words[0].startswith("pipelines/"):
            return [os.path.join(SOURCE, words[0])] + [self.replace(w) for w in words[1:]]
        if words[0] == "gst-launch-1.0":
            words = words[1:]
        else:
            clip = "people" if words[0] == "facedetect" else "yard"
            words = ["filesrc", "location=%s.webm" % clip, "!", "decodebin", "!", "videoconvert", "!"] + words + \
                ["!", "fakesink"]
        missing = [w for i, w in enumerate(words) if (i == 0 or words[i - 1] == "!") and
                   re.fullmatch(r"[a-z][a-z0-9]+", w) and not Gst.ElementFactory.find(w)]
        if any(w.startswith("fusion") for w in missing):
            raise AssertionError("no element %s in %s: GST_PLUGIN_PATH is to name its folder" % (", ".join(missing), BUILD))
        if missing:
            raise tap.Skip("no element " + ", ".join(missing))
        return ["gst-launch-1.0", "-m"] + [self.replace(w) for w in words if w != "-m"]


def draw_faces(path):
    import cairo
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, 320, 240)
    c = cairo.Context(surface)

    def oval(x, y, w, h, *colour):
        c.save()
        c.translate(x, y)
        c.scale(w, h)
        c.arc(0, 0, 1, 0, 2 * math.pi)
        c.restore()
        c.set_source_rgb(*colour)
        c.fill()

    c.set_source_rgb(.5, .6, .7)
    c.paint()
    for x, y, size in ((110, 120, 62), (235, 130, 45)):
        c.save()
        c.translate(x, y)
        c.scale(size, size)
        oval(0, 0, .78, 1, .85, .68, .55)
        c.save()
        c.scale(.8, 1)
        c.arc(0, -.25, .95, math.pi * 1.02, math.pi * 1.98)  # hair
        c.restore()
        c.set_source_rgb(.2, .12, .08)
        c.fill()
        for side in (-1, 1):
            oval(side * .32, -.12, .24, .15, .62, .47, .38)
            oval(side * .32, -.1, .16, .08, .95, .95, .95)
            oval(side * .32, -.1, .08, .08, .1, .07, .05)
            c.move_to(side * .15, -.27)  # brow
            c.curve_to(side * .25, -.36, side * .42, -.36, side * .52, -.26)
            c.set_line_width(.09)
            c.stroke()
        c.set_source_rgb(.93, .77, .64)  # nose
        c.rectangle(-.06, -.2, .12, .4)
        c.fill()
        c.set_source_rgb(.6, .42, .34)
        c.set_line_width(.06)
        c.move_to(-.14, .26)
        c.curve_to(-.05, .32, .05, .32, .14, .26)
        c.stroke()
        oval(0, .52, .28, .08, .6, .2, .2)  # mouth
        c.restore()
    surface.write_to_png(path)


class Shown:
    """What a command shows while it runs."""

    def __init__(self, folder, commands):
        self.folder, self.commands = folder, commands
        self.answers, self.alerts, self.lines = [], [], []
        self.ended = False

    def take(self, line):
        self.lines.append(line.rstrip("\n"))
        found = re.match(r'Got message #\d+ from element "[^"]*" \(element\): (fusion-(answer|alert),.*)', line)
        if found:
            structure = Gst.Structure.from_string(found.group(1))[0]
            record = json.loads(structure.get_string("json"))
            (self.answers if found.group(2) == "answer" else self.alerts).append(record)
        assert not re.match(r"(ERROR|WARNING)[: ]", line), line

    def questions(self):
        return [a["question"] for a in self.answers]

    def file(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""


def questions_of(words):
    """The texts of a prompt among the words of a command, without choices, rates and placeholders."""
    found = []
    if words[0].startswith("pipelines/"):
        return found  # they print as they like: see below
    for word in words:
        if word.startswith("prompt="):
            for text in word[len("prompt="):].split("||"):
                text = re.sub(r"\s*(\[.*\])?\s*(@\S+)?\s*$", "", text).strip()
                found.append(re.sub(r"\\\{\w+\\\}", ".*", re.escape(text)))
    return found + ([re.escape(q) for q in FILE_QUESTIONS] if "prompt-file=questions.txt" in words else [])


# What a row shows beyond an answer to each of its questions: the words are of its first cell. Each says whether all
# is there, and fails by an assertion if something is there that should not.

def both_cameras(shown):
    return {a["stream"] for a in shown.answers} == {"gate", "yard"}


def with_numbers(shown):
    for a in shown.answers:
        chances = {c["label"]: c["probability"] for c in a["choices"]}
        assert len(chances) in (2, 3) and math.isclose(sum(chances.values()), 1, rel_tol=1e-3), a
        assert a["result"] == max(chances, key=chances.get), a
    return True


def two_faces(shown):
    for a in shown.answers:
        assert a["region"]["label"] == "face" and a["region"]["w"] < 0.6, a
    return len({round(a["region"]["x"], 1) for a in shown.answers}) >= 2


def alert_with_picture(shown):
    for alert in shown.alerts:
        with open(os.path.join(shown.folder, alert["snapshot"]), "rb") as f:
            assert f.read(2) == b"\xff\xd8", alert
        assert alert["question"] == "Is there a car?" and alert["label"] == "yes", alert
    return len(shown.alerts) >= 1


def caption_file(shown):
    text = shown.file("answers.vtt")
    if not shown.ended:
        return False
    cues = re.findall(r"(\S+) --> (\S+)\n(.+)", text)
    assert text.startswith("WEBVTT") and len(cues) >= 5, text
    assert [c[0] for c in cues] == sorted(c[0] for c in cues), text
    said = {a["result"] for a in shown.answers}
    assert {c[2] for c in cues} <= said, (cues, said)
    return True


def at_the_broker(shown):
    with open(shown.commands.broker_log(), encoding="utf-8", errors="replace") as f:
        return "'gate/answer'" in f.read()


def live_stream(shown):
    """Answers are printed, and segments that the playlist names are there."""
    told = any(re.search(r"Is somebody there\?  \S", line) for line in shown.lines)
    segments = re.findall(r"^[^#\n].*", shown.file("www/live.m3u8"), re.M)
    for name in segments:
        assert os.path.getsize(os.path.join(shown.folder, "www", name)) > 1000, name
    return told and len(segments) >= 1


def heat(shown):
    for a in shown.answers:
        grid = a["attention"]
        assert len(grid["values"]) == grid["side"]**2 and max(grid["values"]) == 1 and min(grid["values"]) >= 0, grid
    return True


def in_the_zone(shown):
    for a in shown.answers:
        assert [a["region"][k] for k in "xywh"] == [0.5, 0, 0.5, 1], a
    return True


def own_rates(shown):
    """Once in five seconds, and twice in one."""
    asked = shown.questions()
    slow, fast = asked.count("Is somebody there?"), asked.count("How many people?")
    if not shown.ended:
        return False
    assert slow >= 2 and fast >= 8 * slow - 4, (slow, fast)
    return True


def again(shown):
    """A second answer, which had a first one to be told of."""
    return len(shown.answers) >= 2


MORE = {
    "many cameras": both_cameras,
    "answers with numbers": with_numbers,
    "each thing that a detector": two_faces,
    "alerts": alert_with_picture,
    "captions in a file": caption_file,
    "a camera in, HLS": live_stream,
    "publish": at_the_broker,
    "where the model looked": heat,
    "analytics": two_faces,
    "each question at its own rate": own_rates,
    "a part of the frame": in_the_zone,
    "each face": two_faces,
    "the last answer": again,
    "a conversation": again,
}


def all_there(shown, patterns, more):
    asked = shown.questions()
    for a in shown.answers:
        assert a["result"] and 0 <= a["confidence"] <= 1, a
    answered = all(any(re.fullmatch(p, q, re.S) for q in asked) for p in patterns)
    return answered and more(shown)


def run_row(title, command, commands, folder):
    with open(os.path.join(folder, "questions.txt"), "w", encoding="utf-8") as f:
        f.write("# about the yard\n" + "\n".join(FILE_QUESTIONS) + "\n")
    patterns = questions_of(shlex.split(command))
    mores = [check for words, check in MORE.items() if words in title]
    assert len(mores) <= 1, mores
    assert patterns or "alert=" in command or mores, "nothing is asked"
    shown = Shown(folder, commands)
    process = subprocess.Popen(commands.arguments(command), cwd=folder, env=commands.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    overdue = threading.Timer(LIMIT, process.kill)
    overdue.start()
    began, complete = time.monotonic(), False
    try:
        for line in process.stdout:
            shown.take(line)
            if not complete and all_there(shown, patterns, mores[0] if mores else lambda _: True):
                complete = True
                process.send_signal(signal.SIGINT)
        shown.ended = True
        process.wait()
        assert time.monotonic() - began < LIMIT, "not in %d s: %d answers, %d alerts" % (
            LIMIT, len(shown.answers), len(shown.alerts))
        complete = complete or all_there(shown, patterns, mores[0] if mores else lambda _: True)
        assert complete, "only this came:\n" + "\n".join(shown.lines[-12:])
    finally:
        overdue.cancel()
        process.kill()
        process.wait()


def rows():
    """(title, command) of the tables whose second cell is a command."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        text = f.read()
    found = []
    for heading in HEADINGS:
        section = re.search(r"^#+ %s\n(.*?)(?=^#)" % re.escape(heading), text, re.S | re.M)
        assert section, "the README has no heading " + heading
        own = [tuple(cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|"))
               for line in section.group(1).splitlines() if re.match(r"\| [^|]", line)]
        assert len(own) >= 5 and all(len(row) == 2 for row in own), (heading, own)
        for title, command in own:
            assert re.fullmatch(r"`[^`]+`", command), "%s: no command: %s" % (title, command)
            found.append((re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title), command.strip("`")))
    return found


def main():
    Gst.init(None)
    wanted = sys.argv[3:]
    table = rows()
    for words in MORE:
        assert any(words in title for title, _ in table), "no row of the README is about " + words
    table = [row for row in table if not wanted or any(w in row[0] for w in wanted)]
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(folder)
        tap.run([("readme/" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"),
                  lambda folder, title=title, command=command: run_row(title, command, commands, folder))
                 for title, command in table])
        commands.close()


if __name__ == "__main__":
    main()
