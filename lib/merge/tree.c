/* Merging: reads a tree with the packing job, whose sink is a spool, as if an archive had been
 * read. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "job.h"
#include "pack/sink.h"
#include "trees/signed.h"

struct tree_sink {
    struct pack_sink base;
    struct merge_input *in;
    struct spooled *now; /* the file that is being written; NULL: it is the manifest */
    char *manifest;      /* its path; owned */
    struct buf text;     /* of the manifest */
};

static int begin(struct pack_sink *base, const char *manifest, struct wp_error *err)
{
    struct tree_sink *to = (struct tree_sink *)base;

    spool_clear(&to->in->spool);
    buf_clear(&to->text);
    free(to->manifest);
    to->manifest = strdup(manifest);
    if (!to->manifest)
        return error_nomem(err);
    to->in->spool.fd = file_temporary(err);
    return to->in->spool.fd < 0 ? to->in->spool.fd : 0;
}

static int entry(struct pack_sink *base, struct entry *e, struct wp_error *err)
{
    struct tree_sink *to = (struct tree_sink *)base;

    to->now = NULL;
    if (strcmp(e->path, to->manifest) == 0)
        return 0;
    to->now = spool_add(&to->in->spool, e, err);
    return to->now ? 0 : -ENOMEM;
}

static int content(struct pack_sink *base, const void *data, size_t size, struct wp_error *err)
{
    struct tree_sink *to = (struct tree_sink *)base;

    if (to->now)
        return spool_append(&to->in->spool, to->now, data, size, err);
    return buf_add(&to->text, data, size) < 0 ? error_nomem(err) : 0;
}

static int end(struct pack_sink *base, struct wp_error *err)
{
    (void)base;
    (void)err;
    return 0;
}

static const struct pack_sink_ops ops = {
    .begin = begin, .entry = entry, .content = content, .end = end};

/* Takes from the manifest what was really packed. */
static int take_recorded(struct merge_input *in, struct wp_error *err)
{
    struct spool *s = &in->spool;

    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = &s->items[i].entry;
        const struct entry *recorded = manifest_find(&in->m, e->path);

        if (!recorded || recorded->type != e->type ||
            (e->type == ENTRY_FILE && recorded->size != e->size))
            return error_set(err, 0, e->path, "changed while it was read");
        entry_clear(e);
        if (entry_copy(e, recorded) < 0)
            return error_nomem(err);
        s->items[i].header_time = e->mtime;
    }
    return spool_resolve_links(s, err);
}

int merge_read_tree(struct merge *m, struct merge_input *in, const char *tree, struct wp_error *err)
{
    const struct wp_member member = {.dir = tree, .path = "."};
    const struct wp_create_options options = {.archive = m->o->output,
                                              .members = &member,
                                              .member_count = 1,
                                              .cache_dirs = m->o->cache_dirs,
                                              .numeric_owner = m->o->numeric_owner};
    struct tree_sink to = {.in = in};
    struct wp_create_result made = {0};
    int r;

    pack_sink_init(&to.base, &ops, "merge", FORMAT_HOME_TREE);
    r = pack_into(&to.base, m->context, &options, m->pool, &made, err);
    wp_create_result_clear(&made);
    if (r == 0) {
        r = trees_has_signature(m->context, tree, err);
        in->spool.was_signed = r > 0;
        r = r < 0 ? r : 0;
    }
    if (r == 0)
        r = manifest_read_once(&in->m, &to.text, tree, m->pool, err);
    if (r == 0)
        r = take_recorded(in, err);
    free(to.manifest);
    buf_free(&to.text);
    return r;
}
