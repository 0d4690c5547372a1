/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alert rules: what is read, what is refused and how, and when they fire. Times in the tables are
 * ms. */
#include <math.h>
#include <string.h>

#include "alertrule.h"

#define MS G_GUINT64_CONSTANT(1000000)
#define PERIOD (1000 * MS)

/* ---- reading */

static void
read_example(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rules = vqa_alert_rules_parse(
        "\"Is somebody on the ground?\": yes > 0.7 for 3s, cooldown 60s\n"
        " 'Is the \\'red\\' gate open? [open|half open]' : \"half open\" <= 30% until 0.5 for 1.5 "
        "min"
        " gap 2h named gate ;;\n\n  Is it raining?: yes, for 500ms;Caf\xc3\xa9?:no>=1",
        &error);
    g_assert_no_error(error);
    g_assert_cmpuint(rules->len, ==, 4);
    const VqaAlertRule *r = rules->pdata[0];
    g_assert_cmpstr(r->question, ==, "Is somebody on the ground?");
    g_assert_cmpstr(r->label, ==, "yes");
    g_assert_cmpstr(r->name, ==, "Is somebody on the ground?: yes");
    g_assert_cmpint(r->kind, ==, VQA_ALERT_ABOVE);
    g_assert_false(r->inclusive);
    g_assert_cmpfloat(r->level, ==, 0.7);
    g_assert_cmpfloat_with_epsilon(r->until, 0.6, 1e-9);
    g_autoptr(GError) none = NULL;
    g_autoptr(GPtrArray) near = vqa_alert_rules_parse("Q: a > 0.1; Q: a < 0.9", &none);
    g_assert_no_error(none);
    g_assert_cmpfloat_with_epsilon(((const VqaAlertRule *) near->pdata[0])->until, 0.05, 1e-9);
    g_assert_cmpfloat_with_epsilon(((const VqaAlertRule *) near->pdata[1])->until, 0.95, 1e-9);
    g_assert_cmpuint(r->hold, ==, 3000 * MS);
    g_assert_cmpuint(r->cooldown, ==, 60000 * MS);
    g_assert_cmpuint(r->gap, ==, 0);
    r = rules->pdata[1];
    g_assert_cmpstr(r->question, ==, "Is the 'red' gate open? [open|half open]");
    g_assert_cmpstr(r->label, ==, "half open");
    g_assert_cmpstr(r->name, ==, "gate");
    g_assert_cmpint(r->kind, ==, VQA_ALERT_BELOW);
    g_assert_true(r->inclusive);
    g_assert_cmpfloat_with_epsilon(r->level, 0.3, 1e-9);
    g_assert_cmpfloat(r->until, ==, 0.5);
    g_assert_cmpuint(r->hold, ==, 90000 * MS);
    g_assert_cmpuint(r->cooldown, ==, 0);
    g_assert_cmpuint(r->gap, ==, 7200000 * MS);
    r = rules->pdata[2];
    g_assert_cmpint(r->kind, ==, VQA_ALERT_IS);
    g_assert_cmpstr(r->question, ==, "Is it raining?");
    g_assert_cmpuint(r->hold, ==, 500 * MS);
    r = rules->pdata[3];
    g_assert_true(r->inclusive);
    g_assert_cmpfloat(r->level, ==, 1);
}

static void
read_nothing(void)
{
    static const char *const blank[] = {NULL, "", "  \n ; \t;"};
    for (guint i = 0; i < G_N_ELEMENTS(blank); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) rules = vqa_alert_rules_parse(blank[i], &error);
        g_assert_no_error(error);
        g_assert_cmpuint(rules->len, ==, 0);
    }
}

/* Rule, position, expected and found are in every message. */
static void
read_refused(void)
{
    static const struct {
        const char *text, *place, *expected, *found;
    } cases[] = {
        {"'Fire?': yes > 0.7; 'Gate?' yes", "alert rule 2, character 29", "\":\" after",
         "found \"yes\""},
        {"'Fire?: yes > 0.7", "rule 1, character 1:", "a closing quote", "found \"'Fire?"},
        {"'': yes", "rule 1, character 1:", "a text between the quotes", "found \"''"},
        {"Fire yes", "rule 1, character 1:", "a question followed by \":\"", "found \"Fire yes\""},
        {": yes", "rule 1, character 1:", "a question", "found \": yes\""},
        {"'Fire?':", "rule 1, character 9:", "the answer to look for", "found the end"},
        {"'Fire?': > 0.7", "rule 1, character 10:", "the answer to look for", "found \"> 0.7\""},
        {"'Fire?': yes > lots", "rule 1, character 16:", "a probability from 0 to 1",
         "found \"lots\""},
        {"'Fire?': yes > 7", "rule 1, character 16:", "a probability from 0 to 1", "found \"7\""},
        {"'Fire?': yes > 101%", "character 16:", "a probability", "found \"101%\""},
        {"'Fire?': yes > 1", "character 16:", "below 1", "found \"1\""},
        {"'Fire?': yes < 0", "character 16:", "above 0", "found \"0\""},
        {"'Fire?': yes > 0.5.5", "character 16:", "a probability", "found \"0.5.5\""},
        {"'Fire?': yes > -0.5", "character 16:", "a probability", "found \"-0.5\""},
        {"'Fire?': yes > nan", "character 16:", "a probability", "found \"nan\""},
        {"'Fire?': yes > 0.7 for 3", "character 24:", "a time with its unit", "found \"3\""},
        {"'Fire?': yes > 0.7 for 3days", "character 24:", "a time with its unit",
         "found \"3days\""},
        {"'Fire?': yes > 0.7 for 9999999999h", "character 24:", "a time", "found \"9999999999h\""},
        {"'Fire?': yes > 0.7 after 3s", "character 20:", "\"for\"", "found \"after 3s\""},
        {"'Fire?': yes > 0.7, for 3s for 4s", "character 28:", "once", "found \"for 4s\""},
        {"'Fire?': yes > 0.7,", "character 20:", "\"for\"", "found the end"},
        {"'Fire?': yes > 0.7 until 0.8", "character 26:", "not above", "found \"0.8\""},
        {"'Fire?': yes < 0.3 until 0.2", "character 26:", "not below", "found \"0.2\""},
        {"'Fire?': yes until 0.2", "character 20:", "without > or <", "found \"0.2\""},
        {"\xc3\xa4\xc3\xa4?: yes > x", "character 12:", "a probability", "found \"x\""},
        {"'A?': yes\n'B?': yes > 0.7 cooldown\n'C?': no",
         "alert rule 2, character 35:", "a time with its unit", "found the end of the line"},
        {"Fire? \xf4s", "byte 7", "UTF-8", "found 0xf4"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vqa_alert_rules_parse(cases[i].text, &error));
        g_assert_error(error, VQA_ALERT_ERROR, VQA_ALERT_ERROR_SYNTAX);
        const char *parts[] = {cases[i].place, cases[i].expected, cases[i].found};
        for (guint k = 0; k < 3; k++)
            if (!strstr(error->message, parts[k]))
                g_error("%s: \"%s\" lacks \"%s\"", cases[i].text, error->message, parts[k]);
    }
}

/* Cut anywhere and with any byte changed, a text is read or refused, nothing else. */
static void
read_damaged(void)
{
    const char *text =
        "\"Is 'it'? [a|b]\": \"a b\" >= 30% for 1.5s until 0.1, cooldown 2m named x; Q: n";
    gsize length = strlen(text);
    for (gsize i = 0; i <= length; i++) {
        for (const char *with = "\";:'\\<%1. \n"; *with; with++) {
            g_autofree char *cut = g_strndup(text, i), *changed = g_strdup(text);
            if (i < length)
                changed[i] = *with;
            const char *const both[] = {cut, changed};
            for (guint k = 0; k < 2; k++) {
                g_autoptr(GError) error = NULL;
                GPtrArray *rules = vqa_alert_rules_parse(both[k], &error);
                g_assert_true((rules == NULL) == (error != NULL));
                g_clear_pointer(&rules, g_ptr_array_unref);
            }
        }
    }
}

/* ---- time */

typedef struct {
    const char *rule;
    GPtrArray *rules;
    VqaAlertState state;
} Run;

static void
start(Run *run, const char *rule)
{
    g_autoptr(GError) error = NULL;
    run->rules = vqa_alert_rules_parse(rule, &error);
    g_assert_no_error(error);
    memset(&run->state, 0, sizeof run->state);
    vqa_alert_state_reset(&run->state);
}

static void
stop(Run *run)
{
    g_ptr_array_unref(run->rules);
}

/* '!' raised, '.' cleared, '-' nothing. */
static char
put(Run *run, guint64 ms, double value)
{
    return "-!."[vqa_alert_state_update(&run->state, run->rules->pdata[0],
                                        ms == VQA_ALERT_NO_TIME ? ms : ms * MS, value, PERIOD)];
}

static gboolean
active(Run *run, guint64 ms)
{
    return vqa_alert_state_is_active(&run->state, run->rules->pdata[0], ms * MS, PERIOD);
}

/* Answers once a second from 0 on, as values in tenths. */
static void
check(const char *rule, const char *tenths, const char *expected)
{
    Run run;
    start(&run, rule);
    g_autofree char *outcome = g_strdup(expected);
    for (gsize i = 0; tenths[i]; i++)
        outcome[i] = put(&run, i * 1000, tenths[i] == 'x' ? 1 : (tenths[i] - '0') / 10.0);
    g_assert_cmpstr(outcome, ==, expected);
    stop(&run);
}

static void
edges(void)
{
    /* Once, at the beginning; again only after it went below 0.6. */
    check("Q: a > 0.7", "0579999", "---!---");
    check("Q: a > 0.7", "9999999", "!------");
    check("Q: a > 0.7", "8686878", "!------");
    check("Q: a > 0.7", "8685878", "!--.!--");
    check("Q: a >= 0.7", "6787", "-!--");
    check("Q: a < 0.3", "321245", "-!---.");
    check("Q: a < 0.3", "2345632", "!--.--!");
    check("Q: a <= 0.3", "4321", "-!--");
    check("Q: a > 0.7 until 0.2", "8321812", "!--.!.-");
    check("Q: a > 0.7 until 0.2", "832182", "!--.!-");
    check("Q: a", "x0xx0", "!.!-.");
    /* Near the ends of the scale there is a way back all the same. */
    check("Q: a > 0", "0101", "-!.!");
    check("Q: a < 1", "x9x9", "-!.!");
}

static void
holding(void)
{
    check("Q: a > 0.7 for 3s", "99909999", "-------!");
    check("Q: a > 0.7 for 3s", "9999", "---!");
    /* What lies between the two levels does not hold. */
    check("Q: a > 0.7 for 3s", "9979999", "------!");
    check("Q: a for 2s", "xx0xxx", "-----!");
}

static void
cooldowns(void)
{
    check("Q: a > 0.5 cooldown 4s", "90909090", "!.--!.--");
    /* One that goes on when the cooldown ends is told then. */
    check("Q: a > 0.5 cooldown 4s", "9099999", "!.--!--");
    check("Q: a > 0.5 for 1s cooldown 5s", "990999099", "-!.-----!");
    Run run;
    start(&run, "Q: a > 0.5 cooldown 10s");
    const char *values = "909099009";
    for (guint i = 0; values[i]; i++)
        put(&run, i * 1000, values[i] == '9');
    g_assert_cmpuint(run.state.n_raised, ==, 1);
    g_assert_cmpuint(run.state.n_withheld, ==, 3); /* times, not answers */
    stop(&run);
}

static void
gaps(void)
{
    Run run;
    /* 11 s are no evidence for what was between; 10 s are. */
    start(&run, "Q: a > 0.5 for 3s");
    g_assert_cmpint(put(&run, 0, 1), ==, '-');
    g_assert_cmpint(put(&run, 11000, 1), ==, '-');
    g_assert_cmpint(put(&run, 13000, 1), ==, '-');
    g_assert_cmpint(put(&run, 14000, 1), ==, '!');
    /* no answer for long: not active any more, and the next one is news */
    g_assert_true(active(&run, 24000));
    g_assert_false(active(&run, 24001));
    g_assert_cmpint(put(&run, 30000, 1), ==, '-');
    g_assert_cmpint(put(&run, 33000, 1), ==, '!');
    stop(&run);
    start(&run, "Q: a > 0.5 for 3s cooldown 60s gap 2s");
    g_assert_cmpint(put(&run, 0, 1), ==, '-');
    g_assert_cmpint(put(&run, 2001, 1), ==, '-');
    g_assert_cmpint(put(&run, 4000, 1), ==, '-');
    g_assert_cmpint(put(&run, 5001, 1), ==, '!');
    /* the cooldown goes on over a gap */
    g_assert_cmpint(put(&run, 30000, 1), ==, '-');
    for (guint s = 31; s < 65; s++)
        g_assert_cmpint(put(&run, s * 1000, 1), ==, '-');
    g_assert_cmpint(put(&run, 65001, 1), ==, '!');
    stop(&run);
    /* asked once a minute, a minute is no gap */
    start(&run, "Q: a > 0.5 for 2min");
    const VqaAlertRule *rule = run.rules->pdata[0];
    for (guint i = 0; i < 4; i++)
        g_assert_cmpint(vqa_alert_state_update(&run.state, rule, i * 60000 * MS, 1, 60000 * MS), ==,
                        i == 2 ? VQA_ALERT_RAISED : VQA_ALERT_NOTHING);
    stop(&run);
}

static void
backwards(void)
{
    Run run;
    start(&run, "Q: a > 0.5 for 2s cooldown 60s");
    put(&run, 100000, 1);
    put(&run, 101000, 1);
    /* jitter */
    g_assert_cmpint(put(&run, 100500, 1), ==, '-');
    g_assert_cmpint(put(&run, 102000, 1), ==, '!');
    /* a file that begins again: nothing is left, the cooldown neither */
    g_assert_cmpint(put(&run, 0, 1), ==, '-');
    g_assert_false(active(&run, 0));
    g_assert_cmpint(put(&run, 1000, 1), ==, '-');
    g_assert_cmpint(put(&run, 2000, 1), ==, '!');
    stop(&run);
    /* back, but not before the alert: its cooldown goes on */
    start(&run, "Q: a > 0.5 cooldown 60s");
    g_assert_cmpint(put(&run, 10000, 1), ==, '!');
    g_assert_cmpint(put(&run, 15000, 0), ==, '.');
    g_assert_cmpint(put(&run, 12000, 1), ==, '-');
    stop(&run);
    /* backwards all the way, as in reverse playback: what needs no time is raised, what does is not
     */
    start(&run, "Q: a > 0.5 for 2s");
    for (guint i = 20; i > 0; i--)
        g_assert_cmpint(put(&run, i * 2000, 1), ==, '-');
    stop(&run);
}

static void
resets(void)
{
    Run run;
    start(&run, "Q: a > 0.5 for 2s cooldown 60s");
    put(&run, 0, 1);
    put(&run, 1000, 1);
    vqa_alert_state_reset(&run.state);
    g_assert_cmpint(put(&run, 2000, 1), ==, '-');
    g_assert_cmpint(put(&run, 4000, 1), ==, '!');
    g_assert_true(active(&run, 4000));
    vqa_alert_state_reset(&run.state);
    g_assert_false(active(&run, 4000));
    put(&run, 50000, 1);
    g_assert_cmpint(put(&run, 52000, 1), ==, '!');
    g_assert_cmpuint(run.state.n_raised, ==, 2);
    stop(&run);
}

static void
odd_input(void)
{
    Run run;
    start(&run, "Q: a > 0.5 for 2s");
    put(&run, 0, 1);
    /* no number: no answer */
    g_assert_cmpint(put(&run, 1000, NAN), ==, '-');
    g_assert_cmpint(put(&run, 2000, 1), ==, '!');
    /* without a time: at the latest known */
    g_assert_cmpint(put(&run, VQA_ALERT_NO_TIME, 0), ==, '.');
    stop(&run);
    start(&run, "Q: a > 0.5");
    g_assert_cmpint(put(&run, VQA_ALERT_NO_TIME, 1), ==, '!');
    stop(&run);
    /* the last nanoseconds of time */
    start(&run, "Q: a > 0.5 for 1s gap 1h");
    const VqaAlertRule *rule = run.rules->pdata[0];
    g_assert_cmpint(vqa_alert_state_update(&run.state, rule, G_MAXUINT64 - 1, 1, G_MAXUINT64), ==,
                    VQA_ALERT_NOTHING);
    g_assert_cmpint(vqa_alert_state_update(&run.state, rule, 0, 1, 0), ==, VQA_ALERT_NOTHING);
    stop(&run);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/alertrule/read/example", read_example);
    g_test_add_func("/alertrule/read/nothing", read_nothing);
    g_test_add_func("/alertrule/read/refused", read_refused);
    g_test_add_func("/alertrule/read/damaged", read_damaged);
    g_test_add_func("/alertrule/time/edges", edges);
    g_test_add_func("/alertrule/time/hold", holding);
    g_test_add_func("/alertrule/time/cooldown", cooldowns);
    g_test_add_func("/alertrule/time/gaps", gaps);
    g_test_add_func("/alertrule/time/backwards", backwards);
    g_test_add_func("/alertrule/time/reset", resets);
    g_test_add_func("/alertrule/time/odd-input", odd_input);
    return g_test_run();
}
