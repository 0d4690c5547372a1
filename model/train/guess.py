# SPDX-License-Identifier: LGPL-2.1-or-later
"""A question-only model: what can be answered without looking.

It knows the words of a question, up to three at a time, how it begins, and the whole of it, and chooses among
the answers of the training questions: a sum of embeddings, one hidden layer, and a softmax, trained until
questions held back get no better. Whatever a picture model gets right beyond this, it got from the picture."""

import collections

import torch
import torch.nn.functional as F

from scores import plain

MOST_ANSWERS = 800
WIDTH = 128
RATE = 4e-3


def features(text):
    words = plain(text).split()
    marked = ["<"] + words + [">"]
    found = ["1 " + w for w in words]
    found += ["2 %s %s" % pair for pair in zip(marked, marked[1:])]
    found += ["3 %s %s %s" % three for three in zip(marked, marked[1:], marked[2:])]
    found.append("all " + " ".join(words))
    found.append("begin " + " ".join(words[:3]))
    return found


class Guesser:
    """Trained on lines with "question" and "answers"."""

    def __init__(self, lines, seed=1, epochs=10):
        if not lines:
            raise ValueError("no training questions for the question-only model")
        shown = {}
        counted = collections.Counter()
        for line in lines:
            key = plain(line["answers"][0])
            shown.setdefault(key, line["answers"][0])
            counted[key] += 1
        self.answers = [shown[k] for k, _ in counted.most_common(MOST_ANSWERS)]
        index = {plain(a): i for i, a in enumerate(self.answers)}
        lines = [x for x in lines if plain(x["answers"][0]) in index]
        counted = collections.Counter(f for x in lines for f in set(features(x["question"])))
        self.index = {f: i + 1 for i, f in enumerate(sorted(f for f, n in counted.items() if n >= 2))}
        torch.manual_seed(seed)
        order = torch.randperm(len(lines)).tolist()
        kept = max(1, len(lines) // 10)
        held, train = order[:kept], order[kept:] or order[:kept]
        truth = torch.tensor([index[plain(x["answers"][0])] for x in lines])
        coded = [self._code(x["question"]) for x in lines]
        self.table = torch.randn(len(self.index) + 1, WIDTH).mul(0.1).requires_grad_()
        self.head = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.3),
                                        torch.nn.Linear(WIDTH, len(self.answers)))
        weights = [self.table] + list(self.head.parameters())
        optimiser = torch.optim.Adam(weights, lr=RATE)
        best, patience = (float("inf"), None), 0
        for epoch in range(epochs):
            self.head.train()
            for g in optimiser.param_groups:
                g["lr"] = RATE * (1 - epoch / epochs)
            at = torch.randperm(len(train)).tolist()
            for i in range(0, len(at), 512):
                part = [train[k] for k in at[i:i + 512]]
                loss = F.cross_entropy(self._logits([coded[k] for k in part]), truth[part])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            self.head.eval()
            with torch.no_grad():
                loss = float(F.cross_entropy(self._logits([coded[k] for k in held]), truth[held]))
            if loss < best[0]:
                best, patience = (loss, [w.detach().clone() for w in weights]), 0
            else:
                patience += 1
                if patience == 2:
                    break
        with torch.no_grad():
            for w, kept in zip(weights, best[1]):
                w.copy_(kept)

    def _code(self, text):
        return [self.index[f] for f in features(text) if f in self.index] or [0]

    def _logits(self, coded):
        flat = torch.tensor([i for c in coded for i in c])
        starts = torch.tensor([0] + [len(c) for c in coded[:-1]]).cumsum(0)
        return self.head(F.embedding_bag(flat, self.table, starts, mode="sum"))

    @torch.no_grad()
    def guess(self, questions):
        """The likeliest answer to each text."""
        if not questions:
            return []
        best = self._logits([self._code(q) for q in questions]).argmax(1)
        return [self.answers[i] for i in best.tolist()]
