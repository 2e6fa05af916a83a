/* The job of amending: reads the old archive into a spool, and writes it from there, with what the
 * tree has for it, as a new one. */

#include "job.h"

#include <errno.h>
#include <stdlib.h>

static void report_result(const struct amend *a)
{
    const struct wp_amend_result *r = a->result;

    for (size_t i = 0; i < r->unmatched_count; i++)
        report(a->context, WP_CHANGED, r->unmatched[i],
               "no file below %s has this content: its time is as it was, and it gets no caches",
               a->o->source);
    if (r->written && a->no_caches)
        report(a->context, WP_WARNING, a->o->output,
               "holds no Numba caches: only the exact times of its sources were added");
    if (r->written && a->spool.was_signed)
        report(a->context, WP_WARNING, a->o->output, "%s",
               a->o->sign
                   ? "the signature that the archive had gives way to the new one"
                   : "the signature that the archive had is left out, and there is no new one "
                     "(--sign)");
    if (!r->written || !r->pyc)
        return;
    report(a->context, WP_NOTE, NULL,
           "imported without unpacking, %llu of %llu .pyc files are valid by the zip times of "
           "their sources",
           (unsigned long long)r->pyc_in_zip, (unsigned long long)r->pyc);
}

/* Gives the new archive its name, if it is any better than the old one: with caches of which none
 * is valid it is not. */
static int finish(struct amend *a, struct output *out, struct wp_error *err)
{
    int r;

    if (a->result->made.valid == 0 && !a->no_caches)
        return 0;
    r = output_commit(out, err);
    a->result->written = r == 0;
    return r;
}

int wp_amend(struct wp_archive *archive, const struct wp_amend_options *o,
             struct wp_amend_result *result, struct wp_error *err)
{
    const struct wp_member member = {.dir = o->source, .path = "."};
    struct amend a = {.context = archive->context, .o = o, .spool = {.fd = -1}, .result = result};
    struct wp_create_result made = {0};
    struct output out = {.fd = -1, .dir = -1};
    int r;

    *result = (struct wp_amend_result){0};
    a.options = (struct wp_create_options){.archive = o->output,
                                           .format = o->format,
                                           .members = &member,
                                           .member_count = 1,
                                           .cache_dirs = o->cache_dirs,
                                           .source_roots = o->source_roots,
                                           .strict = o->strict,
                                           .sync = o->sync,
                                           .level = o->level,
                                           .level_set = o->level_set,
                                           .sign = o->sign,
                                           .python = o->python};
    r = options_check(archive->context, o, err);
    if (r == 0 && o->format->is_wrapped) /* its base would be lost */
        r = error_set(err, 0, o->output, "not made: amend writes no images, create does");
    if (r == 0 && archive->reader->has_comment)
        report(archive->context, WP_WARNING, archive->name,
               "its comment gives way to the one of the manifest");
    if (r == 0)
        r = spool_read(&a.spool, archive, NULL, err);
    if (r == 0)
        r = pack_run(archive->context, &a.options, amend_plan, &a, archive->pool, &out, &made, err);
    result->made = made; /* planning clears what it finds there */
    if (r == 0)
        r = finish(&a, &out, err);
    if (r == -ECANCELED)
        r = 0;
    if (r == 0 && o->sign && !result->written)
        r = error_set(err, 0, o->output,
                      "not signed: there is nothing to add, and the archive stays as it was");
    if (r == 0)
        report_result(&a);
    output_close(&out);
    amend_survey_clear(&a.survey);
    spool_clear(&a.spool);
    free(a.matches);
    free(a.known);
    if (r < 0)
        wp_amend_result_clear(result);
    return r;
}

void wp_amend_result_clear(struct wp_amend_result *r)
{
    for (size_t i = 0; i < r->unmatched_count; i++)
        free(r->unmatched[i]);
    free(r->unmatched);
    wp_create_result_clear(&r->made);
    *r = (struct wp_amend_result){0};
}
