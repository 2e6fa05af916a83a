#pragma once
/* What to run or to set against each kind of trouble. */

#include "warmpack.h"

/* One line to standard error for each kind that R has; not with -q. */
void hints_print(const struct wp_verify_report *r);
