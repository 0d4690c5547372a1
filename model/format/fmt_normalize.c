/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_normalize.h"

#include <string.h>

typedef enum { UNICODE, LOWERCASE, PREPEND, REPLACE } step_kind;

typedef struct {
    step_kind kind;
    GNormalizeMode mode;
    char *what, *by;
} step;

struct _fmt_normalizer {
    GArray *steps;
};

static void
clear_step(gpointer p)
{
    step *s = p;
    g_free(s->what);
    g_free(s->by);
}

fmt_normalizer *
fmt_normalizer_new(void)
{
    fmt_normalizer *norm = g_new0(fmt_normalizer, 1);
    norm->steps = g_array_new(FALSE, FALSE, sizeof(step));
    g_array_set_clear_func(norm->steps, clear_step);
    return norm;
}

void
fmt_normalizer_free(fmt_normalizer *norm)
{
    if (!norm)
        return;
    g_array_unref(norm->steps);
    g_free(norm);
}

void
fmt_normalizer_add_unicode(fmt_normalizer *norm, GNormalizeMode mode)
{
    step s = {.kind = UNICODE, .mode = mode};
    g_array_append_val(norm->steps, s);
}

void
fmt_normalizer_add_lowercase(fmt_normalizer *norm)
{
    step s = {.kind = LOWERCASE};
    g_array_append_val(norm->steps, s);
}

void
fmt_normalizer_add_prepend(fmt_normalizer *norm, const char *text)
{
    step s = {.kind = PREPEND, .by = g_strdup(text)};
    g_array_append_val(norm->steps, s);
}

void
fmt_normalizer_add_replace(fmt_normalizer *norm, const char *what, const char *by)
{
    step s = {.kind = REPLACE, .what = g_strdup(what), .by = g_strdup(by)};
    g_array_append_val(norm->steps, s);
}

static void
apply_unicode(const step *s, const GString *in, GString *out)
{
    /* g_utf8_normalize stops at a NUL, which never combines with anything */
    for (gsize i = 0; i < in->len;) {
        gsize n = strlen(in->str + i);
        if (n > 0) {
            g_autofree char *piece = g_utf8_normalize(in->str + i, (gssize) n, s->mode);
            g_string_append(out, piece);
        }
        i += n;
        if (i < in->len) {
            g_string_append_c(out, '\0');
            i++;
        }
    }
}

static void
apply_lowercase(const GString *in, GString *out)
{
    /* not g_utf8_strdown, which follows the locale and the end of words */
    for (const char *p = in->str; p < in->str + in->len; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == 0x130)
            g_string_append(out, "i\xcc\x87"); /* the one character whose small form is two */
        else
            g_string_append_unichar(out, g_unichar_tolower(c));
    }
}

static gboolean
apply_replace(const step *s, const GString *in, gsize max, GString *out)
{
    gsize n = strlen(s->what);
    for (gsize i = 0; i < in->len;) {
        if (in->len - i >= n && memcmp(in->str + i, s->what, n) == 0) {
            g_string_append(out, s->by);
            i += n;
            if (out->len > max)
                return FALSE;
        } else {
            g_string_append_c(out, in->str[i++]);
        }
    }
    return TRUE;
}

GString *
fmt_normalizer_apply(const fmt_normalizer *norm, const char *text, gsize len, gsize max,
                     GError **error)
{
    GString *in = g_string_new_len(text, (gssize) len);

    for (guint i = 0; i < norm->steps->len; i++) {
        const step *s = &g_array_index(norm->steps, step, i);
        GString *out = g_string_sized_new(in->len + 16);
        gboolean ok = TRUE;
        switch (s->kind) {
        case UNICODE:
            apply_unicode(s, in, out);
            break;
        case LOWERCASE:
            apply_lowercase(in, out);
            break;
        case PREPEND:
            if (in->len > 0)
                g_string_append(out, s->by);
            g_string_append_len(out, in->str, (gssize) in->len);
            break;
        case REPLACE:
            ok = apply_replace(s, in, max, out);
            break;
        }
        g_string_free(in, TRUE);
        in = out;
        if (!ok || in->len > max) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                        "normalizer: expected at most %" G_GSIZE_FORMAT
                        " bytes of text after it, found more",
                        max);
            g_string_free(in, TRUE);
            return NULL;
        }
    }
    return in;
}
