/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void
ask_print_line(const fusion_answer *answer)
{
    if (answer->error)
        g_printerr("%s -> %s\n", answer->question, answer->error->message);
    else
        g_print("%s -> %s (%.2f)%s\n", answer->question, answer->text, answer->confidence,
                answer->truncated ? " [cut off]" : "");
    fflush(stdout);
}

/* Six digits say all that f32 arithmetic knows. */
static void
add_number(cJSON *object, const char *key, double value, const char *format)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    if (!isfinite(value))
        cJSON_AddNullToObject(object, key);
    else
        cJSON_AddRawToObject(object, key, g_ascii_formatd(text, sizeof text, format, value));
}

static void
add_metrics(cJSON *object, const fusion_metrics *m)
{
    cJSON *metrics = cJSON_AddObjectToObject(object, "metrics");
    const struct {
        const char *key;
        double ms;
    } all[] = {
        {"queue_ms", m->queue_ms},
        {"preprocess_ms", m->preprocess_ms},
        {"global_ms", m->global_ms},
        {"guided_ms", m->guided_ms},
        {"prefill_ms", m->prefill_ms},
        {"decode_ms", m->decode_ms},
        {"first_token_ms", m->first_token_ms},
        {"total_ms", m->total_ms},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        add_number(metrics, all[i].key, all[i].ms, "%.3f");
}

void
ask_print_add_error(cJSON *object, const char *message)
{
    /* JSON is UTF-8; the name of a file in the message may be any bytes */
    g_autofree char *valid = g_utf8_make_valid(message, -1);
    cJSON_AddStringToObject(object, "error", valid);
}

cJSON *
ask_print_json(const fusion_answer *a)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "question", a->question);
    if (a->error) {
        ask_print_add_error(object, a->error->message);
        return object;
    }
    cJSON_AddStringToObject(object, "result", a->text);
    add_number(object, "confidence", a->confidence, "%.7g");
    cJSON_AddBoolToObject(object, "truncated", a->truncated);
    cJSON_AddNumberToObject(object, "prompt_tokens", a->prompt_tokens);
    cJSON *ids = cJSON_AddArrayToObject(object, "token_ids");
    for (uint32_t i = 0; i < a->n_tokens; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(a->token_ids[i]));
    cJSON *logprobs = cJSON_AddArrayToObject(object, "logprobs");
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];
        double value = a->logprobs[i];
        cJSON_AddItemToArray(logprobs, isfinite(value) ? cJSON_CreateRaw(g_ascii_formatd(
                                                             text, sizeof text, "%.7g", value))
                                                       : cJSON_CreateNull());
    }
    cJSON *choices = cJSON_AddArrayToObject(object, "choices");
    for (uint32_t i = 0; i < a->n_choices; i++) {
        cJSON *choice = cJSON_CreateObject();
        cJSON_AddStringToObject(choice, "label", a->choices[i].label);
        add_number(choice, "probability", a->choices[i].probability, "%.7g");
        cJSON_AddItemToArray(choices, choice);
    }
    add_metrics(object, &a->metrics);
    return object;
}

void
ask_print_object(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    fflush(stdout);
    cJSON_free(text);
    cJSON_Delete(object);
}

bool
ask_print_npy(const char *folder, const char *stage, const float *data, const uint64_t *shape,
              unsigned n_dims, GError **error)
{
    uint64_t n = 1;
    g_autoptr(GString) header = g_string_new("{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (unsigned i = 0; i < n_dims; i++) {
        n *= shape[i];
        g_string_append_printf(header, "%" G_GUINT64_FORMAT ", ", shape[i]);
    }
    g_string_append(header, "), }");
    /* Magic, version and length take 10 bytes; all of it a multiple of 64, with a line break last.
     */
    while ((10 + header->len + 1) % 64)
        g_string_append_c(header, ' ');
    g_string_append_c(header, '\n');

    g_autoptr(GByteArray) file = g_byte_array_new();
    const guint8 begin[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, header->len & 0xff, header->len >> 8};
    g_byte_array_append(file, begin, sizeof begin);
    g_byte_array_append(file, (const guint8 *) header->str, (guint) header->len);
    guint at = file->len;
    g_byte_array_set_size(file, at + (guint) n * 4);
    for (uint64_t i = 0; i < n; i++) {
        guint32 bits;
        memcpy(&bits, &data[i], 4);
        bits = GUINT32_TO_LE(bits);
        memcpy(file->data + at + i * 4, &bits, 4);
    }
    g_autofree char *name = g_strconcat(stage, ".npy", NULL);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_file_set_contents(path, (const char *) file->data, file->len, error);
}
