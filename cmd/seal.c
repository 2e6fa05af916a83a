/* warmpack seal: writes the manifest of a warm tree into it, and tells the state of its caches. */

#include "cache_dirs.h"
#include "json_document.h"
#include "message.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

static void print_json(const struct wp_seal_options *o, const struct wp_seal_result *r)
{
    document_begin();
    document_name("dir", o->dir);
    document_name("id", r->made.id);
    document_member("written", json_boolean(r->written));
    document_member("replaced", json_boolean(r->replaced));
    document_member("entries", document_count(r->made.entries));
    document_member("bytes_read", document_count(r->made.bytes_read));
    document_member("cache_dirs", document_count(r->made.cache_dirs));
    document_verify(&r->made.verify);
    document_end();
}

static void print_summary(const struct wp_seal_options *o, const struct wp_seal_result *r)
{
    struct show_line line;

    show_begin(&line);
    show_add(&line, "%s: %llu %s %s; ", o->dir, (unsigned long long)r->made.entries,
             show_plural(r->made.entries, "file", "files"),
             r->written ? "sealed" : "sealed already");
    show_add_verdict(&line, &r->made.verify);
    show_add_count(&line, r->made.cache_dirs, "cache directory", "cache directories", NULL);
    show_end(&line);
}

static int seal(const struct wp_context *context, const struct args *a,
                const struct wp_seal_options *o)
{
    _cleanup_(wp_seal_result_clear) struct wp_seal_result result = {0};
    struct wp_error err = {0};
    int rc;

    signals_install();
    rc = message_outcome(wp_seal(context, o, &result, &err), &err);
    if (rc)
        return rc;
    if (result.made.changed)
        message_raise(STATUS_LOST);
    if (a->json)
        print_json(o, &result);
    print_summary(o, &result);
    return message_status();
}

int seal_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(string_list_clear) struct string_list exclude = {0};
    _cleanup_(string_list_clear) struct string_list cache_dirs = {0};
    struct wp_seal_options o = {
        .dir = a->operands[0].text,
        .source_roots = string_list_values(&a->source_roots),
        .record_env = string_list_values(&a->record_env),
        .strict = a->strict,
        .sync = a->sync,
        .with_locator = a->with_locator,
        .numeric_owner = a->numeric_owner,
        .sign = a->sign,
        .python = a->python,
    };
    int rc = args_exclude(a, &exclude);

    if (!rc)
        rc = cache_dirs_add(&cache_dirs, a);
    if (rc)
        return rc;
    o.exclude = string_list_values(&exclude);
    o.cache_dirs = string_list_values(&cache_dirs);
    return seal(context, a, &o);
}
