/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The model's settings for those who only load the plugin. */
#include "fake_fusion.h"

__attribute__((constructor)) static void
settings(void)
{
    const char *ms = g_getenv("FUSION_TEST_ANSWER_MS");
    if (ms)
        fake.answer_ms = g_ascii_strtoull(ms, NULL, 10);
}
