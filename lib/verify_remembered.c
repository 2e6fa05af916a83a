/* What the manifest in an unpacked tree remembers of where it was packed. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "manifest/manifest.h"
#include "tree/beneath.h"
#include "verify_notes.h"

enum { LARGEST = 1 << 30 };

/* "/srv/build/app/": where the tree with this manifest stood. Allocated. */
static char *root_of(const struct manifest *m)
{
    const char *path = m->entry_count ? m->entries[0].path : "";
    _cleanup_free_ char *top = strndup(path, strcspn(path, "/"));
    _cleanup_free_ char *root = top ? path_join(m->roots[0], top) : NULL;
    char *out = NULL;

    if (!root || asprintf(&out, "%s/", root) < 0)
        return NULL;
    return out;
}

static bool is_base(const char *root, const char *const *bases)
{
    for (; *bases; bases++)
        if (strncmp(root, *bases, strlen(*bases)) == 0 && strcmp(root + strlen(*bases), "/") == 0)
            return true;
    return false;
}

static int take(struct remembered *out, struct manifest *m, const char *const *bases)
{
    char *root = root_of(m);

    if (!root)
        return -ENOMEM;
    free(out->old_root);
    out->old_root = root;
    if (is_base(root, bases))
        free(take_ptr(out->old_root));
    for (size_t i = 0; i < out->env_count; i++)
        free(out->env[i]);
    free(out->env);
    out->env = take_ptr(m->env);
    out->env_count = m->env_count;
    m->env_count = 0;
    out->known = true;
    return 0;
}

int remembered_read(struct remembered *out, const char *dir, const char *const *bases,
                    struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(dir, MANIFEST_DIR);
    _cleanup_closedir_ DIR *d = path ? opendir(path) : NULL;
    struct dirent *item;
    int r = 0;

    *out = (struct remembered){0};
    if (!path)
        return error_nomem(err);
    while (d && r == 0 && (item = readdir(d))) {
        _cleanup_free_ char *name = path_join(item->d_name, MANIFEST_NAME);
        _cleanup_free_ char *shown = name ? path_join(path, name) : NULL;
        _cleanup_buf_ struct buf text = {0};
        struct manifest m = {0};

        if (!shown)
            return error_nomem(err);
        if (item->d_name[0] == '.' || beneath_read(dirfd(d), name, LARGEST, &text, NULL) < 0)
            continue; /* it may be being replaced */
        r = manifest_read(&m, text.data, text.size, shown, NULL, err);
        if (r == 0 && take(out, &m, bases) < 0)
            r = error_nomem(err);
        manifest_clear(&m);
    }
    return r;
}

void remembered_clear(struct remembered *m)
{
    for (size_t i = 0; i < m->env_count; i++)
        free(m->env[i]);
    free(m->env);
    free(m->old_root);
    *m = (struct remembered){0};
}
