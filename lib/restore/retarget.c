/* Retargeting: finds which indexes of a tree may be, and where its state.jsonl is. For a tree that
 * is repaired, and for one that is to stay as it is in all else: that one is looked at as a dry run
 * of repairing does, and only what lies where Numba looks is changed. */

#include "restore/retarget.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"

/* ---- The indexes of one manifest --------------------------------------------------------- */

/* Descriptors of cache roots outside the tree, after the commit. */
struct roots {
    int fds[LAYOUT_ROOTS]; /* owned; -1: not opened */
};

static void roots_close(struct roots *roots)
{
    for (size_t i = 0; i < LAYOUT_ROOTS; i++)
        cleanup_close(&roots->fds[i]);
}

/* The directory below which PLACED lies now: borrowed; negative: it cannot be opened. */
static int open_root(struct repair *repair, const struct placed_index *placed, int tree,
                     struct roots *roots)
{
    const char *root = placed->root == LAYOUT_USER_WIDE ? layout_user_root(repair->layout)
                                                        : repair->layout->o.cache_dir;
    int *fd = &roots->fds[placed->root];

    if (!placed->staged || placed->root == LAYOUT_TREE)
        return placed->staged ? tree : placed->fd;
    if (*fd < 0 && root)
        *fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd;
}

/* Adds what is placed where Numba looks, valid, and of a source that is what was packed. */
static void add_index(struct restore *restore, struct repair *repair, struct retarget_job *job,
                      const struct placed_index *placed, struct roots *roots)
{
    const struct manifest_index *line =
        tree_index_line(repair->t, placed->tag, path_base(placed->path));
    const struct restored *f = restore_source_of(repair, placed);
    struct retarget_index *item = &job->indexes[job->count];

    if (!line || !line->valid || !placed->file->valid)
        return;
    if (placed->fd < 0 && placed->staged) { /* as on a dry run */
        restore->retargeted->elsewhere++;
        return;
    }
    *item = (struct retarget_index){.fd = open_root(repair, placed, restore->fd, roots),
                                    .path = placed->path,
                                    .shown = placed->shown,
                                    .archived = line->index};
    if (f && f->facts) {
        item->has_source = true;
        item->mtime = restore->keys_alone ? f->before : f->now;
        item->size = f->facts->size;
        item->sha256 = f->facts->sha256;
    }
    job->count += item->fd >= 0;
}

/* ---- Its state --------------------------------------------------------------------------- */

struct state {
    struct restore *restore;
    struct repair *repair;
};

static int put_state(void *ctx, const struct buf *text, struct wp_error *err)
{
    const struct state *state = ctx;
    _cleanup_free_ char *path = path_join(state->repair->t->home, STATE_NAME);
    int r;

    if (!path)
        return error_nomem(err);
    r = restamp_put(state->restore->fd, path, text, NULL);
    return r < 0 ? error_set(err, -r, path, "cannot be written") : 0;
}

/* Reads state.jsonl into TEXT. A tree that no run has looked at yet gets one. */
static int read_state(struct restore *restore, struct repair *repair, bool may_write,
                      struct buf *text, struct wp_error *err)
{
    struct manifest_state state = {0};
    int r = trees_state_read(restore->fd, repair->t->home, &state, text, NULL, err);

    manifest_state_clear(&state);
    if (r != 0 || !may_write)
        return r < 0 ? r : 0;
    r = restore_state_write(restore, repair, err);
    if (r == 0)
        r = trees_state_read(restore->fd, repair->t->home, &state, text, NULL, err);
    manifest_state_clear(&state);
    if (r == 0)
        return error_set(err, 0, repair->t->name, "no state can be written beside it");
    return r < 0 ? r : 0;
}

int restore_retarget(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct state state = {.restore = restore, .repair = repair};
    struct roots roots = {.fds = {-1, -1, -1, -1}};
    const struct layout *l = repair->layout;
    _cleanup_free_ struct retarget_index *indexes = calloc(l->placed_count + 1, sizeof *indexes);
    _cleanup_buf_ struct buf text = {0};
    struct retarget_job job = {.context = restore->retarget_context,
                               .who = restore->who,
                               .m = &repair->t->m,
                               .name = repair->t->name,
                               .indexes = indexes,
                               .state = &text,
                               .dry_run = restore->retarget_dry_run,
                               .prune = restore->retarget_prune,
                               .result = restore->retargeted,
                               .put_state = put_state,
                               .ctx = &state};
    int r;

    if (!indexes)
        return error_nomem(err);
    if (!repair->t->home)
        return error_set(err, 0, repair->t->name,
                         "lies elsewhere: keys are only changed beside a manifest in the tree");
    for (size_t i = 0; i < l->placed_count; i++)
        add_index(restore, repair, &job, &l->placed[i], &roots);
    r = read_state(restore, repair, !job.dry_run && job.count, &text, err);
    if (r == 0)
        r = retarget_run(&job, err);
    roots_close(&roots);
    return r;
}

/* ---- The job ----------------------------------------------------------------------------- */

/* What a dry run would do is not done later, either; what is wrong counts all the same. */
static void pass_warnings(void *user_data, enum wp_severity severity, const char *text)
{
    const struct wp_context *context = user_data;

    if (severity >= WP_WARNING && context->message)
        context->message(context->user_data, severity, text);
}

static int set_who(struct wp_retarget_result *result, const struct retarget_who *who,
                   struct wp_error *err)
{
    const struct wp_python *python = &who->probe.python;

    result->triple = strdup(python->triple);
    result->cpu = strdup(python->cpu);
    result->features = strdup(python->features);
    return result->triple && result->cpu && result->features ? 0 : error_nomem(err);
}

int restore_retarget_begin(struct restore *restore, const struct retarget_who *who,
                           struct wp_retarget_result *result, struct wp_error *err)
{
    restore->retargets = true;
    restore->who = who;
    restore->retargeted = result;
    restore->retarget_context = restore->context;
    restore->retarget_dry_run = restore->o->dry_run;
    restore->retarget_prune = restore->o->prune;
    return who ? set_who(result, who, err) : 0;
}

int restore_retarget_tree(const struct wp_context *context, const struct wp_retarget_options *o,
                          const struct retarget_who *who, struct wp_retarget_result *result,
                          struct wp_error *err)
{
    struct wp_context quiet = context ? *context : (struct wp_context){0};
    struct wp_restore_options look = {.dir = o->dir,
                                      .manifest = o->manifest,
                                      .layout = WP_LAYOUT_KEEP,
                                      .cache_dir = o->cache_dir,
                                      .user = o->user,
                                      .runtime_roots = o->runtime_roots,
                                      .dry_run = true};
    struct wp_restore_result found = {0};
    struct restore restore = {.context = &quiet, .o = &look, .result = &found, .fd = -1};
    int r;

    quiet.message = context ? pass_warnings : NULL;
    quiet.user_data = (void *)context;
    quiet.progress = NULL;
    quiet.confine = NULL; /* called by who unpacks, before */
    *result = (struct wp_retarget_result){0};
    r = restore_retarget_begin(&restore, who, result, err);
    restore.retarget_context = context;
    restore.retarget_dry_run = o->dry_run;
    restore.retarget_prune = o->prune;
    restore.keys_alone = true;
    if (r == 0)
        r = restore_run(&restore, err);
    if (r == 0 && result->elsewhere)
        report(context, WP_WARNING, o->dir,
               "%zu indexes do not lie where Numba looks for them: see warmpack restore",
               result->elsewhere);
    wp_restore_result_clear(&found);
    if (r < 0)
        wp_retarget_result_clear(result);
    return r;
}

int wp_retarget(const struct wp_context *context, const struct wp_retarget_options *o,
                struct wp_retarget_result *result, struct wp_error *err)
{
    _cleanup_(retarget_who_clear) struct retarget_who who = {0};
    int r = options_check(context, o, err);

    *result = (struct wp_retarget_result){0};
    if (r == 0 && !o->undo)
        r = o->who ? retarget_who_ask(&who, context, o->who, err)
                   : error_set(err, 0, NULL, "nobody is named for whom to retarget");
    return r != 0 ? r : restore_retarget_tree(context, o, o->undo ? NULL : &who, result, err);
}
