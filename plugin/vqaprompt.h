/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said to the model: placeholders filled in, and the turns of a conversation before. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* {time}: the frame's time of day, from its UTC as in answers; {stream}; {answer}: the last answer,
 * "none" if there is none. Anything else in braces stays. */
char *vqa_prompt_expand(const char *text, const char *utc, const char *stream, const char *answer);

/* Appends a question and its answer to the queue of strings, and drops what is older than `most`
 * turns. */
void vqa_turns_add(GQueue *turns, const char *question, const char *answer, guint most);
/* Forgets the oldest question and its answer, if there are any. */
void vqa_turns_drop_oldest(GQueue *turns);
/* The last `most` turns, oldest first, NULL-terminated; *n their number. */
char **vqa_turns_copy(const GQueue *turns, guint most, guint *n);

G_END_DECLS
