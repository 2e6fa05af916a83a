/* The layout, the proof: judges every index in its final place like any other on disk, by the
 * pool. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "judge/judge.h"
#include "layout.h"

enum {
    RUN = 16,  /* indexes of a job */
    RUNS = 64, /* jobs at a time: what they find takes memory */
};

struct run {
    struct pool_job job;
    const struct layout *l;
    const struct placed_index *placed; /* COUNT of them */
    size_t count;
    struct wp_index_status judged[RUN];
    int result;
    struct wp_error why;
};

/* What layout_verify was asked for, and what it works with. */
struct proof {
    const struct layout *l;
    struct pool *pool;
    struct run *runs; /* RUNS of them */
    struct wp_verify_report *verify;
    size_t *was_valid, *lost;
};

/* What only a look at all of the tree tells was told when it was packed. */
static int judge_as_packed(const struct manifest_index *packed, struct wp_index_status *s)
{
    static const enum wp_status told[] = {WP_OUTDATED, WP_MISNAMED, WP_TYPE_MISSING};

    if (!packed || packed->valid || !packed->status || !wp_status_loads(s->status))
        return 0;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strcmp(packed->status, wp_status_name(told[i])) == 0)
            return judge_set(s, told[i], "%s", packed->reason ? packed->reason : "when packed");
    return 0;
}

static int judge_placed(struct verify *v, const struct placed_index *placed,
                        struct wp_index_status *s, struct wp_error *err)
{
    _cleanup_free_ char *shadowed = NULL;
    int r = placed->user_wide ? verify_shadowed(v, placed->source_dir, &shadowed) : 0;
    struct verify_place place = {.index = placed->index,
                                 .index_shown = placed->shown,
                                 .source = placed->source,
                                 .source_shown = placed->source_shown,
                                 .misplaced = shadowed};

    if (r < 0)
        return error_nomem(err);
    r = verify_place(v, &place, s, err);
    return r == 0 && judge_as_packed(placed->file->packed, s) < 0 ? error_nomem(err) : r;
}

static void judge_run(struct pool_job *job)
{
    struct run *run = (struct run *)job;
    struct verify mine = {.user = run->l->o.verify->user, .is_caller = run->l->o.verify->is_caller};

    for (size_t i = 0; i < run->count && run->result == 0; i++)
        if (!run->placed[i].removed)
            run->result = judge_placed(&mine, &run->placed[i], &run->judged[i], &run->why);
    mine.user = (struct places_user){0}; /* is not this run's */
    verify_end(&mine);
}

/* Adds what a run found, in its order. */
static int add_run(struct proof *p, struct run *run, struct wp_error *err)
{
    if (run->result < 0) {
        error_pass(err, &run->why);
        return run->result;
    }
    for (size_t i = 0; i < run->count; i++)
        if (!run->placed[i].removed && judge_add(p->verify, &run->judged[i]) < 0)
            return error_nomem(err);
    return 0;
}

/* The report has the indexes from FIRST on, in their order. */
static void count(struct proof *p, size_t first)
{
    for (size_t i = 0; i < p->l->placed_count; i++) {
        const struct placed_index *placed = &p->l->placed[i];

        if (placed->removed)
            continue;
        *p->was_valid += placed->was_valid;
        *p->lost += placed->was_valid && !wp_status_loads(p->verify->indexes[first].status);
        first++;
    }
}

/* Judges the indexes from FIRST on, COUNT of them. */
static int judge_some(struct proof *p, size_t first, size_t count, struct wp_error *err)
{
    const size_t jobs = (count + RUN - 1) / RUN;
    int r = 0;

    for (size_t i = 0; i < jobs; i++) {
        struct run *run = &p->runs[i];

        run->job.run = judge_run;
        run->l = p->l;
        run->placed = &p->l->placed[first + i * RUN];
        run->count = count - i * RUN < RUN ? count - i * RUN : RUN;
        pool_submit(p->pool, &run->job);
    }
    pool_drain(p->pool);
    for (size_t i = 0; i < jobs; i++) {
        if (r == 0)
            r = add_run(p, &p->runs[i], err);
        for (size_t k = 0; k < p->runs[i].count; k++)
            judge_clear(&p->runs[i].judged[k]);
    }
    return r;
}

int layout_verify(struct layout *l, struct pool *pool, struct wp_verify_report *verify,
                  size_t *was_valid, size_t *lost, struct wp_error *err)
{
    _cleanup_free_ struct run *runs = calloc(RUNS, sizeof *runs);
    struct proof p = {
        .l = l, .pool = pool, .runs = runs, .verify = verify, .was_valid = was_valid, .lost = lost};
    const size_t before = verify->count;
    size_t some;
    int r = 0;

    if (!runs)
        return error_nomem(err);
    /* By directory, so that each is looked at seldom more than once. */
    array_sort(l->placed, l->placed_count, path_compare);
    for (size_t first = 0; first < l->placed_count && r == 0; first += some) {
        some = l->placed_count - first < RUNS * RUN ? l->placed_count - first : RUNS * RUN;
        r = judge_some(&p, first, some, err);
    }
    if (r == 0 && judge_gufuncs(verify) < 0)
        r = error_nomem(err);
    if (r == 0)
        count(&p, before);
    judge_sort(verify);
    return r;
}
