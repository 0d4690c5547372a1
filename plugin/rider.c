/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rider.h"

#include <string.h>

typedef struct {
    char *key;
    gboolean asked;    /* once; else a standing question's */
    gboolean region;   /* about a detection */
    guint64 track;     /* of which; 0: none */
    GstClockTime seen; /* running time of the last frame with it */
    VqaAnswer *answer;
    gboolean told; /* on a frame, or as missed */
    guint64 seq;
} Slot;

VqaQuestion *
vqa_question_new(fusion_question *question, char **default_choices, guint64 asked_id)
{
    VqaQuestion *q = g_new0(VqaQuestion, 1);
    g_atomic_ref_count_init(&q->refs);
    if (!question->choices && default_choices && default_choices[0]) {
        q->question = fusion_question_new(question->text, (const char *const *) default_choices);
        fusion_question_free(question);
    } else {
        q->question = question;
    }
    g_autofree char *choices =
        q->question->choices ? g_strjoinv("\x1f", q->question->choices) : NULL;
    q->key = g_strconcat(q->question->text, "\x1e", choices, NULL);
    q->asked_id = asked_id;
    vqa_question_reset(q);
    return q;
}

void
vqa_question_reset(VqaQuestion *q)
{
    vqa_frame_choice_reset(&q->choice);
    g_queue_clear_full(&q->turns, g_free);
    g_clear_pointer(&q->last, fusion_answer_free);
    q->last_id = q->scene = 0;
    q->last_time = GST_CLOCK_TIME_NONE;
}

/* Cuts " @RATE" off the end. */
static void
cut_rate(char *text, int *fps_n, int *fps_d)
{
    static GRegex *regex = NULL;
    static gsize once = 0;
    if (g_once_init_enter(&once)) {
        regex = g_regex_new("\\s@\\s*(?:(\\d{1,9})/(\\d{1,9})|(\\d{1,9})\\s*(ms|s|min|m|h))\\s*$",
                            G_REGEX_OPTIMIZE, 0, NULL);
        g_once_init_leave(&once, 1);
    }
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(regex, text, 0, &match))
        return;
    g_autofree char *n = g_match_info_fetch(match, 1), *d = g_match_info_fetch(match, 2);
    g_autofree char *number = g_match_info_fetch(match, 3), *unit = g_match_info_fetch(match, 4);
    gint64 num = 0, den = 0;
    if (n && n[0]) {
        num = g_ascii_strtoll(n, NULL, 10);
        den = g_ascii_strtoll(d, NULL, 10);
    } else {
        gint64 seconds = unit[0] == 'h'            ? 3600
                         : g_str_equal(unit, "ms") ? 0
                         : unit[0] == 'm'          ? 60
                                                   : 1;
        num = seconds ? 1 : 1000;
        den = g_ascii_strtoll(number, NULL, 10) * (seconds ? seconds : 1);
    }
    if (den <= 0 || den > G_MAXINT)
        return;
    *fps_n = num;
    *fps_d = den;
    int begin;
    g_match_info_fetch_pos(match, 0, &begin, NULL);
    text[begin] = '\0';
}

GPtrArray *
vqa_questions_parse(const char *text, char **default_choices)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    g_auto(GStrv) pieces = g_strsplit(text ? text : "", "||", -1);
    for (char **piece = pieces; *piece; piece++) {
        int fps_n = 0, fps_d = 0;
        cut_rate(*piece, &fps_n, &fps_d);
        g_autoptr(GPtrArray) parsed = fusion_questions_parse(*piece);
        for (guint i = 0; i < parsed->len; i++) {
            const fusion_question *p = g_ptr_array_index(parsed, i);
            fusion_question *copy = fusion_question_new(p->text, (const char *const *) p->choices);
            VqaQuestion *q = vqa_question_new(copy, default_choices, 0);
            q->fps_n = fps_n;
            q->fps_d = fps_d;
            g_ptr_array_add(list, q);
        }
    }
    return list;
}

VqaQuestion *
vqa_question_ref(VqaQuestion *q)
{
    g_atomic_ref_count_inc(&q->refs);
    return q;
}

void
vqa_question_unref(VqaQuestion *q)
{
    if (!g_atomic_ref_count_dec(&q->refs))
        return;
    vqa_question_reset(q);
    fusion_question_free(q->question);
    g_free(q->key);
    g_free(q->tag);
    g_free(q);
}

static void
slot_free(gpointer data)
{
    Slot *slot = data;
    vqa_answer_unref(slot->answer);
    g_free(slot->key);
    g_free(slot);
}

void
vqa_rider_init(VqaRider *rider)
{
    rider->slots = g_ptr_array_new_with_free_func(slot_free);
    rider->missed = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
}

void
vqa_rider_clear(VqaRider *rider)
{
    g_clear_pointer(&rider->slots, g_ptr_array_unref);
    g_clear_pointer(&rider->missed, g_ptr_array_unref);
}

void
vqa_missed_add(GPtrArray *missed, VqaAnswer *answer)
{
    if (missed->len == VQA_MISSED_MOST)
        g_ptr_array_remove_index(missed, 0);
    g_ptr_array_add(missed, vqa_answer_ref(answer));
}

GPtrArray *
vqa_missed_take(GPtrArray **missed)
{
    if (!(*missed)->len)
        return NULL;
    GPtrArray *taken = *missed;
    *missed = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    return taken;
}

static void
miss(VqaRider *rider, Slot *slot)
{
    if (!slot->answer || slot->told)
        return;
    vqa_missed_add(rider->missed, slot->answer);
    slot->told = TRUE;
}

static void
remove_slot(VqaRider *rider, guint i)
{
    miss(rider, g_ptr_array_index(rider->slots, i));
    g_ptr_array_remove_index(rider->slots, i);
}

GPtrArray *
vqa_rider_take_missed(VqaRider *rider, gboolean all)
{
    for (guint i = 0; all && i < rider->slots->len; i++)
        miss(rider, g_ptr_array_index(rider->slots, i));
    return vqa_missed_take(&rider->missed);
}

static Slot *
find(GPtrArray *slots, const char *key, gboolean asked)
{
    for (guint i = 0; i < slots->len; i++) {
        Slot *slot = g_ptr_array_index(slots, i);
        if (slot->asked == asked && !slot->region && strcmp(slot->key, key) == 0)
            return slot;
    }
    return NULL;
}

static Slot *
add(GPtrArray *slots, const char *key, gboolean asked)
{
    Slot *slot = g_new0(Slot, 1);
    slot->key = g_strdup(key);
    slot->asked = asked;
    g_ptr_array_add(slots, slot);
    return slot;
}

/* Room for one more that was asked once. */
static void
make_room(VqaRider *rider)
{
    GPtrArray *slots = rider->slots;
    guint n = 0, oldest = 0;
    for (guint i = slots->len; i-- > 0;) {
        if (((Slot *) g_ptr_array_index(slots, i))->asked) {
            n++;
            oldest = i;
        }
    }
    if (n >= VQA_ASKED_MOST)
        remove_slot(rider, oldest);
}

void
vqa_rider_set_questions(VqaRider *rider, GPtrArray *questions)
{
    GPtrArray *old = rider->slots;
    rider->slots = g_ptr_array_new_with_free_func(slot_free);
    for (guint i = 0; i < questions->len; i++) {
        const VqaQuestion *q = g_ptr_array_index(questions, i);
        Slot *slot = add(rider->slots, q->key, FALSE), *before = find(old, q->key, FALSE);
        if (before) {
            slot->answer = g_steal_pointer(&before->answer);
            slot->told = before->told;
            slot->seq = before->seq;
        }
    }
    for (guint i = 0; i < old->len; i++) {
        Slot *before = g_ptr_array_index(old, i);
        if (!before->asked && !(before->region && find(rider->slots, before->key, FALSE))) {
            miss(rider, before);
            continue;
        }
        Slot *slot = add(rider->slots, before->key, before->asked);
        g_autofree char *key = slot->key;
        *slot = *before;
        slot->key = g_steal_pointer(&key);
        before->answer = NULL;
    }
    g_ptr_array_unref(old);
}

void
vqa_rider_flush(VqaRider *rider)
{
    for (guint i = 0; i < rider->slots->len; i++)
        miss(rider, g_ptr_array_index(rider->slots, i));
    for (guint i = rider->slots->len; i-- > 0;) {
        Slot *slot = g_ptr_array_index(rider->slots, i);
        g_clear_pointer(&slot->answer, vqa_answer_unref);
        if (slot->asked || slot->region)
            g_ptr_array_remove_index(rider->slots, i);
    }
}

static Slot *
find_track(const VqaRider *rider, const char *key, guint64 track)
{
    for (guint i = 0; track && i < rider->slots->len; i++) {
        Slot *slot = g_ptr_array_index(rider->slots, i);
        if (slot->region && slot->track == track && strcmp(slot->key, key) == 0)
            return slot;
    }
    return NULL;
}

/* Of the same question without a track, about an older frame; and what was not seen for the longest
 * time, if there are too many. */
static void
make_room_for_region(VqaRider *rider, const char *key, guint64 track, guint64 seq)
{
    guint n = 0, oldest = 0;
    GstClockTime seen = GST_CLOCK_TIME_NONE;
    for (guint i = rider->slots->len; i-- > 0;) {
        const Slot *slot = g_ptr_array_index(rider->slots, i);
        if (!slot->region)
            continue;
        if (!track && !slot->track && slot->seq < seq && strcmp(slot->key, key) == 0) {
            remove_slot(rider, i);
            oldest -= oldest > i;
            continue;
        }
        n++;
        if (slot->seen <= seen) {
            seen = slot->seen;
            oldest = i;
        }
    }
    if (n >= VQA_REGIONS_MOST)
        remove_slot(rider, oldest);
}

static Slot *
region_slot(VqaRider *rider, const char *key, const VqaDetection *d, guint64 seq, GstClockTime at)
{
    Slot *slot = find_track(rider, key, d->track);
    if (slot)
        return slot;
    make_room_for_region(rider, key, d->track, seq);
    slot = add(rider->slots, key, FALSE);
    slot->region = TRUE;
    slot->track = d->track;
    slot->seen = at;
    return slot;
}

gboolean
vqa_rider_knows(const VqaRider *rider, const VqaQuestion *question, guint64 track,
                GstClockTime running_time, GstClockTime interval)
{
    const Slot *slot = find_track(rider, question->key, track);
    if (!slot || !slot->answer)
        return FALSE;
    GstClockTime at = vqa_answer_running_time(slot->answer);
    return GST_CLOCK_TIME_IS_VALID(at) && GST_CLOCK_TIME_IS_VALID(running_time) &&
           running_time >= at && running_time - at < interval;
}

void
vqa_rider_put(VqaRider *rider, const VqaQuestion *question, guint64 seq, VqaAnswer *answer)
{
    gboolean asked = question->asked_id > 0;
    Slot *slot = find(rider->slots, question->key, asked);
    /* The same question by two askers about one frame: two answers. */
    if (asked && (!slot || (slot->answer && slot->seq == seq))) {
        make_room(rider);
        slot = add(rider->slots, question->key, TRUE);
    }
    const VqaDetection *d = vqa_answer_detection(answer);
    if (d && slot && !asked)
        slot = region_slot(rider, question->key, d, seq, vqa_answer_running_time(answer));
    if (!slot || (slot->answer && slot->seq > seq))
        return;
    miss(rider, slot);
    g_clear_pointer(&slot->answer, vqa_answer_unref);
    slot->answer = vqa_answer_ref(answer);
    slot->told = FALSE;
    slot->seq = seq;
}

GPtrArray *
vqa_rider_collect(VqaRider *rider, GstClockTime running_time, GstClockTime timeout,
                  const GArray *detections)
{
    GPtrArray *found = NULL;
    for (guint i = 0; i < rider->slots->len;) {
        Slot *slot = g_ptr_array_index(rider->slots, i);
        GstClockTime most =
            slot->asked && !GST_CLOCK_TIME_IS_VALID(timeout) ? VQA_ASKED_RIDES : timeout;
        GstClockTime at =
            slot->answer ? vqa_answer_running_time(slot->answer) : GST_CLOCK_TIME_NONE;
        if (GST_CLOCK_TIME_IS_VALID(most) && GST_CLOCK_TIME_IS_VALID(at) &&
            GST_CLOCK_TIME_IS_VALID(running_time) && running_time > at &&
            running_time - at > most) {
            miss(rider, slot);
            g_clear_pointer(&slot->answer, vqa_answer_unref);
        }
        gboolean here = !slot->region || !slot->answer ||
                        vqa_detection_find(detections, vqa_answer_detection(slot->answer)) >= 0;
        /* A frame without a time says nothing of when anything was seen. */
        gboolean timed = GST_CLOCK_TIME_IS_VALID(running_time);
        if (slot->region && here && timed)
            slot->seen = running_time;
        gboolean lost = slot->region && timed && running_time > slot->seen &&
                        running_time - slot->seen > VQA_REGION_KEPT;
        if (lost || (!slot->answer && (slot->asked || slot->region))) {
            remove_slot(rider, i);
            continue;
        }
        i++;
        if (!here)
            miss(rider, slot); /* and rides when it comes back */
        if (!slot->answer || !here)
            continue;
        slot->told = TRUE;
        if (!found)
            found = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
        g_ptr_array_add(found, vqa_answer_ref(slot->answer));
    }
    return found;
}
