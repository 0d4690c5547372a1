/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Under the leak sanitizer, keeps the Vulkan libraries loaded until the report is made: what they
 * leak then has a name that tests/lsan.supp can suppress, and what they hold on purpose is no leak.
 */
#include <dlfcn.h>
#include <glib.h>

#ifdef __SANITIZE_ADDRESS__
__attribute__((constructor)) static void
keep_drivers(void)
{
    static const char *const names[] = {
        "libvulkan.so.1",
        "libvulkan_lvp.so",
        "libVkLayer_khronos_validation.so",
        "libVkLayer_MESA_device_select.so",
    };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        dlopen(names[i], RTLD_LAZY | RTLD_NODELETE); /* not installed: nothing to keep */
}
#endif
