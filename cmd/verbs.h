#pragma once
/* One function for each verb, each in its own file. They print, and return the exit status. */

#include "args.h"

typedef int verb_run(const struct wp_context *context, const struct args *a);

verb_run create_run, extract_run, list_run, amend_run, restore_run, seal_run, merge_run;
verb_run retarget_run, verify_run, inspect_run, diff_run, explain_run, warm_run, env_run, path_run;
