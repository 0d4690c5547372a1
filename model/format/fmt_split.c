/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_split.h"

#include <string.h>
#include <time.h>

#define MAX_PATTERN 65536
/* Steps of one attempt at one place; runs of a hundred thousand spaces need about as many. */
#define LIMITS "(*LIMIT_MATCH=4000000)(*LIMIT_HEAP=65536)"

/* The characters of words, as members of a class. */
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"

#define LOWER "abcdefghijklmnopqrstuvwxyz"

struct _fmt_split {
    char *where;
    GRegex *regex; /* NULL: digits */
    fmt_split_behavior behavior;
    gboolean invert;
};

typedef struct {
    fmt_range range;
    gboolean match;
} part;

/* The pattern as PCRE2 reads it alike; NULL with an error where that is not known. */
static char *
translate(const char *where, const char *pattern, GError **error)
{
    const char *found = NULL;
    gboolean in_class = FALSE;
    GString *out = g_string_new(NULL);

    for (const char *p = pattern; *p && !found; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            if (*p == 'h' || *p == 'H')
                found = "\\h, which is a hexadecimal digit for one and a space for the other";
            else if (*p == 'b' || *p == 'B')
                found = "\\b, for which the two differ about marks";
            else if (*p == 'C')
                found =
                    "\\C, which is a part of a character for one and a control key for the other";
            else if (*p == 'c') /* whose operand may be a backslash */
                found = "\\c, a control character, which the two spell differently";
            else if (*p == 'W' && in_class)
                found = "\\W in a class";
            else if (*p == 'w') /* PCRE2 before 10.43 leaves out the marks */
                g_string_append(out, in_class ? WORD : "[" WORD "]");
            else if (*p == 'W')
                g_string_append(out, "[^" WORD "]");
            else
                g_string_append_printf(out, "\\%c", *p);
            continue;
        }
        if (p[0] == '&' && p[1] == '&' && in_class)
            found = "&&, the intersection of classes";
        else if (*p == '[' && in_class && p[1] != ':')
            found = "a class in a class";
        if (*p == '[' && !in_class) {
            in_class = TRUE;
            /* a bracket that comes first is a member */
            g_string_append_c(out, *p);
            if (p[1] == '^')
                g_string_append_c(out, *++p);
            if (p[1] == ']')
                g_string_append_c(out, *++p);
            continue;
        }
        if (*p == '[' && in_class && !found) { /* [:alpha:] */
            const char *end = p + 2 + strspn(p + 2, LOWER "^");
            if (g_str_has_prefix(end, ":]")) {
                g_string_append_len(out, p, end + 2 - p);
                p = end + 1;
                continue;
            }
            found = "[: in a class";
        }
        if (*p == ']')
            in_class = FALSE;
        g_string_append_c(out, *p);
    }
    if (!found)
        return g_string_free(out, FALSE);
    g_string_free(out, TRUE);
    g_set_error(error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
                "%s: pattern: expected what Oniguruma and PCRE2 read alike, found %s", where,
                found);
    return NULL;
}

static fmt_split *
new_from_pattern(const char *where, const char *pattern, fmt_split_behavior behavior,
                 gboolean invert, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!*pattern || strlen(pattern) > MAX_PATTERN) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: pattern: expected 1 to %d bytes, found %" G_GSIZE_FORMAT, where,
                    MAX_PATTERN, strlen(pattern));
        return NULL;
    }
    /* Anchored: a place is tried at a time, so that the deadline is looked at between them. */
    g_autofree char *limited = g_strconcat(LIMITS, pattern, NULL);
    GRegex *regex = g_regex_new(limited, G_REGEX_ANCHORED | G_REGEX_OPTIMIZE, 0, &why);
    if (!regex) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE, "%s: pattern: %s", where, why->message);
        return NULL;
    }
    fmt_split *split = g_new0(fmt_split, 1);
    split->where = g_strdup(where);
    split->regex = regex;
    split->behavior = behavior;
    split->invert = invert;
    return split;
}

fmt_split *
fmt_split_new_regex(const char *where, const char *pattern, fmt_split_behavior behavior,
                    gboolean invert, GError **error)
{
    g_autofree char *translated = translate(where, pattern, error);
    return translated ? new_from_pattern(where, translated, behavior, invert, error) : NULL;
}

fmt_split *
fmt_split_new_literal(const char *where, const char *text, fmt_split_behavior behavior,
                      gboolean invert, GError **error)
{
    g_autofree char *pattern = g_regex_escape_string(text, -1);
    return new_from_pattern(where, pattern, behavior, invert, error);
}

fmt_split *
fmt_split_new_digits(gboolean individual)
{
    fmt_split *split = g_new0(fmt_split, 1);
    split->behavior = individual ? FMT_SPLIT_ISOLATED : FMT_SPLIT_CONTIGUOUS;
    return split;
}

void
fmt_split_free(fmt_split *split)
{
    if (!split)
        return;
    g_clear_pointer(&split->regex, g_regex_unref);
    g_free(split->where);
    g_free(split);
}

/* The time of this thread: on a busy machine the clock on the wall says nothing about a pattern. */
static gint64
cpu_time(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return g_get_monotonic_time();
    return (gint64) t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

gint64
fmt_split_deadline(gsize len)
{
    return cpu_time() + 5 * G_USEC_PER_SEC + (gint64) len * 20;
}

/* Bytes of the match at `at`, 0 for none (an empty match cuts nothing), -1 for an error. */
static gssize
match_at(const fmt_split *split, const char *text, gsize len, gsize at, GError **error)
{
    if (!split->regex) {
        GUnicodeType type = g_unichar_type(g_utf8_get_char(text + at));
        gboolean number = type == G_UNICODE_DECIMAL_NUMBER || type == G_UNICODE_LETTER_NUMBER ||
                          type == G_UNICODE_OTHER_NUMBER;
        return number ? g_utf8_skip[(guint8) text[at]] : 0;
    }
    g_autoptr(GMatchInfo) info = NULL;
    g_autoptr(GError) why = NULL;
    int start = 0, end = 0;
    if (!g_regex_match_full(split->regex, text, (gssize) len, (int) at, 0, &info, &why)) {
        if (!why)
            return 0;
        g_set_error(
            error, FMT_ERROR, FMT_ERROR_LIMIT,
            "%s: pattern: expected to match in bounded time, gave up at byte %" G_GSIZE_FORMAT
            " of the text: %s",
            split->where, at, why->message);
        return -1;
    }
    /* \K in a pattern can move the start */
    if (!g_match_info_fetch_pos(info, 0, &start, &end) || start != (int) at || end <= start)
        return 0;
    if ((gsize) end > len || ((gsize) end < len && (text[end] & 0xc0) == 0x80)) {
        g_set_error(
            error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
            "%s: pattern: expected matches of whole characters, found one of bytes %d to %d",
            split->where, start, end);
        return -1;
    }
    return end - start;
}

static void
add_part(GArray *parts, gsize start, gsize end, gboolean match)
{
    part p = {{start, end - start}, match};
    if (end > start)
        g_array_append_val(parts, p);
}

static gboolean
find_parts(const fmt_split *split, const char *text, gsize len, gint64 deadline, GArray *parts,
           GError **error)
{
    gsize at = 0, gap = 0;

    for (guint tries = 1; at < len; tries++) {
        /* a clock read is dear beside an easy match and cheap beside a bad one, which shows as a
         * late clock soon enough: 16 bad ones are a few seconds */
        if (tries % 16 == 0 && cpu_time() > deadline) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                        "%s: pattern: expected to match in bounded time, gave up at byte "
                        "%" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT,
                        split->where ? split->where : "digits", at, len);
            return FALSE;
        }
        gssize matched = match_at(split, text, len, at, error);
        if (matched < 0)
            return FALSE;
        if (matched == 0) {
            at += g_utf8_skip[(guint8) text[at]];
            continue;
        }
        add_part(parts, gap, at, split->invert);
        add_part(parts, at, at + (gsize) matched, !split->invert);
        at += (gsize) matched;
        gap = at;
    }
    add_part(parts, gap, len, split->invert);
    return TRUE;
}

static void
append_range(GArray *out, fmt_range r, gsize offset)
{
    r.start += offset;
    g_array_append_val(out, r);
}

gboolean
fmt_split_apply(const fmt_split *split, const char *text, fmt_range piece, gint64 deadline,
                GArray *out, GError **error)
{
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(part));
    if (!find_parts(split, text + piece.start, piece.len, deadline, parts, error))
        return FALSE;

    fmt_range run = {0, 0}; /* what has been joined and not yet appended */
    gboolean previous = FALSE;
    for (guint i = 0; i < parts->len; i++) {
        const part *p = &g_array_index(parts, part, i);
        gboolean join = FALSE;
        switch (split->behavior) {
        case FMT_SPLIT_REMOVED:
            if (!p->match)
                append_range(out, p->range, piece.start);
            continue;
        case FMT_SPLIT_ISOLATED:
            append_range(out, p->range, piece.start);
            continue;
        case FMT_SPLIT_CONTIGUOUS:
            join = i > 0 && p->match == previous;
            break;
        case FMT_SPLIT_MERGED_WITH_PREVIOUS:
            join = i > 0 && p->match && !previous;
            break;
        case FMT_SPLIT_MERGED_WITH_NEXT:
            join = i > 0 && previous && !p->match;
            break;
        }
        if (join) {
            run.len += p->range.len;
        } else {
            if (run.len > 0)
                append_range(out, run, piece.start);
            run = p->range;
        }
        previous = p->match;
    }
    if (run.len > 0)
        append_range(out, run, piece.start);
    return TRUE;
}
