/* Unpacking, the record of it: state.jsonl beside the manifest, from which --if-needed and later
 * repairs know what was done here. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/places.h"
#include "tree/beneath.h"
#include "unpack.h"

enum { LARGEST_STATE = 16 << 20, LARGEST_MANIFEST = 1 << 30 };

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

char *unpack_state_options(const struct unpack *u)
{
    const struct wp_extract_options *o = u->o;
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
                             (unsigned char)(o->strip_components & 255),
                             (unsigned char)(o->strip_components >> 8 & 255)};

    if (sha && hex) {
        sha256_add(sha, flags, sizeof flags);
        add_list(sha, o->patterns);
        add_list(sha, o->exclude);
        add_list(sha, o->runtime_roots);
        add_text(sha, o->cache_dir);
        add_text(sha, o->user);
        sha256_end(sha, digest);
        hex_encode(digest, sizeof digest, hex);
    }
    if (!sha)
        free(take_ptr(hex));
    sha256_free(sha);
    return hex;
}

/* The digest that stands for the archive: of its manifest's text. */
static void archive_digest(const void *text, size_t size, char hex[2 * SHA256_SIZE + 1])
{
    unsigned char digest[SHA256_SIZE];

    sha256_of(text, size, digest);
    hex_encode(digest, sizeof digest, hex);
}

static int read_beneath(int fd, const char *dir, const char *name, size_t max, struct buf *out)
{
    _cleanup_free_ char *path = path_join(dir, name);

    return path ? beneath_read(fd, path, max, out, NULL) : -ENOMEM;
}

int unpack_state_write(struct unpack *u, struct wp_error *err)
{
    _cleanup_buf_ struct buf line = {0};
    _cleanup_free_ char *path = path_join(u->home, STATE_NAME);
    char archive[2 * SHA256_SIZE + 1];
    struct manifest_state state = {.action = (char *)"extract",
                                   .roots = u->roots,
                                   .strip = u->o->strip_components,
                                   .layout = (char *)wp_layout_name(u->result->layout),
                                   .cache_root = u->result->cache_dir,
                                   .options = u->state,
                                   .archive = archive};
    struct create_policy plain = {.permissions = true};
    struct entry e = {.path = path, .mode = 0644};

    while (u->roots[state.root_count])
        state.root_count++;
    hex_encode(u->text_sha256, SHA256_SIZE, archive);
    if (!path || manifest_state_write(&state, &line) < 0)
        return error_nomem(err);
    e.size = line.size;
    clock_gettime(CLOCK_REALTIME, &e.mtime);
    return create_file(u->tree, &plain, &e, line.data, line.size, err);
}

/* What was done then is what a run that did it would tell now. */
static void tell_result(struct wp_extract_result *result, const struct manifest_state *state)
{
    for (enum wp_layout l = WP_LAYOUT_IN_TREE; state->layout && wp_layout_name(l); l++)
        if (strcmp(wp_layout_name(l), state->layout) == 0)
            result->layout = l;
    result->has_manifest = true;
    result->set_cache_dir = result->layout == WP_LAYOUT_CACHE_DIR;
    result->cache_dir = state->cache_root ? strdup(state->cache_root) : NULL;
}

int unpack_state_current(struct unpack *u, const char *home, const void *text, size_t size)
{
    _cleanup_close_ int dir = open(u->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_buf_ struct buf there = {0}, state_text = {0};
    struct manifest_state state = {0};
    char archive[2 * SHA256_SIZE + 1];
    int current;

    if (dir < 0 || read_beneath(dir, home, STATE_NAME, LARGEST_STATE, &state_text) < 0 ||
        read_beneath(dir, home, MANIFEST_NAME, size, &there) < 0 || there.size != size ||
        memcmp(there.data, text, size) != 0)
        return 0;
    archive_digest(text, size, archive);
    if (manifest_state_read(&state, state_text.data, state_text.size, STATE_NAME, NULL) < 0)
        return 0;
    current = state.archive && strcmp(state.archive, archive) == 0 && state.options &&
              strcmp(state.options, u->state) == 0 && state.root_count > 0;
    for (size_t i = 0; i < state.root_count && current; i++)
        current = u->roots[i] && strcmp(state.roots[i], u->roots[i]) == 0;
    if (current)
        tell_result(u->result, &state);
    manifest_state_clear(&state);
    return current;
}

/* Does this archive bring a file of OTHER's, which was unpacked without its first STRIP components?
 */
static bool have_common_file(const struct unpack *u, const struct manifest *other, unsigned strip)
{
    for (size_t i = 0; i < other->entry_count; i++) {
        const struct entry *e = &other->entries[i];
        const char *path = path_strip(e->path, strip);
        const struct unpacked *item = path && e->type != ENTRY_DIR && manifest_home_at(e->path) < 0
                                          ? unpack_find(u, path)
                                          : NULL;

        if (item && !item->skipped)
            return true;
    }
    return false;
}

/* Cache roots inside the tree as M has them and STATE says of them; NULL-ended, owned by the
 * caller. */
static char **inside_roots(const struct manifest *m, const struct manifest_state *state)
{
    char **roots = calloc(m->cache_count + 2, sizeof *roots);
    size_t n = 0;

    for (size_t i = 0; roots && i <= m->cache_count; i++) {
        const struct manifest_cache *c = i < m->cache_count ? &m->caches[i] : NULL;
        const char *base = state->root_count ? state->roots[0] : NULL, *below = NULL;
        _cleanup_free_ char *root = NULL;

        if (c && c->kind == MANIFEST_CACHE_INSIDE && (below = path_strip(c->cache, state->strip)))
            root = path_dir(below);
        else if (!c && base && state->cache_root && path_is_under(state->cache_root, base)) {
            below = state->cache_root + strlen(base);
            root = strdup(below + strspn(below, "/"));
        }
        if (root && (!n || strcmp(roots[n - 1], root) != 0))
            roots[n++] = take_ptr(root);
    }
    return roots;
}

/* Is it a path that the tree has now, where caches of a cache root stay? */
static bool names_stay(const struct unpack *u, const char *root)
{
    for (char **now = u->roots; *now; now++)
        if (strcmp(*now, root) == 0)
            return u->o->layout == WP_LAYOUT_AUTO || u->o->layout == WP_LAYOUT_KEEP;
    return false;
}

/* Removes what lies in cache root INSIDE under the names that STATE's paths give to directory
 * SOURCE, unless this archive brings it. */
static int remove_names(struct unpack *u, const struct manifest_state *state, const char *inside,
                        const char *source)
{
    for (size_t i = 0; i < state->root_count; i++) {
        const char *root = state->roots[i];
        _cleanup_free_ char *whole = *source ? path_join(root, source) : strdup(root);
        _cleanup_free_ char *name = whole ? places_hash_name(whole) : NULL;
        _cleanup_free_ char *path = name ? path_join(inside, name) : NULL;
        struct stat st;

        if (!path && !(whole && !name && errno == EILSEQ))
            return -ENOMEM;
        if (path && !names_stay(u, root) && path_is_safe(path) &&
            beneath_stat(u->tree, path, &st) < 0 &&
            beneath_stat(staging_target(u->staging, 0), path, &st) == 0 && S_ISDIR(st.st_mode) &&
            staging_set_remove(u->staging, 0, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The tree was unpacked before, and moved, or its caches go elsewhere now: what was named for then
 * would never be found. */
static int remove_old_names(struct unpack *u, const struct manifest *m,
                            const struct manifest_state *state)
{
    char **insides = inside_roots(m, state);
    _cleanup_free_ char *last = NULL;
    int r = insides ? 0 : -ENOMEM;

    for (size_t i = 0; i < m->entry_count && r == 0 && *insides; i++) {
        const char *path = path_strip(m->entries[i].path, state->strip);
        size_t n = path ? strlen(path) : 0;
        _cleanup_free_ char *dir =
            n > 3 && strcmp(path + n - 3, ".py") == 0 ? path_dir(path) : NULL;

        if (!dir || (last && strcmp(last, dir) == 0))
            continue;
        for (char **inside = insides; *inside && r == 0; inside++)
            r = remove_names(u, state, *inside, dir);
        free(last);
        last = take_ptr(dir);
    }
    for (char **inside = insides; inside && *inside; inside++)
        free(*inside);
    free(insides);
    return r;
}

/* Judges the manifest in directory ID of HOMES, opened as FD. */
static int supersede_one(struct unpack *u, int fd, const char *homes, const char *id,
                         struct wp_error *err)
{
    _cleanup_free_ char *dir = path_join(homes, id);
    _cleanup_free_ char *state_path = dir ? path_join(dir, STATE_NAME) : NULL;
    _cleanup_buf_ struct buf text = {0}, state_text = {0};
    struct manifest_state state = {0};
    struct manifest other = {0};
    bool is_own;
    int r = 0;

    if (!state_path)
        return error_nomem(err);
    if (read_beneath(fd, id, MANIFEST_NAME, LARGEST_MANIFEST, &text) < 0 ||
        manifest_read(&other, text.data, text.size, MANIFEST_NAME, u->a->pool, NULL) < 0)
        return 0;
    if (read_beneath(fd, id, STATE_NAME, LARGEST_STATE, &state_text) == 0)
        manifest_state_read(&state, state_text.data, state_text.size, STATE_NAME, NULL);
    is_own = u->home && strcmp(dir, u->home) == 0;
    if ((is_own || have_common_file(u, &other, state.strip)) &&
        (remove_old_names(u, &other, &state) < 0 ||
         (!is_own && staging_set_remove(u->staging, 0, u->has_manifest ? dir : state_path) < 0)))
        r = error_nomem(err);
    manifest_state_clear(&state);
    manifest_clear(&other);
    return r;
}

/* Manifests below directory TOP, "" for DIR itself. */
static int supersede_in(struct unpack *u, const char *top, struct wp_error *err)
{
    _cleanup_free_ char *homes = path_join(top, MANIFEST_DIR);
    int fd =
        homes ? beneath_open(staging_target(u->staging, 0), homes, O_RDONLY | O_DIRECTORY, 0) : -1;
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : file_list(fd);
    struct dirent *item;
    int r = 0;

    if (!homes)
        return error_nomem(err);
    if (!dir)
        return 0;
    while (r == 0 && (item = readdir(dir)))
        if (strlen(item->d_name) == 16)
            r = supersede_one(u, dirfd(dir), homes, item->d_name, err);
    return r;
}

int unpack_state_supersede(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *last = NULL;
    int r = u->o->keep_old ? 0 : supersede_in(u, "", err);

    for (size_t i = 0; i < u->count && r == 0 && !u->o->keep_old; i++) {
        const char *path = u->items[i]->e.path;
        size_t n = strcspn(path, "/");

        if (u->items[i]->skipped || !path[n] || (last && strncmp(last, path, n + 1) == 0))
            continue;
        free(last);
        last = strndup(path, n + 1);
        if (!last)
            return error_nomem(err);
        last[n] = '\0';
        r = supersede_in(u, last, err);
        last[n] = '/';
    }
    return r;
}
