/* Judges whether an index is older than a file that its code can come from. */

#include "judge/outdated.h"

#include "base/times.h"
#include "judge/judge.h"

enum outdated outdated_by_times(const struct wp_stamp *stamp, struct timespec compiled,
                                struct timespec source, struct timespec newest)
{
    if (!time_is_before(compiled, newest))
        return NOT_OUTDATED;
    /* What reads a source does so before it compiles it: who made the tree has not kept its times,
     * as git does not. */
    return stamp->kind == WP_STAMP_CONTENT || time_is_before(compiled, source) ? OUTDATED_UNKNOWN
                                                                               : OUTDATED;
}

int outdated_set(struct wp_index_status *s, const char *path)
{
    return judge_set(s, WP_OUTDATED, "%s changed after it was compiled; Numba would not notice",
                     path);
}
