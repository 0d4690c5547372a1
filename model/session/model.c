/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

#include <stdlib.h>
#include <string.h>

#define CLOSING_AT_MOST (20 * G_USEC_PER_SEC)

/* ---- registry ----------------------------------------------------------------------------- */

/* The one thing here that is shared by the whole process: which checkpoints are loaded, so that
 * openers of the same one share it. It holds no references and is empty again when the last handle
 * is gone. */
static struct {
    GMutex opening; /* one open at a time: two of the same model must not both load it */
    GMutex lock;    /* what follows, and every handle's step to 0 references */
    GPtrArray *cores;
    GPtrArray *closing; /* cores without handles whose memory is not free yet */
    GCond closed;       /* one was freed, or `leaving` of a core is less */
    guint64 last_id;    /* of answers, which are unique in the process */
} registry;

uint64_t
registry_next_id(void)
{
    g_mutex_lock(&registry.lock);
    uint64_t id = ++registry.last_id;
    g_mutex_unlock(&registry.lock);
    return id;
}

uint32_t
registry_count(void)
{
    g_mutex_lock(&registry.lock);
    uint32_t n = registry.cores ? registry.cores->len : 0;
    g_mutex_unlock(&registry.lock);
    return n;
}

/* With the registry's lock. */
static fusion_model *
handle_for(core *c, uint32_t max_context)
{
    for (guint i = 0; i < c->handles->len; i++) {
        fusion_model *m = g_ptr_array_index(c->handles, i);
        if (m->max_context == max_context)
            return fusion_model_ref(m);
    }
    fusion_model *m = g_new0(fusion_model, 1);
    m->refs = 1;
    m->core = c;
    m->max_context = max_context;
    g_ptr_array_add(c->handles, m);
    g_mutex_lock(&c->lock);
    c->want_context = MAX(c->want_context, max_context);
    g_mutex_unlock(&c->lock);
    return m;
}

/* What is held for who is gone need not be loaded again. With the registry's lock; handles are
 * left. */
static void
handle_left(core *c)
{
    uint32_t largest = 0;
    for (guint i = 0; i < c->handles->len; i++)
        largest = MAX(largest, ((fusion_model *) g_ptr_array_index(c->handles, i))->max_context);
    g_mutex_lock(&c->lock);
    c->base_context = MIN(c->base_context, largest);
    c->want_context = largest;
    g_mutex_unlock(&c->lock);
}

/* Of anything but auto. */
static net_precision
net_precision_of(fusion_precision precision)
{
    return (net_precision) (precision - FUSION_PRECISION_F32);
}
G_STATIC_ASSERT(NET_Q4 - NET_F32 == FUSION_PRECISION_Q4 - FUSION_PRECISION_F32);

static fusion_model_state
core_state(core *c)
{
    g_mutex_lock(&c->lock);
    fusion_model_state state = c->state;
    g_mutex_unlock(&c->lock);
    return state;
}

static bool
core_matches(core *c, const char *folder, fusion_precision precision)
{
    if (!g_str_equal(c->folder, folder))
        return false;
    if (precision == FUSION_PRECISION_AUTO ? !c->by_auto && c->precision != c->stored_precision
                                           : c->precision != net_precision_of(precision))
        return false;
    return core_state(c) != FUSION_FAILED; /* a new opener tries again */
}

static uint32_t
resolve_context(uint32_t wanted, const net_config *config)
{
    return MIN(wanted ? wanted : 2048, config->llm.max_positions);
}

/* ---- checks before a load ----------------------------------------------------------------- */

char *
fusion_default_model(void)
{
    const char *wanted = g_getenv("FUSION_MODEL");
    if (wanted && *wanted)
        return g_strdup(wanted);
    static const char *const places[] = {FUSION_NANO_DIR, FUSION_SOURCE_NANO_DIR};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *config = g_build_filename(places[i], "config.json", NULL);
        if (g_file_test(config, G_FILE_TEST_IS_REGULAR))
            return g_strdup(places[i]);
    }
    return g_strdup(FUSION_NANO_DIR);
}

static char *
resolve_folder(const char *folder, GError **error)
{
    g_autofree char *wanted = folder && *folder ? g_strdup(folder) : fusion_default_model();
    char *real = realpath(wanted, NULL);
    if (!real || !g_file_test(real, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_MODEL,
                    "%s: expected the folder of a checkpoint (config.json, model.safetensors, "
                    "tokenizer.json), found %s; %s",
                    wanted, real ? "a file" : "nothing",
                    folder && *folder
                        ? "name the folder that holds them, or none for the model that ships"
                        : "this is where the model that ships is expected: install it (meson "
                          "install -C build), or name another folder");
        free(real);
        return NULL;
    }
    char *result = g_strdup(real);
    free(real);
    return result;
}

static bool
check_tokenizer(core *c, GError **error)
{
    uint32_t rows = c->config->llm.vocab;
    if (fmt_tokenizer_size(c->tokenizer) > rows) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_MODEL,
                    "%s: tokenizer: expected ids below the %u rows of the embedding, found %u",
                    c->folder, rows, fmt_tokenizer_size(c->tokenizer) - 1);
        return false;
    }
    static const char *const markers[] = {PROMPT_VISION_START, PROMPT_VISION_END};
    for (size_t i = 0; i < G_N_ELEMENTS(markers); i++) {
        if (fmt_tokenizer_id(c->tokenizer, markers[i]) < 0) {
            g_set_error(error, FUSION_ERROR, FUSION_ERROR_MODEL,
                        "%s: tokenizer: expected the marker %s among the added tokens (of "
                        "tokenizer.json, tokenizer_config.json or added_tokens.json), found none; "
                        "it is not the tokenizer of a FUSION model: get the tokenizer files that "
                        "came with the checkpoint",
                        c->folder, markers[i]);
            return false;
        }
    }
    return true;
}

/* The token that ends the assistant's turn in the template, if the model stops there. */
static bool
find_end_token(core *c, GError **error)
{
    generation_config *g = &c->generation;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (!fmt_tokenizer_encode(c->tokenizer, c->template->assistant_suffix, -1, FMT_ENCODE_SPECIAL,
                              ids, error))
        return false;
    uint32_t first = ids->len ? g_array_index(ids, uint32_t, 0) : 0;
    if (g->n_stop_tokens == 0 && ids->len)
        g->stop_tokens[g->n_stop_tokens++] = first;
    if (g->n_stop_tokens == 0) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_MODEL,
                    "%s: generation_config.json: eos_token_id: expected a token that ends an "
                    "answer, found none (nor in config.json)",
                    c->folder);
        return false;
    }
    c->end_token = g->stop_tokens[0];
    for (uint32_t i = 0; i < g->n_stop_tokens && ids->len; i++) {
        if (g->stop_tokens[i] == first)
            c->end_token = first;
    }
    return true;
}

/* Plain ASCII, which g_format_size is not. */
static char *
bytes_text(uint64_t bytes)
{
    return bytes < 1000000000 ? g_strdup_printf("%.1f MB", (double) bytes / 1e6)
                              : g_strdup_printf("%.1f GB", (double) bytes / 1e9);
}

static uint64_t
needed_bytes(const core *c, net_precision precision, uint32_t max_context)
{
    return net_model_predict_bytes(c->config, precision, max_context, FRAME_SLOTS, 1);
}

/* Whether the states that a loaded model can get have so many positions: the first opener's have,
 * whatever others ask. With the registry's lock; `device` is the model's, opened anew or not. */
static bool
check_larger(core *c, net_device *device, uint32_t max_context, GError **error)
{
    g_mutex_lock(&c->lock);
    uint32_t base = c->base_context;
    g_mutex_unlock(&c->lock);
    if (max_context <= base)
        return true;
    if (!net_model_check_context(device, c->config, c->precision, max_context, error))
        return false;
    /* what is free now lacks what the model holds already */
    uint64_t needs = needed_bytes(c, c->precision, max_context), has = c->device.free_bytes;
    if (needs <= has)
        return true;
    g_autofree char *needs_text = bytes_text(needs), *has_text = bytes_text(has);
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_MEMORY,
                "%s: needs %s on %s with precision=%s and max-context=%u, which had %s when others "
                "opened the model with max-context=%u: try a smaller max-context or another device",
                c->folder, needs_text, c->device.name, net_precision_name(c->precision),
                max_context, has_text, base);
    return false;
}

/* FALSE: it is loaded and refuses this opener. *found: a handle, or NULL when it is not loaded. */
static bool
find_loaded(const char *folder, net_device *device, const fusion_model_options *o,
            fusion_model **found, GError **error)
{
    const net_device_info *info = net_device_get_info(device);
    bool ok = true;
    *found = NULL;
    g_mutex_lock(&registry.lock);
    for (guint i = 0; registry.cores && i < registry.cores->len; i++) {
        core *c = g_ptr_array_index(registry.cores, i);
        if (!core_matches(c, folder, o->precision) || !engine_same_device(&c->device, info))
            continue;
        uint32_t max_context = resolve_context(o->max_context, c->config);
        ok = check_larger(c, device, max_context, error);
        *found = ok ? handle_for(c, max_context) : NULL;
        break;
    }
    g_mutex_unlock(&registry.lock);
    return ok;
}

static bool
any_device(const fusion_model_options *o)
{
    return !o->device || !*o->device || g_str_equal(o->device, "auto");
}

/* A model that waits for its lost device is not loaded a second time, on the second best device, by
 * who would take any: a handle, or NULL. */
static fusion_model *
find_lost(const char *folder, const fusion_model_options *o)
{
    fusion_model *found = NULL;
    if (!any_device(o))
        return NULL;
    g_mutex_lock(&registry.lock);
    for (guint i = 0; !found && registry.cores && i < registry.cores->len; i++) {
        core *c = g_ptr_array_index(registry.cores, i);
        uint32_t max_context = resolve_context(o->max_context, c->config);
        g_mutex_lock(&c->lock);
        bool fits = max_context <= c->base_context;
        g_mutex_unlock(&c->lock);
        if (core_matches(c, folder, o->precision) && core_state(c) == FUSION_LOST &&
            c->any_device && fits)
            found = handle_for(c, max_context);
    }
    g_mutex_unlock(&registry.lock);
    return found;
}

/* Memory that is about to be free would be missed when a model is judged to fit. Not for ever: who
 * closes it may wait for whoever opens. */
static void
wait_for_closing(void)
{
    gint64 until = g_get_monotonic_time() + CLOSING_AT_MOST;
    g_mutex_lock(&registry.lock);
    bool waiting = true;
    while (waiting && registry.closing) {
        for (guint i = 0; i < registry.closing->len; i++)
            if (((core *) g_ptr_array_index(registry.closing, i))->thread == g_thread_self())
                waiting = false; /* a callback of the model that is being closed */
        waiting = waiting && g_cond_wait_until(&registry.closed, &registry.lock, until);
    }
    g_mutex_unlock(&registry.lock);
}

static bool
choose_precision(core *c, const fmt_checkpoint *cp, fusion_precision wanted, uint32_t max_context,
                 GError **error)
{
    /* activations are f16 with all but f32 */
    if (wanted > FUSION_PRECISION_F32 && !c->device.f16) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                    "precision: expected auto or f32 on %s, whose driver cannot run f16 on this "
                    "processor, found %s",
                    c->device.name, net_precision_name(net_precision_of(wanted)));
        return false;
    }
    c->stored_precision = c->device.f16 ? net_stored_precision(cp) : NET_F32;
    c->precision = wanted == FUSION_PRECISION_AUTO ? c->stored_precision : net_precision_of(wanted);
    uint64_t has = c->device.free_bytes;
    uint64_t needs = needed_bytes(c, c->precision, max_context);
    if (needs <= has)
        return net_model_check_context(c->engine.device, c->config, c->precision, max_context,
                                       error);

    /* the largest of the smaller ones that fits */
    net_precision smaller = c->precision;
    uint64_t smaller_needs = needs;
    while (smaller_needs > has && smaller < NET_Q4 && c->device.f16)
        smaller_needs = needed_bytes(c, ++smaller, max_context);
    if (smaller_needs <= has && wanted == FUSION_PRECISION_AUTO) {
        c->precision = smaller;
        c->by_auto = true;
        return net_model_check_context(c->engine.device, c->config, smaller, max_context, error);
    }
    g_autofree char *hint = smaller_needs <= has
                                ? g_strdup_printf("precision=%s, ", net_precision_name(smaller))
                                : g_strdup("");
    g_autofree char *needs_text = bytes_text(needs), *has_text = bytes_text(has);
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_MEMORY,
                "%s: needs %s on %s with precision=%s and max-context=%u, which has %s: try "
                "%sa smaller max-context, another device or a smaller model",
                c->folder, needs_text, c->device.name, net_precision_name(c->precision),
                max_context, has_text, hint);
    return false;
}

/* ---- core --------------------------------------------------------------------------------- */

static void
core_free(core *c)
{
    engine_unload(c); /* a core that was refused while opening has a device only */
    g_free(c->folder);
    g_free(c->name);
    net_config_free(c->config);
    g_clear_pointer(&c->tokenizer, fmt_tokenizer_unref);
    prompt_template_free(c->template);
    generation_config_clear(&c->generation);
    g_free(c->latent_tokens);
    g_ptr_array_unref(c->handles);
    g_ptr_array_unref(c->held);
    g_mutex_clear(&c->lock);
    g_cond_clear(&c->cond);
    g_object_unref(c->quit_cancel);
    g_clear_error(&c->error);
    g_ptr_array_unref(c->watchers);
    g_free(c);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(core, core_free)

static void
list_latent_tokens(core *c)
{
    uint32_t n = 0;
    c->latent_tokens = g_new0(uint32_t, c->config->align.n_query_len + 1);
    for (uint32_t i = 0; i < c->config->align.n_query_len; i++) {
        if (net_config_check_q(c->config, c->config->align.query_len[i], NULL))
            c->latent_tokens[n++] = c->config->align.query_len[i];
    }
}

/* Takes `config`. */
static core *
core_open(const char *folder, net_config *config, net_device *device, const fusion_model_options *o,
          GError **error)
{
    g_autoptr(core) c = g_new0(core, 1);
    c->config = config;
    g_mutex_init(&c->lock);
    g_cond_init(&c->cond);
    c->quit_cancel = g_cancellable_new();
    c->handles = g_ptr_array_new();
    c->held = g_ptr_array_new();
    c->watchers = g_ptr_array_new_with_free_func((GDestroyNotify) watcher_unref);
    c->folder = g_strdup(folder);
    c->name = g_path_get_basename(folder);
    c->any_device = any_device(o);
    c->engine.device = net_device_ref(device);
    c->device = *net_device_get_info(device);

    g_autoptr(fmt_checkpoint) cp = NULL;
    uint32_t max_context = resolve_context(o->max_context, c->config);
    if (!(cp = fmt_checkpoint_open(folder, error)) || !net_config_read_rows(c->config, cp, error) ||
        !net_model_check(c->config, cp, error) ||
        !(c->tokenizer = fmt_tokenizer_open(folder, error)) || !check_tokenizer(c, error) ||
        !(c->template = prompt_template_load(c->config, error)) ||
        !generation_config_load(&c->generation, c->config, error) || !find_end_token(c, error) ||
        !choose_precision(c, cp, o->precision, max_context, error))
        return NULL;
    list_latent_tokens(c);
    c->base_context = c->want_context = max_context;
    return g_steal_pointer(&c);
}

static bool
check_options(const fusion_model_options *o, GError **error)
{
    switch (o->precision) {
    case FUSION_PRECISION_AUTO:
    case FUSION_PRECISION_F32:
    case FUSION_PRECISION_F16:
    case FUSION_PRECISION_Q8:
    case FUSION_PRECISION_Q4:
        return true;
    }
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                "precision: expected auto, f32, f16, q8 or q4, found the value %d",
                (int) o->precision);
    return false;
}

static fusion_model *
open_locked(const char *folder, const fusion_model_options *o, GError **error)
{
    /* The cheapest reason to refuse comes first: a folder that holds no model. */
    g_autoptr(net_config) config = net_config_load(folder, error);
    if (!config)
        return NULL;
    fusion_model *model = find_lost(folder, o);
    if (model)
        return model;
    wait_for_closing();
    g_autoptr(net_device) device = net_device_open(o->device, error);
    if (!device)
        return NULL;
    if (!find_loaded(folder, device, o, &model, error) || model)
        return model;
    g_autoptr(core) c = core_open(folder, g_steal_pointer(&config), device, o, error);
    if (!c)
        return NULL;
    c->state = FUSION_LOADING;
    g_mutex_lock(&registry.lock);
    c->thread = g_thread_try_new("fusion-model", scheduler_thread, c, error);
    if (c->thread) {
        if (!registry.cores)
            registry.cores = g_ptr_array_new();
        g_ptr_array_add(registry.cores, c);
        model = handle_for(c, resolve_context(o->max_context, c->config));
        (void) g_steal_pointer(&c);
    }
    g_mutex_unlock(&registry.lock);
    return model;
}

fusion_model *
fusion_model_open(const fusion_model_options *options, GError **error)
{
    fusion_model_options o = options ? *options : (fusion_model_options){0};
    if (!check_options(&o, error))
        return NULL;
    g_autofree char *folder = resolve_folder(o.folder, error);
    if (!folder)
        return NULL;
    GError *local = NULL;
    g_mutex_lock(&registry.opening);
    fusion_model *model = open_locked(folder, &o, &local);
    g_mutex_unlock(&registry.opening);
    if (!model)
        error_take(error, local, NULL);
    return model;
}

fusion_model *
fusion_model_ref(fusion_model *model)
{
    g_atomic_int_inc(&model->refs);
    return model;
}

static void
core_close(core *c)
{
    g_mutex_lock(&c->lock);
    c->quit = true;
    g_cond_broadcast(&c->cond);
    g_mutex_unlock(&c->lock);
    g_cancellable_cancel(c->quit_cancel);
    g_thread_join(c->thread);
    engine_unload(c);
    g_mutex_lock(&registry.lock);
    g_ptr_array_remove(registry.closing, c);
    if (registry.closing->len == 0)
        g_clear_pointer(&registry.closing, g_ptr_array_unref);
    g_cond_broadcast(&registry.closed);
    /* Who let an earlier handle go may not be done with the core. */
    while (c->leaving > 0)
        g_cond_wait(&registry.closed, &registry.lock);
    g_mutex_unlock(&registry.lock);
    core_free(c);
}

void
fusion_model_unref(fusion_model *model)
{
    if (!model)
        return;
    gint refs = g_atomic_int_get(&model->refs);
    while (refs > 1) {
        if (g_atomic_int_compare_and_exchange(&model->refs, refs, refs - 1))
            return;
        refs = g_atomic_int_get(&model->refs);
    }
    /* Perhaps the last: under the lock nobody finds the handle meanwhile. */
    g_mutex_lock(&registry.lock);
    if (!g_atomic_int_dec_and_test(&model->refs)) {
        g_mutex_unlock(&registry.lock);
        return;
    }
    core *c = model->core;
    g_ptr_array_remove(c->handles, model);
    bool last = c->handles->len == 0;
    if (last) {
        g_ptr_array_remove(registry.cores, c);
        if (registry.cores->len == 0)
            g_clear_pointer(&registry.cores, g_ptr_array_unref);
        if (!registry.closing)
            registry.closing = g_ptr_array_new();
        g_ptr_array_add(registry.closing, c);
    } else {
        c->leaving++; /* keeps the core until the watchers are off */
        handle_left(c);
    }
    g_mutex_unlock(&registry.lock);

    if (last) {
        core_close(c);
    } else {
        /* Watchers that their owner forgot must not be told of a handle that is gone. */
        for (bool found = true; found;) {
            uint32_t id = 0;
            g_mutex_lock(&c->lock);
            for (guint i = 0; i < c->watchers->len && !id; i++) {
                watcher *w = g_ptr_array_index(c->watchers, i);
                id = w->model == model ? w->id : 0;
            }
            g_mutex_unlock(&c->lock);
            found = id != 0;
            if (found)
                fusion_model_unwatch(model, id);
        }
        g_mutex_lock(&registry.lock);
        c->leaving--;
        g_cond_broadcast(&registry.closed);
        g_mutex_unlock(&registry.lock);
    }
    g_free(model);
}

/* ---- state and facts ---------------------------------------------------------------------- */

fusion_model_state
fusion_model_get_state(fusion_model *model)
{
    g_mutex_lock(&model->core->lock);
    fusion_model_state state = model->core->state;
    g_mutex_unlock(&model->core->lock);
    return state;
}

static void
wake(GCancellable *cancel, gpointer core_pointer)
{
    core *c = core_pointer;
    g_mutex_lock(&c->lock);
    g_cond_broadcast(&c->cond);
    g_mutex_unlock(&c->lock);
}

bool
fusion_model_wait(fusion_model *model, GCancellable *cancel, GError **error)
{
    core *c = model->core;
    gulong handler = cancel ? g_cancellable_connect(cancel, G_CALLBACK(wake), c, NULL) : 0;
    g_mutex_lock(&c->lock);
    while (c->state != FUSION_READY && c->state != FUSION_FAILED &&
           !g_cancellable_is_cancelled(cancel))
        g_cond_wait(&c->cond, &c->lock);
    bool ready = c->state == FUSION_READY;
    if (c->state == FUSION_FAILED)
        g_propagate_error(error, g_error_copy(c->error));
    else if (!ready)
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_CANCELLED,
                    "%s: waiting for the model was cancelled", c->folder);
    g_mutex_unlock(&c->lock);
    if (cancel)
        g_cancellable_disconnect(cancel, handler);
    return ready;
}

void
fusion_model_get_info(fusion_model *model, fusion_model_info *info)
{
    core *c = model->core;
    *info = (fusion_model_info){
        .folder = c->folder,
        .name = c->name,
        .device = c->device.name,
        .device_is_cpu = c->device.is_cpu,
        .precision = net_precision_name(c->precision),
        .max_context = model->max_context,
        .image_side = c->config->vision.side,
        .vision_grid = c->config->vision.grid,
        .latent_tokens = c->latent_tokens,
        .default_latent_tokens = c->config->align.default_q,
    };
    g_mutex_lock(&c->lock);
    if (c->engine.device)
        info->device_bytes = net_device_get_memory(c->engine.device);
    g_mutex_unlock(&c->lock);
}

char **
fusion_list_devices(GError **error)
{
    GError *local = NULL;
    g_autoptr(GArray) list = net_device_list(&local);
    if (!list) {
        error_take(error, local, NULL);
        return NULL;
    }
    char **names = g_new0(char *, list->len + 1);
    for (guint i = 0; i < list->len; i++)
        names[i] = g_strdup(g_array_index(list, net_device_info, i).name);
    return names;
}
