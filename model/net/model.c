/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "net_priv.h"

static double *
copy_doubles(const double *from, uint32_t n)
{
    return from ? g_memdup2(from, n * sizeof *from) : NULL;
}

static net_config *
config_copy(const net_config *c)
{
    net_config *copy = g_memdup2(c, sizeof *c);
    copy->folder = g_strdup(c->folder);
    copy->model_type = g_strdup(c->model_type);
    copy->vision.name = g_strdup(c->vision.name);
    copy->llm.rope.short_factor = copy_doubles(c->llm.rope.short_factor, c->llm.head_dim / 2);
    copy->llm.rope.long_factor = copy_doubles(c->llm.rope.long_factor, c->llm.head_dim / 2);
    return copy;
}

static net_model *
model_new(net_device *device, const net_config *config, fmt_checkpoint *checkpoint,
          net_precision precision, uint32_t seed, net_progress_fn progress, void *user,
          GCancellable *cancel, GError **error)
{
    g_autoptr(net_model) m = g_new0(net_model, 1);

    m->device = net_device_ref(device);
    m->o = net_device_ops(device);
    m->dev = ops_device(m->o);
    m->c = config_copy(config);
    m->act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    m->recordings = g_ptr_array_new();
    if (!net_weights_load(&m->w, m->o, m->c, checkpoint, precision, seed, progress, user, cancel,
                          error))
        return NULL;
    return g_steal_pointer(&m);
}

net_model *
net_model_new(net_device *device, const net_config *config, fmt_checkpoint *checkpoint,
              net_precision precision, net_progress_fn progress, void *user, GCancellable *cancel,
              GError **error)
{
    return model_new(device, config, checkpoint, precision, 0, progress, user, cancel, error);
}

net_model *
net_model_new_random(net_device *device, const net_config *config, net_precision precision,
                     uint32_t seed, GError **error)
{
    return model_new(device, config, NULL, precision, seed, NULL, NULL, NULL, error);
}

void
net_model_free(net_model *m)
{
    if (!m)
        return;
    g_warn_if_fail(m->recordings->len == 0); /* frames and states go first */
    net_weights_clear(&m->w, m->c);
    gpu_buf_free(m->scratch);
    g_ptr_array_unref(m->recordings);
    net_config_free(m->c);
    net_device_unref(m->device);
    g_free(m);
}

const net_config *
net_model_config(const net_model *m)
{
    return m->c;
}

static uint64_t
scratch_bytes(const net_config *c, ops_dtype act, uint32_t q, uint32_t max_context)
{
    return MAX(net_frame_scratch_bytes(c, act, q), net_state_scratch_bytes(c, act, max_context));
}

#define MIB (UINT64_C(1) << 20)

uint64_t
net_model_predict_bytes(const net_config *c, net_precision precision, uint32_t max_context,
                        uint32_t frames, uint32_t states)
{
    ops_dtype act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    uint32_t q = net_max_q(c);
    uint64_t frame = net_frame_bytes(c, act, q) + net_picture_bytes(c, 1920, 1080);
    uint64_t bytes = net_weights_bytes(c, precision) + frames * frame +
                     net_states_bytes(c, act, max_context, states) +
                     scratch_bytes(c, act, q, max_context);

    /* memory is taken from the device in blocks, the newest of them half full on average */
    return bytes + CLAMP(bytes / 5, 16 * MIB, 256 * MIB) / 2;
}

static bool
resize_scratch(net_model *m, uint64_t bytes, GError **error)
{
    for (guint i = 0; i < m->recordings->len; i++)
        net_recordings_clear(g_ptr_array_index(m->recordings, i));
    /* the old one goes first: both may not fit */
    g_clear_pointer(&m->scratch, gpu_buf_free);
    m->scratch = bytes ? gpu_buf_new(m->dev, bytes, GPU_MEM_DEVICE, "activations", error) : NULL;
    m->scratch_size = m->scratch ? bytes : 0;
    return m->scratch != NULL;
}

bool
net_model_reserve(net_model *m, uint64_t bytes, GError **error)
{
    uint64_t before = m->scratch_size;

    if (m->scratch && bytes <= before)
        return true;
    if (resize_scratch(m, bytes, error))
        return true;
    resize_scratch(m, before, NULL);
    return false;
}

void
net_model_unreserve(net_model *m, uint64_t bytes)
{
    if (m->scratch_size > bytes)
        resize_scratch(m, bytes, NULL);
}

void
net_model_forget_frame(net_model *m, uint32_t frame)
{
    for (guint i = 0; i < m->recordings->len; i++)
        net_recordings_drop_frame(g_ptr_array_index(m->recordings, i), frame);
}

void
net_model_set_pause(net_model *m, net_pause_fn pause, void *user)
{
    m->pause = pause;
    m->pause_user = user;
}

void
net_model_pause(net_model *m)
{
    if (m->pause)
        m->pause(m->pause_user);
}

bool
net_model_run(net_model *m, gpu_cmd *cmd, GCancellable *cancel, GError **error)
{
    return gpu_cmd_run_pausing(cmd, m->pause, m->pause_user, cancel, error);
}

net_pass
net_pass_begin(net_model *m, net_recording *rec)
{
    return (net_pass){.m = m, .c = m->c, .w = &m->w, .o = m->o, .cmd = rec->cmd, .rec = rec};
}
