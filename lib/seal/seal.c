/* The job of sealing: a tree gets the manifest that packing it would have made, and beside it the
 * caches that lie outside the tree. All of that is staged, and put in place in one step. */

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "job.h"

static int begin(struct seal *s, struct wp_error *err)
{
    const struct staging_options options = {
        .opens_own = true, .sync = s->o->sync, .context = s->context};
    struct stat st;
    int r;

    if (stat(s->o->dir, &st) < 0)
        return error_set(err, errno, s->o->dir, "cannot be sealed");
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ENOTDIR, s->o->dir, "cannot be sealed");
    r = staging_new(&s->staging, &options, err);
    if (r == 0)
        r = staging_add_area(s->staging, s->o->dir, err);
    /* One at a time: who comes second finds what the first has made. */
    return r < 0 ? r : staging_lock(s->staging, err);
}

/* The job of packing, which makes no archive. */
static int pack(struct seal *s, struct wp_error *err)
{
    const struct wp_member member = {.dir = s->o->dir, .path = "."};
    const struct wp_create_options options = {.archive = s->o->dir,
                                              .members = &member,
                                              .member_count = 1,
                                              .cache_dirs = s->o->cache_dirs,
                                              .source_roots = s->o->source_roots,
                                              .exclude = s->o->exclude,
                                              .numeric_owner = s->o->numeric_owner,
                                              .strict = s->o->strict,
                                              .record_env = s->o->record_env,
                                              .command = s->o->command,
                                              .with_locator = s->o->with_locator,
                                              .sign = s->o->sign,
                                              .python = s->o->python};
    struct pool *pool = pool_new(context_threads(s->context));
    struct seal_sink to;
    int r;

    if (!pool)
        return error_set(err, errno, NULL, "cannot start packing");
    seal_sink_init(&to, s);
    r = pack_into(&to.base, s->context, &options, pool, &s->result->made, err);
    seal_sink_clear(&to);
    pool_free(pool);
    return r;
}

static int set_dirs(struct seal *s, struct wp_error *err)
{
    for (size_t i = 0; i < s->entry_count; i++) {
        const struct entry *e = &s->entries[i];
        const bool superuser = geteuid() == 0;
        const struct staging_dir dir = {.path = e->path,
                                        .mode = e->mode,
                                        .mtime = e->mtime,
                                        .uid = superuser ? e->uid : (uid_t)-1,
                                        .gid = superuser ? e->gid : (gid_t)-1};

        if (e->type == ENTRY_DIR && staging_set_dir(s->staging, 0, &dir) < 0)
            return error_nomem(err);
    }
    return 0;
}

/* The manifest comes last: what has one is whole. */
static int commit(struct seal *s, struct wp_error *err)
{
    const char *manifest = s->entries[s->entry_count - 1].path;
    int r = seal_find_earlier(s, err);

    if (r == 0)
        r = set_dirs(s, err);
    if (r == 0 && staging_set_last(s->staging, 0, manifest) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = staging_commit(s->staging, err);
    s->result->written = r == 0;
    if (r == 0 && s->was_signed)
        report(s->context, s->o->sign ? WP_NOTE : WP_WARNING, s->o->dir, "%s",
               s->o->sign ? "the signature that the tree had gives way to the new one"
                          : "the signature that the tree had is left out, and there is no new one "
                            "(--sign)");
    if (r == 0)
        seal_remove_earlier(s);
    return r;
}

int wp_seal(const struct wp_context *context, const struct wp_seal_options *o,
            struct wp_seal_result *result, struct wp_error *err)
{
    struct seal s = {.context = context, .o = o, .result = result};
    int r;

    *result = (struct wp_seal_result){0};
    r = options_check(context, o, err);
    if (r == 0)
        r = begin(&s, err);
    if (r == 0) /* what dead runs left is not to be sealed */
        r = trees_sweep_all(context, o->dir, staging_target(s.staging, 0), NULL, err);
    if (r >= 0)
        r = pack(&s, err);
    if (r == 0)
        r = seal_is_there(&s, err);
    if (r == 0)
        r = seal_check_earlier(&s, err);
    if (r == 0)
        r = commit(&s, err);
    staging_free(s.staging);
    seal_forget(&s);
    path_list_clear(&s.earlier);
    if (r < 0)
        wp_seal_result_clear(result);
    return r < 0 ? r : 0;
}

void wp_seal_result_clear(struct wp_seal_result *r)
{
    wp_create_result_clear(&r->made);
    *r = (struct wp_seal_result){0};
}
