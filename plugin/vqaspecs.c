/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vqaproperties.h"

static GType
mode_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {VQA_MODE_AUTO, "live under a live source, else wait", "auto"},
        {VQA_MODE_LIVE, "Never holds a frame back; the newest frame wins", "live"},
        {VQA_MODE_WAIT, "A chosen frame leaves with its answers", "wait"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaMode", values));
    return type;
}

static GType
regions_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {VQA_REGIONS_FRAME, "The whole frame", "frame"},
        {VQA_REGIONS_ZONE, "The part that property zone says", "zone"},
        {VQA_REGIONS_DETECTIONS,
         "Each region of interest on the frame; from GStreamer 1.24 on object detections too",
         "detections"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaRegions", values));
    return type;
}

static GType
precision_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {FUSION_PRECISION_AUTO, "As stored, the next smaller one if that does not fit", "auto"},
        {FUSION_PRECISION_F32, "32 bit floating point", "f32"},
        {FUSION_PRECISION_F16, "16 bit floating point", "f16"},
        {FUSION_PRECISION_Q8, "8 bit codes, a scale for 32", "q8"},
        {FUSION_PRECISION_Q4, "4 bit codes, a scale for 32; 8 bits outside the decoder", "q4"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaPrecision", values));
    return type;
}

#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define READY (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define READ (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

static GParamSpec *
strings(const char *name, const char *nick, const char *blurb)
{
    return gst_param_spec_array(name, nick, blurb,
                                g_param_spec_string("item", "Item", "One of them", NULL,
                                                    G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
                                PLAYING);
}

static void
install_model(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_MODEL,
        g_param_spec_string("model", "Model",
                            "Folder of a checkpoint in the Hugging Face layout (default: the model "
                            "that ships)",
                            NULL, READY));
    g_object_class_install_property(
        klass, PROP_DEVICE,
        g_param_spec_string("device", "Device",
                            "Vulkan device: auto (discrete GPU, integrated GPU, then CPU), an "
                            "index, or part of the device's name (default auto)",
                            "auto", READY));
    g_object_class_install_property(
        klass, PROP_PRECISION,
        g_param_spec_enum("precision", "Precision", "Weights in device memory (default auto)",
                          precision_type(), FUSION_PRECISION_AUTO, READY));
    g_object_class_install_property(
        klass, PROP_LATENT_TOKENS,
        g_param_spec_uint("latent-tokens", "Latent tokens",
                          "Latent tokens of a picture: 4, 16, 36, 64 or 144; fewer are quicker and "
                          "coarser (tokens; 0 to 144; default 0: the model's own number)",
                          0, 144, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_VISION_GRID,
        g_param_spec_uint("vision-grid", "Vision grid",
                          "N: image tokens are resized to N x N (tokens; 0 to 1024; default 0: the "
                          "encoder's own grid)",
                          0, 1024, 0, READY));
    g_object_class_install_property(
        klass, PROP_MAX_CONTEXT,
        g_param_spec_uint("max-context", "Max context",
                          "Positions of the KV cache: picture, question and answer together; a "
                          "longer request fails (tokens; 1 or more; default 2048)",
                          1, G_MAXINT, DEFAULT_MAX_CONTEXT, READY));
}

static void
install_questions(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_PROMPT,
        g_param_spec_string(
            "prompt", "Prompt",
            "Question, or several separated by ||; each may end with its own choices, and with its "
            "own rate, in frames a second or as the time between: Is the gate open? [yes|no] @5s. "
            "{time}, {stream} and {answer} (its last answer) are replaced (default: none)",
            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_PROMPTS,
        strings("prompts", "Prompts", "Questions after those of prompt (default: none)"));
    g_object_class_install_property(
        klass, PROP_PROMPT_FILE,
        g_param_spec_string(
            "prompt-file", "Prompt file",
            "UTF-8 file with a question per line, each as in prompt, after those of prompt and "
            "prompts; lines that begin with # are skipped. Read again when it changes; while it is "
            "gone or bad the questions stay (default: none)",
            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_SYSTEM_PROMPT,
        g_param_spec_string("system-prompt", "System prompt",
                            "System prompt of every question (default: that of the model's "
                            "template)",
                            NULL, READY));
    g_object_class_install_property(
        klass, PROP_CHOICES,
        strings("choices", "Choices",
                "Allowed answers to questions without choices of their own; each gets its "
                "probability (default: none, the model answers freely)"));
    g_object_class_install_property(
        klass, PROP_GENERATION_CONFIG,
        g_param_spec_string("generation-config", "Generation config",
                            "key=value,...: max_new_tokens, do_sample, temperature, top_p, top_k, "
                            "repetition_penalty, rng_seed, stop_strings (a;b) (default: the "
                            "model's generation_config.json)",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_CONTEXT_TURNS,
        g_param_spec_uint("context-turns", "Context turns",
                          "Earlier questions and answers that the model is told with a question: "
                          "its own, or those asked once before one that is asked once (turns; 0 "
                          "to 32; default 0: none)",
                          0, 32, 0, PLAYING));
}

static void
install_frames(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_FRAME_RATE,
        gst_param_spec_fraction("frame-rate", "Frame rate",
                                "Frames that are asked about, by running time; 0/1: every frame "
                                "(frames per second; 0/1 or more; default 1/1)",
                                0, 1, G_MAXINT, 1, 1, 1, PLAYING));
    g_object_class_install_property(
        klass, PROP_MODE,
        g_param_spec_enum("mode", "Mode", "Whether frames wait for their answers (default auto)",
                          mode_type(), VQA_MODE_AUTO, READY));
    g_object_class_install_property(
        klass, PROP_LATENCY,
        g_param_spec_uint64("latency", "Latency",
                            "With mode=wait under a live source: added to the LATENCY query, so "
                            "that sinks expect frames that are held so long (nanoseconds; 0 or "
                            "more; default 0)",
                            0, G_MAXINT64, 0, READY));
    g_object_class_install_property(
        klass, PROP_SCENE_THRESHOLD,
        g_param_spec_double("scene-threshold", "Scene threshold",
                            "Ask again only if the picture changed by more than this since the "
                            "last answer: the largest change of a colour's mean in 16 x 12 cells; "
                            "0.05 ignores noise (part of the way from black to white; 0 to 1; "
                            "default 0: ask always)",
                            0, 1, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_REGIONS,
        g_param_spec_enum("regions", "Regions", "What of a frame is asked about (default frame)",
                          regions_type(), VQA_REGIONS_FRAME, READY));
    g_object_class_install_property(
        klass, PROP_ZONE,
        g_param_spec_string("zone", "Zone",
                            "With regions=zone: the part to ask about, x,y,w,h as fractions of the "
                            "frame, each 0 to 1 (default: none)",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_REGION_MARGIN,
        g_param_spec_double("region-margin", "Region margin",
                            "With regions=detections: what is shown of the frame around a "
                            "detection, on every side (part of its width and height; 0 to 10; "
                            "default 0.1)",
                            0, 10, DEFAULT_REGION_MARGIN, PLAYING));
    g_object_class_install_property(
        klass, PROP_REGION_INTERVAL,
        g_param_spec_uint64("region-interval", "Region interval",
                            "With regions=detections: a tracked object is asked about again only "
                            "when its answer is this old; 0: with every chosen frame (nanoseconds; "
                            "0 or more; default 5000000000)",
                            0, G_MAXINT64, DEFAULT_REGION_INTERVAL, PLAYING));
    g_object_class_install_property(
        klass, PROP_MAX_REGIONS,
        g_param_spec_uint("max-regions", "Max regions",
                          "With regions=detections: of more the largest are asked about "
                          "(detections of a frame; 1 to 256; default 8)",
                          1, 256, DEFAULT_MAX_REGIONS, PLAYING));
}

static void
install_answers(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_ANSWER_TIMEOUT,
        g_param_spec_uint64("answer-timeout", "Answer timeout",
                            "Age, by running time, at which an answer leaves the frames "
                            "(nanoseconds; 0 or more; default 18446744073709551615: never)",
                            0, G_MAXUINT64, GST_CLOCK_TIME_NONE, PLAYING));
    g_object_class_install_property(
        klass, PROP_PARTIAL_ANSWERS,
        g_param_spec_boolean("partial-answers", "Partial answers",
                             "Tell answers while they are being made too, with final=false "
                             "(default false)",
                             FALSE, PLAYING));
    g_object_class_install_property(
        klass, PROP_ATTENTION_MAP,
        g_param_spec_boolean("attention-map", "Attention map",
                             "Tell with each answer where in the picture the model looked: a grid "
                             "of values from 0 to 1 in its field attention (default false)",
                             FALSE, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT,
        g_param_spec_string(
            "alert", "Alert",
            "Rules in words, separated by ;  'Is somebody on the ground?': yes > 0.7 for 3s until "
            "0.6, cooldown 60s. Also < >= <=, percentages, gap 10s, named fall; times (ms, s, min, "
            "h) are stream time. Posts an element message and puts metadata fusion-alert on frames "
            "(default: none)",
            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT_SNAPSHOT,
        g_param_spec_string("alert-snapshot", "Alert snapshot",
                            "File that an alert's frame is saved to as JPEG; {stream}, {alert} and "
                            "{time} (UTC) in it are replaced (default: none)",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT_LOOKBACK,
        g_param_spec_uint64("alert-lookback", "Alert look-back",
                            "With alert-snapshot: the chosen frames of this long before an alert "
                            "are saved too, as Motion JPEG beside it (.mjpeg) (nanoseconds; 0 to "
                            "600000000000; default 0: none)",
                            0, 600 * GST_SECOND, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_LAST_ANSWER,
        g_param_spec_boxed("last-answer", "Last answer",
                           "The newest answer to each question: fields answers and json, as in the "
                           "metadata (read only)",
                           GST_TYPE_STRUCTURE, READ));
    g_object_class_install_property(
        klass, PROP_STATS,
        g_param_spec_boxed("stats", "Statistics",
                           "Counters since READY (chosen = submitted + skipped + waiting; asked = "
                           "answered + failed + cancelled + pending), timings in milliseconds, "
                           "and model-state: none, loading, ready, lost or failed (read only)",
                           GST_TYPE_STRUCTURE, READ));
}

void
vqa_install_specs(GObjectClass *klass)
{
    install_model(klass);
    install_questions(klass);
    install_frames(klass);
    install_answers(klass);
    gst_type_mark_as_plugin_api(mode_type(), 0);
    gst_type_mark_as_plugin_api(precision_type(), 0);
    gst_type_mark_as_plugin_api(regions_type(), 0);
}
