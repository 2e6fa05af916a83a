/* The layout, the proof: every index in its final place is judged like any other on disk. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "judge.h"
#include "layout.h"

static int judge_laid(struct layout *l, const struct laid_index *laid,
                      struct wp_verify_report *verify, size_t *was_valid, size_t *lost,
                      struct wp_error *err)
{
    _cleanup_free_ char *shadowed =
        laid->user_wide ? verify_shadowed(l->verify, laid->source_dir) : NULL;
    struct verify_place place = {.index = laid->index,
                                 .index_shown = laid->shown,
                                 .source = laid->source,
                                 .source_shown = laid->source_shown,
                                 .misplaced = shadowed};
    struct wp_index_status s = {0};
    int r = verify_place(l->verify, &place, &s, err);

    if (r == 0) {
        *was_valid += laid->was_valid;
        *lost += laid->was_valid && s.status != WP_VALID;
        if (judge_add(verify, &s) < 0)
            r = error_nomem(err);
    }
    judge_clear(&s);
    return r;
}

static int compare_laid(const void *a, const void *b)
{
    return strcmp(((const struct laid_index *)a)->index, ((const struct laid_index *)b)->index);
}

int layout_verify(struct layout *l, struct wp_verify_report *verify, size_t *was_valid,
                  size_t *lost, struct wp_error *err)
{
    int r = 0;

    if (l->laid_count) /* by directory, so that each is looked at once */
        qsort(l->laid, l->laid_count, sizeof *l->laid, compare_laid);
    for (size_t i = 0; i < l->laid_count && r == 0; i++)
        r = judge_laid(l, &l->laid[i], verify, was_valid, lost, err);
    judge_sort(verify);
    return r;
}
