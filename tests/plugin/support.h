/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the elements share. */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "fake_fusion.h"

/* Initialises GLib's tests and GStreamer, and registers the elements. */
void support_init(int *argc, char ***argv);
/* Runs the tests; then GStreamer ends, which under GST_TRACERS=leaks fails if anything is left. */
int support_run(void);

/* A fusionvqa in a harness, with a bus. Property name and value pairs as for g_object_set, up to
 * NULL. */
typedef struct {
    GstHarness *h;
    GstElement *element;
    GstBus *bus;
    gboolean live;
} Vqa;
void vqa_start(Vqa *v, gboolean live, const char *caps, const char *first,
               ...) G_GNUC_NULL_TERMINATED;
/* Stops; fails if the model, a frame or a request is left. */
void vqa_end(Vqa *v);
#define SMALL "video/x-raw,format=RGBx,width=32,height=24,framerate=10/1"

/* A new stream of SMALL in the same element, without a flush; its running times begin at base. */
void begin_stream(Vqa *v, const char *id, GstClockTime base);
/* A flush, as of a seek, after which times begin at 0. */
void flush_stream(Vqa *v);
/* What is to be seen of the buffer's picture. */
void crop_to(GstBuffer *buffer, guint x, guint y, guint width, guint height);

/* A frame of one grey value at a time in ms. */
GstBuffer *frame_new(Vqa *v, guint value, guint ms);
/* Pushes it and gives what comes out. */
GstBuffer *frame_through(Vqa *v, guint value, guint ms);
/* Text of the i-th answer on the buffer, or NULL. */
const char *answer_on(GstBuffer *buffer, guint i);
const GstStructure *answer_structure_on(GstBuffer *buffer, guint i);
guint answers_on(GstBuffer *buffer);
/* "answer,answer,..." of the metadata, "" if none. Takes the buffer. */
char *answers_take(GstBuffer *buffer);
void assert_answers(GstBuffer *buffer /* taken */, const char *expected);
guint64 stat_of(GstElement *element, const char *name);
/* Waits, up to 5 s, until the counter has at least this value. */
void wait_stat(GstElement *element, const char *name, guint64 at_least);
/* What events told of that rode on no frame, since the last call: answers as they are, alerts as
 * "!name", separated by commas; " EOS" where that was among them. */
void assert_missed(Vqa *v, const char *expected);
/* Waits for a message of the type, up to 5 s; fails if none came. */
GstMessage *wait_message(GstBus *bus, GstMessageType type);
guint count_messages(GstBus *bus, GstMessageType type);
/* Runs a pipeline to its end; fails on an error message or after 20 s. */
void run_pipeline(const char *description);
