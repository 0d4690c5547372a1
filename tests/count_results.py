#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the cases of a meson test log (testlog.json): prints "passed failed skipped".

A program that died, timed out or leaked after its last case counts as a failure too, so that a suite
cannot be green because it did not run to its end.
"""
import json
import re
import sys

CASE = re.compile(r"^(not )?ok\b(.*)$", re.MULTILINE)


def count(path):
    passed = failed = skipped = 0
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            test = json.loads(line)
            cases = CASE.findall(test.get("stdout") or "")
            bad = sum(1 for wrong, rest in cases if wrong and "# TODO" not in rest.upper())
            missed = sum(1 for wrong, rest in cases if not wrong and "# SKIP" in rest.upper())
            good = len(cases) - bad - missed
            result = test["result"]
            if result not in ("OK", "SKIP") and bad == 0:
                bad = 1
            elif result == "SKIP" and not cases:
                missed = 1
            elif result == "OK" and not cases:
                good = 1  # a program without cases of its own
            passed, failed, skipped = passed + good, failed + bad, skipped + missed
    return passed, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
