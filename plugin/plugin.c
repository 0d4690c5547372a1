/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/gst.h>

#include "gstfusionoverlay.h"
#include "gstfusionpublish.h"
#include "gstfusionvqa.h"

static gboolean
plugin_init(GstPlugin *plugin)
{
    gboolean ok = GST_ELEMENT_REGISTER(fusionvqa, plugin);
    ok = GST_ELEMENT_REGISTER(fusionpublish, plugin) && ok;
    return GST_ELEMENT_REGISTER(fusionoverlay, plugin) && ok;
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, fusion,
                  "Questions about video, answered by a FUSION model on a Vulkan device",
                  plugin_init, FUSION_VERSION, "LGPL", "gst-fusion",
                  "https://arxiv.org/abs/2504.09925")
