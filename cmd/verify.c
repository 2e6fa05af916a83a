/* warmpack verify: prints which indexes are valid, and mends what can be mended. */

#include <stdio.h>
#include <stdlib.h>

#include "hints.h"
#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

/* "stale  pkg/__pycache__/k.add-3.py311.nbi  reason" */
static void print_index(const struct wp_index_status *s, bool colour)
{
    bool highlight = colour && !wp_status_loads(s->status);

    printf("%s%s%s  %s%s%s\n", highlight ? "\033[31m" : "", wp_status_name(s->status),
           highlight ? "\033[0m" : "", show_name(s->index), s->reason ? "  " : "",
           s->reason ? s->reason : "");
}

/* "orphan  pkg/__pycache__/k.add-3.py311.2.nbc  reason" */
static void print_note(const struct wp_note *n)
{
    printf("%s  %s%s%s\n", wp_note_name(n->kind), n->path ? show_name(n->path) : "",
           n->path ? "  " : "", n->text);
}

/* "loads  python3  3 overloads compiled for x86-64-v2 (retargeted), which need cmov,cx16,..." */
static void print_build(const char *python, const struct wp_loaded_build *b)
{
    printf("loads  %s  %zu %s compiled for %s", show_name(python), b->overloads,
           show_plural(b->overloads, "overload", "overloads"), show_name(b->cpu));
    if (!b->retargeted)
        fputs(", for which it compiles", stdout);
    else if (b->needs)
        printf(" (retargeted), which need%s %s", b->overloads == 1 ? "s" : "",
               *b->needs ? b->needs : "nothing");
    putchar('\n');
}

static json_t *fix_object(const struct args *a, const struct wp_fix_result *f)
{
    json_t *o = json_object();

    json_object_set_new(o, "dry_run", json_boolean(a->dry_run));
    json_object_set_new(o, "times", document_count(f->times));
    json_object_set_new(o, "moved", document_count(f->moved));
    json_object_set_new(o, "removed", document_count(f->removed));
    return o;
}

static void print_report(const struct args *a, const struct wp_verify_report *r,
                         const struct wp_fix_result *fixed)
{
    struct show_line line;
    bool colour = message_colour(stdout);

    if (a->json) {
        document_begin();
        document_verify(r);
        if (a->python)
            document_loaded(r);
        if (a->fix)
            document_member("fix", fix_object(a, fixed));
        document_end();
    }
    for (size_t i = 0; i < r->count && !a->json; i++) {
        if (a->verbose || !wp_status_loads(r->indexes[i].status))
            print_index(r->indexes + i, colour);
    }
    for (size_t i = 0; i < r->note_count && !a->json; i++) {
        /* Closures are common, and most are found again. */
        if (a->verbose || r->notes[i].kind != WP_NOTE_CLOSURES)
            print_note(r->notes + i);
    }
    for (size_t i = 0; i < r->build_count && !a->json; i++)
        print_build(a->python, r->builds + i);
    show_flush();
    hints_print(r);
    show_begin(&line);
    show_add_verdict(&line, r);
    show_end(&line);
}

static int judge(const struct wp_context *context, const struct args *a,
                 const struct wp_verify_options *o, struct wp_verify_report *report,
                 struct wp_error *err)
{
    _cleanup_archive_ struct wp_archive *archive = NULL;
    int rc;

    if (!a->archive)
        return wp_verify_tree(context, a->operands[0].text, o, report, err);
    rc = wp_archive_open(context, a->archive, &archive, err);
    return rc < 0 ? rc : wp_verify_archive(archive, o, report, err);
}

int verify_run(const struct wp_context *context, const struct args *a)
{
    struct wp_verify_options o = {
        .manifest = a->manifest,
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .runtime_roots = string_list_values(&a->runtime_roots),
        .python = a->python,
        .cpu_name = a->python ? NULL : getenv("NUMBA_CPU_NAME"),
        .cpu_features = a->python ? NULL : getenv("NUMBA_CPU_FEATURES"),
        .keys = a->json,
        .trust = string_list_values(&a->trust),
    };
    _cleanup_(wp_verify_report_clear) struct wp_verify_report report = {0};
    struct wp_fix_result fixed = {0};
    struct wp_error err = {0};
    int rc = operands_check_terminal(a);

    if (rc)
        return rc;
    signals_install();
    rc = judge(context, a, &o, &report, &err);
    if (rc == 0 && a->fix)
        rc = wp_verify_fix(context, a->operands[0].text, &o, a->dry_run, &report, &fixed, &err);
    if (message_outcome(rc, &err))
        return message_status();
    print_report(a, &report, &fixed);
    wp_fix_result_clear(&fixed);
    if (wp_verify_report_loads(&report) < report.count)
        message_raise(STATUS_LOST);
    return message_status();
}
