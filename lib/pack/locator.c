/* Packing, --with-locator: the module by which Numba takes the caches of a tree from where they lie
 * goes along, for Pythons in which nothing of warmpack is installed. */

#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/locator_text.h"

int pack_add_locator(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *place = path_dir(p->home);
    _cleanup_free_ char *path = place ? path_join(place, OWN_LOCATOR) : NULL;

    return path ? pack_make(p, path, (const char *)locator_text, err) : error_nomem(err);
}

void pack_digest_locator(struct sha256 *sha)
{
    sha256_add(sha, locator_text, strlen((const char *)locator_text) + 1);
}
