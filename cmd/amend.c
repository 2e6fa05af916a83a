/* warmpack amend: gives an archive of another tool its times, caches and manifest. */

#include <string.h>
#include <sys/stat.h>

#include "cache_dirs.h"
#include "format_choice.h"
#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

static void print_json(const struct wp_amend_options *o, const struct wp_amend_result *r)
{
    document_begin();
    document_name("archive", o->output);
    document_member("written", json_boolean(r->written));
    if (r->written)
        document_name("id", r->made.id);
    document_member("sources", document_count(r->sources));
    document_array("unmatched");
    for (size_t i = 0; i < r->unmatched_count; i++) {
        json_t *path = json_object();

        document_set_name(path, "path", r->unmatched[i]);
        document_item(path);
    }
    document_array_end();
    document_member("added", document_count(r->added));
    document_member("left_behind", document_count(r->left_behind));
    document_member("pyc", document_count(r->pyc));
    document_member("pyc_in_zip", document_count(r->pyc_in_zip));
    document_verify(&r->made.verify);
    document_end();
}

static void print_summary(const struct wp_amend_options *o, const struct wp_amend_result *r)
{
    unsigned long long matched = r->sources - r->unmatched_count;
    struct show_line line;
    char size[SHOW_SIZE];

    if (!r->written) {
        message_lost(
            "%s: nothing valid in %s belongs to its sources (%llu of %llu matched): not written",
            o->output, o->source, matched, (unsigned long long)r->sources);
        return;
    }
    show_size(size, r->made.bytes_written);
    show_begin(&line);
    show_add(&line, "%s: %llu of %llu sources matched, %llu cache %s added; ", o->output, matched,
             (unsigned long long)r->sources, (unsigned long long)r->added,
             show_plural(r->added, "file", "files"));
    show_add_verdict(&line, &r->made.verify);
    show_add(&line, "; %s", size);
    show_end(&line);
}

static int amend(const struct wp_context *context, const struct args *a,
                 const struct wp_amend_options *o)
{
    _cleanup_archive_ struct wp_archive *archive = NULL;
    _cleanup_(wp_amend_result_clear) struct wp_amend_result result = {0};
    struct wp_error err = {0};
    int rc;

    signals_install();
    rc = wp_archive_open(context, a->archive, &archive, &err);
    if (rc == 0)
        rc = wp_amend(archive, o, &result, &err);
    rc = message_outcome(rc, &err);
    if (rc)
        return rc;
    if (a->json)
        print_json(o, &result);
    print_summary(o, &result);
    return message_status();
}

/* Replacing a device or standard output in one step cannot be done. */
static int check_output(const char *output)
{
    struct stat st;

    if (strcmp(output, "-") == 0)
        return message_usage("the archive is written to a file: give -o OUT");
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode))
        return message_error("%s: is no regular file", output);
    return 0;
}

int amend_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(string_list_clear) struct string_list cache_dirs = {0};
    struct wp_amend_options o = {
        .output = a->output ? a->output : a->archive,
        .source = a->source,
        .source_roots = string_list_values(&a->source_roots),
        .strict = a->strict,
        .sync = a->sync,
        .level = a->level,
        .level_set = a->seen[OPT_LEVEL],
        .sign = a->sign,
        .python = a->python,
    };
    int rc = check_output(o.output);

    if (!rc)
        rc = format_choose(a, o.output, &o.format);
    if (!rc)
        rc = format_check_options(a, o.format);
    if (!rc)
        rc = operands_check_terminal(a);
    if (!rc)
        rc = cache_dirs_add(&cache_dirs, a);
    if (rc)
        return rc;
    o.cache_dirs = string_list_values(&cache_dirs);
    return amend(context, a, &o);
}
