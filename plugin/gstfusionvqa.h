/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element fusionvqa. Its inside is shared by the gstfusionvqa.c and vqa*.c files only. */
#pragma once

#include <gst/video/video.h>

#include "alertrule.h"
#include "framechoice.h"
#include "frameimage.h"
#include "framememory.h"
#include "fusion.h"
#include "promptfile.h"
#include "rider.h"
#include "scene.h"
#include "snapshot.h"
#include "textpad.h"

G_BEGIN_DECLS

#define GST_TYPE_FUSION_VQA (gst_fusion_vqa_get_type())
G_DECLARE_FINAL_TYPE(GstFusionVqa, gst_fusion_vqa, GST, FUSION_VQA, GstElement)
GST_ELEMENT_REGISTER_DECLARE(fusionvqa)

typedef enum { VQA_MODE_AUTO, VQA_MODE_LIVE, VQA_MODE_WAIT } VqaMode;
typedef enum { VQA_REGIONS_FRAME, VQA_REGIONS_ZONE, VQA_REGIONS_DETECTIONS } VqaRegions;

/* The custom event that asks, from either side: fields question (string, as property prompt), and
 * if wanted stream (the element's name; else the first element that it meets) and tag (comes back
 * in the answer). */
#define VQA_ASK_EVENT "fusion-ask"

/* What a user sets; see vqaproperties.c. */
typedef struct {
    char *model, *device, *system_prompt, *prompt, *generation_config;
    char *alert, *alert_snapshot, *prompt_file, *zone_text;
    VqaRegions regions;
    double zone[4]; /* x, y, w, h as fractions; w 0: none that could be read */
    double scene_threshold, region_margin;
    GstClockTime region_interval;
    guint max_regions;
    guint context_turns;
    char **prompts, **choices; /* or NULL */
    fusion_precision precision;
    VqaMode mode;
    int fps_n, fps_d;
    GstClockTime latency, answer_timeout, alert_lookback;
    guint latent_tokens, vision_grid, max_context;
    gboolean partial_answers, attention_map;
} VqaConfig;

/* A frame that is asked about. Counted; its counters are under the element's lock. */
typedef struct {
    gatomicrefcount refs;
    GstBuffer *buffer; /* until the picture is made; where it cannot be read, a copy that can */
    char *unreadable;  /* why there is none, or NULL */
    GstVideoInfo info;
    guint64 seq;   /* number of the frame */
    guint64 epoch; /* of the element when it was chosen: a flush makes what is older void */
    GstClockTime pts, duration, running_time, stream_time;
    char *utc;
    double region[4];   /* that is shown to the model: x, y, w, h as fractions of the frame */
    GArray *detections; /* VqaDetection, or NULL: not asked about */
    GPtrArray
        *questions; /* VqaQuestion; standing ones are asked of each detection, if there are some */
    guint open;     /* questions without their last answer */
    GBytes *pixels; /* the picture, if alerts want to save it; the worker's alone */
    GstVideoInfo picture; /* what it is */
    gboolean done;
} VqaJob;

/* Events of one kind, told at most once a second with the count since the start. */
typedef struct {
    guint64 count, told;
    gint64 last; /* monotonic time of the last message, 0: none yet */
} VqaReport;

typedef struct {
    guint64 frames, chosen, submitted, skipped, asked, answered, failed, cancelled, alerts,
        unchanged, cached;
    double load_ms, convert_ms, latency_ms, latency_max_ms; /* convert, latency: sums */
    guint64 converted;
    fusion_metrics last;
} VqaCounters;

/* The worker thread. Under the element's lock. */
typedef struct {
    GstFusionVqa *element;
    GThread *thread;
    gboolean stop;
    gboolean detached; /* stopped from the thread itself, in a handler: nobody joins it, and it
                        * frees this and the reference on the element that it was given */
} VqaWorker;

typedef struct _VqaAlert VqaAlert;

struct _GstFusionVqa {
    GstElement parent;
    GstPad *sink, *src;

    /* Everything below is under the lock unless it says otherwise. cond wakes the worker and a
     * waiting streaming thread. */
    GMutex lock;
    GCond cond;
    VqaConfig config;
    GPtrArray *questions; /* standing VqaQuestion, from prompt and prompts */
    guint left_out;       /* of them, as there are too many; and of how many a warning told */
    guint left_out_told;
    GPtrArray *asks; /* VqaQuestion of the action signal, for the next frame */
    guint64 last_id;
    GPtrArray *alerts;            /* VqaAlert */
    GPtrArray *missed_alerts;     /* VqaAnswer told that rode on no frame, till they are taken */
    char **file_questions;        /* lines of prompt-file, or NULL */
    GQueue asked_turns;           /* of questions asked once: they are one conversation */
    GMutex watch_lock;            /* taken without the lock */
    VqaPromptWatch *prompt_watch; /* under watch_lock */

    fusion_model *model; /* READY..PAUSED: set and cleared by the state change alone */
    fusion_session
        *session;       /* likewise; who is neither worker nor state change needs cancel_lock */
    GMutex cancel_lock; /* taken without the lock */
    char *model_name;   /* likewise */
    fusion_generation generation;
    gboolean have_generation;
    uint32_t watch;
    fusion_model_state state;
    double fraction;
    GError *model_error;
    gboolean model_news; /* state, fraction or error changed: for the worker to tell */
    int progress_told;   /* percent of the last PROGRESS message, -1: none */
    gint64 open_time;

    VqaWorker *worker;
    gboolean flushing, failed;
    GQueue results;  /* VqaResult, from the scheduler thread to the worker */
    VqaJob *pending; /* the newest chosen frame that waits for its turn */
    VqaJob *active;  /* the one whose answers are being made */
    guint64 epoch, seq;

    GstVideoInfo info; /* streaming thread writes with the lock */
    gboolean have_info;
    VqaFrameCopy *copy; /* the streaming thread's alone, or NULL */
    gboolean needs_copy;
    GstSegment segment;
    VqaFrameChoice choice;
    VqaRider rider;
    GPtrArray *newest; /* VqaAnswer, of the newest frame that was answered: for last-answer */
    guint64 newest_seq;
    gboolean mode_known, live_upstream, told_no_question;
    const GstPad *seek_pad; /* that the last seek came by, compared only; NULL: none */
    guint32 seek_seqnum;
    gboolean seek_ok;
    guint32 ask_seqnum; /* of the last event fusion-ask, and whether it was taken */
    gboolean ask_ok;
    GstClockTime position;        /* running time of the last frame */
    GstClockTime stream_position; /* stream time of it */

    VqaCounters counters;
    VqaReport report_failed, report_skipped, report_late;
    char *failure;              /* text of the last failure */
    GstClockTime late_by;       /* longest hold since the last message */
    GstClockTime skipped_at[4]; /* of the last one: running time, stream time, pts, duration */

    VqaFrameImage image; /* the worker's alone */
    struct {
        fusion_frame *frame; /* what the cells are of, or NULL */
        VqaSceneCells cells;
        GstVideoRectangle crop;
        guint64 epoch;
        guint64 number;   /* grows with every change */
    } scene;              /* likewise */
    VqaLookback lookback; /* likewise */
    guint64 lookback_epoch;
    VqaTextPad *text;
};

/* ---- gstfusionvqa.c */
/* The text pad if it was requested, else NULL; a reference for the caller. Without the lock. */
VqaTextPad *vqa_ref_text_pad(GstFusionVqa *self);

/* ---- vqaframes.c: frames on their way through */
/* The chain function of the sink pad. */
GstFlowReturn vqa_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer);
/* At the end: sends on, as events, answers and alerts that rode on no frame or still wait for one.
 * Whoever publishes wants each of them. Streaming thread, without the lock. */
void vqa_send_all_missed(GstFusionVqa *self);
/* Whether a frame that is asked about is held until its answers are there. With the lock. */
gboolean vqa_waits(const GstFusionVqa *self, gboolean live_upstream);

/* ---- vqaevents.c: events and queries */
/* Sets what answers the events and queries that come to a pad of this kind. */
void vqa_serve_sink(GstPad *pad);
void vqa_serve_src(GstPad *pad);
void vqa_serve_text(GstPad *pad);
/* Makes void what was asked, and ends it in the model. Without the lock. */
void vqa_cancel_asked(GstFusionVqa *self);
/* Flushing, no frame is asked about, and one that waits for answers does so no more. Without the
 * lock. */
void vqa_set_flushing(GstFusionVqa *self, gboolean flushing);

/* ---- vqaproperties.c */
void vqa_install_properties(GObjectClass *klass);
void vqa_config_init(VqaConfig *config);
void vqa_config_clear(VqaConfig *config);
GstStructure *vqa_stats(GstFusionVqa *self);

/* ---- vqaquestions.c */
/* Makes the standing questions from the config. With the lock. */
void vqa_rebuild_questions(GstFusionVqa *self);
/* A warning, once, if there are more than are asked. Without the lock. */
void vqa_warn_of_left_out(GstFusionVqa *self);
/* How far apart the frames are that a question is asked about; NULL: one without a rate of its own.
 * 0: it is asked about every frame. With the lock. */
GstClockTime vqa_question_period(const GstFusionVqa *self, const VqaQuestion *question);

/* ---- vqapromptfile.c */
/* Reads prompt-file if it is set, and with `watch` goes on doing so; a warning if it cannot be
 * read. Without the lock. */
void vqa_read_prompt_file(GstFusionVqa *self, gboolean watch);
void vqa_unwatch_prompt_file(GstFusionVqa *self);

/* ---- vqamodel.c: the model's life */
/* Opens the model, checks every property against it, starts the worker. Posts the element error. */
gboolean vqa_open(GstFusionVqa *self);
void vqa_close(GstFusionVqa *self);
/* Reads generation-config over the model's defaults, if the model is open; without the lock. */
gboolean vqa_read_generation(GstFusionVqa *self, GError **error);
/* Tells the state of loading on the bus. On the worker, without the lock. */
void vqa_tell_model(GstFusionVqa *self, fusion_model_state state, double fraction,
                    const GError *error);

/* ---- vqaworker.c: questions on their way */
gpointer vqa_worker(gpointer worker);
/* After the worker and the session ended: drops what is left. */
void vqa_drop_results(GstFusionVqa *self);
/* ---- vqajob.c: frames that are asked about */
/* A job about the buffer (referenced) with the present epoch and no questions yet. With the lock.
 */
VqaJob *vqa_job_new(GstFusionVqa *self, GstBuffer *buffer);
VqaJob *vqa_job_ref(VqaJob *job);
void vqa_job_unref(VqaJob *job);
/* The pending frame, if there is one, will not be asked about and counts as skipped; what was asked
 * with `ask` waits for the next one. With the lock. */
void vqa_skip_pending(GstFusionVqa *self);
/* Makes everything asked so far void: flush, new stream, stop. With the lock; the caller then calls
 * fusion_session_cancel without it. */
void vqa_forget_asked(GstFusionVqa *self);

/* ---- vqaask.c: questions that are asked once */
/* Fails what `ask` asked when no frame will come any more. Without the lock. */
void vqa_fail_asks(GstFusionVqa *self, const char *why);
guint64 vqa_ask(GstFusionVqa *self, const char *text);
/* TRUE for an event fusion-ask that is meant for this element. */
gboolean vqa_is_ask(GstFusionVqa *self, GstEvent *event);
/* Asks what such an event (taken) asks; FALSE if it was refused. */
gboolean vqa_take_ask(GstFusionVqa *self, GstEvent *event);

/* Stream time of the asked frame, running time where there is none. */
GstClockTime vqa_job_time(const VqaJob *job);

/* ---- vqaalerts.c: rules on answers */
/* Array of VqaAlert, or NULL and an error that names the rule. */
GPtrArray *vqa_alerts_parse(const char *text, GError **error);
void vqa_alert_unref(VqaAlert *alert);
/* Adds the questions of rules that no question of the list asks already. With the lock. */
void vqa_alerts_add_questions(GstFusionVqa *self, GPtrArray *list);
/* A flush, a new stream: what was is forgotten. With the lock. */
void vqa_alerts_reset(GstFusionVqa *self);
/* Takes the answer to a standing question; the alerts that it raises, or NULL. With the lock. */
GPtrArray *vqa_alerts_update(GstFusionVqa *self, const VqaJob *job, const VqaQuestion *question,
                             const VqaDetection *detection, const fusion_answer *answer,
                             GstClockTime latency);
/* Saves pictures, tells on the bus, and lets the alerts ride. On the worker, without the lock. */
void vqa_alerts_raise(GstFusionVqa *self, GPtrArray *raised, VqaJob *job,
                      const VqaAnswerFields *answer);
/* The alerts (VqaAnswer) that a frame at this stream time carries, or NULL. With the lock. */
GPtrArray *vqa_alerts_collect(GstFusionVqa *self, GstClockTime time);
/* As vqa_rider_take_missed: alerts that were over, or forgotten, before a frame came. With the
 * lock. */
GPtrArray *vqa_alerts_take_missed(GstFusionVqa *self, gboolean all);

/* ---- vqasnapshot.c: pictures for alerts, on the worker, without the lock */
/* TRUE if rules and properties could want one. */
gboolean vqa_wants_picture(GstFusionVqa *self);
/* Keeps what alerts may want of the job's picture. Takes the pixels. */
void vqa_keep_picture(GstFusionVqa *self, VqaJob *job, GBytes *pixels, const GstVideoInfo *info);
/* Writes the files that the properties ask for; sets the paths of those that were written. */
void vqa_save_snapshot(GstFusionVqa *self, VqaJob *job, const char *alert, const char *stream,
                       char **snapshot, char **lookback);

/* ---- vqamessages.c: bus */
void vqa_report_failure(GstFusionVqa *self, const char *text); /* with the lock */
void vqa_report_skipped(GstFusionVqa *self, VqaJob *job);      /* with the lock */
void vqa_report_late(GstFusionVqa *self, GstClockTime held);   /* with the lock */
/* Posts what is due, on the worker, with the lock. TRUE: something was posted, and the lock was
 * dropped meanwhile. FALSE: *next is the monotonic time at which something will be due, or 0. */
gboolean vqa_tell_reports(GstFusionVqa *self, gint64 *next);
/* Element message fusion-error, if this was asked once: who asked waits for it. Without the lock.
 */
void vqa_tell_no_answer(GstFusionVqa *self, const VqaQuestion *question, const char *why);
/* Bus message and signal of an answer; without the lock. */
void vqa_tell_answer(GstFusionVqa *self, VqaAnswer *answer, GstClockTime age);
/* Bus message of an alert; without the lock. */
void vqa_tell_alert(GstFusionVqa *self, VqaAnswer *alert);
extern guint vqa_signal_answer;

G_END_DECLS
