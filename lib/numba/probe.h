#pragma once
/* Probes: what a machine can do, written as JSON so that another one can read it. */

#include "base/buf.h"
#include "base/error.h"
#include "warmpack.h"

/* Does TEXT look like a probe at all, as archives and indexes do not? */
bool probe_is_like(const struct buf *text);
/* NAME is for messages. -EINVAL: no probe, of another version, or with members of other types. */
int probe_read(struct wp_probe *out, const struct buf *text, const char *name,
               struct wp_error *err);
