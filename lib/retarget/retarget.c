/* Runs the job of retargeting the indexes of one tree. */

#include "retarget/retarget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "job.h"
#include "layout/restamp.h"
#include "numba/index_write.h"
#include "tree/beneath.h"

/* An index as it is, and as it was before it was retargeted. */
struct loaded {
    struct buf now_text, was_text;
    struct index now, was;
};

static void loaded_clear(struct loaded *l)
{
    index_clear(&l->now);
    index_clear(&l->was);
    buf_free(&l->now_text);
    buf_free(&l->was_text);
}

/* 1; 0: it is not to be touched, as nothing would load from it, or nothing is known of it. */
static int load(const struct retarget_job *job, const struct manifest_originals *originals,
                struct retarget_index *item, struct loaded *l, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = beneath_read(item->fd, item->path, INDEX_LARGEST, &l->now_text, &item->st);

    /* The state would forget how an index was that it has no line for. */
    if (r < 0 && r != -ENOMEM && !error_is_absence(r) && !file_is_unfit(r))
        return error_set(err, -r, item->shown, "cannot be read");
    if (r == 0)
        r = index_read(&l->now, l->now_text.data, l->now_text.size, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 || (item->has_source &&
                  stamp_matches(&l->now.stamp, item->mtime, item->size, item->sha256) == 0))
        return 0;
    r = original_find(job, item, originals_find(originals, item->archived), &l->now, &l->was_text,
                      &why);
    if (r == 0)
        r = index_read(&l->was, l->was_text.data, l->was_text.size, &why);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        report(job->context, WP_WARNING, item->shown, "is left as it is: %s", why.message);
    return r == 0;
}

static int remove_gone(const struct retarget_index *item, struct wp_error *err)
{
    for (size_t i = 0; i < item->gone_count; i++) {
        int r = beneath_remove(item->fd, item->gone[i]);

        if (r < 0)
            return error_set(err, -r, item->gone[i], "cannot be removed");
    }
    return 0;
}

static void item_clear(struct retarget_index *item)
{
    buf_free(&item->text);
    for (size_t i = 0; i < item->gone_count; i++)
        free(item->gone[i]);
    free(item->gone);
}

/* ---- What becomes of one ----------------------------------------------------------------- */

/* Appends to OUT what ITEM is to become. */
static int make(const struct retarget_job *job, const struct builds *builds,
                struct retarget_index *item, const struct loaded *l, struct buf *out,
                struct wp_error *err)
{
    const struct wp_python *python = job->who ? &job->who->probe.python : NULL;
    const struct index_cpu cpu = {.name = python ? python->cpu : NULL,
                                  .features = python ? python->features : NULL};
    _cleanup_(choice_clear) struct choice c = {0};
    struct wp_error why = {0};
    int r = job->who && l->was.count ? choice_make(&l->was, builds, &c) : 0;

    if (r == 0 && c.loads)
        r = choice_count(job->result, &l->was, &c);
    if (r == 0 && choice_drops(job, builds, &l->was, &c)) {
        r = choice_prune(&l->was, &c, &cpu, out, &why);
        if (r == 0)
            r = choice_note_gone(item, &l->was, &c);
    } else if (r == 0 && c.any) {
        r = index_retarget(&l->was, c.chosen, &cpu, out, &why);
    } else if (r == 0) {
        r = buf_add(out, l->was_text.data, l->was_text.size);
    }
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == 0)
        return 0;
    report(job->context, WP_WARNING, item->shown, "is left as it is: %s",
           why.code ? why.message : "its keys are too many or too deep to be compared");
    return buf_add(out, l->now_text.data, l->now_text.size) < 0 ? error_nomem(err) : 0;
}

/* ---- All of them ------------------------------------------------------------------------- */

/* The lines of originals to come: while indexes are being written, and afterwards. */
struct lines {
    struct buf during, after;
    bool *seen; /* for each original that there was: its index was looked at; owned */
};

static void lines_clear(struct lines *l)
{
    buf_free(&l->during);
    buf_free(&l->after);
    free(l->seen);
}

static int check_kept(const struct lines *lines, int r, const char *name, struct wp_error *err)
{
    if (r == 0 && lines->during.size > STATE_LARGEST / 2)
        r = -EFBIG;
    return r == -EFBIG ? error_set(err, EFBIG, name, "cannot be kept as it was")
           : r < 0     ? error_nomem(err)
                       : 0;
}

static bool is_first(const struct retarget_job *job, size_t which)
{
    for (size_t i = 0; i < which; i++)
        if (job->indexes[i].is_loaded &&
            strcmp(job->indexes[i].archived, job->indexes[which].archived) == 0)
            return false;
    return true;
}

/* Keeps ITEM as it was, where it is another now or is to be. */
static int keep(const struct retarget_job *job, size_t which, const struct loaded *l,
                const struct buf *next, struct lines *lines, struct wp_error *err)
{
    const struct retarget_index *item = &job->indexes[which];
    int r = 0;

    if (!is_first(job, which)) /* it lies in several places */
        return 0;
    if (!buf_equals(&l->was_text, next))
        r = originals_write(&lines->after, item->archived, &l->was_text);
    if (r == 0 && !(buf_equals(&l->was_text, next) && buf_equals(&l->was_text, &l->now_text)))
        r = originals_write(&lines->during, item->archived, &l->was_text);
    return check_kept(lines, r, item->shown, err);
}

/* Keeps the originals of indexes that could not be looked at, or that do not fit now: a cache root
 * may be away for the moment, and a source may become again what it was. */
static int keep_others(const struct manifest_originals *originals, struct lines *lines,
                       struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < originals->count && r == 0; i++) {
        const struct manifest_original *o = &originals->list[i];

        if (lines->seen[i])
            continue;
        r = originals_write(&lines->during, o->index, &o->text);
        if (r == 0)
            r = originals_write(&lines->after, o->index, &o->text);
        r = check_kept(lines, r, o->index, err);
    }
    return r;
}

static int plan(struct retarget_job *job, const struct manifest_originals *originals,
                const struct builds *builds, struct lines *lines, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < job->count && r == 0; i++) {
        _cleanup_(loaded_clear) struct loaded l = {0};
        struct retarget_index *item = &job->indexes[i];
        const struct manifest_original *original;
        _cleanup_buf_ struct buf next = {0};

        r = context_check(job->context, err);
        if (r == 0)
            r = load(job, originals, item, &l, err);
        if (r <= 0)
            continue; /* an error ends the loop */
        original = originals_find(originals, item->archived);
        if (original)
            lines->seen[original - originals->list] = true;
        item->is_loaded = true;
        r = make(job, builds, item, &l, &next, err);
        if (r == 0)
            r = keep(job, i, &l, &next, lines, err);
        job->result->indexes++;
        if (r < 0 || buf_equals(&next, &l.now_text))
            continue;
        job->result->changed++;
        item->text = next;
        next = (struct buf){0};
        report(job->context, job->dry_run ? WP_NOTE : WP_DETAIL, item->shown,
               job->dry_run ? "its keys would be changed" : "its keys are changed");
    }
    return r;
}

static int gather(const struct retarget_job *job, const struct manifest_originals *originals,
                  struct builds *builds, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < job->count && r >= 0 && job->who; i++) {
        _cleanup_(loaded_clear) struct loaded l = {0};

        r = context_check(job->context, err);
        if (r == 0)
            r = load(job, originals, &job->indexes[i], &l, err);
        if (r > 0)
            r = builds_add(builds, job, &l.was, err);
    }
    builds_choose(builds, job->m);
    return r < 0 ? r : 0;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* state.jsonl with these lines in the place of those that it has. */
static int put_state(const struct retarget_job *job, const struct buf *lines, struct buf *before,
                     struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};

    if (buf_add(&text, lines->data, lines->size) < 0 ||
        originals_leave_out(&text, job->state->data, job->state->size) < 0)
        return error_nomem(err);
    if (buf_equals(&text, before))
        return 0;
    buf_clear(before);
    if (buf_add(before, text.data, text.size) < 0)
        return error_nomem(err);
    return job->put_state(job->ctx, &text, err);
}

static int put_index(const struct retarget_index *item, struct wp_error *err)
{
    int r = restamp_replace_read(item->fd, item->path, item->text.data, item->text.size, &item->st,
                                 NULL);

    if (r == -EBUSY)
        return error_set(err, 0, item->shown, "has changed meanwhile");
    return r < 0 ? error_set(err, -r, item->shown, "cannot be written") : 0;
}

static int put_all(const struct retarget_job *job, const struct lines *lines, struct wp_error *err)
{
    _cleanup_buf_ struct buf before = {0};
    int r = buf_add(&before, job->state->data, job->state->size) < 0
                ? error_nomem(err)
                : put_state(job, &lines->during, &before, err);
    bool begun = r == 0;

    for (size_t i = 0; i < job->count && r == 0; i++) {
        r = context_check(job->context, err);
        if (r == 0 && job->indexes[i].text.size)
            r = put_index(&job->indexes[i], err);
    }
    if (r == 0)
        r = put_state(job, &lines->after, &before, err);
    for (size_t i = 0; i < job->count && r == 0; i++)
        r = remove_gone(&job->indexes[i], err);
    if (r < 0 && begun)
        error_note(err, "keys may have been changed before that, and the same again goes on");
    return r;
}

/* ---- The result -------------------------------------------------------------------------- */

/* Moves what is told of BUILDS to the result. */
static int fill_result(const struct retarget_job *job, struct builds *builds, struct wp_error *err)
{
    struct wp_retarget_result *result = job->result;

    for (size_t i = 0; i < builds->count; i++) {
        struct wp_retarget_build *b = &builds->list[i].told;

        if (array_grow(result->builds, result->build_count) < 0)
            return error_nomem(err);
        if (b->reason)
            report(job->context, WP_WARNING, NULL, "%zu overload%s for CPU %s stay%s as %s: %s",
                   b->overloads, b->overloads == 1 ? "" : "s", b->cpu, b->overloads == 1 ? "s" : "",
                   b->overloads == 1 ? "it is" : "they are", b->reason);
        b->is_chosen = &builds->list[i] == builds->chosen;
        result->builds[result->build_count++] = *b;
        *b = (struct wp_retarget_build){0};
    }
    return 0;
}

int retarget_run(struct retarget_job *job, struct wp_error *err)
{
    _cleanup_(originals_clear) struct manifest_originals originals = {0};
    _cleanup_(builds_clear) struct builds builds = {0};
    _cleanup_(lines_clear) struct lines lines = {0};
    int r = originals_read(&originals, job->state->data, job->state->size, job->name, err);

    if (r == 0 && !(lines.seen = calloc(originals.count + 1, sizeof *lines.seen)))
        r = error_nomem(err);
    if (r == 0)
        r = gather(job, &originals, &builds, err);
    if (r == 0)
        r = plan(job, &originals, &builds, &lines, err);
    if (r == 0)
        r = keep_others(&originals, &lines, err);
    if (r == 0)
        r = fill_result(job, &builds, err);
    if (r == 0 && !job->dry_run)
        r = put_all(job, &lines, err);
    for (size_t i = 0; i < job->count; i++)
        item_clear(&job->indexes[i]);
    return r;
}

void wp_retarget_result_clear(struct wp_retarget_result *r)
{
    for (size_t i = 0; i < r->build_count; i++)
        build_clear(&r->builds[i]);
    free(r->builds);
    free(r->triple);
    free(r->cpu);
    free(r->features);
    *r = (struct wp_retarget_result){0};
}
