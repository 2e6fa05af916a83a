/* How large is what an archive unpacks to? A few bytes can stand for more than any disk holds. */

#include "job.h"

#include <inttypes.h>

enum { SUSPICIOUS = 1000 /* times the archive's size: gzip alone reaches 1,032 */ };

/* Times the archive's size, rounded down. */
static bool is_suspicious(const struct unpack *u)
{
    return u->a->size && u->size / SUSPICIOUS >= u->a->size;
}

int unpack_add_size(struct unpack *u, const struct entry *e, struct wp_error *err)
{
    const uint64_t most = u->o->max_size;

    if (e->type != ENTRY_FILE)
        return 0;
    if (__builtin_add_overflow(u->size, e->size, &u->size))
        u->size = UINT64_MAX;
    if (most && u->size > most)
        return error_set(err, 0, e->path,
                         "with this file more than %" PRIu64 " bytes would be unpacked: refused",
                         most);
    return 0;
}

void unpack_tell_size(struct unpack *u)
{
    if (u->o->max_size || u->told_size || !is_suspicious(u))
        return;
    u->told_size = true;
    report(u->a->context, WP_WARNING, u->a->name,
           "unpacks to more than %d times its size: a limit can be set (--max-size)", SUSPICIOUS);
}
