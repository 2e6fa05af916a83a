#pragma once
/* Confines this process, by Landlock, to what the job on hand is for. */

#include <stddef.h>

/* A confine of struct wp_context: from now on this thread, and those that it starts, can make,
 * change and remove files only beneath DIRS (one that does not exist: beneath the directory that it
 * will be made in), can start no program, open no device's controls, and, but for root, who looks
 * up names, reach no network. Reading stays as it is. Where the kernel does not have what that
 * takes, nothing happens. */
void confine_to(void *user_data, const char *const *dirs, size_t count);
