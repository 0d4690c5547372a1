#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text pad and what takes captions: encoders, muxers, overlays, players. Prints TAP."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import browser  # noqa: E402
import tap  # noqa: E402
from play import (MS, SOURCE, Gst, Taker, change_prompt, feed, finish, frame, location, need,  # noqa: E402
                  read_file, source, wait_message)

# Eight seconds of frames whose grey is their second; from 2.5 to 5 s nothing is asked.
FRAMES = [(second, 1000 * second + 100 * i) for second in range(8) for i in range(10)]
CHANGES = {2500: "", 5000: "q"}
CUES = [(1000 * s, 1000, "q@%d" % s) for s in (0, 1, 2, 5, 6, 7)]


def caption(rest):
    """Plays FRAMES with a question a second and a time without; `rest` has what takes vqa.text."""
    pipeline = Gst.parse_launch(source() + " ! fusionvqa name=vqa prompt=q mode=wait ! " + rest)
    change_prompt(pipeline, CHANGES)
    pipeline.set_state(Gst.State.PLAYING)
    feed(pipeline, [frame(*f) for f in FRAMES])
    return pipeline


def encoded(folder, encoder):
    finish(caption("fakesink sync=false vqa.text ! %s ! %s" % (encoder, location(folder, "out"))))
    with open(os.path.join(folder, "out"), encoding="utf-8") as f:
        return f.read()


def cues_in(text):
    """The cues of WebVTT or SubRip."""
    def ms(stamp):
        h, m, s = stamp.replace(",", ".").split(":")
        return round(1000 * (3600 * int(h) + 60 * int(m) + float(s)))
    found = re.findall(r"(\S+) --> (\S+)\n(.+)", text)
    return [(ms(a), ms(b) - ms(a), words) for a, b, words in found]


def test_gaps(folder):
    """Where no answer is, the time of the captions goes on with the frames."""
    pipeline = Gst.parse_launch(source() + " ! fusionvqa name=vqa prompt=q mode=wait ! fakesink sync=false "
                                "vqa.text ! fakesink name=cues")
    taker = Taker(pipeline.get_by_name("cues"))
    change_prompt(pipeline, CHANGES)
    pipeline.set_state(Gst.State.PLAYING)
    feed(pipeline, [frame(*f) for f in FRAMES])
    wait_message(pipeline, Gst.MessageType.EOS)
    pipeline.set_state(Gst.State.NULL)
    assert taker.cues() == CUES, taker.cues()
    between = [g for g in taker.gaps if g[1] > 3000 and g[0] < 5000]
    # no hole between one gap and the next, from the end of the cue to the next cue
    assert min(g[0] for g in between) <= 3000 and max(g[1] for g in between) == 5000, between
    assert all(a[1] >= b[0] for a, b in zip(between, between[1:])), between
    assert all(end <= 8000 for _, end in taker.gaps), taker.gaps


def test_webvttenc(folder):
    text = encoded(folder, "webvttenc")
    assert text.startswith("WEBVTT") and cues_in(text) == CUES, text


def test_srtenc(folder):
    need("srtenc")
    text = encoded(folder, "srtenc")
    assert text.startswith("1\n00:00:00,000 --> 00:00:01,000\nq@0\n") and cues_in(text) == CUES, text


def muxed(folder, video, muxer, demuxer, queue="queue"):
    finish(caption("%s ! %s ! mux.video_0 vqa.text ! mux.subtitle_0 %s name=mux ! %s"
                   % (video, queue, muxer, location(folder, "out"))))
    takers = read_file(os.path.join(folder, "out"),
                       "%s name=d d.video_0 ! queue ! fakesink name=video d.subtitle_0 ! queue ! fakesink name=cues"
                       % demuxer)
    assert len(takers["video"].buffers) == len(FRAMES), len(takers["video"].buffers)
    assert takers["video"].buffers[0][0] == 0, takers["video"].buffers[0][:2]
    return takers["cues"].cues()


VP8 = "videoconvert ! vp8enc deadline=1 cpu-used=16"


def test_matroskamux(folder):
    assert muxed(folder, VP8, "matroskamux", "matroskademux") == CUES


def test_webmmux(folder):
    assert muxed(folder, VP8, "webmmux", "matroskademux") == CUES


def check_tx3g(folder, muxer):
    # it takes no video from the last cue before a gap until the first one after it: the queue must hold that
    cues = muxed(folder, "videoconvert ! openh264enc ! h264parse", muxer, "qtdemux",
                 "queue max-size-time=60000000000 max-size-buffers=0 max-size-bytes=0")
    assert cues == CUES, cues
    with open(os.path.join(folder, "out"), "rb") as f:
        assert b"tx3g" in f.read()


def test_qtmux(folder):
    check_tx3g(folder, "qtmux")


def test_mp4mux(folder):
    check_tx3g(folder, "mp4mux")


def test_textoverlay(folder):
    """Words on the frames of a cue and on no other, and a frame without words waits for none."""
    need("textoverlay")
    pipeline = Gst.parse_launch(
        source(160, 120) + " ! fusionvqa name=vqa prompt=q mode=wait ! queue ! "
        "textoverlay name=o font-desc=\"Sans 30\" ! fakesink name=video vqa.text ! queue ! o.text_sink")
    taker = Taker(pipeline.get_by_name("video"))
    change_prompt(pipeline, CHANGES)
    pipeline.set_state(Gst.State.PLAYING)
    feed(pipeline, [frame(*f, width=160, height=120) for f in FRAMES])
    finish(pipeline)
    assert len(taker.buffers) == len(FRAMES)
    for pts, _, data in taker.buffers:
        written = any(start <= pts < start + length for start, length, _ in CUES)
        assert (max(data[0::4]) > 200) == written, (pts, written)


def test_cea608(folder):
    """As closed captions inside the video, read out of it again."""
    need("tttocea608", "cea608tott", "cccombiner", "ccextractor")
    pipeline = Gst.parse_launch(
        source(160, 120) + " ! fusionvqa name=vqa prompt=\"say hello\" mode=wait ! queue ! cccombiner name=cc ! "
        "ccextractor name=x ! fakesink name=video async=false "
        "vqa.text ! tttocea608 mode=pop-on ! queue ! cc.caption "
        "x.caption ! queue ! cea608tott ! fakesink name=cues async=false")
    takers = {name: Taker(pipeline.get_by_name(name)) for name in ("video", "cues")}
    pipeline.set_state(Gst.State.PLAYING)
    feed(pipeline, [frame(*f, width=160, height=120) for f in FRAMES])
    finish(pipeline)
    assert len(takers["video"].buffers) == len(FRAMES), len(takers["video"].buffers)
    text = "".join(words for _, _, words in takers["cues"].cues()).replace("\r", "")
    # two characters a frame: it takes some frames until the words have arrived
    shown = [cue for cue in cues_in(text) if cue[2] == "hello" and cue[1]]
    assert shown and 0 < shown[0][0] <= 2000 and shown[0][0] + shown[0][1] >= 7000, text


def seek_and_play(position, stop, rate, rest="fakesink name=video vqa.text ! fakesink name=cues"):
    """A pipeline that is seeked once it has shown something: the takers of video and cues."""
    pipeline = Gst.parse_launch("videotestsrc ! video/x-raw,format=RGBx,width=32,height=24,framerate=10/1 ! "
                                "fusionvqa name=vqa prompt=\"say hello\" mode=wait ! " + rest)
    takers = [Taker(pipeline.get_by_name(name)) for name in ("video", "cues")]
    pipeline.set_state(Gst.State.PAUSED)
    wait_message(pipeline, Gst.MessageType.ASYNC_DONE)
    tap.wait_until(lambda: takers[1].buffers, 10, "a cue before the seek")
    assert pipeline.seek(rate, Gst.Format.TIME, Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE, Gst.SeekType.SET,
                         position * MS, Gst.SeekType.SET, stop * MS)
    pipeline.set_state(Gst.State.PLAYING)
    finish(pipeline)
    for taker in takers:
        assert Gst.EventType.FLUSH_STOP in taker.events, taker.events
        last = len(taker.events) - 1 - taker.events[::-1].index(Gst.EventType.FLUSH_STOP)
        assert Gst.EventType.SEGMENT in taker.events[last:], taker.events
    return takers


def test_flushing_seek(folder):
    """After a seek cues are those of where it went, in the segment of the video."""
    video, text = seek_and_play(30200, 33000, 1.0)
    after = [f for f in video.buffers if f[0] >= 30200]
    assert (after[0][0], after[-1][0]) == (30200, 32900), after
    cues = [c for c in text.cues() if c[0] > 10000]
    assert [c[0] for c in cues] == [30200, 31200, 32200], cues
    assert {c[1:] for c in cues} == {(1000, "hello")}, cues
    assert text.cues()[-len(cues):] == cues, text.cues()  # none of before the seek behind it
    assert (text.segment.start, text.segment.time) == (video.segment.start, video.segment.time)


def test_seek_with_a_rate(folder):
    """Twice as fast: cues are in the time of the stream."""
    _, text = seek_and_play(10000, 16000, 2.0)
    cues = [c for c in text.cues() if c[0] >= 10000]
    assert [c[:2] for c in cues] == [(t, 1000) for t in range(10000, 16000, 1000)], cues


def test_seek_into_muxer(folder):
    """A file that begins in the middle of the stream: its first cue is at its first frame."""
    path = os.path.join(folder, "out.mkv")
    pipeline = Gst.parse_launch(
        "videotestsrc name=src ! video/x-raw,width=32,height=24,framerate=10/1 ! "
        "fusionvqa name=vqa prompt=\"say hello\" mode=wait ! " + VP8 + " ! mux.video_0 "
        "vqa.text ! mux.subtitle_0 matroskamux name=mux ! "
        "filesink name=out location=\"" + path + "\"")
    pipeline.set_state(Gst.State.READY)
    # a seek that is there before the first frame, as gst-launch and applications do it: on the source
    pipeline.get_by_name("src").send_event(Gst.Event.new_seek(
        1.0, Gst.Format.TIME, Gst.SeekFlags.FLUSH, Gst.SeekType.SET, 30200 * MS, Gst.SeekType.SET, 33000 * MS))
    pipeline.set_state(Gst.State.PLAYING)
    finish(pipeline)
    takers = read_file(path, "matroskademux name=d d.video_0 ! queue ! fakesink name=video "
                       "d.subtitle_0 ! queue ! fakesink name=cues")
    cues, video = takers["cues"].cues(), takers["video"].buffers
    assert len(video) == 28 and [c[0] - video[0][0] for c in cues] == [0, 1000, 2000], (len(video), cues)


def test_readme(folder):
    """The README's lines about captions, as they stand there."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        text = f.read()
    text = text[text.index("**As captions**"):text.index("**As a picture**")]
    lines = re.findall(r"^    (gst-launch-1.0 (?:.*\\\n)*.*)$", text, re.M)
    assert len(lines) == 1, text
    os.symlink(os.path.join(SOURCE, "pipelines", "demo.webm"), os.path.join(folder, "gate.webm"))
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=folder, text=True, timeout=120, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
    takers = read_file(os.path.join(folder, "gate.mkv"), "matroskademux name=d d.video_0 ! queue ! fakesink name=video "
                       "d.subtitle_0 ! queue ! fakesink name=cues")
    cues = [cue[0] for cue in takers["cues"].cues()]
    assert cues[:3] == [0, 1000, 2000] and len(cues) == 16, cues


PAGE = """<!doctype html><body style="margin:0;background:#000">
<video id=v muted style="width:640px;height:480px"><track id=t src=clip.vtt srclang=en default></video>
<img src=/wait style="display:none"><script>
const v = document.getElementById("v"), t = document.getElementById("t").track;
t.mode = "showing";
const at = s => new Promise(done => {
    v.onseeked = () => setTimeout(() => done([v.currentTime, Array.from(t.activeCues || []).map(c => c.text)]), 300);
    v.currentTime = s;
});
const tell = x => fetch("/report", {method: "POST", body: JSON.stringify(x)});
v.onerror = () => tell({error: v.error.message});
v.onloadeddata = async () => {
    v.onloadeddata = null;
    while (document.getElementById("t").readyState < 2) await new Promise(r => setTimeout(r, 50));
    const seen = [];
    for (const s of %s) seen.push(await at(s));
    tell({cues: Array.from(t.cues).map(c => [c.startTime, c.endTime, c.text]), seen: seen, duration: v.duration});
};
// as a whole: the small server here has no ranges, which seeking would need
fetch("clip.webm").then(r => r.blob()).then(b => { v.src = URL.createObjectURL(b); });
</script></body>"""


def bright_pixels(picture, rows):
    """How many nearly white pixels a PNG has in rows from .. to."""
    pipeline = Gst.parse_launch("filesrc location=\"%s\" ! pngdec ! videoconvert ! video/x-raw,format=GRAY8 ! "
                                "appsink name=sink" % picture)
    pipeline.set_state(Gst.State.PLAYING)
    sample = pipeline.get_by_name("sink").emit("try-pull-sample", 20 * Gst.SECOND)
    width = sample.get_caps().get_structure(0).get_value("width")
    data = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
    pipeline.set_state(Gst.State.NULL)
    stride = (width + 3) // 4 * 4
    return sum(value > 230 for value in data[rows[0] * stride:rows[1] * stride])


def test_browser(folder):
    """A browser shows a WebM with a WebVTT track: each cue when it is due, none in the gap."""
    browser.find()
    finish(caption("%s ! webmmux ! %s vqa.text ! webvttenc ! %s"
                   % (VP8, location(folder, "clip.webm"), location(folder, "clip.vtt"))))
    pictures = {}
    for name, last in (("cue", 5.5), ("gap", 3.5)):
        with open(os.path.join(folder, "page.html"), "w", encoding="utf-8") as f:
            f.write(PAGE % [0.5, 1.5, 3.5, 6.5, last])
        pictures[name] = os.environ.get("FUSION_TEST_PICTURES", folder) + "/browser-%s.png" % name
        report = browser.look(folder, "page.html", pictures[name])
        assert report.get("cues") == [[a / 1000, (a + b) / 1000, words] for a, b, words in CUES], report
        words = {0.5: ["q@0"], 1.5: ["q@1"], 3.5: [], 5.5: ["q@5"], 6.5: ["q@6"]}
        assert [list(pair) for pair in report["seen"]] == [[s, words[s]] for s in (0.5, 1.5, 3.5, 6.5, last)], report
    # frames are nearly black: what is white is the caption, in the lower part
    assert bright_pixels(pictures["gap"], (0, 480)) == 0
    assert bright_pixels(pictures["cue"], (0, 320)) == 0 and bright_pixels(pictures["cue"], (320, 480)) > 50


HLS_PAGE = """<!doctype html><body style="margin:0;background:#000">
<video id=v muted autoplay src=live.m3u8 style="width:640px;height:360px"></video>
<img src=/wait style="display:none"><script>
const v = document.getElementById("v"), tell = x => fetch("/report", {method: "POST", body: JSON.stringify(x)});
v.onerror = () => tell({can: v.canPlayType("application/vnd.apple.mpegurl"), error: v.error.message});
v.ontimeupdate = () => {
    if (v.currentTime < 1.5) return;
    v.ontimeupdate = null;
    v.pause();
    setTimeout(() => tell({size: [v.videoWidth, v.videoHeight], duration: v.duration}), 300);
};
</script></body>"""


def test_hls_in_browser(folder):
    """What pipelines/stream writes, in a browser that plays HLS by itself."""
    need("openh264enc", "hlssink2")
    browser.find()
    clip = os.path.join(SOURCE, "pipelines", "demo.webm")
    stream = os.path.join(SOURCE, "pipelines", "stream.py")
    done = subprocess.run([sys.executable, stream, clip, "say hello", folder], text=True, timeout=200,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and done.stdout.count("say hello  hello") == 16, done.stdout
    with open(os.path.join(folder, "page.html"), "w", encoding="utf-8") as f:
        f.write(HLS_PAGE)
    picture = os.environ.get("FUSION_TEST_PICTURES", folder) + "/browser-hls.png"
    report = browser.look(folder, "page.html", picture, size=(640, 360))
    if not report.get("can", "yes"):
        raise tap.Skip("this browser does not play HLS by itself")
    assert report.get("size") == [640, 360] and abs(report["duration"] - 16) < 0.5, report


if __name__ == "__main__":
    tap.end(tap.run(tap.functions(globals(), "media-captions", sys.argv[3:], between="-")))
