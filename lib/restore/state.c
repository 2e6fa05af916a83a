/* Repairing, the record of it: what state.jsonl says of earlier times, and a further line of it
 * where there is something new to say. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "tree/beneath.h"
#include "tree/create.h"

/* ---- Reading ----------------------------------------------------------------------------- */

static int read_state(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(t->home, STATE_NAME);
    struct stat st = {0};
    int res = path ? beneath_read(r->fd, path, STATE_LARGEST, &t->state_text, &st) : -ENOMEM;

    if (res == -ENOENT)
        return 0;
    if (res < 0)
        return error_set(err, -res, path, "cannot be read");
    res = manifest_state_read(&t->state, t->state_text.data, t->state_text.size, path, err);
    t->has_state = res == 0;
    t->state_uid = st.st_uid;
    return res;
}

/* The paths that the base had for Python when caches were last named for them. */
static int find_old_bases(struct restore_tree *t, struct wp_error *err)
{
    const char *below = "";

    if (!t->has_state)
        return 0;
    if (t->strip > t->state.strip && restore_depth(t->prefix) > t->state.strip)
        below = path_strip(t->prefix, t->state.strip);
    t->old_bases = calloc(t->state.root_count + 1, sizeof *t->old_bases);
    if (!t->old_bases)
        return error_nomem(err);
    for (size_t i = 0; i < t->state.root_count; i++) {
        const char *root = t->state.roots[i];

        t->old_bases[i] = *below ? path_join(root, below) : strdup(root);
        if (!t->old_bases[i])
            return error_nomem(err);
    }
    return 0;
}

/* Where the cache root of earlier times is now: it has moved with the tree if it lay in it. */
static int find_old_root(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    const char *named = t->has_state ? t->state.cache_root : NULL;
    _cleanup_free_ char *old = named && *named == '/' ? path_normalise(named) : NULL;

    if (!named || *named != '/')
        return 0;
    if (!old)
        return error_nomem(err);
    for (char **base = t->old_bases; *base && !t->old_root; base++) {
        _cleanup_free_ char *now = path_join(r->dir_path, t->base);
        const char *below = old + strlen(*base);

        if (!path_is_under(old, *base))
            continue;
        while (*below == '/')
            below++;
        t->old_root = !now ? NULL : *below ? path_join(now, below) : strdup(now);
        if (!t->old_root)
            return error_nomem(err);
    }
    if (!t->old_root)
        t->old_root = take_ptr(old);
    return 0;
}

void restore_state_forget(struct restore_tree *t)
{
    for (char **base = t->old_bases; base && *base; base++)
        free(*base);
    free(take_ptr(t->old_bases));
    free(take_ptr(t->old_root));
    manifest_state_clear(&t->state);
    t->state_text.size = 0;
    t->has_state = false;
}

int restore_state_read(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    unsigned depth = restore_depth(t->prefix), strip;
    int res;

    restore_state_forget(t);
    res = read_state(r, t, err);
    if (res < 0)
        return res;
    strip = t->has_state && t->state.strip > depth ? t->state.strip : depth;
    if (strip > RESTORE_MOST_STRIP)
        return error_set(err, 0, t->name, "its state strips more components than names have");
    if (t->files && strip != t->strip)
        return error_set(err, EBUSY, t->name, "was unpacked again meanwhile");
    t->strip = strip;
    res = find_old_bases(t, err);
    return res < 0 ? res : find_old_root(r, t, err);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Does the last line say what NOW says? It may say it of a directory above the base. */
static bool says_the_same(const struct restore_tree *t, const struct manifest_state *now)
{
    const struct manifest_state *was = &t->state;
    size_t i = 0;

    if (!t->has_state || !same_text(was->layout, now->layout) ||
        !same_text(was->cache_root, now->cache_root) || !same_text(was->archive, now->archive))
        return false;
    while (i < now->root_count && t->old_bases[i] && strcmp(t->old_bases[i], now->roots[i]) == 0)
        i++;
    return i == now->root_count && !t->old_bases[i];
}

/* Through the staging where there is one, so that it appears with what it tells of. */
static int put(struct restore *r, struct restore_tree *t, const char *path, const struct buf *text,
               struct wp_error *err)
{
    struct create_policy plain = {.permissions = true};
    struct entry e = {.path = (char *)path, .mode = 0644, .size = text->size};
    struct stat like = {.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()};
    int tree, res;

    clock_gettime(CLOCK_REALTIME, &e.mtime);
    if (!t->staging) {
        (void)beneath_stat(r->fd, path, &like);
        res = restamp_replace(r->fd, path, text->data, text->size, &like, &e.mtime);
        /* The tree is repaired all the same; only a later move will find less. */
        if (res < 0)
            report(r->o->report, WP_WARNING, path, "cannot be written: %s", strerror(-res));
        return 0;
    }
    tree = staging_tree(t->staging, 0);
    res = create_dir(tree, t->home, 0700, err);
    if (res == 0)
        res = create_file(tree, &plain, &e, text->data, text->size, err);
    if (res == 0 && staging_set_last(t->staging, 0, path) < 0)
        res = error_nomem(err);
    return res;
}

int restore_state_write(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct manifest_state now = {.action = (char *)"restore",
                                 .strip = t->strip,
                                 .layout = (char *)wp_layout_name(t->layout.where),
                                 .cache_root = t->layout.where_root,
                                 .archive = t->archive};
    _cleanup_free_ char *path = t->home ? path_join(t->home, STATE_NAME) : NULL;
    _cleanup_buf_ struct buf text = {0};
    size_t count = 0;
    int res = 0;

    if (!t->home)
        return 0;
    while (r->roots[count])
        count++;
    now.roots = calloc(count + 1, sizeof *now.roots);
    for (; now.roots && now.root_count < count; now.root_count++)
        if (!(now.roots[now.root_count] = *t->base ? path_join(r->roots[now.root_count], t->base)
                                                   : strdup(r->roots[now.root_count])))
            break;
    if (!path || !now.roots || now.root_count < count)
        res = -ENOMEM;
    else if (!says_the_same(t, &now)) {
        if (buf_add(&text, t->state_text.data, t->state_text.size) < 0)
            res = -ENOMEM;
        else
            res = manifest_state_write(&now, &text);
    }
    if (res < 0)
        error_nomem(err);
    else if (text.size)
        res = put(r, t, path, &text, err);
    for (size_t i = 0; i < now.root_count; i++)
        free(now.roots[i]);
    free(now.roots);
    return res;
}
