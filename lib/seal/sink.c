/* Sealing: the packing job reads and digests the tree as ever; of what it would write, only what
 * lies in the manifest's home is kept, in the staged tree. */

#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "job.h"
#include "tree/beneath.h"
#include "tree/create.h"

enum { DIR_MODE = 0755 };

static bool wants(const char *path)
{
    return path_is_under(path, MANIFEST_DIR);
}

/* What was staged has the owner, mode and time that the manifest records, so that sealing again
 * finds the same. */
static struct create_policy policy(void)
{
    bool superuser = geteuid() == 0;

    return (struct create_policy){.owner = superuser, .permissions = true, .superuser = superuser};
}

static int note(struct seal *s, const struct entry *e, struct wp_error *err)
{
    if (array_grow(s->entries, s->entry_count) < 0 ||
        entry_copy(&s->entries[s->entry_count], e) < 0)
        return error_nomem(err);
    s->entry_count++;
    return 0;
}

static int entry(struct pack_sink *base, struct entry *e, struct wp_error *err)
{
    struct seal_sink *to = (struct seal_sink *)base;
    const int tree = staging_tree(to->seal->staging, 0);
    _cleanup_free_ char *dir = path_dir(e->path);
    int r;

    e->mode &= 0777;
    if (!dir)
        return error_nomem(err);
    if (e->type == ENTRY_DIR) {
        r = create_dir(tree, e->path, DIR_MODE, err);
        return r < 0 ? r : note(to->seal, e, err);
    }
    r = create_dir(tree, dir, DIR_MODE, err);
    if (r < 0)
        return r;
    if (e->type == ENTRY_HARDLINK && path_is_under(e->target, MANIFEST_DIR)) {
        r = create_hardlink(tree, e, err);
        return r < 0 ? r : note(to->seal, e, err);
    }
    if (e->type != ENTRY_FILE)
        return error_set(err, 0, e->path, "is one file with another of the tree: refused");
    entry_clear(&to->now);
    to->now = *e;
    *e = (struct entry){0};
    to->fd = create_open(tree, &to->now, err);
    return to->fd < 0 ? to->fd : 0;
}

static int end(struct pack_sink *base, struct wp_error *err)
{
    struct seal_sink *to = (struct seal_sink *)base;
    const struct create_policy p = policy();
    int r;

    if (to->fd < 0)
        return 0;
    r = create_close(take_fd(&to->fd), &p, &to->now, err);
    return r < 0 ? r : note(to->seal, &to->now, err);
}

static int content(struct pack_sink *base, const void *data, size_t size, struct wp_error *err)
{
    const struct seal_sink *to = (const struct seal_sink *)base;
    int r = to->fd < 0 ? 0 : file_write(to->fd, data, size);

    return r < 0 ? error_set(err, -r, to->now.path, "cannot write") : 0;
}

void seal_forget(struct seal *s)
{
    for (size_t i = 0; i < s->entry_count; i++)
        entry_clear(&s->entries[i]);
    free(take_ptr(s->entries));
    s->entry_count = 0;
}

static int begin(struct pack_sink *base, const char *manifest, struct wp_error *err)
{
    struct seal_sink *to = (struct seal_sink *)base;
    int r;

    (void)manifest;
    seal_sink_clear(to);
    seal_forget(to->seal);
    r = beneath_remove(staging_tree(to->seal->staging, 0), MANIFEST_DIR);
    return r < 0 ? error_set(err, -r, MANIFEST_DIR, "cannot be removed from the staged tree") : 0;
}

static const struct pack_sink_ops ops = {
    .begin = begin, .wants = wants, .entry = entry, .content = content, .end = end};

void seal_sink_init(struct seal_sink *to, struct seal *s)
{
    *to = (struct seal_sink){.seal = s, .fd = -1};
    pack_sink_init(&to->base, &ops, "seal", FORMAT_HOME_DIR);
}

void seal_sink_clear(struct seal_sink *to)
{
    cleanup_close(&to->fd);
    entry_clear(&to->now);
}
