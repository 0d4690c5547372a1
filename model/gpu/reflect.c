/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

/* What a module says about itself, as far as a mistake in it would otherwise be found late or
 * never: a wrong push struct reads garbage, a write that was not declared loses its barrier. */

enum { /* the part of SPIR-V that is looked at */
       OP_CAPABILITY = 17,
       OP_TYPE_INT = 21,
       OP_TYPE_FLOAT = 22,
       OP_TYPE_VECTOR = 23,
       OP_TYPE_MATRIX = 24,
       OP_TYPE_IMAGE = 25,
       OP_TYPE_SAMPLED_IMAGE = 27,
       OP_TYPE_ARRAY = 28,
       OP_TYPE_STRUCT = 30,
       OP_TYPE_POINTER = 32,
       OP_CONSTANT = 43,
       OP_SPEC_CONSTANT = 50,
       OP_SPEC_CONSTANT_COMPOSITE = 51,
       OP_CONSTANT_COMPOSITE = 44,
       OP_VARIABLE = 59,
       OP_STORE = 62,
       OP_COPY_MEMORY = 63,
       OP_ACCESS_CHAIN = 65,
       OP_IN_BOUNDS_ACCESS_CHAIN = 66,
       OP_DECORATE = 71,
       OP_MEMBER_DECORATE = 72,
       OP_COPY_OBJECT = 83,
       OP_ATOMIC_LOAD = 227,
       OP_ATOMIC_STORE = 228,
       OP_ATOMIC_FIRST = 229, /* those that return a value */
       OP_ATOMIC_LAST = 242,
       OP_COOPMAT_STORE = 4458,

       DECORATION_SPEC_ID = 1,
       DECORATION_ARRAY_STRIDE = 6,
       DECORATION_MATRIX_STRIDE = 7,
       DECORATION_BUILTIN = 11,
       DECORATION_BINDING = 33,
       DECORATION_SET = 34,
       DECORATION_OFFSET = 35,
       BUILTIN_WORKGROUP_SIZE = 25,
       STORAGE_UNIFORM_CONSTANT = 0,
       STORAGE_UNIFORM = 2,
       STORAGE_PUSH = 9,
       STORAGE_BUFFER = 12,
};

typedef struct {
    const uint32_t *def; /* the instruction that defines it */
    uint32_t words;
    uint32_t set, binding, stride, spec_id;
    uint32_t base; /* of a pointer: the variable that it points into */
    bool bound, written, has_spec_id, workgroup_size;
} spv_id;

typedef struct {
    const uint32_t *code;
    size_t words;
    uint32_t bound;
    spv_id *ids;
} spv;

static const uint32_t *
member_decoration(const spv *s, uint32_t type, uint32_t member, uint32_t decoration)
{
    for (size_t i = 5; i < s->words; i += s->code[i] >> 16) {
        const uint32_t *w = s->code + i;
        if ((w[0] & 0xffff) == OP_MEMBER_DECORATE && w[0] >> 16 >= 5 && w[1] == type &&
            w[2] == member && w[3] == decoration)
            return w + 4;
    }
    return NULL;
}

static uint32_t
type_size(const spv *s, uint32_t type, unsigned depth)
{
    const spv_id *t = type < s->bound ? &s->ids[type] : NULL;
    if (!t || !t->def || depth > 8)
        return 0;
    switch (t->def[0] & 0xffff) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        return t->def[2] / 8;
    case OP_TYPE_VECTOR:
        return t->def[3] * type_size(s, t->def[2], depth + 1);
    case OP_TYPE_ARRAY: {
        const spv_id *n = t->def[3] < s->bound ? &s->ids[t->def[3]] : NULL;
        return n && n->def && n->words >= 4 ? t->stride * n->def[3] : 0;
    }
    case OP_TYPE_STRUCT: {
        uint32_t end = 0;
        for (uint32_t m = 0; m + 2 < t->words; m++) {
            const uint32_t *offset = member_decoration(s, type, m, DECORATION_OFFSET);
            const uint32_t *stride = member_decoration(s, type, m, DECORATION_MATRIX_STRIDE);
            const spv_id *mt = t->def[m + 2] < s->bound ? &s->ids[t->def[m + 2]] : NULL;
            uint32_t size = stride && mt && mt->def && mt->words >= 4
                                ? *stride * mt->def[3]
                                : type_size(s, t->def[m + 2], depth + 1);
            end = MAX(end, (offset ? *offset : 0) + size);
        }
        return end;
    }
    default:
        return 0;
    }
}

static void
mark_written(spv *s, uint32_t pointer)
{
    for (unsigned depth = 0; pointer < s->bound && depth < 32; depth++) {
        s->ids[pointer].written = true;
        if (!s->ids[pointer].base)
            break;
        pointer = s->ids[pointer].base;
    }
}

/* One walk over the module: definitions, decorations, and which variables are stored to. FALSE if
 * it is cut short. */
static bool
scan(spv *s)
{
    for (size_t i = 5; i < s->words;) {
        const uint32_t *w = s->code + i;
        uint32_t n = w[0] >> 16, op = w[0] & 0xffff;
        if (n == 0 || n > s->words - i)
            return false;
        uint32_t result = 0;
        switch (op) {
        case OP_TYPE_INT:
        case OP_TYPE_FLOAT:
        case OP_TYPE_VECTOR:
        case OP_TYPE_MATRIX:
        case OP_TYPE_IMAGE:
        case OP_TYPE_SAMPLED_IMAGE:
        case OP_TYPE_ARRAY:
        case OP_TYPE_STRUCT:
        case OP_TYPE_POINTER:
            result = n >= 2 ? w[1] : 0;
            break;
        case OP_CONSTANT:
        case OP_SPEC_CONSTANT:
        case OP_CONSTANT_COMPOSITE:
        case OP_SPEC_CONSTANT_COMPOSITE:
        case OP_VARIABLE:
        case OP_ACCESS_CHAIN:
        case OP_IN_BOUNDS_ACCESS_CHAIN:
        case OP_COPY_OBJECT:
            result = n >= 4 ? w[2] : 0;
            break;
        case OP_DECORATE:
            if (n >= 4 && w[1] < s->bound) {
                spv_id *id = &s->ids[w[1]];
                if (w[2] == DECORATION_BINDING) {
                    id->binding = w[3];
                    id->bound = true;
                } else if (w[2] == DECORATION_SET) {
                    id->set = w[3];
                } else if (w[2] == DECORATION_ARRAY_STRIDE) {
                    id->stride = w[3];
                } else if (w[2] == DECORATION_SPEC_ID) {
                    id->spec_id = w[3];
                    id->has_spec_id = true;
                } else if (w[2] == DECORATION_BUILTIN && w[3] == BUILTIN_WORKGROUP_SIZE) {
                    id->workgroup_size = true;
                }
            }
            break;
        case OP_STORE:
        case OP_COPY_MEMORY:
        case OP_ATOMIC_STORE:
        case OP_COOPMAT_STORE:
            if (n >= 2)
                mark_written(s, w[1]);
            break;
        default:
            if (op >= OP_ATOMIC_FIRST && op <= OP_ATOMIC_LAST && n >= 4)
                mark_written(s, w[3]);
            break;
        }
        if (result && result < s->bound) {
            s->ids[result].def = w;
            s->ids[result].words = n;
            if (op == OP_ACCESS_CHAIN || op == OP_IN_BOUNDS_ACCESS_CHAIN || op == OP_COPY_OBJECT)
                s->ids[result].base = w[3];
        }
        i += n;
    }
    return true;
}

/* ---- checks -------------------------------------------------------------------------------- */

static bool
check_capability(gpu_device *dev, const char *name, uint32_t cap, GError **error)
{
    const gpu_device_info *info = &dev->info;
    const VkSubgroupFeatureFlags ops = dev->subgroup_ops;
    static const struct {
        uint32_t cap;
        const char *what;
    } names[] = {
        {9, "16-bit floats"},
        {10, "64-bit floats"},
        {11, "64-bit integers"},
        {22, "16-bit integers"},
        {39, "8-bit integers"},
        {61, "subgroups"},
        {62, "subgroup votes"},
        {63, "subgroup arithmetic"},
        {64, "subgroup ballots"},
        {65, "subgroup shuffles"},
        {66, "relative subgroup shuffles"},
        {67, "subgroup clusters"},
        {68, "subgroup quads"},
        {4433, "16-bit storage"},
        {4434, "16-bit uniforms"},
        {4435, "16-bit push constants"},
        {4448, "8-bit storage"},
        {4449, "8-bit uniforms"},
        {4450, "8-bit push constants"},
        {6022, "cooperative matrices"},
    };
    bool have = true;
    switch (cap) {
    case 9:
        have = info->shader_float16;
        break;
    case 22:
        have = dev->shader_int16;
        break;
    case 39:
        have = info->shader_int8;
        break;
    case 61:
        have = ops & VK_SUBGROUP_FEATURE_BASIC_BIT;
        break;
    case 62:
        have = ops & VK_SUBGROUP_FEATURE_VOTE_BIT;
        break;
    case 63:
        have = ops & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
        break;
    case 64:
        have = ops & VK_SUBGROUP_FEATURE_BALLOT_BIT;
        break;
    case 65:
        have = ops & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
        break;
    case 66:
        have = ops & VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
        break;
    case 67:
        have = ops & VK_SUBGROUP_FEATURE_CLUSTERED_BIT;
        break;
    case 68:
        have = ops & VK_SUBGROUP_FEATURE_QUAD_BIT;
        break;
    case 4433:
        have = info->storage_16bit;
        break;
    case 4448:
        have = info->storage_8bit;
        break;
    case 6022:
        have = info->n_coopmat > 0;
        break;
    case 10:
    case 11:
    case 4434:
    case 4435:
    case 4449:
    case 4450: /* never enabled */
        have = false;
        break;
    default: /* the validation layer knows the rest */
        break;
    }
    if (have)
        return true;
    const char *what = "a feature";
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].cap == cap)
            what = names[i].what;
    g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                "kernel '%s' uses %s, which '%s' does not have (or this layer does not enable)",
                name, what, info->name);
    return false;
}

static bool
check_binding(const spv *s, const gpu_kernel_desc *d, const spv_id *var, GError **error)
{
    uint32_t storage = var->def[3], b = var->binding;
    const spv_id *pointer = &s->ids[var->def[1]];
    const spv_id *type = pointer->def && pointer->words >= 4 && pointer->def[3] < s->bound
                             ? &s->ids[pointer->def[3]]
                             : NULL;
    if (var->set != 0 || b >= d->n_binds || !type || !type->def) {
        g_set_error(
            error, GPU_ERROR, GPU_ERROR_INVALID,
            "kernel '%s': the shader uses set %u, binding %u; %u bindings of set 0 are declared",
            d->name, var->set, b, d->n_binds);
        return false;
    }
    const char *is = "something else";
    bool fits = false;
    if (storage == STORAGE_BUFFER || storage == STORAGE_UNIFORM) {
        is = storage == STORAGE_BUFFER ? "a storage buffer" : "a uniform buffer";
        fits = storage == STORAGE_BUFFER && d->binds[b].kind == GPU_BIND_STORAGE;
    } else if (storage == STORAGE_UNIFORM_CONSTANT) {
        if ((type->def[0] & 0xffff) == OP_TYPE_SAMPLED_IMAGE && type->def[2] < s->bound &&
            s->ids[type->def[2]].def)
            type = &s->ids[type->def[2]];
        if ((type->def[0] & 0xffff) == OP_TYPE_IMAGE && type->words >= 4 && type->def[3] == 5 &&
            type->def[2] < s->bound && s->ids[type->def[2]].def) {
            const uint32_t *sampled = s->ids[type->def[2]].def;
            bool f = (sampled[0] & 0xffff) == OP_TYPE_FLOAT;
            is = f ? "a texel buffer of floats" : "a texel buffer of integers";
            fits = d->binds[b].kind == (f ? GPU_BIND_TEXEL_F32X4 : GPU_BIND_TEXEL_U32X4);
        }
    }
    if (!fits) {
        static const char *const kinds[] = {"GPU_BIND_STORAGE", "GPU_BIND_TEXEL_F32X4",
                                            "GPU_BIND_TEXEL_U32X4"};
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "kernel '%s', binding %u: declared %s, the shader has %s", d->name, b,
                    kinds[d->binds[b].kind], is);
        return false;
    }
    if (var->written && !(d->binds[b].access & GPU_WRITE)) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "kernel '%s', binding %u: declared GPU_READ, the shader writes it", d->name, b);
        return false;
    }
    return true;
}

static bool
check_workgroup(gpu_device *dev, const spv *s, const gpu_kernel_desc *d, const spv_id *size,
                GError **error)
{
    uint64_t all = 1;
    for (unsigned i = 0; i < 3 && i + 3 < size->words; i++) {
        const spv_id *c = size->def[i + 3] < s->bound ? &s->ids[size->def[i + 3]] : NULL;
        if (!c || !c->def || c->words < 4)
            return true;
        uint32_t n = c->has_spec_id && c->spec_id < d->n_spec ? d->spec[c->spec_id] : c->def[3];
        all *= n;
        if (n == 0 || n > dev->limits.maxComputeWorkGroupSize[i] ||
            all > dev->info.max_invocations) {
            g_set_error(
                error, GPU_ERROR, n == 0 ? GPU_ERROR_INVALID : GPU_ERROR_UNSUPPORTED,
                "kernel '%s': workgroup size %u in dimension %u, '%s' takes 1 to %u, %u in all",
                d->name, n, i, dev->info.name, dev->limits.maxComputeWorkGroupSize[i],
                dev->info.max_invocations);
            return false;
        }
    }
    return true;
}

bool
gpu_reflect_check(gpu_device *dev, const gpu_kernel_desc *d, GError **error)
{
    spv s = {.code = d->spirv, .words = d->spirv_bytes / 4, .bound = d->spirv[3]};
    if (s.bound > s.words * 4) { /* more ids than instructions could define */
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID, "kernel '%s': broken SPIR-V", d->name);
        return false;
    }
    g_autofree spv_id *ids = g_new0(spv_id, s.bound + 1);
    s.ids = ids;
    if (!scan(&s)) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID, "kernel '%s': broken SPIR-V", d->name);
        return false;
    }
    for (size_t i = 5; i < s.words && (s.code[i] & 0xffff) == OP_CAPABILITY; i += s.code[i] >> 16)
        if (s.code[i] >> 16 >= 2 && !check_capability(dev, d->name, s.code[i + 1], error))
            return false;
    uint32_t push = 0;
    for (uint32_t i = 0; i < s.bound; i++) {
        const spv_id *id = &ids[i];
        if (id->workgroup_size && id->def && !check_workgroup(dev, &s, d, id, error))
            return false;
        if (!id->def || (id->def[0] & 0xffff) != OP_VARIABLE || id->def[1] >= s.bound)
            continue;
        if (id->bound && !check_binding(&s, d, id, error))
            return false;
        const spv_id *pointer = &ids[id->def[1]];
        if (id->def[3] == STORAGE_PUSH && pointer->def && pointer->words >= 4)
            push = type_size(&s, pointer->def[3], 0);
    }
    if (push != d->push_bytes) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "kernel '%s': %u bytes of push constants are declared, the shader has %u",
                    d->name, d->push_bytes, push);
        return false;
    }
    return true;
}
