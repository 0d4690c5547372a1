/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

#include "fmt_json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MAX_NEW_TOKENS 1000000u

static const fusion_generation built_in = {
    .max_new_tokens = 64,
    .temperature = 1,
    .top_p = 1,
    .repetition_penalty = 1,
};

/* ---- generation_config.json --------------------------------------------------------------- */

static bool
load_stop_strings(const fmt_json *json, fusion_generation *g, GError **error)
{
    const cJSON *value = fmt_json_lookup(json, "stop_strings");
    if (!value || cJSON_IsNull(value))
        return true;
    g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
    bool ok = cJSON_IsString(value) || cJSON_IsArray(value);
    if (cJSON_IsString(value)) {
        g_ptr_array_add(strings, g_strdup(value->valuestring));
    } else if (cJSON_IsArray(value)) {
        const cJSON *item;
        cJSON_ArrayForEach(item, value)
        {
            if (cJSON_IsString(item))
                g_ptr_array_add(strings, g_strdup(item->valuestring));
            else
                ok = false;
        }
    }
    for (guint i = 0; i < strings->len; i++)
        ok = ok && *(const char *) g_ptr_array_index(strings, i);
    if (!ok)
        return fmt_json_refuse(json, "stop_strings", "a string or an array of strings, none empty",
                               error);
    g_ptr_array_add(strings, NULL);
    g_strfreev(g->stop_strings);
    g->stop_strings = (char **) g_ptr_array_free(g_steal_pointer(&strings), FALSE);
    return true;
}

static bool
load_values(const fmt_json *json, generation_config *out, const net_config *config, GError **error)
{
    fusion_generation *g = &out->defaults;
    guint64 max_new_tokens = g->max_new_tokens, top_k = 0;
    gboolean do_sample = FALSE;
    g_autoptr(GArray) eos = NULL;
    if (!fmt_json_get_uint(json, "max_new_tokens", FMT_OPTIONAL, 1, MAX_NEW_TOKENS, &max_new_tokens,
                           error) ||
        !fmt_json_get_bool(json, "do_sample", FMT_OPTIONAL, &do_sample, error) ||
        !fmt_json_get_double(json, "temperature", FMT_OPTIONAL, 0, 1000, &g->temperature, error) ||
        !fmt_json_get_double(json, "top_p", FMT_OPTIONAL, 1e-9, 1, &g->top_p, error) ||
        !fmt_json_get_uint(json, "top_k", FMT_OPTIONAL, 0, UINT32_MAX, &top_k, error) ||
        !fmt_json_get_double(json, "repetition_penalty", FMT_OPTIONAL, 1, 1000,
                             &g->repetition_penalty, error) ||
        !fmt_json_get_uints(json, "eos_token_id", FMT_OPTIONAL, 0, G_N_ELEMENTS(out->stop_tokens),
                            0, UINT32_MAX, &eos, error) ||
        !load_stop_strings(json, g, error))
        return false;
    g->max_new_tokens = (uint32_t) max_new_tokens;
    g->top_k = (uint32_t) top_k;
    g->do_sample = do_sample;
    if (g->temperature == 0) { /* how some files spell "greedy" */
        g->temperature = 1;
        g->do_sample = false;
    }
    for (guint i = 0; eos && i < eos->len; i++) {
        guint64 id = g_array_index(eos, guint64, i);
        /* Published files name tokens beyond a cut vocabulary; they cannot come. */
        if (id < config->llm.vocab)
            out->stop_tokens[out->n_stop_tokens++] = (uint32_t) id;
    }
    return true;
}

bool
generation_config_load(generation_config *out, const net_config *config, GError **error)
{
    memset(out, 0, sizeof *out);
    out->defaults = built_in;
    g_autofree char *path = g_build_filename(config->folder, "generation_config.json", NULL);
    g_autoptr(GError) local = NULL;
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, &local);
    if (!json && !g_error_matches(local, FMT_ERROR, FMT_ERROR_NOT_FOUND))
        return error_take(error, g_steal_pointer(&local), NULL);
    if (json && !load_values(json, out, config, &local)) {
        generation_config_clear(out);
        return error_take(error, g_steal_pointer(&local), NULL);
    }
    if (out->n_stop_tokens == 0) {
        for (uint32_t i = 0; i < config->llm.n_eos; i++) {
            if (config->llm.eos[i] < config->llm.vocab)
                out->stop_tokens[out->n_stop_tokens++] = config->llm.eos[i];
        }
    }
    return true;
}

void
generation_config_clear(generation_config *g)
{
    fusion_generation_clear(&g->defaults);
}

/* ---- fusion_generation -------------------------------------------------------------------- */

void
fusion_generation_init(fusion_generation *g, fusion_model *model)
{
    fusion_generation_copy(g, model ? &model->core->generation.defaults : &built_in);
}

void
fusion_generation_copy(fusion_generation *to, const fusion_generation *from)
{
    *to = *from;
    to->stop_strings = g_strdupv(from->stop_strings);
}

void
fusion_generation_clear(fusion_generation *g)
{
    g_clear_pointer(&g->stop_strings, g_strfreev);
}

bool
generation_check(const fusion_generation *g, GError **error)
{
    const char *wrong = NULL;
    if (g->max_new_tokens < 1 || g->max_new_tokens > MAX_NEW_TOKENS)
        wrong = "max_new_tokens: expected 1 to 1000000";
    else if (!(g->temperature > 0) || !isfinite(g->temperature))
        wrong = "temperature: expected a number above 0 (do_sample=false takes the most probable)";
    else if (!(g->top_p > 0 && g->top_p <= 1))
        wrong = "top_p: expected a number above 0 and at most 1";
    else if (!(g->repetition_penalty >= 1) || !isfinite(g->repetition_penalty))
        wrong = "repetition_penalty: expected 1 or more";
    for (char **s = g->stop_strings; !wrong && s && *s; s++) {
        if (!**s)
            wrong = "stop_strings: expected no empty string";
        else if (!g_utf8_validate(*s, -1, NULL))
            wrong = "stop_strings: expected UTF-8";
    }
    if (wrong)
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, "generation: %s", wrong);
    return !wrong;
}

static bool
refuse(GError **error, const char *key, const char *expected, const char *found)
{
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                "generation: %s: expected %s, found \"%s\"", key, expected, found);
    return false;
}

static bool
parse_uint(const char *key, const char *text, guint64 min, guint64 max, guint64 *value,
           GError **error)
{
    if (g_ascii_string_to_unsigned(text, 10, min, max, value, NULL))
        return true;
    g_autofree char *expected =
        g_strdup_printf("a whole number %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, min, max);
    return refuse(error, key, expected, text);
}

static bool
parse_double(const char *key, const char *text, double *value, GError **error)
{
    char *end;
    errno = 0;
    double v = g_ascii_strtod(text, &end);
    if (!*text || *end || errno || !isfinite(v))
        return refuse(error, key, "a number", text);
    *value = v;
    return true;
}

static bool
parse_bool(const char *key, const char *text, bool *value, GError **error)
{
    static const char *const yes[] = {"true", "yes", "1", NULL};
    static const char *const no[] = {"false", "no", "0", NULL};
    g_autofree char *lower = g_ascii_strdown(text, -1);
    *value = g_strv_contains(yes, lower);
    if (*value || g_strv_contains(no, lower))
        return true;
    return refuse(error, key, "true or false", text);
}

static bool
parse_pair(fusion_generation *g, const char *key, const char *value, GError **error)
{
    guint64 u = 0;
    if (g_str_equal(key, "max_new_tokens")) {
        if (!parse_uint(key, value, 1, MAX_NEW_TOKENS, &u, error))
            return false;
        g->max_new_tokens = (uint32_t) u;
        return true;
    }
    if (g_str_equal(key, "top_k")) {
        if (!parse_uint(key, value, 0, UINT32_MAX, &u, error))
            return false;
        g->top_k = (uint32_t) u;
        return true;
    }
    if (g_str_equal(key, "rng_seed")) {
        if (!parse_uint(key, value, 0, UINT64_MAX, &u, error))
            return false;
        g->rng_seed = u;
        return true;
    }
    if (g_str_equal(key, "do_sample"))
        return parse_bool(key, value, &g->do_sample, error);
    if (g_str_equal(key, "temperature"))
        return parse_double(key, value, &g->temperature, error);
    if (g_str_equal(key, "top_p"))
        return parse_double(key, value, &g->top_p, error);
    if (g_str_equal(key, "repetition_penalty"))
        return parse_double(key, value, &g->repetition_penalty, error);
    if (g_str_equal(key, "stop_strings")) {
        g_strfreev(g->stop_strings);
        g->stop_strings = *value ? g_strsplit(value, ";", -1) : NULL;
        return true;
    }
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                "generation: unknown key \"%s\": expected max_new_tokens, do_sample, temperature, "
                "top_p, top_k, repetition_penalty, rng_seed or stop_strings",
                key);
    return false;
}

bool
fusion_generation_parse(fusion_generation *g, const char *text, GError **error)
{
    fusion_generation next;
    fusion_generation_copy(&next, g);
    g_auto(GStrv) pairs = g_strsplit(text ? text : "", ",", -1);
    bool ok = true;
    for (char **p = pairs; ok && *p; p++) {
        char *pair = g_strstrip(*p);
        if (!*pair)
            continue;
        char *equals = strchr(pair, '=');
        if (!equals) {
            ok = refuse(error, pair, "key=value", pair);
            break;
        }
        *equals = '\0';
        ok = parse_pair(&next, g_strchomp(pair), g_strchug(equals + 1), error);
    }
    ok = ok && generation_check(&next, error);
    if (!ok) {
        fusion_generation_clear(&next);
        return false;
    }
    fusion_generation_clear(g);
    *g = next;
    return true;
}
