/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_FUSION_PUBLISH (gst_fusion_publish_get_type())
G_DECLARE_FINAL_TYPE(GstFusionPublish, gst_fusion_publish, GST, FUSION_PUBLISH, GstBaseTransform)
GST_ELEMENT_REGISTER_DECLARE(fusionpublish)

G_END_DECLS
