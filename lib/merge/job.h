#pragma once
/* What the steps of merging share. Private to lib/merge.
 *
 * Each archive or tree is read into a spool (input.c, tree.c), its sources are held against those
 * of the first (sources.c), its valid indexes are read (indexes.c), and the ones that the first
 * one's sources do not fit are left out (fit.c). What belongs together becomes one index, in
 * groups (groups.c, builds.c, join.c), and the packing job writes the archive (plan.c). */

#include "archive/spool.h"
#include "numba/index.h"
#include "pack/job.h"

/* An index of one input that the result may hold. */
struct merge_index {
    const struct manifest_index *line;  /* the input's */
    const struct entry *entry;          /* likewise */
    const struct manifest_cache *cache; /* the hashed directory that it lies in; NULL: in tree */
    char *dir;                          /* its directory in the input; owned */
    char *where; /* the directory of its source; where it has none, its own, without the home of
                    the input; owned */
    struct buf text;
    struct index index;
    bool *dropped; /* by overload: an earlier input has it, or it is not to be mixed; owned */
    bool is_out;   /* left out as a whole */
};

struct merge_input {
    const char *name; /* for messages; the caller's */
    struct manifest m;
    struct spool spool;          /* was_signed: or the tree that it is of was */
    size_t *items;               /* by number of M's entry: that of the spool + 1; 0: none; owned */
    bool *no_memory;             /* of the job */
    bool is_partial;             /* it holds caches without their sources */
    struct merge_index *indexes; /* owned */
    size_t index_count;
    uint32_t first_build; /* number in the result of its first build */
    size_t added;         /* overloads and whole indexes that no earlier input had */
};

/* A CPU that code was compiled for, and the first input that has such code. */
struct merge_cpu {
    char *text; /* "TRIPLE NAME FEATURES"; owned */
    size_t input;
    size_t overloads;
};

/* Indexes of several inputs that become one. */
struct merge_member {
    size_t input;
    struct merge_index *index;
};
struct merge_groups {
    struct merge_member *members; /* one group behind the other; owned */
    size_t count;
};

struct merge {
    const struct wp_context *context;
    const struct wp_merge_options *o;
    struct wp_create_options options; /* for the packing job */
    struct pool *pool;
    struct merge_input *inputs; /* owned */
    bool no_memory; /* a file was not found for want of it: all that came of that is wrong */
    size_t count;
    struct merge_groups groups;
    struct merge_cpu *cpus; /* owned */
    size_t cpu_count;
    struct timespec floor;         /* what the others bring is never older: the newest source of the
                                      first has this time */
    struct manifest_build *builds; /* of the result; owned until the plan takes copies */
    size_t build_count;
    struct wp_merge_result *result;
};

/* ---- input.c */
/* Reads input number I, and finds the item of each entry. */
int merge_read_input(struct merge *m, size_t i, struct wp_error *err);
void merge_input_clear(struct merge_input *in);
/* The file that PATH leads to by the input's manifest, which may say that it is absent; NULL: there
 * is no such file. */
const struct entry *merge_file(const struct merge_input *in, const char *path);
/* The item of that file in the spool; NULL: the file is absent. */
const struct spooled *merge_item(const struct merge_input *in, const struct entry *e);
/* Replaces the content of OUT by the item's, of at most MOST bytes. */
int merge_content(const struct merge_input *in, const struct spooled *item, size_t most,
                  struct buf *out, struct wp_error *err);
/* Do the entries have the same content, as far as it is known? */
bool merge_is_same(const struct entry *a, const struct entry *b);

/* ---- tree.c */
/* Packs the tree NAME into the input's empty spool, and its manifest. */
int merge_read_tree(struct merge *m, struct merge_input *in, const char *tree,
                    struct wp_error *err);

/* ---- sources.c */
/* Refuses inputs whose sources are not those of the first. */
int merge_compare_sources(struct merge *m, struct wp_error *err);

/* ---- indexes.c */
/* Reads the indexes of the input that were valid when it was packed. The others are reported,
 * counted and left out. */
int merge_read_indexes(struct merge *m, struct merge_input *in, struct wp_error *err);
void merge_index_clear(struct merge_index *i);
/* Leaves the index out, and says why. */
void merge_leave_out(struct merge *m, const struct merge_input *in, struct merge_index *i,
                     const char *why);

/* ---- fit.c */
/* Leaves out the indexes of an input whose code came from a file that differs, or is missing, in
 * the first input. */
int merge_fit(struct merge *m, struct merge_input *in, struct wp_error *err);

/* ---- groups.c */
/* Lists all indexes that are not left out, group by group, each group in the order of the inputs.
 * Zero-initialise; free MEMBERS. */
int merge_group(struct merge *m, struct merge_groups *out, struct wp_error *err);
/* The number of members in the group that begins at number FROM. */
size_t merge_group_size(const struct merge_groups *g, size_t from);

/* ---- builds.c */
/* Finds the builds of all inputs, and refuses two of one CPU, and an input that brings nothing.
 * Drops overloads that are in an earlier input already, and code for other targets where an earlier
 * one has such code for the same index. */
int merge_check_builds(struct merge *m, struct merge_groups *g, struct wp_error *err);
/* Fills m->builds, and numbers those of the inputs. */
int merge_name_builds(struct merge *m, struct wp_error *err);
/* The number of the build that data file DATA of an index came from. */
uint32_t merge_build_of(const struct merge_input *in, const struct merge_index *i,
                        const char *data);

/* ---- join.c */
/* Puts together one index from N members, and adds it to the first input's spool with its data
 * files, to lie in directory TO of the result. */
int merge_join(struct merge *m, struct merge_member *members, size_t n, const char *to,
               struct wp_error *err);

/* ---- plan.c */
/* The packing job's planner; CTX is the struct merge. */
pack_planner merge_plan;
