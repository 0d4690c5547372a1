# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the functions test_* of a module, each in a folder of its own, and prints TAP."""
import os
import sys
import tempfile
import time
import traceback

SOURCE, BUILD = sys.argv[1:3]


class Skip(Exception):
    pass


def wait_until(condition, seconds, what):
    """Waits for what `condition` returns to be true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("not within %g s: %s" % (seconds, what() if callable(what) else what))


def main(suite, names):
    """Arguments after the two folders choose tests by a part of their names."""
    tests = [value for name, value in names.items() if name.startswith("test_")]
    if sys.argv[3:]:
        tests = [t for t in tests if any(word in t.__name__ for word in sys.argv[3:])]
    print("1..%d" % len(tests), flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name = suite + "/" + test.__name__[len("test_"):].replace("_", "-")
        try:
            with tempfile.TemporaryDirectory() as folder:
                test(folder)
            print("ok %d %s" % (number, name), flush=True)
        except Skip as reason:
            print("ok %d %s # SKIP %s" % (number, name, reason), flush=True)
        except Exception:  # whatever it is, the other tests run
            failed += 1
            print("not ok %d %s" % (number, name), flush=True)
            for line in traceback.format_exc().splitlines():
                print("# " + line, flush=True)
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # a pipeline that is stuck must not keep the test from ending
