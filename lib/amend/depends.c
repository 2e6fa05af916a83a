/* Amending: leaves behind what is of no use. An index is of use where all files that its code came
 * from are in the archive with the content that they have in the tree. */

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "manifest/depends.h"
#include "numba/caches.h"
#include "numba/depends.h"

/* Compiled modules are no sources that are matched: the archive has one of that name and content.
 */
static bool archive_has(const struct amend *a, const struct walk_item *item)
{
    const char *name = path_base(item->entry.path);
    unsigned char digest[SHA256_SIZE];
    _cleanup_close_ int fd =
        walk_open(&a->survey.pack.walk, item, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || sha256_of_file(fd, digest) < 0)
        return false;
    for (size_t i = 0; i < a->spool.count; i++) {
        const struct entry *e = &a->spool.items[i].entry;

        if (e->type == ENTRY_FILE && strcmp(path_base(e->path), name) == 0 &&
            memcmp(e->sha256, digest, sizeof digest) == 0)
            return true;
    }
    return false;
}

static int is_same(void *ctx, const char *path)
{
    const struct amend *a = ctx;
    const struct walk *walk = &a->survey.pack.walk;
    const struct walk_item *item = walk_find(walk, path);

    if (!item)
        return 0;
    if ((item->entry.type == ENTRY_SYMLINK && !depends_is_module(path)) || caches_is_source(path) ||
        amend_is_zip(&item->entry))
        return a->survey.same[item - walk->items];
    return archive_has(a, item);
}

int amend_changed(struct amend *a, const char ***changed, struct wp_error *err)
{
    return manifest_changed(&a->survey.pack.manifest, is_same, a, changed, err);
}
