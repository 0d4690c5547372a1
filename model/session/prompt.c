/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prompt.h"

#include "fmt_json.h"

#include <string.h>

/* ---- templates ---------------------------------------------------------------------------- */

static const prompt_template phi = {
    .system = "You are a helpful AI assistant.",
    .system_prefix = "<|system|>\n",
    .system_suffix = "<|end|>\n",
    .user_prefix = "<|user|>\n",
    .user_suffix = "<|end|>\n",
    .assistant_prefix = "<|assistant|>\n",
    .assistant_suffix = "<|end|>\n",
};

static const prompt_template llama = {
    .system =
        "You are a helpful, highly intelligent language and vision assistant. You are able to "
        "understand the visual content that the user provides, and assist the user with a variety "
        "of tasks using natural language. Whenever an image is present in the conversation, very "
        "carefully examine it and consider its content when formulating your response.",
    .system_prefix = "<|start_header_id|>system<|end_header_id|>\n\n",
    .system_suffix = "<|eot_id|>",
    .user_prefix = "<|start_header_id|>user<|end_header_id|>\n\n",
    .user_suffix = "<|eot_id|>",
    .assistant_prefix = "<|start_header_id|>assistant<|end_header_id|>\n\n",
    .assistant_suffix = "<|eot_id|>",
};

prompt_template *
prompt_template_load(const net_config *config, GError **error)
{
    g_autofree char *path = g_build_filename(config->folder, "config.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, error);
    if (!json)
        return NULL;
    const prompt_template *base = config->llm.type == NET_LLM_LLAMA ? &llama : &phi;
    const cJSON *own = NULL;
    if (!fmt_json_get_object(json, "conversation", FMT_OPTIONAL, &own, error))
        return NULL;
    g_autoptr(prompt_template) t = g_new0(prompt_template, 1);
    const struct {
        const char *key;
        const char *usual;
        char **to;
        fmt_need need;
    } pieces[] = {
        {"conversation.system", base->system, &t->system, FMT_OPTIONAL},
        {"conversation.system_prefix", base->system_prefix, &t->system_prefix, FMT_OPTIONAL},
        {"conversation.system_suffix", base->system_suffix, &t->system_suffix, FMT_OPTIONAL},
        {"conversation.user_prefix", base->user_prefix, &t->user_prefix, FMT_REQUIRED},
        {"conversation.user_suffix", base->user_suffix, &t->user_suffix, FMT_REQUIRED},
        {"conversation.assistant_prefix", base->assistant_prefix, &t->assistant_prefix,
         FMT_REQUIRED},
        {"conversation.assistant_suffix", base->assistant_suffix, &t->assistant_suffix,
         FMT_REQUIRED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        const char *text = own ? "" : pieces[i].usual;
        if (own && !fmt_json_get_string(json, pieces[i].key, pieces[i].need, &text, error))
            return NULL;
        *pieces[i].to = g_strdup(text);
    }
    return g_steal_pointer(&t);
}

void
prompt_template_free(prompt_template *t)
{
    if (!t)
        return;
    g_free(t->system);
    g_free(t->system_prefix);
    g_free(t->system_suffix);
    g_free(t->user_prefix);
    g_free(t->user_suffix);
    g_free(t->assistant_prefix);
    g_free(t->assistant_suffix);
    g_free(t);
}

/* ---- text to ids -------------------------------------------------------------------------- */

typedef struct {
    const char *text;
    bool typed; /* by a person (or the model): special tokens in it are ordinary characters */
} segment;

static GArray *
encode(const fmt_tokenizer *tok, const char *text, fmt_encode_flags flags, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (!fmt_tokenizer_encode(tok, text, -1, flags, ids, error))
        return NULL;
    return g_steal_pointer(&ids);
}

static uint32_t
count_special(const fmt_tokenizer *tok, const GArray *ids)
{
    uint32_t n = 0;
    for (guint i = 0; i < ids->len; i++)
        n += fmt_tokenizer_is_special(tok, g_array_index(ids, uint32_t, i)) ? 1 : 0;
    return n;
}

/* A piece is one text for the tokenizer, as in training, where a token may span the border of what
 * was typed and the template. Only where special tokens would be found in what was typed, it is
 * encoded by parts. */
static bool
encode_segments(const fmt_tokenizer *tok, const GArray *segments, fmt_encode_flags bos, GArray *ids,
                GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GArray) by_parts = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    bool clean = true;
    uint32_t special = 0;
    for (guint i = 0; i < segments->len; i++) {
        const segment *s = &g_array_index(segments, segment, i);
        fmt_encode_flags front = i == 0 ? bos : FMT_ENCODE_CONTINUES;
        g_autoptr(GArray) marked = encode(tok, s->text, front | FMT_ENCODE_SPECIAL, error);
        g_autoptr(GArray) plain = marked ? encode(tok, s->text, front, error) : NULL;
        if (!plain)
            return false;
        if (s->typed && (marked->len != plain->len ||
                         memcmp(marked->data, plain->data, sizeof(uint32_t) * plain->len) != 0))
            clean = false;
        const GArray *wanted = s->typed ? plain : marked;
        special += count_special(tok, wanted);
        g_array_append_vals(by_parts, wanted->data, wanted->len);
        g_string_append(text, s->text);
    }
    g_autoptr(GArray) whole = encode(tok, text->str, bos | FMT_ENCODE_SPECIAL, error);
    if (!whole)
        return false;
    if (clean && count_special(tok, whole) == special)
        g_array_append_vals(ids, whole->data, whole->len);
    else
        g_array_append_vals(ids, by_parts->data, by_parts->len);
    return true;
}

/* ---- building ----------------------------------------------------------------------------- */

typedef struct {
    const fmt_tokenizer *tok;
    prompt *p;
    GArray *segments; /* of the piece that is being put together */
    GArray *begins;   /* guint: first id of each piece, its pointer is set at the end */
} builder;

static void
add_text(builder *b, const char *text, bool typed)
{
    segment s = {text, typed};
    if (*text)
        g_array_append_val(b->segments, s);
}

static void
add_place(builder *b, net_piece_kind kind)
{
    net_piece piece = {.kind = kind};
    g_array_append_val(b->p->pieces, piece);
    g_array_append_val(b->begins, b->p->ids->len);
}

/* Ends the piece of text. */
static bool
flush_text(builder *b, bool ends_question, GError **error)
{
    guint begin = b->p->ids->len;
    guint n = b->p->pieces->len;
    /* The authors cut at images and latents alone: an answer goes on where its question ended. */
    bool goes_on = n > 0 && g_array_index(b->p->pieces, net_piece, n - 1).kind == NET_PIECE_TOKENS;
    fmt_encode_flags front = n == 0 ? FMT_ENCODE_ADD_BOS : goes_on ? FMT_ENCODE_CONTINUES : 0;
    if (!encode_segments(b->tok, b->segments, front, b->p->ids, error))
        return false;
    g_array_set_size(b->segments, 0);
    net_piece piece = {
        .kind = NET_PIECE_TOKENS, .n = b->p->ids->len - begin, .ends_question = ends_question};
    if (piece.n == 0)
        return true;
    g_array_append_val(b->p->pieces, piece);
    g_array_append_val(b->begins, begin);
    return true;
}

static bool
add_question(builder *b, const prompt_template *t, const char *question, bool first, GError **error)
{
    add_text(b, t->user_prefix, false);
    add_text(b, PROMPT_VISION_START, false);
    if (!flush_text(b, false, error))
        return false;
    if (first) {
        add_place(b, NET_PIECE_IMAGE);
        add_text(b, PROMPT_VISION_END PROMPT_VISION_START, false);
        if (!flush_text(b, false, error))
            return false;
    }
    add_place(b, NET_PIECE_LATENTS);
    add_text(b, first ? PROMPT_VISION_END "\n" : PROMPT_VISION_END, false);
    add_text(b, question, true);
    add_text(b, t->user_suffix, false);
    add_text(b, t->assistant_prefix, false);
    return flush_text(b, true, error);
}

static bool
build(builder *b, const prompt_template *t, const char *system, char **questions, char **answers,
      uint32_t n, GError **error)
{
    const char *system_text = system ? system : t->system;
    if (*system_text) {
        add_text(b, t->system_prefix, false);
        add_text(b, system_text, system != NULL);
        add_text(b, t->system_suffix, false);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!add_question(b, t, questions[i], i == 0, error))
            return false;
        if (i + 1 < n) {
            add_text(b, answers[i], true);
            add_text(b, t->assistant_suffix, false);
        }
    }
    return true;
}

void
prompt_drop_padding(GArray *ids)
{
    guint n = 0;
    for (guint i = 0; i < ids->len; i++) {
        uint32_t id = g_array_index(ids, uint32_t, i);
        if (id != 0)
            g_array_index(ids, uint32_t, n++) = id;
    }
    if (n > 0) /* a pass over no text has no kernels */
        g_array_set_size(ids, n);
}

prompt *
prompt_new(const prompt_template *t, const fmt_tokenizer *tok, const char *system,
           const char *const *turns, uint32_t n_turns, const char *question, uint32_t grid,
           GError **error)
{
    g_autoptr(prompt) p = g_new0(prompt, 1);
    p->ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    p->pieces = g_array_new(FALSE, FALSE, sizeof(net_piece));
    g_auto(GStrv) questions = g_new0(char *, n_turns + 2);
    g_auto(GStrv) answers = g_new0(char *, n_turns + 1);
    for (uint32_t i = 0; i < n_turns; i++) {
        questions[i] = g_strstrip(g_strdup(turns[2 * i]));
        answers[i] = g_strstrip(g_strdup(turns[2 * i + 1]));
    }
    questions[n_turns] = g_strstrip(g_strdup(question));

    /* The encoder is guided by the bare questions. */
    g_autofree char *instruction = g_strjoinv(NULL, questions);
    p->instruction = encode(tok, instruction, FMT_ENCODE_ADD_BOS, error);
    if (!p->instruction)
        return NULL;
    prompt_drop_padding(p->instruction);

    g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(segment));
    g_autoptr(GArray) begins = g_array_new(FALSE, FALSE, sizeof(guint));
    builder b = {tok, p, segments, begins};
    if (!build(&b, t, system, questions, answers, n_turns + 1, error))
        return NULL;
    for (guint i = 0; i < p->pieces->len; i++) {
        net_piece *piece = &g_array_index(p->pieces, net_piece, i);
        if (piece->kind == NET_PIECE_TOKENS)
            piece->ids = &g_array_index(p->ids, uint32_t, g_array_index(begins, guint, i));
    }
    p->net = (net_prompt){
        .instruction = (const uint32_t *) (void *) p->instruction->data,
        .n_instruction = p->instruction->len,
        .pieces = (const net_piece *) (void *) p->pieces->data,
        .n_pieces = p->pieces->len,
        .grid = grid,
    };
    return g_steal_pointer(&p);
}

void
prompt_free(prompt *p)
{
    if (!p)
        return;
    g_clear_pointer(&p->instruction, g_array_unref);
    g_clear_pointer(&p->ids, g_array_unref);
    g_clear_pointer(&p->pieces, g_array_unref);
    g_free(p);
}
