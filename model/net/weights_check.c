/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <string.h>

#include "tensors.h"

#define MAX_LISTED 20

static void list_fault(GString *text, unsigned *n, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void
list_fault(GString *text, unsigned *n, const char *format, ...)
{
    if ((*n)++ >= MAX_LISTED)
        return;
    va_list args;
    va_start(args, format);
    g_string_append(text, "\n  ");
    g_string_append_vprintf(text, format, args);
    va_end(args);
}

static bool
same_shape(const uint64_t *shape, unsigned n_dims, const fmt_tensor *found)
{
    return n_dims == found->n_dims && memcmp(shape, found->shape, n_dims * sizeof *shape) == 0;
}

static void
compare(const char *name, const uint64_t *shape, unsigned n_dims, const fmt_tensor *found,
        GString *text, unsigned *n)
{
    g_autofree char *expected = fmt_shape_string(shape, n_dims);
    if (!found) {
        list_fault(text, n, "missing: %s %s", name, expected);
    } else if (!same_shape(shape, n_dims, found)) {
        g_autofree char *is = fmt_shape_string(found->shape, found->n_dims);
        list_fault(text, n, "wrong shape: %s: expected %s, found %s in %s", name, expected, is,
                   found->file);
    }
}

bool
net_check_tensors(const net_binder *b, const fmt_checkpoint *checkpoint, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned n = 0;

    for (guint i = 0; i < b->tensors->len; i++) {
        const net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, i);
        if (!g_hash_table_add(known, t->name))
            continue;
        const fmt_tensor *found = fmt_checkpoint_find(checkpoint, t->name);
        if (found && net_is_codes(t, found)) {
            bool q4 = found->dtype == FMT_U8;
            const uint64_t codes[2] = {t->shape[0], q4 ? (t->shape[1] + 1) / 2 : t->shape[1]};
            const uint64_t scales[2] = {t->shape[0], (t->shape[1] + OPS_GROUP - 1) / OPS_GROUP};
            char *name = net_scale_name(t->name);
            const fmt_tensor *scale = fmt_checkpoint_find(checkpoint, name);
            g_hash_table_add(known, name);
            g_ptr_array_add(names, name);
            compare(t->name, codes, 2, found, text, &n);
            compare(name, scales, 2, scale, text, &n);
            if (scale && scale->dtype != FMT_F16)
                list_fault(text, &n, "wrong type: %s: expected F16, found %s", name,
                           scale->dtype_name);
            continue;
        }
        compare(t->name, t->shape, t->n_dims, found, text, &n);
        if (found && !fmt_is_float(found->dtype))
            list_fault(text, &n, "wrong type: %s: expected F32, F16 or BF16, found %s", t->name,
                       found->dtype_name);
    }
    for (guint i = 0; i < fmt_checkpoint_size(checkpoint); i++) {
        const fmt_tensor *t = fmt_checkpoint_nth(checkpoint, i);
        if (!g_hash_table_contains(known, t->name) && !net_is_unused_tensor(b->c, t->name))
            list_fault(text, &n, "unexpected: %s (in %s)", t->name, t->file);
    }
    if (!n)
        return true;
    if (n > MAX_LISTED)
        g_string_append_printf(text, "\n  and %u more", n - MAX_LISTED);
    g_set_error(error, NET_ERROR, NET_ERROR_WEIGHTS,
                "%s: %u tensor%s not fit its config.json (%s); get both from one checkpoint:%s",
                fmt_checkpoint_folder(checkpoint), n, n == 1 ? " does" : "s do", b->c->model_type,
                text->str);
    return false;
}

bool
net_model_check(const net_config *config, const fmt_checkpoint *checkpoint, GError **error)
{
    net_weights w;
    net_binder b;

    net_weights_init(&w, config);
    net_binder_init(&b, &w, config, NET_F32);
    bool ok = net_check_tensors(&b, checkpoint, error);
    net_binder_clear(&b);
    net_weights_clear(&w, config);
    return ok;
}
