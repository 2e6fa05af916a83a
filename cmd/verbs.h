#pragma once
/* One function a verb, one file each. They print, and return the exit status. */

#include "args.h"

int create_run(const struct args *a);
int extract_run(const struct args *a);
int list_run(const struct args *a);
int amend_run(const struct args *a);
int restore_run(const struct args *a);
int verify_run(const struct args *a);
int inspect_run(const struct args *a);
int env_run(const struct args *a);
int path_run(const struct args *a);
