/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_hash.h"

#include <string.h>

/* Of the process, for GLib's tables hand nothing to their functions. */
static const guint64 *
process_key(void)
{
    static guint64 key[2];
    static gsize ready;
    if (g_once_init_enter(&ready)) {
        for (gsize i = 0; i < G_N_ELEMENTS(key); i++)
            key[i] = (guint64) g_random_int() << 32 | g_random_int();
        g_once_init_leave(&ready, 1);
    }
    return key;
}

static guint64
rotated(guint64 x, guint bits)
{
    return x << bits | x >> (64 - bits);
}

static void
mix(guint64 v[4])
{
    v[0] += v[1];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[0] = rotated(v[0], 32);
    v[2] += v[3];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[2] = rotated(v[2], 32);
}

static void
take(guint64 v[4], guint64 word)
{
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

/* SipHash-1-3 (Aumasson and Bernstein), of whose result a table needs 32 bits. */
guint
fmt_hash_bytes(gconstpointer data, gsize len)
{
    const guint8 *p = data;
    const guint64 *key = process_key();
    guint64 v[4] = {
        key[0] ^ G_GUINT64_CONSTANT(0x736f6d6570736575),
        key[1] ^ G_GUINT64_CONSTANT(0x646f72616e646f6d),
        key[0] ^ G_GUINT64_CONSTANT(0x6c7967656e657261),
        key[1] ^ G_GUINT64_CONSTANT(0x7465646279746573),
    };
    guint64 word, rest = (guint64) len << 56;

    for (; len >= sizeof word; len -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        take(v, word);
    }
    for (gsize i = 0; i < len; i++)
        rest |= (guint64) p[i] << (8 * i);
    take(v, rest);
    v[2] ^= 0xff;
    for (guint i = 0; i < 3; i++)
        mix(v);
    return (guint) (v[0] ^ v[1] ^ v[2] ^ v[3]);
}

guint
fmt_hash_text(gconstpointer text)
{
    return fmt_hash_bytes(text, strlen(text));
}
