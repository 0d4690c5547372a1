# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keeps the answers to each kind of question even, so that the question alone tells nothing."""


class Balance:
    """Counts the answers given for each key ("how many cars") and says which more are welcome.

    One object sees all the questions of a data set, or of one process's part of it: the evenness is that of
    what went through it."""

    def __init__(self):
        self.counts = {}

    def given(self, key, answer):
        return self.counts.get(key, {}).get(answer, 0)

    def welcome(self, keys, answer):
        """`keys`: [(key, number of possible answers, tolerated factor over the even share)]."""
        for key, options, factor in keys:
            counts = self.counts.get(key)
            if counts and counts.get(answer, 0) > factor * sum(counts.values()) / options + 1.0:
                return False
        return True

    def add(self, keys, answer):
        for key, _, _ in keys:
            counts = self.counts.setdefault(key, {})
            counts[answer] = counts.get(answer, 0) + 1
