/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checkpoint_maker.h: writes checkpoints in the layout of the published ones, with random weights
 * of sane scales: config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
 * either model.safetensors or shards with their index. Any geometry, the published ones by name, at
 * full size or with reduced widths: layer counts, head dimensions and token counts stay. Tensors
 * are made and written in pieces, so that a full-size checkpoint takes a few MB of memory. GLib
 * only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct {
    const char *name;  /* of the folder */
    bool llama;        /* else Phi: fused qkv_proj and gate_up_proj */
    const char *tower; /* mm_vision_tower */
    /* language model */
    uint32_t width, mlp, layers, heads, kv_heads, head_dim;
    uint32_t vocab; /* rows of the embedding */
    /* vision encoder: layers of the backbone */
    uint32_t v_width, v_mlp, v_layers, v_heads, side, patch;
    /* alignment layers; 16 heads in the published ones */
    uint32_t align, start, stride, align_heads;
    /* The sizes above are not those that the tower's name implies: config.json says them, and the
     * numbers of heads of the alignment layers. */
    bool own_sizes;
    /* Of vision_config too, where they are not 0: what else a name implies. */
    uint32_t v_used, v_early, v_connector[2];
    uint32_t original_positions; /* of rotary scaling; 0: as published */
    bool tied;                   /* the output matrix is the embedding */
} checkpoint_geometry;

/* One of FUSION-Phi3.5-3B, FUSION-X-Phi3.5-3B, FUSION-LLaMA3.1-8B, FUSION-X-LLaMA3.1-8B, in any
 * case. FALSE: none of them. */
bool checkpoint_geometry_named(checkpoint_geometry *g, const char *name);
/* The names, NULL-terminated. */
const char *const *checkpoint_geometry_names(void);
/* Divides the widths and the numbers of heads by 2, 4, 8 or 16; head dimensions, layers, patches
 * and the vocabulary stay. FALSE: the divisor does not divide the numbers of heads. */
bool checkpoint_geometry_reduce(checkpoint_geometry *g, uint32_t divisor);

typedef struct {
    checkpoint_geometry geometry;
    const char *dtype;    /* "BF16" (NULL too), "F16" or "F32" */
    uint64_t shard_bytes; /* at most so many bytes of tensors in a file; 0: one file alone */
    uint32_t seed;
    /* Faults and oddities: names of tensors, or NULL. */
    const char *leave_out;   /* not written */
    const char *wrong_shape; /* one row too many */
    const char *not_finite;  /* its last value is NaN */
    const char *outlier;     /* its last value is 1e6 */
    const char *scaled;      /* all its values times scale */
    double scale;
    bool no_markers;  /* tokenizer without <vision_start> and <vision_end> */
    bool hollow;      /* the tensors are zeros in files without blocks: any size, at once */
    bool stale_vocab; /* vocab_size of config.json is 2 below the rows of the embedding */
} checkpoint_options;

/* Bytes of tensors. */
uint64_t checkpoint_bytes(const checkpoint_options *o);
/* Writes the checkpoint into `folder`, which is made if it is not there. */
bool checkpoint_make(const checkpoint_options *o, const char *folder, GError **error);

/* The files beside the tensors alone: for what is known before any weight is read. */
bool checkpoint_write_texts(const checkpoint_options *o, const char *folder, GError **error);
/* Deletes the folder and the files in it, and frees the string; NULL is fine. */
void checkpoint_remove(char *folder);

G_END_DECLS
