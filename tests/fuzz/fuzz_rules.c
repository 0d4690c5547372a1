// SPDX-License-Identifier: LGPL-2.1-or-later

/* What a user may write into fusionvqa's properties: alert rules, and placeholders in prompts. */

#include "alertrule.h"
#include "fuzz.h"
#include "vqaprompt.h"

static void
check_rule(const VqaAlertRule *rule)
{
    fuzz_check(rule->name && rule->name[0]);
    fuzz_check(rule->question && rule->question[0]);
    fuzz_check(rule->label && rule->label[0]);
    fuzz_check(rule->level >= 0 && rule->level <= 1);
    fuzz_check(rule->until >= 0 && rule->until <= 1);
    /* What it ends at does not hold any more. */
    fuzz_check(rule->kind != VQA_ALERT_ABOVE || rule->until <= rule->level);
    fuzz_check(rule->kind != VQA_ALERT_BELOW || rule->until >= rule->level);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *) data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rules = vqa_alert_rules_parse(text, &error);
    fuzz_check((rules != NULL) == (error == NULL));
    fuzz_say(error);
    for (guint i = 0; rules && i < rules->len; i++)
        check_rule(g_ptr_array_index(rules, i));

    g_autofree char *expanded =
        vqa_prompt_expand(text, "2026-01-01T00:00:00Z", "a {answer} b", NULL);
    fuzz_check(expanded != NULL);
    fuzz_check(strchr(text, '{') || g_str_equal(expanded, text));
    return 0;
}
