// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is generation_config.json, then config.json with a conversation of its own, then what
 * a user may write: generation-config and questions. */

#include "fuzz.h"
#include "prompt.h"
#include "session_priv.h"

static void
check_generation(const net_config *config)
{
    g_autoptr(GError) error = NULL;
    generation_config g;
    bool ok = generation_config_load(&g, config, &error);
    fuzz_check(ok == (error == NULL));
    fuzz_say(error);
    if (!ok)
        return;
    fuzz_check(g.n_stop_tokens <= G_N_ELEMENTS(g.stop_tokens));
    for (uint32_t i = 0; i < g.n_stop_tokens; i++)
        fuzz_check(g.stop_tokens[i] < config->llm.vocab);
    fuzz_check(generation_check(&g.defaults, NULL));
    generation_config_clear(&g);
}

static void
check_conversation(const net_config *config)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(prompt_template) t = prompt_template_load(config, &error);
    fuzz_check((t != NULL) == (error == NULL));
    fuzz_say(error);
    fuzz_check(!t || (t->user_prefix && t->user_suffix && t->assistant_prefix));
}

static void
check_texts(const char *text)
{
    g_autoptr(GError) error = NULL;
    fusion_generation g;
    fusion_generation_init(&g, NULL);
    bool ok = fusion_generation_parse(&g, text, &error);
    fuzz_check(ok == (error == NULL));
    fuzz_say(error);
    fuzz_check(generation_check(&g, NULL));
    fusion_generation_clear(&g);

    g_autoptr(GPtrArray) questions = fusion_questions_parse(text);
    for (guint i = 0; i < questions->len; i++)
        fuzz_check(((const fusion_question *) g_ptr_array_index(questions, i))->text[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    net_config config = {.folder = (char *) fuzz_folder()};
    config.llm.vocab = 320;
    config.llm.type = size % 2 ? NET_LLM_LLAMA : NET_LLM_PHI;
    fuzz_write("generation_config.json", data, size);
    fuzz_write("config.json", data, size);
    check_generation(&config);
    check_conversation(&config);
    g_autofree char *text = g_strndup(size ? (const char *) data : "", size);
    check_texts(text);
    return 0;
}
