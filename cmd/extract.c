/* warmpack extract: unpacks an archive, and tells which caches are valid there. */

#include "confine.h"
#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

static void print_json(const struct wp_extract_result *r)
{
    document_begin();
    document_member("files", document_count(r->files));
    document_member("manifest", json_boolean(r->has_manifest));
    document_member("unchanged", json_boolean(r->unchanged));
    document_member("layout", json_string(wp_layout_name(r->layout)));
    document_name("cache_dir", r->cache_dir);
    document_member("set_cache_dir", json_boolean(r->set_cache_dir));
    document_member("renamed", document_count(r->renamed));
    document_member("relocated", document_count(r->relocated));
    document_member("restamped", document_count(r->restamped));
    document_member("reused", document_count(r->reused));
    document_member("sources", document_count(r->sources));
    document_member("matched", document_count(r->matched));
    document_member("was_valid", document_count(r->was_valid));
    document_member("lost", document_count(r->lost));
    document_member("left_out", document_count(r->left_out));
    if (r->retarget.cpu)
        document_member("retarget", document_retarget(&r->retarget));
    document_verify(&r->verify);
    document_end();
}

static void print_summary(const struct wp_extract_result *r)
{
    struct show_line line;

    show_begin(&line);
    if (r->unchanged)
        show_add(&line, "already unpacked; nothing to do");
    else
        show_add(&line, "%llu %s", (unsigned long long)r->files,
                 show_plural(r->files, "file", "files"));
    if (!r->unchanged || r->verify.count) {
        show_add(&line, "; ");
        show_add_verdict(&line, &r->verify);
    }
    if (r->sources)
        show_add(&line, "; %zu of %zu sources are the same", r->matched, r->sources);
    show_add_count(&line, r->reused, "file", "files", "taken from the earlier tree");
    show_add_count(&line, r->relocated, "file", "files", "rewritten for their new place");
    show_add_count(&line, r->restamped, "index", "indexes", "restamped");
    show_add_count(&line, r->renamed, "cache directory", "cache directories", "renamed");
    if (r->retarget.cpu)
        show_add_retarget(&line, &r->retarget);
    show_add_place(&line, r->layout, r->cache_dir, r->set_cache_dir, r->verify.count);
    show_end(&line);
}

/* Each index that is not valid, with its reason. Without a manifest nothing was promised, and the
 * library has said how many there are. */
static void print_invalid(const struct args *a, const struct wp_extract_result *r)
{
    if (r->has_manifest || a->verbose)
        show_invalid(&r->verify, r->lost != 0);
}

static int print_needs(const struct wp_context *context, const struct args *a,
                       const struct wp_extract_options *o)
{
    _cleanup_archive_ struct wp_archive *archive = NULL;
    _cleanup_(wp_needs_clear) struct wp_needs needs = {0};
    struct wp_error err = {0};
    int rc = wp_archive_open(context, a->archive, &archive, &err);

    if (rc == 0)
        rc = wp_extract_needs(archive, o, &needs, &err);
    if (rc < 0)
        return message_outcome(rc, &err);
    document_begin();
    document_member("known", json_boolean(needs.is_known));
    document_array("ranges");
    for (size_t i = 0; i < needs.count; i++)
        document_item(json_pack("[I, I]", (json_int_t)needs.ranges[i].begin,
                                (json_int_t)needs.ranges[i].end));
    document_array_end();
    document_end();
    return message_status();
}

static int unpack(const struct wp_context *context, const struct args *a,
                  const struct wp_extract_options *o)
{
    struct wp_context confined = *context;
    _cleanup_(wp_extract_result_clear) struct wp_extract_result result = {0};
    _cleanup_archive_ struct wp_archive *archive = NULL;
    struct wp_error err = {0};
    int rc;

    confined.confine = confine_to;
    signals_install();
    rc = wp_archive_open(&confined, a->archive, &archive, &err);
    if (rc == 0)
        rc = wp_extract(archive, o, &result, &err);
    if (!message_outcome(rc, &err) && !a->to_stdout) {
        if (result.lost)
            message_raise(STATUS_LOST);
        if (a->json)
            print_json(&result);
        print_invalid(a, &result);
        print_summary(&result);
    }
    return message_status();
}

int extract_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(operands_clear) struct operands given = {0};
    _cleanup_(string_list_clear) struct string_list exclude = {0};
    struct wp_extract_options o = {
        .strip_components = a->strip_components,
        .layout = a->layout,
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .group_writable = a->group_writable,
        .runtime_roots = string_list_values(&a->runtime_roots),
        .keep_old = a->keep_old,
        .same_permissions = a->same_permissions,
        .same_owner = a->same_owner,
        .no_same_owner = a->no_same_owner,
        .numeric_owner = a->numeric_owner,
        .replace = a->replace,
        .if_needed = a->if_needed,
        .sync = a->sync,
        .max_size = a->max_size,
        .mtime = a->seen[OPT_MTIME] ? &a->mtime : NULL,
        .to_stdout = a->to_stdout,
        .caches_only = a->caches_only,
        .restamp = a->restamp,
        .relocate = a->relocate,
        .from = a->from,
        .retarget = a->retarget,
        .prune = a->prune,
        .trust = string_list_values(&a->trust),
    };
    int rc = operands_read(a, &given);

    if (!rc)
        rc = args_exclude(a, &exclude);
    if (rc)
        return rc;
    args_warn_layout(a);
    o.dir = given.dir;
    o.patterns = string_list_values(&given.patterns);
    o.exclude = string_list_values(&exclude);
    return a->needs ? print_needs(context, a, &o) : unpack(context, a, &o);
}
