/* Verifying a tree: which valid indexes hold code of a file that has changed since, which Numba
 * does not notice, or name a module or class that is not there. Where a manifest knows what they
 * were compiled with, content decides of change; else times. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "judge/named.h"
#include "judge/notes.h"
#include "judge/outdated.h"
#include "numba/zipped.h"
#include "outdated.h"
#include "tree/beneath.h"

enum { LARGEST = 1 << 30 };

/* ---- Files -------------------------------------------------------------------------------- */

/* What is not to be read has no imports: Python cannot read it either. */
int outdated_read(const char *path, struct buf *out, struct wp_error *err)
{
    int r;

    buf_clear(out);
    r = file_read(path, LARGEST, out, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 && !beneath_is_out_of_reach(r))
        return error_set(err, -r, path, "cannot be read");
    if (r < 0)
        buf_clear(out);
    return 0;
}

static int read_file(void *ctx, size_t file, struct buf *out, struct wp_error *err)
{
    const struct looking *l = ctx;
    _cleanup_free_ char *path = path_join(l->tree->dir, l->paths[file]);

    return path ? outdated_read(path, out, err) : error_nomem(err);
}

static int read_data(void *ctx, const char *name, struct buf *out, struct wp_error *err)
{
    const struct looking *l = ctx;
    _cleanup_free_ char *path = path_join(l->dir, name);

    return path ? outdated_read(path, out, err) : error_nomem(err);
}

char *outdated_index_path(const struct looking *l, const struct wp_index_status *s)
{
    return *s->index == '/' ? strdup(s->index) : path_join(l->tree->dir, s->index);
}

static int list_files(struct looking *l)
{
    const struct walk *w = &l->tree->walk;

    l->paths = calloc(w->count + 1, sizeof *l->paths);
    l->targets = calloc(w->count + 1, sizeof *l->targets);
    l->items = calloc(w->count + 1, sizeof *l->items);
    l->source_of = calloc(l->tree->out->count + 1, sizeof *l->source_of);
    l->same_of = calloc(l->tree->out->count + 1, sizeof *l->same_of);
    l->sources = calloc(l->tree->out->count + 1, sizeof *l->sources);
    l->changed = calloc(l->tree->trees.count + 1, sizeof *l->changed);
    if (!l->paths || !l->targets || !l->items || !l->source_of || !l->same_of || !l->sources ||
        !l->changed)
        return -ENOMEM;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (w->items[i].entry.type == ENTRY_DIR || caches_is_index(path) || caches_is_data(path))
            continue;
        if (w->items[i].entry.type == ENTRY_SYMLINK)
            l->targets[l->count] = w->items[i].entry.target;
        l->paths[l->count] = path;
        l->items[l->count++] = i;
    }
    return 0;
}

/* The file that SOURCE is, or the zip that it lies in. */
static size_t source_number(const struct looking *l, const char *source)
{
    const size_t n = zipped_length(source);
    _cleanup_free_ char *zip = n ? strndup(source, n) : NULL;
    size_t number = depends_number_of(l->paths, l->count, source);

    return number == SIZE_MAX && zip ? depends_number_of(l->paths, l->count, zip) : number;
}

/* Looks into the valid indexes whose sources are in the tree. */
static int look_into_indexes(struct looking *l, struct wp_error *err)
{
    const struct wp_verify_report *out = l->tree->out;

    for (size_t i = 0; i < out->count; i++) {
        const struct wp_index_status *s = &out->indexes[i];
        _cleanup_free_ char *path = NULL, *dir = NULL;
        _cleanup_buf_ struct buf text = {0};
        int r;

        l->same_of[i] = SIZE_MAX;
        l->source_of[i] =
            s->status == WP_VALID && s->source ? source_number(l, s->source) : SIZE_MAX;
        if (l->source_of[i] == SIZE_MAX)
            continue;
        path = outdated_index_path(l, s);
        dir = path ? path_dir(path) : NULL;
        if (!dir)
            return error_nomem(err);
        l->any = true;
        l->dir = dir;
        r = outdated_read(path, &text, err);
        if (r == 0)
            r = came_from_look(&l->from, l->source_of[i], i, &text, read_data, l, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- All of them -------------------------------------------------------------------------- */

int outdated_say(struct looking *l, size_t i, const char *changed)
{
    struct wp_verify_report *out = l->tree->out;

    if (outdated_set(&out->indexes[i], changed) < 0)
        return -ENOMEM;
    out->by_status[WP_VALID]--;
    out->by_status[out->indexes[i].status]++;
    return 0;
}

/* Judges index number I without following imports, if that can be done: then it has no source any
 * more. NEWEST is that of all the tree. */
static int judge_one(struct looking *l, size_t i, const struct newest *newest, struct wp_error *err)
{
    struct wp_verify_report *out = l->tree->out;
    struct wp_index_status *s = &out->indexes[i];
    const struct named_wrong *wrong = named_wrong_of(&l->from, i);
    const char *changed = NULL;
    int r = wrong ? 1 : outdated_by_content(l, s, &changed, err);

    if (r < 0 || (r == 0 && outdated_is_older(l, i, newest)))
        return r < 0 ? r : 0;
    l->untold += r == 0 && outdated_times_are_new(l, i);
    if (r > 0 && !wrong && !changed)
        l->same_of[i] = l->source_of[i];
    l->source_of[i] = SIZE_MAX;
    if (changed)
        return outdated_say(l, i, changed) < 0 ? error_nomem(err) : 0;
    if (!wrong)
        return 0;
    if (named_set(s, &l->from, wrong) < 0)
        return error_nomem(err);
    out->by_status[WP_VALID]--;
    out->by_status[s->status]++;
    return 0;
}

static int judge_all(struct looking *l, struct wp_error *err)
{
    const struct newest newest = outdated_newest(l);
    int r = 0;

    for (size_t k = 0; k < l->tree->trees.count && r == 0; k++)
        if (!l->tree->trees.list[k].dirs && tree_find_dirs(&l->tree->trees.list[k]) < 0)
            r = error_nomem(err);
    if (r == 0)
        r = named_find(&l->from, err);
    for (size_t i = 0; i < l->tree->out->count && r == 0; i++)
        if (l->source_of[i] != SIZE_MAX)
            r = judge_one(l, i, &newest, err);
    if (r == 0)
        r = outdated_by_added(l, err);
    return r == 0 ? outdated_by_imports(l, err) : r;
}

/* Once for all: in a checkout there can be thousands. */
static int note_untold(const struct looking *l, struct wp_error *err)
{
    if (l->untold &&
        note_add(l->tree->out, WP_NOTE_TIMES, NULL,
                 "%zu %s by content and older than %s: whether other files that the code came from "
                 "have changed cannot be told",
                 l->untold, l->untold == 1 ? "index is valid" : "indexes are valid",
                 l->untold == 1 ? "its source" : "their sources") < 0)
        return error_nomem(err);
    return 0;
}

static void clear(struct looking *l)
{
    for (size_t k = 0; l->changed && k < l->tree->trees.count; k++)
        free(l->changed[k]);
    free(l->changed);
    free(l->paths);
    free(l->targets);
    free(l->items);
    free(l->source_of);
    free(l->same_of);
    free(l->sources);
    came_from_clear(&l->from);
}

int verify_outdated(struct verify_tree *tree, struct wp_error *err)
{
    struct looking l = {.tree = tree};
    int r = list_files(&l) < 0 ? error_nomem(err) : 0;

    l.from = (struct came_from){.paths = l.paths,
                                .count = l.count,
                                .targets = l.targets,
                                .python = tree->o->python,
                                .context = tree->context,
                                .read = read_file,
                                .ctx = &l};
    if (r == 0)
        r = look_into_indexes(&l, err);
    if (r == 0 && l.any)
        r = judge_all(&l, err);
    if (r == 0)
        r = note_untold(&l, err);
    clear(&l);
    return r;
}
