#pragma once
/* What the steps of amending share. Private to lib/amend.
 *
 * The archive is read into a spool, the tree is surveyed as if it were to be packed
 * (survey.c), sources are matched (match.c), and the packing job writes the new
 * archive from both (plan.c). */

#include "archive/spool.h"
#include "pack/depends.h"
#include "pack/job.h"

/* The tree that the archive was made from, and the caches that belong to it. */
struct survey {
    struct pack pack; /* planned, and its indexes judged; never written */
    struct wp_create_options options;
    struct wp_member member;
    struct wp_verify_report verify; /* of pack.manifest.indexes, in the same order */
    struct pack_depends depends;    /* what they depend on */
    size_t *valid; /* by number in pack.walk: valid indexes of that source; owned */
    bool *same;    /* likewise: the archive has it, by content and name, or as a symbolic link with
                      its target; after amend_match; owned */
};

/* A source of the archive and the file of the tree that it was made from. */
struct match {
    size_t spooled;    /* number in the spool */
    size_t source;     /* number in the survey's walk */
    bool same_name;    /* Python imports both by the same name: caches can be shared */
    const char *added; /* a module that it imports in the archive, which the tree has not, or NULL;
                          the spool's; after amend_find_added */
};

struct amend {
    const struct wp_context *context;
    const struct wp_amend_options *o;
    struct wp_create_options options; /* for the packing job */
    struct spool spool;
    struct survey survey;
    struct match *matches; /* owned */
    size_t match_count;
    bool *known; /* by number in the spool: the tree has a source or symbolic link like it, by the
                    same name; after amend_match; owned */
    bool no_caches; /* neither the archive nor the tree has any: times are all there is to add */
    struct wp_amend_result *result;
};

/* ---- survey.c */
/* Fills a->survey, which is empty. */
int amend_survey(struct amend *a, struct wp_error *err);
void amend_survey_clear(struct survey *s);

/* ---- match.c */
/* Is it a .py file, or a link that is called like one? */
bool amend_is_source(const struct entry *e);
/* Is it a file that may be a zip with sources in it? */
bool amend_is_zip(const struct entry *e);
/* Fills a->matches, and says in the result which sources have none. */
int amend_match(struct amend *a, struct wp_error *err);

/* ---- depends.c */
/* *CHANGED becomes, for each index of the survey, the file that its code came from and that the
 * archive has not as the tree has it; NULL: there is none. An array of the survey's paths, which
 * the caller frees. After amend_match. */
int amend_changed(struct amend *a, const char ***changed, struct wp_error *err);

/* ---- added.c */
/* Fills ADDED of a->matches. After amend_match. */
int amend_find_added(struct amend *a, struct wp_error *err);

/* ---- times.c */
/* Gives the matched sources of P, whose walk begins as the spool does, their times. */
int amend_times(struct pack *p, struct amend *a, struct wp_error *err);

/* ---- plan.c */
/* The packing job's planner; CTX is the struct amend. -ECANCELED without a message: the tree has
 * nothing for this archive. */
pack_planner amend_plan;
