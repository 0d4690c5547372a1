/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keep_drivers.h"

#include <dlfcn.h>
#include <glib.h>

void
test_keep_drivers(void)
{
#ifdef __SANITIZE_ADDRESS__
    static const char *const names[] = {
        "libvulkan.so.1",
        "libvulkan_lvp.so",
        "libVkLayer_khronos_validation.so",
        "libVkLayer_MESA_device_select.so",
    };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        dlopen(names[i], RTLD_LAZY | RTLD_NODELETE); /* not installed: nothing to keep */
#endif
}
