/* Unpacking, content that an earlier tree has already: finds out which, so that it need not be read
 * from the archive. */

#include "earlier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "numba/caches.h"
#include "tree/beneath.h"

/* ---- The earlier tree -------------------------------------------------------------------- */

/* Takes the manifests of what is going to be replaced: only those, DIR may hold anything else. */
static int find_replaced(struct earlier *x, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list homes = {0};
    const char *home = x->unpack->earlier.home;
    _cleanup_free_ char *place = path_dir(home);
    int r = place ? 0 : error_nomem(err);

    if (r == 0 && own_home_prefix(home) > 0)
        r = trees_homes(x->trees.fd, place, &homes);
    /* What is wrong with an earlier tree is no reason not to replace it. */
    for (size_t i = 0; i < homes.count && r != -ENOMEM; i++)
        r = trees_take_home(&x->trees, homes.v[i], NULL);
    return r == -ENOMEM ? error_nomem(err) : 0;
}

/* The file PATH of the tree has the content of entry E. */
static int add_known(struct earlier *x, const struct entry *e, char *path)
{
    const size_t number = x->paths.count;

    if (path_list_add(&x->paths, path) < 0 || number >= TEXT_TABLE_NONE)
        return -ENOMEM;
    return text_table_put(&x->by_digest, (const char *)e->sha256, SHA256_SIZE, (uint32_t)number);
}

static int learn_content(struct earlier *x)
{
    int r = 0;

    for (size_t i = 0; i < x->trees.count; i++) {
        const struct tree_manifest *t = &x->trees.list[i];

        for (size_t k = 0; k < t->m.entry_count && r == 0; k++) {
            const struct entry *e = &t->m.entries[k];
            bool gone = false;
            char *path;

            if (e->type != ENTRY_FILE || !e->has_sha256 || e->absent || e->size == 0)
                continue;
            path = tree_path(t, e->path, &gone);
            r = path ? add_known(x, e, path) : gone ? 0 : -ENOMEM;
        }
    }
    return r;
}

static int find_earlier(struct earlier *x, struct wp_error *err)
{
    const struct unpack *unpack = x->unpack;
    int r;

    x->trees = (struct trees){.dir = unpack->o->from ? unpack->o->from : unpack->dir,
                              .fd = -1,
                              .pool = unpack->a->pool,
                              .context = unpack->a->context};
    x->trees.fd = open(x->trees.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (x->trees.fd < 0 && unpack->o->from)
        return error_set(err, errno, unpack->o->from, "cannot be opened");
    if (x->trees.fd < 0)
        return 0;
    r = unpack->o->from ? trees_find(&x->trees, NULL, err) : find_replaced(x, err);
    if (r < 0)
        return r;
    return learn_content(x) < 0 ? error_nomem(err) : 0;
}

const char *earlier_find(const struct earlier *x, const struct entry *e)
{
    uint32_t n = e->has_sha256 ? text_table_get(&x->by_digest, (const char *)e->sha256, SHA256_SIZE)
                               : TEXT_TABLE_NONE;

    return n == TEXT_TABLE_NONE ? NULL : x->paths.v[n];
}

/* ---- What is wanted ---------------------------------------------------------------------- */

/* Is file E wanted, and under which name? *NAME is allocated. */
static int name_file(const struct unpack *unpack, const struct entry *e, char **name)
{
    bool gone = false;

    *name = NULL;
    if (e->type != ENTRY_FILE || e->absent || !unpack_selected(unpack, e->path) ||
        (unpack->o->caches_only && !caches_is_part(e->path)))
        return 0;
    *name = unpack_name(unpack, e->path, &gone);
    return *name || gone ? 0 : -ENOMEM;
}

static int name_files(struct earlier *x, struct wp_error *err)
{
    struct unpack *unpack = x->unpack;
    int r = 0;

    x->names = calloc(unpack->manifest.entry_count + 1, sizeof *x->names);
    if (!x->names)
        return error_nomem(err);
    for (size_t i = 0; i < unpack->manifest.entry_count && r == 0; i++) {
        const struct entry *e = &unpack->manifest.entries[i];

        if (name_file(unpack, e, &x->names[i]) < 0)
            return error_nomem(err);
        if (x->names[i])
            r = unpack_check_safe(e, err);
        if (x->names[i] && r == 0)
            r = unpack_add_size(unpack, e, err);
    }
    unpack->size = 0; /* the entries are still to come */
    return r;
}

/* Do several files get one name (--strip-components)? Then the last one counts. 1, 0 or -ENOMEM. */
static int have_same_names(const struct earlier *x)
{
    _cleanup_(text_table_free) struct text_table seen = {0};

    for (size_t i = 0; i < x->unpack->manifest.entry_count; i++) {
        const size_t n = x->names[i] ? strlen(x->names[i]) : 0;

        if (n && text_table_get(&seen, x->names[i], n) != TEXT_TABLE_NONE)
            return 1;
        if (n && text_table_put(&seen, x->names[i], n, 0) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Tells the reader what is still wanted. */
static int expect(struct earlier *x, struct wp_error *err)
{
    struct unpack *unpack = x->unpack;
    struct format_reader *reader = unpack->a->reader;
    const struct manifest *m = &unpack->manifest;
    bool *wanted = unpack->earlier.wanted;
    int r;

    if (!reader->ops->expect)
        return 0;
    for (size_t i = 0; i < m->entry_count; i++)
        wanted[i] = x->names[i] && !unpack->earlier.taken[i] && m->entries[i].size;
    unpack->earlier.expected =
        (struct format_expected){.entries = m->entries, .wanted = wanted, .count = m->entry_count};
    r = reader->ops->expect(reader, &unpack->earlier.expected, err);
    return r < 0 ? r : 0;
}

static void clear(struct earlier *x)
{
    for (size_t i = 0; x->names && i < x->unpack->manifest.entry_count; i++)
        free(x->names[i]);
    free(x->names);
    path_list_clear(&x->paths);
    text_table_free(&x->by_digest);
    sha256_many_free(x->digests);
    trees_clear(&x->trees);
    cleanup_close(&x->trees.fd);
}

bool unpack_has_earlier(const struct unpack *unpack)
{
    return !unpack->is_again && (unpack->o->from || unpack->o->replace);
}

/* Finds which files the earlier tree has, and what the archive's are called. 1: several of those
 * get one name, so that none is taken. 0 or negative errno. */
static int begin(struct earlier *x, struct wp_error *err)
{
    struct unpack *unpack = x->unpack;
    const size_t all = unpack->manifest.entry_count;
    int r;

    unpack->earlier.taken = calloc(all + 1, sizeof *unpack->earlier.taken);
    unpack->earlier.wanted = calloc(all + 1, sizeof *unpack->earlier.wanted);
    if (!unpack->earlier.taken || !unpack->earlier.wanted)
        return error_nomem(err);
    r = find_earlier(x, err);
    if (r < 0 || !x->paths.count)
        return r;
    r = name_files(x, err);
    if (r < 0 || !unpack->o->strip_components)
        return r;
    r = have_same_names(x);
    return r < 0 ? error_nomem(err) : r;
}

int unpack_take_earlier(struct unpack *unpack, struct wp_error *err)
{
    struct earlier x = {.unpack = unpack, .trees.fd = -1};
    int r;

    if (!unpack_has_earlier(unpack))
        return 0;
    if (!unpack->is_recorded) {
        if (unpack->o->from)
            report(unpack->a->context, WP_NOTE, unpack->a->name,
                   "does not tell at once what it holds: all of it is unpacked, nothing is taken "
                   "from %s",
                   unpack->o->from);
        return 0;
    }
    r = begin(&x, err);
    if (r == 0 && x.paths.count)
        r = earlier_copy_files(&x, err);
    if (r >= 0 && x.paths.count)
        r = expect(&x, err);
    clear(&x);
    return r;
}

/* Marks what a run would take if the earlier tree is as its manifests say. */
static void look_at_sizes(struct earlier *x)
{
    struct unpack *unpack = x->unpack;

    for (size_t i = 0; i < unpack->manifest.entry_count; i++) {
        const struct entry *e = &unpack->manifest.entries[i];
        const char *from = x->names[i] ? earlier_find(x, e) : NULL;
        struct stat st;

        unpack->earlier.taken[i] = from && beneath_stat(x->trees.fd, from, &st) == 0 &&
                                   S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->size;
    }
}

int unpack_expect_earlier(struct unpack *unpack, struct wp_error *err)
{
    struct earlier x = {.unpack = unpack, .trees.fd = -1};
    int r = begin(&x, err);

    if (r == 0 && x.paths.count)
        look_at_sizes(&x);
    if (r >= 0 && x.paths.count)
        r = expect(&x, err);
    clear(&x);
    return r;
}

bool unpack_is_taken(struct unpack *unpack, struct unpacked *item)
{
    const struct entry *e =
        unpack->earlier.taken ? manifest_find(&unpack->manifest, unpack_archived(item)) : NULL;
    bool taken =
        e && item->e.type == ENTRY_FILE && unpack->earlier.taken[e - unpack->manifest.entries];

    if (!taken)
        return false;
    /* Once: an archive may have a second entry of that name, which replaces it. */
    unpack->earlier.taken[e - unpack->manifest.entries] = false;
    memcpy(item->e.sha256, e->sha256, sizeof item->e.sha256);
    return item->e.has_sha256 = true;
}

void unpack_earlier_clear(struct unpack *unpack)
{
    free(unpack->earlier.taken);
    free(unpack->earlier.wanted);
    free(unpack->earlier.home);
}
