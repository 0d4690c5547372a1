# SPDX-License-Identifier: LGPL-2.1-or-later
"""A byte-level BPE tokenizer in the layout of tokenizer.json: training, reading, writing, encoding."""

import collections
import functools
import json
import re
import sys
import unicodedata

# Words stay whole with one leading space and at most one leading capital; digits, other capitals and
# signs are split into characters.
SPLIT = (r"'(?:s|t|re|ve|m|ll|d)| ?\p{Lu}?\p{Ll}+| ?\p{L}| ?\p{N}| ?[^\s\p{L}\p{N}]|\s+(?!\S)|\s+")


@functools.lru_cache(None)
def _class(name):
    """The ranges of a Unicode class, as the inside of a character class (Python's re has no \\p)."""
    out, start, last = [], None, None
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000 or not unicodedata.category(chr(code)).startswith(name):
            continue
        if last is not None and code == last + 1:
            last = code
            continue
        if start is not None:
            out.append((start, last))
        start = last = code
    out.append((start, last))
    return "".join("\\U%08x-\\U%08x" % r for r in out)


def compile_split(pattern):
    def expand(match):
        inside = _class(match.group(1))
        before = pattern[:match.start()]
        in_class = before.rfind("[") > before.rfind("]")
        return inside if in_class else "[" + inside + "]"
    return re.compile(re.sub(r"\\p\{(\w+)\}", expand, pattern))


@functools.lru_cache(None)
def byte_letters():
    """{byte: the letter that stands for it} of byte-level BPE"""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return table


class Tokenizer:
    def __init__(self, vocab, merges, added, pattern=SPLIT):
        """vocab {letters: id}, merges [(left, right)], added [{id, content, ...flags}]"""
        self.vocab, self.merges, self.added, self.pattern = vocab, merges, added, pattern
        self.ranks = {m: i for i, m in enumerate(merges)}
        self.special = {a["content"]: a["id"] for a in added}
        self.words = {i: w for w, i in vocab.items()}
        self.names = {a["id"]: a["content"] for a in added}
        self.split = compile_split(pattern)
        # White space that lstrip or rstrip swallows is part of the match, outside the inner group.
        flags = {a["content"]: a for a in added}
        self.cut = re.compile("|".join(
            r"%s(?P<t%d>%s)%s" % (r"\s*" if flags[s]["lstrip"] else "", self.special[s],
                                 re.escape(s), r"\s*" if flags[s]["rstrip"] else "")
            for s in sorted(self.special, key=len, reverse=True)))
        self.letters = byte_letters()
        self.bytes = {c: b for b, c in self.letters.items()}
        self.cache = {}

    def _word(self, piece):
        if piece not in self.cache:
            parts = [self.letters[b] for b in piece.encode("utf-8")]
            while len(parts) > 1:
                best = min(range(len(parts) - 1), key=lambda i: self.ranks.get(
                    (parts[i], parts[i + 1]), 1 << 30))
                if (parts[best], parts[best + 1]) not in self.ranks:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            self.cache[piece] = [self.vocab[p] for p in parts]
        return self.cache[piece]

    def encode(self, text):
        ids, at = [], 0
        for match in self.cut.finditer(text):
            for piece in self.split.findall(text[at:match.start()]):
                ids.extend(self._word(piece))
            ids.append(int(match.lastgroup[1:]))
            at = match.end()
        for piece in self.split.findall(text[at:]):
            ids.extend(self._word(piece))
        return ids

    def decode(self, ids, special=False):
        raw = bytearray()
        for i in ids:
            if i in self.names:
                raw += self.names[i].encode() if special else b""
            else:
                raw += bytes(self.bytes[c] for c in self.words[i])
        return raw.decode("utf-8", "replace")

    def to_json(self):
        return {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": self.added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": self.pattern}, "behavior": "Isolated",
                 "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                 "use_regex": False}]},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                        "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": self.vocab, "merges": ["%s %s" % m for m in self.merges]},
        }

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.to_json(), f, ensure_ascii=False, indent=1)
            f.write("\n")

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
        merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m)
                  for m in data["model"]["merges"]]
        pattern = data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        return cls(data["model"]["vocab"], merges, data["added_tokens"], pattern)


def train(texts, size, special, pattern=SPLIT):
    """texts {text: how often}; `size` counts the 256 bytes and the special tokens, which come last."""
    split, letters = compile_split(pattern), byte_letters()
    counts = collections.Counter()
    for text, n in texts.items():
        for piece in split.findall(text):
            counts[tuple(letters[b] for b in piece.encode("utf-8"))] += n
    vocab = {letters[b]: i for i, b in enumerate(sorted(letters, key=lambda b: letters[b]))}
    merges = []
    while len(vocab) + len(special) < size:
        pairs = collections.Counter()
        for word, n in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        vocab["".join(best)] = len(vocab)
        merged = collections.Counter()
        for word, n in counts.items():
            parts, i = [], 0
            while i < len(word):
                if word[i:i + 2] == best:
                    parts.append("".join(best))
                    i += 2
                else:
                    parts.append(word[i])
                    i += 1
            merged[tuple(parts)] += n
        counts = merged
    added = [{"id": len(vocab) + i, "content": s, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": True}
             for i, s in enumerate(special)]
    return Tokenizer(vocab, merges, added, pattern)
