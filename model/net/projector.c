/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net_priv.h"

void
net_product(const net_pass *p, const net_linear *l, ops_mat a, ops_act act, const ops_mat *residual,
            ops_mat out)
{
    const ops_matmul_args args = {
        .a = a, .w = l->w, .bias = l->bias, .act = act, .residual = residual, .out = out};
    ops_matmul(p->o, p->cmd, &args);
}

void
net_projector(const net_pass *p, const net_linear proj[2], ops_mat x, ops_mat hidden, ops_mat out)
{
    net_product(p, &proj[0], x, OPS_ACT_GELU_ERF, NULL, hidden);
    net_product(p, &proj[1], hidden, OPS_ACT_NONE, NULL, out);
}
