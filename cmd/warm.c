/* warmpack warm: runs a command that warms a tree, packs it, and proves on a copy elsewhere that
 * nothing is compiled there that a second run in place would not compile. */

#include <errno.h>
#include <stdlib.h>

#include "message.h"
#include "scratch.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"
#include "warm_job.h"

static int warm_archive(struct warm *w)
{
    int status = warm_pack_builds(w);
    bool written;

    if (!status)
        status = warm_prove(w);
    if (status)
        return status;
    written = !w->failed || w->a->keep_going;
    if (written)
        status = warm_write(w);
    if (status)
        return status;
    if (w->failed)
        message_raise(STATUS_LOST);
    warm_tell(w, written);
    return message_status();
}

static int warm_tree(struct warm *w)
{
    _cleanup_free_ char *tree = text_join(w->dir, w->members[0].path);
    const struct wp_seal_options o = {.dir = tree,
                                      .cache_dirs = string_list_values(&w->cache_dirs),
                                      .source_roots = string_list_values(&w->a->source_roots),
                                      .exclude = string_list_values(&w->exclude),
                                      .record_env = string_list_values(&w->a->record_env),
                                      .command = w->command_text,
                                      .strict = w->a->strict,
                                      .sign = w->a->sign};
    struct wp_seal_result sealed = {0};
    struct wp_error err = {0};
    int r = tree ? wp_seal(w->context, &o, &sealed, &err) : -ENOMEM;

    if (r < 0)
        return message_outcome(r, &err);
    w->made = sealed.made;
    sealed.made = (struct wp_create_result){0};
    wp_seal_result_clear(&sealed);
    warm_tell(w, true);
    return message_status();
}

static void warm_clear(struct warm *w)
{
    for (size_t i = 0; w->builds && i < w->cpus.count; i++) {
        free(w->builds[i].caches);
        free(w->builds[i].archive);
        explain_report_clear(&w->builds[i].first);
        explain_report_clear(&w->builds[i].second);
    }
    free(w->builds);
    explain_report_clear(&w->there);
    wp_create_result_clear(&w->made);
    warm_cpus_clear(&w->cpus);
    string_list_clear(&w->exclude);
    string_list_clear(&w->cache_dirs);
    scratch_remove(w->scratch);
    free(w->command);
    free(w->command_text);
    free(w->dir);
    free(w->real);
    free(w->cwd);
    free(w->members);
    free(w->copy);
    free(w->merged);
}

int warm_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(warm_clear) struct warm w = {.context = context, .a = a};
    int status;

    signals_install();
    status = warm_prepare(&w);
    for (size_t i = 0; i < w.cpus.count && !status; i++)
        status = warm_build(&w, &w.builds[i]);
    if (!status)
        status = a->archive ? warm_archive(&w) : warm_tree(&w);
    return status;
}
