/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "scale.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static uint64_t
memory_now(gpu_device *dev)
{
    uint64_t now, peak;
    gpu_device_get_memory(dev, &now, &peak);
    g_assert_cmpuint(peak, >=, now);
    return now;
}

static void
assert_bytes(gpu_buf *buf, uint8_t expected)
{
    g_autoptr(GError) error = NULL;
    uint64_t size = gpu_buf_size(buf);
    g_autofree uint8_t *bytes = g_malloc(size);
    gpu_buf_read(buf, 0, bytes, size, &error);
    g_assert_no_error(error);
    for (uint64_t i = 0; i < size; i++)
        if (bytes[i] != expected)
            g_error("%s, byte %" G_GUINT64_FORMAT ": %u, expected %u", gpu_buf_name(buf), i,
                    bytes[i], expected);
}

static void
fill(gpu_buf *buf, uint8_t value)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *bytes = g_malloc(gpu_buf_size(buf));
    memset(bytes, value, gpu_buf_size(buf));
    gpu_buf_write(buf, 0, bytes, gpu_buf_size(buf), &error);
    g_assert_no_error(error);
}

static void
test_kinds(void)
{
    g_autoptr(GError) error = NULL;
    for (gpu_mem mem = GPU_MEM_DEVICE; mem <= GPU_MEM_READBACK; mem++) {
        g_autoptr(gpu_buf) buf = new_buf(test_gpu(), 1001, mem, "odd");
        g_assert_cmpuint(gpu_buf_size(buf), ==, 1001);
        g_assert_cmpstr(gpu_buf_name(buf), ==, "odd");
        assert_bytes(buf, 0);
        g_assert_cmpint(gpu_buf_map(buf) != NULL, ==, mem != GPU_MEM_DEVICE);
        fill(buf, 7);
        assert_bytes(buf, 7);
        uint8_t part[3] = {1, 2, 3}, back[5];
        gpu_buf_write(buf, 998, part, 3, &error);
        g_assert_no_error(error);
        gpu_buf_read(buf, 996, back, 5, &error);
        g_assert_no_error(error);
        g_assert_cmpmem(back, 5, ((uint8_t[]){7, 7, 1, 2, 3}), 5);
        if (gpu_buf_map(buf))
            g_assert_cmpmem((uint8_t *) gpu_buf_map(buf) + 998, 3, part, 3);

        g_assert_false(gpu_buf_write(buf, 999, part, 3, &error));
        assert_error(&error, GPU_ERROR_INVALID, "writing 3 bytes at 999 of buffer 'odd'");
        g_assert_false(gpu_buf_read(buf, UINT64_MAX, back, 5, &error));
        assert_error(&error, GPU_ERROR_INVALID, "reading 5 bytes");
    }
    g_assert_null(gpu_buf_new(test_gpu(), 0, GPU_MEM_DEVICE, "empty", &error));
    assert_error(&error, GPU_ERROR_INVALID, "'empty': size 0");
    test_gpu_check();
}

/* Memory that the CPU cannot see: filled, written and read through staging, in several parts. */
static void
test_staging(void)
{
    g_autoptr(GError) error = NULL;
    gpu_device_hide_memory(test_gpu(), true);
    uint32_t n = (uint32_t) (12 * MIB / 4);
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), n, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) odd = new_buf(test_gpu(), 1003, GPU_MEM_DEVICE, "odd");
    gpu_device_hide_memory(test_gpu(), false);
    g_assert_null(x->alloc.map);
    assert_floats(x, 0, n, 0, 1);
    assert_bytes(odd, 0);
    gpu_buf_write(odd, 1, "abc", 3, &error);
    g_assert_no_error(error);
    char back[5];
    gpu_buf_read(odd, 0, back, 5, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(back, 5, "\0abc\0", 5);

    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "scale");
    scale(cmd, x, 0, x, 0, n, 1, 1);
    end_and_run(cmd);
    assert_floats(x, 0, n, 1, 1);
    test_gpu_check();
}

/* Random sizes and lifetimes: no two buffers share a byte, new ones are zero, and all of it comes
 * back. */
static void
test_fragmentation(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = gpu_device_open(&(gpu_device_options){.validate = true}, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(memory_now(dev), ==, 0);
    gpu_buf *bufs[64] = {0};
    for (int step = 0; step < 2000; step++) {
        int i = g_test_rand_int_range(0, 64);
        if (bufs[i]) {
            assert_bytes(bufs[i], (uint8_t) (i + 1));
            g_clear_pointer(&bufs[i], gpu_buf_free);
        } else {
            int32_t most = step % 50 == 0 ? 9000000 : step % 2 ? 100000 : 600;
            bufs[i] = new_buf(dev, (uint64_t) g_test_rand_int_range(1, most),
                              (gpu_mem) g_test_rand_int_range(0, 3), "random");
            assert_bytes(bufs[i], 0);
            fill(bufs[i], (uint8_t) (i + 1));
        }
    }
    for (int i = 0; i < 64; i++)
        g_clear_pointer(&bufs[i], gpu_buf_free);
    g_assert_cmpuint(memory_now(dev), ==, 0);
    g_assert_cmpuint(gpu_device_validation_errors(dev), ==, 0);
}

/* Neighbouring holes become one: what was freed piece by piece takes a large buffer again. */
static void
test_coalesce(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = gpu_device_open(&(gpu_device_options){.validate = true}, &error);
    g_assert_no_error(error);
    gpu_buf *bufs[100];
    for (int i = 0; i < 100; i++)
        bufs[i] = new_buf(dev, 64 * KIB, GPU_MEM_DEVICE, "piece");
    uint64_t before = memory_now(dev);
    for (int i = 1; i < 99; i += 2) /* holes of one piece ... */
        g_clear_pointer(&bufs[i], gpu_buf_free);
    for (int i = 2; i < 98; i += 2) /* ... and what lay between them */
        g_clear_pointer(&bufs[i], gpu_buf_free);
    g_autoptr(gpu_buf) large = new_buf(dev, 96 * 64 * KIB, GPU_MEM_DEVICE, "large");
    g_assert_cmpuint(memory_now(dev), ==, before);
    gpu_buf_free(bufs[0]);
    gpu_buf_free(bufs[98]);
    gpu_buf_free(bufs[99]);
    g_assert_cmpuint(memory_now(dev), ==, before);
}

static void
test_blocks(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = gpu_device_open(&(gpu_device_options){.validate = true}, &error);
    g_assert_no_error(error);
    /* Many small ones share a block; a large one has its own and gives it back. */
    gpu_buf *bufs[500];
    for (int i = 0; i < 500; i++)
        bufs[i] = new_buf(dev, 1000, GPU_MEM_UPLOAD, "small");
    uint64_t shared = memory_now(dev);
    g_assert_cmpuint(shared, <=, 16 * MIB);
    gpu_buf *large = new_buf(dev, 40 * MIB, GPU_MEM_UPLOAD, "large");
    g_assert_cmpuint(memory_now(dev), >=, shared + 40 * MIB);
    g_assert_cmpuint(memory_now(dev), <, shared + 41 * MIB);
    gpu_buf_free(large);
    g_assert_cmpuint(memory_now(dev), ==, shared);
    for (int i = 0; i < 500; i++)
        gpu_buf_free(bufs[i]);
    uint64_t now, peak;
    gpu_device_get_memory(dev, &now, &peak);
    g_assert_cmpuint(now, ==, 0);
    g_assert_cmpuint(peak, >=, shared + 40 * MIB);
}

static void
test_out_of_memory(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = gpu_device_open(&(gpu_device_options){.validate = true}, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_ramp(dev, 1000, GPU_MEM_DEVICE, "x");
    gpu_device_limit_memory(dev, memory_now(dev) + 4 * MIB);

    g_assert_null(gpu_buf_new(dev, 60 * MIB, GPU_MEM_DEVICE, "too large", &error));
    g_test_message("%s", error->message);
    assert_error(&error, GPU_ERROR_OUT_OF_MEMORY, "'too large' needs 60.0 MiB");
    g_assert_null(gpu_buf_new(dev, UINT64_MAX - 5, GPU_MEM_DEVICE, "absurd", &error));
    assert_error(&error, GPU_ERROR_OUT_OF_MEMORY, "'absurd'");

    /* The device stays usable, and what is left can be had: in the block and as one of its own. */
    g_assert_false(gpu_device_is_lost(dev));
    g_autoptr(gpu_buf) y = new_buf(dev, 4000, GPU_MEM_DEVICE, "y");
    g_autoptr(gpu_cmd) cmd = new_cmd(dev, "cmd");
    scale(cmd, y, 0, x, 0, 1000, 2, 0);
    end_and_run(cmd);
    assert_floats(y, 0, 1000, 0, 2);
    gpu_buf *rest[100];
    unsigned n = 0;
    while (n < 100 && (rest[n] = gpu_buf_new(dev, MIB, GPU_MEM_DEVICE, "rest", &error)))
        n++;
    assert_error(&error, GPU_ERROR_OUT_OF_MEMORY, "'rest'");
    g_assert_cmpuint(n, >=, 4);
    while (n > 0)
        gpu_buf_free(rest[--n]);
    gpu_device_limit_memory(dev, UINT64_MAX);
    g_autoptr(gpu_buf) now_fits = new_buf(dev, 60 * MIB, GPU_MEM_DEVICE, "now fits");
    g_assert_cmpuint(gpu_device_validation_errors(dev), ==, 0);
}

/* Memory types as drivers list them, and the ones to take. */
static void
test_types(void)
{
    enum { DL = 1, HV = 2, HC = 4, CA = 8, AMD = 0xc0 };
    const struct {
        const char *name;
        bool discrete;
        struct {
            uint64_t mib;
            bool local;
        } heaps[4];
        struct {
            uint32_t heap, flags;
        } types[12];
        int device, upload, readback;
    } cases[] = {
        {"one memory (lavapipe)", false, {{2048, true}}, {{0, DL | HV | HC | CA}}, 0, 0, 0},
        {"discrete, small window",
         true,
         {{8192, true}, {16384, false}, {246, true}},
         {{1, 0}, {0, DL}, {1, HV | HC}, {1, HV | HC | CA}, {2, DL | HV | HC}},
         1,
         2,
         3},
        {"discrete, all of it visible",
         true,
         {{8192, true}, {16384, false}},
         {{1, 0}, {0, DL}, {1, HV | HC}, {1, HV | HC | CA}, {0, DL | HV | HC}},
         1,
         2,
         3},
        {"discrete, with types for debugging",
         true,
         {{7936, true}, {12000, false}, {256, true}},
         {{0, DL},
          {0, DL},
          {1, HV | HC},
          {2, DL | HV | HC},
          {2, DL | HV | HC},
          {1, HV | HC | CA},
          {0, DL | AMD},
          {2, DL | HV | HC | AMD},
          {1, HV | HC | CA | AMD}},
         0,
         2,
         5},
        {"integrated, two heaps",
         false,
         {{5000, true}, {2500, false}},
         {{0, DL}, {1, HV | HC}, {0, DL | HV | HC}, {1, HV | HC | CA}},
         2,
         2,
         3},
        {"integrated, one heap",
         false,
         {{12000, true}},
         {{0, DL | HV | HC}, {0, DL | HV | HC | CA}, {0, DL | HV | CA}},
         0,
         0,
         1},
        {"no coherent memory", true, {{1000, true}}, {{0, DL}, {0, DL | HV}}, 0, -1, -1},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree gpu_device *dev = g_new0(gpu_device, 1);
        dev->info.discrete = cases[i].discrete;
        VkPhysicalDeviceMemoryProperties *p = &dev->memory.props;
        for (; p->memoryHeapCount < 4 && cases[i].heaps[p->memoryHeapCount].mib;
             p->memoryHeapCount++) {
            uint64_t size = cases[i].heaps[p->memoryHeapCount].mib * MIB;
            p->memoryHeaps[p->memoryHeapCount].size = size;
            if (cases[i].heaps[p->memoryHeapCount].local)
                dev->info.heap_bytes = MAX(dev->info.heap_bytes, size);
        }
        for (int t = 0; t < 12; t++) {
            p->memoryTypes[t].heapIndex = cases[i].types[t].heap;
            p->memoryTypes[t].propertyFlags = cases[i].types[t].flags;
        }
        p->memoryTypeCount = 12; /* the rest: flags 0, which exist too */
        g_test_message("%s", cases[i].name);
        g_assert_cmpint(gpu_memory_type(dev, UINT32_MAX, GPU_MEM_DEVICE), ==, cases[i].device);
        g_assert_cmpint(gpu_memory_type(dev, UINT32_MAX, GPU_MEM_UPLOAD), ==, cases[i].upload);
        g_assert_cmpint(gpu_memory_type(dev, UINT32_MAX, GPU_MEM_READBACK), ==, cases[i].readback);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_gpu_start();
    g_test_add_func("/gpu/memory/kinds", test_kinds);
    g_test_add_func("/gpu/memory/types", test_types);
    g_test_add_func("/gpu/memory/staging", test_staging);
    g_test_add_func("/gpu/memory/fragmentation", test_fragmentation);
    g_test_add_func("/gpu/memory/coalesce", test_coalesce);
    g_test_add_func("/gpu/memory/blocks", test_blocks);
    g_test_add_func("/gpu/memory/out-of-memory", test_out_of_memory);
    return test_gpu_finish(g_test_run());
}
