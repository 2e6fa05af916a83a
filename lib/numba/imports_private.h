#pragma once
/* The inside of the scanner of imports. Private to lib/numba/imports*.c. */

#include <string.h>

#include "numba/imports.h"
#include "numba/source_text.h"

struct import_scan {
    struct source_text text;
    struct imports *out; /* borrowed */
    size_t floor;        /* offset behind the last statement that was read */
    size_t skipped;      /* bytes of the source before the text */
    bool metadata;       /* importlib.metadata is used, which loads nothing but entry points */
    int r;               /* the first failure to store something */
};

/* Notes that WHAT, at AT, cannot be followed. */
void import_dynamic(struct import_scan *s, const char *what, size_t at);

/* Notes what makes imports dynamic: the word from BEGIN to END, in code; an import. */
void import_judge_word(struct import_scan *s, size_t begin, size_t end);
void import_judge_import(struct import_scan *s, const struct import *i, size_t at);
/* What only the whole source tells. */
void import_judge_source(struct import_scan *s);

/* Is WORD what stands from BEGIN to END? */
static inline bool import_is_word(const struct source_text *t, size_t begin, size_t end,
                                  const char *word)
{
    return end - begin == strlen(word) && memcmp(t->data + begin, word, end - begin) == 0;
}

/* Behind blanks and joined lines from AT on; with LINES, behind line ends and comments too. */
size_t import_skip_blanks(const struct source_text *s, size_t at, bool lines);

/* Does one of the first two lines, which may name the encoding, name one in which bytes of ASCII
 * can be parts of other characters? */
bool import_has_odd_encoding(struct source_text *s);
