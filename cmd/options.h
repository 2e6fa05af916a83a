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
    OPT_LETTERS = 0xff, /* the highest that a letter may have */
#define CODE(id, ...) id,
#define CODE_ALONE(id) id,
#include "options.def"
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
