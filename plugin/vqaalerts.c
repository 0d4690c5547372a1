/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alert rules on the answers of an element: which answers they look at, and what follows. */
#include "gstfusionvqa.h"

#include <math.h>
#include <string.h>

#include "snapshot.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* A rule with what belongs to it in this element. Counted: the worker tells an alert without the
 * lock. */
struct _VqaAlert {
    gatomicrefcount refs;
    VqaAlertRule *rule;
    fusion_question *question; /* asked if no other question has its text */
    GHashTable *watched;       /* guint64 -> Watched: by tracked object, 0 for the frame */
    guint64 count;
};

typedef struct {
    guint64 track;
    VqaAlertState state;
    GstClockTime period; /* the longest that its answers may need to come, as last seen */
    VqaAnswer *riding;   /* the last alert, told on the bus */
    gboolean carried;    /* by a frame, or missed */
} Watched;

/* Tracked objects come and go. */
#define MOST_WATCHED 1024

/* A rule that was met just now. */
typedef struct {
    VqaAlert *alert;
    guint64 track, count;
    VqaAlertState state;
} Raised;

static void
watched_free(gpointer data)
{
    Watched *w = data;
    vqa_answer_unref(w->riding);
    g_free(w);
}

/* Whoever publishes alerts wants those too that no frame will carry. */
static void
miss(GstFusionVqa *self, Watched *w)
{
    if (!w->riding || w->carried)
        return;
    vqa_missed_add(self->missed_alerts, w->riding);
    w->carried = TRUE;
}

/* Room is made by what was not answered about for the longest time. */
static Watched *
watched_for(GstFusionVqa *self, VqaAlert *a, guint64 track)
{
    Watched *w = g_hash_table_lookup(a->watched, &track);
    if (w)
        return w;
    if (g_hash_table_size(a->watched) >= MOST_WATCHED) {
        GHashTableIter iter;
        Watched *each, *oldest = NULL;
        g_hash_table_iter_init(&iter, a->watched);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &each))
            oldest = !oldest || each->state.last < oldest->state.last ? each : oldest;
        miss(self, oldest);
        g_hash_table_remove(a->watched, &oldest->track);
    }
    w = g_new0(Watched, 1);
    w->track = track;
    vqa_alert_state_reset(&w->state);
    g_hash_table_insert(a->watched, &w->track, w);
    return w;
}

static VqaAlert *
alert_ref(VqaAlert *a)
{
    g_atomic_ref_count_inc(&a->refs);
    return a;
}

void
vqa_alert_unref(VqaAlert *a)
{
    if (!g_atomic_ref_count_dec(&a->refs))
        return;
    vqa_alert_rule_free(a->rule);
    fusion_question_free(a->question);
    g_hash_table_unref(a->watched);
    g_free(a);
}

static void
raised_free(gpointer data)
{
    vqa_alert_unref(((Raised *) data)->alert);
    g_free(data);
}

/* ---- what an answer says about a label */

static char *
plain(const char *text)
{
    g_autofree char *stripped = g_strstrip(g_strdup(text));
    for (gsize n = strlen(stripped); n && strchr(".!", stripped[n - 1]); n--)
        stripped[n - 1] = '\0';
    return g_utf8_casefold(stripped, -1);
}

static gboolean
same_label(const char *a, const char *b)
{
    g_autofree char *x = plain(a), *y = plain(b);
    return strcmp(x, y) == 0;
}

static double
value_for(const VqaAlertRule *rule, const fusion_answer *a)
{
    gboolean is_it = same_label(a->text, rule->label);
    if (rule->kind == VQA_ALERT_IS)
        return is_it ? 1 : 0;
    for (guint i = 0; a->choices && i < a->n_choices; i++) {
        if (same_label(a->choices[i].label, rule->label))
            return a->choices[i].probability;
    }
    return is_it && !a->choices ? a->confidence : 0;
}

/* ---- reading */

static gboolean
has_choice(char **choices, const char *label)
{
    for (char **c = choices; c && *c; c++) {
        if (same_label(*c, label))
            return TRUE;
    }
    return FALSE;
}

/* The rule's question; yes and no are each other's alternative without being told so. */
static fusion_question *
question_of(const VqaAlertRule *rule, guint number, GError **error)
{
    g_autoptr(GPtrArray) parsed = fusion_questions_parse(rule->question);
    if (parsed->len != 1) {
        g_set_error(error, VQA_ALERT_ERROR, VQA_ALERT_ERROR_SYNTAX,
                    "alert rule %u: expected one question, found \"%s\"", number, rule->question);
        return NULL;
    }
    const fusion_question *q = parsed->pdata[0];
    static const char *const yes_no[] = {"yes", "no", NULL};
    const char *const *choices = (const char *const *) q->choices;
    if (!choices && has_choice((char **) yes_no, rule->label))
        choices = yes_no;
    if (q->choices && !has_choice(q->choices, rule->label)) {
        g_autofree char *list = g_strjoinv(", ", q->choices);
        g_set_error(error, VQA_ALERT_ERROR, VQA_ALERT_ERROR_SYNTAX,
                    "alert rule %u: expected one of the choices of its question (%s), found \"%s\"",
                    number, list, rule->label);
        return NULL;
    }
    return fusion_question_new(q->text, choices);
}

GPtrArray *
vqa_alerts_parse(const char *text, GError **error)
{
    g_autoptr(GPtrArray) rules = vqa_alert_rules_parse(text, error);
    if (!rules)
        return NULL;
    g_autoptr(GPtrArray) alerts = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_alert_unref);
    for (guint i = 0; i < rules->len; i++) {
        fusion_question *question = question_of(rules->pdata[i], i + 1, error);
        if (!question)
            return NULL;
        VqaAlert *a = g_new0(VqaAlert, 1);
        g_atomic_ref_count_init(&a->refs);
        a->rule = g_steal_pointer(&rules->pdata[i]);
        a->question = question;
        a->watched = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, watched_free);
        g_ptr_array_add(alerts, a);
    }
    return g_steal_pointer(&alerts);
}

void
vqa_alerts_add_questions(GstFusionVqa *self, GPtrArray *list)
{
    for (guint i = 0; i < self->alerts->len; i++) {
        VqaAlert *a = g_ptr_array_index(self->alerts, i);
        gboolean asked = FALSE;
        for (guint k = 0; k < list->len && !asked; k++) {
            const VqaQuestion *q = g_ptr_array_index(list, k);
            asked = strcmp(q->question->text, a->question->text) == 0;
            if (asked && q->question->choices && !has_choice(q->question->choices, a->rule->label))
                GST_WARNING_OBJECT(self,
                                   "alert \"%s\": its answer is not among the choices of the "
                                   "question, so it has the probability 0",
                                   a->rule->name);
        }
        if (asked)
            continue;
        fusion_question *copy =
            fusion_question_new(a->question->text, (const char *const *) a->question->choices);
        g_ptr_array_add(list, vqa_question_new(copy, self->config.choices, 0));
    }
}

/* ---- time */

static void
miss_all(GstFusionVqa *self)
{
    for (guint i = 0; i < self->alerts->len; i++) {
        const VqaAlert *a = g_ptr_array_index(self->alerts, i);
        GHashTableIter iter;
        Watched *w;
        g_hash_table_iter_init(&iter, a->watched);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &w))
            miss(self, w);
    }
}

void
vqa_alerts_reset(GstFusionVqa *self)
{
    miss_all(self);
    for (guint i = 0; i < self->alerts->len; i++)
        g_hash_table_remove_all(((VqaAlert *) g_ptr_array_index(self->alerts, i))->watched);
}

GPtrArray *
vqa_alerts_update(GstFusionVqa *self, const VqaJob *job, const VqaQuestion *question,
                  const VqaDetection *detection, const fusion_answer *answer, GstClockTime latency)
{
    GPtrArray *raised = NULL;
    /* Nobody knows whether the next one is the same thing. */
    if (detection && !detection->track)
        return NULL;
    const VqaConfig *c = &self->config;
    GstClockTime period = vqa_question_period(self, question);
    for (guint i = 0; i < self->alerts->len; i++) {
        VqaAlert *a = g_ptr_array_index(self->alerts, i);
        if (strcmp(a->question->text, question->question->text) != 0)
            continue;
        /* On a device that needs longer, answers are that far apart. */
        Watched *w = watched_for(self, a, detection ? detection->track : 0);
        w->period = MAX(period, latency);
        if (detection)
            w->period = MAX(w->period, c->region_interval);
        VqaAlertOutcome outcome = vqa_alert_state_update(&w->state, a->rule, vqa_job_time(job),
                                                         value_for(a->rule, answer), w->period);
        if (outcome == VQA_ALERT_CLEARED)
            GST_INFO_OBJECT(self, "alert \"%s\" has ended", a->rule->name);
        if (outcome != VQA_ALERT_RAISED)
            continue;
        if (!raised)
            raised = g_ptr_array_new_with_free_func(raised_free);
        Raised *r = g_new(Raised, 1);
        *r = (Raised){alert_ref(a), w->track, ++a->count, w->state};
        g_ptr_array_add(raised, r);
    }
    return raised;
}

void
vqa_alerts_raise(GstFusionVqa *self, GPtrArray *raised, VqaJob *job, const VqaAnswerFields *answer)
{
    for (guint i = 0; i < raised->len; i++) {
        const Raised *r = g_ptr_array_index(raised, i);
        VqaAlert *a = r->alert;
        /* A handler of the answer or of the alert before may have stopped the element: what
         * `answer` points to is gone. */
        g_mutex_lock(&self->lock);
        gboolean stopped = job->epoch != self->epoch;
        g_mutex_unlock(&self->lock);
        if (stopped)
            return;
        g_autofree char *snapshot = NULL, *lookback = NULL;
        vqa_save_snapshot(self, job, a->rule->name, answer->stream, &snapshot, &lookback);

        g_mutex_lock(&self->lock);
        /* So may one of the warning that the picture could not be saved. */
        if (job->epoch != self->epoch) {
            g_mutex_unlock(&self->lock);
            return;
        }
        const VqaAlertFields fields = {
            .id = ++self->last_id,
            .name = a->rule->name,
            .label = a->rule->label,
            .probability = r->state.value,
            .threshold = a->rule->level,
            .since = r->state.since,
            .stream_time = vqa_job_time(job),
            .count = r->count,
            .withheld = r->state.n_withheld,
            .snapshot = snapshot,
            .lookback = lookback,
        };
        VqaAnswer *told = vqa_alert_new(&fields, answer);
        Watched *w = watched_for(self, a, r->track);
        miss(self, w);
        g_clear_pointer(&w->riding, vqa_answer_unref);
        w->riding = vqa_answer_ref(told);
        w->carried = FALSE;
        if (!g_ptr_array_find(self->alerts, a, NULL))
            miss(self, w); /* the rules are others since */
        self->counters.alerts++;
        g_mutex_unlock(&self->lock);
        vqa_tell_alert(self, told);
        vqa_answer_unref(told);
    }
}

GPtrArray *
vqa_alerts_collect(GstFusionVqa *self, GstClockTime time)
{
    GPtrArray *active = NULL;
    for (guint i = 0; i < self->alerts->len; i++) {
        const VqaAlert *a = g_ptr_array_index(self->alerts, i);
        GHashTableIter iter;
        Watched *w;
        g_hash_table_iter_init(&iter, a->watched);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &w)) {
            if (!w->riding)
                continue;
            if (!vqa_alert_state_is_active(&w->state, a->rule, time, w->period)) {
                miss(self, w);
                continue;
            }
            w->carried = TRUE;
            if (!active)
                active = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
            g_ptr_array_add(active, vqa_answer_ref(w->riding));
        }
    }
    return active;
}

GPtrArray *
vqa_alerts_take_missed(GstFusionVqa *self, gboolean all)
{
    if (all)
        miss_all(self);
    return vqa_missed_take(&self->missed_alerts);
}
