/* Takes the steps of repairing in the order in which an unpacking of caches alone takes them. */

#include "graft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/temporary.h"
#include "job.h"

struct graft {
    struct restore restore;
    struct repair repair;
    struct tree_manifest t; /* whose manifest is borrowed */
    struct wp_restore_result result;
};

/* Stamps of what is staged cannot be changed after the commit, when times are set: which these will
 * be is asked before, of a file in staging that is gone again then. */
static int check_files(struct graft *g, int staged_fd, struct wp_error *err)
{
    _cleanup_free_ char *name = NULL;
    struct time_probe probe = {.fd = -1};
    struct stat st;
    int r;

    if (staged_fd < 0)
        return restore_check_files(&g->restore, &g->repair, err);
    probe.fd = temporary_make(staged_fd, OWN_REPLACING, 0600, &name);
    if (probe.fd < 0 || fstat(probe.fd, &st) < 0) {
        r = probe.fd < 0 ? probe.fd : -errno;
        cleanup_close(&probe.fd);
        return error_set(err, -r, g->restore.o->dir, "cannot make a file in staging");
    }
    probe.dev = st.st_dev;
    g->restore.probe = &probe;
    r = restore_check_files(&g->restore, &g->repair, err);
    g->restore.probe = NULL;
    close(probe.fd);
    if (unlinkat(staged_fd, name, 0) < 0 && r == 0)
        r = error_set(err, errno, g->restore.o->dir, "cannot remove a file in staging");
    return r;
}

int graft_begin(struct graft **out, const struct graft_options *o, struct wp_error *err)
{
    struct graft *g = *out = calloc(1, sizeof *g);
    struct restore *restore = g ? &g->restore : NULL;
    int r;

    if (!g)
        return error_nomem(err);
    *restore = (struct restore){.context = o->context,
                                .o = o->o,
                                .result = &g->result,
                                .pool = o->pool,
                                .grafting = true,
                                .dir_path = (char *)o->dir_path,
                                .roots = o->roots,
                                .fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0),
                                .repairs = &g->repair};
    restore->apart = o->apart;
    restore->trees = (struct trees){.dir = o->o->dir, .fd = restore->fd, .list = &g->t, .count = 1};
    repair_begin(&g->repair, &g->t);
    if (restore->fd < 0)
        return error_set(err, errno, o->o->dir, "cannot open directory");
    r = tree_manifest_borrow(&restore->trees, &g->t, o->m, o->home, o->strip, err);
    if (r == 0)
        r = restore_plan(restore, &g->repair, err);
    if (r == 0)
        r = restore_share(restore, err);
    return r < 0 ? r : check_files(g, o->staged_fd, err);
}

void graft_free(struct graft *g)
{
    if (!g)
        return;
    repair_clear(&g->repair);
    g->t.m = (struct manifest){0};
    tree_manifest_clear(&g->t);
    cleanup_close(&g->restore.fd);
    free(g->restore.owners);
    free(g);
}

ptrdiff_t graft_source(const struct graft *g, const char *source, bool *is_same, bool *is_usable)
{
    const struct restored *f = source ? restore_file_of(&g->repair, source) : NULL;

    *is_same = f && f->status >= RESTORED_SAME;
    *is_usable = f && f->status == RESTORED_SAME;
    return f ? f - g->repair.files : -1;
}

int graft_check(const struct graft *g, size_t *left_out, struct wp_error *err)
{
    *left_out = g->result.left_out;
    return restore_memory(&g->repair, err);
}

/* Records of what is staged are for directories of the manifest, too. */
static void tag_records(const struct tree_manifest *t, struct layout *l)
{
    for (size_t i = 0; i < l->record_count; i++)
        for (size_t dir = 0; dir < t->dir_count; dir++)
            if (strcmp(t->dirs[dir].path, l->records[i].source) == 0)
                l->records[i].tag = dir;
}

int graft_add_caches(struct graft *g, struct layout *l, struct wp_error *err)
{
    g->repair.layout = l;
    if (tree_find_dirs(&g->t) < 0)
        return error_nomem(err);
    tag_records(&g->t, l);
    return restore_add_caches(&g->restore, &g->repair, err);
}

int graft_fit_staged(struct graft *g, struct wp_error *err)
{
    return restore_stamps(&g->restore, &g->repair, STAMPS_STAGED, err);
}

int graft_finish(struct graft *g, size_t *restamped, size_t *lost, struct wp_error *err)
{
    struct restore *restore = &g->restore;
    int r;

    r = restore_set_times(restore, &g->repair, err);
    if (r == 0)
        r = restore_count_files(restore, &g->repair, err);
    if (r == 0)
        r = restore_stamps(restore, &g->repair, STAMPS_STAYING, err);
    if (r == 0)
        r = restore_pycs(restore, &g->repair, err);
    if (r == 0 && !restore->apart)
        r = restore_record(restore, &g->repair, err);
    if (r == 0)
        r = restore_report_missing(restore, &g->repair, err);
    *restamped += g->result.restamped;
    *lost += g->result.lost;
    return r;
}
