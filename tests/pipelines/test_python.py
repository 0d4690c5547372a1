#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An application in Python that reads everything the elements say: metadata of answers and alerts, bus messages,
the signal, properties; and that asks by the action signal and by an event. It knows GStreamer's introspection and
the names that the README tells, and nothing else of the project: no header, no module. Prints TAP."""
import json
import math
import os
import re
import sys
import warnings

import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: F401, E402 (GstApp: appsink's methods)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import tap  # noqa: E402

SOURCE = sys.argv[1]
CLIP = os.path.join(SOURCE, "pipelines", "demo.webm")
STANDING = ["Is there a car?", "What is shown?"]
RULE = "'Is there a tree?': yes >= 0 for 1s named tree; 'Is there a tree?': no for 1min named never"
LIMIT = 120 * Gst.SECOND
TEXT_FIELDS = ("stream", "question", "answer", "utc", "model", "json")


class Play:
    """A pipeline that ends in an appsink and has a fusionvqa `gate`, from PLAYING to NULL."""

    def __init__(self, description, on_answer=None):
        self.pipeline = Gst.parse_launch(
            description + " ! appsink name=sink sync=false max-buffers=2 wait-on-eos=false")
        self.sink, self.gate = (self.pipeline.get_by_name(name) for name in ("sink", "gate"))
        self.on_answer = on_answer
        self.told = []  # structures of element messages

    def __enter__(self):
        if self.on_answer:
            self.gate.connect("answer", self.on_answer)
        if self.pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            self.listen()
            raise AssertionError("the pipeline does not play")
        return self

    def __exit__(self, *_):
        self.pipeline.set_state(Gst.State.NULL)

    def listen(self):
        """Takes what is on the bus; an error fails."""
        bus = self.pipeline.get_bus()
        while message := bus.pop():
            if message.type == Gst.MessageType.ERROR:
                raise AssertionError("%s: %s" % message.parse_error())
            if message.type == Gst.MessageType.ELEMENT:
                self.told.append(message.get_structure().copy())

    def samples(self):
        """Every sample up to the end."""
        while sample := self.sink.try_pull_sample(LIMIT):
            yield sample
            self.listen()
        self.listen()
        assert self.sink.get_property("eos"), "no frame came for two minutes"

    def told_as(self, name):
        return [s for s in self.told if s.get_name() == name]


def clip(properties):
    return 'filesrc location="%s" ! matroskademux ! vp8dec ! videoconvert ! fusionvqa name=gate mode=wait %s' % (
        CLIP, properties)


def items(structure, field):
    found, array = structure.get_array(field)
    assert found, "no array " + field
    # copied, as PyGObject does not keep the array alive for what it holds
    return [array.get_nth(i).copy() for i in range(array.n_values)]


def u64(structure, field):
    found, value = structure.get_uint64(field)
    assert found, "no number " + field
    return value


def double(structure, field):
    found, value = structure.get_double(field)
    assert found, "no number " + field
    return value


def check_answer(a, choices):
    """One answer, as the structure that metadata, messages and the signal have in common."""
    assert a.get_name() == "fusion-answer", a.get_name()
    for field in TEXT_FIELDS[:-1]:
        assert a.get_string(field), (field, a.to_string())
    assert a.get_string("stream") == "gate"
    assert u64(a, "id") > 0 and u64(a, "latency") > 0
    assert u64(a, "pts") == u64(a, "running-time") < 60 * Gst.SECOND
    assert a.get_boolean("final") == (True, True)
    assert 0 <= double(a, "confidence") <= 1
    assert a.get_uint("tokens")[0] and a.get_boolean("truncated")[0]
    region = a.get_value("region")
    assert [double(region, side) for side in "xywh"] == [0, 0, 1, 1]
    labels = {c.get_string("label"): double(c, "probability") for c in items(a, "choices")}
    assert set(labels) == set(choices), labels
    if choices:
        assert math.isclose(sum(labels.values()), 1, rel_tol=1e-3), labels
        assert a.get_string("answer") == max(labels, key=labels.get), labels


def check_fields(name, structure):
    """The message has the fields that the README tells, and no other."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        told = re.search(r"element message `%s`.*?with the fields `([^`]+)`" % name, f.read(), re.S).group(1)
    told = set(re.split(r",\s+", told)) | {"json"}
    found = {structure.nth_field_name(i) for i in range(structure.n_fields())}
    assert found == told, "not in the README %s, not in the message %s" % (found - told, told - found)


def test_metadata(folder):
    """Each frame carries the newest answer to every question, as structures and as JSON that says the same."""
    frames, asked = 0, set()
    with Play(clip('prompt="%s [yes|no] || %s"' % tuple(STANDING))) as play:
        for sample in play.samples():
            buffer = sample.get_buffer()
            meta = buffer.get_custom_meta("fusion-answer")
            assert meta, "frame %d has no answers" % frames
            structure = meta.get_structure()
            answers = items(structure, "answers")
            lines = [json.loads(line) for line in structure.get_string("json").splitlines()]
            assert [a.get_string("question") for a in answers] == STANDING
            for a, line in zip(answers, lines, strict=True):
                check_answer(a, ["yes", "no"] if a.get_string("question") == STANDING[0] else [])
                assert u64(a, "age") == buffer.pts - u64(a, "pts") < Gst.SECOND, (buffer.pts, a.to_string())
                assert (line["id"], line["question"], line["result"], line["timestamp"]) == \
                    (u64(a, "id"), a.get_string("question"), a.get_string("answer"), u64(a, "pts"))
                assert math.isclose(line["confidence"], double(a, "confidence"), rel_tol=1e-6)
                asked.add((line["question"], line["timestamp"]))
            frames += 1
        stats, last = play.gate.get_property("stats"), play.gate.get_property("last-answer")
    assert u64(stats, "frames") == frames and frames > 100, frames
    assert u64(stats, "answered") == len(asked) == 2 * u64(stats, "chosen"), stats.to_string()
    assert [a.get_string("question") for a in items(last, "answers")] == STANDING


def test_messages_and_signal(folder):
    """Every answer comes once as a message and once by the signal, with the same fields."""
    heard = []
    with Play(clip('prompt="%s [yes|no] || %s"' % tuple(STANDING)),
              lambda element, s: heard.append((element.get_name(), s.get_string("json"), u64(s, "id")))) as play:
        for _ in play.samples():
            pass
    told = play.told_as("fusion-answer")
    for s in told:
        check_answer(s, ["yes", "no"] if s.get_string("question") == STANDING[0] else [])
        check_fields("fusion-answer", s)
        assert json.loads(s.get_string("json"))["id"] == u64(s, "id")
    assert len(told) >= 20 and len({u64(s, "id") for s in told}) == len(told), len(told)
    assert [("gate", s.get_string("json"), u64(s, "id")) for s in told] == heard, (len(told), len(heard))


def test_asking(folder):
    """Asked while it plays: by the action signal, whose id the answer has, and by an event with a tag."""
    with Play("videotestsrc num-buffers=100000 ! video/x-raw,width=160,height=120,framerate=10/1 ! "
              "fusionvqa name=gate mode=wait frame-rate=1/10000") as play:
        assert play.sink.try_pull_sample(LIMIT)
        number = play.gate.emit("ask", "Is there a dog? [yes|no]")
        assert number > 0
        s = Gst.Structure.new_from_string('fusion-ask, question=(string)"What is shown?", tag=(string)a7')
        assert play.sink.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, s))
        for _ in play.samples():
            if len(play.told_as("fusion-answer")) == 2:
                break
    answers = {s.get_string("question"): s for s in play.told_as("fusion-answer")}
    dog, shown = answers["Is there a dog?"], answers["What is shown?"]
    assert u64(dog, "id") == number and dog.get_string("answer") in ("yes", "no"), dog.to_string()
    assert shown.get_string("tag") == "a7" and shown.get_string("answer"), shown.to_string()
    assert play.gate.emit("ask", "Is there a dog?") == 0, "asked while nothing plays"


def test_alerts(folder):
    """An alert comes as a message and rides on frames until it ends; its snapshot is a picture."""
    picture = os.path.join(folder, "{stream}-{alert}.jpg")
    carrying, seen = 0, set()
    with Play(clip('alert="%s" alert-snapshot="%s" alert-lookback=1000000000' % (RULE, picture))) as play:
        for sample in play.samples():
            buffer = sample.get_buffer()
            meta = buffer.get_custom_meta("fusion-alert")
            if not meta:
                continue
            carrying += 1
            structure = meta.get_structure()
            lines = [json.loads(line) for line in structure.get_string("json").splitlines()]
            for alert, line in zip(items(structure, "alerts"), lines, strict=True):
                assert alert.get_name() == "fusion-alert" and alert.get_string("alert") == line["alert"] == "tree"
                assert buffer.pts >= u64(alert, "stream-time")
                seen.add(u64(alert, "id"))
    told = play.told_as("fusion-alert")
    assert carrying and {u64(s, "id") for s in told} == seen and seen, (carrying, len(told), seen)
    for s in told:
        check_fields("fusion-alert", s)
        assert (s.get_string("question"), s.get_string("label")) == ("Is there a tree?", "yes"), s.to_string()
        assert double(s, "probability") >= double(s, "threshold") == 0
        assert u64(s, "stream-time") - u64(s, "since") >= Gst.SECOND
        assert u64(s, "answer-id") > 0 and u64(s, "count") > 0 and u64(s, "withheld") == 0
        assert s.get_string("snapshot") == os.path.join(folder, "gate-tree.jpg")
        assert json.loads(s.get_string("json"))["id"] == u64(s, "id")
    with open(os.path.join(folder, "gate-tree.jpg"), "rb") as f:
        assert f.read(2) == b"\xff\xd8"


def test_properties(folder):
    """Set and changed from Python: strings, numbers, enumerations, fractions, arrays."""
    gate = Gst.ElementFactory.make("fusionvqa", "gate")
    Gst.util_set_object_arg(gate, "prompts", '<"Is there a car?", "How many? [1|2]">')
    found, prompts = Gst.util_get_object_array(gate, "prompts")
    assert found and [prompts.get_nth(i) for i in range(prompts.n_values)] == ["Is there a car?", "How many? [1|2]"]
    Gst.util_set_object_arg(gate, "frame-rate", "1/5")
    gate.set_property("mode", "wait")
    assert gate.get_property("mode").value_nick == "wait"
    gate.set_property("answer-timeout", 5 * Gst.SECOND)
    assert gate.get_property("answer-timeout") == 5 * Gst.SECOND
    gate.set_property("scene-threshold", 0.05)
    assert gate.get_property("scene-threshold") == 0.05


def test_publishing(folder):
    """An application's own structure among the answers, by the action signal of fusionpublish."""
    path = os.path.join(folder, "gate.jsonl")
    with Play(clip('frame-rate=1/4 prompt="%s"' % STANDING[0]) +
              ' ! fusionpublish name=publish drain-timeout=20000000000 location="%s"' % path) as play:
        frames = play.samples()
        next(frames)
        own = Gst.Structure.new_from_string('door, open=(boolean)true, name=(string)"the gate"')
        assert play.pipeline.get_by_name("publish").emit("publish", own)
        for _ in frames:
            pass
    with open(path, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    own = [line for line in lines if "question" not in line]
    assert len(own) == 1 and own[0]["open"] is True and own[0]["name"] == "the gate", own
    assert len(lines) >= 4 and all(line["question"] == STANDING[0] for line in lines if line not in own), lines


def main():
    warnings.filterwarnings("ignore", "GObject.ValueArray", DeprecationWarning)  # what there is to read arrays
    Gst.init(None)
    tap.run(tap.functions(globals(), "python", sys.argv[2:]))


if __name__ == "__main__":
    main()
