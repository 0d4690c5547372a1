/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpu.h: the device layer. Vulkan stays below this header; what is above it knows devices, buffers,
 * kernels (a compute shader with its layout) and commands (dispatches recorded once, replayed
 * often).
 *
 * Threads: a gpu_device may be used from several threads; its queue is locked inside. Every other
 * object belongs to one thread at a time. Errors are of domain GPU_ERROR.
 * Lifetime: buffers, kernels and commands hold a reference to their device.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define GPU_ERROR (gpu_error_quark())
GQuark gpu_error_quark(void);
typedef enum {
    GPU_ERROR_NO_DEVICE,     /* nothing matches the wanted device, or there is none */
    GPU_ERROR_UNSUPPORTED,   /* the device lacks what the baseline needs */
    GPU_ERROR_OUT_OF_MEMORY, /* host or device; the request fails, the device stays usable */
    GPU_ERROR_DEVICE_LOST,   /* every later call on this device fails with it; open it anew */
    GPU_ERROR_INVALID,       /* a dispatch that does not fit its kernel: a mistake above */
    GPU_ERROR_FAILED,        /* another Vulkan result, named in the message */
} gpu_error;

/* ---- device ------------------------------------------------------------------------------- */

typedef struct gpu_device gpu_device;

/* Classes of device that get kernels of their own. */
typedef enum {
    GPU_CLASS_CPU,     /* lavapipe and its like */
    GPU_CLASS_GPU,     /* any GPU */
    GPU_CLASS_COOPMAT, /* a GPU with cooperative matrices, see gpu_device_info.coopmat */
} gpu_class;

typedef struct {
    uint32_t m, n, k;
} gpu_coopmat;
#define GPU_MAX_COOPMAT 8

typedef struct {
    char name[256];   /* VkPhysicalDeviceProperties.deviceName */
    char driver[256]; /* driver name and version */
    uint32_t index;   /* place in gpu_device_list; two devices may have the same name */
    uint8_t uuid[16]; /* VkPhysicalDeviceIDProperties.deviceUUID: the same in every list */
    gpu_class cls;
    bool discrete, integrated, cpu; /* the device type; none set: virtual or other */
    uint32_t api_version;
    uint32_t subgroup_size; /* as reported; devices that vary it may run a kernel with another */
    bool subgroup_arithmetic, subgroup_shuffle; /* in compute */
    bool storage_16bit, storage_8bit, shader_float16, shader_int8;
    /* Kernels may ask for a subgroup size between these (powers of two) and get full subgroups of
     * it, see gpu_kernel_desc.subgroup; 0: not so. */
    uint32_t subgroup_min, subgroup_max;
    uint32_t max_subgroups; /* of a workgroup of such a kernel */
    /* Cooperative matrices of a subgroup: f16 [m, k] times f16 [k, n] added to f32 [m, n]. */
    unsigned n_coopmat;
    gpu_coopmat coopmat[GPU_MAX_COOPMAT];
    bool halves; /* kernels may convert halves; not so with lavapipe on a processor without AVX,
                    whose compiler then ends the process (seen with 22.3.6 and 25.0.7) */
    uint32_t max_push_bytes;    /* bytes of push constants */
    uint32_t max_shared_bytes;  /* shared memory of a workgroup */
    uint32_t max_invocations;   /* of a workgroup */
    uint32_t max_groups[3];     /* workgroups of a dispatch */
    uint32_t max_texels;        /* elements of a texel view */
    uint64_t max_binding_bytes; /* range of a storage binding */
    uint64_t max_alloc_bytes;   /* one allocation */
    uint64_t heap_bytes;        /* largest device-local heap */
    uint64_t heap_free_bytes;   /* estimate (VK_EXT_memory_budget), else heap_bytes; on a
                                 CPU the RAM available, may be more than heap_bytes */
    uint32_t storage_align;     /* alignment of storage binding offsets, bytes */
    uint32_t texel_align;       /* alignment of texel view offsets, bytes */
} gpu_device_info;

typedef struct {
    const char *name; /* "auto" or NULL: discrete, integrated, other, CPU; "1": index in
                         gpu_device_list; else part of a device's name, in any case */
    bool validate;    /* ask for the validation layer, hazards between dispatches included; an error
                         when it is not installed */
    bool graphics;    /* the queue also draws, and the features that drawing uses are on (logicOp,
                         dualSrcBlend): for tools; an error where the device has none of it */
} gpu_device_options;

/* Messages of the validation layer and of the driver, warnings and errors, from any thread. Without
 * a handler they go to g_log (domain "fusion-gpu"). Validation errors are also counted. */
typedef void (*gpu_message_fn)(GLogLevelFlags level, const char *message, void *user);

/* Opens a device. Returns a reference, or NULL with GPU_ERROR_NO_DEVICE (the message lists what
 * there is) or another error. FUSION_VALIDATE=1 in the environment counts as options->validate. */
gpu_device *gpu_device_open(const gpu_device_options *options, GError **error);
gpu_device *gpu_device_ref(gpu_device *dev);
void gpu_device_unref(gpu_device *dev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(gpu_device, gpu_device_unref)

const gpu_device_info *gpu_device_get_info(const gpu_device *dev);
void gpu_device_set_message_handler(gpu_device *dev, gpu_message_fn fn, void *user);
unsigned gpu_device_validation_errors(const gpu_device *dev);
bool gpu_device_is_lost(const gpu_device *dev);

/* What gpu_device_open can choose from, in index order: array of gpu_device_info (free with
 * g_array_unref); empty and no error if Vulkan works but has no device. */
GArray *gpu_device_list(GError **error);

/* Bytes of device memory held by this device object now, and at the most so far. */
void gpu_device_get_memory(const gpu_device *dev, uint64_t *now, uint64_t *peak);

/* ---- buffers ------------------------------------------------------------------------------ */

typedef struct gpu_buf gpu_buf;

typedef enum {
    GPU_MEM_DEVICE,   /* fast for kernels; filled with gpu_buf_write or by kernels */
    GPU_MEM_UPLOAD,   /* mapped, written by the CPU, read by kernels and copies */
    GPU_MEM_READBACK, /* mapped, cached, written by kernels and copies, read by the CPU */
} gpu_mem;

/* A buffer of `size` bytes (1 or more), aligned for every use and zero-filled. Sub-allocated from
 * few large blocks; larger than a block: an allocation of its own. */
gpu_buf *gpu_buf_new(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name, GError **error);
void gpu_buf_free(gpu_buf *buf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(gpu_buf, gpu_buf_free)
uint64_t gpu_buf_size(const gpu_buf *buf);
const char *gpu_buf_name(const gpu_buf *buf);
/* The mapped bytes (UPLOAD, READBACK; coherent); NULL for DEVICE. */
void *gpu_buf_map(gpu_buf *buf);
/* Copies to and from any kind of buffer and waits for it (through a bounded staging buffer where
 * the memory is not mapped). Not while a command that uses the range is running. */
bool gpu_buf_write(gpu_buf *buf, uint64_t offset, const void *data, uint64_t size, GError **error);
bool gpu_buf_read(gpu_buf *buf, uint64_t offset, void *data, uint64_t size, GError **error);

/* A range of a buffer. */
typedef struct {
    gpu_buf *buf;
    uint64_t offset, size; /* bytes */
} gpu_span;

/* ---- kernels ------------------------------------------------------------------------------ */

typedef struct gpu_kernel gpu_kernel;

typedef enum {
    GPU_BIND_STORAGE,     /* storage buffer */
    GPU_BIND_TEXEL_F32X4, /* uniform texel buffer, R32G32B32A32_SFLOAT: one texel is 4 floats */
    GPU_BIND_TEXEL_U32X4, /* uniform texel buffer, R32G32B32A32_UINT: one texel is 8 halves or 16
                             bytes */
} gpu_bind_kind;

typedef enum { GPU_READ = 1, GPU_WRITE = 2, GPU_READ_WRITE = 3 } gpu_access;

#define GPU_MAX_BINDS 12
#define GPU_MAX_SPEC 16

/* What a kernel is. Binding i of set 0 is binds[i]; specialisation constant id i is spec[i]. */
typedef struct {
    const char *name; /* for debug names and timers */
    const uint32_t *spirv;
    size_t spirv_bytes;
    unsigned n_binds;
    struct {
        gpu_bind_kind kind;
        gpu_access access;
    } binds[GPU_MAX_BINDS];
    uint32_t push_bytes; /* exact size of the push constants, multiple of 4, 0 if none */
    unsigned n_spec;
    uint32_t spec[GPU_MAX_SPEC];
    /* 0: whatever the device takes. Else the kernel gets full subgroups of this size; its workgroup
     * is a multiple of it in x. From the device's subgroup_min to its subgroup_max. */
    uint32_t subgroup;
} gpu_kernel_desc;

/* The kernel for `desc`: made at the first call, then found again by (spirv, spec, subgroup). Owned
 * by the device, valid as long as it. Thread-safe. */
const gpu_kernel *gpu_device_kernel(gpu_device *dev, const gpu_kernel_desc *desc, GError **error);
const char *gpu_kernel_name(const gpu_kernel *kernel);

/* ---- commands ----------------------------------------------------------------------------- */

/* A sequence of dispatches, recorded once and run as often as wanted. Barriers between them follow
 * from the declared access of the kernels: a dispatch that touches a range which an earlier one
 * wrote (or writes one which an earlier one read) waits for it; others may overlap. The first
 * failure while recording sticks: later calls do nothing and gpu_cmd_end reports it, so that
 * recording code needs no checks of its own. */
typedef struct gpu_cmd gpu_cmd;

gpu_cmd *gpu_cmd_new(gpu_device *dev, const char *name, GError **error);
void gpu_cmd_free(gpu_cmd *cmd); /* waits if it is running */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(gpu_cmd, gpu_cmd_free)
gpu_device *gpu_cmd_device(gpu_cmd *cmd); /* no reference given */

/* Dispatches groups[0] x groups[1] x groups[2] workgroups. `spans`: one for each of the kernel's
 * bindings; offsets aligned to the device's storage_align / texel_align; the same span may be bound
 * twice. `push`: the kernel's push_bytes, copied. `flops`: an estimate of its cost in floating
 * point operations (bytes moved count as 4 each where that is more): a command that costs more than
 * the device does in a slice (50 ms, 200 ms on a CPU) is cut into several submissions. A count of 0
 * groups is no dispatch. The buffers must live as long as the command. */
void gpu_cmd_dispatch(gpu_cmd *cmd, const gpu_kernel *kernel, const gpu_span *spans,
                      const void *push, const uint32_t groups[3], double flops);
/* What fills a slice at the rate that is assumed before anything was measured, in those units. A
 * dispatch is never cut: layers above keep below it. */
double gpu_device_slice_flops(const gpu_device *dev);
/* Copies src to dst, equal sizes, multiples of 4 bytes. */
void gpu_cmd_copy(gpu_cmd *cmd, gpu_span dst, gpu_span src);
/* What follows belongs to stage `name` (until the next call) in gpu_cmd_get_times. */
void gpu_cmd_stage(gpu_cmd *cmd, const char *name);
/* Lets layers above fail a recording with their own error (taken over). */
void gpu_cmd_fail(gpu_cmd *cmd, GError *error);
/* Ends recording. FALSE with the first error of the recording. */
bool gpu_cmd_end(gpu_cmd *cmd, GError **error);

/* Runs an ended command and waits until its results are visible to later commands and to mapped
 * READBACK buffers. Between slices a cancelled `cancel` ends it with G_IO_ERROR_CANCELLED (what is
 * written then is undefined, and the command can be run again). */
bool gpu_cmd_run(gpu_cmd *cmd, GCancellable *cancel, GError **error);
/* The same, calling `pause` (or NULL) between slices, when the device has finished the one and has not begun
 * the next: it may run other commands, which must leave this one's memory alone. */
typedef void (*gpu_pause_fn)(void *user);
bool gpu_cmd_run_pausing(gpu_cmd *cmd, gpu_pause_fn pause, void *user, GCancellable *cancel, GError **error);

typedef struct {
    const char *stage; /* owned by the command */
    double ms;         /* of the last run, by the device's timestamps */
} gpu_stage_time;
/* Times by stage of the last run, in order of first use; *n of them, owned by the command. Empty
 * where the device has no timestamps. */
const gpu_stage_time *gpu_cmd_get_times(gpu_cmd *cmd, unsigned *n);
/* With per-kernel timing on (before recording), stages are named "stage/kernel name". For
 * benchmarks: it serialises the dispatches. */
void gpu_cmd_set_profile(gpu_cmd *cmd, bool on);
unsigned gpu_cmd_n_dispatches(const gpu_cmd *cmd);

G_END_DECLS
