/* The job of asking whether this machine can run code for a CPU. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/features.h"
#include "warmpack.h"

int wp_cpu_lacks(const struct wp_cpu *c, char **lacks, struct wp_error *err)
{
    const char *triple = c->triple ? c->triple : features_arch_name(features_arch_here());
    _cleanup_buf_ struct buf text = {0};
    struct features need, have;
    int r;

    *lacks = NULL;
    r = features_needed(&need, triple, c->name, c->features ? c->features : "", err);
    if (r < 0)
        return r;
    if (!features_of_host(&have))
        return error_set(err, ENOTSUP, NULL, "it is not known what this machine can do");
    r = features_missing(&need, &have, &text);
    if (r > 0 && !(*lacks = strdup((const char *)text.data)))
        r = -ENOMEM;
    return r < 0 ? error_nomem(err) : 0;
}
