#pragma once
/* Retargeting a tree for somebody who has asked already who will run the code. */

#include "retarget/retarget.h"
#include "warmpack.h"

/* wp_retarget, but for O->who and O->undo: WHO is NULL to undo. */
int restore_retarget_tree(const struct wp_context *context, const struct wp_retarget_options *o,
                          const struct retarget_who *who, struct wp_retarget_result *result,
                          struct wp_error *err);
