/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tensors.h: every tensor of a checkpoint is declared: its name, its shape, and where it goes. The
 * declarations serve comparing with a checkpoint (all faults in one error), loading, random values,
 * files to write, and predicting the memory.
 */
#pragma once

#include "net_priv.h"

G_BEGIN_DECLS

/* One tensor of the checkpoint. */
typedef struct {
    char *name;
    unsigned n_dims;
    uint64_t shape[4];
    bool codes; /* may be codes in a file: [n, k] of a product */
} net_tensor_decl;

typedef enum { NET_TO_WEIGHT, NET_TO_VECTOR, NET_TO_TABLE } net_decl_kind;

/* What becomes of some tensors, stacked: the weight of a product, a vector, or a table of rows. */
typedef struct {
    net_decl_kind kind;
    union {
        ops_weight **weight;
        gpu_buf **vector; /* f32 */
        net_table *table;
    } to;
    unsigned first, n; /* tensors */
    uint32_t rows, cols;
    ops_dtype store;
    bool interleave;
    bool whole; /* tables: in one buffer */
    float fill; /* vectors of random models: this plus small noise */
} net_decl;

typedef struct {
    const net_config *c;
    net_weights *w;
    ops_dtype act;          /* activations' and tables' type */
    ops_dtype store;        /* of the products that are declared next */
    ops_dtype fine, coarse; /* stores: of what is kept finer, and of the decoder's layers */
    GArray *tensors;        /* net_tensor_decl */
    GArray *decls;
    const char *prefix;
} net_binder;

/* An empty *w with room for the blocks of a configuration; net_weights_clear frees it. */
void net_weights_init(net_weights *w, const net_config *c);
/* Declares everything that a model of this configuration has in this precision, with the places in
 * *w, which is only looked at. */
void net_binder_init(net_binder *b, net_weights *w, const net_config *c, net_precision precision);
void net_binder_clear(net_binder *b);

/* Tensors that published files hold and the model never uses: encoder layers above those used, the
 * encoder's last norm and pooling head, tables of positions, an output matrix beside a tied one. */
bool net_is_unused_tensor(const net_config *c, const char *name);
/* Whether a file holds codes of q8 or q4 where a product's weight is declared; their scales lie
 * beside them. */
bool net_is_codes(const net_tensor_decl *t, const fmt_tensor *found);
char *net_scale_name(const char *weight); /* free with g_free */

/* Compares with a checkpoint: NET_ERROR_WEIGHTS with all that is missing, unexpected or of the
 * wrong shape. */
bool net_check_tensors(const net_binder *b, const fmt_checkpoint *checkpoint, GError **error);

G_END_DECLS
