/* warmpack inspect: prints what is in cache indexes. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json_document.h"
#include "matrix.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

/* "  numba     0.56.4" */
static void print_member(const char *name, const char *value)
{
    printf("  %-9s %s\n", name, value ? show_name(value) : "-");
}

/* "2026-11-22 09:23:16.456441401": the date of a stamp, in UTC, as is the number before it. */
static void print_date(double mtime)
{
    double whole = floor(mtime);
    time_t seconds = (time_t)whole;
    struct tm tm;
    char text[64];

    if (fabs(mtime) > 1e11 || !gmtime_r(&seconds, &tm) ||
        !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
        return;
    printf(" (%s.%09.0f UTC)", text, floor((mtime - whole) * 1e9));
}

static void print_stamp(const struct wp_stamp *stamp)
{
    char number[WP_NUMBER_SIZE], hex[TEXT_SHA256];

    fputs("  stamp     ", stdout);
    switch (stamp->kind) {
    case WP_STAMP_MTIME:
    case WP_STAMP_SECONDS:
        wp_float_text(stamp->mtime, number);
        printf("%s %s", wp_stamp_kind_name(stamp->kind), number);
        print_date(stamp->mtime);
        printf(", %llu bytes", (unsigned long long)stamp->size);
        break;
    case WP_STAMP_CONTENT:
        text_sha256(stamp->sha256, hex);
        printf("content %s", hex);
        break;
    case WP_STAMP_NONE:
        fputs("none: it has no source file", stdout);
        break;
    default:
        fputs("of a kind that is not known", stdout);
    }
    putchar('\n');
}

/* The list whole, or what it says beyond the name. */
static void print_cpu(const struct wp_overload *o, bool whole)
{
    _cleanup_free_ char *beside = NULL;
    bool known = false;

    printf("    cpu     %s %s\n", show_name(o->triple), show_name(o->cpu));
    if (whole) {
        printf("    feature %s\n", *o->features ? show_name(o->features) : "(none)");
        return;
    }
    beside = wp_features_beside(o->cpu, o->features, &known);
    if (!beside)
        message_no_memory();
    if (beside && *beside)
        printf("    %s %s\n", known ? "besides" : "feature", show_name(beside));
}

static void print_digest(const char *text, bool whole)
{
    if (!text)
        putchar('-');
    else if (whole || strlen(text) <= 12)
        fputs(show_name(text), stdout);
    else
        printf("%.12s", text);
}

static void print_part(const char *what, const char *text)
{
    if (text)
        printf("    %s%s\n", what, show_name(text));
}

static void print_overload(const struct wp_overload *o, bool whole)
{
    char size[SHOW_SIZE];

    printf("  overload  %s\n", show_signature(o));
    if (o->cpu)
        print_cpu(o, whole);
    print_part("for     ", o->target);
    print_part("version ", o->version);
    print_part("launch  ", o->launch);
    print_part("other   ", o->other);
    print_part("module  ", o->module);
    fputs("    code    ", stdout);
    print_digest(o->code, whole);
    fputs(o->closure ? ", closure " : ", no closure", stdout);
    if (o->closure)
        print_digest(o->cells, whole);
    if (o->has_size)
        show_size(size, o->size);
    printf("\n    data    %s, %s\n", show_name(o->data), o->has_size ? size : "gone");
}

/* Of several CPUs: what there is for which, and one by one only where WHOLE. */
static void print_index(const struct wp_index_status *s, bool whole)
{
    struct matrix matrix;
    int by_cpu;

    puts(show_name(s->index));
    if (s->status != WP_VALID) {
        print_member(wp_status_name(s->status), s->reason);
        return;
    }
    if (s->source)
        print_member("source", s->source);
    print_member("numba", s->numba);
    print_member("python", s->python);
    print_stamp(&s->stamp);
    by_cpu = matrix_make(&matrix, s);
    if (by_cpu < 0)
        message_no_memory();
    if (by_cpu > 0)
        matrix_print(&matrix, whole);
    matrix_clear(&matrix);
    for (size_t i = 0; i < s->overload_count; i++)
        if (by_cpu <= 0 || whole || !s->overloads[i].cpu)
            print_overload(&s->overloads[i], whole);
}

enum { COUNT_SIZE = 64 };

/* ", 3 of them corrupt", or nothing. */
static void count_status(char out[COUNT_SIZE], const struct wp_verify_report *r,
                         enum wp_status status)
{
    out[0] = '\0';
    if (r->by_status[status])
        snprintf(out, COUNT_SIZE, ", %zu of them %s", r->by_status[status], wp_status_name(status));
}

static void print_report(const struct args *a, const struct wp_verify_report *r)
{
    char corrupt[COUNT_SIZE], unreadable[COUNT_SIZE];
    size_t overloads = 0;

    if (a->json) {
        document_begin();
        document_inspect(r);
        document_end();
    }
    for (size_t i = 0; i < r->count; i++) {
        overloads += r->indexes[i].overload_count;
        if (a->json)
            continue;
        if (i)
            putchar('\n');
        print_index(&r->indexes[i], a->verbose);
    }
    for (size_t i = 0; i < r->note_count && !a->json; i++) {
        printf("%s%s  %s  %s\n", i ? "" : "\n", wp_note_name(r->notes[i].kind),
               show_name(r->notes[i].path), r->notes[i].text);
    }
    show_flush();
    count_status(corrupt, r, WP_CORRUPT);
    count_status(unreadable, r, WP_UNREADABLE);
    message_summary("%zu cache %s%s%s; %zu %s", r->count, show_plural(r->count, "index", "indexes"),
                    corrupt, unreadable, overloads,
                    show_plural(overloads, "overload", "overloads"));
}

static int look(const struct wp_context *context, const struct args *a,
                struct wp_verify_report *report, struct wp_error *err)
{
    _cleanup_archive_ struct wp_archive *archive = NULL;
    int rc;

    if (!a->archive)
        return wp_inspect_path(context, a->operands[0].text, report, err);
    rc = wp_archive_open(context, a->archive, &archive, err);
    return rc < 0 ? rc : wp_inspect_archive(archive, report, err);
}

int inspect_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(wp_verify_report_clear) struct wp_verify_report report = {0};
    struct wp_error err = {0};
    int rc = operands_check_terminal(a);

    if (rc)
        return rc;
    signals_install();
    rc = message_outcome(look(context, a, &report, &err), &err);
    if (rc)
        return rc;
    print_report(a, &report);
    if (report.by_status[WP_CORRUPT] + report.by_status[WP_UNREADABLE])
        message_raise(STATUS_LOST);
    return message_status();
}
