/* The job of packing: plans what goes in, writes that in blocks, judges the indexes that were
 * written, and ends with the manifest. */

#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/ed25519.h"
#include "base/path.h"
#include "numba/caches.h"

static int put_framing(struct format_writer *w, struct output *out, bool head, uint64_t manifest_at,
                       struct wp_error *err)
{
    struct format_block b = {0};
    int r = head ? w->ops->head(w, &b, err) : w->ops->tail(w, &b, manifest_at, err);

    if (r == 0)
        r = output_write(out, b.packed.data, b.packed.size, err);
    format_block_free(&b);
    return r;
}

static int refuse_stale(const struct pack *p, const struct wp_create_result *result,
                        struct wp_error *err)
{
    size_t bad = result->indexes - result->valid;

    for (size_t i = 0; i < result->verify.count; i++) {
        const struct wp_index_status *s = &result->verify.indexes[i];

        if (!wp_status_loads(s->status))
            report(p->context, WP_WARNING, s->index, "%s: %s", wp_status_name(s->status),
                   s->reason ? s->reason : "");
    }
    if (!bad)
        return 0;
    if (p->o->strict)
        return error_set(
            err, 0, p->o->archive, "not %s: %zu of %zu cache indexes are not valid (--strict)",
            p->o->format->home == FORMAT_HOME_DIR ? "sealed" : "made", bad, result->indexes);
    report(p->context, WP_WARNING, NULL, "%zu of %zu cache indexes are not valid already", bad,
           result->indexes);
    return 0;
}

/* What is known when all of the walk has been packed. */
static void sum_up(const struct pack *p, struct wp_create_result *result)
{
    result->indexes = result->verify.count;
    result->valid = wp_verify_report_loads(&result->verify);
    result->cache_dirs = p->manifest.cache_count;
    memcpy(result->id, p->id, sizeof p->id);
    result->entries = p->made_count;
    for (size_t i = 0; i < p->walk.count; i++) {
        result->entries += !p->walk.items[i].gone && !p->walk.items[i].entry.absent;
        result->bytes_read += p->walk.items[i].entry.size;
    }
}

static int open_target(const struct pack *p, struct output *out, struct wp_error *err)
{
    const struct wp_create_options *o = p->o;
    struct stat st;
    const bool is_pipe =
        strcmp(o->archive, "-") == 0 ||
        (stat(o->archive, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
    const bool is_dir =
        o->format->may_be_directory && !is_pipe && !path_has_suffix(o->archive, ".tar");
    int r = is_dir ? output_dir_open(out, o->archive, p->context, err)
                   : output_open(out, o->archive, p->context, err);

    return r == 0 && out->direct && o->format->is_wrapped ? output_spool(out, err) : r;
}

/* The path of the first entry that is going to be written; NULL: the manifest is. */
static const char *first_entry(const struct pack *p)
{
    for (size_t i = 0; i < p->walk.count; i++)
        if (!p->walk.items[i].entry.absent)
            return p->walk.items[i].entry.path;
    return p->made_count ? p->made[0].entry.path : NULL;
}

/* Opens OUT, unless it is that already, and a writer that marks the archive with the manifest's
 * name. After the walk, which must not meet the output. */
static int open_output(const struct pack *p, struct output *out, struct format_writer **w,
                       struct wp_error *err)
{
    const struct wp_create_options *o = p->o;
    const struct buf *script = p->spool && p->spool->script.size ? &p->spool->script : NULL;
    _cleanup_buf_ struct buf mark = {0};
    struct format_write_options options = {.level = o->level_set ? o->level : -1,
                                           .one_member = o->gzip_one_member,
                                           .content = p->total,
                                           .first = first_entry(p),
                                           .script = script,
                                           .image = &o->image};
    int r = buf_printf(&mark, MANIFEST_MARK "%s/%s", p->home, MANIFEST_NAME);

    if (r < 0)
        return error_nomem(err);
    if (script && !o->format->takes_script)
        return error_set(err, 0, o->archive,
                         "not made: the script that the archive begins with would be lost in this "
                         "format");
    r = out->fd < 0 ? open_target(p, out, err) : 0;
    if (r == 0 && script)
        r = output_let_run(out, err);
    if (r < 0)
        return r;
    out->sync = o->sync;
    options.mark = (const char *)mark.data;
    if (!options.first)
        options.first = options.mark + strlen(MANIFEST_MARK);
    options.can_patch = !out->direct;
    options.is_dir = out->is_dir;
    return o->format->open_writer(w, o->format, &options, err);
}

static int wrap(const struct pack *p, struct format_writer *w, struct output *out,
                const struct wp_create_result *result, struct wp_error *err)
{
    const struct manifest *m = &p->manifest;
    struct format_packed packed = {.manifest = m, .newest = INT64_MIN, .entries = result->entries};

    for (size_t i = 0; i < m->entry_count; i++)
        if (!m->entries[i].absent && m->entries[i].mtime.tv_sec > packed.newest)
            packed.newest = m->entries[i].mtime.tv_sec;
    return w->ops->wrap(w, out, &packed, err);
}

/* One attempt from the walk on. */
static int pack_once(struct pack *p, pack_planner *plan, void *ctx, struct output *out,
                     struct wp_create_result *result, struct wp_error *err)
{
    struct format_writer *w = NULL;
    uint64_t manifest_at = 0;
    int r = plan(p, ctx, err);

    if (r == 0)
        r = pack_refuse_below_files(p, err);
    if (r == 0)
        r = open_output(p, out, &w, err);
    if (r == 0)
        r = put_framing(w, out, true, 0, err);
    if (r == 0 && p->index_count && !p->found && pack_imports_begin(p) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = pack_blocks(p, w, out, &result->changed, err);
    if (r == 0)
        r = pack_judge(p, &result->verify, err);
    if (r == 0)
        r = pack_depends(p, &result->verify, err);
    if (r == 0)
        r = pack_distributions(p, err);
    if (r == 0) {
        sum_up(p, result);
        r = refuse_stale(p, result, err);
    }
    if (r == 0)
        r = pack_manifest(p, w, out, &manifest_at, err);
    if (r == 0)
        r = put_framing(w, out, false, manifest_at, err);
    if (r == 0 && w->ops->wrap)
        r = wrap(p, w, out, result, err);
    if (w)
        w->ops->free(w);
    return r;
}

static void free_key(struct ed25519_key **key)
{
    ed25519_key_free(*key);
}

int pack_run(const struct wp_context *context, const struct wp_create_options *o,
             pack_planner *plan, void *ctx, struct pool *pool, struct output *out,
             struct wp_create_result *result, struct wp_error *err)
{
    _cleanup_(free_key) struct ed25519_key *key = NULL;
    int r = o->sign ? ed25519_key_read(&key, o->sign, err) : 0;

    if (r < 0)
        return r;
    for (int attempt = 0;; attempt++) {
        struct pack p = {.context = context, .o = o, .pool = pool, .key = key};
        struct wp_error why = {0};

        r = pack_once(&p, plan, ctx, out, result, &why);
        pack_clear(&p);

        /* A source or cache that changed under the reader: once more from the start, where what
         * was written can be taken back. */
        if (r == -EAGAIN && attempt == 0 && (out->fd < 0 || output_restart(out, NULL) == 0)) {
            report(context, WP_NOTE, NULL, "%s: starting again", why.message);
            wp_create_result_clear(result);
            continue;
        }
        if (r < 0 && err && !err->code)
            *err = why;
        if (r < 0)
            wp_verify_report_clear(&result->verify);
        result->bytes_written = out->written;
        return r;
    }
}

int wp_create(const struct wp_context *context, const struct wp_create_options *o,
              struct wp_create_result *result, struct wp_error *err)
{
    struct output out = {.fd = -1, .dir = -1};
    struct pool *pool;
    int r;

    *result = (struct wp_create_result){0};
    r = options_check(context, o, err);
    if (r < 0)
        return r;
    if (!o->member_count)
        return error_set(err, 0, o->archive, "not made: there is nothing to pack");
    pool = pool_new(context_threads(context));
    if (!pool)
        return error_set(err, errno, NULL, "cannot start threads");
    r = pack_run(context, o, pack_plan, NULL, pool, &out, result, err);
    if (r == 0) {
        r = output_commit(&out, err);
        if (r < 0)
            wp_verify_report_clear(&result->verify);
    }
    output_close(&out);
    pool_free(pool);
    return r;
}

void wp_create_result_clear(struct wp_create_result *r)
{
    wp_verify_report_clear(&r->verify);
    *r = (struct wp_create_result){0};
}

const char *wp_version(void)
{
    return WP_VERSION;
}
