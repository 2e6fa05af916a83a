/* The job of unpacking: selects entries, stages them, checks them, lays out the caches, commits,
 * and proves that the indexes are valid. */

#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/caches.h"
#include "restore/relocate.h"
#include "restore/retarget.h"
#include "tree/beneath.h"

/* ---- Staging ----------------------------------------------------------------------------- */

/* Makes the directories above PATH. In an archive sorted by name they are there already. */
static int make_parents(struct unpack *unpack, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);
    const struct unpacked *parent;

    if (!dir)
        return error_nomem(err);
    if (!*dir)
        return 0;
    parent = unpack_find(unpack, dir);
    if (parent && parent->e.type == ENTRY_DIR)
        return 0;
    if (parent)
        return error_set(err, ENOTDIR, path, "lies in %s, which is no directory", path_base(dir));
    return create_dir(unpack->tree, dir, 0700, err);
}

/* The archive has a second entry of that name: as in tar, the last one counts. */
static int replace_earlier(struct unpack *unpack, struct unpack_files *files,
                           struct unpacked *earlier, const struct unpacked *item,
                           struct wp_error *err)
{
    int r;

    if (earlier->e.type == ENTRY_DIR && item->e.type == ENTRY_DIR)
        return 0;
    if (earlier->e.type == ENTRY_DIR)
        return error_set(err, EISDIR, item->e.path, "is in the archive twice");
    r = unpack_files_finish(files, err);
    if (r == 0)
        r = unpack_links_resolve(unpack, earlier, err);
    if (r < 0)
        return r;
    earlier->skipped = true;
    r = beneath_remove(unpack->tree, item->e.path);
    return r < 0 ? error_set(err, -r, item->e.path, "cannot be replaced") : 0;
}

static int stage_entry(struct unpack *unpack, struct unpack_files *files, struct unpacked *item,
                       struct wp_error *err)
{
    struct unpacked *earlier = unpack_find(unpack, item->e.path);
    int r = item->e.type == ENTRY_HARDLINK ? unpack_links_add(unpack, item, earlier, err) : 0;

    if (r < 0 || item->skipped)
        return r;
    r = earlier ? replace_earlier(unpack, files, earlier, item, err)
                : make_parents(unpack, item->e.path, err);
    if (r < 0)
        return r;
    if (item->e.type == ENTRY_DIR)
        return create_dir(unpack->tree, item->e.path, create_mode(&unpack->policy, &item->e), err);
    if (item->e.type != ENTRY_FILE || unpack_is_taken(unpack, item))
        return 0;
    return unpack_files_add(files, item, err);
}

/* Takes the current entry, which is not the manifest. */
static int take_entry(struct unpack *unpack, struct unpack_files *files, const struct entry *e,
                      struct wp_error *err)
{
    struct unpacked *item = NULL;
    int r = unpack_make_item(unpack, e, &item, err);

    if (r == 0 && !item->skipped) {
        r = stage_entry(unpack, files, item, err);
        if (r == 0)
            report(unpack->a->context, WP_DETAIL, item->e.path, NULL);
        if (r == 0)
            unpack_tell_size(unpack);
    }
    if (r == 0 && unpack_add_item(unpack, item) < 0)
        r = error_nomem(err);
    if (r < 0 && item) {
        unpack_files_finish(files, NULL); /* a job may still use it */
        free(item);
    }
    return r;
}

/* Takes what archive_next has come to; the directory itself keeps what it has. */
static int take_step(struct unpack *unpack, struct unpack_files *files, enum archive_step step,
                     const struct entry *e, struct wp_error *err)
{
    int r = step == ARCHIVE_TOP ? 0 : unpack_check_safe(e, err);

    if (r < 0 || step == ARCHIVE_TOP)
        return r;
    if (step == ARCHIVE_ENTRY)
        return take_entry(unpack, files, e, err);
    (void)patterns_match(&unpack->patterns, e->path); /* it is taken in any case */
    return unpack_stage_manifest(unpack, e, err);
}

/* Stages all of the archive but links, which come when all files are there. */
static int stage_entries(struct unpack *unpack, struct wp_error *err)
{
    struct archive_reading in = {.a = unpack->a, .tells_progress = true};
    struct unpack_files *files = NULL;
    int r = unpack_files_new(&files, unpack, err);

    while (r == 0 && (r = archive_next(&in, err)) > 0)
        r = take_step(unpack, files, (enum archive_step)r, in.e, err);
    if (r == 0)
        r = unpack_files_finish(files, err);
    unpack_files_free(files);
    if (r == 0)
        patterns_tell_unused(&unpack->patterns, unpack->a->context);
    return r;
}

static int set_directories(struct unpack *unpack, struct wp_error *err)
{
    for (size_t i = 0; i < unpack->count; i++) {
        const struct unpacked *item = unpack->items[i];
        struct staging_dir d = {.path = item->e.path,
                                .mtime = create_mtime(&unpack->policy, &item->e)};

        if (item->skipped || item->e.type != ENTRY_DIR)
            continue;
        d.mode = create_mode(&unpack->policy, &item->e);
        create_owner(&unpack->policy, &item->e, &d.uid, &d.gid);
        if (staging_set_dir(unpack->staging, 0, &d) < 0)
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
static int commit_manifest_last(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ char *state = path_join(unpack->home, STATE_NAME);
    _cleanup_free_ char *manifest = path_join(unpack->home, MANIFEST_NAME);

    return state && manifest && staging_set_last(unpack->staging, 0, state) == 0 &&
                   staging_set_last(unpack->staging, 0, manifest) == 0
               ? 0
               : error_nomem(err);
}

/* Gives environments in what is staged the paths that they will have. */
static int relocate(struct unpack *unpack, struct wp_error *err)
{
    const struct trees trees = {.dir = unpack->dir, .fd = unpack->tree};
    struct tree_manifest t = {.foreign = -1};
    struct relocation relocation = {.context = unpack->a->context,
                                    .fd = unpack->tree,
                                    .t = &t,
                                    .now = unpack->roots[0],
                                    .always = unpack->o->relocate == WP_RELOCATE_ALWAYS};
    int r;

    if (unpack->o->relocate == WP_RELOCATE_NEVER || unpack->grafts)
        return 0;
    r = tree_manifest_borrow(&trees, &t, &unpack->manifest, unpack->home,
                             unpack->o->strip_components, err);
    if (r == 0)
        r = relocation_run(&relocation, err);
    unpack->result->relocated = relocation.count;
    t.m = (struct manifest){0};
    tree_manifest_clear(&t);
    return r;
}

/* Compares what is staged with the manifest, and puts its caches into their places. */
static int follow_manifest(struct unpack *unpack, struct wp_error *err)
{
    int r = unpack_check(unpack, err);

    unpack->grafts = unpack->o->caches_only || has_absent(&unpack->manifest);
    if (r == 0)
        r = unpack->grafts ? unpack_graft(unpack, err) : unpack_leave_out(unpack, err);
    if (r == 0)
        r = unpack_layout(unpack, err);
    if (r == 0)
        r = unpack->grafts                           ? graft_fit_staged(unpack->graft, err)
            : unpack->o->restamp != WP_RESTAMP_NEVER ? unpack_restamp(unpack, err)
                                                     : 0;
    if (r == 0 && unpack->apart)
        return unpack_drop_apart(unpack, err);
    if (r == 0)
        r = relocate(unpack, err);
    if (r == 0)
        r = unpack_state_write(unpack, err);
    return r < 0 ? r : commit_manifest_last(unpack, err);
}

/* A zip's manifest is read first: the other threads need not wait for that. */
static void expect_all(const struct unpack *unpack)
{
    struct format_reader *reader = unpack->a->reader;
    const bool some = unpack->o->caches_only || (unpack->o->patterns && *unpack->o->patterns);

    if (reader->ops->expect_all && !some && !unpack_has_earlier(unpack))
        reader->ops->expect_all(reader);
}

/* As tar without -p: a default ACL of the directory that it goes into takes the umask's place. */
static mode_t packed_mode(void *ctx, const char *path)
{
    const struct unpack *unpack = ctx;
    const struct unpacked *item =
        unpack->policy.permissions || unpack->policy.superuser ? NULL : unpack_find(unpack, path);

    return item && (item->e.type == ENTRY_FILE || item->e.type == ENTRY_DIR) ? item->e.mode : 0;
}

static int begin_staging(struct unpack *unpack, struct wp_error *err)
{
    struct staging_options options = {.keep_old = unpack->o->keep_old,
                                      .replace = unpack->o->replace,
                                      .sync = unpack->o->sync,
                                      .opens_own =
                                          unpack->policy.permissions || unpack->policy.superuser,
                                      .context = unpack->a->context,
                                      .packed_mode = packed_mode,
                                      .ctx = unpack};
    int r = staging_new(&unpack->staging, &options, err);

    if (r == 0)
        r = unpack_begin_areas(unpack, err);
    if (r < 0)
        return r;
    unpack->tree = staging_tree(unpack->staging, 0);
    unpack->policy.granted = 0777 & ~staging_umask(unpack->staging, 0);
    unpack->policy.knows_owner = staging_gives_own(unpack->staging, 0);
    unpack->policy.uid = geteuid();
    unpack->policy.gid = getegid();
    if (geteuid() != 0)
        unpack->umask = unpack->policy.umask = staging_umask(unpack->staging, 0);
    return 0;
}

static int stage_all(struct unpack *unpack, struct wp_error *err)
{
    int r;

    expect_all(unpack);
    r = unpack_read_recorded(unpack, err);
    if (r == 0)
        r = unpack_take_earlier(unpack, err);
    if (r == 0)
        r = stage_entries(unpack, err);
    if (r == 0)
        r = unpack_links_make(unpack, err);
    if (r == 0 && !unpack->apart)
        r = set_directories(unpack, err);
    if (r == 0 && !unpack->has_manifest)
        r = trust_check_none(&unpack->trust, unpack->a->name, err);
    if (r == 0 && !unpack->has_manifest && unpack->o->caches_only)
        return error_set(err, 0, unpack->a->name,
                         "has no manifest that would say whose caches it has");
    return r;
}

static int judge_unpacked(struct unpack *unpack, struct wp_error *err)
{
    int r = unpack->grafts ? graft_finish(unpack->graft, &unpack->result->restamped,
                                          &unpack->result->lost, err)
                           : 0;

    if (r < 0)
        return r;
    return unpack->has_manifest ? unpack_verify(unpack, err) : unpack_warn_stale(unpack, err);
}

/* Changes keys, so that what was unpacked loads for WHO. */
static int retarget(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ char *below = path_join(unpack->home, MANIFEST_NAME);
    _cleanup_free_ char *manifest = below ? path_join(unpack->dir, below) : NULL;
    const struct wp_retarget_options o = {.dir = unpack->dir,
                                          .manifest = manifest,
                                          .cache_dir = unpack->o->cache_dir,
                                          .user = unpack->o->user,
                                          .runtime_roots = unpack->o->runtime_roots,
                                          .prune = unpack->o->prune};
    int r;

    if (!manifest)
        return error_nomem(err);
    r = restore_retarget_tree(unpack->a->context, &o, &unpack->who, &unpack->result->retarget, err);
    return r < 0 ? r : unpack_state_end(unpack, err);
}

/* Writes to the disk what is set after the commit: times of sources that came another way, keys. */
static int sync_dir(const struct unpack *unpack, struct wp_error *err)
{
    _cleanup_close_ int fd = open(unpack->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || syncfs(fd) < 0
               ? error_set(err, errno, unpack->dir, "cannot be written to the disk")
               : 0;
}

/* What was begun in a directory of DIR that has a manifest may go on elsewhere, where nothing can
 * be written to when it is known that this archive has the directory, too. Only then is an error
 * one. Others, which may be large, are not looked into. */
static void recover_below(const struct unpack *unpack)
{
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;

    if (file_list_path(unpack->dir_path, &d) <= 0)
        return;
    while (file_next(d, &item) > 0) {
        _cleanup_free_ char *path = path_join(unpack->dir_path, item->d_name);
        _cleanup_free_ char *own = path ? path_join(path, MANIFEST_DIR) : NULL;

        if (own && item->d_type != DT_LNK && faccessat(AT_FDCWD, own, F_OK, 0) == 0)
            staging_try_recovery(path, false, unpack->a->context);
    }
}

/* DIR is there by now, so that nothing above it need be written to; but where all may have to be
 * read again, DIR goes and is made anew, and an interpreter is asked once more: then only the
 * second time is confined. */
static int confine(struct unpack *unpack, struct wp_error *err)
{
    const bool may_repeat = unpack->o->from || unpack->o->replace;
    const char *const dirs[] = {unpack->apart ? NULL : unpack->dir, unpack->o->cache_dir,
                                may_repeat ? unpack->above : NULL};

    if (may_repeat && !unpack->is_again == (unpack->o->retarget != NULL))
        return 0;
    if (!unpack->o->to_stdout && unpack->a->context && unpack->a->context->confine)
        recover_below(unpack);
    return layout_confine(unpack->a->context, unpack->a->pool, &unpack->verify, dirs,
                          unpack->o->to_stdout ? 0 : sizeof dirs / sizeof *dirs, err);
}

static int extract(struct unpack *unpack, struct wp_error *err)
{
    int r = begin_staging(unpack, err);

    if (r == 0)
        r = confine(unpack, err);
    if (r == 0)
        r = unpack_plan_roots(unpack, err);
    if (r == 0)
        r = stage_all(unpack, err);
    if (r == 0 && !unpack->apart)
        r = unpack_recover_below(unpack, err);
    if (r == 0 && unpack->has_manifest)
        r = follow_manifest(unpack, err);
    if (r == 0 && !unpack->apart)
        r = unpack_supersede(unpack, err);
    if (r == 0 && unpack->o->mtime)
        r = unpack_set_times(unpack, err);
    if (r == 0)
        r = staging_commit(unpack->staging, err);
    staging_free(unpack->staging);
    unpack->staging = NULL;
    if (r < 0)
        return r;
    layout_finish(&unpack->layout);
    for (size_t i = 0; i < unpack->count; i++)
        unpack->result->files +=
            !unpack->items[i]->skipped && own_home_at(unpack->items[i]->e.path) < 0;
    unpack->result->has_manifest = unpack->has_manifest;
    if (unpack->o->retarget && unpack->has_manifest)
        r = retarget(unpack, err);
    if (r == 0)
        r = judge_unpacked(unpack, err);
    if (r == 0 && unpack->o->sync)
        r = sync_dir(unpack, err);
    if (r < 0)
        error_note(err, "before that, all was unpacked");
    return r;
}

/* Extracts where it is needed, in one of the processes that ask for it at once. */
static int extract_if_needed(struct unpack *unpack, struct wp_error *err)
{
    struct unpack_lock lock = {.file.fd = -1, .dir = -1};
    int r = unpack_needed_begin(unpack, &lock, err);

    unpack->result->unchanged = r > 0;
    if (r == 0)
        r = extract(unpack, err);
    unpack_needed_end(unpack, &lock, r < 0);
    return r < 0 ? r : 0;
}

void unpack_clear(struct unpack *unpack)
{
    for (size_t i = 0; i < unpack->count; i++)
        free(unpack->items[i]);
    texts_free(&unpack->texts);
    patterns_end(&unpack->patterns);
    layout_clear(&unpack->layout);
    graft_free(unpack->graft);
    caches_free_bases(unpack->roots);
    manifest_clear(&unpack->manifest);
    verify_end(&unpack->verify);
    free(unpack->items);
    free(unpack->slots);
    unpack_links_free(unpack->links);
    free(unpack->home);
    free(unpack->dir_path);
    free(unpack->above);
    cleanup_close(&unpack->own_target);
    retarget_who_clear(&unpack->who);
    free(unpack->state);
    trust_clear(&unpack->trust);
    unpack_earlier_clear(unpack);
}

/* The absolute PATH or, where nothing is there, the nearest directory above it. Allocated. */
static char *find_above(const char *path)
{
    char *above = strdup(path);

    while (above && above[1] && access(above, F_OK) < 0) {
        char *slash = strrchr(above, '/');

        slash[slash == above] = '\0'; /* "/" stays */
    }
    return above;
}

int unpack_begin(struct unpack *unpack, struct wp_error *err)
{
    int r = trust_read(&unpack->trust, unpack->o->trust, err);

    if (r < 0)
        return r;
    if (unpack->trust.count && unpack->o->to_stdout)
        return error_set(err, 0, unpack->a->name, "cannot be checked before it is written out");
    unpack->dir = unpack->o->dir ? unpack->o->dir : ".";
    unpack->dir_path = path_absolute(unpack->dir);
    if (!unpack->dir_path)
        return error_set(err, errno, unpack->dir, "cannot be found");
    unpack->above = find_above(unpack->dir_path);
    if (!unpack->above)
        return error_nomem(err);
    if (unpack->o->retarget) {
        r = retarget_who_ask(&unpack->who, unpack->a->context, unpack->o->retarget, err);
        if (r < 0)
            return r;
    }
    unpack->state = unpack_state_options(unpack);
    return unpack->state ? 0 : error_nomem(err);
}

/* IS_AGAIN: all of the archive is read. */
static int run(struct wp_archive *a, const struct wp_extract_options *o,
               struct wp_extract_result *result, bool is_again, struct wp_error *err)
{
    struct unpack unpack = {
        .o = o, .a = a, .result = result, .own_target = -1, .is_again = is_again};
    int r;

    *result = (struct wp_extract_result){0};
    unpack.umask = file_umask();
    unpack.policy =
        (struct create_policy){.owner = (geteuid() == 0 || o->same_owner) && !o->no_same_owner,
                               .numeric_owner = o->numeric_owner,
                               .permissions = o->same_permissions,
                               .superuser = geteuid() == 0,
                               .umask = geteuid() == 0 ? 0 : unpack.umask};
    if (o->mtime) {
        unpack.mtime.tv_sec = (time_t)*o->mtime;
        unpack.policy.mtime = &unpack.mtime;
    }
    r = options_check(a->context, o, err);
    if (r == 0 && o->mtime && o->restamp != WP_RESTAMP_AUTO)
        r = error_set(err, EINVAL, NULL, "one time for all leaves no choice of what is changed");
    if (r == 0)
        r = verify_begin(&unpack.verify, o->user, err);
    if (r == 0 && patterns_begin(&unpack.patterns, o->patterns) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = unpack_begin(&unpack, err);
    if (r == 0 && o->to_stdout)
        r = confine(&unpack, err);
    if (r == 0)
        r = o->to_stdout   ? unpack_to_stdout(&unpack, err)
            : o->if_needed ? extract_if_needed(&unpack, err)
                           : extract(&unpack, err);
    unpack_clear(&unpack);
    if (r < 0)
        wp_extract_result_clear(result);
    return r;
}

int wp_extract(struct wp_archive *a, const struct wp_extract_options *o,
               struct wp_extract_result *result, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = run(a, o, result, false, &why);

    /* Nothing has been committed. What is wrong with the archive, if anything, reading it tells. */
    if (r < 0 && r != -EINTR && r != -ENOMEM && a->reader->misled) {
        why = (struct wp_error){0};
        r = a->reader->ops->rewind(a->reader, &why);
        if (r == 0)
            r = run(a, o, result, true, &why);
    }
    if (r < 0)
        error_pass(err, &why);
    return r;
}

void wp_extract_result_clear(struct wp_extract_result *r)
{
    free(r->cache_dir);
    wp_verify_report_clear(&r->verify);
    wp_retarget_result_clear(&r->retarget);
    *r = (struct wp_extract_result){0};
}
