/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_utf8.h"

gsize
fmt_utf8_next(const char *p, gsize n, fmt_utf8_kind *kind)
{
    const guint8 *s = (const guint8 *) p;
    guint8 first = s[0], low = 0x80, high = 0xbf; /* what the second byte may be */
    gsize length;

    if (first < 0x80) {
        *kind = FMT_UTF8_VALID;
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        length = 2;
    } else if ((first & 0xf0) == 0xe0) {
        length = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;  /* shorter forms */
        high = first == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (first >= 0xf0 && first <= 0xf4) {
        length = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf; /* beyond U+10FFFF */
    } else {
        *kind = FMT_UTF8_INVALID;
        return 1;
    }
    for (gsize i = 1; i < length; i++) {
        if (i == n) {
            *kind = FMT_UTF8_INCOMPLETE;
            return n;
        }
        if (s[i] < low || s[i] > high) {
            *kind = FMT_UTF8_INVALID;
            return i;
        }
        low = 0x80;
        high = 0xbf;
    }
    *kind = FMT_UTF8_VALID;
    return length;
}

void
fmt_utf8_append_repaired(GString *out, const char *p, gsize n)
{
    gsize i = 0, run = 0; /* start of the valid bytes not yet copied */

    while (i < n) {
        fmt_utf8_kind kind;
        gsize length = fmt_utf8_next(p + i, n - i, &kind);
        if (kind != FMT_UTF8_VALID) {
            g_string_append_len(out, p + run, (gssize) (i - run));
            g_string_append(out, "\xef\xbf\xbd");
            run = i + length;
        }
        i += length;
    }
    g_string_append_len(out, p + run, (gssize) (n - run));
}
