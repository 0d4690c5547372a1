# SPDX-License-Identifier: LGPL-2.1-or-later
"""What training never shows is not taught to be impossible.

Some pairs of noun and colour are held out (scenes.vocabulary): no person of training wears yellow. A softmax over all
colours would push "yellow" down wherever a person is asked about, as strongly as if thousands of pictures had shown
that nobody wears it. So in every loss that tells the colour of a noun, the noun's held-out colours are left out of the
softmax: nothing is learnt about them there, and the other nouns teach what yellow looks like."""

import torch

OUT = -1e4          # a logit that no softmax sees, in bf16 too


def pairs(nouns, colours):
    """bool [len(nouns), len(colours)]: the pairs that training never shows"""
    from scenes.vocabulary import held_out_pair
    return torch.tensor([[held_out_pair(c, n) for c in colours] for n in nouns])


def leave_out(logits, places):
    """Logits [.., V] with those at `places` [M, logits.dim()] out of the softmax."""
    if not len(places):
        return logits
    return logits.index_put(tuple(places.t()), torch.tensor(OUT, dtype=logits.dtype, device=logits.device))


def of_cells(logits, shares, nouns, table):
    """Logits [B, P, colours] of the cells of a grid; without the colours that training never shows on a noun in
    the cell, unless something else there has them. `shares` [B, P, colours]: how much of the cell is of a colour;
    `nouns` [B, P, nouns]: of a noun; `table`: pairs() as floats."""
    blocked = (torch.matmul(nouns, table) > 0) & (shares == 0)
    return logits.float().masked_fill(blocked, OUT)


class Colours:
    """The places of held-out colours in the logits of answers. `about`: of a pool, its names."""

    def __init__(self, about, tokenizer, answers):
        """`answers`: {answer: class} of the answer head"""
        self.table = pairs(about["nouns"], about["colours"])
        self.index = {c: k for k, c in enumerate(about["colours"])}
        self.tokens = [tokenizer.encode(c)[0] for c in about["colours"]]
        self.classes = [answers.get(c, -1) for c in about["colours"]]

    def _missing(self, question, nouns):
        """The colours that are left out where this is asked; `nouns` of the picture's things, by their ids"""
        _, answer, _, first, _ = question
        if answer.lower() not in self.index:
            return []
        kinds = {int(nouns[t]) for t in first if nouns[t] >= 0}
        right = self.index[answer.lower()]
        return [k for k in range(len(self.index)) if k != right and any(self.table[n, k] for n in kinds)]

    def places(self, samples, nouns, replies):
        """([M, 3] sample, row of its answers' tokens, token), ([M, 2] sample, class): what is left out.
        `nouns` [N, IDS]: of each sample's things; `replies`: per sample the number of tokens of each answer."""
        tokens, classes = [], []
        for i, sample in enumerate(samples):
            row = 0
            for question, length in zip(sample, replies[i]):
                for k in self._missing(question, nouns[i]):
                    tokens.append((i, row, self.tokens[k]))
                    if self.classes[k] >= 0 and len(sample) == 1:
                        classes.append((i, self.classes[k]))
                row += length
        return (torch.tensor(tokens, dtype=torch.long).view(-1, 3),
                torch.tensor(classes, dtype=torch.long).view(-1, 2))
