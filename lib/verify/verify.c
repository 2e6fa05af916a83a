/* The job of verifying a tree: finds every index that belongs to it, and judges each. */

#include "job.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "judge/judge.h"

/* What links lead to may belong to indexes that are reported by the names of these. */
static int add_leftover(struct verify_tree *t, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);

    if (!dir)
        return error_nomem(err);
    if (!verify_is_in_cache(path) || verify_links_lead_to(t, dir))
        return 0;
    return leftovers_add(&t->leftovers, path) < 0 ? error_nomem(err) : 0;
}

static int judge_in_tree(struct verify_tree *t, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < t->walk.count && r == 0; i++) {
        const struct entry *e = &t->walk.items[i].entry;

        r = context_check(t->context, err);
        if (r == 0 && caches_is_index(e->path))
            r = verify_judge_in_tree(t, e, err);
        else if (r == 0 && (e->type == ENTRY_FILE || e->type == ENTRY_HARDLINK))
            r = add_leftover(t, e->path, err);
    }
    return r;
}

static int judge_roots(struct verify_tree *t, struct wp_error *err)
{
    _cleanup_free_ char *user_wide = places_user_wide(&t->v.user, t->v.is_caller);
    int r = t->cache_dir ? verify_judge_root(t, t->cache_dir, false, err) : 0;

    return r == 0 && user_wide ? verify_judge_root(t, user_wide, true, err) : r;
}

static int take_notes(struct verify_tree *t, struct wp_error *err)
{
    const char *locators =
        t->o->python ? t->v.expect->asked.locators : getenv("NUMBA_CACHE_LOCATOR_CLASSES");

    if (note_leftovers(t->out, &t->leftovers) < 0 || note_locators(t->out, locators) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < t->trees.count; i++)
        if (note_settings(t->out, &t->trees.list[i].m) < 0)
            return error_nomem(err);
    return 0;
}

/* Who will load, and with what. */
static int begin(struct verify_tree *t, struct judge_expect *expect, struct wp_error *err)
{
    int r = verify_begin(&t->v, t->o->user, err);

    if (r == 0)
        r = trust_read(&t->trust, t->o->trust, err);
    if (r == 0)
        r = judge_expect_begin(expect, t->context, t->o, err);
    t->v.expect = expect;
    t->v.notes = t->out;
    t->out->keys = true;
    if (!t->cache_dir)
        t->cache_dir = expect->asked.cache_dir;
    return r;
}

static int walk(struct verify_tree *t, struct wp_error *err)
{
    struct walk_options options = {.numeric_owner = true, .context = t->context};
    int r = walk_add_root(&t->walk, t->dir, err);

    if (r >= 0)
        r = walk_add(&t->walk, (unsigned)r, ".", "", &options, err);
    return r < 0 ? r : walk_finish(&t->walk, err);
}

static int run(struct verify_tree *t, struct judge_expect *expect, struct wp_error *err)
{
    int r = begin(t, expect, err);

    if (r == 0)
        r = walk(t, err);
    if (r == 0)
        r = verify_know_directories(t, err);
    if (r == 0)
        r = verify_links_find(t, err);
    if (r == 0)
        r = judge_in_tree(t, err);
    if (r == 0)
        r = verify_links(t, err);
    if (r == 0)
        r = judge_roots(t, err);
    if (r == 0)
        r = verify_signed(t, err);
    if (r == 0)
        r = verify_outdated(t, err);
    if (r == 0)
        r = verify_absent(t, err);
    if (r == 0)
        r = verify_locator(t, err);
    if (r == 0)
        r = take_notes(t, err);
    if (r == 0)
        r = verify_compiled(t->out, expect, &t->trees, err);
    judge_sort(t->out);
    t->out->manifest = t->trees.count > 0;
    return r;
}

static void clear(struct verify_tree *t)
{
    verify_end(&t->v);
    trust_clear(&t->trust);
    path_list_clear(&t->leftovers);
    trees_clear(&t->trees);
    cleanup_close(&t->trees.fd);
    free(t->dir_path);
    caches_free(t->known);
    caches_free(t->was);
    caches_free(t->zipped);
    caches_free_bases(t->bases);
    verify_links_clear(t);
    walk_free(&t->walk);
}

int wp_verify_tree(const struct wp_context *context, const char *dir,
                   const struct wp_verify_options *o, struct wp_verify_report *result,
                   struct wp_error *err)
{
    struct verify_tree t = {.context = context,
                            .dir = dir,
                            .o = o,
                            .cache_dir = o->cache_dir,
                            .out = result,
                            .trees.fd = -1};
    struct judge_expect expect = {0};
    int r = options_check(context, o, err);

    *result = (struct wp_verify_report){0};
    if (r < 0)
        return r;
    walk_init(&t.walk);
    r = run(&t, &expect, err);
    judge_expect_end(&expect);
    clear(&t);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}
