# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sizes, tokenizer, prompt and schedule of the models that this folder trains."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from fusion import tokenizer as bpe  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<vision_start>",
           "<vision_end>", "<|pad|>"]

# No system text: a short prompt is a fast one. The pieces enter the prompt as they stand here.
CONVERSATION = {"system": "", "system_prefix": "", "system_suffix": "", "user_prefix": "<|user|>",
                "user_suffix": "<|end|>", "assistant_prefix": "<|assistant|>",
                "assistant_suffix": "<|end|>"}

# stages: (name, share of the run). language: text alone. encoder: pictures without the decoder.
# align: captions and single attributes. fusion: all families. instruct: the final mixture.
# pictures: distinct pictures of a step; questions: of each; whole: of how many of them an encoder step
# looks at the four tiles; ring: pictures kept; views: how often each is used; nouns: what scenes show, else all;
# things: how many at most, else as the grammar has it.
# What a model learns that only a CPU trains: the things that cameras see most, and few of them at a time. "person"
# is man, woman and child: at 16 pixels a cell their difference takes more pictures than a CPU can show.
COMMON = ["person", "car", "bus", "truck", "bicycle", "motorbike", "dog", "cat", "chair", "table", "door", "tree", "box",
          "sign"]
RECIPES = {
    "cpu": {
        "nouns": COMMON, "things": 6,
        "vision": {"hidden_size": 192, "intermediate_size": 576, "num_attention_heads": 6, "image_size": 128},
        "decoder": {"hidden_size": 192, "intermediate_size": 512, "heads": 6},
        "alignment": 2, "vocabulary": 1024, "latents": {16: 0.8, 4: 0.1, 36: 0.1},
        "stages": [("language", 0.02), ("encoder", 0.34), ("align", 0.02), ("fusion", 0.28), ("instruct", 0.34)],
        "encoder_step": {"pictures": 24, "questions": 2, "whole": 10},
        "question_step": {"pictures": 8, "questions": 6},
        "rate": 1e-3, "workers": 2, "pools": 1, "ring": 20000, "views": 4, "ahead": 1500, "text": 0.1,
        "pool_rate": 6, "pool_nice": 2,
    },
    "gpu": {
        "vision": {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 4, "image_size": 192},
        "decoder": {"hidden_size": 256, "intermediate_size": 768, "heads": 4},
        "alignment": 3, "vocabulary": 2048, "latents": {16: 0.6, 4: 0.15, 36: 0.15, 64: 0.1},
        "stages": [("language", 0.04), ("encoder", 0.30), ("align", 0.08), ("fusion", 0.18), ("instruct", 0.40)],
        "encoder_step": {"pictures": 1024, "questions": 2, "whole": 1024},
        "question_step": {"pictures": 256, "questions": 6},
        "rate": 1.5e-3, "workers": 1, "pools": 14, "ring": 60000, "views": 6, "ahead": 20000, "text": 1.0,
        "pool_rate": 0, "pool_nice": 0,
    },
    # For trials of the code itself.
    "tiny": {
        "vision": {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "image_size": 128},
        "decoder": {"hidden_size": 64, "intermediate_size": 128, "heads": 2},
        "alignment": 2, "vocabulary": 640, "latents": {16: 0.7, 4: 0.3},
        "stages": [("language", 0.1), ("encoder", 0.3), ("align", 0.1), ("fusion", 0.2), ("instruct", 0.3)],
        "encoder_step": {"pictures": 6, "questions": 2, "whole": 2},
        "question_step": {"pictures": 4, "questions": 3},
        "rate": 1e-3, "workers": 1, "pools": 1, "ring": 600, "views": 4, "ahead": 400, "text": 0.3,
        "pool_rate": 0, "pool_nice": 0,
    },
}
# The families' shares where there is no decoder's limit; "text" is scaled by the recipe.
FAMILY_WEIGHTS = {"presence": 1.6, "attribute": 1.4, "colour": 2.4, "count": 1.6, "spatial": 2.5, "posture": 1.0,
                  "scene": 0.7, "indoors": 0.3, "time": 0.4, "text": 1.0, "comparison": 1.1, "caption": 0.8,
                  "absent": 0.5}

# Words beyond the synthetic language, so that other questions stay short too.
MORE_WORDS = """the of to and in is it you that he was for on are with as at be this have from or one had
by word but not what all were we when your can said there use an each which she do how their if will up
other about out many then them these so some her would make like him into time has look two more write go
see number no way could people my than first water been call who oil its now find long down day did get
come made may part man woman child hand dog cat bus truck van bird horse chair table door gate window open
closed road street wall floor sky grass house room left right near front behind under over small big large
smoke fire light dark hat wearing holding sitting standing walking moving empty full""".split()


def model_config(recipe, tokenizer, query_lens=None, alignment=True):
    """The config.json of a recipe's model."""
    v, d = recipe["vision"], recipe["decoder"]
    lens = query_lens or sorted(recipe["latents"], key=lambda q: -recipe["latents"][q])
    return {
        "architectures": ["FusionPhiForCausalLM"], "model_type": "fusion_phi",
        "vocab_size": len(tokenizer.vocab) + len(tokenizer.added),
        "hidden_size": d["hidden_size"], "intermediate_size": d["intermediate_size"],
        "num_hidden_layers": d.get("layers", 4 if recipe["alignment"] == 2 else 6),
        "num_attention_heads": d["heads"], "num_key_value_heads": d["heads"],
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
        "max_position_embeddings": 2048, "original_max_position_embeddings": 2048,
        "hidden_act": "silu", "tie_word_embeddings": False,
        "bos_token_id": tokenizer.special["<|endoftext|>"],
        "eos_token_id": tokenizer.special["<|end|>"],
        "pad_token_id": tokenizer.special["<|pad|>"],
        "mm_vision_tower": "fusion-nano", "mm_hidden_size": v["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "query_len": ",".join(str(q) for q in lens), "window_size": 3,
        "num_of_vision_sampler_layers": recipe["alignment"] if alignment else 0,
        "start_of_vision_sampler_layers": 0, "stride_of_vision_sampler_layers": 2,
        "vision_sampler_heads": d["heads"], "image_aspect_ratio": "static_hd", "mm_use_im_start_end": True,
        "vision_config": dict(v, patch_size=16, num_hidden_layers=6, used_layers=6, early_layers=3,
                              connector=[3, 6], hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6),
        "conversation": CONVERSATION,
    }


def generation_config(tokenizer, most=64):
    return {"bos_token_id": tokenizer.special["<|endoftext|>"],
            "eos_token_id": [tokenizer.special["<|end|>"], tokenizer.special["<|endoftext|>"]],
            "pad_token_id": tokenizer.special["<|pad|>"], "do_sample": False, "max_new_tokens": most}


def prompt_pieces(question):
    """The three text pieces of a prompt with one question: before place [1], between, after [2]."""
    c = CONVERSATION
    return (c["system_prefix"] + c["system"] + c["system_suffix"] + c["user_prefix"]
            + "<vision_start>", "<vision_end><vision_start>",
            "<vision_end>\n" + question + c["user_suffix"] + c["assistant_prefix"])


def later_pieces(answer, question):
    """The two text pieces of a later question: from the answer before it to its latents, and after them."""
    c = CONVERSATION
    return (answer + c["assistant_suffix"] + c["user_prefix"] + "<vision_start>",
            "<vision_end>" + question + c["user_suffix"] + c["assistant_prefix"])


def build_tokenizer(size, questions, words, seed=1):
    """Byte-level BPE of the synthetic language: `questions` as the pool made them, `words` the names of
    things, places and colours."""
    texts = {}
    for q in questions:
        for text in (q["text"], q["answer"]):
            texts[text] = texts.get(text, 0) + 1
    total = max(1, len(questions) // 20000)
    for word in MORE_WORDS:
        texts[" " + word] = texts.get(" " + word, 0) + 12 * total
    # Every name with and without the space before it, as an answer begins without one.
    for w in words:
        texts[w] = texts.get(w, 0) + 40 * total
        texts[" " + w] = texts.get(" " + w, 0) + 40 * total
        texts[w[:1].upper() + w[1:]] = texts.get(w[:1].upper() + w[1:], 0) + 20 * total
    return bpe.train(texts, size, SPECIAL)


def family_weights(progress, text):
    """Single attributes before pairs, pairs before relations. `progress` through the whole run."""
    table = dict(FAMILY_WEIGHTS, text=text)
    if progress < 0.15:
        table.update(spatial=0.7, comparison=0.2, attribute=0.9, count=1.2)
    return table


def language(rng, scenes):
    """(questions, names): questions and captions about so many scenes that nobody drew, and the words of the
    grammar, for the tokenizer."""
    from scenes import grammar, scene as s, vocabulary
    from scenes.imagined import imagine
    from scenes.questions import QuestionMaker
    maker, out = QuestionMaker(rng), []
    for _ in range(scenes):
        scene = grammar.make_scene(rng, progress=rng.random())
        out.append({"text": scene.caption, "answer": "", "family": "words"})
        for q in maker.ask(scene, imagine(rng, scene), 8):
            out.append({"text": q.text, "answer": q.answer, "family": q.family})
    names = [n for n in vocabulary.NOUNS] + [vocabulary.plural(n) for n in vocabulary.NOUNS]
    names = sorted({w for n in names for w in n.split(" ")})
    return out, names + s.COLOURS + s.POSTURES + s.TIMES + [
        "yes", "no", "left", "right", "middle", "nothing", "indoors", "outdoors", "behind", "front"]
