/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_safetensors.h"
#include "fmt_test.h"

#include <math.h>
#include <sys/stat.h>

/* Eight bytes of header length, the header, the data (zeros). */
static GBytes *
make_file(const char *header, gsize data_size)
{
    GByteArray *file = g_byte_array_new();
    guint64 n = GUINT64_TO_LE((guint64) strlen(header));
    g_byte_array_append(file, (const guint8 *) &n, 8);
    g_byte_array_append(file, (const guint8 *) header, (guint) strlen(header));
    g_autofree guint8 *zeros = g_malloc0(data_size + 1);
    g_byte_array_append(file, zeros, (guint) data_size);
    return g_byte_array_free_to_bytes(file);
}

static void
write_file(const temp_folder *dir, const char *name, const char *header, gsize data_size)
{
    g_autoptr(GBytes) bytes = make_file(header, data_size);
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    temp_folder_write(dir, name, data, size);
}

typedef struct {
    const char *name, *header;
    gsize data_size;
    fmt_error code;
    const char *says, *says_too;
} bad_file;

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const bad_file bad_files[] = {
    {"not-json", "hello", 0, FMT_ERROR_SYNTAX, "expected JSON", ""},
    {"empty-header", "", 0, FMT_ERROR_SYNTAX, "nothing", ""},
    {"array", "[]", 0, FMT_ERROR_VALUE, "JSON object", ""},
    {"twice", "{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[4,8]") "}", 8,
     FMT_ERROR_SYNTAX, "\"a\" twice", ""},
    {"deep", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0,
     FMT_ERROR_LIMIT, "levels", ""},
    {"entry-number", "{\"a\":1}", 0, FMT_ERROR_VALUE, "\"a\"", "an object, found 1"},
    {"metadata-number", "{\"__metadata__\":1}", 0, FMT_ERROR_VALUE, "__metadata__", "an object"},
    {"no-dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, FMT_ERROR_VALUE, "dtype",
     "found nothing"},
    {"dtype-number", "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     FMT_ERROR_VALUE, "dtype", "found 32"},
    {"no-shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, FMT_ERROR_VALUE, "shape",
     "found nothing"},
    {"shape-text", "{\"a\":" T("F32", "[\"1\"]", "[0,4]") "}", 4, FMT_ERROR_VALUE, "shape",
     "found \"1\""},
    {"shape-negative", "{\"a\":" T("F32", "[-1]", "[0,4]") "}", 4, FMT_ERROR_VALUE, "shape",
     "found -1"},
    {"shape-fraction", "{\"a\":" T("F32", "[1.5]", "[0,6]") "}", 6, FMT_ERROR_VALUE, "shape",
     "found 1.5"},
    {"shape-infinite", "{\"a\":" T("F32", "[1e400]", "[0,6]") "}", 6, FMT_ERROR_VALUE, "shape", ""},
    {"shape-nine", "{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, FMT_ERROR_VALUE,
     "shape", "an array of 9"},
    {"product-overflow", "{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
     FMT_ERROR_VALUE, "\"a\"", "[4294967296, 4294967296]"},
    {"bytes-overflow", "{\"a\":" T("F32", "[2147483648,2147483648]", "[0,0]") "}", 0,
     FMT_ERROR_VALUE, "\"a\"", "64 bits"},
    {"zero-hides-overflow", "{\"a\":" T("F32", "[4294967296,4294967296,0]", "[0,0]") "}", 0,
     FMT_ERROR_VALUE, "\"a\"", ""},
    {"too-few-bytes", "{\"a\":" T("F32", "[2,2]", "[0,12]") "}", 12, FMT_ERROR_VALUE,
     "expected 16 bytes for F32 of shape [2, 2]", "found 12"},
    {"too-many-bytes", "{\"a\":" T("F16", "[2]", "[0,8]") "}", 8, FMT_ERROR_VALUE,
     "expected 4 bytes", "found 8"},
    {"other-dtype-bytes", "{\"a\":" T("I64", "[2]", "[0,8]") "}", 8, FMT_ERROR_VALUE,
     "expected 16 bytes for I64", "found 8"},
    {"no-offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, FMT_ERROR_VALUE, "data_offsets",
     "found nothing"},
    {"three-offsets", "{\"a\":" T("F32", "[1]", "[0,4,8]") "}", 4, FMT_ERROR_VALUE, "data_offsets",
     "an array of 3"},
    {"offset-text", "{\"a\":" T("F32", "[1]", "[0,\"4\"]") "}", 4, FMT_ERROR_VALUE, "data_offsets",
     "found \"4\""},
    {"offset-huge", "{\"a\":" T("F32", "[1]", "[18446744073709551612,18446744073709551616]") "}", 4,
     FMT_ERROR_VALUE, "data_offsets", ""},
    {"offsets-swapped", "{\"a\":" T("F32", "[1]", "[4,0]") "}", 4, FMT_ERROR_VALUE, "data_offsets",
     "4..0"},
    {"offset-outside", "{\"a\":" T("F32", "[1]", "[0,4]") "}", 3, FMT_ERROR_VALUE,
     "3 bytes of data, found 0..4", "cut off"},
    {"overlap", "{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[1]", "[4,8]") "}", 8,
     FMT_ERROR_VALUE, "\"b\"", "an overlap"},
    {"same-place", "{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4,
     FMT_ERROR_VALUE, "expected to start at 4", "an overlap"},
    {"hole", "{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", 12,
     FMT_ERROR_VALUE, "\"b\"", "a hole"},
    {"hole-first", "{\"a\":" T("F32", "[1]", "[4,8]") "}", 8, FMT_ERROR_VALUE, "\"a\"", "a hole"},
    {"hole-last", "{\"a\":" T("F32", "[1]", "[0,4]") "}", 8, FMT_ERROR_VALUE, "expected 4 bytes",
     "a hole"},
};

static void
test_bad_file(gconstpointer data)
{
    const bad_file *t = data;
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_file(&dir, "model.safetensors", t->header, t->data_size);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, (int) t->code, dir.path, "model.safetensors", t->says, t->says_too,
                      NULL);
}

static const char good_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"w.b\":" T("F16", "[3]", "[25,31]") ",\"w.a\":" T(
        "F32", "[2,3]",
        "[1,25]") ","
                  "\"ids\":" T("U8", "[1]", "[0,1]") ",\"new\":" T(
                      "Q5_7", "[9]",
                      "[31,35]") ","
                                 "\"none\":" T("F32", "[0,7]", "[25,25]") ",\"one\":" T(
                                     "BF16", "[]", "[35,37]") "}   ";

static void
test_good(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_file(&dir, "model.safetensors", good_header, 37);
    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(cp), ==, 6);
    const char *const sorted[] = {"ids", "new", "none", "one", "w.a", "w.b"};
    for (guint i = 0; i < 6; i++)
        g_assert_cmpstr(fmt_checkpoint_nth(cp, i)->name, ==, sorted[i]);
    g_assert_cmpstr(fmt_checkpoint_folder(cp), ==, dir.path);

    const fmt_tensor *a = fmt_checkpoint_find(cp, "w.a");
    g_assert_cmpint(a->dtype, ==, FMT_F32);
    g_assert_cmpuint(a->n_dims, ==, 2);
    g_assert_cmpuint(a->shape[1], ==, 3);
    g_assert_cmpuint(a->n_elements, ==, 6);
    g_assert_cmpuint(a->size, ==, 24);
    g_assert_true(g_str_has_suffix(a->file, "model.safetensors"));
    g_autofree char *shape = fmt_shape_string(a->shape, a->n_dims);
    g_assert_cmpstr(shape, ==, "[2, 3]");
    const fmt_tensor *one = fmt_checkpoint_find(cp, "one");
    g_assert_cmpuint(one->n_elements, ==, 1);
    g_autofree char *scalar = fmt_shape_string(one->shape, one->n_dims);
    g_assert_cmpstr(scalar, ==, "[]");
    g_assert_cmpuint(fmt_checkpoint_find(cp, "none")->n_elements, ==, 0);
    g_assert_nonnull(fmt_checkpoint_find(cp, "none")->data);

    g_assert_null(fmt_checkpoint_find(cp, "absent"));
    g_assert_null(fmt_checkpoint_get(cp, "absent", &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, dir.path, "\"absent\"", NULL);
    g_assert_cmpint(fmt_checkpoint_find(cp, "new")->dtype, ==, FMT_OTHER);
    g_assert_cmpstr(fmt_checkpoint_find(cp, "new")->dtype_name, ==, "Q5_7");
    g_assert_null(fmt_checkpoint_get(cp, "new", &error));
    assert_error_says(&error, FMT_ERROR_UNSUPPORTED, "model.safetensors", "\"new\"", "found Q5_7",
                      NULL);
    g_assert_null(fmt_checkpoint_get(cp, "ids", &error));
    assert_error_says(&error, FMT_ERROR_UNSUPPORTED, "\"ids\"", "F32, F16 or BF16, found U8", NULL);
    g_assert_true(fmt_checkpoint_get(cp, "w.b", &error) == fmt_checkpoint_find(cp, "w.b"));
}

static void
test_lengths(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);

    temp_folder_write(&dir, "model.safetensors", "", 0);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "model.safetensors", "only 0 bytes", NULL);
    temp_folder_write(&dir, "model.safetensors", "1234567", 7);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "only 7 bytes", "cut off", NULL);
    temp_folder_write(&dir, "model.safetensors", "\x03\0\0\0\0\0\0\0{}", 10);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "a header of 3 bytes, found 2", NULL);
    temp_folder_write(&dir, "model.safetensors", "\0\0\0\x10\0\0\0\0{}", 10);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "header length", "268435456", NULL);
    temp_folder_write(&dir, "model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "header length", "18446744073709551615", NULL);
    temp_folder_write(&dir, "model.safetensors", "\x02\0\0\0\0\0\0\0{}", 10);
    g_autoptr(fmt_checkpoint) none = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(none), ==, 0);
}

static void
test_places(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    g_autofree char *file = g_build_filename(dir.path, "model.safetensors", NULL);

    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, dir.path, "neither in it", NULL);
    g_assert_null(fmt_checkpoint_open("/no/such/folder", &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, "/no/such/folder", "no such folder", NULL);
    g_assert_cmpint(g_mkdir(file, 0700), ==, 0);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_READ, file, "a folder", NULL);
    g_rmdir(file);
    g_assert_cmpint(mkfifo(file, 0600), ==, 0);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_READ, file, "regular file", NULL);
    g_remove(file);
    write_file(&dir, "model.safetensors", "{}", 0);
    g_assert_null(fmt_checkpoint_open(file, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, "not a folder", NULL);
}

#define ONE(name) "{\"" name "\":" T("F32", "[1]", "[0,4]") "}"

typedef struct {
    const char *name, *index, *header_1, *header_2;
    fmt_error code;
    const char *says, *says_too;
} bad_index;

static const bad_index bad_indexes[] = {
    {"not-json", "{", ONE("a"), ONE("b"), FMT_ERROR_SYNTAX, "index.json", "cut off"},
    {"no-map", "{}", ONE("a"), ONE("b"), FMT_ERROR_NOT_FOUND, "weight_map", "found nothing"},
    {"empty-map", "{\"weight_map\":{}}", ONE("a"), ONE("b"), FMT_ERROR_VALUE, "weight_map",
     "at least one"},
    {"map-array", "{\"weight_map\":[]}", ONE("a"), ONE("b"), FMT_ERROR_VALUE, "weight_map",
     "an object"},
    {"name-number", "{\"weight_map\":{\"a\":1}}", ONE("a"), ONE("b"), FMT_ERROR_VALUE, "\"a\"",
     "found 1"},
    {"name-empty", "{\"weight_map\":{\"a\":\"\"}}", ONE("a"), ONE("b"), FMT_ERROR_VALUE, "\"a\"",
     "found \"\""},
    {"name-slash", "{\"weight_map\":{\"a\":\"../1.safetensors\"}}", ONE("a"), ONE("b"),
     FMT_ERROR_VALUE, "../1.safetensors", "same folder"},
    {"name-root", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ONE("a"), ONE("b"), FMT_ERROR_VALUE,
     "/etc/passwd", "same folder"},
    {"name-dots", "{\"weight_map\":{\"a\":\"..\"}}", ONE("a"), ONE("b"), FMT_ERROR_VALUE, "\"..\"",
     "same folder"},
    {"absent-shard", "{\"weight_map\":{\"a\":\"3.safetensors\"}}", ONE("a"), ONE("b"),
     FMT_ERROR_NOT_FOUND, "index.json: weight_map", "3.safetensors"},
    {"absent-tensor", "{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"2.safetensors\"}}",
     ONE("a"), ONE("b"), FMT_ERROR_VALUE, "\"c\"", "found nowhere"},
    {"other-shard", "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}", ONE("a"),
     ONE("b"), FMT_ERROR_VALUE, "\"a\"", "1.safetensors"},
    {"in-two-shards", "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}",
     ONE("a"), ONE("a"), FMT_ERROR_VALUE, "\"a\": expected in one file", "1.safetensors"},
    {"bad-shard", "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}", ONE("a"),
     "{\"b\":1}", FMT_ERROR_VALUE, "2.safetensors", "found 1"},
};

static void
write_shards(const temp_folder *dir, const char *index, const char *header_1, const char *header_2)
{
    temp_folder_write(dir, "model.safetensors.index.json", index, strlen(index));
    write_file(dir, "1.safetensors", header_1, 4);
    write_file(dir, "2.safetensors", header_2, 4);
}

static void
test_bad_index(gconstpointer data)
{
    const bad_index *t = data;
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_shards(&dir, t->index, t->header_1, t->header_2);
    g_assert_null(fmt_checkpoint_open(dir.path, &error));
    assert_error_says(&error, (int) t->code, dir.path, t->says, t->says_too, NULL);
}

static void
test_shards(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_shards(&dir,
                 "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a.x\":\"1.safetensors\"}}",
                 ONE("a.x"), ONE("b"));
    g_autoptr(fmt_checkpoint) first = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(first), ==, 1);
    write_shards(&dir, "{\"weight_map\":{\"b\":\"2.safetensors\",\"a.x\":\"1.safetensors\"}}",
                 ONE("a.x"), ONE("b"));
    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(cp), ==, 2);
    g_assert_true(g_str_has_suffix(fmt_checkpoint_find(cp, "b")->file, "/2.safetensors"));
    g_assert_cmpstr(fmt_checkpoint_nth(cp, 0)->name, ==, "a.x");
    /* the single file is preferred, as it is by others */
    write_file(&dir, "model.safetensors", "{}", 0);
    g_autoptr(fmt_checkpoint) single = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(single), ==, 0);
}

/* Every half has a place in f32, and comes back; the spacing of f16 and the ties by arithmetic. */
static void
test_half(void)
{
    for (guint h = 0; h < 0x10000; h++) {
        guint exponent = (h >> 10) & 31, mantissa = h & 1023;
        float f = fmt_f16_to_f32((guint16) h), sign = h & 0x8000 ? -1.f : 1.f;
        if (exponent == 31) {
            g_assert_true(mantissa ? isnan(f) : f == sign * INFINITY);
            guint16 back = fmt_f32_to_f16(f);
            g_assert_cmpuint(back, ==, mantissa ? h | 0x200 : h);
            continue;
        }
        float expected = exponent ? ldexpf(1024.f + (float) mantissa, (int) exponent - 25)
                                  : ldexpf((float) mantissa, -24);
        g_assert_cmpfloat(f, ==, sign * expected);
        g_assert_cmpint(signbit(f) != 0, ==, (h & 0x8000) != 0);
        g_assert_cmpuint(fmt_f32_to_f16(f), ==, h);
        if ((h & 0x7fff) == 0x7bff)
            continue;
        /* half way to the next goes to the even one, and anything beside it to the nearer */
        float next = fmt_f16_to_f32((guint16) (h + 1)), middle = (f + next) / 2;
        g_assert_cmpuint(fmt_f32_to_f16(middle), ==, h & 1 ? h + 1 : h);
        g_assert_cmpuint(fmt_f32_to_f16(nextafterf(middle, f)), ==, h);
        g_assert_cmpuint(fmt_f32_to_f16(nextafterf(middle, next)), ==, h + 1);
    }
    g_assert_cmpuint(fmt_f32_to_f16(65519.996f), ==, 0x7bff);
    g_assert_cmpuint(fmt_f32_to_f16(65520.f), ==, 0x7c00);
    g_assert_cmpuint(fmt_f32_to_f16(-1e30f), ==, 0xfc00);
    g_assert_cmpuint(fmt_f32_to_f16(-1e-30f), ==, 0x8000);
    g_assert_cmpuint(fmt_f32_to_f16(1e-42f), ==, 0); /* an f32 subnormal */
}

static void
test_bfloat(void)
{
    for (guint b = 0; b < 0x10000; b++) {
        float f = fmt_bf16_to_f32((guint16) b);
        if (isnan(f)) {
            g_assert_true(isnan(fmt_bf16_to_f32(fmt_f32_to_bf16(f))));
            continue;
        }
        g_assert_cmpuint(fmt_f32_to_bf16(f), ==, b);
    }
    g_assert_cmpfloat(fmt_bf16_to_f32(0x3fc0), ==, 1.5f);
    g_assert_cmpuint(fmt_f32_to_bf16(1.f + 0x1p-8f), ==, 0x3f80);            /* tie to even */
    g_assert_cmpuint(fmt_f32_to_bf16(1.f + 0x1p-8f + 0x1p-20f), ==, 0x3f81); /* above the tie */
    g_assert_cmpuint(fmt_f32_to_bf16(1.f + 0x1p-7f + 0x1p-8f), ==, 0x3f82);  /* tie to even */
    g_assert_cmpuint(fmt_f32_to_bf16(3.4e38f), ==, 0x7f80);
}

/* What is written reads the same; a byte in front makes every tensor misaligned. */
static void
test_write(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    g_autofree char *path = g_build_filename(dir.path, "model.safetensors", NULL);
    const float f32[] = {1, -2.5f, 3e8f, 0, 1e-40f, 6};
    const float halves[] = {0.5f, -65504.f, 0x1p-24f};
    guint16 f16[3], bf16[2] = {0x3fc0, 0xc000};
    fmt_f32_to_f16_n(halves, 3, f16);
    fmt_tensor tensors[] = {
        {.name = "b", .dtype = FMT_F32, .n_dims = 2, .shape = {2, 3}, .data = f32, .size = 24},
        {.name = "a\"\n", .dtype = FMT_F16, .n_dims = 1, .shape = {3}, .data = f16, .size = 6},
        {.name = "c", .dtype = FMT_BF16, .n_dims = 1, .shape = {2}, .data = bf16, .size = 4},
        {.name = "d", .dtype = FMT_F32, .n_dims = 1, .shape = {0}, .data = f32, .size = 0},
    };
    g_autoptr(GHashTable) metadata = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(metadata, (char *) "format", (char *) "pt");
    g_assert_true(fmt_safetensors_write(path, tensors, 4, metadata, &error));
    g_assert_no_error(error);

    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(cp), ==, 4);
    float out[6] = {0};
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "b"), 0, 6, out);
    g_assert_cmpmem(out, 24, f32, 24);
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "b"), 4, 2, out);
    g_assert_cmpfloat(out[1], ==, 6);
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "a\"\n"), 0, 3, out);
    g_assert_cmpmem(out, 12, halves, 12);
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "c"), 1, 1, out);
    g_assert_cmpfloat(out[0], ==, -2);
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "d"), 0, 0, NULL);
    g_assert_cmpuint(GPOINTER_TO_SIZE(fmt_checkpoint_find(cp, "b")->data) % 64, ==, 0);

    guint8 shifted[25];
    fmt_tensor odd = *fmt_checkpoint_find(cp, "b");
    memcpy(shifted + 1, f32, 24);
    odd.data = shifted + 1;
    fmt_tensor_to_f32(&odd, 0, 6, out);
    g_assert_cmpmem(out, 24, f32, 24);

    tensors[0].size = 20;
    g_assert_false(fmt_safetensors_write(path, tensors, 4, NULL, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, path, "\"b\"", "found 20", NULL);
    tensors[0].size = 24;
    g_assert_false(fmt_safetensors_write("/no/such/folder/x", tensors, 4, NULL, &error));
    assert_error_says(&error, FMT_ERROR_READ, "/no/such/folder/x", NULL);
    /* one that is open keeps what it has when another takes its place */
    g_assert_true(fmt_safetensors_write(path, tensors + 3, 1, NULL, &error));
    fmt_tensor_to_f32(fmt_checkpoint_find(cp, "b"), 0, 6, out);
    g_assert_cmpmem(out, 24, f32, 24);
}

static void
read_everything(const fmt_checkpoint *cp)
{
    float out[64], sum = 0;
    for (guint i = 0; i < fmt_checkpoint_size(cp); i++) {
        const fmt_tensor *t = fmt_checkpoint_nth(cp, i);
        g_assert_true(fmt_checkpoint_find(cp, t->name) == t);
        for (guint64 at = 0; fmt_is_float(t->dtype) && at < t->n_elements; at += 64) {
            guint64 n = MIN(64, t->n_elements - at);
            fmt_tensor_to_f32(t, at, n, out);
            sum += out[n - 1];
        }
    }
    g_assert_true(sum == sum || sum != sum);
}

/* Files with a few bytes changed, cut or repeated: an error or a checkpoint whose every byte can be
 * read, nothing else (run it under AddressSanitizer). */
static void
test_mutations(void)
{
    g_auto(temp_folder) dir = {NULL};
    temp_folder_init(&dir);
    g_autoptr(GBytes) good = make_file(good_header, 37);
    gsize size;
    const guint8 *data = g_bytes_get_data(good, &size);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20250411);
    static const char *const numbers[] = {"0",
                                          "-1",
                                          "9007199254740993",
                                          "18446744073709551615",
                                          "1e308",
                                          "4294967296",
                                          "null",
                                          "[]",
                                          "\"\"",
                                          "{"};
    guint opened = 0, refused = 0;

    for (guint round = 0; round < 2000; round++) {
        GByteArray *file = g_byte_array_new();
        g_byte_array_append(file, data, (guint) size);
        for (int k = g_rand_int_range(rand, 0, 4); k >= 0; k--) {
            guint at = file->len ? (guint) g_rand_int_range(rand, 0, (int) file->len) : 0;
            switch (g_rand_int_range(rand, 0, 5)) {
            case 0:
                g_byte_array_set_size(file, at);
                break;
            case 1:
                if (at < file->len)
                    file->data[at] ^= (guint8) (1u << g_rand_int_range(rand, 0, 8));
                break;
            case 2: /* another number, the length of the header put right */
                while (at < file->len && !g_ascii_isdigit(file->data[at]))
                    at++;
                if (at > 8 && at < file->len) {
                    const char *number = numbers[g_rand_int_range(rand, 0, G_N_ELEMENTS(numbers))];
                    GString *text = g_string_new_len((char *) file->data, file->len);
                    g_string_erase(text, at, 1);
                    g_string_insert(text, at, number);
                    guint64 n;
                    memcpy(&n, text->str, 8);
                    n += strlen(number) - 1;
                    memcpy(text->str, &n, 8);
                    g_byte_array_set_size(file, 0);
                    g_byte_array_append(file, (guint8 *) text->str, (guint) text->len);
                    g_string_free(text, TRUE);
                }
                break;
            case 3:
                if (at + 1 < file->len)
                    g_byte_array_remove_index(file, at);
                break;
            default:
                g_byte_array_append(file, data, at < size ? at : 0);
                break;
            }
        }
        temp_folder_write(&dir, "model.safetensors", file->data, file->len);
        g_autoptr(GError) error = NULL;
        g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(dir.path, &error);
        g_assert_true((cp != NULL) == (error == NULL));
        if (cp) {
            read_everything(cp);
            opened++;
        } else {
            g_assert_nonnull(strstr(error->message, "model.safetensors"));
            refused++;
        }
        g_byte_array_unref(file);
    }
    g_test_message("%u opened, %u refused", opened, refused);
    g_assert_cmpuint(opened, >, 10);
    g_assert_cmpuint(refused, >, 500);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(bad_files); i++) {
        g_autofree char *name = g_strdup_printf("/safetensors/refused/%s", bad_files[i].name);
        g_test_add_data_func(name, &bad_files[i], test_bad_file);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad_indexes); i++) {
        g_autofree char *name =
            g_strdup_printf("/safetensors/index-refused/%s", bad_indexes[i].name);
        g_test_add_data_func(name, &bad_indexes[i], test_bad_index);
    }
    g_test_add_func("/safetensors/good", test_good);
    g_test_add_func("/safetensors/lengths", test_lengths);
    g_test_add_func("/safetensors/places", test_places);
    g_test_add_func("/safetensors/shards", test_shards);
    g_test_add_func("/safetensors/half", test_half);
    g_test_add_func("/safetensors/bfloat", test_bfloat);
    g_test_add_func("/safetensors/write", test_write);
    g_test_add_func("/safetensors/mutations", test_mutations);
    return g_test_run();
}
