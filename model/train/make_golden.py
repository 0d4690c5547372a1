# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the project's own golden cases: two tiny checkpoints with random weights, and every stage of
the model on them. And what tests compare with other checkpoints, every layer of it.

    python3 make_golden.py ../../tests/data/golden
    python3 make_golden.py --of CHECKPOINT
        for each line {"folder", "frame" (of the picture), "q", "grid", "turns" (questions in the prompt),
        "seed" (of its tokens), "max_new", "reserve" or "reach" (positions after the prompt or with it),
        "shared"} of the standard input a case in that folder; then the folder on the standard output.
        shared: the frame and q are those of the line before, whose folder has what depends on them alone.
    python3 make_golden.py --config CHECKPOINT...
        config_read.json, rope_short.npy and rope_long.npy in each: what config.json says"""

import json
import os
import re
import sys

import numpy as np
import torch

from fusion import FusionConfig, FusionModel, load_model
from fusion import tokenizer as bpe
from fusion.checkpoint import export
from fusion.decoder import rotary_table
from fusion.losses import semantic_mapping_loss

VISION = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "image_size": 48,
          "patch_size": 8, "num_hidden_layers": 4, "used_layers": 3, "early_layers": 2,
          "connector": [2, 3], "layer_norm_eps": 1e-6}
COMMON = {"rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
          "mm_vision_tower": "tiny", "mm_hidden_size": 32, "mm_projector_type": "mlp2x_gelu",
          "query_len": "4,16", "window_size": 3, "num_of_vision_sampler_layers": 2,
          "start_of_vision_sampler_layers": 0, "stride_of_vision_sampler_layers": 2,
          "image_aspect_ratio": "static_hd", "mm_use_im_start_end": True, "vision_config": VISION}
PHI_SYSTEM = "You are a helpful AI assistant."
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def phi_config(tokenizer):
    return dict(COMMON, model_type="fusion_phi", vocab_size=len(tokenizer.vocab) + len(tokenizer.added),
                hidden_size=48, intermediate_size=80, num_hidden_layers=4, num_attention_heads=3,
                num_key_value_heads=3, rope_theta=10000.0, max_position_embeddings=256,
                original_max_position_embeddings=80, vision_sampler_heads=3,
                bos_token_id=tokenizer.special["<|endoftext|>"],
                eos_token_id=tokenizer.special["<|end|>"],
                pad_token_id=tokenizer.special["<|endoftext|>"],
                rope_scaling={"type": "longrope",
                              "short_factor": [1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35],
                              "long_factor": [1.0, 2.5, 4.0, 5.5, 7.0, 8.5, 10.0, 11.5]})


def llama_config():
    return dict(COMMON, model_type="fusion_llama", vocab_size=260, hidden_size=64,
                intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=2, rope_theta=500000.0, max_position_embeddings=512,
                vision_sampler_heads=4, bos_token_id=257, eos_token_id=[258, 259],
                rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                              "high_freq_factor": 4.0, "original_max_position_embeddings": 64})


def random_model(config, seed):
    """Weights large enough that every block leaves a trace, rounded to what F16 holds."""
    torch.manual_seed(seed)
    model = FusionModel(FusionConfig(config))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(std=0.5 if "embed" in name and p.dim() == 2 else p[0].numel() ** -0.5)
            elif name.endswith("bias"):
                p.normal_(std=0.1)
            else:
                p.normal_(mean=1.0, std=0.1)
    return model


def random_tiles(seed, side):
    """Smooth colour fields with some noise, uint8 [5, 3, s, s]"""
    rs = np.random.RandomState(seed)
    coarse = torch.from_numpy(rs.uniform(0, 255, (5, 3, 5, 5))).float()
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bilinear", align_corners=True)
    return np.clip(smooth.numpy() + rs.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


# What lies between the stages that every golden case has.
BETWEEN = re.compile(r"decoder_|tiles_|context_\d|step_|guided_features|guided_hidden_([1-9])")


def write_case(folder, model, tiles, instruction, pieces, q, extra, layers=False, frame=None, **more):
    """`frame`: a dict, of what write_case left there for the same tiles and q, or empty."""
    os.makedirs(folder, exist_ok=True)
    pixels = torch.from_numpy(tiles).float() / 255 * 2 - 1
    stages = {}
    if not frame:
        frame = {} if frame is None else frame
        frame["looked"] = model.look(pixels[:4], q, stages)
    out = model.answer(pixels, instruction, pieces, q, looked=frame["looked"], **dict({"max_new": 8}, **more))
    out.update(stages)
    np.save(os.path.join(folder, "tiles_u8.npy"), tiles)
    for name, value in out.items():
        if torch.is_tensor(value) and (layers or not BETWEEN.match(name)):
            np.save(os.path.join(folder, name + ".npy"), value.float().contiguous().numpy())
    with torch.no_grad():
        states, features, text = model.guided(pixels[4:], torch.tensor([instruction]))
        losses = [float(x) for x in semantic_mapping_loss(model, states, features, text)]
    turns = out["turns"]
    case = {"instruction_ids": instruction,
            "prompt": {"before": pieces[0], "between": pieces[1], "after": pieces[2]}, "q": q,
            "instruct_pos": [last for _, last in turns],
            "latent_pos": [turns[0][0], turns[0][0] + q - 1],
            "sequence_length": out["sequence_length"], "greedy_ids": out["greedy_ids"],
            "greedy_margins": out["greedy_margins"],
            "mapping_loss": {"text": losses[0], "vision": losses[1]}}
    if len(pieces) > 3:
        case["questions"] = [{"before": a, "after": b} for a, b in zip(pieces[3::2], pieces[4::2])]
        case["latent_spans"] = [[first, first + q - 1] for first, _ in turns]
    case.update(extra)
    with open(os.path.join(folder, "case.json"), "w", encoding="utf-8") as f:
        json.dump(case, f, indent=1)
        f.write("\n")


def make_phi(folder):
    special = ["<|endoftext|>", *ROLES, "<vision_start>", "<vision_end>"]
    words = {"Is there a car in the picture?": 9, "What color is the ball?": 7, "yes": 5, "no": 5,
             "You are a helpful AI assistant.": 8, "How many people are there?": 6}
    tokenizer = bpe.train(words, 320, special)
    for token in tokenizer.added:
        token["rstrip"] = token["content"] in ROLES
    tokenizer = bpe.Tokenizer(tokenizer.vocab, tokenizer.merges, tokenizer.added)
    config = phi_config(tokenizer)
    generation = {"eos_token_id": [tokenizer.special["<|end|>"],
                                   tokenizer.special["<|endoftext|>"]], "max_new_tokens": 8}
    export(folder, random_model(config, 11).state_dict(), config, generation, tokenizer)
    texts = ["Is there a car?", "  What color\tis the ball ?\n", "THE Car, 42 times!", "l'\u00e9t\u00e9 \u65e5\u672c \U0001f697",
             "<|user|>\n\n hi<|end|> <vision_start> x<vision_end>\n", "don't  stop", "", "\n\n \n"]
    with open(os.path.join(folder, "tokenizer_cases.json"), "w", encoding="utf-8") as f:
        json.dump([{"text": t, "ids": tokenizer.encode(t)} for t in texts], f, indent=1)
        f.write("\n")
    model = load_model(folder)
    before = "<|system|>\n" + PHI_SYSTEM + "<|end|>\n<|user|>\n<vision_start>"
    for q, question, seed in ((4, "Is there a car?", 1),
                              (16, "How many people are there in the picture, and what color is the "
                               "ball that one of them holds?", 2)):
        pieces = [before, "<vision_end><vision_start>",
                  "<vision_end>\n" + question + "<|end|>\n<|assistant|>\n"]
        write_case(os.path.join(folder, "case-q%d" % q), model, random_tiles(seed, 48),
                   tokenizer.encode(question), [tokenizer.encode(p) for p in pieces], q,
                   {"question": question})


def make_llama(folder):
    config = llama_config()
    generation = {"eos_token_id": [258, 259], "max_new_tokens": 8}
    export(folder, random_model(config, 12).state_dict(), config, generation)
    model = load_model(folder)
    rs = np.random.RandomState(3)
    ids = lambda n: [int(x) for x in rs.randint(0, 256, n)]
    for q in (4, 16):
        question = ids(7)
        pieces = [[257] + ids(11), ids(2), ids(2) + question + ids(4)]
        write_case(os.path.join(folder, "case-q%d" % q), model, random_tiles(q, 48), question, pieces,
                   q, {})
    first, second, third = ids(6), ids(5), ids(8)
    pieces = [[257] + ids(9), ids(2), ids(2) + first + ids(4),
              ids(3) + ids(4), ids(1) + second + ids(4),        # an answer and the next turn's head
              ids(2) + ids(4), ids(1) + third + ids(4)]
    write_case(os.path.join(folder, "case-conversation-q4"), model, random_tiles(9, 48),
               first + second + third, pieces, 4, {})


def random_prompt(rs, vocab, turns):
    """Instruction ids and the pieces of a prompt, with as many questions."""
    ids = lambda n: [int(x) for x in rs.randint(0, vocab, n)]
    questions = [ids(rs.randint(3, 25)) for _ in range(turns)]
    pieces = [ids(12), ids(2), ids(2) + questions[0] + ids(4)]
    for question in questions[1:]:
        pieces += [ids(9), ids(1) + question + ids(4)]      # an answer and the next turn's head; the question
    return sum(questions, []), pieces


def make_of(folder, lines):
    torch.set_num_threads(1)            # other tests run beside it
    model = load_model(folder)
    side, frame = model.config.vision.side, {}
    for ask in map(json.loads, lines):
        if not ask["shared"]:
            frame = {}
        instruction, pieces = random_prompt(np.random.RandomState(ask["seed"]), model.config.vocab, ask["turns"])
        grid = ask["grid"]
        length = (grid or model.config.vision.grid) ** 2 + ask["turns"] * ask["q"] + sum(map(len, pieces))
        reserve = ask["reserve"] if "reserve" in ask else max(ask["reach"] - length, 0)
        write_case(ask["folder"], model, random_tiles(ask["frame"], side), instruction, pieces,
                   ask["q"], {"grid": grid, "reserve": reserve}, layers=True, frame=frame, grid=grid,
                   reserve=reserve, max_new=ask["max_new"])
        print(ask["folder"], flush=True)


def make_config(folder, positions=8192):
    c = FusionConfig.load(folder)
    for name, long_range in (("short", False), ("long", True)):
        cos, sin = rotary_table(c, positions, long_range)
        half = c.head_dim // 2
        np.save(os.path.join(folder, "rope_%s.npy" % name), torch.cat([cos[:, :half], sin[:, :half]], 1).numpy())
    v = c.vision
    read = {"width": c.width, "mlp": c.mlp, "layers": c.layers, "heads": c.heads, "kv_heads": c.kv_heads,
            "head_dim": c.head_dim, "vocab": c.vocab, "fused": c.fused, "tied": c.tied, "eps": c.eps,
            "max_positions": c.max_positions, "query_len": c.query_lens, "window": c.window,
            "align": [c.alignment_layers, c.alignment_start, c.alignment_stride, c.alignment_heads],
            "vision": [v.width, v.mlp, v.heads, v.side, v.patch, v.grid, v.file_layers, v.used_layers,
                       v.early_layers, *v.connector]}
    with open(os.path.join(folder, "config_read.json"), "w", encoding="utf-8") as f:
        json.dump(read, f)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--of":
        return make_of(sys.argv[2], sys.stdin)
    if len(sys.argv) > 2 and sys.argv[1] == "--config":
        for folder in sys.argv[2:]:
            make_config(folder)
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_phi(os.path.join(sys.argv[1], "phi"))
    make_llama(os.path.join(sys.argv[1], "llama"))


if __name__ == "__main__":
    main()
