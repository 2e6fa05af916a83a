/* The job of unpacking: selects entries, stages them, checks them, lays out the caches, commits,
 * and proves that the indexes are valid. */

#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "tree/beneath.h"
#include "tree/walk.h"

enum { LARGEST_MANIFEST = 1 << 30 };

/* ---- Names ------------------------------------------------------------------------------- */

/* How many components to take off PATH. warmpack's own directory is never cut into. */
static unsigned strip_count(const struct unpack *u, const char *path)
{
    int home = manifest_home_at(path);
    unsigned above = home > 0 ? 1 : 0;

    if (home >= 0 && u->o->strip_components > above)
        return above;
    return u->o->strip_components;
}

char *unpack_name(const struct unpack *u, const char *archived, bool *gone)
{
    const char *left = path_strip(archived, strip_count(u, archived));

    *gone = left == NULL;
    return left ? strdup(left) : NULL;
}

char *unpack_dir_name(const struct unpack *u, const char *archived, bool *gone)
{
    unsigned n = strip_count(u, archived), depth = *archived ? 1 : 0;

    for (const char *p = archived; *p; p++)
        depth += *p == '/';
    *gone = n > depth;
    if (*gone)
        return NULL;
    return strdup(n == depth ? "" : path_strip(archived, n));
}

static uint64_t hash_path(const char *path)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *path; path++)
        h = (h ^ (unsigned char)*path) * 1099511628211u;
    return h ^ h >> 32;
}

static size_t *slot_of(const struct unpack *u, const char *path)
{
    size_t i = hash_path(path) & (u->slot_count - 1);

    while (u->slots[i] && strcmp(u->items[u->slots[i] - 1]->e.path, path) != 0)
        i = (i + 1) & (u->slot_count - 1);
    return &u->slots[i];
}

struct unpacked *unpack_find(const struct unpack *u, const char *path)
{
    size_t *slot = u->slot_count ? slot_of(u, path) : NULL;

    return slot && *slot ? u->items[*slot - 1] : NULL;
}

static int grow_slots(struct unpack *u)
{
    size_t count = u->slot_count ? 2 * u->slot_count : 1024;
    size_t *old = u->slots;

    u->slots = calloc(count, sizeof *u->slots);
    if (!u->slots) {
        u->slots = old;
        return -ENOMEM;
    }
    free(old);
    u->slot_count = count;
    for (size_t i = 0; i < u->count; i++)
        if (!u->items[i]->skipped)
            *slot_of(u, u->items[i]->e.path) = i + 1;
    return 0;
}

/* Appends ITEM, which becomes the one that its path finds. */
static int add_item(struct unpack *u, struct unpacked *item)
{
    if (2 * (u->count + 1) > u->slot_count && grow_slots(u) < 0)
        return -ENOMEM;
    if (u->count == u->room) {
        size_t room = u->room ? 2 * u->room : 256;
        struct unpacked **items = realloc(u->items, room * sizeof *items);

        if (!items)
            return -ENOMEM;
        u->items = items;
        u->room = room;
    }
    u->items[u->count++] = item;
    if (!item->skipped)
        *slot_of(u, item->e.path) = u->count;
    return 0;
}

/* ---- Selection --------------------------------------------------------------------------- */

static bool matches(const char *path, const char *pattern)
{
    _cleanup_free_ char *clean = path_clean(pattern);

    return clean && (fnmatch(clean, path, FNM_LEADING_DIR) == 0 || path_is_under(path, clean));
}

/* Is the entry wanted? USED notes which patterns matched something. */
static bool is_selected(const struct unpack *u, const char *path, bool *used)
{
    bool yes = !u->o->patterns;

    for (size_t i = 0; u->o->patterns && u->o->patterns[i]; i++)
        if (matches(path, u->o->patterns[i]))
            yes = used[i] = true;
    if (u->a->reader->mark &&
        manifest_home_at(path) >= 0) /* the manifest, caches of what was selected */
        return !u->o->to_stdout || (yes && u->o->patterns);
    return yes && !(u->o->exclude && walk_excluded(path, u->o->exclude));
}

static int check_safe(const struct entry *e, struct wp_error *err)
{
    if (!path_is_safe(e->path))
        return error_set(err, 0, e->path,
                         e->path[0] == '/' ? "is an absolute name: refused"
                                           : "would lead outside the directory: refused");
    if (e->type == ENTRY_HARDLINK && (!e->target || !path_is_safe(e->target)))
        return error_set(err, 0, e->path, "is a hard link to outside the directory: refused");
    if (e->type == ENTRY_SYMLINK && (!e->target || !*e->target))
        return error_set(err, 0, e->path, "is a symbolic link to nothing");
    return 0;
}

/* What the format cannot hold the manifest does. */
static int take_recorded(const struct unpack *u, struct entry *e)
{
    const struct entry *m = u->recorded.data ? manifest_find(&u->manifest, e->path) : NULL;

    if (!m || m->type != e->type)
        return 0;
    e->mtime = m->mtime;
    e->mode = m->mode;
    e->uid = m->uid;
    e->gid = m->gid;
    free(e->uname);
    free(e->gname);
    e->uname = m->uname ? strdup(m->uname) : NULL;
    e->gname = m->gname ? strdup(m->gname) : NULL;
    return (m->uname && !e->uname) || (m->gname && !e->gname) ? -ENOMEM : 0;
}

/* A copy of the archive's entry with its name as unpacked. *OUT NULL: nothing is left of it. */
static int make_item(struct unpack *u, const struct entry *e, bool *used, struct unpacked **out,
                     struct wp_error *err)
{
    struct unpacked *item = calloc(1, sizeof *item);
    bool gone = false;
    char *name;

    *out = item;
    if (!item || entry_copy(&item->e, e) < 0)
        return error_nomem(err);
    if (take_recorded(u, &item->e) < 0)
        return error_nomem(err);
    item->skipped = !is_selected(u, e->path, used) || (u->o->caches_only && !unpack_is_cache(e));
    if (e->type == ENTRY_OTHER) {
        if (!item->skipped)
            report(u->o->report, WP_WARNING, e->path, "is a device or FIFO: skipped");
        item->skipped = true;
    }
    if (!u->o->strip_components)
        return 0;
    name = unpack_name(u, e->path, &gone);
    if (!name && !gone)
        return error_nomem(err);
    item->skipped |= gone;
    if (name) {
        item->archived = item->e.path;
        item->e.path = name;
    }
    if (e->type == ENTRY_HARDLINK && !item->skipped) {
        name = unpack_name(u, e->target, &gone);
        if (!name)
            return gone ? error_set(err, 0, e->path,
                                    "is a hard link to a name that --strip-components takes away")
                        : error_nomem(err);
        free(item->e.target);
        item->e.target = name;
    }
    return 0;
}

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
    return create_dir(u->tree, dir, err);
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
    if (r < 0)
        return r;
    earlier->skipped = true;
    r = beneath_remove(u->tree, item->e.path);
    return r < 0 ? error_set(err, -r, item->e.path, "cannot be replaced") : 0;
}

static bool is_manifest(const struct unpack *u, const char *archived)
{
    return u->a->reader->mark && manifest_is_path(archived);
}

/* Reads the entry's whole content. */
static int pull_whole(struct unpack *u, const struct entry *e, struct buf *text,
                      struct wp_error *err)
{
    const void *data;
    uint64_t offset;
    size_t n;
    int r;

    if (e->size > LARGEST_MANIFEST)
        return error_set(err, EFBIG, e->path, "is too large for a manifest");
    while ((r = u->a->reader->ops->data(u->a->reader, &data, &n, &offset, err)) > 0) {
        if (offset != text->size || n > e->size - text->size)
            return error_set(err, EBADMSG, e->path, "has another size than its header says");
        if (buf_add(text, data, n) < 0)
            return error_nomem(err);
    }
    return r;
}

static int take_manifest(struct unpack *u, const struct entry *e, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    bool gone;
    _cleanup_free_ char *name = unpack_name(u, e->path, &gone);
    struct entry file = *e;
    int r;

    if (u->has_manifest)
        return error_set(err, EBADMSG, e->path, "the archive has a second manifest");
    if (!name || !(u->home = path_dir(name)))
        return error_nomem(err);
    r = pull_whole(u, e, &text, err);
    if (r == 0 && u->recorded.data &&
        (text.size != u->recorded.size || memcmp(text.data, u->recorded.data, text.size) != 0))
        r = error_set(err, EBADMSG, e->path, "the archive has a second manifest");
    if (r == 0 && !u->recorded.data)
        r = manifest_read(&u->manifest, text.data, text.size, e->path, u->a->pool, err);
    if (r == 0)
        r = create_dir(u->tree, u->home, err);
    file.path = name;
    file.size = text.size;
    if (r == 0)
        r = create_file(u->tree, &u->policy, &file, text.data, text.size, err);
    u->has_manifest = r == 0;
    return r;
}

static int stage_entry(struct unpack *u, struct unpack_files *files, struct unpacked *item,
                       struct wp_error *err)
{
    struct unpacked *earlier = unpack_find(u, item->e.path);
    int r = earlier ? replace_earlier(u, files, earlier, item, err)
                    : make_parents(u, item->e.path, err);

    if (r < 0)
        return r;
    if (item->e.type == ENTRY_DIR)
        return create_dir(u->tree, item->e.path, err);
    return item->e.type == ENTRY_FILE ? unpack_files_add(files, item, err) : 0;
}

static int next_entry(struct unpack *u, struct unpack_files *files, const struct entry *e,
                      bool *used, struct wp_error *err)
{
    struct unpacked *item = NULL;
    int r;

    if (!*e->path) /* "./": the directory itself keeps what it has */
        return 0;
    r = check_safe(e, err);
    if (r < 0)
        return r;
    if (is_manifest(u, e->path)) {
        is_selected(u, e->path, used); /* a pattern may name it */
        return take_manifest(u, e, err);
    }
    r = make_item(u, e, used, &item, err);
    if (r == 0 && !item->skipped) {
        r = stage_entry(u, files, item, err);
        if (r == 0)
            report(u->o->report, WP_DETAIL, item->e.path, NULL);
    }
    if (r == 0 && add_item(u, item) < 0)
        r = error_nomem(err);
    if (r < 0 && item) {
        unpack_files_finish(files, NULL); /* a job may still use it */
        entry_clear(&item->e);
        free(item->archived);
        free(item);
    }
    return r;
}

static bool is_interrupted(const struct unpack *u)
{
    return u->o->interrupted && *u->o->interrupted;
}

static void tell_progress(const struct unpack *u)
{
    if (u->o->report && u->o->report->progress)
        u->o->report->progress(u->o->report->ctx, u->a->reader->consumed, u->a->size);
}

static int warn_unmatched(const struct unpack *u, const bool *used)
{
    for (size_t i = 0; u->o->patterns && u->o->patterns[i]; i++)
        if (!used[i])
            report(u->o->report, WP_FAILED, u->o->patterns[i], "not found in the archive");
    return 0;
}

static bool *new_used(const struct unpack *u)
{
    size_t n = 0;

    while (u->o->patterns && u->o->patterns[n])
        n++;
    return calloc(n + 1, sizeof(bool));
}

/* A format that rounds times has its manifest where it can be read first. */
static int read_recorded(struct unpack *u, struct wp_error *err)
{
    _cleanup_buf_ struct buf path = {0};
    int r = u->a->reader->is_rounded
                ? u->a->reader->ops->manifest(u->a->reader, &path, &u->recorded, err)
                : 0;

    if (r <= 0) {
        buf_free(&u->recorded);
        return r;
    }
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    return manifest_read(&u->manifest, u->recorded.data, u->recorded.size, (const char *)path.data,
                         u->a->pool, err);
}

/* The stream into the staged tree, files only: links come when all files are there. */
static int stage_all(struct unpack *u, struct wp_error *err)
{
    struct format_reader *reader = u->a->reader;
    _cleanup_free_ bool *used = new_used(u);
    struct unpack_files *files = NULL;
    const struct entry *e = NULL;
    int r, made;

    if (!used)
        return error_nomem(err);
    r = read_recorded(u, err);
    if (r == 0)
        r = reader->ops->next(reader, &e, err);
    made = r < 0 ? r : unpack_files_new(&files, u, reader->mark, err);
    if (made < 0)
        return made;
    while (r > 0) {
        r = is_interrupted(u) ? error_set(err, EINTR, NULL, "interrupted")
                              : next_entry(u, files, e, used, err);
        tell_progress(u);
        if (r == 0)
            r = reader->ops->next(reader, &e, err);
    }
    if (r == 0)
        r = unpack_files_finish(files, err);
    unpack_files_free(files);
    return r < 0 ? r : warn_unmatched(u, used);
}

/* Hard links, then symlinks, then hard links to symlinks. A hard link reaches only what this
 * archive has unpacked. */
static int stage_links(struct unpack *u, struct wp_error *err)
{
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < u->count; i++) {
            const struct unpacked *item = u->items[i], *target;
            int r = 0;

            if (item->skipped || item->e.type != (pass == 1 ? ENTRY_SYMLINK : ENTRY_HARDLINK))
                continue;
            if (pass == 1) {
                r = create_symlink(u->tree, &u->policy, &item->e, err);
            } else {
                target = unpack_find(u, item->e.target);
                if (!target || target->skipped || target->e.type == ENTRY_DIR)
                    return error_set(err, ENOENT, item->e.path,
                                     "is a hard link to %s, which is not unpacked", item->e.target);
                if ((target->e.type == ENTRY_SYMLINK) == (pass == 2))
                    r = create_hardlink(u->tree, &item->e, err);
            }
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int set_directories(struct unpack *u)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct unpacked *item = u->items[i];
        struct staging_dir d = {.path = item->e.path, .mtime = item->e.mtime};

        if (item->skipped || item->e.type != ENTRY_DIR)
            continue;
        d.mode = create_mode(&u->policy, &item->e);
        create_owner(&u->policy, &item->e, &d.uid, &d.gid);
        if (staging_set_dir(u->staging, 0, &d) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- The job ----------------------------------------------------------------------------- */

static int plan_roots(struct unpack *u, struct wp_error *err)
{
    size_t n = 0;

    u->dir = u->o->dir ? u->o->dir : ".";
    u->dir_path = path_absolute(u->dir);
    if (!u->dir_path)
        return error_set(err, errno, u->dir, "cannot be found");
    while (u->o->runtime_roots && u->o->runtime_roots[n])
        n++;
    u->roots = calloc(n + 3, sizeof *u->roots);
    if (!u->roots)
        return error_nomem(err);
    for (size_t i = 0; i < n; i++) {
        u->roots[i] = path_absolute(u->o->runtime_roots[i]);
        if (!u->roots[i])
            return error_set(err, errno, u->o->runtime_roots[i], "cannot be found");
    }
    if (!n && !(u->roots[0] = strdup(u->dir_path)))
        return error_nomem(err);
    u->state = unpack_state_options(u);
    return u->state ? 0 : error_nomem(err);
}

/* Where DIR is reached through a symlink, Python may see either path. */
static int add_physical_root(struct unpack *u, struct wp_error *err)
{
    char *physical;

    if (u->o->runtime_roots)
        return 0;
    physical = path_physical(u->dir);
    if (!physical)
        return errno == ENOENT ? 0 : error_set(err, errno, u->dir, "cannot be found");
    if (strcmp(physical, u->roots[0]) == 0)
        free(physical);
    else
        u->roots[1] = physical;
    return 0;
}

static int finish_manifest(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *manifest = NULL, *state = NULL;
    int r;

    if (!u->has_manifest && u->o->caches_only && !u->a->reader->mark)
        return error_set(err, 0, u->a->name, "has no manifest that would say whose caches it has");
    if (!u->has_manifest)
        return u->a->reader->mark ? error_set(err, EBADMSG, u->a->name,
                                              "the archive is cut: its manifest is missing")
                                  : 0;
    r = unpack_check(u, err);
    if (r == 0 && u->o->caches_only)
        r = unpack_graft(u, err);
    if (r == 0)
        r = unpack_layout(u, err);
    if (r == 0 && !u->o->caches_only && u->o->restamp != WP_RESTAMP_NEVER)
        r = unpack_restamp(u, err);
    if (r == 0)
        r = unpack_state_write(u, err);
    if (r == 0)
        r = unpack_state_supersede(u, err);
    if (r < 0)
        return r;
    state = path_join(u->home, STATE_NAME);
    manifest = path_join(u->home, MANIFEST_NAME);
    if (!state || !manifest || staging_set_last(u->staging, 0, state) < 0 ||
        staging_set_last(u->staging, 0, manifest) < 0)
        return error_nomem(err);
    return 0;
}

static int unpack_staged(struct unpack *u, struct wp_error *err)
{
    struct staging_options options = {.keep_old = u->o->keep_old,
                                      .replace = u->o->replace,
                                      .report = u->o->report,
                                      .interrupted = u->o->interrupted};
    int r = staging_new(&u->staging, &options, err);

    if (r == 0)
        r = staging_add_area(u->staging, u->dir, err);
    if (r >= 0) {
        u->tree = staging_tree(u->staging, 0);
        r = add_physical_root(u, err);
    }
    if (r == 0)
        r = stage_all(u, err);
    if (r == 0)
        r = stage_links(u, err);
    if (r == 0 && set_directories(u) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = finish_manifest(u, err);
    if (r == 0)
        r = staging_commit(u->staging, err);
    staging_free(u->staging);
    u->staging = NULL;
    if (r == 0)
        r = layout_finish(&u->layout, err);
    for (size_t i = 0; i < u->count; i++)
        u->result->files += !u->items[i]->skipped && manifest_home_at(u->items[i]->e.path) < 0;
    u->result->has_manifest = u->has_manifest;
    if (r == 0)
        r = !u->has_manifest    ? unpack_warn_stale(u, err)
            : u->o->caches_only ? unpack_graft_finish(u, err)
                                : unpack_verify(u, err);
    return r;
}

static int print_bytes(const char *data, size_t n, struct wp_error *err)
{
    while (n) {
        ssize_t r = write(STDOUT_FILENO, data, n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set(err, errno, "standard output", "cannot write");
        data += r;
        n -= (size_t)r;
    }
    return 0;
}

/* HOLE zero bytes, then DATA. */
static int print_run(uint64_t hole, const void *data, size_t n, struct wp_error *err)
{
    static const char zeros[65536];
    int r = 0;

    while (hole && r == 0) {
        size_t part = hole < sizeof zeros ? (size_t)hole : sizeof zeros;

        r = print_bytes(zeros, part, err);
        hole -= part;
    }
    return r < 0 ? r : print_bytes(data, n, err);
}

/* -O: contents of the selected files, one after the other. */
static int unpack_to_stdout(struct unpack *u, struct wp_error *err)
{
    struct format_reader *reader = u->a->reader;
    _cleanup_free_ bool *used = new_used(u);
    const struct entry *e;
    int r;

    if (!used)
        return error_nomem(err);
    while ((r = reader->ops->next(reader, &e, err)) > 0) {
        const void *data;
        uint64_t offset, at = 0;
        size_t n;

        if (!is_selected(u, e->path, used) || e->type != ENTRY_FILE)
            continue;
        while ((r = reader->ops->data(reader, &data, &n, &offset, err)) > 0) {
            r = is_interrupted(u) ? error_set(err, EINTR, NULL, "interrupted")
                                  : print_run(offset - at, data, n, err);
            if (r < 0)
                return r;
            at = offset + n;
        }
        if (r == 0 && at < e->size)
            r = print_run(e->size - at, NULL, 0, err);
        if (r < 0)
            return r;
        u->result->files++;
    }
    return r < 0 ? r : warn_unmatched(u, used);
}

/* ---- --if-needed ------------------------------------------------------------------------- */

/* Is DIR as this archive and these options would leave it? Finds out without inflating, where the
 * archive says where its manifest lies. */
static int is_current(struct unpack *u, struct wp_error *err)
{
    struct format_reader *reader = u->a->reader;
    _cleanup_buf_ struct buf path = {0}, text = {0};
    _cleanup_free_ char *name = NULL, *home = NULL;
    bool gone;
    int r = reader->ops->manifest(reader, &path, &text, err);

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    name = unpack_name(u, (const char *)path.data, &gone);
    home = name ? path_dir(name) : NULL;
    if (!home)
        return error_nomem(err);
    if (!path_is_safe(home))
        return error_set(err, 0, home, "would lead outside the directory: refused");
    r = add_physical_root(u, err);
    if (r == 0)
        r = unpack_state_current(u, home, text.data, text.size);
    free(u->roots[1] && !u->o->runtime_roots ? take_ptr(u->roots[1]) : NULL);
    return r;
}

/* mkdir -p */
static int make_directories(const char *path)
{
    _cleanup_free_ char *above = path_dir(path);

    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT || !above || !*above || make_directories(above) < 0)
        return -1;
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : -1;
}

/* Waits for a lock that processes unpacking into DIR at once share. Its file goes away with it:
 * whoever gets the lock looks whether the file is still the one that he opened. */
static int lock_dir(const struct unpack *u, char **path, struct wp_error *err)
{
    *path = path_join(u->dir_path, ".warmpack.lock");
    if (!*path)
        return error_nomem(err);
    for (;;) {
        _cleanup_close_ int fd = open(*path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat a, b;

        if (fd < 0 && errno == ENOENT && make_directories(u->dir_path) == 0)
            continue;
        if (fd < 0)
            return error_set(err, errno, *path, "cannot open the lock");
        while (flock(fd, LOCK_EX) < 0) {
            if (errno != EINTR || is_interrupted(u))
                return error_set(err, errno, *path, "cannot lock");
        }
        if (fstat(fd, &a) == 0 && lstat(*path, &b) == 0 && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino)
            return take_fd(&fd);
    }
}

static int unpack_if_needed(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int lock = -1;
    int r = is_current(u, err);

    if (r == 0) {
        lock = lock_dir(u, &path, err);
        if (lock < 0)
            return lock;
        r = is_current(u, err); /* another process may have done it meanwhile */
    }
    if (r > 0) {
        u->result->unchanged = true;
        r = 0;
    } else if (r == 0) {
        r = unpack_staged(u, err);
    }
    if (lock >= 0)
        unlink(path);
    if (lock >= 0 && r < 0)
        rmdir(u->dir_path); /* where it was made for the lock, and nothing is in it */
    return r;
}

static mode_t current_umask(void)
{
    mode_t mask = umask(022);

    umask(mask);
    return mask;
}

static void clear(struct unpack *u)
{
    for (size_t i = 0; i < u->count; i++) {
        entry_clear(&u->items[i]->e);
        free(u->items[i]->archived);
        free(u->items[i]);
    }
    buf_free(&u->recorded);
    layout_clear(&u->layout);
    caches_free_bases(u->roots);
    manifest_clear(&u->manifest);
    verify_end(&u->verify);
    free(u->items);
    free(u->slots);
    free(u->home);
    free(u->dir_path);
    free(u->state);
}

int wp_extract(struct wp_archive *a, const struct wp_extract_options *o,
               struct wp_extract_result *result, struct wp_error *err)
{
    struct unpack u = {.o = o, .a = a, .result = result};
    int r;

    *result = (struct wp_extract_result){0};
    u.umask = current_umask();
    u.policy = (struct create_policy){.owner = geteuid() == 0 && !o->no_same_owner,
                                      .numeric_owner = o->numeric_owner,
                                      .permissions = o->same_permissions,
                                      .superuser = geteuid() == 0,
                                      .umask = geteuid() == 0 ? 0 : u.umask};
    r = verify_begin(&u.verify, o->user, err);
    if (r == 0)
        r = plan_roots(&u, err);
    if (r == 0)
        r = o->to_stdout   ? unpack_to_stdout(&u, err)
            : o->if_needed ? unpack_if_needed(&u, err)
                           : unpack_staged(&u, err);
    clear(&u);
    if (r < 0)
        wp_extract_result_clear(result);
    return r;
}

void wp_extract_result_clear(struct wp_extract_result *r)
{
    free(r->cache_dir);
    wp_verify_report_clear(&r->verify);
    *r = (struct wp_extract_result){0};
}
