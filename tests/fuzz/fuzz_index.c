// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a model.safetensors.index.json beside two good shards. */

#include "fmt_safetensors.h"
#include "fuzz.h"

static void
write_shard(const char *name, const char *tensor)
{
    g_autofree char *json = g_strdup_printf(
        "{\"%s\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", tensor);
    guint64 length = GUINT64_TO_LE((guint64) strlen(json));
    GByteArray *bytes = g_byte_array_new();
    g_byte_array_append(bytes, (const guint8 *) &length, sizeof length);
    g_byte_array_append(bytes, (const guint8 *) json, (guint) strlen(json));
    g_byte_array_append(bytes, (const guint8 *) "\0\x3c\0\xbc", 4);
    fuzz_write(name, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gboolean ready;
    if (!ready) {
        write_shard("model-00001-of-00002.safetensors", "a.weight");
        write_shard("model-00002-of-00002.safetensors", "b.weight");
        ready = TRUE;
    }
    g_autoptr(GError) error = NULL;
    fuzz_write("model.safetensors.index.json", data, size);
    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(fuzz_folder(), &error);
    fuzz_check((cp != NULL) == (error == NULL));
    fuzz_say(error);
    for (guint i = 0; cp && i < fmt_checkpoint_size(cp); i++) {
        const fmt_tensor *t = fmt_checkpoint_nth(cp, i);
        float largest = 0;
        fuzz_check(fmt_checkpoint_find(cp, t->name) == t);
        fuzz_check(fmt_tensor_largest(t, &largest, NULL) && largest == 1);
    }
    return 0;
}
