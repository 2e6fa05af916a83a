/* warmpack merge: makes one archive of those that were warmed for different CPUs. */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "format_choice.h"
#include "json_document.h"
#include "message.h"
#include "operands.h"
#include "owner.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

/* What the options point to. */
struct inputs {
    struct string_list paths;
    struct wp_merge_input *v;
    struct string_list cache_dirs;
    struct owners owners;
};

static void inputs_clear(struct inputs *in)
{
    for (size_t i = 0; in->v && i < in->paths.count; i++)
        wp_archive_close(in->v[i].archive);
    free(in->v);
    string_list_clear(&in->paths);
    string_list_clear(&in->cache_dirs);
    owners_clear(&in->owners);
}

/* Directories are trees, but for layouts of images; all else is an archive. */
static int open_inputs(const struct wp_context *context, struct inputs *in)
{
    in->v = calloc(in->paths.count, sizeof *in->v);
    if (!in->v)
        return message_no_memory();
    for (size_t i = 0; i < in->paths.count; i++) {
        const char *path = in->paths.v[i];
        struct wp_error err = {0};
        struct stat st;

        if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
            !wp_archive_is_directory(path)) {
            in->v[i].tree = path;
            continue;
        }
        if (message_outcome(wp_archive_open(context, path, &in->v[i].archive, &err), &err))
            return message_status();
    }
    return 0;
}

static json_t *build_of(const struct inputs *in, const struct wp_merge_build *b)
{
    json_t *build = json_object();

    document_set_name(build, "input", in->paths.v[b->input]);
    document_set_cpu(build, b->triple, b->cpu, b->features);
    json_object_set_new(build, "overloads", document_count(b->overloads));
    return build;
}

static void print_json(const struct args *a, const struct inputs *in,
                       const struct wp_merge_result *r)
{
    document_begin();
    document_name("archive", a->output);
    document_name("id", r->made.id);
    document_member("entries", document_count(r->made.entries));
    document_member("bytes", document_count(r->made.bytes_written));
    document_member("joined", document_count(r->joined));
    document_member("left_out", document_count(r->left_out));
    document_array("builds");
    for (size_t i = 0; i < r->build_count; i++)
        document_item(build_of(in, &r->builds[i]));
    document_array_end();
    document_verify(&r->made.verify);
    document_end();
}

static void print_summary(const struct args *a, const struct wp_merge_result *r)
{
    struct show_line line;

    show_begin(&line);
    show_add_archive(&line, a->output, &r->made);
    for (size_t i = 0; i < r->build_count; i++)
        show_add(&line, "%s%s (%zu %s)", i ? ", " : "; code for ", r->builds[i].cpu,
                 r->builds[i].overloads,
                 show_plural(r->builds[i].overloads, "overload", "overloads"));
    show_add_count(&line, r->left_out, "cache index", "cache indexes", "left out");
    show_end(&line);
}

static int merge(const struct wp_context *context, const struct args *a, const struct inputs *in,
                 const struct wp_merge_options *o)
{
    _cleanup_(wp_merge_result_clear) struct wp_merge_result result = {0};
    struct wp_error err = {0};
    int rc = message_outcome(wp_merge(context, o, &result, &err), &err);

    if (rc)
        return rc;
    if (a->json)
        print_json(a, in, &result);
    print_summary(a, &result);
    return message_status();
}

static int prepare(const struct args *a, struct inputs *in, struct wp_merge_options *o)
{
    int rc = format_choose(a, a->output, &o->format);

    if (!rc)
        rc = format_check_options(a, o->format);
    if (!rc)
        rc = owners_take(&in->owners, a);
    if (!rc)
        rc = cache_dirs_add(&in->cache_dirs, a);
    for (size_t i = 0; i < a->operand_count && !rc; i++) {
        if (strcmp(a->operands[i].text, "-") == 0 && isatty(STDIN_FILENO))
            rc = message_usage("an archive is not read from a terminal");
        else if (string_list_add(&in->paths, a->operands[i].text))
            rc = message_no_memory();
    }
    return rc;
}

int merge_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(inputs_clear) struct inputs in = {0};
    struct wp_merge_options o = {
        .output = a->output,
        .caches_only = a->caches_only,
        .strict = a->strict,
        .sync = a->sync,
        .numeric_owner = a->numeric_owner,
        .level = a->level,
        .level_set = a->seen[OPT_LEVEL],
        .gzip_one_member = args_one_member(a),
        .sign = a->sign,
    };
    int rc = prepare(a, &in, &o);

    if (rc)
        return rc;
    signals_install();
    rc = open_inputs(context, &in);
    if (rc)
        return rc;
    o.owner = in.owners.owner;
    o.group = in.owners.group;
    o.inputs = in.v;
    o.input_count = in.paths.count;
    o.cache_dirs = string_list_values(&in.cache_dirs);
    return merge(context, a, &in, &o);
}
