/* Tells which bytes of an archive unpacking it would read, so that the others need not be fetched
 * from where it lies. */

#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "job.h"

void wp_needs_clear(struct wp_needs *n)
{
    free(n->ranges);
    *n = (struct wp_needs){0};
}

static int add_range(struct wp_needs *n, uint64_t begin, uint64_t end, struct wp_error *err)
{
    if (begin == end)
        return 0;
    if (array_grow(n->ranges, n->count) < 0)
        return error_nomem(err);
    n->ranges[n->count++] = (struct wp_range){.begin = begin, .end = end};
    return 0;
}

/* All but what the reader leaves out, nothing of which overlaps. It tells of an image's layer, and
 * not where that lies. */
static int take_ranges(const struct unpack *unpack, struct wp_needs *out, struct wp_error *err)
{
    const struct format_reader *reader = unpack->a->reader;
    const struct source_gap *gaps = NULL;
    uint64_t at = 0;
    size_t count = 0;
    int r = 0;

    if (reader->ops->left_out && !reader->is_layer)
        gaps = reader->ops->left_out(reader, &count);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = add_range(out, at, gaps[i].at, err);
        at = gaps[i].end;
    }
    if (r == 0)
        r = add_range(out, at, unpack->a->size, err);
    out->is_known = r == 0 && count > 0;
    return r;
}

static int find_needs(struct unpack *unpack, struct wp_needs *out, struct wp_error *err)
{
    int r = unpack->o->if_needed ? unpack_is_current(unpack, err) : 0;

    if (r > 0) { /* nothing, but what says so */
        out->is_known = true;
        return 0;
    }
    if (r == 0 && unpack_has_earlier(unpack))
        r = unpack_read_recorded(unpack, err);
    if (r == 0 && unpack->is_recorded)
        r = unpack_expect_earlier(unpack, err);
    return r < 0 ? r : take_ranges(unpack, out, err);
}

int wp_extract_needs(struct wp_archive *a, const struct wp_extract_options *o, struct wp_needs *out,
                     struct wp_error *err)
{
    struct wp_extract_result result = {0};
    struct unpack unpack = {.o = o, .a = a, .result = &result, .own_target = -1};
    int r = patterns_begin(&unpack.patterns, o->patterns) < 0 ? error_nomem(err) : 0;

    *out = (struct wp_needs){0};
    if (r == 0)
        r = unpack_begin(&unpack, err);
    if (r == 0)
        r = find_needs(&unpack, out, err);
    unpack_clear(&unpack);
    wp_extract_result_clear(&result);
    if (r < 0)
        wp_needs_clear(out);
    return r;
}
