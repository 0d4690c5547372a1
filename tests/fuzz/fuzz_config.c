// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a config.json; what it describes is sized and its tables are made. */

#include "fuzz.h"
#include "net_priv.h"

#include <math.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    fuzz_write("config.json", data, size);
    g_autoptr(net_config) c = net_config_load(fuzz_folder(), &error);
    fuzz_check((c != NULL) == (error == NULL));
    fuzz_say(error);
    if (!c)
        return 0;

    fuzz_check(c->vision.patches == c->vision.grid * c->vision.grid && c->vision.patches > 0);
    fuzz_check(c->vision.layers > 0 && c->vision.layers <= c->vision.backbone_layers);
    fuzz_check(c->vision.connector_a > 0 && c->vision.connector_a < c->vision.connector_b);
    fuzz_check(c->llm.heads % c->llm.kv_heads == 0);
    fuzz_check(c->align.start + (uint64_t) (c->align.layers - 1) * c->align.stride < c->llm.layers);
    fuzz_check(net_model_predict_bytes(c, NET_F32, 64, 1, 1) > net_weights_bytes(c, NET_Q4));

    enum { POSITIONS = 4 };
    float *table = g_new(float, (size_t) POSITIONS * c->llm.head_dim);
    for (int i = 0; i < 2 && (i == 0 || c->llm.rope.long_factor); i++) {
        net_rope_table(c, i, POSITIONS, table);
        for (uint32_t k = 0; k < POSITIONS * c->llm.head_dim; k++)
            fuzz_check(isfinite(table[k]));
    }
    g_free(table);
    return 0;
}
