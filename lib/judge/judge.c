/* Judges one index from facts about files, and collects the verdicts in a report.
 */

#include "judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/texts.h"
#include "base/times.h"
#include "numba/caches.h"
#include "overloads.h"

const char *wp_status_name(enum wp_status s)
{
    static const char *const names[] = {
        [WP_VALID] = "valid",
        [WP_STALE] = "stale",
        [WP_SOURCE_MISSING] = "source-missing",
        [WP_DATA_MISSING] = "data-missing",
        [WP_CORRUPT] = "corrupt",
        [WP_UNREADABLE] = "unreadable",
        [WP_SUSPECT] = "suspect",
        [WP_MISPLACED] = "misplaced",
        [WP_UNWRITABLE] = "unwritable",
        [WP_WRONG_NUMBA] = "wrong-numba",
        [WP_WRONG_PYTHON] = "wrong-python",
        [WP_WRONG_CPU] = "wrong-cpu",
        [WP_UNSAFE_CPU] = "unsafe-cpu",
        [WP_OUTDATED] = "outdated",
        [WP_SELF_KEYED] = "self-keyed",
        [WP_UNSAFE_SVML] = "unsafe-svml",
        [WP_MISNAMED] = "misnamed",
        [WP_TYPE_MISSING] = "type-missing",
        [WP_IN_PLACE] = "in-place",
    };

    return (unsigned)s < WP_STATUS_COUNT ? names[s] : "unknown";
}

bool wp_status_loads(enum wp_status s)
{
    return s == WP_VALID || s == WP_SELF_KEYED || s == WP_IN_PLACE;
}

size_t wp_verify_report_loads(const struct wp_verify_report *r)
{
    return r->by_status[WP_VALID] + r->by_status[WP_SELF_KEYED] + r->by_status[WP_IN_PLACE];
}

int judge_set(struct wp_index_status *s, enum wp_status status, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = path_escape_format(fmt, ap);
    va_end(ap);
    if (!text)
        return -ENOMEM;
    s->status = status;
    free(s->reason);
    s->reason = take_ptr(text);
    return 0;
}

/* Does R say that what is there is of no use, and not that it could not be looked at? */
static bool is_unfit(int r)
{
    return file_is_unfit(r) || error_is_absence(r) || r == -EBADMSG || r == -ENOTSUP ||
           r == -ENODATA || r == -EAGAIN;
}

static int judge_stamp(struct wp_index_status *s, struct judge_file *source,
                       const struct judge_facts *facts, bool *stale)
{
    const struct wp_stamp *stamp = &s->stamp;
    unsigned char digest[32];
    double now = stamp_mtime(source->mtime);

    *stale = true;
    if (stamp->kind == WP_STAMP_UNKNOWN)
        return judge_set(s, WP_STALE, "its stamp is of a kind that is not known");
    if (stamp->kind == WP_STAMP_CONTENT && !source->sha256) {
        int r = facts->digest ? facts->digest(facts->ctx, digest) : -ENODATA;

        if (r == -ENOMEM)
            return r;
        if (r < 0)
            return judge_set(s, is_unfit(r) ? WP_STALE : WP_UNREADABLE,
                             "the source cannot be read: %s", strerror(-r));
        source->sha256 = digest;
    }
    *stale = stamp_matches(stamp, source->mtime, source->size, source->sha256) != 1;
    if (source->sha256 == digest)
        source->sha256 = NULL;
    if (!*stale)
        return 0;
    if (stamp->kind == WP_STAMP_CONTENT)
        return judge_set(s, WP_STALE, "the source's content is not what was compiled");
    if (stamp->mtime != now)
        return judge_set(s, WP_STALE, "the source's time is %.17g, the index has %.17g", now,
                         stamp->mtime);
    return judge_set(s, WP_STALE, "the source has %llu bytes, the index says %llu",
                     (unsigned long long)source->size, (unsigned long long)stamp->size);
}

/* Numba writes the index before the data file. Where it died between the two, the index is newer
 * than the source and names a data file that is not. An index that is older than the source, too,
 * was made of it all the same, as its stamp says: the clock that gave the source its time was
 * ahead. */
static bool is_clock_ahead(const struct judge_file *source, const struct judge_facts *facts)
{
    return facts->index_mtime && time_is_before(*facts->index_mtime, source->mtime);
}

/* The last judgements of an index that is where it belongs. SOURCE is NULL where it has none. */
static int judge_data(struct wp_index_status *s, const struct index *index,
                      const struct judge_file *source, const char *unwritable,
                      const struct judge_facts *facts)
{
    const bool ahead = source && is_clock_ahead(source, facts);

    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->overloads[i].data;
        struct judge_file data = {0};
        bool whole = true;
        int r = facts->data(facts->ctx, name, &data, &whole);

        if (r == -ENOMEM)
            return r;
        if (r < 0)
            return judge_set(s, is_unfit(r) ? WP_DATA_MISSING : WP_UNREADABLE, "%s: %s", name,
                             r == -EINVAL ? "it is no regular file" : strerror(-r));
        if (r == 0)
            return judge_set(s, WP_DATA_MISSING, "%s is gone", name);
        if (!whole)
            return judge_set(s, WP_CORRUPT, "%s is truncated or malformed", name);
        if (!source || !time_is_before(data.mtime, source->mtime))
            continue;
        if (!ahead)
            return judge_set(
                s, WP_SUSPECT,
                "%s is older than the source: it may hold the code of an earlier version", name);
        /* Times say nothing of a stamp that is the content. */
        if (facts->ahead && s->stamp.kind != WP_STAMP_CONTENT)
            *facts->ahead = true;
    }
    return unwritable ? judge_set(s, WP_UNWRITABLE, "%s", unwritable) : 0;
}

int judge_unread(struct wp_index_status *s, const struct wp_error *why)
{
    bool is_corrupt = why->code == EINVAL || why->code == EBADMSG || file_is_unfit(-why->code);

    return judge_set(s, is_corrupt ? WP_CORRUPT : WP_UNREADABLE, "%s", why->message);
}

/* Of no source file: what an IPython cell or a graph of PyTensor says is in the index's name and
 * keys, and whoever looks for it looks there. */
static int judge_self_keyed(struct wp_index_status *s, const struct index *index,
                            const char *unwritable, const struct judge_facts *facts)
{
    int r;

    free(take_ptr(s->source));
    r = judge_data(s, index, NULL, unwritable, facts);
    if (r == 0 && s->status == WP_VALID)
        s->status = WP_SELF_KEYED;
    return r;
}

int judge_index(struct wp_index_status *s, const struct index *index, const struct wp_error *unread,
                const char *misplaced, const char *unwritable, const struct judge_facts *facts)
{
    struct judge_file source = {0};
    bool stale;
    int r;

    s->status = WP_VALID;
    if (!index)
        return judge_unread(s, unread);
    s->stamp = index->stamp;
    s->has_stamp = true;
    s->numba = strdup(index->numba);
    if (!s->numba)
        return -ENOMEM;
    if (index->stamp.kind == WP_STAMP_NONE)
        return judge_self_keyed(s, index, unwritable, facts);
    r = facts->source(facts->ctx, &source);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return judge_set(s, WP_UNREADABLE, "cannot stat the source: %s", strerror(-r));
    if (r == 0)
        return judge_set(s, WP_SOURCE_MISSING, "there is no %s", s->source ? s->source : "source");
    if (misplaced)
        return judge_set(s, WP_MISPLACED, "%s", misplaced);
    r = judge_stamp(s, &source, facts, &stale);
    if (r < 0 || stale)
        return r;
    return judge_data(s, index, &source, unwritable, facts);
}

int judge_name(struct wp_index_status *s, const char *index_path)
{
    struct index_name parts;

    if (index_name_parse(path_base(index_path), &parts) < 0 || !parts.python[0])
        return 0;
    s->python = strdup(parts.python);
    return s->python ? 0 : -ENOMEM;
}

void judge_clear(struct wp_index_status *s)
{
    free(s->index);
    free(s->source);
    free(s->reason);
    free(s->numba);
    free(s->python);
    overloads_clear(s);
    *s = (struct wp_index_status){0};
}

int judge_add(struct wp_verify_report *r, struct wp_index_status *s)
{
    if (array_grow(r->indexes, r->count) < 0) {
        judge_clear(s);
        return -ENOMEM;
    }
    r->by_status[s->status]++;
    r->indexes[r->count++] = *s;
    *s = (struct wp_index_status){0};
    return 0;
}

/* Judges S, a wrapper whose kernel is in the index called NAME beside it. */
static int judge_wrapper(struct wp_verify_report *r, const struct text_table *by_path,
                         struct wp_index_status *s, const char *name)
{
    _cleanup_free_ char *dir = path_dir(s->index);
    _cleanup_free_ char *path = dir ? path_join(dir, name) : NULL;
    uint32_t at = path ? text_table_get(by_path, path, strlen(path)) : TEXT_TABLE_NONE;
    const struct wp_index_status *kernel = at == TEXT_TABLE_NONE ? NULL : &r->indexes[at];
    bool unread = kernel && kernel->status == WP_UNREADABLE; /* it may be sound */

    if (!path)
        return -ENOMEM;
    if (kernel && wp_status_loads(kernel->status))
        return 0;
    r->by_status[s->status]--;
    if (judge_set(s, unread ? WP_UNREADABLE : WP_CORRUPT,
                  "%s, which has the code that it calls, is %s%s", name,
                  kernel ? wp_status_name(kernel->status) : "gone",
                  unread ? "" : ": Numba would crash") < 0)
        return -ENOMEM;
    r->by_status[s->status]++;
    return 0;
}

int judge_gufuncs(struct wp_verify_report *r)
{
    _cleanup_(text_table_free) struct text_table by_path = {0};
    int result = 0;

    for (size_t i = 0; i < r->count && result == 0; i++)
        result =
            text_table_put(&by_path, r->indexes[i].index, strlen(r->indexes[i].index), (uint32_t)i);
    for (size_t i = 0; i < r->count && result == 0; i++) {
        const char *kernel = caches_kernel_of(r->indexes[i].index, r->indexes[i].source);

        if (kernel && wp_status_loads(r->indexes[i].status))
            result = judge_wrapper(r, &by_path, &r->indexes[i], kernel);
    }
    return result;
}

void judge_sort(struct wp_verify_report *r)
{
    array_sort(r->indexes, r->count, path_compare);
}

void wp_verify_report_clear(struct wp_verify_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        judge_clear(&r->indexes[i]);
    for (size_t i = 0; i < r->note_count; i++) {
        free(r->notes[i].path);
        free(r->notes[i].text);
    }
    for (size_t i = 0; i < r->build_count; i++) {
        free(r->builds[i].triple);
        free(r->builds[i].cpu);
        free(r->builds[i].features);
        free(r->builds[i].needs);
    }
    free(r->builds);
    free(r->notes);
    free(r->indexes);
    *r = (struct wp_verify_report){0};
}
