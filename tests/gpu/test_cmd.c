/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "scale.h"

static void
test_replay(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1000, GPU_MEM_UPLOAD, "x");
    g_autoptr(gpu_buf) y = new_buf(test_gpu(), 4000, GPU_MEM_READBACK, "y");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "scale");
    g_assert_true(gpu_cmd_device(cmd) == test_gpu());
    scale(cmd, y, 0, x, 0, 1000, 2, 1);
    end_and_run(cmd);
    assert_floats(y, 0, 1000, 1, 2);
    /* What is written through the map between runs is seen by the next one, and its results here.
     */
    float *in = gpu_buf_map(x), *out = gpu_buf_map(y);
    for (int run = 0; run < 5; run++) {
        in[7] = (float) (100 * run);
        gpu_cmd_run(cmd, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(out[7], ==, (float) (200 * run + 1));
        g_assert_cmpfloat(out[8], ==, 17);
    }
    test_gpu_check();
}

static void
test_chain(void)
{
    /* More dispatches than a pool of descriptors or queries holds, each after the one before. */
    g_autoptr(gpu_buf) a = new_ramp(test_gpu(), 100, GPU_MEM_DEVICE, "a");
    g_autoptr(gpu_buf) b = new_buf(test_gpu(), 400, GPU_MEM_DEVICE, "b");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "chain");
    for (int i = 0; i < 300; i++) {
        gpu_cmd_stage(cmd, i % 3 == 0 ? "zero" : i % 3 == 1 ? "one" : NULL);
        scale(cmd, i % 2 ? a : b, 0, i % 2 ? b : a, 0, 100, 1, 1);
    }
    g_assert_cmpuint(gpu_cmd_n_dispatches(cmd), ==, 300);
    g_assert_cmpuint(gpu_cmd_n_barriers(cmd), ==, 299);
    end_and_run(cmd);
    assert_floats(a, 0, 100, 300, 1);
    assert_floats(b, 0, 100, 299, 1);
    test_gpu_check();
}

static void
test_barrier(void)
{
    g_autoptr(gpu_buf) a = new_ramp(test_gpu(), 1024, GPU_MEM_DEVICE, "a");
    g_autoptr(gpu_buf) b = new_buf(test_gpu(), 4096, GPU_MEM_DEVICE, "b");
    g_autoptr(gpu_buf) c = new_buf(test_gpu(), 4096, GPU_MEM_DEVICE, "c");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "barriers");
    unsigned n = 0;
#define EXPECT(more)                                                                               \
    do {                                                                                           \
        n += (more);                                                                               \
        g_assert_cmpuint(gpu_cmd_n_barriers(cmd), ==, n);                                          \
    } while (0)
    /* two readers of a range, writers of disjoint ranges */
    scale(cmd, b, 0, a, 0, 512, 1, 0);
    scale(cmd, b, 512, a, 0, 512, 1, 0);
    scale(cmd, c, 0, a, 256, 256, 1, 0);
    EXPECT(0);
    /* read after write, one float of overlap */
    scale(cmd, c, 512, b, 448, 65, 1, 0);
    EXPECT(1);
    /* others that wait already for the same barrier */
    scale(cmd, c, 768, b, 0, 64, 1, 0);
    EXPECT(0);
    /* write after read */
    scale(cmd, b, 0, a, 0, 64, 1, 0);
    EXPECT(1);
    /* write after write */
    scale(cmd, b, 0, a, 64, 64, 1, 0);
    EXPECT(1);
    /* in place: no hazard within a dispatch, one with the next */
    scale(cmd, a, 512, a, 512, 64, 1, 0);
    EXPECT(0);
    scale(cmd, a, 512, a, 512, 64, 1, 0);
    EXPECT(1);
    /* copies count */
    gpu_cmd_copy(cmd, (gpu_span){c, 0, 256}, (gpu_span){b, 1024, 256});
    EXPECT(0);
    gpu_cmd_copy(cmd, (gpu_span){c, 256, 256}, (gpu_span){b, 1024, 256});
    EXPECT(0);
    scale(cmd, b, 512, c, 64, 64, 1, 0);
    EXPECT(1);
    gpu_cmd_copy(cmd, (gpu_span){c, 2048, 256}, (gpu_span){b, 2048, 256});
    EXPECT(1);
#undef EXPECT
    end_and_run(cmd);
    test_gpu_check();
}

/* Random dispatches and copies over ranges of two buffers give what one after the other gives. */
static void
test_random(void)
{
    enum { N = 2048, STEPS = 400 };
    g_autoptr(GError) error = NULL;
    float *sim[2] = {g_new(float, N), g_new(float, N)};
    gpu_buf *buf[2] = {new_ramp(test_gpu(), N, GPU_MEM_DEVICE, "0"),
                       new_ramp(test_gpu(), N, GPU_MEM_DEVICE, "1")};
    for (int i = 0; i < N; i++)
        sim[0][i] = sim[1][i] = (float) i;
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "random");
    for (int step = 0; step < STEPS; step++) {
        uint32_t n = 64 * (uint32_t) g_test_rand_int_range(1, 5);
        uint32_t from = 64 * (uint32_t) g_test_rand_int_range(0, (N - (gint32) n) / 64 + 1);
        uint32_t to = 64 * (uint32_t) g_test_rand_int_range(0, (N - (gint32) n) / 64 + 1);
        int s = g_test_rand_bit(), d = g_test_rand_bit();
        if (s == d && from < to + n && to < from + n)
            to = from; /* in place or apart: overlap within a dispatch has no order */
        if (g_test_rand_bit() && !(s == d && to == from)) {
            gpu_cmd_copy(cmd, (gpu_span){buf[d], 4 * to, 4 * n},
                         (gpu_span){buf[s], 4 * from, 4 * n});
            memcpy(sim[d] + to, sim[s] + from, 4 * n);
        } else {
            scale_cost(cmd, buf[d], to, buf[s], from, n, 0.5f, 1, 1e7); /* several pieces too */
            for (uint32_t i = 0; i < n; i++)
                sim[d][to + i] = 0.5f * sim[s][from + i] + 1;
        }
    }
    end_and_run(cmd);
    g_test_message("%u barriers in %u pieces", gpu_cmd_n_barriers(cmd), gpu_cmd_n_pieces(cmd));
    g_assert_cmpuint(gpu_cmd_n_barriers(cmd), <, STEPS);
    for (int b = 0; b < 2; b++) {
        g_autofree float *v = g_new(float, N);
        gpu_buf_read(buf[b], 0, v, 4 * N, &error);
        g_assert_no_error(error);
        for (int i = 0; i < N; i++)
            if (ABS(v[i] - sim[b][i]) > 1e-4f * ABS(sim[b][i]))
                g_error("buffer %d, %d: %g, expected %g", b, i, v[i], sim[b][i]);
        gpu_buf_free(buf[b]);
        g_free(sim[b]);
    }
    test_gpu_check();
}

/* As if nothing was measured before: the slices are those of the rate that is assumed. */
static void
forget_rate(gpu_device *dev)
{
    g_atomic_int_set(&dev->measured_mflops, 0);
}

static void
test_slices(void)
{
    g_autoptr(GError) error = NULL;
    forget_rate(test_gpu());
    double slice = gpu_device_default_rate(test_gpu()) * gpu_device_slice_s(test_gpu());
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1024, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "slices");
    for (int i = 0; i < 40; i++) /* ten slices at the assumed rate */
        scale_cost(cmd, x, 0, x, 0, 1024, 1, 1, slice / 4);
    end_and_run(cmd);
    g_assert_cmpuint(gpu_cmd_n_pieces(cmd), ==, 40);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), ==, 10);
    assert_floats(x, 0, 1024, 40, 1);
    /* Small ones share a piece. */
    g_autoptr(gpu_cmd) small = new_cmd(test_gpu(), "small");
    for (int i = 0; i < 40; i++)
        scale(small, x, 0, x, 0, 1024, 1, 1);
    end_and_run(small);
    g_assert_cmpuint(gpu_cmd_n_pieces(small), ==, 1);
    /* A command that turns out faster than assumed takes fewer slices. */
    for (int i = 0; i < 10; i++) {
        gpu_cmd_run(cmd, NULL, &error);
        g_assert_no_error(error);
    }
    g_test_message("%u slices at %g GFLOP/s", gpu_cmd_n_slices(cmd), cmd->flops_per_s * 1e-9);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), <, 10);
    /* And one that is slower more of them. */
    cmd->flops_per_s = slice / 10 / gpu_device_slice_s(test_gpu());
    gpu_cmd_run(cmd, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), ==, 40);
    test_gpu_check();
}

/* What a slow device was seen to do, the next command knows from its beginning. */
static void
test_slow_device(void)
{
    gpu_device *dev = test_gpu();
    double rate = gpu_device_default_rate(dev);
    int before = g_atomic_int_get(&dev->measured_mflops);
    for (int faster = 0; faster < 2; faster++) {
        double measured = faster ? rate * 4 : rate / 4;
        g_atomic_int_set(&dev->measured_mflops, (int) (measured * 1e-6));
        g_autoptr(gpu_cmd) cmd = new_cmd(dev, "next");
        g_assert_cmpfloat_with_epsilon(cmd->flops_per_s, MIN(rate, measured), 1e6);
        g_autoptr(GError) error = NULL;
        gpu_cmd_end(cmd, &error);
        g_assert_no_error(error);
    }
    g_atomic_int_set(&dev->measured_mflops, before);
}

typedef struct {
    volatile float *seen; /* mapped; not 0 once the first slice is done */
    GCancellable *cancel;
} canceller;

static gpointer
cancel_when_started(gpointer data)
{
    canceller *c = data;
    for (int i = 0; i < 100000 && *c->seen == 0; i++)
        g_usleep(100);
    g_cancellable_cancel(c->cancel);
    return NULL;
}

static void
test_cancel(void)
{
    enum { N = 1 << 18, STEPS = 64 };
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    forget_rate(test_gpu());
    double slice = gpu_device_default_rate(test_gpu()) * gpu_device_slice_s(test_gpu());
    g_autoptr(gpu_buf) x = new_buf(test_gpu(), 4 * N, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) seen = new_buf(test_gpu(), 4, GPU_MEM_READBACK, "seen");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "cancelled");
    for (int i = 0; i < STEPS; i++) {
        for (int k = 0; k < 8; k++)
            scale_cost(cmd, x, 0, x, 0, N, 1, 1, slice / 8);
        if (i == 0)
            gpu_cmd_copy(cmd, (gpu_span){seen, 0, 4}, (gpu_span){x, 0, 4});
    }
    gpu_cmd_end(cmd, &error);
    g_assert_no_error(error);

    canceller c = {gpu_buf_map(seen), cancel};
    GThread *thread = g_thread_new("cancel", cancel_when_started, &c);
    g_assert_false(gpu_cmd_run(cmd, cancel, &error));
    g_thread_join(thread);
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    g_test_message("cancelled after %u of %d slices", gpu_cmd_n_slices(cmd), STEPS);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), >, 0);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), <, STEPS);

    /* Cancelled before: nothing runs. */
    g_assert_false(gpu_cmd_run(cmd, cancel, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_cmpuint(gpu_cmd_n_slices(cmd), ==, 0);

    /* And it can be run again. */
    float zero = 0;
    g_autofree float *zeros = g_new0(float, N);
    gpu_buf_write(x, 0, zeros, 4 * N, &error);
    g_assert_no_error(error);
    gpu_cmd_run(cmd, NULL, &error);
    g_assert_no_error(error);
    assert_floats(x, 0, N, 8 * STEPS, zero);
    test_gpu_check();
}

static void
test_invalid(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1024, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) y = new_buf(test_gpu(), 4096, GPU_MEM_DEVICE, "y");
    uint32_t align = gpu_device_get_info(test_gpu())->storage_align;
    uint32_t most = gpu_device_get_info(test_gpu())->max_groups[1];
    const push_test_scale push = {16, 1, 0};
    struct {
        gpu_span x;
        const void *push;
        uint32_t groups[3];
        const char *message;
    } cases[] = {
        {{x, 0, 5000}, &push, {1, 1, 1}, "5000 bytes at 0 of buffer 'x', which has 4096"},
        {{x, 4096, 16}, &push, {1, 1, 1}, "16 bytes at 4096"},
        {{x, UINT64_MAX - 15, 16}, &push, {1, 1, 1}, "'x', which has 4096"},
        {{x, align / 2, 64}, &push, {1, 1, 1}, "not a multiple of"},
        {{NULL, 0, 64}, &push, {1, 1, 1}, "binding 0: no buffer"},
        {{x, 0, 0}, &push, {1, 1, 1}, "0 bytes at 0"},
        {{x, 0, 64}, NULL, {1, 1, 1}, "needs 12 bytes of push constants"},
        {{x, 0, 64}, &push, {1, most, 1}, NULL},
        {{x, 0, 64}, &push, {1, UINT32_MAX, 1}, "4294967295 workgroups in dimension 1"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "invalid");
        gpu_cmd_stage(cmd, "stage");
        scale(cmd, y, 0, x, 0, 64, 1, 0);
        gpu_cmd_dispatch(cmd, scale_kernel(test_gpu()), (gpu_span[]){cases[i].x, {y, 0, 64}},
                         cases[i].push, cases[i].groups, 1);
        scale(cmd, y, 0, x, 0, 64, 1, 0); /* does nothing after a failure */
        bool ok = gpu_cmd_end(cmd, &error);
        g_assert_cmpint(ok, ==, cases[i].message == NULL);
        if (ok)
            continue;
        g_test_message("%s", error->message);
        assert_error(&error, GPU_ERROR_INVALID, cases[i].message);
        g_assert_cmpuint(gpu_cmd_n_dispatches(cmd), ==, 1);
        g_assert_false(gpu_cmd_run(cmd, NULL, &error)); /* sticks */
        assert_error(&error, GPU_ERROR_INVALID, cases[i].message);
    }

    g_autoptr(gpu_cmd) copy = new_cmd(test_gpu(), "copy");
    gpu_cmd_copy(copy, (gpu_span){x, 0, 64}, (gpu_span){y, 0, 128});
    g_assert_false(gpu_cmd_end(copy, &error));
    assert_error(&error, GPU_ERROR_INVALID, "sizes must be equal");
    g_autoptr(gpu_cmd) overlap = new_cmd(test_gpu(), "overlap");
    gpu_cmd_copy(overlap, (gpu_span){x, 0, 64}, (gpu_span){x, 60, 64});
    g_assert_false(gpu_cmd_end(overlap, &error));
    assert_error(&error, GPU_ERROR_INVALID, "overlapping");

    g_autoptr(gpu_cmd) order = new_cmd(test_gpu(), "order");
    g_assert_false(gpu_cmd_run(order, NULL, &error));
    assert_error(&error, GPU_ERROR_INVALID, "before its recording has ended");
    end_and_run(order); /* empty: nothing to do */
    scale(order, y, 0, x, 0, 64, 1, 0);
    g_assert_false(gpu_cmd_run(order, NULL, &error));
    assert_error(&error, GPU_ERROR_INVALID, "after the end");

    /* A layer above fails a recording with an error of its own; the first one counts. */
    g_autoptr(gpu_cmd) failed = new_cmd(test_gpu(), "failed");
    gpu_cmd_fail(failed, g_error_new(G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "shapes"));
    gpu_cmd_fail(failed, g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "later"));
    scale(failed, y, 0, x, 0, 5000, 1, 0);
    g_assert_false(gpu_cmd_end(failed, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    test_gpu_check();
}

static void
test_zero_groups(void)
{
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 64, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "nothing");
    gpu_cmd_dispatch(cmd, scale_kernel(test_gpu()),
                     (gpu_span[]){test_gpu_span(x), test_gpu_span(x)}, &(push_test_scale){64, 9, 9},
                     (uint32_t[]){1, 0, 1}, 1);
    g_assert_cmpuint(gpu_cmd_n_dispatches(cmd), ==, 0);
    end_and_run(cmd);
    assert_floats(x, 0, 64, 0, 1);
    test_gpu_check();
}

static void
test_large_binding(void)
{
    const gpu_device_info *info = gpu_device_get_info(test_gpu());
    if (info->max_binding_bytes > (UINT64_C(1) << 28)) {
        g_test_skip("this device binds more than 256 MiB");
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_buf) x =
        new_buf(test_gpu(), info->max_binding_bytes + 256, GPU_MEM_DEVICE, "big");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "large");
    gpu_span tail = {x, info->max_binding_bytes, 256};
    gpu_cmd_dispatch(cmd, scale_kernel(test_gpu()),
                     (gpu_span[]){{x, 0, info->max_binding_bytes}, tail},
                     &(push_test_scale){64, 1, 3}, (uint32_t[]){1, 1, 1}, 1);
    end_and_run(cmd);
    float v;
    gpu_buf_read(x, info->max_binding_bytes, &v, 4, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(v, ==, 3);

    g_autoptr(gpu_cmd) bad = new_cmd(test_gpu(), "too large");
    gpu_cmd_dispatch(bad, scale_kernel(test_gpu()), (gpu_span[]){test_gpu_span(x), tail},
                     &(push_test_scale){64, 1, 3}, (uint32_t[]){1, 1, 1}, 1);
    g_assert_false(gpu_cmd_end(bad, &error));
    assert_error(&error, GPU_ERROR_INVALID, "binds at most");
    test_gpu_check();
}

static void
test_times(void)
{
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1 << 20, GPU_MEM_DEVICE, "x");
    for (int profile = 0; profile < 2; profile++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "timed");
        gpu_cmd_set_profile(cmd, profile);
        scale(cmd, x, 0, x, 0, 64, 1, 0); /* no stage: not in the times unless profiled */
        gpu_cmd_stage(cmd, "long");
        for (int i = 0; i < 8; i++)
            scale(cmd, x, 0, x, 0, 1 << 20, 1, 0);
        gpu_cmd_stage(cmd, "short");
        scale(cmd, x, 0, x, 0, 64, 1, 0);
        gpu_cmd_stage(cmd, "long");
        scale(cmd, x, 0, x, 0, 64, 1, 0);
        unsigned n;
        gpu_cmd_get_times(cmd, &n);
        g_assert_cmpuint(n, ==, 0);
        end_and_run(cmd);
        gint64 start = g_get_monotonic_time();
        gpu_cmd_run(cmd, NULL, &error);
        g_assert_no_error(error);
        double wall = (double) (g_get_monotonic_time() - start) * 1e-3;
        const gpu_stage_time *t = gpu_cmd_get_times(cmd, &n);
        if (test_gpu()->timestamp_ms == 0) {
            g_assert_cmpuint(n, ==, 0);
            continue;
        }
        double sum = 0;
        for (unsigned i = 0; i < n; i++) {
            g_test_message("%s: %g ms", t[i].stage, t[i].ms);
            sum += t[i].ms;
        }
        static const char *const names[2][3] = {{"long", "short"},
                                                {"scale", "long/scale", "short/scale"}};
        g_assert_cmpuint(n, ==, profile ? 3 : 2);
        for (unsigned i = 0; i < n; i++)
            g_assert_cmpstr(t[i].stage, ==, names[profile][i]);
        g_assert_cmpfloat(t[n - 2].ms, >, t[n - 1].ms);
        g_assert_cmpfloat(sum, <=, wall * 1.05 + 0.1);
    }
    test_gpu_check();
}

static gpointer
run_thread(gpointer data)
{
    g_autoptr(GError) error = NULL;
    float a = (float) GPOINTER_TO_INT(data);
    for (int round = 0; round < 20; round++) {
        g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1000, GPU_MEM_DEVICE, "x");
        g_autoptr(gpu_buf) y = new_buf(test_gpu(), 4000, GPU_MEM_READBACK, "y");
        g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "thread");
        gpu_kernel_desc desc = scale_desc();
        desc.spec[0] = 8u << (round % 4); /* kernels that several threads ask for at once */
        const gpu_kernel *k = gpu_device_kernel(test_gpu(), &desc, &error);
        g_assert_no_error(error);
        gpu_cmd_dispatch(cmd, k, (gpu_span[]){test_gpu_span(x), test_gpu_span(y)},
                         &(push_test_scale){1000, a, 1}, (uint32_t[]){125, 1, 1}, 1000);
        end_and_run(cmd);
        for (int i = 0; i < 5; i++) {
            gpu_cmd_run(cmd, NULL, &error);
            g_assert_no_error(error);
        }
        assert_floats(y, 0, 1000, 1, a);
    }
    return NULL;
}

static void
test_threads(void)
{
    GThread *threads[4];
    gpu_device_hide_memory(test_gpu(), true); /* the staging buffers too */
    for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new("run", run_thread, GINT_TO_POINTER(i + 1));
    for (int i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    gpu_device_hide_memory(test_gpu(), false);
    test_gpu_check();
}

/* What a dispatch and a submission cost, without what they do: -m perf. */
static void
test_cost(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = gpu_device_open(NULL, &error); /* without validation */
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_ramp(dev, 64, GPU_MEM_DEVICE, "x");
    /* us: 1 dispatch, 1001 with barriers, these in stages of their own, recording 1001 */
    double best[4] = {1e9, 1e9, 1e9, 1e9};
    for (int round = 0; round < 10; round++) {
        for (int k = 0; k < 3; k++) {
            g_autoptr(gpu_cmd) cmd = new_cmd(dev, "cost");
            gint64 start = g_get_monotonic_time();
            for (int i = 0; i < (k ? 1001 : 1); i++) {
                if (k == 2)
                    gpu_cmd_stage(cmd, i % 2 ? "odd" : "even");
                scale(cmd, x, 0, x, 0, 64, 1, 0);
            }
            gpu_cmd_end(cmd, &error);
            g_assert_no_error(error);
            if (k == 1)
                best[3] = MIN(best[3], (double) (g_get_monotonic_time() - start));
            for (int i = 0; i < 5; i++) {
                start = g_get_monotonic_time();
                gpu_cmd_run(cmd, NULL, &error);
                g_assert_no_error(error);
                best[k] = MIN(best[k], (double) (g_get_monotonic_time() - start));
            }
        }
    }
    g_test_message("submit and wait with one dispatch: %.1f us", best[0]);
    g_test_message("a dispatch with a barrier: %.2f us", (best[1] - best[0]) / 1000);
    g_test_message("a change of stage: %.2f us", (best[2] - best[1]) / 1000);
    g_test_message("recording a dispatch: %.2f us", best[3] / 1001);
    g_test_minimized_result(best[0], "submit and wait: %.1f us", best[0]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_gpu_start();
    g_test_add_func("/gpu/cmd/replay", test_replay);
    g_test_add_func("/gpu/cmd/chain", test_chain);
    g_test_add_func("/gpu/cmd/barrier", test_barrier);
    g_test_add_func("/gpu/cmd/random", test_random);
    g_test_add_func("/gpu/cmd/slices", test_slices);
    g_test_add_func("/gpu/cmd/slow-device", test_slow_device);
    g_test_add_func("/gpu/cmd/cancel", test_cancel);
    g_test_add_func("/gpu/cmd/invalid", test_invalid);
    g_test_add_func("/gpu/cmd/zero-groups", test_zero_groups);
    g_test_add_func("/gpu/cmd/large-binding", test_large_binding);
    g_test_add_func("/gpu/cmd/times", test_times);
    g_test_add_func("/gpu/cmd/threads", test_threads);
    if (g_test_perf())
        g_test_add_func("/gpu/cmd/cost", test_cost);
    return test_gpu_finish(g_test_run());
}
