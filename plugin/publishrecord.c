/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publishrecord.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* More than ride on the buffers of one pad: questions times streams. */
#define REMEMBERED 8192

struct _PublishSeen {
    GHashTable *links; /* key -> its link in `order`, which owns the key */
    GQueue order;      /* the one that was not met for the longest time first */
};

PublishSeen *
publish_seen_new(void)
{
    PublishSeen *seen = g_new0(PublishSeen, 1);
    seen->links = g_hash_table_new(g_str_hash, g_str_equal);
    g_queue_init(&seen->order);
    return seen;
}

void
publish_seen_free(PublishSeen *seen)
{
    if (!seen)
        return;
    g_hash_table_unref(seen->links);
    g_queue_clear_full(&seen->order, g_free);
    g_free(seen);
}

/* Takes the key; TRUE if it was there already. */
static gboolean
met_before(PublishSeen *seen, char *key)
{
    GList *link = g_hash_table_lookup(seen->links, key);
    if (link) {
        g_free(key);
        g_queue_unlink(&seen->order, link);
        g_queue_push_tail_link(&seen->order, link);
        return TRUE;
    }
    g_queue_push_tail(&seen->order, key);
    g_hash_table_insert(seen->links, key, seen->order.tail);
    if (g_queue_get_length(&seen->order) > REMEMBERED) {
        char *oldest = g_queue_pop_head(&seen->order);
        g_hash_table_remove(seen->links, oldest);
        g_free(oldest);
    }
    return FALSE;
}

/* Same record, same key. Ids begin anew with an element that is started again, so the time belongs
 * to it. */
static char *
key_of(const char *name, const GstStructure *s)
{
    guint64 id = 0, running_time = 0;
    if (gst_structure_get_uint64(s, "id", &id)) {
        const char *stream = gst_structure_get_string(s, "stream");
        const char *utc = gst_structure_get_string(s, "utc");
        gst_structure_get_uint64(s, "running-time", &running_time);
        return g_strdup_printf("%s\n%s\n%" G_GUINT64_FORMAT "\n%" G_GUINT64_FORMAT "\n%s", name,
                               stream ? stream : "", id, running_time, utc ? utc : "");
    }
    g_autoptr(GstStructure) copy = gst_structure_copy(s);
    gst_structure_remove_fields(copy, "age", "json", NULL);
    /* Many are remembered, and others' metadata may be long. */
    g_autofree char *text = gst_structure_to_string(copy);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

/* ---- JSON of a structure that brings none */

static cJSON *json_of_structure(const GstStructure *s);

static cJSON *
json_of_value(const GValue *v)
{
    if (GST_VALUE_HOLDS_STRUCTURE(v))
        return json_of_structure(gst_value_get_structure(v));
    if (GST_VALUE_HOLDS_ARRAY(v) || GST_VALUE_HOLDS_LIST(v)) {
        gboolean array = GST_VALUE_HOLDS_ARRAY(v);
        guint n = array ? gst_value_array_get_size(v) : gst_value_list_get_size(v);
        cJSON *items = cJSON_CreateArray();
        for (guint i = 0; i < n; i++) {
            cJSON *item = json_of_value(array ? gst_value_array_get_value(v, i)
                                              : gst_value_list_get_value(v, i));
            cJSON_AddItemToArray(items, item ? item : cJSON_CreateNull());
        }
        return items;
    }
    if (G_VALUE_HOLDS_STRING(v)) {
        const char *text = g_value_get_string(v);
        g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
        return valid ? cJSON_CreateString(valid) : cJSON_CreateNull();
    }
    if (G_VALUE_HOLDS_BOOLEAN(v))
        return cJSON_CreateBool(g_value_get_boolean(v));
    if (G_VALUE_HOLDS_DOUBLE(v) || G_VALUE_HOLDS_FLOAT(v)) {
        double d = G_VALUE_HOLDS_DOUBLE(v) ? g_value_get_double(v) : (double) g_value_get_float(v);
        return isfinite(d) ? cJSON_CreateNumber(d) : cJSON_CreateNull();
    }
    /* as text, for a double does not hold 64 bits; all bits set is how GStreamer writes "no time"
     */
    char number[32];
    if (G_VALUE_HOLDS_UINT64(v)) {
        if (g_value_get_uint64(v) == G_MAXUINT64)
            return cJSON_CreateNull();
        g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, g_value_get_uint64(v));
    } else if (G_VALUE_HOLDS_INT64(v)) {
        g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, g_value_get_int64(v));
    } else if (G_VALUE_HOLDS_UINT(v)) {
        g_snprintf(number, sizeof number, "%u", g_value_get_uint(v));
    } else if (G_VALUE_HOLDS_INT(v)) {
        g_snprintf(number, sizeof number, "%d", g_value_get_int(v));
    } else if (G_VALUE_HOLDS(v, GST_TYPE_BUFFER) || G_VALUE_HOLDS(v, GST_TYPE_SAMPLE) ||
               G_VALUE_HOLDS(v, GST_TYPE_BUFFER_LIST) || G_VALUE_HOLDS(v, G_TYPE_BYTES)) {
        return NULL; /* a picture is no part of a line */
    } else {
        g_autofree char *text = gst_value_serialize(v);
        return text ? cJSON_CreateString(text) : NULL;
    }
    return cJSON_CreateRaw(number);
}

static gboolean
add_field(GQuark field, const GValue *value, gpointer user)
{
    cJSON *item = json_of_value(value);
    if (!item)
        return TRUE;
    g_autofree char *key = g_strdup(g_quark_to_string(field));
    /* as the answers' own JSON is written */
    g_strdelimit(key, "-", '_');
    cJSON_AddItemToObject(user, key, item);
    return TRUE;
}

static cJSON *
json_of_structure(const GstStructure *s)
{
    cJSON *object = cJSON_CreateObject();
    gst_structure_foreach(s, add_field, object);
    return object;
}

static char *
line_of(const GstStructure *s)
{
    cJSON *object = json_of_structure(s);
    char *printed = cJSON_PrintUnformatted(object);
    char *line = g_strdup(printed);
    cJSON_free(printed);
    cJSON_Delete(object);
    return line;
}

/* ---- records */

static const char *
type_of(const char *name)
{
    return g_str_has_prefix(name, "fusion-") ? name + strlen("fusion-") : name;
}

static void
give(const GstStructure *s, const char *name, const char *line, const char *stream,
     PublishRecordFunc each, gpointer user)
{
    const char *own = gst_structure_get_string(s, "stream");
    each(user, type_of(name), own ? own : stream, line ? g_strdup(line) : line_of(s));
}

static gboolean
one_line(const char *json)
{
    return json && *json && !strchr(json, '\n');
}

void
publish_records_on(PublishSeen *seen, GstBuffer *buffer, const char *name, const char *stream,
                   PublishRecordFunc each, gpointer user)
{
    GstCustomMeta *meta = gst_meta_get_info(name) ? gst_buffer_get_custom_meta(buffer, name) : NULL;
    if (meta)
        publish_records_in(seen, gst_custom_meta_get_structure(meta), name, stream, each, user);
}

void
publish_records_in(PublishSeen *seen, const GstStructure *all, const char *name, const char *stream,
                   PublishRecordFunc each, gpointer user)
{
    const char *json = gst_structure_get_string(all, "json");
    g_autofree char *plural = g_strconcat(type_of(name), "s", NULL);
    const GValue *array = gst_structure_get_value(all, plural);
    if (!array || !GST_VALUE_HOLDS_ARRAY(array)) {
        if (!met_before(seen, key_of(name, all)))
            give(all, name, one_line(json) ? json : NULL, stream, each, user);
        return;
    }
    guint n = gst_value_array_get_size(array);
    g_auto(GStrv) lines = NULL;
    for (guint i = 0; i < n; i++) {
        const GValue *value = gst_value_array_get_value(array, i);
        if (!GST_VALUE_HOLDS_STRUCTURE(value))
            continue;
        const GstStructure *s = gst_value_get_structure(value);
        if (met_before(seen, key_of(name, s)))
            continue;
        if (!lines)
            lines = g_strsplit(json ? json : "", "\n", -1);
        gboolean has = g_strv_length(lines) == n && *lines[i];
        give(s, name, has ? lines[i] : NULL, stream, each, user);
    }
}

void
publish_record_of(const GstStructure *s, const char *stream, PublishRecordFunc each, gpointer user)
{
    const char *json = gst_structure_get_string(s, "json");
    give(s, gst_structure_get_name(s), one_line(json) ? json : NULL, stream, each, user);
}
