#pragma once
/* The operands of the verbs that read an archive. */

#include "args.h"
#include "string_list.h"

struct operands {
    char *dir; /* of all -C, each relative to the one before; NULL: none; owned */
    struct string_list patterns;
};

/* Says what is wrong; returns 0 or the exit status. */
int operands_read(const struct args *a, struct operands *out);
void operands_clear(struct operands *o);

/* Opening the archive would wait for the keyboard: says so; returns 0 or the exit status. */
int operands_check_terminal(const struct args *a);
