#pragma once
/* What each option means, once the command line is taken apart. All say what is wrong, and return 0
 * or the exit status. */

#include "args.h"

/* TEXT is borrowed. */
int args_add_operand(struct args *a, int kind, const char *text);
/* The option CODE with its argument TEXT, borrowed; NULL: it has none. */
int args_take(struct args *a, int code, const char *text);
