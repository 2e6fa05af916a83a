/* warmpack retarget: makes code for other CPUs load, and tells what of it does. */

#include "json_document.h"
#include "message.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

static void print_json(const struct args *a, const struct wp_retarget_result *r)
{
    document_begin();
    document_member("dry_run", json_boolean(a->dry_run));
    document_member("retarget", document_retarget(r));
    document_end();
}

static void print_summary(const struct args *a, const struct wp_retarget_result *r)
{
    struct show_line line;

    show_begin(&line);
    show_add(&line, "%zu of %zu cache indexes %s", r->changed, r->indexes,
             a->dry_run ? "would be changed"
             : a->undo  ? "put back"
                        : "changed");
    if (!a->undo)
        show_add_retarget(&line, r);
    show_end(&line);
}

int retarget_run(const struct wp_context *context, const struct args *a)
{
    struct wp_retarget_options o = {
        .dir = a->operands[0].text,
        .who = a->retarget,
        .undo = a->undo,
        .prune = a->prune,
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .runtime_roots = string_list_values(&a->runtime_roots),
        .dry_run = a->dry_run,
    };
    _cleanup_(wp_retarget_result_clear) struct wp_retarget_result result = {0};
    struct wp_error err = {0};
    int rc;

    signals_install();
    rc = message_outcome(wp_retarget(context, &o, &result, &err), &err);
    if (rc)
        return rc;
    if (result.left || result.elsewhere)
        message_raise(STATUS_LOST);
    if (a->json)
        print_json(a, &result);
    print_summary(a, &result);
    return message_status();
}
