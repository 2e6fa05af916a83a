/* Packing: where the manifest lies, and files that are in no tree. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"

/* Stands for the ID until the walk is known. */
static const char no_id[OWN_ID_LENGTH + 1] = "0000000000000000";

/* The one directory in which everything lies; NULL: there is none. */
static char *single_top(const struct walk *w)
{
    size_t n = w->count ? strcspn(w->items[0].entry.path, "/") : 0;
    bool is_dir = false;

    if (!n)
        return NULL;
    for (size_t i = 0; i < w->count; i++) {
        const char *path = w->items[i].entry.path;

        if (strncmp(path, w->items[0].entry.path, n) != 0 || (path[n] && path[n] != '/'))
            return NULL;
        is_dir |= path[n] == '/' || w->items[i].entry.type == ENTRY_DIR;
    }
    return is_dir ? strndup(w->items[0].entry.path, n) : NULL;
}

/* The one directory NAME.dist-info at the top. Allocated. */
static char *wheel_metadata(const struct pack *p, struct wp_error *err)
{
    static const char suffix[] = WHEEL_DIR_SUFFIX;
    _cleanup_free_ char *found = NULL;

    for (size_t i = 0; i < p->walk.count; i++) {
        const char *path = p->walk.items[i].entry.path;
        size_t n = strcspn(path, "/"), tail = sizeof suffix - 1;

        if (n <= tail || strncmp(path + n - tail, suffix, tail) != 0 ||
            (!path[n] && p->walk.items[i].entry.type != ENTRY_DIR))
            continue;
        if (found && strlen(found) == n && strncmp(found, path, n) == 0)
            continue;
        if (found) {
            error_set(err, 0, p->o->archive,
                      "not made: a wheel has one " WHEEL_DIR_SUFFIX " directory, not both %s and "
                      "%.*s",
                      found, (int)n, path);
            return NULL;
        }
        found = strndup(path, n);
        if (!found) {
            error_nomem(err);
            return NULL;
        }
    }
    if (!found)
        error_set(err, 0, p->o->archive,
                  "not made: a wheel needs a NAME" WHEEL_DIR_SUFFIX " directory at its top");
    return take_ptr(found);
}

int pack_home(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *top = NULL, *dir = NULL;

    if (p->o->format->home == FORMAT_HOME_WHEEL) {
        top = wheel_metadata(p, err);
        if (!top)
            return -EINVAL;
    } else if (p->o->format->home == FORMAT_HOME_EGG) {
        top = strdup(EGG_DIR);
        if (!top)
            return error_nomem(err);
    } else {
        top = single_top(&p->walk);
    }
    dir = path_join(top ? top : "",
                    p->o->format->home == FORMAT_HOME_TREE ? MANIFEST_DIR : METADATA_SUBDIR);
    p->home = dir ? path_join(dir, no_id) : NULL;
    return p->home ? 0 : error_nomem(err);
}

/* *FILE becomes what PATH goes through that is no directory; NULL: nothing. */
static int find_file_above(const struct pack *p, const char *path, const struct walk_item **file,
                           struct wp_error *err)
{
    _cleanup_free_ char *above = strdup(path);

    *file = NULL;
    if (!above)
        return error_nomem(err);
    for (char *slash = strchr(above, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        *file = walk_find(&p->walk, above);
        if (*file && (*file)->entry.type != ENTRY_DIR)
            return 0;
        *slash = '/';
    }
    *file = NULL;
    return 0;
}

int pack_refuse_below_files(const struct pack *p, struct wp_error *err)
{
    const struct walk_item *file = NULL;
    const char *last = "";
    int r = 0;

    for (size_t i = 0; i < p->walk.count && r == 0; i++) {
        const char *path = p->walk.items[i].entry.path;
        size_t n = (size_t)(path_base(path) - path);

        /* What lies in one directory stands together, but for what lies deeper. */
        if (strncmp(path, last, n) != 0 || strchr(last + n, '/'))
            r = find_file_above(p, path, &file, err);
        if (r == 0 && file)
            return error_set(err, 0, path, "lies in %s, which is no directory: refused",
                             file->entry.path);
        last = path;
    }
    if (r == 0)
        r = find_file_above(p, p->home, &file, err);
    if (r == 0 && file)
        return error_set(err, 0, file->entry.path,
                         "is no directory, but its name is that of the manifest's place: refused");
    return r;
}

void pack_drop(struct pack *p, const char *dir)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->walk.count; i++) {
        struct walk_item *item = &p->walk.items[i];

        if (path_is_under(item->entry.path, dir)) {
            entry_clear(&item->entry);
            free(item->name);
        } else {
            p->walk.items[kept++] = *item;
        }
    }
    p->walk.count = kept;
}

int pack_make(struct pack *p, const char *path, const char *text, struct wp_error *err)
{
    struct made_file *f;

    if (array_grow(p->made, p->made_count) < 0)
        return error_nomem(err);
    f = &p->made[p->made_count++];
    *f = (struct made_file){.entry = {.path = strdup(path), .mode = 0644}};
    if (!f->entry.path || buf_add_str(&f->text, text) < 0)
        return error_nomem(err);
    f->entry.size = f->text.size;
    sha256_of(f->text.data, f->text.size, f->entry.sha256);
    f->entry.has_sha256 = true;
    return 0;
}
