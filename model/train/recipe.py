# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sizes and the prompt of the model that ships."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from fusion import tokenizer as bpe  # noqa: E402
from scenes2d import COLOURS, KINDS  # noqa: E402
from scenes2d.questions import Object, QuestionMaker, templates  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<vision_start>",
           "<vision_end>", "<|pad|>"]

# No system text: a short prompt is a fast one. The pieces enter the prompt as they stand here.
CONVERSATION = {"system": "", "system_prefix": "", "system_suffix": "", "user_prefix": "<|user|>",
                "user_suffix": "<|end|>", "assistant_prefix": "<|assistant|>",
                "assistant_suffix": "<|end|>"}

# Words beyond the synthetic language, so that other questions stay short too.
MORE_WORDS = """the of to and in is it you that he was for on are with as at be this have from or one had
by word but not what all were we when your can said there use an each which she do how their if will up
other about out many then them these so some her would make like him into time has look two more write go
see number no way could people my than first water been call who oil its now find long down day did get
come made may part man woman child hand dog cat bus truck van bird horse chair table door gate window open
closed road street wall floor sky grass house room left right near front behind under over small big large
smoke fire light dark hat wearing holding sitting standing walking moving empty full""".split()


def nano_config(vocab, tokenizer):
    return {
        "architectures": ["FusionPhiForCausalLM"], "model_type": "fusion_phi",
        "vocab_size": vocab, "hidden_size": 128, "intermediate_size": 320,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
        "max_position_embeddings": 2048, "original_max_position_embeddings": 2048,
        "hidden_act": "silu", "tie_word_embeddings": False,
        "bos_token_id": tokenizer.special["<|endoftext|>"],
        "eos_token_id": tokenizer.special["<|end|>"],
        "pad_token_id": tokenizer.special["<|pad|>"],
        "mm_vision_tower": "fusion-nano", "mm_hidden_size": 128, "mm_projector_type": "mlp2x_gelu",
        "query_len": "16,4", "window_size": 3, "num_of_vision_sampler_layers": 2,
        "start_of_vision_sampler_layers": 0, "stride_of_vision_sampler_layers": 2,
        "vision_sampler_heads": 4, "image_aspect_ratio": "static_hd", "mm_use_im_start_end": True,
        "vision_config": {"hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 4,
                          "image_size": 96, "patch_size": 16, "num_hidden_layers": 6,
                          "used_layers": 6, "early_layers": 3, "connector": [3, 6],
                          "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
        "conversation": CONVERSATION,
    }


def generation_config(tokenizer):
    return {"bos_token_id": tokenizer.special["<|endoftext|>"],
            "eos_token_id": [tokenizer.special["<|end|>"], tokenizer.special["<|endoftext|>"]],
            "pad_token_id": tokenizer.special["<|pad|>"], "do_sample": False, "max_new_tokens": 8}


def prompt_pieces(question):
    """The three text pieces of a prompt with one question: before place [1], between, after [2]."""
    c = CONVERSATION
    return (c["system_prefix"] + c["system"] + c["system_suffix"] + c["user_prefix"]
            + "<vision_start>", "<vision_end><vision_start>",
            "<vision_end>\n" + question + c["user_suffix"] + c["assistant_prefix"])


def build_tokenizer(size=768, seed=1):
    """Byte-level BPE of the synthetic language."""
    rng = random.Random(seed)
    maker = QuestionMaker(rng)
    texts = {}
    for _ in range(20000):
        things = [Object(rng.choice(list(KINDS)), rng.choice(list(COLOURS)), rng.random(),
                         rng.random()) for _ in range(rng.randint(0, 4))]
        q = maker.ask(things, rng.choice([None, "indoors", "outdoors"]))
        for text in (q.text, q.answer):
            texts[text] = texts.get(text, 0) + 1
    for word in MORE_WORDS:
        texts[" " + word] = texts.get(" " + word, 0) + 12
    for t in templates():
        texts[t.format(n="car", p="cars", a="car", b="ball", c="red")] = 20
    # Every name with and without the space before it, as an answer begins without one.
    for kind, (_, _, plural) in KINDS.items():
        for w in (kind, plural):
            texts[w] = texts.get(w, 0) + 40
    for w in list(COLOURS) + ["yes", "no", "left", "right", "above", "below", "nothing"]:
        texts[w] = texts.get(w, 0) + 400
    return bpe.train(texts, size, SPECIAL)
