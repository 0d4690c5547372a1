// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fmt_json.h"
#include "fuzz.h"

static void
visit(const cJSON *value)
{
    const cJSON *child;
    g_free(fmt_json_describe(value));
    cJSON_ArrayForEach(child, value)
    {
        visit(child);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_json) json = fmt_json_parse("input", (const char *) data, size, &error);
    fuzz_check((json != NULL) == (error == NULL));
    if (!json)
        return 0;
    visit(json->root);
    const cJSON *item;
    cJSON_ArrayForEach(item, json->root)
    {
        guint64 u = 7;
        double d = 7;
        gboolean b;
        const char *s;
        GArray *list = NULL;
        if (fmt_json_get_uint(json, item->string, FMT_OPTIONAL, 1, 1000, &u, NULL))
            fuzz_check(u >= 1 && u <= 1000);
        if (fmt_json_get_double(json, item->string, FMT_OPTIONAL, -8, 8, &d, NULL))
            fuzz_check(d >= -8 && d <= 8);
        fmt_json_get_bool(json, item->string, FMT_REQUIRED, &b, NULL);
        fmt_json_get_string(json, item->string, FMT_REQUIRED, &s, NULL);
        if (fmt_json_get_uints(json, item->string, FMT_REQUIRED, 0, 100, 0, 1000, &list, NULL))
            fuzz_check(list->len <= 100);
        g_clear_pointer(&list, g_array_unref);
        fmt_json_refuse(json, item->string, "nothing", NULL);
    }
    return 0;
}
