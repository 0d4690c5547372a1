#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the cases of a meson JUnit log: prints "passed failed skipped".

A test program that died, timed out or printed no case counts as one failure, so that a suite cannot be
green because it did not run.
"""
import sys
import xml.etree.ElementTree as ET


def count(path):
    passed = failed = skipped = 0
    for suite in ET.parse(path).getroot().iter("testsuite"):
        cases = list(suite.findall("testcase"))
        bad_cases = 0
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                bad_cases += 1
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
        # Meson counts a crash after the last case at the suite only.
        reported = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += max(bad_cases, reported)
    return passed, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
