/* Packs what was warmed. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "text.h"
#include "warm_job.h"

static int pack(const struct warm *w, const struct build *b, const char *archive,
                const struct wp_format *format, struct wp_create_result *made)
{
    const char *const caches[] = {b->caches, NULL};
    const struct wp_create_options o = {.archive = archive,
                                        .format = format,
                                        .members = w->members,
                                        .member_count = w->member_count,
                                        .cache_dirs = caches,
                                        .source_roots = string_list_values(&w->a->source_roots),
                                        .exclude = string_list_values(&w->exclude),
                                        .record_env = string_list_values(&w->a->record_env),
                                        .command = w->command_text,
                                        .fresh_caches = true,
                                        .strict = w->a->strict,
                                        .level = w->a->level,
                                        .level_set = w->a->seen[OPT_LEVEL] && format == w->format,
                                        /* What is merged is signed then. */
                                        .sign = w->cpus.count > 1 ? NULL : w->a->sign};
    struct wp_error err = {0};
    int r = wp_create(w->context, &o, made, &err);

    return message_outcome(r, &err);
}

static int merge(const struct warm *w, const char *archive, const struct wp_format *format,
                 struct wp_create_result *made)
{
    struct wp_merge_input *inputs = calloc(w->cpus.count, sizeof *inputs);
    struct wp_merge_options o = {.output = archive,
                                 .format = format,
                                 .inputs = inputs,
                                 .input_count = w->cpus.count,
                                 .strict = w->a->strict,
                                 .level = w->a->level,
                                 .level_set = w->a->seen[OPT_LEVEL] && format == w->format,
                                 .sign = w->a->sign};
    _cleanup_(wp_merge_result_clear) struct wp_merge_result result = {0};
    struct wp_error err = {0};
    int r = inputs ? 0 : -ENOMEM;

    for (size_t i = 0; i < w->cpus.count && r == 0; i++)
        r = wp_archive_open(w->context, w->builds[i].archive, &inputs[i].archive, &err);
    if (r == 0)
        r = wp_merge(w->context, &o, &result, &err);
    for (size_t i = 0; inputs && i < w->cpus.count; i++)
        wp_archive_close(inputs[i].archive);
    free(inputs);
    if (r < 0)
        return message_outcome(r, &err);
    *made = result.made;
    result.made = (struct wp_create_result){0};
    return 0;
}

/* What is proved is a plain tar, which is made and read faster than what is shipped. */
int warm_pack_builds(struct warm *w)
{
    const struct wp_format *tar = wp_format_by_name("tar");
    struct wp_create_result made = {0};
    int status = 0;

    for (size_t i = 0; i < w->cpus.count && !status; i++) {
        struct build *b = &w->builds[i];

        b->archive = text_printf("%s/build-%zu.tar", w->scratch, i);
        if (!b->archive)
            return message_no_memory();
        status = pack(w, b, b->archive, tar, &made);
        wp_create_result_clear(&made);
    }
    if (status || w->cpus.count == 1)
        return status;
    w->merged = text_join(w->scratch, "merged.tar");
    status = w->merged ? merge(w, w->merged, tar, &made) : message_no_memory();
    wp_create_result_clear(&made);
    return status;
}

int warm_write(struct warm *w)
{
    const char *archive = w->a->archive;

    return w->cpus.count > 1 ? merge(w, archive, w->format, &w->made)
                             : pack(w, w->builds, archive, w->format, &w->made);
}
