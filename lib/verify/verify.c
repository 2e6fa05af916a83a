/* The job of verifying a tree: finds every index that belongs to it, and judges each. */

#include "job.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "commit/staging.h"
#include "judge/distributions.h"
#include "judge/judge.h"

/* Notes a file of caches. What links lead to may belong to indexes reported by their names. */
static int add_leftover(struct verify_tree *tree, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);

    if (!dir)
        return error_nomem(err);
    if (!verify_is_in_cache(path) || verify_links_lead_to(tree, dir))
        return 0;
    return leftovers_add(&tree->leftovers, path) < 0 ? error_nomem(err) : 0;
}

static int judge_in_tree(struct verify_tree *tree, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < tree->walk.count && r == 0; i++) {
        const struct entry *e = &tree->walk.items[i].entry;

        r = context_check(tree->context, err);
        if (r == 0 && caches_is_index(e->path))
            r = verify_judge_in_tree(tree, e, err);
        else if (r == 0 && (e->type == ENTRY_FILE || e->type == ENTRY_HARDLINK))
            r = add_leftover(tree, e->path, err);
    }
    return r;
}

static int judge_roots(struct verify_tree *tree, struct wp_error *err)
{
    _cleanup_free_ char *user_wide = places_user_wide(&tree->verify.user, tree->verify.is_caller);
    int r = user_wide || errno != ENOMEM ? 0 : error_nomem(err);

    if (r == 0 && tree->cache_dir)
        r = verify_judge_root(tree, tree->cache_dir, false, err);
    return r == 0 && user_wide ? verify_judge_root(tree, user_wide, true, err) : r;
}

static int take_notes(struct verify_tree *tree, struct wp_error *err)
{
    const char *locators = tree->o->python ? tree->verify.expect->asked.locators
                                           : getenv("NUMBA_CACHE_LOCATOR_CLASSES");

    if (note_leftovers(tree->out, &tree->leftovers) < 0 || note_locators(tree->out, locators) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < tree->trees.count; i++)
        if (note_settings(tree->out, &tree->trees.list[i].m) < 0)
            return error_nomem(err);
    for (size_t i = 0; i < tree->trees.count; i++) {
        int r = note_distributions(tree->out, &tree->trees.list[i].m, tree->context,
                                   tree->o->python, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Finds out who will load the indexes, and with which interpreter. */
static int begin(struct verify_tree *tree, struct judge_expect *expect, struct wp_error *err)
{
    int r = verify_begin(&tree->verify, tree->o->user, err);

    if (r == 0)
        r = trust_read(&tree->trust, tree->o->trust, err);
    if (r == 0)
        r = judge_expect_begin(expect, tree->context, tree->o, err);
    tree->verify.expect = expect;
    tree->verify.notes = tree->out;
    tree->out->keys = true;
    if (!tree->cache_dir)
        tree->cache_dir = expect->asked.cache_dir;
    return r;
}

static int walk(struct verify_tree *tree, struct wp_error *err)
{
    struct walk_options options = {.numeric_owner = true, .context = tree->context};
    int r = walk_add_root(&tree->walk, tree->dir, err);

    if (r >= 0)
        r = walk_add(&tree->walk, (unsigned)r, ".", "", &options, err);
    return r < 0 ? r : walk_finish(&tree->walk, err);
}

static int run(struct verify_tree *tree, struct judge_expect *expect, struct wp_error *err)
{
    int r = begin(tree, expect, err);

    if (r == 0)
        r = walk(tree, err);
    if (r == 0)
        tree->out->unfinished =
            staging_warn_of_unfinished(tree->dir, &tree->walk.staged, tree->context);
    if (r == 0)
        r = verify_know_directories(tree, err);
    if (r == 0)
        r = verify_links_find(tree, err);
    if (r == 0)
        r = judge_in_tree(tree, err);
    if (r == 0)
        r = verify_links(tree, err);
    if (r == 0)
        r = judge_roots(tree, err);
    if (r == 0)
        r = verify_signed(tree, err);
    if (r == 0)
        r = verify_outdated(tree, err);
    if (r == 0 && judge_gufuncs(tree->out) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = verify_absent(tree, err);
    if (r == 0)
        r = verify_locator(tree, err);
    if (r == 0)
        r = take_notes(tree, err);
    if (r == 0)
        r = verify_compiled(tree->out, expect, &tree->trees, err);
    judge_sort(tree->out);
    tree->out->manifest = tree->trees.count > 0;
    return r;
}

static void clear(struct verify_tree *tree)
{
    verify_end(&tree->verify);
    trust_clear(&tree->trust);
    path_list_clear(&tree->leftovers);
    trees_clear(&tree->trees);
    cleanup_close(&tree->trees.fd);
    free(tree->dir_path);
    caches_free(tree->known);
    caches_free(tree->was);
    caches_free(tree->zipped);
    caches_free_bases(tree->bases);
    verify_links_clear(tree);
    walk_free(&tree->walk);
}

int wp_verify_tree(const struct wp_context *context, const char *dir,
                   const struct wp_verify_options *o, struct wp_verify_report *result,
                   struct wp_error *err)
{
    struct verify_tree tree = {.context = context,
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
    r = run(&tree, &expect, err);
    judge_expect_end(&expect);
    clear(&tree);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}
