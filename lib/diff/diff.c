/* The job of comparing: what one archive, directory or manifest has that another has not. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "judge/overloads.h"

/* What is told while a side is read that is not about comparing, such as indexes that were not
 * valid already, is left out. */
static void pass_on(void *user_data, enum wp_severity severity, const char *text)
{
    const struct wp_context *context = user_data;

    if (severity >= WP_CHANGED)
        report(context, severity, NULL, "%s", text);
}

/* A manifest has no digest of a wheel's RECORD, which tells of the other files. */
static bool has_same_content(const struct entry *a, const struct entry *b)
{
    if (a->type != b->type)
        return false;
    if (a->type != ENTRY_FILE)
        return text_same(a->target, b->target);
    return a->size == b->size && (!a->has_sha256 || !b->has_sha256 ||
                                  memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0);
}

/* Times of directories and links say nothing to Numba or Python, and an archive's directories get
 * theirs from what is put into them. */
static bool has_same_time(const struct entry *a, const struct entry *b)
{
    return a->type != ENTRY_FILE || time_is(a->mtime, b->mtime);
}

/* The file that a hard link is another name of; E where it is none. */
static const struct entry *named_file(const struct diff_side *side, const struct entry *e)
{
    const struct walk_item *item;
    const struct entry *found;

    if (e->type != ENTRY_HARDLINK)
        return e;
    if (side->pack.walk.count) {
        item = walk_find(&side->pack.walk, e->target);
        return item ? &item->entry : e;
    }
    found = manifest_find(&side->packed.m, e->target);
    return found ? found : e;
}

struct diff {
    struct diff_side a, b;
    struct wp_diff_result *result;
};

/* How two things of one name differ: an enum wp_change; negative errno. */
static int compare(const struct diff *d, const struct diff_item *a, const struct diff_item *b,
                   struct wp_difference *found, struct wp_error *err)
{
    const struct entry *x = named_file(&d->a, a->e), *y = named_file(&d->b, b->e);

    if (has_same_content(x, y)) {
        if (x->mode != y->mode && x->type != ENTRY_SYMLINK)
            return WP_CHANGE_MODE;
        return has_same_time(x, y) || a->is_cache ? WP_CHANGE_NONE : WP_CHANGE_TIME;
    }
    if (caches_is_index(a->e->path)) {
        int r = diff_overloads(a, b, found, err);

        return r < 0 ? r : r ? WP_CHANGE_CONTENT : WP_CHANGE_TIME;
    }
    return WP_CHANGE_CONTENT;
}

/* Counts and keeps FOUND, which is taken over. */
static int keep(struct diff *d, struct wp_difference *found, const struct diff_item *item,
                int change, struct wp_error *err)
{
    struct wp_diff_result *r = d->result;

    found->change = (enum wp_change)change;
    found->is_cache = item->is_cache;
    found->path = strdup(item->key);
    if (!found->path || array_grow(r->differences, r->count) < 0)
        return error_nomem(err);
    r->by_change[change]++;
    r->gained += found->gained_count;
    r->lost += found->lost_count;
    r->differences[r->count++] = *found;
    *found = (struct wp_difference){0};
    return 0;
}

static void difference_clear(struct wp_difference *d)
{
    struct wp_index_status gained = {.overloads = d->gained, .overload_count = d->gained_count};
    struct wp_index_status lost = {.overloads = d->lost, .overload_count = d->lost_count};

    overloads_clear(&gained);
    overloads_clear(&lost);
    free(d->path);
    *d = (struct wp_difference){0};
}

/* A or B is NULL where the thing is on one side alone. */
static int look_at(struct diff *d, const struct diff_item *a, const struct diff_item *b,
                   struct wp_error *err)
{
    _cleanup_(difference_clear) struct wp_difference found = {0};
    const struct diff_item *one = a ? a : b;
    int r = 0;

    if (a && b) {
        r = compare(d, a, b, &found, err);
    } else if (one) {
        r = caches_is_index(one->e->path) ? diff_overloads(a, b, &found, err) : 0;
        r = r < 0 ? r : a ? WP_CHANGE_REMOVED : WP_CHANGE_ADDED;
    }
    return r <= 0 ? r : keep(d, &found, one, r, err);
}

static int join(struct diff *d, struct wp_error *err)
{
    size_t i = 0, k = 0;
    int r = 0;

    while (r == 0 && (i < d->a.count || k < d->b.count)) {
        const struct diff_item *a = i < d->a.count ? &d->a.items[i] : NULL;
        const struct diff_item *b = k < d->b.count ? &d->b.items[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);

        r = look_at(d, order <= 0 ? a : NULL, order >= 0 ? b : NULL, err);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

int wp_diff(const struct wp_context *context, const struct wp_diff_side *a,
            const struct wp_diff_side *b, const struct wp_diff_options *o,
            struct wp_diff_result *result, struct wp_error *err)
{
    struct diff d = {.a = {.given = a}, .b = {.given = b}, .result = result};
    struct wp_context quiet = context ? *context : (struct wp_context){0};
    struct pool *pool;
    int r;

    *result = (struct wp_diff_result){0};
    r = options_check(context, o, err);
    if (r < 0)
        return r;
    quiet.message = pass_on;
    quiet.user_data = (void *)context;
    quiet.progress = NULL;
    pool = pool_new(context_threads(context));
    if (!pool)
        return error_set(err, errno, NULL, "cannot start threads");
    r = diff_read(&d.a, &quiet, o, pool, err);
    if (r == 0)
        r = diff_read(&d.b, &quiet, o, pool, err);
    if (r == 0)
        r = diff_list(&d.a, &d.b, err);
    if (r == 0)
        r = join(&d, err);
    diff_side_clear(&d.a);
    diff_side_clear(&d.b);
    pool_free(pool);
    if (r < 0)
        wp_diff_result_clear(result);
    return r;
}

void wp_diff_result_clear(struct wp_diff_result *r)
{
    for (size_t i = 0; i < r->count; i++)
        difference_clear(&r->differences[i]);
    free(r->differences);
    *r = (struct wp_diff_result){0};
}

const char *wp_change_name(enum wp_change change)
{
    static const char *const names[] = {
        [WP_CHANGE_NONE] = "same",       [WP_CHANGE_ADDED] = "added",
        [WP_CHANGE_REMOVED] = "removed", [WP_CHANGE_CONTENT] = "changed",
        [WP_CHANGE_MODE] = "mode",       [WP_CHANGE_TIME] = "time"};

    return (size_t)change < WP_CHANGE_COUNT ? names[change] : "unknown";
}
