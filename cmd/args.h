#pragma once
/* What the command line says. */

#include <stdbool.h>

#include "options.h"
#include "progress.h"
#include "string_list.h"
#include "warmpack.h"

enum compression {
    COMPRESSION_NONE_GIVEN,
    COMPRESSION_GZIP,
    COMPRESSION_ZSTD,
    COMPRESSION_BZIP2,
    COMPRESSION_XZ
};

/* What stands between the options, in order: -C and -T apply where they stand. */
struct operand {
    enum { OPERAND_NAME, OPERAND_DIR, OPERAND_FILES, OPERAND_COMMAND } kind;
    const char *text;
};

/* Strings are argv's. */
struct args {
    enum verb verb;
    bool help, version; /* nothing else is to be done */
    const char *archive;
    struct operand *operands; /* owned */
    size_t operand_count;
    bool null;                                      /* -0 */
    struct string_list exclude;                     /* --exclude */
    struct string_list exclude_files;               /* -X */
    struct string_list cache_dirs;                  /* --cache-dir */
    struct string_list source_roots, runtime_roots; /* --source-root, --runtime-root */
    bool no_cache_dir, dereference, strict;
    enum compression compression;
    const char *format;
    bool posix; /* --format pax or posix: a tar */
    long level;
    enum { GZIP_ONE, GZIP_MANY } gzip_members; /* where it is given */
    const char *egg_info;
    const char *image_base, *image_ref, *image_platform;
    const char *source, *output; /* amend, merge */
    const char *owner, *group;
    bool numeric_owner, same_owner, no_same_owner, same_permissions;
    bool sync;
    bool keep_old, replace, if_needed, needs, to_stdout;
    long max_size; /* bytes; 0: not given */
    long strip_components;
    enum wp_layout layout;
    enum wp_restamp restamp;
    enum wp_relocate relocate;
    long mtime; /* seconds since 1970, where it is given */
    const char *manifest;
    bool caches_only, with_locator, dry_run;
    const char *from;     /* an earlier tree */
    const char *retarget; /* --for, --retarget */
    bool undo, prune;
    const char *user;
    bool group_writable;
    const char *python;
    bool common, probe, check, fix;
    long threads; /* 0: all CPUs */
    bool json, quiet, verbose;
    const char *json_lines;
    bool fail_on_compile, keep_going;
    struct string_list cpus, record_env; /* --cpu, --record-env */
    const char *sign;
    struct string_list trust; /* --trust, or what $WARMPACK_TRUST names */
    enum progress_when progress;
    bool seen[OPT_CODES]; /* options given, by code */
    char **expanded;      /* owned: argv with tar's bundled letters written out */
    char *letters;        /* owned: the text of those letters */
};

/* Fills A. Says what is wrong; returns 0 or the exit status. */
int args_parse(struct args *a, int argc, char **argv);
void args_clear(struct args *a);

/* Does everything given fit together? Says what does not; returns 0 or the exit status. */
int args_check(const struct args *a);

/* Is the archive to be of one gzip member? */
bool args_one_member(const struct args *a);

/* All patterns to leave out, those of -X included. Returns 0 or the exit status. */
int args_exclude(const struct args *a, struct string_list *out);

/* --cache-dir of extract, verify and path, else $NUMBA_CACHE_DIR. NULL: neither. */
const char *args_cache_dir(const struct args *a);
/* extract and restore: warns where the layout asked for is not where the variable sends Numba. */
void args_warn_layout(const struct args *a);
