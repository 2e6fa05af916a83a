/* warmpack restore: repairs a tree, and tells what was done. */

#include "confine.h"
#include "json_document.h"
#include "message.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

static void print_json(const struct args *a, const struct wp_restore_result *r)
{
    document_begin();
    document_member("dry_run", json_boolean(a->dry_run));
    document_member("manifests", document_count(r->manifests));
    document_member("damaged", document_count(r->damaged));
    document_member("files", document_count(r->files));
    document_member("missing", document_count(r->missing));
    document_member("changed", document_count(r->changed));
    document_member("extra", document_count(r->extra));
    document_member("sources", document_count(r->sources));
    document_member("matched", document_count(r->matched));
    document_member("times", document_count(r->times));
    document_member("modes", document_count(r->modes));
    document_member("links", document_count(r->links));
    document_member("relocated", document_count(r->relocated));
    document_member("restamped", document_count(r->restamped));
    document_member("pycs", document_count(r->pycs));
    document_member("layout", json_string(wp_layout_name(r->layout)));
    document_name("cache_dir", r->cache_dir);
    document_member("set_cache_dir", json_boolean(r->set_cache_dir));
    document_member("renamed", document_count(r->renamed));
    document_member("was_valid", document_count(r->was_valid));
    document_member("lost", document_count(r->lost));
    document_member("left_out", document_count(r->left_out));
    if (r->retarget.cpu)
        document_member("retarget", document_retarget(&r->retarget));
    document_verify(&r->verify);
    document_end();
}

static void print_summary(const struct args *a, const struct wp_restore_result *r)
{
    const char *set = a->dry_run ? "to set" : "set";
    const char *restamped = a->dry_run ? "to restamp" : "restamped";
    struct show_line line;

    show_begin(&line);
    show_add(&line, "%zu of %zu sources are the same", r->matched, r->sources);
    show_add_count(&line, r->missing, "file", "files", "missing");
    show_add_count(&line, r->changed, "file", "files", "changed");
    show_add_count(&line, r->extra, "file", "files", "not packed");
    show_add_count(&line, r->times, "time", "times", set);
    show_add_count(&line, r->modes, "mode", "modes", set);
    show_add_count(&line, r->links, "link", "links", a->dry_run ? "to make" : "made");
    show_add_count(&line, r->relocated, "file", "files",
                   a->dry_run ? "to rewrite for their new place" : "rewritten for their new place");
    show_add_count(&line, r->restamped, "index", "indexes", restamped);
    show_add_count(&line, r->pycs, ".pyc file", ".pyc files", restamped);
    show_add_count(&line, r->renamed, "cache directory", "cache directories",
                   a->dry_run ? "to rename" : "renamed");
    if (!a->dry_run) {
        show_add(&line, "; ");
        show_add_verdict(&line, &r->verify);
    }
    if (r->retarget.cpu)
        show_add_retarget(&line, &r->retarget);
    show_add_place(&line, r->layout, r->cache_dir, r->set_cache_dir, r->verify.count);
    show_end(&line);
}

int restore_run(const struct wp_context *context, const struct args *a)
{
    struct wp_restore_options o = {
        .dir = a->operands[0].text,
        .manifest = a->manifest,
        .layout = a->layout,
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .group_writable = a->group_writable,
        .runtime_roots = string_list_values(&a->runtime_roots),
        .restamp = a->restamp,
        .relocate = a->relocate,
        .mtime = a->seen[OPT_MTIME] ? &a->mtime : NULL,
        .retarget = a->retarget,
        .prune = a->prune,
        .trust = string_list_values(&a->trust),
        .dry_run = a->dry_run,
        .sync = a->sync,
    };
    struct wp_context confined = *context;
    _cleanup_(wp_restore_result_clear) struct wp_restore_result result = {0};
    struct wp_error err = {0};
    int rc;

    confined.confine = confine_to;
    args_warn_layout(a);
    signals_install();
    rc = message_outcome(wp_restore(&confined, &o, &result, &err), &err);
    if (rc)
        return rc;
    if (result.lost)
        message_raise(STATUS_LOST);
    if (a->json)
        print_json(a, &result);
    show_invalid(&result.verify, result.lost != 0);
    print_summary(a, &result);
    return message_status();
}
