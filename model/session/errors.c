/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

G_DEFINE_QUARK(fusion - error - quark, fusion_error)

fusion_error
error_code_of(const GError *lower)
{
    if (lower->domain == FUSION_ERROR)
        return (fusion_error) lower->code;
    if (g_error_matches(lower, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return FUSION_ERROR_CANCELLED;
    switch (net_classify_error(lower)) {
    case NET_CLASS_NO_DEVICE:
        return FUSION_ERROR_DEVICE;
    case NET_CLASS_OUT_OF_MEMORY:
        return FUSION_ERROR_MEMORY;
    case NET_CLASS_DEVICE_LOST:
        return FUSION_ERROR_DEVICE_LOST;
    case NET_CLASS_OTHER:
        break;
    }
    if (lower->domain == NET_ERROR) {
        switch ((net_error) lower->code) {
        case NET_ERROR_CONFIG:
        case NET_ERROR_WEIGHTS:
        case NET_ERROR_UNSUPPORTED:
            return FUSION_ERROR_MODEL;
        case NET_ERROR_TOO_LONG:
            return FUSION_ERROR_TOO_LONG;
        case NET_ERROR_ARGUMENT:
            return FUSION_ERROR_ARGUMENT;
        }
    }
    if (lower->domain == FMT_ERROR)
        return FUSION_ERROR_MODEL;
    return FUSION_ERROR_FAILED;
}

GError *
error_for(const core *c, GError *lower)
{
    GError *error = NULL;
    bool memory = net_classify_error(lower) == NET_CLASS_OUT_OF_MEMORY;
    bool smaller = c->precision < NET_Q4 && c->device.f16;
    error_take(&error, lower, memory ? c->folder : NULL);
    if (memory) {
        /* it fitted when the model was opened: others have it now */
        char *text = g_strdup_printf(
            "%s: free memory that others hold on %s, or open the model with a smaller "
            "max-context%s",
            error->message, c->device.name, smaller ? " or precision=q4" : "");
        g_free(error->message);
        error->message = text;
    }
    return error;
}

bool
error_take(GError **error, GError *lower, const char *prefix)
{
    if (prefix)
        g_set_error(error, FUSION_ERROR, error_code_of(lower), "%s: %s", prefix, lower->message);
    else
        g_set_error_literal(error, FUSION_ERROR, error_code_of(lower), lower->message);
    g_error_free(lower);
    return false;
}
