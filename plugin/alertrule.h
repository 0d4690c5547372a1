/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Alert rules in words, and when they fire. No clock in here: the caller gives the time, in
 * nanoseconds of whatever axis it likes (the element: stream time of the asked frame).
 *
 *     "Is somebody on the ground?": yes > 0.7 for 3s, cooldown 60s; 'Is the gate open?': yes < 30%
 *
 * rules: rule, rule after ";" or a line's end
 *
 * rule: question ":" label, then maybe a comparison (">", ">=", "<" or "<=" and a probability),
 * then clauses, with "," or without
 *
 * question: in "..." or '...', or bare up to the ":"; may have its choices, 'Gate? [open|shut]'
 *
 * label: a word, or in quotes: the choice that is looked at
 *
 * clause: "for" duration, "until" probability, "cooldown" duration, "gap" duration, "named" label
 *
 * duration: a number with ms, s, m, min or h; probability: 0.7 or 70%
 *
 * Without a comparison the rule asks that the label is the answer, however probable.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define VQA_ALERT_ERROR (vqa_alert_error_quark())
GQuark vqa_alert_error_quark(void);
typedef enum { VQA_ALERT_ERROR_SYNTAX } VqaAlertError;

#define VQA_ALERT_NO_TIME G_MAXUINT64

typedef enum { VQA_ALERT_IS, VQA_ALERT_ABOVE, VQA_ALERT_BELOW } VqaAlertKind;

typedef struct {
    char *name;     /* "QUESTION: LABEL" if not named */
    char *question; /* as written, with its choices if it has them */
    char *label;
    VqaAlertKind kind;
    gboolean inclusive; /* >= and <= */
    double level;       /* where it begins to hold */
    double until;       /* where it ends: below this (ABOVE), above this (BELOW) */
    guint64 hold, cooldown;
    guint64 gap; /* 0: VQA_ALERT_GAP, or three periods of asking if that is longer */
} VqaAlertRule;

#define VQA_ALERT_GAP (10 * G_GUINT64_CONSTANT(1000000000))

/* Array of VqaAlertRule* (free function set), empty for NULL or blanks; or NULL and an error that
 * says which rule, which character (from 1), what was expected and what is there. */
GPtrArray *vqa_alert_rules_parse(const char *text, GError **error);
void vqa_alert_rule_free(VqaAlertRule *rule);

typedef enum { VQA_ALERT_IDLE, VQA_ALERT_HOLDING, VQA_ALERT_ACTIVE } VqaAlertPhase;

/* Starts with vqa_alert_state_reset. */
typedef struct {
    VqaAlertPhase phase;
    guint64 since;  /* HOLDING, ACTIVE: time of the first answer over the level */
    guint64 last;   /* of the last answer, or NO_TIME */
    guint64 raised; /* of the last alert, or NO_TIME */
    double value;   /* the last one */
    guint64 n_raised, n_withheld;
    gboolean withheld; /* this time already counted in n_withheld */
} VqaAlertState;

/* A flush, a seek, a new stream: all is forgotten but the counts, the cooldown too. */
void vqa_alert_state_reset(VqaAlertState *state);

typedef enum { VQA_ALERT_NOTHING, VQA_ALERT_RAISED, VQA_ALERT_CLEARED } VqaAlertOutcome;

/*
 * The answer for the time `time`: `value` is the label's probability (IS: 1 or 0); `period` is the
 * time between questions.
 *
 * RAISED: it has held for `hold` in answers without a gap, after having not held, and `cooldown`
 * passed since the last alert. If it holds longer than the cooldown lasts, it is raised when that
 * ends. CLEARED: the value has passed `until`; only then it can be raised again.
 *
 * - A value under the level while it is not yet raised begins the hold anew.
 * - Answers further apart than the gap do not belong together: the hold begins anew, and an alert
 * raised before has ended (without CLEARED; vqa_alert_state_is_active told so); the cooldown goes
 * on.
 * - Back by up to a second is jitter, and taken for the latest time known. Back by more is another
 * place in the stream: as a gap, and a cooldown that began later than `time` is over.
 * - A value that is no number is no answer. NO_TIME is the latest time known.
 */
VqaAlertOutcome vqa_alert_state_update(VqaAlertState *state, const VqaAlertRule *rule, guint64 time,
                                       double value, guint64 period);

/* TRUE if it is raised, not cleared, and the last answer is not further away than the gap. */
gboolean vqa_alert_state_is_active(const VqaAlertState *state, const VqaAlertRule *rule,
                                   guint64 time, guint64 period);

G_END_DECLS
