/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Under the leak sanitizer, keeps the Vulkan libraries loaded until the report is made: what they
 * leak then has a name that tests/lsan.supp can suppress, and what they hold on purpose is no leak.
 * test_gpu_start does it; other programs that open a device call it first in main. */
void test_keep_drivers(void);
