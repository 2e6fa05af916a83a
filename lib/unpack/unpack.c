/* The job of unpacking: selects entries, stages them, checks them, lays out the caches, commits,
 * and proves that the indexes are valid. */

#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/caches.h"
#include "restore/relocate.h"
#include "restore/retarget.h"
#include "tree/beneath.h"
#include "tree/walk.h"

/* ---- Staging ----------------------------------------------------------------------------- */

/* Directories above PATH. In an archive sorted by name they are there already. */
static int make_parents(struct unpack *u, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);
    const struct unpacked *parent;

    if (!dir)
        return error_nomem(err);
    if (!*dir)
        return 0;
    parent = unpack_find(u, dir);
    if (parent && parent->e.type == ENTRY_DIR)
        return 0;
    if (parent)
        return error_set(err, ENOTDIR, path, "lies in %s, which is no directory", path_base(dir));
    return create_dir(u->tree, dir, 0700, err);
}

/* The archive has a second entry of that name: as in tar, the last one counts. */
static int replace_earlier(struct unpack *u, struct unpack_files *files, struct unpacked *earlier,
                           const struct unpacked *item, struct wp_error *err)
{
    int r;

    if (earlier->e.type == ENTRY_DIR && item->e.type == ENTRY_DIR)
        return 0;
    if (earlier->e.type == ENTRY_DIR)
        return error_set(err, EISDIR, item->e.path, "is in the archive twice");
    r = unpack_files_finish(files, err);
    if (r == 0)
        r = unpack_links_resolve(u, earlier, err);
    if (r < 0)
        return r;
    earlier->skipped = true;
    r = beneath_remove(u->tree, item->e.path);
    return r < 0 ? error_set(err, -r, item->e.path, "cannot be replaced") : 0;
}

static int stage_entry(struct unpack *u, struct unpack_files *files, struct unpacked *item,
                       struct wp_error *err)
{
    struct unpacked *earlier = unpack_find(u, item->e.path);
    int r = item->e.type == ENTRY_HARDLINK ? unpack_links_add(u, item, earlier, err) : 0;

    if (r < 0 || item->skipped)
        return r;
    r = earlier ? replace_earlier(u, files, earlier, item, err)
                : make_parents(u, item->e.path, err);
    if (r < 0)
        return r;
    if (item->e.type == ENTRY_DIR)
        return create_dir(u->tree, item->e.path, create_mode(&u->policy, &item->e), err);
    return item->e.type == ENTRY_FILE ? unpack_files_add(files, item, err) : 0;
}

/* Takes the current entry, which is not the manifest. */
static int take_entry(struct unpack *u, struct unpack_files *files, const struct entry *e,
                      struct wp_error *err)
{
    struct unpacked *item = NULL;
    int r = unpack_make_item(u, e, &item, err);

    if (r == 0 && !item->skipped)
        r = unpack_add_size(u, e, err);
    if (r == 0 && !item->skipped) {
        r = stage_entry(u, files, item, err);
        if (r == 0)
            report(u->a->context, WP_DETAIL, item->e.path, NULL);
        if (r == 0)
            unpack_tell_size(u);
    }
    if (r == 0 && unpack_add_item(u, item) < 0)
        r = error_nomem(err);
    if (r < 0 && item) {
        unpack_files_finish(files, NULL); /* a job may still use it */
        unpack_item_free(item);
    }
    return r;
}

/* Takes what archive_next has come to; the directory itself keeps what it has. */
static int take_step(struct unpack *u, struct unpack_files *files, enum archive_step step,
                     const struct entry *e, struct wp_error *err)
{
    int r = step == ARCHIVE_TOP ? 0 : unpack_check_safe(e, err);

    if (r < 0 || step == ARCHIVE_TOP)
        return r;
    if (step == ARCHIVE_ENTRY)
        return take_entry(u, files, e, err);
    patterns_note(&u->patterns, e->path);
    return unpack_stage_manifest(u, e, err);
}

/* All of the archive into the staged tree, but for links, which come when all files are there. */
static int stage_entries(struct unpack *u, struct wp_error *err)
{
    struct archive_reading in = {.a = u->a, .tells_progress = true};
    struct unpack_files *files = NULL;
    int r = unpack_files_new(&files, u, err);

    while (r == 0 && (r = archive_next(&in, err)) > 0)
        r = take_step(u, files, (enum archive_step)r, in.e, err);
    if (r == 0)
        r = unpack_files_finish(files, err);
    unpack_files_free(files);
    if (r == 0)
        patterns_tell_unused(&u->patterns, u->a->context);
    return r;
}

static int set_directories(struct unpack *u, struct wp_error *err)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct unpacked *item = u->items[i];
        struct staging_dir d = {.path = item->e.path, .mtime = item->e.mtime};

        if (item->skipped || item->e.type != ENTRY_DIR)
            continue;
        d.mode = create_mode(&u->policy, &item->e);
        create_owner(&u->policy, &item->e, &d.uid, &d.gid);
        if (staging_set_dir(u->staging, 0, &d) < 0)
            return error_nomem(err);
    }
    return 0;
}

/* ---- The job ----------------------------------------------------------------------------- */

/* Is it the manifest of an archive of caches alone? */
static bool has_absent(const struct manifest *m)
{
    for (size_t i = 0; i < m->entry_count; i++)
        if (m->entries[i].absent)
            return true;
    return false;
}

/* The manifest comes last, so that an archive whose manifest is there is there as a whole. */
static int commit_manifest_last(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *state = path_join(u->home, STATE_NAME);
    _cleanup_free_ char *manifest = path_join(u->home, MANIFEST_NAME);

    return state && manifest && staging_set_last(u->staging, 0, state) == 0 &&
                   staging_set_last(u->staging, 0, manifest) == 0
               ? 0
               : error_nomem(err);
}

/* Environments in what is staged get the paths that they will have. */
static int relocate(struct unpack *u, struct wp_error *err)
{
    const struct trees trees = {.dir = u->dir, .dir_path = u->dir_path, .fd = u->tree};
    struct tree_manifest t = {.foreign = -1};
    struct relocation relocation = {.context = u->a->context,
                                    .fd = u->tree,
                                    .t = &t,
                                    .now = u->roots[0],
                                    .always = u->o->relocate == WP_RELOCATE_ALWAYS};
    int r;

    if (u->o->relocate == WP_RELOCATE_NEVER || u->grafts)
        return 0;
    r = tree_manifest_borrow(&trees, &t, &u->manifest, u->home, u->o->strip_components, err);
    if (r == 0)
        r = relocation_run(&relocation, err);
    u->result->relocated = relocation.count;
    t.m = (struct manifest){0};
    tree_manifest_clear(&t);
    return r;
}

/* What is staged is compared with the manifest, and its caches go to their places. */
static int follow_manifest(struct unpack *u, struct wp_error *err)
{
    int r = unpack_check(u, err);

    u->grafts = u->o->caches_only || has_absent(&u->manifest);
    if (r == 0)
        r = u->grafts ? unpack_graft(u, err) : unpack_leave_out(u, err);
    if (r == 0)
        r = unpack_layout(u, err);
    if (r == 0)
        r = u->grafts                           ? graft_fit_staged(u->graft, err)
            : u->o->restamp != WP_RESTAMP_NEVER ? unpack_restamp(u, err)
                                                : 0;
    if (r == 0 && u->apart)
        return unpack_drop_apart(u, err);
    if (r == 0)
        r = relocate(u, err);
    if (r == 0)
        r = unpack_state_write(u, err);
    return r < 0 ? r : commit_manifest_last(u, err);
}

/* A zip's manifest is read first: the other threads need not wait for that. */
static void expect_all(const struct unpack *u)
{
    struct format_reader *reader = u->a->reader;
    const bool some = u->o->caches_only || (u->o->patterns && *u->o->patterns);

    if (reader->ops->expect_all && !some)
        reader->ops->expect_all(reader);
}

static int begin_staging(struct unpack *u, struct wp_error *err)
{
    struct staging_options options = {.keep_old = u->o->keep_old,
                                      .replace = u->o->replace,
                                      .sync = u->o->sync,
                                      .opens_own = u->policy.permissions || u->policy.superuser,
                                      .context = u->a->context};
    int r = staging_new(&u->staging, &options, err);

    if (r == 0)
        r = unpack_begin_areas(u, err);
    if (r < 0)
        return r;
    u->tree = staging_tree(u->staging, 0);
    u->policy.granted = 0777 & ~staging_umask(u->staging, 0);
    u->policy.knows_owner = staging_gives_own(u->staging, 0);
    u->policy.uid = geteuid();
    u->policy.gid = getegid();
    if (geteuid() != 0)
        u->umask = u->policy.umask = staging_umask(u->staging, 0);
    return 0;
}

static int stage_all(struct unpack *u, struct wp_error *err)
{
    int r;

    expect_all(u);
    r = unpack_read_recorded(u, err);
    if (r == 0)
        r = stage_entries(u, err);
    if (r == 0)
        r = unpack_links_make(u, err);
    if (r == 0 && !u->apart)
        r = set_directories(u, err);
    if (r == 0 && !u->has_manifest)
        r = trust_check_none(&u->trust, u->a->name, err);
    if (r == 0 && !u->has_manifest && u->o->caches_only)
        return error_set(err, 0, u->a->name, "has no manifest that would say whose caches it has");
    return r;
}

static int judge_unpacked(struct unpack *u, struct wp_error *err)
{
    int r = u->grafts ? graft_finish(u->graft, &u->result->restamped, &u->result->lost, err) : 0;

    if (r < 0)
        return r;
    return u->has_manifest ? unpack_verify(u, err) : unpack_warn_stale(u, err);
}

/* Makes what was unpacked load for WHO. */
static int retarget(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *below = path_join(u->home, MANIFEST_NAME);
    _cleanup_free_ char *manifest = below ? path_join(u->dir, below) : NULL;
    const struct wp_retarget_options o = {.dir = u->dir,
                                          .manifest = manifest,
                                          .cache_dir = u->o->cache_dir,
                                          .user = u->o->user,
                                          .runtime_roots = u->o->runtime_roots,
                                          .prune = u->o->prune};
    int r;

    if (!manifest)
        return error_nomem(err);
    r = restore_retarget_tree(u->a->context, &o, &u->who, &u->result->retarget, err);
    return r < 0 ? r : unpack_state_end(u, err);
}

/* What is set after the commit: times of sources that came another way, keys. */
static int sync_dir(const struct unpack *u, struct wp_error *err)
{
    _cleanup_close_ int fd = open(u->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || syncfs(fd) < 0 ? error_set(err, errno, u->dir, "cannot be written to the disk")
                                    : 0;
}

static int extract(struct unpack *u, struct wp_error *err)
{
    int r = begin_staging(u, err);

    if (r == 0)
        r = unpack_plan_roots(u, err);
    if (r == 0)
        r = stage_all(u, err);
    if (r == 0 && u->has_manifest)
        r = follow_manifest(u, err);
    if (r == 0 && !u->apart)
        r = unpack_supersede(u, err);
    if (r == 0)
        r = staging_commit(u->staging, err);
    staging_free(u->staging);
    u->staging = NULL;
    if (r < 0)
        return r;
    layout_finish(&u->layout);
    for (size_t i = 0; i < u->count; i++)
        u->result->files += !u->items[i]->skipped && own_home_at(u->items[i]->e.path) < 0;
    u->result->has_manifest = u->has_manifest;
    if (u->o->retarget && u->has_manifest)
        r = retarget(u, err);
    if (r == 0)
        r = judge_unpacked(u, err);
    return r == 0 && u->o->sync ? sync_dir(u, err) : r;
}

/* By one of the processes that ask for it at once. */
static int extract_if_needed(struct unpack *u, struct wp_error *err)
{
    struct unpack_lock lock = {.file.fd = -1, .dir = -1};
    int r = unpack_needed_begin(u, &lock, err);

    u->result->unchanged = r > 0;
    if (r == 0)
        r = extract(u, err);
    unpack_needed_end(u, &lock, r < 0);
    return r < 0 ? r : 0;
}

static void clear(struct unpack *u)
{
    for (size_t i = 0; i < u->count; i++)
        unpack_item_free(u->items[i]);
    texts_free(&u->texts);
    patterns_end(&u->patterns);
    layout_clear(&u->layout);
    graft_free(u->graft);
    caches_free_bases(u->roots);
    manifest_clear(&u->manifest);
    verify_end(&u->verify);
    free(u->items);
    free(u->slots);
    unpack_links_free(u->links);
    free(u->home);
    free(u->dir_path);
    cleanup_close(&u->own_target);
    retarget_who_clear(&u->who);
    free(u->state);
    trust_clear(&u->trust);
}

static int begin(struct unpack *u, struct wp_error *err)
{
    int r = trust_read(&u->trust, u->o->trust, err);

    if (r < 0)
        return r;
    if (u->trust.count && u->o->to_stdout)
        return error_set(err, 0, u->a->name, "cannot be checked before it is written out");
    u->dir = u->o->dir ? u->o->dir : ".";
    u->dir_path = path_absolute(u->dir);
    if (!u->dir_path)
        return error_set(err, errno, u->dir, "cannot be found");
    if (u->o->retarget) {
        r = retarget_who_ask(&u->who, u->a->context, u->o->retarget, err);
        if (r < 0)
            return r;
    }
    u->state = unpack_state_options(u);
    return u->state ? 0 : error_nomem(err);
}

int wp_extract(struct wp_archive *a, const struct wp_extract_options *o,
               struct wp_extract_result *result, struct wp_error *err)
{
    struct unpack u = {.o = o, .a = a, .result = result, .own_target = -1};
    int r;

    *result = (struct wp_extract_result){0};
    u.umask = file_umask();
    u.policy =
        (struct create_policy){.owner = (geteuid() == 0 || o->same_owner) && !o->no_same_owner,
                               .numeric_owner = o->numeric_owner,
                               .permissions = o->same_permissions,
                               .superuser = geteuid() == 0,
                               .umask = geteuid() == 0 ? 0 : u.umask};
    r = options_check(a->context, o, err);
    if (r == 0)
        r = verify_begin(&u.verify, o->user, err);
    if (r == 0 && patterns_begin(&u.patterns, o->patterns) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = begin(&u, err);
    if (r == 0)
        r = o->to_stdout   ? unpack_to_stdout(&u, err)
            : o->if_needed ? extract_if_needed(&u, err)
                           : extract(&u, err);
    clear(&u);
    if (r < 0)
        wp_extract_result_clear(result);
    return r;
}

void wp_extract_result_clear(struct wp_extract_result *r)
{
    free(r->cache_dir);
    wp_verify_report_clear(&r->verify);
    wp_retarget_result_clear(&r->retarget);
    *r = (struct wp_extract_result){0};
}
