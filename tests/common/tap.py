# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs tests one after the other and prints TAP."""
import os
import sys
import tempfile
import time
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here; its words are the reason."""


def wait_until(condition, seconds, what):
    """Waits for what `condition` returns to be true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("not within %g s: %s" % (seconds, what() if callable(what) else what))


def functions(names, suite, words=(), between="_"):
    """The functions test_* of a module's globals(), as run() takes them: all of them or, if there are `words`, those
    that have one in their name. `between` the words of a name in what is printed."""
    return [(suite + "/" + name[len("test_"):].replace("_", between), value) for name, value in names.items()
            if name.startswith("test_") and (not words or any(word in name for word in words))]


def run(tests):
    """tests: [(name, function of the path of an empty folder)]. How many failed; one that raises whatever it may
    takes no other with it."""
    print("1..%d" % len(tests), flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        try:
            with tempfile.TemporaryDirectory() as folder:
                test(folder)
            print("ok %d %s" % (number, name), flush=True)
        except Skip as reason:
            print("ok %d %s # SKIP %s" % (number, name, reason), flush=True)
        except (Exception, SystemExit):
            failed += 1
            print("not ok %d %s" % (number, name), flush=True)
            for line in traceback.format_exc().splitlines():
                print("# " + line, flush=True)
    return failed


def end(failed):
    """Ends the program at once: a pipeline that is stuck must not keep a test from ending."""
    sys.stdout.flush()
    os._exit(1 if failed else 0)
