/* Unpacking, the proof: judges every index in its final place like any other on disk. */

#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "judge/judge.h"
#include "numba/caches.h"

/* Judges PLACE; *LOADS says whether it is valid. */
static int judge(struct unpack *unpack, const struct verify_place *place, bool *loads,
                 struct wp_error *err)
{
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    int r = verify_place(&unpack->verify, place, &s, err);

    *loads = wp_status_loads(s.status);
    return r == 0 && judge_add(&unpack->result->verify, &s) < 0 ? error_nomem(err) : r;
}

/* An index in tree of an archive without a manifest. */
static int judge_foreign(struct unpack *unpack, const struct unpacked *item, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(item->e.path);
    _cleanup_free_ char *parent = dir ? path_dir(dir) : NULL;
    _cleanup_free_ char *index = path_join(unpack->dir_path, item->e.path);
    _cleanup_free_ char *source = NULL, *source_path = NULL;
    bool found, loads;

    if (!parent || !index)
        return error_nomem(err);
    if (strcmp(path_base(dir), "__pycache__") != 0)
        return 0;
    source = caches_source_of(path_base(index), parent, unpack_is_source, unpack, &found);
    source_path = source ? path_join(unpack->dir_path, source) : NULL;
    if (!source_path)
        return error_nomem(err);
    return judge(unpack,
                 &(struct verify_place){.index = index,
                                        .index_shown = item->e.path,
                                        .source = source_path,
                                        .source_shown = source},
                 &loads, err);
}

/* An index of no source file, as PyTensor's, stays where the archive has it. */
static int judge_self_keyed(struct unpack *unpack, const struct unpacked *item,
                            struct wp_error *err)
{
    const char *archived = unpack_archived(item);
    const struct manifest_index *line = manifest_find_index(&unpack->manifest, archived);
    _cleanup_free_ char *dir = NULL, *sources = NULL, *index = NULL;
    const char *misplaced;
    bool loads;
    int r;

    if (!line || line->source || !line->status ||
        strcmp(line->status, wp_status_name(WP_SELF_KEYED)) != 0)
        return 0;
    dir = path_dir(archived);
    sources = dir ? manifest_source_dir(&unpack->manifest, dir, &misplaced) : NULL;
    index = path_join(unpack->dir_path, item->e.path);
    if (!sources || !index)
        return error_nomem(err);
    if (!misplaced) /* the layout put it into its place, where it was judged */
        return 0;
    r = judge(unpack, &(struct verify_place){.index = index, .index_shown = item->e.path}, &loads,
              err);
    if (r == 0) {
        unpack->result->was_valid++;
        unpack->result->lost += !loads;
    }
    return r;
}

int unpack_verify(struct unpack *unpack, struct wp_error *err)
{
    struct wp_extract_result *result = unpack->result;
    int r = layout_verify(&unpack->layout, unpack->a->pool, &result->verify, &result->was_valid,
                          &result->lost, err);

    for (size_t i = 0; i < unpack->count && r == 0; i++)
        if (!unpack->items[i]->skipped && caches_is_index(unpack->items[i]->e.path))
            r = judge_self_keyed(unpack, unpack->items[i], err);
    judge_sort(&result->verify);
    return r;
}

int unpack_warn_stale(struct unpack *unpack, struct wp_error *err)
{
    const struct wp_verify_report *found = &unpack->result->verify;

    for (size_t i = 0; i < unpack->count; i++) {
        const struct unpacked *item = unpack->items[i];
        int r = !item->skipped && item->e.type == ENTRY_FILE && caches_is_index(item->e.path)
                    ? judge_foreign(unpack, item, err)
                    : 0;

        if (r < 0)
            return r;
    }
    if (judge_gufuncs(&unpack->result->verify) < 0)
        return error_nomem(err);
    judge_sort(&unpack->result->verify);
    if (found->count != wp_verify_report_loads(found))
        report(unpack->a->context, WP_WARNING, unpack->a->name,
               "has no manifest, and %zu of its %zu cache indexes are not valid here: Numba will "
               "compile those functions again",
               found->count - wp_verify_report_loads(found), found->count);
    return 0;
}
