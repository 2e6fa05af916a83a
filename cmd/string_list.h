#pragma once
/* Lists of names from the command line and from files. */

#include <stddef.h>

struct string_list {
    char **v; /* owned, the strings too; NULL-ended where not NULL */
    size_t count;
    size_t room;
};

int string_list_add(struct string_list *n, const char *name); /* a copy; 0 or -ENOMEM */
void string_list_clear(struct string_list *n);

/* For the library: NULL where the list is empty. */
const char *const *string_list_values(const struct string_list *n);

enum string_list_kind {
    LIST_LINES,    /* -T: one per line; empty lines are skipped */
    LIST_NUL,      /* -T with --null */
    LIST_PATTERNS, /* -X: one per line, without white space at its end */
};

/* Adds the names that FILE ("-": stdin) holds. Says why it failed; returns 0 or the exit
 * status. */
int string_list_read(struct string_list *n, const char *file, enum string_list_kind kind);
