#pragma once
/* Which files nobody has changed since they were put into a tree and compared with its manifest, so
 * that they need not be read again.
 *
 * With each change the kernel gives a file the present as its change time, which nobody can choose.
 * So a file has the content that the manifest says as long as its change time is one of the run
 * that made it. What that run was, state.jsonl tells; as a tree and its state.jsonl may come from
 * anybody, it is believed only where a witness confirms it: a file with the inode and the change
 * time that are told there, to the nanosecond, in a tree that is the user's own. */

#include <stdbool.h>
#include <sys/stat.h>

#include "base/entry.h"
#include "trees/trees.h"

struct untouched {
    struct timespec since, until; /* the run's; until is not part of it; equal: nothing is known */
    dev_t device;
};

/* What is known of the files of T. */
struct untouched untouched_files(const struct trees *trees, const struct tree_manifest *t);
/* Is the file with ST as the run made it from E of the manifest? */
bool untouched_is(const struct untouched *u, const struct entry *e, const struct stat *st);

struct unpack;
/* ---- This run, for the next one */
/* Before the first file is made. */
void untouched_begin(struct unpack *unpack);
/* When all files are made, and before any is changed: chooses the witness. */
void untouched_end(struct unpack *unpack);
/* After a commit that took files from the tree before, which that changed. Without effect where it
 * is not known that nothing else was changed. */
void untouched_end_again(struct unpack *unpack);
