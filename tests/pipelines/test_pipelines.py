#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs what a person runs: pipelines/demo, file, camera, captions, and a gst-launch line over real footage
where it is present. Prints TAP."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import tap  # noqa: E402

SOURCE, BUILD, SHARED = sys.argv[1:4]
CLIP = os.path.join(SOURCE, "pipelines", "demo.webm")
CLIPS = ["car-parking-10s.webm", "bottles-10s.webm", "person-bicycle-car-detection.webm",
         "store-aisle-detection.webm"]


def environment():
    env = dict(os.environ)
    env["FUSION_BUILD"] = BUILD
    env["GST_PLUGIN_PATH"] = os.path.join(BUILD, "plugin")
    env["GST_REGISTRY"] = os.path.join(BUILD, "tests", "registry.bin")
    return env


def run(command, timeout=240, **more):
    """Runs a command; its output and how long it took. A status other than 0 or a warning fails."""
    start = time.monotonic()
    done = subprocess.run(command, env=dict(environment(), **more), timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.monotonic() - start
    assert done.returncode == 0, "status %d:\n%s" % (done.returncode, done.stdout[-3000:])
    for line in done.stdout.splitlines():
        assert not re.search(r"\b(WARNING|CRITICAL|\*\* \(|VUID-)", line), "warned: " + line
    return done.stdout, seconds


def plays(path):
    """Decodes a WebM file from one end to the other."""
    text, _ = run(["gst-launch-1.0", "-v", "filesrc", "location=" + path, "!", "matroskademux", "!",
                   "vp8dec", "!", "fakesink"])
    return "video/x-vp8" in text and "EOS" in text


def clip_truth():
    """What is beside the clip: (about it, [what every frame shows])."""
    with open(os.path.join(SOURCE, "pipelines", "demo.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    return lines[0], lines[1:]


def script(name):
    return os.path.join(SOURCE, "pipelines", name)


def test_clip(folder):
    """What the demo asks about comes and goes in its clip, and the truth is of this clip."""
    about, frames = clip_truth()
    assert about["file"] == os.path.basename(CLIP) and os.path.getsize(CLIP) < 1500000
    assert len(frames) == about["duration"] * about["framerate"], len(frames)
    text, _ = run(["gst-launch-1.0", "-v", "filesrc", "location=" + CLIP, "!", "matroskademux", "!", "vp8dec", "!",
                   "identity", "silent=false", "!", "fakesink"])
    assert text.count("chain  ") == len(frames), text.count("chain  ")
    shown = [[t["noun"] for t in f["things"] if t["visible"] > 0.5 and t["inside"] > 0.5] for f in frames]
    for nouns in ({"car"}, {"man", "woman"}, {"dog"}):
        there = [sum(n in nouns for n in some) for some in shown]
        assert not there[0] and not there[-1] and max(there) == len(nouns), (nouns, there)
    assert set(shown[0]) <= {"tree", "bench"}, shown[0]


def test_demo(folder):
    out = os.path.join(folder, "demo-out")
    text, _ = run([sys.executable, script("demo.py"), "--out", out], timeout=300)
    lines = [json.loads(line) for line in open(os.path.join(out, "answers.jsonl"), encoding="utf-8")]
    questions = {line["question"] for line in lines}
    assert len(questions) >= 3, questions
    for question in questions:
        times = [line["timestamp_seconds"] for line in lines if line["question"] == question]
        assert times == sorted(times) and len(times) == len(set(times)), times
        # one a second of the clip, its first frame included: none lost
        assert len(times) == clip_truth()[0]["duration"], (question, times)
    for line in lines:
        assert {"result", "confidence", "timestamp", "timestamp_seconds", "metrics"} <= set(line), line
        assert line["result"] and 0 <= line["confidence"] <= 1, line
        assert line["question"] in text and line["result"] in text
    # The shipped model sees what comes and goes: of what is there as a whole or not at all, most is answered right.
    about, frames = clip_truth()
    right = asked = 0
    for line in lines:
        nouns = {"Is there a car?": {"car"}, "Is there a person?": {"man", "woman"}, "Is there a dog?": {"dog"}}.get(
            line["question"])
        things = frames[round(line["timestamp_seconds"] * about["framerate"])]["things"]
        shares = [t["visible"] * t["inside"] for t in things if nouns and t["noun"] in nouns]
        if nouns and (not shares or max(shares) > 0.5):
            asked += 1
            right += line["result"] == ("yes" if shares else "no")
    assert asked > 40 and right > 0.85 * asked, (right, asked)
    vtt = open(os.path.join(out, "answers.vtt"), encoding="utf-8").read()
    assert vtt.startswith("WEBVTT") and vtt.count("-->") >= 10, vtt[:400]
    assert plays(os.path.join(out, "annotated.webm"))
    png = open(os.path.join(out, "frame.png"), "rb").read()
    assert png.startswith(b"\x89PNG") and len(png) > 5000


def test_demo_with_a_file_and_a_question(folder):
    out = os.path.join(folder, "o")
    question = "Is there a dog?"
    text, _ = run([sys.executable, script("demo.py"), "--out", out, "--seconds", "3", CLIP, question])
    assert question in text
    assert {json.loads(line)["question"] for line in open(os.path.join(out, "answers.jsonl"))} == {question}


def test_demo_without_the_file(folder):
    done = subprocess.run([sys.executable, script("demo.py"), "--out", folder, "/nonexistent.webm"],
                          env=environment(), text=True, capture_output=True, timeout=60)
    assert done.returncode != 0 and "/nonexistent.webm" in done.stderr and "Traceback" not in done.stderr


def test_demo_says_what_is_wrong(folder):
    path = os.path.join(folder, "file")
    open(path, "w", encoding="utf-8").close()
    for arguments, words in ((("--out", os.path.join(path, "o")), "--out %s: cannot be written" % os.path.join(path, "o")),
                             (("--out", folder, "--frame-rate", "often"), "found 'often'"),
                             (("--out", folder, "--frame-rate", "1/0"), "found '1/0'")):
        done = subprocess.run([sys.executable, script("demo.py"), *arguments], env=environment(), text=True,
                              capture_output=True, timeout=60)
        assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_file(folder):
    out = os.path.join(folder, "annotated.webm")
    run([script("file"), CLIP, "Is there a car? [yes|no] || How many things are there?", out])
    assert plays(out)


def test_camera(folder):
    # 360 frames at 30 a second take 12 seconds, in which a model is loaded and asked: a source held back by
    # either would take longer.
    text, seconds = run([script("camera"), "Is there a ball?", "test", "fakesink sync=true"], BUFFERS="360")
    assert "fusion-answer" in text, text[-1500:]
    assert 11 < seconds < 20, seconds


def test_captions(folder):
    out = os.path.join(folder, "captions.vtt")
    run([script("captions"), CLIP, "Is there a car?", out])
    vtt = open(out, encoding="utf-8").read()
    assert vtt.startswith("WEBVTT"), vtt[:100]
    starts = re.findall(r"(\S+) --> ", vtt)
    assert len(starts) >= 9 and starts == sorted(starts), vtt


def test_stream(folder):
    text, _ = run([script("stream"), CLIP, "Is there a car?", folder])
    assert text.count("Is there a car?") == clip_truth()[0]["duration"], text
    playlist = open(os.path.join(folder, "live.m3u8"), encoding="utf-8").read()
    seconds = sum(float(d) for d in re.findall(r"#EXTINF:([0-9.]+)", playlist))
    assert abs(seconds - clip_truth()[0]["duration"]) < 0.5 and "#EXT-X-ENDLIST" in playlist, playlist
    for segment in re.findall(r"^segment.*", playlist, re.M):
        text, _ = run(["gst-launch-1.0", "-v", "filesrc", "location=" + os.path.join(folder, segment), "!", "tsdemux",
                       "!", "h264parse", "!", "openh264dec", "!", "fakesink"])
        assert re.search(r"fakesink0.*width=\(int\)640, height=\(int\)360", text), text


def test_any_words_and_names(folder):
    """Quotes, backslashes and percent signs in questions and names mean themselves."""
    odd = os.path.join(folder, 'a\\b "c" 50%s off')
    os.makedirs(odd)
    clip, vtt = os.path.join(odd, "x.webm"), os.path.join(odd, "x.vtt")
    run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=15", "!", "video/x-raw,framerate=10/1", "!", "vp8enc",
         "deadline=1", "!", "webmmux", "name=m", "audiotestsrc", "num-buffers=60", "!", "vorbisenc", "!", "m.", "m.", "!",
         "filesink", "location=" + os.path.join(folder, "x.webm")])
    os.rename(os.path.join(folder, "x.webm"), clip)
    question = 'What does the sign "STOP HERE" say on a\\b?'
    run([script("captions"), clip, question, vtt])
    assert open(vtt, encoding="utf-8").read().startswith("WEBVTT\n\n00:00"), vtt
    run([script("file"), clip, question, os.path.join(odd, "y.webm")])
    assert os.path.getsize(os.path.join(odd, "y.webm")) > 1000
    out = os.path.join(odd, "out")
    # The clip has sound, too: nothing is said about that.
    text, _ = run([sys.executable, script("demo.py"), "--out", out, clip, question])
    assert question in text and "warning" not in text and os.path.getsize(os.path.join(out, "answers.vtt")) > 20, text
    text, _ = run([script("stream"), clip, question, out])
    assert question in text and "warning" not in text and os.path.exists(os.path.join(out, "segment00000.ts")), text


def test_passwords_are_not_shown(folder):
    done = subprocess.run([sys.executable, script("demo.py"), "--out", folder, "rtsp://me:secret@127.0.0.1:9/x", "q"],
                          env=environment(), text=True, capture_output=True, timeout=60)
    assert done.returncode != 0 and "rtsp://127.0.0.1:9/x" in done.stdout, done.stdout
    assert "secret" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_scripts_before_anything_is_built(folder):
    # The element is looked for in GStreamer's own folders too, where it may be installed: not in this case.
    env = dict(environment(), FUSION_BUILD=os.path.join(folder, "none"), GST_PLUGIN_PATH=folder,
               GST_PLUGIN_SYSTEM_PATH_1_0=folder, GST_REGISTRY=os.path.join(folder, "registry.bin"))
    for name in ("file", "captions", "stream"):
        done = subprocess.run([script(name), CLIP, "q"], env=env, text=True, capture_output=True, timeout=60)
        assert done.returncode != 0 and "run pipelines/demo" in done.stderr, done.stderr


def test_stream_says_what_is_wrong(folder):
    for arguments, words in ((("/nonexistent.webm", "q"), "/nonexistent.webm: no such file"),
                             ((CLIP, "q", "--size", "large"), "--size"), ((CLIP, "q", "--size", "641x360"), "--size"),
                             ((CLIP, "q", "--rate", "0"), "--rate"),
                             ((CLIP, "q", "--frame-rate", "often"), "found 'often'"),
                             ((CLIP, "q", os.path.join(CLIP, "o")), "OUT %s: cannot be written" % os.path.join(CLIP, "o"))):
        done = subprocess.run([script("stream"), *arguments], env=environment(), text=True, capture_output=True,
                              timeout=60)
        assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_fusion_ask(folder):
    text, _ = run([os.path.join(BUILD, "model", "tools", "fusion-ask"), "--at", "5", "--json", CLIP,
                   "Is there a car?", "How many things are there?"])
    answers = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert [a["question"] for a in answers] == ["Is there a car?", "How many things are there?"], text
    for a in answers:
        assert {"result", "confidence", "prompt_tokens", "token_ids", "logprobs", "metrics"} <= set(a), a


def test_fusion_ask_the_place(folder):
    """The README's example of choices is one that the model that ships can tell apart."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        place = re.search(r"What is this place\? \[([^]]+)\]", f.read()).group(1).replace("\\|", ",")
    truth = clip_truth()[0]["place"]
    assert truth in place.split(","), place
    text, _ = run([os.path.join(BUILD, "model", "tools", "fusion-ask"), "--at", "4", "--choices", place, CLIP,
                   "What is this place?"])
    assert "-> " + truth in text, text


def test_fusion_ask_past_the_end(folder):
    text, _ = run([os.path.join(BUILD, "model", "tools", "fusion-ask"), "--at", "400", CLIP, "Is there a car?"])
    assert "--at 400.0: the video lasts %.1f s" % clip_truth()[0]["duration"] in text, text


def test_fusion_ask_files(folder):
    """What cannot be written, read or seen as meant is told."""
    ask = os.path.join(BUILD, "model", "tools", "fusion-ask")
    cut, colon = os.path.join(folder, "cut.webm"), os.path.join(folder, "cam:1.webm")
    shutil.copyfile(CLIP, colon)
    with open(CLIP, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read(100000))

    def fails(arguments, status, words, out=subprocess.PIPE):
        done = subprocess.run([ask, *arguments], env=environment(), cwd=folder, text=True, stdout=out,
                              stderr=subprocess.PIPE, timeout=120)
        assert done.returncode == status and words in done.stderr, (done.returncode, done.stderr)

    with open("/dev/full", "w", encoding="utf-8") as full:
        fails([CLIP, "Is there a car?"], 1, "cannot be written", full)
    fails(["--at", "15", cut, "Is there a car?"], 0, "--at 15.0: the last picture of")
    fails(["cam:1.webm", "Is there a car?"], 0, "")
    lines = os.path.join(folder, "lines.jsonl")
    line = json.dumps({"file": "cam:1.webm", "question": "Is there a car?"})
    with open(lines, "w", encoding="utf-8") as f:
        f.write(line + "\n")
    fails(["--batch", lines], 0, "")
    with open(lines, "w", encoding="utf-8") as f:
        f.write(line + "\n\0\n" + line + "\n")
    fails(["--batch", lines], 2, "NUL")


def test_fusion_bench(folder):
    text, _ = run([os.path.join(BUILD, "model", "tools", "fusion-bench"), "--json", "--filter",
                   "256x512x512"])
    found = json.loads(text)
    assert {"device", "precision", "ceilings", "reference", "kernels", "stages", "answer_ms",
            "memory"} <= set(found), found
    assert found["kernels"][0]["name"] == "matmul/256x512x512/f16", found
    assert found["kernels"][0]["gflops"] > 0 and found["ceilings"]["matmul_gflops"] > 0, found
    assert {"preprocess_ms", "guided_ms", "global_ms", "prefill_ms",
            "decode_ms_per_token"} <= set(found["stages"]), found
    # Half a second is what an answer may take; a machine that runs other things gets three times that.
    assert 0 < found["answer_ms"] < 1500, found


PLAY = """
import sys
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
pipeline.set_state(Gst.State.PLAYING)
bus = pipeline.get_bus()
while True:
    message = bus.timed_pop_filtered(200 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING)
    if not message or message.type != Gst.MessageType.EOS:
        sys.exit(message.parse_error() if message and message.type == Gst.MessageType.ERROR
                 else message.parse_warning() if message else "no end")
    break
pipeline.set_state(Gst.State.NULL)
stats = pipeline.get_by_name("publish").get_property("stats")
print("stats", *(stats.get_uint64(name).value for name in ("queued", "published", "dropped", "failed")))
"""


def published(folder, properties=""):
    """What is printed while the clip is asked two questions every four seconds and published; all has to be."""
    text, _ = run([sys.executable, "-c", PLAY, "filesrc location=" + CLIP + " ! decodebin ! videoconvert ! "
                   "fusionvqa name=gate mode=wait frame-rate=1/4 "
                   "prompt=\"Is there a car? [yes|no] || How many things are there?\" ! "
                   "fusionpublish name=publish drain-timeout=20000000000 " + properties + " ! fakesink"])
    stats = [line.split()[1:] for line in text.splitlines() if line.startswith("stats ")][0]
    assert int(stats[0]) >= 4 and stats[1:] == [stats[0], "0", "0"], stats
    return text


def check_records(lines):
    records = [json.loads(line) for line in lines]
    for question in ("Is there a car?", "How many things are there?"):
        times = [r["timestamp"] for r in records if r["question"] == question]
        assert len(times) >= 2 and times == sorted(set(times)), (question, times)
    for r in records:
        assert r["stream"] == "gate" and r["result"] and r["utc"] and 0 <= r["confidence"] <= 1, r
        assert r["question"] != "Is there a car?" or {c["label"] for c in r["choices"]} == {"yes", "no"}, r
    return records


def test_publish_to_standard_output(folder):
    check_records(line for line in published(folder).splitlines() if line.startswith("{"))


def test_publish_to_file(folder):
    path = os.path.join(folder, "gate.jsonl")
    published(folder, "location=%s max-size=10000000" % path)
    check_records(open(path, encoding="utf-8"))


def test_publish_to_mqtt(folder):
    broker = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    config = os.path.join(folder, "mosquitto.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n" % port)
    process = subprocess.Popen([broker, "-c", config], stderr=subprocess.PIPE, text=True)
    try:
        published(folder, "location=mqtt://127.0.0.1:%d status-topic=site1/gate/status" % port)
    finally:
        process.terminate()
        log = process.communicate()[1]
    assert log.count("'fusion/gate/answer'") >= 4 and log.count("'site1/gate/status'") == 2, log


def test_publish_to_kafka(folder):
    # librdkafka's own mock cluster takes the place of the brokers
    published(folder, "location=kafka://127.0.0.1:1/cameras kafka-options=test.mock.num.brokers=3")


def test_publish_elements_documentation(folder):
    text, _ = run(["gst-inspect-1.0", "fusionpublish"])
    for word in ("location", "queue-size", "drop-policy", "drain-timeout", "max-size", "max-files", "status-topic",
                 "password-file", "ca-file", "kafka-options", "max-reconnect-delay", "stats", "publish"):
        assert re.search(r"(^|\W)%s(\W|$)" % word, text), word


def test_fusion_bench_gpu(folder):
    """The kernels of GPUs on whatever device there is, a whole answer included; and every table."""
    bench = [os.path.join(BUILD, "model", "tools", "fusion-bench"), "--json", "--shape", "small"]
    for precision in ("f16", "q4"):
        text, _ = run(bench + ["--table", "gpu", "--precision", precision, "--filter", "matmul/1x"], timeout=600)
        found = json.loads(text)
        assert found["answer_ms"] > 0 and found["prompt_tokens"] > 80, found
        assert all(k["kernel"].startswith("matvec_gpu_" + precision) for k in found["kernels"]), found
    text, _ = run(bench + ["--table", "all", "--kernels-only", "--filter", "attention/1x1x"])
    kernels = {k["name"].split("/")[-1]: k for k in json.loads(text)["kernels"]}
    assert {"fallback", "gpu"} <= set(kernels), kernels
    assert kernels["gpu"]["kernel"].startswith("attention_step"), kernels
    assert all(k["us"] > 0 and k["share"] > 0 for k in kernels.values()), kernels


def real_footage(name):
    def test(folder):
        clip = os.path.join(SHARED, "clips", name)
        if not os.path.isfile(clip):
            raise tap.Skip("no %s" % clip)
        out = os.path.join(folder, "out.webm")
        text, _ = run(["gst-launch-1.0", "-m", "filesrc", "location=" + clip, "!", "decodebin", "!",
                       "videoconvert", "!", "fusionvqa", "frame-rate=1/2", "mode=wait",
                       "prompt=Is there a car? || How many people are there?", "!", "fusionoverlay", "!",
                       "videoconvert", "!", "vp8enc", "deadline=1", "cpu-used=8", "!", "webmmux", "!",
                       "filesink", "location=" + out])
        assert text.count("fusion-answer") >= 2, text[-1500:]
        assert plays(out)
    return test


def main():
    tap.run(tap.functions(globals(), "pipelines") +
            [("pipelines/real_footage/" + name, real_footage(name)) for name in CLIPS])


if __name__ == "__main__":
    main()
