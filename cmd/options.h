#pragma once
/* The one table of options, options.def: parsing, the refusal of options that a verb does not
 * take, the help texts and the completion of shells all read it. */

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum verb {
#define VERB(letter, id, ...) VERB_##id,
#include "options.def"
    VERB_COUNT,
    VERB_NONE
};

/* Codes of options without a letter. The others are known by their letter. */
enum {
    OPT_CREATE = 'c',
    OPT_EXTRACT = 'x',
    OPT_LIST = 't',
    OPT_ZSTD = 0x100,
    OPT_EXCLUDE,
    OPT_LEVEL,
    OPT_GZIP_MEMBERS,
    OPT_EGG_INFO,
    OPT_BASE,
    OPT_REF,
    OPT_PLATFORM,
    OPT_STRICT,
    OPT_SYNC,
    OPT_WITH_LOCATOR,
    OPT_SOURCE,
    OPT_CACHE_DIR,
    OPT_NO_CACHE_DIR,
    OPT_SOURCE_ROOT,
    OPT_RUNTIME_ROOT,
    OPT_LAYOUT,
    OPT_USER,
    OPT_STRIP,
    OPT_MAX_SIZE,
    OPT_FROM,
    OPT_NEEDS,
    OPT_IF_NEEDED,
    OPT_REPLACE,
    OPT_NUMERIC_OWNER,
    OPT_OWNER,
    OPT_GROUP,
    OPT_SAME_OWNER,
    OPT_NO_SAME_OWNER,
    OPT_POSIX,
    OPT_VERBATIM,
    OPT_PYTHON,
    OPT_FIX,
    OPT_DRY_RUN,
    OPT_FOR,
    OPT_UNDO,
    OPT_PRUNE,
    OPT_RETARGET,
    OPT_COMMON,
    OPT_PROBE,
    OPT_CHECK,
    OPT_RESTAMP,
    OPT_MTIME,
    OPT_GROUP_WRITABLE,
    OPT_RELOCATE,
    OPT_NO_RELOCATE,
    OPT_MANIFEST,
    OPT_CACHES_ONLY,
    OPT_THREADS,
    OPT_JSON,
    OPT_JSON_LINES,
    OPT_FAIL_ON_COMPILE,
    OPT_CPU,
    OPT_RECORD_ENV,
    OPT_KEEP_GOING,
    OPT_PROGRESS,
    OPT_SIGN,
    OPT_TRUST,
    OPT_HELP,
    OPT_VERSION,
    OPT_CODES /* one more than the last */
};

const char *options_verb_name(enum verb v);
/* VERB_NONE: there is no such verb. */
enum verb options_verb(const char *name);

/* For getopt_long: operands are returned in their place among the options ("-"), a missing
 * argument as ':'. All verbs' options: an abbreviation means the same everywhere. */
const char *options_short(void);
const struct option *options_long(void);

bool options_known(int code);
/* Does the letter or code take an argument? */
bool options_has_argument(int code);
/* Does VERB take the option? */
bool options_taken(int code, enum verb v);
/* "--strict", "-C (--directory)". Static. */
const char *options_name(int code);
/* The place of WORD among the values of its argument; -1: it is none of them. */
int options_value(int code, const char *word);
/* Is NAME (without dashes, without "=...") a beginning of several different options? */
bool options_ambiguous(const char *name, size_t n);

/* On stdout. VERB_NONE: the program's. */
void options_help(enum verb v);
