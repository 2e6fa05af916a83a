/* Limits what an archive unpacks to: a few bytes can stand for more than any disk holds. */

#include "job.h"

#include <inttypes.h>

enum { SUSPICIOUS = 1000 /* times the archive's size: gzip alone reaches 1,032 */ };

int unpack_add_size(struct unpack *unpack, const struct entry *e, struct wp_error *err)
{
    const uint64_t most = unpack->o->max_size;

    if (e->type != ENTRY_FILE)
        return 0;
    if (__builtin_add_overflow(unpack->size, e->size, &unpack->size))
        unpack->size = UINT64_MAX;
    if (most && unpack->size > most)
        return error_set(err, 0, e->path,
                         "with this file more than %" PRIu64 " bytes would be unpacked: refused",
                         most);
    return 0;
}

void unpack_tell_size(struct unpack *unpack)
{
    const uint64_t size = unpack->a->size;

    if (unpack->o->max_size || unpack->told_size || !size || unpack->size / SUSPICIOUS < size)
        return;
    unpack->told_size = true;
    report(unpack->a->context, WP_WARNING, unpack->a->name,
           "unpacks to more than %d times its size: a limit can be set (--max-size)", SUSPICIOUS);
}
