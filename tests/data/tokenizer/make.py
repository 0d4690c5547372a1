#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the tokenizers of this folder and the ids that tests/format expects of them.

Needs the `tokenizers` package of Hugging Face (written with 0.23); the tests do not. Each folder
gets tokenizer.json, perhaps tokenizer_config.json, and cases.json, a list of
    {"text" or "hex", "repeat"?, "special"?, "bos"?, "ids" or ("count" and "fnv"), "decoded"?, "skipped"?}
where special means that added tokens are recognised and hex is text that is not UTF-8.

usage: make.py [OUT [RANDOM_CASES]]
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
RANDOM = int(sys.argv[2]) if len(sys.argv) > 2 else 40

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

CORPUS = [
    "Is the gate open? The gate is open, and a red car is waiting in front of it.",
    "How many people are in the picture? There are 12 people, 3 dogs and 1 bicycle.",
    "What colour is the car on the left? The car on the left is blue; it's parked.",
    "You are a helpful AI assistant. I'll describe what I've seen: we're at the crossing.",
    "Left of the house, above the tree, below the bridge, right of the lorry.",
    "In 2024 and 2025 there were 123456 frames; 99.5% of them were answered.\n\n  indented\n\ttab",
    "Wie viele Personen sind im Bild? Grün, größer, Straße. Où est la voiture? Élève, garçon, naïve.",
    "Сколько людей на картинке? Ворота открыты. Πόσοι άνθρωποι είναι στην εικόνα;",
    "图片里有几个人？门开着吗？ この写真には何人いますか。 사진에 몇 명이 있나요?",
    "emoji: 😀 🚗 👩‍👩‍👧‍👦 🇩🇪 ❤️ and marks: e\u0301 a\u0308 n\u0303 and नमस्ते and ไทย",
    "int main(void) { return 0; }  /* code */\r\nfor (i = 0; i < 10; i++)\r\n    x += i;\r\n",
]

TEXTS = [
    "", " ", "  ", "     ", "\n", "\r\n", "\n\n", " \n ", "\t\t x", "a", " a", "a ", "  a  ",
    "Is the gate open?", "How many people are in the picture?", "It's, it'S, IT'S we'LL I'm 'tis",
    "1", "12", "123", "1234", "1234567 8 ٣٤٥ ½ Ⅷ", "3.14159, -2e10", "a1b22c333d4444",
    "line one\nline two\r\nline three\rline four", "trailing newline\n", "x\r\n\r\n\r\ny", "\r\r\n\n",
    "tabs\tand\u00a0no-break\u3000ideographic\u2003em spaces", "   leading and trailing   ",
    "a     b", "a \n b", "!!!???...", "#include <stdio.h>", "foo_bar-baz/qux", "(\"quoted\")\n",
    "😀", "😀😀 👩‍👩‍👧‍👦 🇩🇪", "❤️ x", "e\u0301 \u0301 a\u0308o\u0308", "Ünïcödé Straße ẞ İstanbul",
    "ﬁ ① ㎏ Å Å", "नमस्ते दुनिया", "สวัสดีชาวโลก", "مرحبا بالعالم", "שלום", "你好，世界", "안녕하세요",
    "\u200b\u200d\ufeff", "\x00", "a\x00b", "\x01\x7f\x80\x9f\xa0\xad", "\u0378\U0010ffff", "\ufffd",
    "'", "''s", "'\u017f x", "supercalifragilisticexpialidocious", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the the the the theater there then", "not supercal quite expialidocious 🙂 🙂", "🙂", "Hello<|eot_id|>world", "<|begin_of_text|>", "<|eot_id|>",
    "a <|eot_id|> b", "<|user|>\n\n  Is the gate open?<|end|>\n<|assistant|>\n", "<|user|>", "<|user|>   ",
    "x <mask> y", "x   <mask>", "\u00a0\u3000<mask><mask>  <mask>", "<word>", "a<word>", "a <word> b",
    "<word>b", "(<word>)", "é<word>", "<word>\u0301", "_<word>", "<vision_start>image<vision_end>", "<vision_start",
    "<vision_start><vision_end><vision_start>", "<<|eot_id|>>", "<|eot_id|", "<|eot_id|><|eot_id|> <|user|> <mask>",
    "<|user|> \n <mask> \t<|user|>", "two  spaces token", "<|user|>  two  spaces", "LOWER Lower lower",
    "CAFÉ café cafe\u0301 CAFE\u0301", "<a>", "<ab>", "<abc>", "<abcd> <ab <abc",
]
HEX = ["ff", "41ff42", "c3", "41c3", "e28082e2", "e282", "f09f98", "f09f", "c0af", "eda080", "f4908080",
       "e08080", "f0808080", "80", "8080bf", "61e282c3a962", "fffefd", "c328a0", "f8a1a1a1a1", "00ff00"]


def added(content, **flags):
    return AddedToken(content, **{"special": False, "normalized": False, **flags})


def special(content, **flags):
    return added(content, special=True, **flags)


ADDED = [
    special("<|begin_of_text|>"), special("<|eot_id|>"), special("<|end|>", rstrip=True),
    special("<|user|>", rstrip=True), special("<|assistant|>", rstrip=True),
    added("<mask>", lstrip=True), added("<word>", single_word=True),
    added("<vision_start>", normalized=True), added("<vision_end>", normalized=True),
    added("  two  ", normalized=True), added("<a>"), added("<ab>", lstrip=True, rstrip=True),
    added("<abc>", normalized=True), added("Lower", normalized=True, single_word=True),
    added("Café", normalized=True),
]


def train(size, pre, norm=None):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre
    if norm:
        tok.normalizer = norm
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tok


def bos(tok):
    name = "<|begin_of_text|>"
    return processors.TemplateProcessing(single=f"{name} $A", pair=f"{name} $A {name} $B",
                                         special_tokens=[(name, tok.token_to_id(name))])


def make_llama3():
    seq = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    data = json.loads(train(640, seq).to_str())
    data["model"]["ignore_merges"] = True
    # whole words that no merge leads to, as large vocabularies have them
    vocab = data["model"]["vocab"]
    for word in ["Ġsupercal", "ĠÑĤÐµÐ°ÑĤÑĢ", "expialidocious", "Ġquite", "ðŁĻĤ"]:
        vocab.setdefault(word, len(vocab))
    tok = Tokenizer.from_str(json.dumps(data))
    tok.add_tokens(ADDED)
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), bos(tok)])
    data = json.loads(tok.to_str())
    return data, {"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|eot_id|>", "__type": "AddedToken"},
                  "clean_up_tokenization_spaces": True, "model_max_length": 1000000000000000019884624838656}


def make_gpt2():
    tok = train(420, pre_tokenizers.ByteLevel(add_prefix_space=True), normalizers.NFC())
    tok.add_tokens(ADDED)
    data = json.loads(tok.to_str())
    data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]  # the older spelling
    data["post_processor"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
    return data, None


def make_steps():
    seq = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split("e", "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"[aou]+|\s"), "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[.,!?]"), "contiguous"),
        pre_tokenizers.Split("-", "removed"),
        pre_tokenizers.Split(Regex(r"\w+"), "isolated", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    norm = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("//", "-/-"),
                                 normalizers.Replace("ß", "ss"), normalizers.Prepend("_")])
    tok = train(400, seq, norm)
    tok.add_tokens(ADDED)
    return json.loads(tok.to_str()), {"add_bos_token": True, "bos_token": "<|begin_of_text|>", "eos_token": None}


def make_unk():
    tok = train(300, pre_tokenizers.ByteLevel(add_prefix_space=False))
    data = json.loads(tok.to_str())
    vocab = {t: i for t, i in data["model"]["vocab"].items() if len(t) == 1 and t.isascii() or t in "ĠÃ"}
    vocab["<unk>"] = len(data["model"]["vocab"])
    data["model"].update(unk_token="<unk>", fuse_unk=True, merges=[["t", "h"], ["th", "e"]],
                         vocab=vocab | {"th": 900, "the": 901})
    return data, None


def fnv(ids):
    h = 0xcbf29ce484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = ((h ^ b) * 0x100000001b3) & (2 ** 64 - 1)
    return f"{h:016x}"


def random_texts(n):
    rng = random.Random(20240917)
    parts = sum((t.split(" ") for t in CORPUS), []) + [t for t in TEXTS if t] + [
        " ", "  ", "\n", "\r\n", "\t", "\u00a0", "1", "23", "'s", "e\u0301", "<|end|>", "<mask>", "<word>", "<ab>"]
    for _ in range(n):
        yield rng.choice(["", " "]).join(rng.choice(parts) for _ in range(rng.randint(1, 6)))


def write(name, made):
    data, config = made
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write(text.replace('"vocab":', '\n"vocab":').replace('"merges":', '\n"merges":') + "\n")
    if config:
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f, indent=1, ensure_ascii=False)
            f.write("\n")
    full = Tokenizer.from_str(text)
    plain = Tokenizer.from_str(json.dumps({**data, "added_tokens": [], "post_processor": None}))
    normalized = {t["id"] for t in data["added_tokens"] if t["normalized"]}
    begin = full.token_to_id("<|begin_of_text|>") if config else None

    def encode(t, recognise):
        if recognise:
            return full.encode(t, add_special_tokens=False).ids
        return plain.encode(t, add_special_tokens=False).ids

    cases = []

    def add(case, t, recognise, with_bos):
        ids = encode(t, recognise)
        if with_bos and begin is not None:
            ids = [begin] + ids
        case = dict(case)
        if recognise:
            case["special"] = True
        if with_bos:
            case["bos"] = True
        if len(ids) > 2000:
            case.update(count=len(ids), fnv=fnv(ids))
        else:
            case["ids"] = ids
            # with a normalizer, that implementation spells a normalized token as it matches it
            if recognise and "\x00" not in t and not (data["normalizer"] and set(ids) & normalized):
                case["decoded"] = full.decode(ids, skip_special_tokens=False)
                case["skipped"] = full.decode(ids, skip_special_tokens=True)
        cases.append(case)

    for i, t in enumerate(TEXTS + CORPUS + list(random_texts(RANDOM))):
        # a NUL cannot be in a JSON string that C reads
        key = {"hex": t.encode().hex()} if "\x00" in t else {"text": t}
        add(key, t, True, i % 3 == 0)
        add(key, t, False, False)
    for h in HEX:
        t = bytes.fromhex(h).decode("utf-8", "replace")
        add({"hex": h}, t, True, False)
        add({"hex": h}, t, False, True)
    for t in [" ".join(CORPUS) + "\n", "a", " ", "\n", "ab<|eot_id|> ", "😀", "\u00a0x"]:
        n = 100000 // len(t.encode()) + 1
        add({"text": t, "repeat": n}, t * n, True, False)
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as f:
        f.write('{"cases":[\n' + ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases))
        f.write("\n]}\n")
    print(name, len(cases), "cases")


write("llama3", make_llama3())
write("gpt2", make_gpt2())
write("steps", make_steps())
write("unk", make_unk())
