#pragma once
/* What the files that carry out a commit share. */

#include "staging_private.h"

/* The time that directory PATH of an area had before something was changed in it. */
struct run_time {
    unsigned area;
    char *path; /* owned */
    struct timespec mtime;
};

/* A list of operations being carried out. */
struct run {
    struct staging_area *areas; /* one without a staging directory is passed over */
    size_t area_count;
    const struct staging_plan *plan;
    const struct wp_context *context;
    struct wp_error *err;

    /* Where the last path lay: operations come directory by directory. */
    unsigned area;
    char *dir;                     /* owned; NULL: nothing kept */
    int new_parent, target_parent; /* or negative errno */
    const char *name;              /* of the operation at hand, there; borrowed */
    char aside[24];                /* and in old/, if it sets something aside */

    struct run_time *times; /* owned; as the directories were come to */
    size_t time_count;
};

/* Operation I, carried out as far as it is not done, or taken back as far as it is. 0 or negative
 * errno. */
int commit_put(struct run *run, size_t i);
int commit_unput(struct run *run, size_t i);
int commit_take_away(struct run *run, size_t i, bool undo);
int commit_change_mode(struct run *run, size_t i, bool undo);
/* Closes what is kept open of the last operation's path. */
void commit_forget_parents(struct run *run);
/* Gives directories their earlier times again, as far as that is allowed. */
void commit_give_times_back(const struct run *run);
void commit_forget_times(struct run *run);
