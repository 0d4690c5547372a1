// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fmt_safetensors.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    fuzz_write("model.safetensors", data, size);
    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(fuzz_folder(), &error);
    fuzz_check((cp != NULL) == (error == NULL));
    for (guint i = 0; cp && i < fmt_checkpoint_size(cp); i++) {
        const fmt_tensor *t = fmt_checkpoint_nth(cp, i);
        float out[16];
        g_free(fmt_shape_string(t->shape, t->n_dims));
        fuzz_check(fmt_checkpoint_find(cp, t->name) == t);
        fuzz_check(t->size <= size);
        for (guint64 at = 0; fmt_is_float(t->dtype) && at < t->n_elements; at += 16)
            fmt_tensor_to_f32(t, at, MIN(16, t->n_elements - at), out);
    }
    return 0;
}
