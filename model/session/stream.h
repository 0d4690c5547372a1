/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.h: tokens to the text so far, which ends before a stop string. */
#pragma once

#include "fmt_tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct text_stream text_stream;

text_stream *text_stream_new(fmt_tokenizer *tok, char **stop_strings);
void text_stream_free(text_stream *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(text_stream, text_stream_free)

/* Appends a token; TRUE if a stop string is complete now. */
bool text_stream_push(text_stream *s, uint32_t token);
/* No more tokens. TRUE if what was held back completes a stop string. */
bool text_stream_finish(text_stream *s);
/* Text that is sure to be in the answer: without half characters and without what may become a stop
 * string; all of it after the end. Stripped of white space around it. g_free. */
char *text_stream_text(const text_stream *s);
/* How many of the pushed tokens have a part in the text: those behind a stop string have none. */
uint32_t text_stream_tokens(const text_stream *s);
