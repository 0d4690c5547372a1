#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds what gst-inspect-1.0 and the README say of the elements to the elements. Prints TAP.

Every property of our own, seen through GObject introspection, says in its blurb's last brackets
  a number:        (what it counts; MIN to MAX, or MIN or more; default N, with words after : if N is special)
  anything else:   (default VALUE), or (default: words) where the value is nothing by itself
  one to be read:  (read only)
and all of that is compared with what the property is. Every property that can be written has a row in a table
of the README, with its default and a * if it may change while playing."""
import os
import re
import subprocess
import sys

import gi
gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import tap  # noqa: E402

SOURCE, BUILD = sys.argv[1:3]
ELEMENTS = ("fusionvqa", "fusionoverlay", "fusionpublish")
NUMBERS = {"guint", "gint", "guint64", "gint64", "gdouble", "GstFraction"}
UNITS = {"nanoseconds", "seconds", "bytes", "tokens", "turns", "frames per second", "files", "0xAARRGGBB",
         "part of the way from black to white", "part of its width and height", "detections of a frame",
         "records, about 1 kB each"}
SIGNALS = {"fusionvqa": {"answer": ("void", ["GstStructure"], False), "ask": ("guint64", ["gchararray"], True)},
           "fusionoverlay": {}, "fusionpublish": {"publish": ("gboolean", ["GstStructure"], True)}}


def make(name):
    element = Gst.ElementFactory.make(name)
    assert element, "no element " + name
    return element


def own_properties(element):
    """The parameter specifications of what the element's own class added."""
    return [p for p in element.list_properties() if p.owner_type == element.__gtype__]


def number(text):
    if "/" in text:
        top, bottom = text.split("/")
        return int(top) / int(bottom)
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text) else float(text)


def limits(element, spec):
    """(least, greatest, default) of a number."""
    if spec.value_type.name == "GstFraction":
        found = re.search(r"^  %s +:.*?Fraction\. Range: (\S+) - (\S+) Default: (\S+)" % spec.name,
                          inspect(element.get_factory().get_name()), re.S | re.M)
        return [number(found.group(i)) for i in (1, 2, 3)]
    return spec.minimum, spec.maximum, spec.default_value


TEXTS = {}


def inspect(name):
    if name not in TEXTS:
        TEXTS[name] = subprocess.run(["gst-inspect-1.0", "--no-colors", name], text=True, check=True,
                                     stdout=subprocess.PIPE, timeout=120).stdout
    return TEXTS[name]


def check_number(element, spec, brackets):
    parts = [part.strip() for part in brackets.split(";")]
    assert len(parts) == 3, "%s: expected (unit; range; default N), found (%s)" % (spec.name, brackets)
    unit, span, default = parts
    assert unit in UNITS, "%s counts %r" % (spec.name, unit)
    least, greatest, standard = limits(element, spec)
    ends = re.fullmatch(r"(\S+) to (\S+)|(\S+) or more", span)
    assert ends, "%s: the range reads %r" % (spec.name, span)
    if ends.group(3):
        assert number(ends.group(3)) == least and greatest >= 2**31 - 1, (spec.name, span, least, greatest)
    else:
        assert [number(ends.group(i)) for i in (1, 2)] == [least, greatest], (spec.name, span, least, greatest)
    said = re.fullmatch(r"default ([^:]+)(: .+)?", default)
    assert said and number(said.group(1)) == standard, (spec.name, default, standard)


def default_text(spec):
    """A default as it is written, None if it is nothing by itself."""
    if spec.value_type.is_a(GObject.TYPE_ENUM):
        # of a new element, which test_defaults compares: not every PyGObject names the default itself
        return GObject.new(spec.owner_type).get_property(spec.name).value_nick
    if spec.value_type.name == "gboolean":
        return "true" if spec.default_value else "false"
    return spec.default_value if spec.value_type.name == "gchararray" else None


def check_blurb(element, spec):
    assert spec.nick and spec.nick != spec.name, spec.name
    text = re.fullmatch(r"([A-Z0-9].{5,}) \(((?:[^()]|\([^()]*\))+)\)", spec.blurb, re.S) or \
        re.fullmatch(r"(key=value.+) \(([^()]+)\)", spec.blurb)
    assert text, "%s: %r does not end in brackets" % (spec.name, spec.blurb)
    brackets = text.group(2)
    if not spec.flags & GObject.ParamFlags.WRITABLE:
        assert brackets == "read only", (spec.name, brackets)
    elif spec.value_type.name in NUMBERS:
        check_number(element, spec, brackets)
    else:
        default = default_text(spec)
        if default is None:
            assert re.fullmatch(r"default: .+", brackets, re.S), (spec.name, brackets)
        else:
            assert brackets == "default " + default, (spec.name, brackets, default)


def check_mutability(spec):
    flags = int(spec.flags)
    told = [flag for flag in (Gst.PARAM_MUTABLE_READY, Gst.PARAM_MUTABLE_PAUSED, Gst.PARAM_MUTABLE_PLAYING)
            if flags & flag]
    writable = bool(spec.flags & GObject.ParamFlags.WRITABLE)
    assert len(told) == (1 if writable else 0), (spec.name, told)


def test_blurbs(name):
    element = make(name)
    specs = own_properties(element)
    assert len(specs) >= 9, [s.name for s in specs]
    for spec in specs:
        check_blurb(element, spec)
        check_mutability(spec)


def test_defaults(name):
    """A new element has the defaults that it says."""
    element = make(name)
    for spec in own_properties(element):
        if not spec.flags & GObject.ParamFlags.READABLE or not spec.flags & GObject.ParamFlags.WRITABLE:
            continue
        if spec.value_type.name == "GstFraction":
            continue  # introspection cannot read one; gst-inspect-1.0, which limits() asks, shows the value
        if spec.value_type.name == "GstValueArray":
            found, items = Gst.util_get_object_array(element, spec.name)
            assert found and items.n_values == 0, spec.name
            continue
        value = element.get_property(spec.name)
        if spec.value_type.name in NUMBERS:
            assert value == limits(element, spec)[2], (spec.name, value)
        elif spec.name == "model":  # what is used, rather than nothing
            assert os.path.basename(value) == "nano", value
        else:
            assert value == spec.default_value, (spec.name, value)


def test_inspect(name):
    """gst-inspect-1.0 shows it all: blurbs, when they may change, pads, signals."""
    text = inspect(name)
    flat = " ".join(text.split())
    for spec in own_properties(make(name)):
        assert "%s : %s flags:" % (spec.name, " ".join(spec.blurb.split())) in flat, spec.name
        entry = text[text.index("\n  %s " % spec.name):]
        flags = entry[entry.index("flags:"):].splitlines()[0]
        if spec.flags & GObject.ParamFlags.WRITABLE:
            assert ("changeable in NULL, READY, PAUSED or PLAYING state" in flags) != \
                ("changeable only in NULL or READY state" in flags), (spec.name, flags)
    assert "SRC template: 'src'" in text and "SINK template: 'sink'" in text
    if name == "fusionvqa":
        assert re.search(r"SRC template: 'text'\s+Availability: On request\s+Capabilities:\s+text/x-raw\s+"
                         r"format: utf8", text)
        assert text.count("video/x-raw") >= 2
    for signal in SIGNALS[name]:
        assert '"%s"' % signal in text, signal
    description = re.search(r"Description +(.+)", text).group(1)
    for signal in SIGNALS[name]:
        assert re.search(r"(signal|action) %s\b" % signal, description), (signal, description)


def test_signals(name):
    kind = make(name).__gtype__
    found = {}
    for number_ in GObject.signal_list_ids(kind):
        query = GObject.signal_query(number_)
        found[query.signal_name] = (query.return_type.name, [t.name for t in query.param_types],
                                    bool(query.signal_flags & GObject.SignalFlags.ACTION))
    assert found == SIGNALS[name], found


def readme():
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        return f.read()


def readme_section(title):
    """From a heading to the next one of its level or above."""
    text = readme()
    start = re.search(r"^(#+) %s$" % re.escape(title), text, re.M)
    assert start, "the README has no heading " + title
    rest = text[start.end():]
    end = re.search(r"^#{1,%d} " % len(start.group(1)), rest, re.M)
    return rest[:end.start()] if end else rest


def readme_rows(name):
    """{property: (default, may change while playing)} from the tables whose first cell is a property."""
    rows = {}
    table = re.compile(r"^\| property \| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.M)
    for body in table.findall(readme_section(name)):
        for line in body.splitlines():
            cells = [c.strip().replace("\0", "|") for c in line.replace("\\|", "\0").strip("|").split("|")]
            names = re.findall(r"`([a-z-]+)`(\*?)", cells[0])
            cells[1] = cells[1].strip("`")
            defaults = [cells[1]] if len(names) == 1 else re.split(r", ", cells[1])
            assert names and len(defaults) in (1, len(names)), line
            for i, (prop, star) in enumerate(names):
                assert prop not in rows, "%s has two rows" % prop
                rows[prop] = (defaults[i if len(defaults) > 1 else 0], bool(star))
    return rows


def readme_number(spec, text):
    """A number, or a time in seconds for a property that counts those or nanoseconds."""
    time = re.fullmatch(r"(\S+) s", text)
    if not time:
        return number(text)
    unit = re.search(r"\((nanoseconds|seconds);", spec.blurb)
    assert unit, "%s is no time" % spec.name
    return number(time.group(1)) * (Gst.SECOND if unit.group(1) == "nanoseconds" else 1)


def test_readme(name):
    element = make(name)
    rows = readme_rows(name)
    specs = {s.name: s for s in own_properties(element)}
    assert set(rows) <= set(specs), "the README alone has %s" % sorted(set(rows) - set(specs))
    assert set(specs) <= set(rows), "the README has no %s" % sorted(set(specs) - set(rows))
    for prop, (default, star) in rows.items():
        spec = specs[prop]
        if not spec.flags & GObject.ParamFlags.WRITABLE:
            assert (default, star) == ("read only", False), (prop, default)
            continue
        assert star == bool(int(spec.flags) & Gst.PARAM_MUTABLE_PLAYING), "%s: the * is wrong" % prop
        if spec.value_type.name in NUMBERS:
            standard = limits(element, spec)[2]
            if standard == Gst.CLOCK_TIME_NONE:
                assert default == "none", (prop, default)
            elif not re.search(r"\d", default):  # in words, where the number stands for something
                assert standard == 0, (prop, default, standard)
            else:
                assert readme_number(spec, default) == standard, (prop, default, standard)
        elif default_text(spec) is not None:
            assert default == default_text(spec), (prop, default, default_text(spec))
        else:  # nothing, or what is taken for it in words
            assert not re.search(r"\d", default), (prop, default)
    for signal in SIGNALS[name]:
        assert "`%s`" % signal in readme(), signal


def main():
    Gst.init(None)
    tests = [(kind, name) for kind in (test_blurbs, test_defaults, test_inspect, test_signals, test_readme)
             for name in ELEMENTS]
    tap.run([("documentation/%s/%s" % (test.__name__[len("test_"):], name),
              lambda _folder, test=test, name=name: test(name)) for test, name in tests])


if __name__ == "__main__":
    main()
