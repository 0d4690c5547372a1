/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper.h"

#include <string.h>

answers *
answers_new(void)
{
    answers *a = g_new0(answers, 1);
    g_mutex_init(&a->lock);
    g_cond_init(&a->cond);
    a->partial = g_ptr_array_new_with_free_func((GDestroyNotify) fusion_answer_free);
    a->final = g_ptr_array_new_with_free_func((GDestroyNotify) fusion_answer_free);
    return a;
}

void
answers_free(answers *a)
{
    g_ptr_array_unref(a->partial);
    g_ptr_array_unref(a->final);
    g_mutex_clear(&a->lock);
    g_cond_clear(&a->cond);
    g_free(a);
}

void
answers_take(const fusion_answer *answer, void *user)
{
    answers *a = user;
    g_mutex_lock(&a->lock);
    g_ptr_array_add(answer->final ? a->final : a->partial, fusion_answer_copy(answer));
    g_cond_broadcast(&a->cond);
    g_mutex_unlock(&a->lock);
}

void
answers_destroyed(void *user)
{
    answers *a = user;
    g_mutex_lock(&a->lock);
    a->destroyed++;
    g_mutex_unlock(&a->lock);
}

const fusion_answer *
answers_wait(answers *a, uint32_t n)
{
    gint64 until = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    g_mutex_lock(&a->lock);
    while (a->final->len < n && g_cond_wait_until(&a->cond, &a->lock, until))
        continue;
    g_assert_cmpuint(a->final->len, >=, n);
    const fusion_answer *last = g_ptr_array_index(a->final, n - 1);
    g_mutex_unlock(&a->lock);
    return last;
}

fusion_frame *
frame_of(uint8_t value)
{
    uint8_t pixels[8 * 8 * 4];
    memset(pixels, value, sizeof pixels);
    return fusion_frame_new(pixels, 8, 8, 8 * 4, NULL);
}

fusion_model *
open_ready(const char *folder)
{
    g_autoptr(GError) error = NULL;
    fusion_model_options options = {.folder = folder};
    fusion_model *m = fusion_model_open(&options, &error);
    g_assert_no_error(error);
    fusion_model_wait(m, NULL, &error);
    g_assert_no_error(error);
    return m;
}

void
assert_refused(const fusion_model_options *o, int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(fusion_model_open(o, &error));
    g_assert_error(error, FUSION_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

uint64_t
ask(fusion_session *s, uint8_t value, const char *question, const fusion_request_options *options,
    answers *a)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = frame_of(value);
    g_autoptr(fusion_question) q = fusion_question_new(question, NULL);
    uint64_t id =
        fusion_session_ask(s, frame, q, options, answers_take, a, answers_destroyed, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(id, >, 0);
    return id;
}

const fusion_answer *
ask_wait(fusion_session *s, uint8_t value, const fusion_question *question,
         const fusion_request_options *options, answers *a)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = frame_of(value);
    g_mutex_lock(&a->lock);
    uint32_t n = a->final->len + 1;
    g_mutex_unlock(&a->lock);
    fusion_session_ask(s, frame, question, options, answers_take, a, answers_destroyed, &error);
    g_assert_no_error(error);
    return answers_wait(a, n);
}

char *
ids_text(const GArray *ids)
{
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < ids->len; i++)
        g_string_append_printf(s, "%s%u", i ? " " : "", g_array_index(ids, uint32_t, i));
    return g_string_free(s, FALSE);
}
