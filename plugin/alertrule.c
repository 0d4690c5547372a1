/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alertrule.h"

#include <math.h>
#include <string.h>

#define SECOND G_GUINT64_CONSTANT(1000000000)
#define JITTER SECOND

G_DEFINE_QUARK(vqa - alert - error - quark, vqa_alert_error)

/* ---- reading */

typedef struct {
    const char *text, *at;
    guint rule;
} Reader;

/* What is at the reader, short enough for a message. */
static char *
found(const Reader *r)
{
    if (!*r->at)
        return g_strdup("the end");
    if (*r->at == '\n')
        return g_strdup("the end of the line");
    const char *end = r->at;
    for (guint n = 0; *end && *end != '\n' && *end != ';' && n < 20; n++)
        end = g_utf8_next_char(end);
    return g_strdup_printf("\"%.*s\"", (int) (end - r->at), r->at);
}

static gboolean
fail(const Reader *r, GError **error, const char *expected)
{
    g_autofree char *there = found(r);
    g_set_error(error, VQA_ALERT_ERROR, VQA_ALERT_ERROR_SYNTAX,
                "alert rule %u, character %ld: expected %s, found %s", r->rule,
                g_utf8_pointer_to_offset(r->text, r->at) + 1, expected, there);
    return FALSE;
}

static void
skip_blanks(Reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')
        r->at++;
}

static gboolean
at_end(const Reader *r)
{
    return *r->at == '\0' || *r->at == ';' || *r->at == '\n';
}

/* In quotes, with \ before a quote that belongs to it; the reader is at the first one. */
static gboolean
read_quoted(Reader *r, char **to, GError **error)
{
    const char *begin = r->at;
    char quote = *r->at++;
    GString *text = g_string_new(NULL);
    for (; *r->at && *r->at != quote; r->at++) {
        if (r->at[0] == '\\' && (r->at[1] == quote || r->at[1] == '\\'))
            r->at++;
        g_string_append_c(text, *r->at);
    }
    g_strstrip(text->str);
    *to = g_string_free(text, FALSE);
    if (!*r->at) {
        r->at = begin;
        return fail(r, error, "a closing quote after this one");
    }
    if (!**to) {
        r->at = begin;
        return fail(r, error, "a text between the quotes");
    }
    r->at++;
    return TRUE;
}

static gboolean
read_question(Reader *r, char **to, GError **error)
{
    if (*r->at == '"' || *r->at == '\'') {
        if (!read_quoted(r, to, error))
            return FALSE;
    } else {
        const char *begin = r->at;
        while (!at_end(r) && *r->at != ':')
            r->at++;
        if (*r->at == ':' && r->at > begin) {
            *to = g_strstrip(g_strndup(begin, r->at - begin));
        } else {
            r->at = *r->at == ':' ? r->at : begin;
            return fail(r, error, "a question followed by \":\"");
        }
    }
    skip_blanks(r);
    if (*r->at != ':')
        return fail(r, error, "\":\" after the question");
    r->at++;
    skip_blanks(r);
    return TRUE;
}

static gboolean
read_label(Reader *r, char **to, const char *expected, GError **error)
{
    if (*r->at == '"' || *r->at == '\'') {
        if (!read_quoted(r, to, error))
            return FALSE;
    } else {
        gsize n = strcspn(r->at, " \t\r\n,;<>=\"'");
        if (n == 0)
            return fail(r, error, expected);
        *to = g_strndup(r->at, n);
        r->at += n;
    }
    skip_blanks(r);
    return TRUE;
}

/* Digits with at most one point; no sign, no exponent, the point in every language. */
static gboolean
read_number(Reader *r, double *to)
{
    gsize n = strspn(r->at, "0123456789."), digits = strspn(r->at, "0123456789");
    if (n == 0 || n > 30 || (n == 1 && digits == 0))
        return FALSE;
    g_autofree char *number = g_strndup(r->at, n);
    char *end;
    *to = g_ascii_strtod(number, &end);
    if (*end)
        return FALSE;
    r->at += n;
    return TRUE;
}

static gboolean
read_probability(Reader *r, double *to, GError **error)
{
    Reader begin = *r;
    const char *expected = "a probability from 0 to 1, or from 0% to 100%";
    if (!read_number(r, to))
        return fail(&begin, error, expected);
    if (*r->at == '%') {
        r->at++;
        *to /= 100;
    }
    if (*to > 1 || g_ascii_isalpha(*r->at))
        return fail(&begin, error, expected);
    skip_blanks(r);
    return TRUE;
}

static gboolean
read_duration(Reader *r, guint64 *to, GError **error)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 0.001}, {"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}};
    Reader begin = *r;
    double number;
    if (read_number(r, &number)) {
        skip_blanks(r);
        gsize n = 0;
        while (g_ascii_isalpha(r->at[n]))
            n++;
        for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
            double ns = number * units[i].seconds * 1e9;
            if (strlen(units[i].unit) != n || strncmp(r->at, units[i].unit, n) != 0 || ns > 1e18)
                continue;
            *to = (guint64) (ns + 0.5);
            r->at += n;
            skip_blanks(r);
            return TRUE;
        }
    }
    return fail(&begin, error, "a time with its unit, as 500ms, 3s, 2min or 1h");
}

static gboolean
read_test(Reader *r, VqaAlertRule *rule, GError **error)
{
    if (*r->at != '>' && *r->at != '<')
        return TRUE;
    rule->kind = *r->at++ == '>' ? VQA_ALERT_ABOVE : VQA_ALERT_BELOW;
    if (*r->at == '=') {
        rule->inclusive = TRUE;
        r->at++;
    }
    skip_blanks(r);
    Reader begin = *r;
    if (!read_probability(r, &rule->level, error))
        return FALSE;
    if (!rule->inclusive && rule->kind == VQA_ALERT_ABOVE && rule->level >= 1)
        return fail(&begin, error, "a probability below 1, which can be exceeded");
    if (!rule->inclusive && rule->kind == VQA_ALERT_BELOW && rule->level <= 0)
        return fail(&begin, error, "a probability above 0, which leaves something below it");
    return TRUE;
}

static gboolean
read_until(Reader *r, VqaAlertRule *rule, GError **error)
{
    Reader begin = *r;
    if (rule->kind == VQA_ALERT_IS)
        return fail(&begin, error, "no \"until\" without > or <");
    if (!read_probability(r, &rule->until, error))
        return FALSE;
    if (rule->kind == VQA_ALERT_ABOVE && rule->until > rule->level)
        return fail(&begin, error, "a probability not above the rule's own");
    if (rule->kind == VQA_ALERT_BELOW && rule->until < rule->level)
        return fail(&begin, error, "a probability not below the rule's own");
    return TRUE;
}

static gboolean
read_clauses(Reader *r, VqaAlertRule *rule, GError **error)
{
    static const char *const words[] = {"for", "until", "cooldown", "gap", "named"};
    guint seen = 0;
    while (!at_end(r)) {
        Reader begin = *r;
        if (*r->at == ',') {
            r->at++;
            skip_blanks(r);
            begin = *r;
        }
        gsize n = 0, i = 0;
        while (g_ascii_isalpha(r->at[n]))
            n++;
        while (i < G_N_ELEMENTS(words) &&
               (strlen(words[i]) != n || strncmp(words[i], r->at, n) != 0))
            i++;
        if (i == G_N_ELEMENTS(words))
            return fail(&begin, error,
                        "\"for\", \"until\", \"cooldown\", \"gap\", \"named\", or the rule's end "
                        "(\";\" or a new line)");
        if (seen & 1u << i)
            return fail(&begin, error, "each of these words once");
        seen |= 1u << i;
        r->at += n;
        skip_blanks(r);
        gboolean ok = i == 0   ? read_duration(r, &rule->hold, error)
                      : i == 1 ? read_until(r, rule, error)
                      : i == 2 ? read_duration(r, &rule->cooldown, error)
                      : i == 3 ? read_duration(r, &rule->gap, error)
                               : read_label(r, &rule->name, "a name", error);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

/* A tenth away from the level, or half the way to the end of the scale where that is less. */
static double
default_until(const VqaAlertRule *rule)
{
    double room = rule->kind == VQA_ALERT_ABOVE ? rule->level : 1 - rule->level;
    double away = MIN(0.1, room / 2);
    return rule->kind == VQA_ALERT_ABOVE ? rule->level - away : rule->level + away;
}

static VqaAlertRule *
read_rule(Reader *r, GError **error)
{
    VqaAlertRule *rule = g_new0(VqaAlertRule, 1);
    rule->until = -1;
    if (read_question(r, &rule->question, error) &&
        read_label(r, &rule->label, "the answer to look for, as yes", error) &&
        read_test(r, rule, error) && read_clauses(r, rule, error)) {
        if (!rule->name)
            rule->name = g_strdup_printf("%s: %s", rule->question, rule->label);
        if (rule->kind == VQA_ALERT_IS)
            rule->level = rule->until = 0.5;
        else if (rule->until < 0)
            rule->until = default_until(rule);
        return rule;
    }
    vqa_alert_rule_free(rule);
    return NULL;
}

GPtrArray *
vqa_alert_rules_parse(const char *text, GError **error)
{
    g_autoptr(GPtrArray) rules =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_alert_rule_free);
    Reader r = {.text = text ? text : "", .at = text ? text : ""};
    const char *wrong;
    if (!g_utf8_validate(r.text, -1, &wrong)) {
        g_set_error(error, VQA_ALERT_ERROR, VQA_ALERT_ERROR_SYNTAX,
                    "alert rules, byte %ld: expected UTF-8, found 0x%02x",
                    (long) (wrong - r.text) + 1, (guchar) *wrong);
        return NULL;
    }
    for (;;) {
        while (*r.at && (at_end(&r) || g_ascii_isspace(*r.at)))
            r.at++;
        if (!*r.at)
            return g_steal_pointer(&rules);
        r.rule++;
        VqaAlertRule *rule = read_rule(&r, error);
        if (!rule)
            return NULL;
        g_ptr_array_add(rules, rule);
    }
}

void
vqa_alert_rule_free(VqaAlertRule *rule)
{
    if (!rule)
        return;
    g_free(rule->name);
    g_free(rule->question);
    g_free(rule->label);
    g_free(rule);
}

/* ---- time */

void
vqa_alert_state_reset(VqaAlertState *state)
{
    state->phase = VQA_ALERT_IDLE;
    state->since = state->last = state->raised = VQA_ALERT_NO_TIME;
    state->value = NAN;
    state->withheld = FALSE;
}

static guint64
gap_of(const VqaAlertRule *rule, guint64 period)
{
    if (rule->gap)
        return rule->gap;
    return period < G_MAXUINT64 / 3 ? MAX(VQA_ALERT_GAP, 3 * period) : G_MAXUINT64;
}

static gboolean
holds(const VqaAlertRule *rule, double value)
{
    if (rule->inclusive && value == rule->level)
        return TRUE;
    return rule->kind == VQA_ALERT_BELOW ? value < rule->level : value > rule->level;
}

static gboolean
ends(const VqaAlertRule *rule, double value)
{
    if (holds(rule, value))
        return FALSE;
    /* The very end of the scale is past everything. */
    return rule->kind == VQA_ALERT_BELOW ? value > rule->until || value >= 1
                                         : value < rule->until || value <= 0;
}

static void
begin_anew(VqaAlertState *state)
{
    state->phase = VQA_ALERT_IDLE;
    state->since = VQA_ALERT_NO_TIME;
    state->withheld = FALSE;
}

/* What the distance to the answer before says. Returns the time that counts. */
static guint64
arrive(VqaAlertState *state, const VqaAlertRule *rule, guint64 time, guint64 period)
{
    if (state->last == VQA_ALERT_NO_TIME)
        return time == VQA_ALERT_NO_TIME ? 0 : time;
    if (time == VQA_ALERT_NO_TIME || (time < state->last && state->last - time <= JITTER))
        return state->last;
    if (time < state->last) {
        begin_anew(state);
        if (state->raised != VQA_ALERT_NO_TIME && state->raised > time)
            state->raised = VQA_ALERT_NO_TIME;
    } else if (time - state->last > gap_of(rule, period)) {
        begin_anew(state);
    }
    return time;
}

VqaAlertOutcome
vqa_alert_state_update(VqaAlertState *state, const VqaAlertRule *rule, guint64 time, double value,
                       guint64 period)
{
    if (isnan(value))
        return VQA_ALERT_NOTHING;
    time = arrive(state, rule, time, period);
    state->last = time;
    state->value = value;
    if (state->phase == VQA_ALERT_ACTIVE) {
        if (!ends(rule, value))
            return VQA_ALERT_NOTHING;
        begin_anew(state);
        return VQA_ALERT_CLEARED;
    }
    if (!holds(rule, value)) {
        begin_anew(state);
        return VQA_ALERT_NOTHING;
    }
    if (state->phase == VQA_ALERT_IDLE) {
        state->phase = VQA_ALERT_HOLDING;
        state->since = time;
    }
    if (time - state->since < rule->hold)
        return VQA_ALERT_NOTHING;
    if (state->raised != VQA_ALERT_NO_TIME && time - state->raised < rule->cooldown) {
        state->n_withheld += !state->withheld;
        state->withheld = TRUE;
        return VQA_ALERT_NOTHING;
    }
    state->phase = VQA_ALERT_ACTIVE;
    state->raised = time;
    state->n_raised++;
    return VQA_ALERT_RAISED;
}

gboolean
vqa_alert_state_is_active(const VqaAlertState *state, const VqaAlertRule *rule, guint64 time,
                          guint64 period)
{
    if (state->phase != VQA_ALERT_ACTIVE)
        return FALSE;
    return time == VQA_ALERT_NO_TIME || time <= state->last ||
           time - state->last <= gap_of(rule, period);
}
