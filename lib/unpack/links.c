/* Unpacking, the links: makes them when all files are there, so that nothing is ever written
 * through one. A hard link reaches only what this archive has unpacked, and what its target's name
 * meant when the archive told of the link: a later entry of that name does not change it. */

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"

struct link {
    struct unpacked *item;
    uint32_t next; /* of the same inode: number + 1; 0: the last */
    bool made;
};

/* A file or symlink that hard links lead to. */
struct inode {
    struct unpacked *item; /* a name that it has; of a symlink the one that it had first */
    bool is_symlink;
    uint32_t links; /* the last one to it: number + 1 */
};

struct unpack_links {
    struct link *links;
    size_t count;
    struct inode *inodes; /* item->inode is a number in here + 1 */
    size_t inode_count;
};

/* What the name of ITEM's target means now, or NULL. */
static struct inode *find_inode(struct unpack *unpack, const struct unpacked *item, int *r)
{
    struct unpacked *target = unpack_find(unpack, item->e.target);
    struct unpack_links *l = unpack->links;

    *r = 0;
    if (!target || target->e.type == ENTRY_DIR ||
        (target->e.type == ENTRY_HARDLINK && !target->inode))
        return NULL;
    if (target->inode)
        return &l->inodes[target->inode - 1];
    if (l->inode_count == UINT32_MAX - 1 || array_grow(l->inodes, l->inode_count) < 0) {
        *r = -ENOMEM;
        return NULL;
    }
    l->inodes[l->inode_count] =
        (struct inode){.item = target, .is_symlink = target->e.type == ENTRY_SYMLINK};
    target->inode = (uint32_t)++l->inode_count;
    return &l->inodes[l->inode_count - 1];
}

static void join(struct unpack_links *l, size_t number, struct inode *inode)
{
    struct link *link = &l->links[number];

    link->item->inode = (uint32_t)(inode - l->inodes) + 1;
    link->next = inode->links;
    inode->links = (uint32_t)number + 1;
}

int unpack_links_add(struct unpack *unpack, struct unpacked *item, const struct unpacked *earlier,
                     struct wp_error *err)
{
    struct unpack_links *l = unpack->links ? unpack->links : (unpack->links = calloc(1, sizeof *l));
    struct inode *inode;
    int r;

    if (!l)
        return error_nomem(err);
    if (l->count == UINT32_MAX - 1 || array_grow(l->links, l->count) < 0)
        return error_nomem(err);
    inode = find_inode(unpack, item, &r);
    if (r < 0)
        return error_nomem(err);
    if (inode && earlier && earlier->inode && inode == &l->inodes[earlier->inode - 1]) {
        item->skipped = true; /* that name has that file already */
        return 0;
    }
    l->links[l->count] = (struct link){.item = item};
    if (inode)
        join(l, l->count, inode);
    l->count++;
    return 0;
}

/* A link to a symlink that another entry has replaced is one like it. */
static int make_symlink(struct unpack *unpack, const struct link *link, const struct unpacked *like,
                        struct wp_error *err)
{
    struct entry e = like->e;

    e.path = link->item->e.path;
    return create_symlink(unpack->tree, &unpack->policy, &e, err);
}

static int make_link(struct unpack *unpack, struct link *link, const struct inode *inode,
                     struct wp_error *err)
{
    struct entry e = link->item->e;

    if (link->made || link->item->skipped)
        return 0;
    link->made = true;
    if (inode->is_symlink && inode->item->skipped)
        return make_symlink(unpack, link, inode->item, err);
    e.target = inode->item->e.path;
    return create_hardlink(unpack->tree, &e, err);
}

/* Links are told of last first: the others are not looked at again once they are made. */
int unpack_links_resolve(struct unpack *unpack, const struct unpacked *earlier,
                         struct wp_error *err)
{
    struct unpack_links *l = unpack->links;
    struct inode *inode = earlier->inode ? &l->inodes[earlier->inode - 1] : NULL;
    int r = 0;

    if (!inode || inode->item != earlier || inode->is_symlink)
        return 0;
    for (uint32_t at = inode->links; at && !l->links[at - 1].made && r == 0;
         at = l->links[at - 1].next)
        r = make_link(unpack, &l->links[at - 1], inode, err);
    while (inode->links &&
           (l->links[inode->links - 1].item->skipped || l->links[inode->links - 1].item == earlier))
        inode->links = l->links[inode->links - 1].next;
    if (inode->links)
        inode->item = l->links[inode->links - 1].item;
    return r;
}

/* The names of what was left out, sorted. */
static const char **left_out(const struct unpack *unpack, size_t *count)
{
    const char **names = malloc((unpack->count ? unpack->count : 1) * sizeof *names);

    *count = 0;
    for (size_t i = 0; i < unpack->count && names; i++)
        if (unpack->items[i]->skipped)
            names[(*count)++] = unpack->items[i]->e.path;
    if (names)
        qsort(names, *count, sizeof *names, path_compare);
    return names;
}

/* Links whose targets had not been met: they may have come later. Where the user has left the
 * target out, the link alone fails, as in tar. */
static int find_late_targets(struct unpack *unpack, struct wp_error *err)
{
    _cleanup_free_ const char **names = NULL;
    struct unpack_links *l = unpack->links;
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        struct unpacked *item = l->links[i].item;
        const struct unpacked *target;
        struct inode *inode;
        int r;

        if (item->inode || item->skipped)
            continue;
        inode = find_inode(unpack, item, &r);
        if (r < 0 || (!names && !(names = left_out(unpack, &count))))
            return error_nomem(err);
        if (inode) {
            join(l, i, inode);
            continue;
        }
        target = unpack_find(unpack, item->e.target);
        if (!(target && target->skipped) &&
            !bsearch(&item->e.target, names, count, sizeof *names, path_compare))
            return error_set(err, ENOENT, item->e.path,
                             "is a hard link to %s, which is not unpacked", item->e.target);
        item->skipped = true;
        report(unpack->a->context, WP_FAILED, item->e.path,
               "is a hard link to %s, which is not unpacked: left out", item->e.target);
    }
    return 0;
}

static int make_links(struct unpack *unpack, bool to_symlinks, struct wp_error *err)
{
    struct unpack_links *l = unpack->links;
    int r = 0;

    for (size_t i = 0; l && i < l->count && r == 0; i++) {
        const struct unpacked *item = l->links[i].item;
        const struct inode *inode = item->inode ? &l->inodes[item->inode - 1] : NULL;

        if (inode && inode->is_symlink == to_symlinks)
            r = make_link(unpack, &l->links[i], inode, err);
    }
    return r;
}

int unpack_links_make(struct unpack *unpack, struct wp_error *err)
{
    int r = unpack->links ? find_late_targets(unpack, err) : 0;

    if (r == 0)
        r = make_links(unpack, false, err);
    for (size_t i = 0; i < unpack->count && r == 0; i++)
        if (!unpack->items[i]->skipped && unpack->items[i]->e.type == ENTRY_SYMLINK)
            r = create_symlink(unpack->tree, &unpack->policy, &unpack->items[i]->e, err);
    return r < 0 ? r : make_links(unpack, true, err);
}

void unpack_links_free(struct unpack_links *l)
{
    if (!l)
        return;
    free(l->links);
    free(l->inodes);
    free(l);
}
