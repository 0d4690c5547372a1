/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gpu_priv.h: what the files of the device layer share. Nothing above the layer includes it, except
 * the layer's own tests for the hooks at the end. */
#pragma once

#include "gpu.h"

#include <vulkan/vulkan.h>

#define GPU_LOG_DOMAIN "fusion-gpu"

/* ---- instance.c */

/* A VkInstance with its messenger. One per device: validation messages and errors are then the
 * device's own, and nothing is global. */
typedef struct {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    bool debug_utils;
    PFN_vkSetDebugUtilsObjectNameEXT set_name;
    PFN_vkCmdBeginDebugUtilsLabelEXT begin_label;
    PFN_vkCmdEndDebugUtilsLabelEXT end_label;
    GMutex lock; /* guards handler and user; recursive calls from a handler are not allowed */
    gpu_message_fn handler;
    void *user;
    int validation_errors; /* atomic */
} gpu_instance;

/* The instance must not move in memory: the messenger points to it. */
bool gpu_instance_init(gpu_instance *inst, bool validate, GError **error);
void gpu_instance_clear(gpu_instance *inst);
/* VkPhysicalDevice in enumeration order. */
GArray *gpu_instance_devices(gpu_instance *inst, GError **error);

/* ---- memory.c */

typedef struct gpu_block gpu_block;

/* A range of a VkDeviceMemory. */
typedef struct {
    gpu_block *block;
    VkDeviceMemory memory;
    uint64_t offset, size;
    uint8_t *map; /* of the range; NULL if the memory is not host visible */
} gpu_alloc;

typedef struct {
    GMutex lock;
    VkPhysicalDeviceMemoryProperties props;
    GPtrArray *blocks; /* gpu_block */
    uint64_t now, peak;
    uint64_t limit; /* gpu_device_limit_memory; UINT64_MAX: none */
    bool hidden;    /* gpu_device_hide_memory */
} gpu_memory;

void gpu_memory_init(gpu_device *dev);
void gpu_memory_clear(gpu_device *dev);
bool gpu_memory_alloc(gpu_device *dev, const VkMemoryRequirements *req, gpu_mem kind,
                      const char *name, gpu_alloc *out, GError **error);
/* The best memory type of `bits` for a kind; -1: none. */
int gpu_memory_type(const gpu_device *dev, uint32_t bits, gpu_mem kind);
void gpu_memory_release(gpu_device *dev, gpu_alloc *alloc);
/* Bytes of RAM that can be had without swapping, UINT64_MAX if unknown. */
uint64_t gpu_host_available(void);

/* ---- oneshot.c */

/* One command buffer, recorded anew each time it is used, with the fence to wait for. */
typedef struct {
    VkCommandPool pool;
    VkCommandBuffer cb;
    VkFence fence;
} gpu_oneshot;

/* Makes what is not there yet of a struct that began as zeros; after a failure it can be called
 * again, or gpu_oneshot_clear. name: for validation, or NULL; doing: for the error. */
bool gpu_oneshot_prepare(gpu_device *dev, gpu_oneshot *s, const char *name, const char *doing,
                         GError **error);
/* Begins to record; the last use is over. */
bool gpu_oneshot_begin(gpu_device *dev, gpu_oneshot *s, const char *doing, GError **error);
void gpu_oneshot_clear(gpu_device *dev, gpu_oneshot *s);

/* ---- staging.c */

/* One bounded buffer each way, for memory that the CPU cannot see. */
typedef struct {
    GMutex lock;
    gpu_oneshot commands;
    gpu_buf *up, *down;
} gpu_staging;

void gpu_staging_clear(gpu_device *dev);
bool gpu_staging_fill(gpu_device *dev, VkBuffer buf, uint64_t size, GError **error);
bool gpu_staging_write(gpu_device *dev, VkBuffer buf, uint64_t offset, const void *data,
                       uint64_t size, GError **error);
bool gpu_staging_read(gpu_device *dev, VkBuffer buf, uint64_t offset, void *data, uint64_t size,
                      GError **error);

/* ---- device.c */

struct gpu_device {
    gatomicrefcount refs;
    gpu_instance inst;
    gpu_device_info info;
    VkPhysicalDevice phys;
    VkPhysicalDeviceLimits limits;
    VkDevice handle;
    bool graphics; /* opened for drawing */
    uint32_t queue_family;
    GMutex queue_lock;
    VkQueue queue;
    VkSubgroupFeatureFlags subgroup_ops; /* in compute */
    bool shader_int16;
    double timestamp_ms;     /* of one tick, 0: no timestamps */
    uint64_t timestamp_mask; /* valid bits */
    double patience_s;       /* how long work may take before it counts as hung */
    int measured_mflops;     /* atomic: the rate of the last run of a slice or more, 0: none yet */
    int lost;                /* atomic */
    int hung; /* atomic: work has not come back, or is not known to have; its objects cannot be
                 destroyed */
    gpu_memory memory;
    gpu_staging staging;
    GMutex kernel_lock;
    GHashTable *kernels; /* gpu_kernel, a set */
    VkPipelineCache pipeline_cache;
};

/* FALSE with GPU_ERROR_DEVICE_LOST once the device is lost. */
bool gpu_device_check(gpu_device *dev, GError **error);
/* Sets `error` from a Vulkan result (and marks a lost device); `what` is what failed. Returns
 * FALSE. */
bool gpu_vk_error(gpu_device *dev, VkResult res, GError **error, const char *what, ...)
    G_GNUC_PRINTF(4, 5);
const char *gpu_vk_result_name(VkResult res);
void gpu_set_name(gpu_device *dev, VkObjectType type, uint64_t handle, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Queues the command buffers as one batch and waits for them. */
bool gpu_submit_wait(gpu_device *dev, uint32_t n, const VkCommandBuffer *cbs, VkFence fence,
                     const char *what, GError **error);

/* ---- buf.c */

struct gpu_buf {
    gpu_device *dev;
    bool internal; /* the device's own: holds no reference to it */
    VkBuffer handle;
    gpu_alloc alloc;
    uint64_t size;
    gpu_mem mem;
    char *name;
};

gpu_buf *gpu_buf_new_internal(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name,
                              GError **error);

/* ---- kernel.c */

struct gpu_kernel {
    gpu_kernel_desc desc; /* name and spirv are copies of its own */
    guint hash;
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    unsigned n_storage, n_texel;
};

void gpu_kernels_init(gpu_device *dev);
void gpu_kernels_clear(gpu_device *dev);

/* ---- reflect.c */

/* Checks the SPIR-V of `desc` (which has a name) against what `desc` says and the device has. */
bool gpu_reflect_check(gpu_device *dev, const gpu_kernel_desc *desc, GError **error);

/* ---- timer.c */

/* Timestamps of a command: marks, each begins a segment that belongs to a stage (or to none). */
typedef struct {
    bool on, profile;
    bool reset;       /* in the piece that is being recorded: what is left */
    unsigned left;    /* queries in the newest pool */
    GArray *pools;    /* VkQueryPool */
    GArray *marks;    /* stage index, one a query; -1: no stage */
    GPtrArray *names; /* owned stage names in order of first use */
    GArray *times;    /* gpu_stage_time */
} gpu_timer;

void gpu_timer_init(gpu_cmd *cmd);
void gpu_timer_clear(gpu_cmd *cmd);
int gpu_timer_stage(gpu_cmd *cmd, const char *name);
/* Records a timestamp: what follows belongs to `stage`. */
void gpu_timer_mark(gpu_cmd *cmd, int stage);
/* A new piece begins: queries are reset within the piece that writes them. */
void gpu_timer_begin_piece(gpu_cmd *cmd);
bool gpu_timer_collect(gpu_cmd *cmd, GError **error);

/* ---- descriptors.c */

/* A command's descriptor sets and texel views; they go with the command. */
typedef struct {
    GArray *pools;                                /* VkDescriptorPool */
    unsigned sets_left, storage_left, texel_left; /* in the newest */
    GHashTable *views;                            /* of spans, each made once */
} gpu_descriptors;

void gpu_descriptors_init(gpu_descriptors *d);
void gpu_descriptors_clear(gpu_descriptors *d, gpu_device *dev);
/* A new set with the spans, one for each binding of the kernel (at least one); none with an error.
 * `owner`: the command's name, for errors and debug names. */
VkDescriptorSet gpu_descriptors_set(gpu_descriptors *d, gpu_device *dev, const char *owner,
                                    const gpu_kernel *kernel, const gpu_span *spans,
                                    GError **error);

/* ---- cmd.c */

/* What was touched since the last barrier. */
typedef struct {
    gpu_buf *buf;
    uint64_t begin, end;
    unsigned access;
} gpu_touch;

/* A piece of a command: a VkCommandBuffer. A slice is one or more pieces in one submission. */
typedef struct {
    VkCommandBuffer cb;
    double flops;
} gpu_piece;

struct gpu_cmd {
    gpu_device *dev;
    char *name;
    GError *error; /* the first failure of the recording */
    bool ended;
    VkCommandPool pool;
    VkFence fence;
    GArray *pieces;
    VkCommandBuffer cb; /* that is being recorded, or none */
    double piece_flops;
    GArray *touched;
    gpu_descriptors descriptors;
    unsigned n_dispatches, n_barriers;
    char *stage;
    int stage_index;
    bool label_open;
    gpu_timer timer;
    unsigned runs, n_slices;
    double flops_per_s; /* measured */
};

/* In floating point operations a second: what a slow device of its kind does, for lengths of slices
 * before anything was measured. A GPU that is faster loses some tens of microseconds between slices
 * that are shorter than they need be, until the command has run a few times. */
double gpu_device_default_rate(const gpu_device *dev);
/* That, or what the last long run of any command came to if it was less: on a slow device the first
 * slices of each new command would take seconds otherwise. */
double gpu_device_first_rate(const gpu_device *dev);
double gpu_device_slice_s(const gpu_device *dev);

/* ---- hooks for tests: simulate what real hardware does when it fails */

/* As if the driver had returned VK_ERROR_DEVICE_LOST now. */
void gpu_device_mark_lost(gpu_device *dev);
/* How long a slice may take before the device counts as hung. After that, with the work done in the
 * end, the test sets `hung` back to 0 so that the device can be freed. */
void gpu_device_set_patience(gpu_device *dev, double seconds);
/* As if the device's memory ended at `bytes` held by this device object: an allocation of device
 * memory beyond it fails with GPU_ERROR_OUT_OF_MEMORY. UINT64_MAX: no limit. */
void gpu_device_limit_memory(gpu_device *dev, uint64_t bytes);
/* As if the device bound at most `binding` bytes and allocated at most `alloc` at once. */
void gpu_device_limit_sizes(gpu_device *dev, uint64_t binding, uint64_t alloc);
/* As if the CPU could not see GPU_MEM_DEVICE buffers made from now on, as behind a bus: writes and
 * reads go through the staging buffers. */
void gpu_device_hide_memory(gpu_device *dev, bool on);
/* Barriers that recording has derived so far. */
unsigned gpu_cmd_n_barriers(const gpu_cmd *cmd);
/* Pieces recorded, and slices of the last run. */
unsigned gpu_cmd_n_pieces(const gpu_cmd *cmd);
unsigned gpu_cmd_n_slices(const gpu_cmd *cmd);
