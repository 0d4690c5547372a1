/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Folders that are not what they should be, opened with the real engine: each is refused with one
 * error that names the file, the key or tensor, what was expected and what was found. */
#define _GNU_SOURCE /* memmem */
#include <glib/gstdio.h>
#include <string.h>

#include "checkpoint_maker.h"
#include "fusion.h"
#include "keep_drivers.h"
#include "net.h"

/* A Phi kind of few and small layers in three shards. */
static checkpoint_options
small(void)
{
    checkpoint_options o = {.shard_bytes = 1500000};
    g_assert_true(checkpoint_geometry_named(&o.geometry, "FUSION-Phi3.5-3B"));
    g_assert_true(checkpoint_geometry_reduce(&o.geometry, 16));
    o.geometry.layers = 2;
    o.geometry.align = 1;
    o.geometry.side = 6 * o.geometry.patch;
    o.geometry.vocab = 512;
    return o;
}

static char *
make(const checkpoint_options *o)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("fusion-bad-XXXXXX", &error);
    g_assert_no_error(error);
    checkpoint_make(o, folder, &error);
    g_assert_no_error(error);
    return folder;
}

static char *
read_text(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void
write_text(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Puts `to` in place of the first `from`. */
static void
edit(const char *folder, const char *name, const char *from, const char *to)
{
    g_autofree char *text = read_text(folder, name);
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    g_autofree char *changed = g_strconcat(parts[0], to, parts[1], NULL);
    write_text(folder, name, changed);
}

/* Opening fails, now or when the weights are read, and the message holds every word of `says`. */
static void
refuse(char *folder, const char *const *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_model) m =
        fusion_model_open(&(fusion_model_options){.folder = folder, .max_context = 256}, &error);
    if (m)
        g_assert_false(fusion_model_wait(m, NULL, &error));
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_MODEL);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, folder));
    for (; *says; says++) {
        if (!strstr(error->message, *says))
            g_test_fail_printf("expected \"%s\" in: %s", *says, error->message);
    }
    checkpoint_remove(folder);
}
#define REFUSE(folder, ...) refuse((folder), (const char *const[]){__VA_ARGS__, NULL})

/* What all the others are changed from is good. */
static void
test_good(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_model) m =
        fusion_model_open(&(fusion_model_options){.folder = folder, .max_context = 256}, &error);
    g_assert_no_error(error);
    fusion_model_wait(m, NULL, &error);
    g_assert_no_error(error);
    checkpoint_remove(folder);
}

static void
test_missing_shard(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autofree char *shard = NULL;
    for (const char *name; (name = g_dir_read_name(dir));) {
        if (g_str_has_prefix(name, "model-00002-of-"))
            shard = g_strdup(name);
    }
    g_assert_nonnull(shard);
    g_autofree char *path = g_build_filename(folder, shard, NULL);
    g_unlink(path);
    REFUSE(folder, "model.safetensors.index.json", "weight_map", shard, "expected the file",
           "found nothing", "get the missing file");
}

static void
test_no_checkpoint(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    g_autofree char *path = g_build_filename(folder, "config.json", NULL);
    g_unlink(path);
    REFUSE(folder, "expected the folder of a checkpoint", "found no config.json in it",
           "get all files");
    REFUSE(g_strdup("/nonexistent/model"), "expected the folder of a checkpoint", "found nothing",
           "name the folder that holds them");
}

static void
test_absent_tensor(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    edit(folder, "model.safetensors.index.json",
         "\"model.norm.weight\":", "\"model.extra_norm.weight\":");
    REFUSE(folder, "model.safetensors.index.json", "weight_map", "\"model.extra_norm.weight\"",
           "expected in", "found nowhere", "get them again");
}

static void
test_wrong_shape(void)
{
    checkpoint_options o = small();
    o.wrong_shape = "model.layers.1.mlp.down_proj.weight";
    REFUSE(make(&o), "config.json", "wrong shape: model.layers.1.mlp.down_proj.weight",
           "expected [192, 512], found [193, 512] in ", ".safetensors");
}

static void
test_missing_tensor(void)
{
    checkpoint_options o = small();
    o.leave_out = "model.mm_projector.2.bias";
    REFUSE(make(&o), "config.json", "missing: model.mm_projector.2.bias [192]");
}

static void
test_not_finite(void)
{
    checkpoint_options o = small();
    o.not_finite = "model.vision_sampler_layers.0.layers.0.norm.weight";
    REFUSE(make(&o), ".safetensors",
           "tensor \"model.vision_sampler_layers.0.layers.0.norm.weight\"", "element [191]",
           "expected a finite number, found nan", "get this file again");
    o.not_finite = "model.layers.0.mlp.gate_up_proj.weight";
    REFUSE(make(&o), "gate_up_proj", "element [1023, 191]", "expected a finite number");
}

/* A quantised checkpoint, one of whose scales is NaN. */
static void
test_scale(void)
{
    checkpoint_options o = small();
    g_autoptr(GError) error = NULL;
    char *from = make(&o), *folder = g_strconcat(from, "-q8", NULL);
    g_autoptr(net_config) config = net_config_load(from, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) in = fmt_checkpoint_open(from, &error);
    g_assert_no_error(error);
    net_quantize_result result;
    net_quantize(config, in, NET_Q8, folder, NULL, NULL, NULL, &result, &error);
    g_assert_no_error(error);

    static const char name[] = "model.layers.1.mlp.down_proj.weight_scale";
    g_autoptr(fmt_checkpoint) out = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    const fmt_tensor *scales = fmt_checkpoint_get(out, name, &error);
    g_assert_no_error(error);
    g_autofree char *path = g_strdup(scales->file), *bytes = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    char *at = memmem(bytes, length, scales->data, scales->size);
    g_assert_nonnull(at);
    memcpy(at, "\x01\x7e", 2); /* a NaN */
    g_clear_pointer(&out, fmt_checkpoint_free);
    g_assert_true(g_file_set_contents(path, bytes, (gssize) length, NULL));
    checkpoint_remove(from);
    REFUSE(folder, ".safetensors", name, "element [0, 0]", "expected a finite number", "found nan",
           "get this file again");
}

static void
test_model_type(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    edit(folder, "config.json", "fusion_phi", "fusion_qwen");
    REFUSE(folder, "config.json", "model_type", "fusion_phi, fusion_llama", "found \"fusion_qwen\"",
           "name the folder of a FUSION checkpoint");
}

static void
test_no_markers(void)
{
    checkpoint_options o = small();
    o.no_markers = true;
    REFUSE(make(&o), "tokenizer.json", "added tokens", "<vision_start>", "found none",
           "get the tokenizer files");
}

/* config.json as LLaVA 1.5 has it, old and new. */
static void
test_llava(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    write_text(folder, "config.json",
               "{\"model_type\": \"llava_llama\", \"hidden_size\": 4096, \"intermediate_size\": "
               "11008, \"num_hidden_layers\": 32, \"num_attention_heads\": 32, \"vocab_size\": "
               "32000, \"max_position_embeddings\": 4096, \"mm_vision_tower\": "
               "\"openai/clip-vit-large-patch14-336\", \"mm_projector_type\": \"mlp2x_gelu\", "
               "\"mm_hidden_size\": 1024, \"image_aspect_ratio\": \"pad\"}");
    REFUSE(folder, "config.json", "num_of_vision_sampler_layers", "expected", "found nothing",
           "LLaVA", "name the folder of a FUSION checkpoint");
    folder = make(&o);
    write_text(folder, "config.json",
               "{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"llama\"}, "
               "\"vision_config\": {\"model_type\": \"clip_vision_model\"}}");
    REFUSE(folder, "config.json", "model_type", "found \"llava\"", "LLaVA", "FUSION checkpoint");
}

static void
test_plain_phi(void)
{
    checkpoint_options o = small();
    char *folder = make(&o);
    write_text(folder, "config.json",
               "{\"model_type\": \"phi3\", \"architectures\": [\"Phi3ForCausalLM\"], "
               "\"hidden_size\": 3072, \"vocab_size\": 32064}");
    REFUSE(folder, "config.json", "model_type", "found \"phi3\"", "a language model alone",
           "name the folder of a FUSION checkpoint");
}

/* A model that fits in 4 bits and in no more is refused before a weight is read, and the message
 * says so. */
static void
test_memory(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(net_device) device = net_device_open(NULL, &error);
    g_assert_no_error(error);
    uint64_t has = net_device_get_info(device)->free_bytes;
    checkpoint_options o = {.hollow = true};
    g_assert_true(checkpoint_geometry_named(&o.geometry, "FUSION-LLaMA3.1-8B"));
    o.geometry.layers = 256;
    o.geometry.mlp = 8;
    /* q8 takes 8.5 bits a weight, q4 4.5: of 16 */
    while (checkpoint_bytes(&o) < has / 10 * 23 && o.geometry.mlp < 131072)
        o.geometry.mlp += 64;
    if (checkpoint_bytes(&o) < has / 10 * 23) {
        g_test_skip("the device has more memory than any model that can be described");
        return;
    }
    g_autofree char *folder = g_dir_make_tmp("fusion-bad-XXXXXX", &error);
    g_assert_no_error(error);
    if (!checkpoint_make(&o, folder, &error)) {
        g_test_skip(error->message); /* the file system keeps no holes, or no file of that size */
        checkpoint_remove(g_steal_pointer(&folder));
        return;
    }
    g_autoptr(fusion_model) m = fusion_model_open(
        &(fusion_model_options){
            .folder = folder, .precision = FUSION_PRECISION_F16, .max_context = 256},
        &error);
    g_assert_null(m);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_MEMORY);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, folder));
    g_assert_nonnull(strstr(error->message, "with precision=f16 and max-context=256, which has"));
    g_assert_nonnull(strstr(error->message, "try precision=q4, "));
    checkpoint_remove(g_steal_pointer(&folder));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_keep_drivers();
    g_test_add_func("/bad/none", test_good);
    g_test_add_func("/bad/no-checkpoint", test_no_checkpoint);
    g_test_add_func("/bad/missing-shard", test_missing_shard);
    g_test_add_func("/bad/absent-tensor", test_absent_tensor);
    g_test_add_func("/bad/wrong-shape", test_wrong_shape);
    g_test_add_func("/bad/missing-tensor", test_missing_tensor);
    g_test_add_func("/bad/not-finite", test_not_finite);
    g_test_add_func("/bad/scale", test_scale);
    g_test_add_func("/bad/model-type", test_model_type);
    g_test_add_func("/bad/no-markers", test_no_markers);
    g_test_add_func("/bad/llava", test_llava);
    g_test_add_func("/bad/plain-phi", test_plain_phi);
    g_test_add_func("/bad/memory", test_memory);
    return g_test_run();
}
