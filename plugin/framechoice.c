/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "framechoice.h"

void
vqa_frame_choice_reset(VqaFrameChoice *choice)
{
    choice->origin = GST_CLOCK_TIME_NONE;
    choice->slot = 0;
}

gboolean
vqa_frame_choice_take(VqaFrameChoice *choice, GstClockTime running_time, int fps_n, int fps_d)
{
    if (fps_n == 0 || !GST_CLOCK_TIME_IS_VALID(running_time))
        return TRUE;
    if (!GST_CLOCK_TIME_IS_VALID(choice->origin) || running_time < choice->origin) {
        choice->origin = running_time;
        choice->slot = 0;
        return TRUE;
    }
    /* Slots are counted from the origin, so that 30000/1001 does not drift. */
    GstClockTime since = running_time - choice->origin + GST_MSECOND;
    guint64 slot = gst_util_uint64_scale(since, fps_n, (guint64) fps_d * GST_SECOND);
    /* Back by more than a period: the time stamps began again without a flush. */
    if (slot + 1 < choice->slot) {
        choice->origin = running_time;
        choice->slot = 0;
        return TRUE;
    }
    if (slot <= choice->slot)
        return FALSE;
    choice->slot = slot;
    return TRUE;
}

GstClockTime
vqa_frame_choice_next(const VqaFrameChoice *choice, int fps_n, int fps_d)
{
    if (fps_n == 0 || !GST_CLOCK_TIME_IS_VALID(choice->origin))
        return GST_CLOCK_TIME_NONE;
    return choice->origin +
           gst_util_uint64_scale(choice->slot + 1, (guint64) fps_d * GST_SECOND, fps_n);
}
