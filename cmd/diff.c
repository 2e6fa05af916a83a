/* warmpack diff: prints what two archives, directories or manifests do not have in common. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cache_dirs.h"
#include "json_document.h"
#include "message.h"
#include "show.h"
#include "signals.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

/* Opens what is neither a tree nor called as a manifest is. */
static int open_side(const struct wp_context *context, struct wp_diff_side *side,
                     struct wp_error *err)
{
    struct stat st;

    if (stat(side->path, &st) == 0 && S_ISDIR(st.st_mode) && !wp_archive_is_directory(side->path))
        return 0;
    if (text_has_suffix(side->path, ".jsonl"))
        return 0;
    return wp_archive_open(context, side->path, &side->archive, err);
}

static void print_overloads(const char *what, const struct wp_overload *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct wp_overload *o = &list[i];

        printf("    %s %s%s%s\n", what, show_signature(o), o->cpu ? " for " : "",
               show_name(o->cpu ? o->cpu : ""));
    }
}

static void print_difference(const struct wp_difference *d)
{
    printf("%-8s%s\n", wp_change_name(d->change), show_name(d->path));
    if (d->change == WP_CHANGE_CONTENT) {
        print_overloads("gained", d->gained, d->gained_count);
        print_overloads("lost", d->lost, d->lost_count);
    }
}

static void print_json(const struct wp_diff_side *a, const struct wp_diff_side *b,
                       const struct wp_diff_result *r)
{
    json_t *summary = json_object();

    document_begin();
    document_name("a", a->path);
    document_name("b", b->path);
    document_array("differences");
    for (size_t i = 0; i < r->count; i++)
        document_item(document_difference(&r->differences[i]));
    document_array_end();
    for (int i = WP_CHANGE_ADDED; i < WP_CHANGE_COUNT; i++)
        json_object_set_new(summary, wp_change_name((enum wp_change)i),
                            document_count(r->by_change[i]));
    json_object_set_new(summary, "gained", document_count(r->gained));
    json_object_set_new(summary, "lost", document_count(r->lost));
    document_member("summary", summary);
    document_end();
}

static void print_summary(const struct wp_diff_result *r)
{
    struct show_line line;
    const char *before = "";

    show_begin(&line);
    for (int i = WP_CHANGE_ADDED; i < WP_CHANGE_COUNT; i++) {
        static const char *const words[] = {[WP_CHANGE_ADDED] = "added",
                                            [WP_CHANGE_REMOVED] = "removed",
                                            [WP_CHANGE_CONTENT] = "changed",
                                            [WP_CHANGE_MODE] = "with another mode",
                                            [WP_CHANGE_TIME] = "with another time alone"};

        if (!r->by_change[i])
            continue;
        show_add(&line, "%s%zu %s", before, r->by_change[i], words[i]);
        before = ", ";
    }
    if (!r->count)
        show_add(&line, "no difference");
    if (r->gained || r->lost)
        show_add(&line, "; %zu %s gained, %zu lost", r->gained,
                 show_plural(r->gained, "overload", "overloads"), r->lost);
    show_end(&line);
}

static int diff(const struct wp_context *context, const struct args *a,
                const struct wp_diff_options *o, struct wp_diff_side side[2])
{
    _cleanup_(wp_diff_result_clear) struct wp_diff_result result = {0};
    struct wp_error err = {0};
    int r = open_side(context, &side[0], &err);

    if (r == 0)
        r = open_side(context, &side[1], &err);
    if (r == 0)
        r = wp_diff(context, &side[0], &side[1], o, &result, &err);
    r = message_outcome(r, &err);
    if (r)
        return r;
    if (a->json)
        print_json(&side[0], &side[1], &result);
    for (size_t i = 0; i < result.count && !a->json; i++)
        print_difference(&result.differences[i]);
    show_flush();
    print_summary(&result);
    if (result.count)
        message_raise(STATUS_LOST);
    return message_status();
}

int diff_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_(string_list_clear) struct string_list exclude = {0};
    _cleanup_(string_list_clear) struct string_list cache_dirs = {0};
    struct wp_diff_side side[2] = {{.path = a->operands[0].text}, {.path = a->operands[1].text}};
    struct wp_diff_options o = {.source_roots = string_list_values(&a->source_roots)};
    int r = args_exclude(a, &exclude);

    if (!r)
        r = cache_dirs_add(&cache_dirs, a);
    if (r)
        return r;
    o.exclude = string_list_values(&exclude);
    o.cache_dirs = string_list_values(&cache_dirs);
    signals_install();
    r = diff(context, a, &o, side);
    wp_archive_close(side[0].archive);
    wp_archive_close(side[1].archive);
    return r;
}
