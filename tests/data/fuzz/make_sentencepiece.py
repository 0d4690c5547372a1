#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tokenizer.model of this folder, a small sentencepiece model with pieces of all kinds."""
import os
import struct


def message(number, data):
    assert len(data) < 128 or number == 2
    return bytes([number << 3 | 2]) + (bytes([len(data)])) + data


PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("<pad>", 0, 3), ("\t\t", 0, 4), ("gate", 0, 4)]
PIECES += [(f"<0x{b:02X}>", 0, 6) for b in range(256)]
PIECES += [(p, -i, 1) for i, p in enumerate(
    ["▁▁", "▁t", "he", "▁the", "en", "in", "op", "▁op", "▁open", "zq", "▁Is", "Is", "the"])]
PIECES += [(c, -100 - i, 1) for i, c in enumerate("▁thegaopnisI?12é")]
data = b"".join(message(1, message(1, p.encode()) + b"\x15" + struct.pack("<f", s) + (bytes([0x18, k]) if k != 1 else b""))
                for p, s, k in PIECES)
data += message(2, b"\x18\x02" + b"\x98\x02\x01") + message(3, message(1, b"identity") + b"\x18\x01\x20\x00\x28\x01")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.model"), "wb") as f:
    f.write(data)
