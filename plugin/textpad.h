/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The captions pad `text`: text/x-raw, format=utf8. It has a queue and a task of its own, so that
 * the video never waits for whoever takes the captions, and sends a GAP for every stretch without a
 * new cue, so that whoever takes them never waits either.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define VQA_TYPE_TEXT_PAD (vqa_text_pad_get_type())
G_DECLARE_FINAL_TYPE(VqaTextPad, vqa_text_pad, VQA, TEXT_PAD, GstPad)

VqaTextPad *vqa_text_pad_new(GstPadTemplate *templ, const char *name);

/* A frame passes at pts for `duration`. text: what is current on it, NULL or "" if nothing. A cue
 * of `period` starts when the text changes, and again whenever the last one has ended and the text
 * is still current. Ignored before a SEGMENT. Does not
 * block. */
void vqa_text_pad_frame(VqaTextPad *pad, GstClockTime pts, GstClockTime duration, const char *text,
                        GstClockTime period);
/* FALSE: active, and the video's sticky events are still to be given to it. */
gboolean vqa_text_pad_has_begun(VqaTextPad *pad);
/* The video's STREAM_START, SEGMENT, SEGMENT_DONE, GAP and EOS, in their place between the frames;
 * others are ignored. Does not take the event. */
void vqa_text_pad_event(VqaTextPad *pad, GstEvent *event);
/* Gives it the sticky events of the video's pad, as events that come now. */
void vqa_text_pad_catch_up(VqaTextPad *pad, GstPad *sink);
void vqa_text_pad_flush_start(VqaTextPad *pad, GstEvent *event);
void vqa_text_pad_flush_stop(VqaTextPad *pad, GstEvent *event);

G_END_DECLS
