#pragma once
/* What an index of several CPUs has for which: signatures by CPU. */

#include <jansson.h>
#include <stddef.h>

#include "warmpack.h"

/* The overloads that differ in nothing but their CPU are a row, those of one CPU a column. Code for
 * other targets is in none. Overloads are the index's. */
struct matrix {
    const struct wp_overload **cpus; /* one of each CPU; owned */
    const struct wp_overload **rows; /* one of each row; owned */
    size_t cpu_count, row_count;
    const struct wp_overload **cells; /* row by row, NULL: there is none; owned */
};

/* 1; 0: S is of one CPU, or none, and OUT is empty; -1: no memory. */
int matrix_make(struct matrix *out, const struct wp_index_status *s);
void matrix_clear(struct matrix *m);

/* On standard output. WHOLE: whole lists of features. */
void matrix_print(const struct matrix *m, bool whole);
/* As an object; NULL: no memory. */
json_t *matrix_object(const struct matrix *m);
