/* Shows an index of several CPUs as a matrix: signatures by CPU. */

#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_document.h"
#include "show.h"
#include "text.h"

enum {
    LONGEST_ROW = 48,     /* characters of a signature before its cells go to the next line */
    MOST_OVERLOADS = 4096 /* more is none of Numba's */
};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_cpu(const struct wp_overload *a, const struct wp_overload *b)
{
    return same_text(a->triple, b->triple) && same_text(a->cpu, b->cpu) &&
           same_text(a->features, b->features);
}

static bool same_row(const struct wp_overload *a, const struct wp_overload *b)
{
    return same_text(a->signature, b->signature) && same_text(a->code, b->code) &&
           same_text(a->cells, b->cells) && same_text(a->other, b->other);
}

/* The number of the first of COUNT items of LIST that is the SAME as O; COUNT: none. */
static size_t find(const struct wp_overload **list, size_t count, const struct wp_overload *o,
                   bool (*same)(const struct wp_overload *, const struct wp_overload *))
{
    size_t i = 0;

    while (i < count && !same(list[i], o))
        i++;
    return i;
}

static void list_all(struct matrix *m, const struct wp_index_status *s)
{
    for (size_t i = 0; i < s->overload_count; i++) {
        const struct wp_overload *o = &s->overloads[i];

        if (!o->cpu)
            continue;
        if (find(m->cpus, m->cpu_count, o, same_cpu) == m->cpu_count)
            m->cpus[m->cpu_count++] = o;
        if (find(m->rows, m->row_count, o, same_row) == m->row_count)
            m->rows[m->row_count++] = o;
    }
}

int matrix_make(struct matrix *out, const struct wp_index_status *s)
{
    if (s->overload_count > MOST_OVERLOADS) {
        *out = (struct matrix){0};
        return 0;
    }
    *out = (struct matrix){.cpus = calloc(s->overload_count + 1, sizeof *out->cpus),
                           .rows = calloc(s->overload_count + 1, sizeof *out->rows)};
    if (out->cpus && out->rows)
        list_all(out, s);
    out->cells = calloc(out->cpu_count * out->row_count + 1, sizeof *out->cells);
    if (!out->cpus || !out->rows || !out->cells || out->cpu_count < 2) {
        int r = out->cpus && out->rows && out->cells ? 0 : -1;

        matrix_clear(out);
        return r;
    }
    for (size_t i = 0; i < s->overload_count; i++) {
        const struct wp_overload *o = &s->overloads[i];

        if (o->cpu)
            out->cells[find(out->rows, out->row_count, o, same_row) * out->cpu_count +
                       find(out->cpus, out->cpu_count, o, same_cpu)] = o;
    }
    return 1;
}

void matrix_clear(struct matrix *m)
{
    free(m->cpus);
    free(m->rows);
    free(m->cells);
    *m = (struct matrix){0};
}

/* ---- On the terminal --------------------------------------------------------------------- */

static void print_cpu(const struct wp_overload *o, size_t number, bool whole)
{
    _cleanup_free_ char *beside = NULL;
    bool known = false;

    beside = whole ? strdup(o->features) : wp_features_beside(o->cpu, o->features, &known);
    printf("  cpu %-5zu %s %s%s%s\n", number, show_name(o->triple), show_name(o->cpu),
           beside && *beside ? " " : "", show_name(beside ? beside : ""));
}

static void print_cells(const struct matrix *m, size_t row)
{
    for (size_t i = 0; i < m->cpu_count; i++) {
        const struct wp_overload *o = m->cells[row * m->cpu_count + i];
        char size[SHOW_SIZE] = "-";

        if (o && o->has_size)
            show_size(size, o->size);
        printf(" %11s", o && !o->has_size ? "gone" : size);
    }
    putchar('\n');
}

void matrix_print(const struct matrix *m, bool whole)
{
    for (size_t i = 0; i < m->cpu_count; i++)
        print_cpu(m->cpus[i], i + 1, whole);
    printf("  %-*s", LONGEST_ROW, "overload for cpu");
    for (size_t i = 0; i < m->cpu_count; i++)
        printf(" %11zu", i + 1);
    putchar('\n');
    for (size_t i = 0; i < m->row_count; i++) {
        const char *label = show_signature(m->rows[i]);

        if (strlen(label) > LONGEST_ROW) {
            printf("  %s\n", label);
            label = "";
        }
        printf("  %-*s", LONGEST_ROW, label);
        print_cells(m, i);
    }
}

/* ---- As JSON ----------------------------------------------------------------------------- */

/* For each CPU the data file, null where there is none. */
static json_t *row_object(const struct matrix *m, size_t row)
{
    json_t *object = json_object(), *data = json_array();

    document_set_name(object, "signature", m->rows[row]->signature);
    for (size_t i = 0; i < m->cpu_count; i++) {
        const struct wp_overload *o = m->cells[row * m->cpu_count + i];
        json_t *cell = json_object();

        document_set_name(cell, "data", o ? o->data : NULL);
        json_array_append_new(data, cell);
    }
    json_object_set_new(object, "cells", data);
    return object;
}

json_t *matrix_object(const struct matrix *m)
{
    json_t *object = json_object(), *cpus = json_array(), *rows = json_array();

    for (size_t i = 0; i < m->cpu_count; i++) {
        json_t *cpu = json_object();

        document_set_cpu(cpu, m->cpus[i]->triple, m->cpus[i]->cpu, m->cpus[i]->features);
        json_array_append_new(cpus, cpu);
    }
    for (size_t i = 0; i < m->row_count; i++)
        json_array_append_new(rows, row_object(m, i));
    json_object_set_new(object, "cpus", cpus);
    json_object_set_new(object, "signatures", rows);
    return object;
}
