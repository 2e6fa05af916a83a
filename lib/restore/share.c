/* Repairing: finds, where several manifests lie in one tree (a site-packages directory, two
 * archives in one directory), which of them speaks for a file. Each looks after its own files
 * alone, so that no index is placed or counted twice and no two times are set in turn. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/times.h"
#include "job.h"
#include "tree/behind.h"
#include "tree/beneath.h"

static int compare_owners(const void *a, const void *b)
{
    const struct restore_owner *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    if (order)
        return order;
    return x->tree < y->tree ? -1 : x->tree > y->tree;
}

static struct restored *file_of(const struct restore *restore, const struct restore_owner *o)
{
    return &restore->repairs[o->tree].files[o->file];
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    return a->size == b->size && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

/* What is there: its digest in OUT, with SIZE and TIME. 1; 0: nothing that can be read; negative
 * errno. */
static int look(const struct restore *restore, const char *path, struct entry *out,
                struct wp_error *err)
{
    _cleanup_close_ int fd = behind_open(restore->fd, path);
    struct stat st;
    int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : sha256_of_file(fd, out->sha256);

    if (r < 0 && !beneath_is_out_of_reach(r))
        return error_set(err, -r, path, "cannot be read");
    if (r < 0)
        return 0;
    out->size = (uint64_t)st.st_size;
    out->mtime = st.st_mtim;
    return 1;
}

/* Into *OUT the one of COUNT manifests that knows the file by its content; of several the one that
 * knows its time; then the one of the latest time. 0 or negative errno. */
static int choose(const struct restore *restore, const struct restore_owner *o, size_t count,
                  size_t *out, struct wp_error *err)
{
    struct entry now = {0};
    int there = look(restore, o->path, &now, err);
    size_t best = 0;
    int best_score = -1;

    if (there < 0)
        return there;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = file_of(restore, &o[i])->facts;
        int score = !e ? -1 : !there || !same_content(e, &now) ? 0 : 1;

        if (score > 0 && time_is(e->mtime, now.mtime))
            score = 2;
        if (score > best_score ||
            (score >= 0 && score == best_score &&
             time_is_before(file_of(restore, &o[best])->facts->mtime, e->mtime))) {
            best = i;
            best_score = score;
        }
    }
    *out = best;
    return 0;
}

/* O has room for every file. */
static size_t list_files(const struct restore *restore, struct restore_owner *o)
{
    size_t n = 0;

    for (size_t t = 0; t < restore->trees.count; t++)
        for (size_t i = 0; i < restore->trees.list[t].m.entry_count; i++)
            if (restore->repairs[t].files[i].path)
                o[n++] = (struct restore_owner){restore->repairs[t].files[i].path, t, i};
    array_sort(o, n, compare_owners);
    return n;
}

int restore_share(struct restore *restore, struct wp_error *err)
{
    size_t room = 0, count, last;

    for (size_t t = 0; t < restore->trees.count; t++)
        room += restore->trees.list[t].m.entry_count;
    restore->owners = calloc(room + 1, sizeof *restore->owners);
    if (!restore->owners)
        return error_nomem(err);
    count = list_files(restore, restore->owners);
    for (size_t i = 0; i < count; i = last) {
        struct restore_owner *o = &restore->owners[i];
        size_t best = 0;
        int r;

        for (last = i + 1; last < count && strcmp(restore->owners[last].path, o->path) == 0; last++)
            ;
        r = last - i > 1 ? choose(restore, o, last - i, &best, err) : 0;
        if (r < 0)
            return r;
        for (size_t k = 0; k < last - i; k++)
            if (k != best) {
                file_of(restore, &o[k])->superseded = true;
                file_of(restore, &o[k])->facts = NULL;
            }
        restore->owners[restore->owner_count++] = o[best];
    }
    return 0;
}

const struct restore_owner *restore_owner(const struct restore *restore, const char *path)
{
    return array_find(&path, restore->owners, restore->owner_count, path_compare);
}
