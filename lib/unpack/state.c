/* Unpacking, the record of it: writes state.jsonl beside the manifest, from which --if-needed and
 * later repairs know what was done here. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "numba/caches.h"
#include "tree/beneath.h"
#include "trees/trees.h"

enum { RUN = 64 << 10 }; /* bytes that are compared at once */

/* If DIR, which must be there, is reached through a symlink, Python may see either path. */
int unpack_plan_roots(struct unpack *unpack, struct wp_error *err)
{
    caches_free_bases(take_ptr(unpack->roots));
    return caches_roots(&unpack->roots, unpack->dir, unpack->o->runtime_roots, err);
}

static void add_text(struct sha256 *sha, const char *text)
{
    sha256_add(sha, text ? text : "", text ? strlen(text) + 1 : 0);
    sha256_add(sha, "", 1);
}

static void add_list(struct sha256 *sha, const char *const *list)
{
    for (; list && *list; list++)
        add_text(sha, *list);
    sha256_add(sha, "\1", 1);
}

char *unpack_state_options(const struct unpack *unpack)
{
    const struct wp_extract_options *o = unpack->o;
    struct sha256 *sha = sha256_new();
    unsigned char digest[SHA256_SIZE];
    char *hex = malloc(2 * SHA256_SIZE + 1);
    unsigned char flags[] = {(unsigned char)o->layout,
                             o->same_permissions,
                             o->same_owner,
                             o->no_same_owner,
                             o->numeric_owner,
                             o->caches_only,
                             o->keep_old,
                             (unsigned char)o->restamp,
                             (unsigned char)o->relocate,
                             (unsigned char)(o->strip_components & 255),
                             (unsigned char)(o->strip_components >> 8 & 255)};

    if (sha && hex) {
        sha256_add(sha, flags, sizeof flags);
        add_list(sha, o->patterns);
        add_list(sha, o->exclude);
        add_list(sha, o->runtime_roots);
        add_text(sha, o->cache_dir);
        add_text(sha, o->user);
        add_text(sha, o->retarget ? unpack->who.probe.python.triple : NULL);
        add_text(sha, o->retarget ? unpack->who.probe.python.cpu : NULL);
        add_text(sha, o->retarget ? unpack->who.probe.python.features : NULL);
        if (o->prune)
            add_text(sha, "prune");
        if (o->group_writable)
            add_text(sha, "group-writable");
        if (o->mtime)
            sha256_add(sha, o->mtime, sizeof *o->mtime);
        sha256_end(sha, digest);
        hex_encode(digest, sizeof digest, hex);
    }
    if (!sha)
        free(take_ptr(hex));
    sha256_free(sha);
    return hex;
}

/* OPTIONS: their digest; NULL: not all is done that they ask for. */
static int write_line(const struct unpack *unpack, const char *options, struct buf *line,
                      struct wp_error *err)
{
    char archive[2 * SHA256_SIZE + 1];
    struct manifest_state state = {.action = (char *)"extract",
                                   .roots = unpack->roots,
                                   .strip = unpack->o->strip_components,
                                   .layout = (char *)wp_layout_name(unpack->result->layout),
                                   .cache_root = unpack->result->cache_dir,
                                   .options = (char *)options,
                                   .archive = archive};

    while (unpack->roots[state.root_count])
        state.root_count++;
    hex_encode(unpack->text_sha256, SHA256_SIZE, archive);
    return manifest_state_write(&state, line) < 0 ? error_nomem(err) : 0;
}

int unpack_state_write(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_buf_ struct buf line = {0};
    int r = write_line(unpack, unpack->o->retarget ? NULL : unpack->state, &line, err);

    if (r == 0)
        r = trees_state_stage(unpack->staging, unpack->home, &line, err);
    /* What lies in DIR itself is never swapped. */
    return r < 0 ? r
                 : trees_ignore_stage(
                       unpack->staging, unpack->home,
                       unpack->o->replace && !path_is_under(unpack->home, MANIFEST_DIR), err);
}

int unpack_state_end(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_close_ int dir = open(unpack->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ char *path = path_join(unpack->home, STATE_NAME);
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (!path)
        return error_nomem(err);
    r = dir < 0 ? -errno : beneath_read(dir, path, STATE_LARGEST, &text, NULL);
    if (r < 0)
        return error_set(err, -r, path, "cannot be read");
    r = write_line(unpack, unpack->state, &text, err);
    if (r < 0)
        return r;
    r = restamp_put(dir, path, &text, unpack->o->mtime ? &unpack->mtime : NULL);
    return r < 0 ? error_set(err, -r, path, "cannot be written") : 0;
}

/* Fills the result as the run did that left STATE. */
static void set_result(struct wp_extract_result *result, const struct manifest_state *state)
{
    for (enum wp_layout l = WP_LAYOUT_IN_TREE; state->layout && wp_layout_name(l); l++)
        if (strcmp(wp_layout_name(l), state->layout) == 0)
            result->layout = l;
    result->has_manifest = true;
    result->set_cache_dir = result->layout == WP_LAYOUT_CACHE_DIR;
    result->cache_dir = state->cache_root ? strdup(state->cache_root) : NULL;
}

/* Is file NAME of directory HOME the SIZE bytes of TEXT? Compared as it is read: it may be large.
 */
static bool is_text(int fd, const char *home, const char *name, const char *text, size_t size)
{
    _cleanup_free_ char *path = path_join(home, name);
    _cleanup_free_ char *run = malloc(RUN);
    struct stat st;
    _cleanup_close_ int file = path ? beneath_open_file(fd, path, &st) : -1;

    if (!run || file < 0 || (uint64_t)st.st_size != size)
        return false;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < RUN ? size - at : RUN;

        if (file_read_at(file, run, n, at) != (ssize_t)n || memcmp(run, text + at, n) != 0)
            return false;
        at += n;
    }
    return true;
}

/* Is it what this run would do now, to the archive with that digest? */
static bool is_of_run(const struct unpack *unpack, const struct manifest_state *state,
                      const char *archive)
{
    bool same = state->archive && strcmp(state->archive, archive) == 0 && state->options &&
                strcmp(state->options, unpack->state) == 0 && state->root_count > 0;

    for (size_t i = 0; i < state->root_count && same; i++)
        same = unpack->roots[i] && strcmp(state->roots[i], unpack->roots[i]) == 0;
    return same;
}

int unpack_state_current(struct unpack *unpack, const char *home, const void *text, size_t size)
{
    _cleanup_close_ int dir = open(unpack->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf state_text = {0};
    unsigned char digest[SHA256_SIZE];
    char archive[2 * SHA256_SIZE + 1];
    struct manifest_state state;
    bool current;

    if (dir < 0 || trees_state_read(dir, home, &state, &state_text, NULL, NULL) <= 0)
        return 0;
    current = is_text(dir, home, MANIFEST_NAME, text, size);
    if (current) {
        sha256_of(text, size, digest);
        hex_encode(digest, sizeof digest, archive);
        current = is_of_run(unpack, &state, archive);
    }
    if (current)
        set_result(unpack->result, &state);
    manifest_state_clear(&state);
    return current;
}
