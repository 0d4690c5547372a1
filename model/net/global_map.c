/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The global map: the four tiles' projected features as one grid, and what is pooled from it: the
 * initial latent tokens and the context map.
 */
#include <math.h>

#include "net_priv.h"

static uint32_t
side_of(uint32_t q)
{
    return (uint32_t) lround(sqrt(q));
}

net_global_mem
net_global_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t q)
{
    uint32_t D = c->llm.width, P = c->vision.patches, w = c->align.window;
    return (net_global_mem){
        .hidden = net_mat(a, 4 * P, D, act),
        .tokens = net_mat(a, 4 * P, D, act),
        .map = net_mat(a, 4 * P, D, act),
        .context = net_mat(a, q * w * w, D, act),
    };
}

void
net_global_run(const net_pass *p, net_global_mem *mem, ops_mat features, ops_mat latents)
{
    uint32_t g = p->c->vision.grid, w = p->c->align.window;
    uint32_t r = side_of(latents.rows);
    uint64_t D = p->c->llm.width;

    net_projector(p, p->w->mm_projector, features, mem->hidden, mem->tokens);
    ops_join_tiles(p->o, p->cmd, mem->tokens, 2, g, mem->map); /* [2g, 2g, D] */
    ops_adaptive_max_pool(p->o, p->cmd, mem->map, 2 * g, latents, r, 1);
    ops_adaptive_max_pool(p->o, p->cmd, mem->map, 2 * g, mem->context, r * w, w);

    net_tap_shaped(p->o, p->rec, "global_map", mem->map, 3, (uint64_t[]){2 * g, 2 * g, D}, 0, 1);
    net_tap(p->o, p->rec, "latents_0", latents);
    net_tap_shaped(p->o, p->rec, "context_map", mem->context, 2, (uint64_t[]){mem->context.rows, D},
                   r * w, w);
}
