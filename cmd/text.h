#pragma once
/* Small helpers: freeing on every way out; joining text, hexadecimal digits. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "warmpack.h"

/* `_cleanup_free_ char *s = NULL;` is freed on every way out. */
static inline void text_free(void *p)
{
    free(*(void **)p);
}
static inline void text_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}
static inline void text_archive_close(struct wp_archive **a)
{
    wp_archive_close(*a);
}
#ifdef ANALYSED_BY_CPPCHECK
#define _cleanup_(f) static
#else
#define _cleanup_(f) __attribute__((cleanup(f)))
#endif
#define _cleanup_free_ _cleanup_(text_free)
#define _cleanup_fclose_ _cleanup_(text_fclose)
#define _cleanup_archive_ _cleanup_(text_archive_close)

/* As sprintf(3). Allocated; NULL: no memory. */
char *text_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The directory B as seen from the directory A: "A/B", or B where that is absolute or A is here.
 * Allocated; NULL: no memory. */
char *text_join(const char *a, const char *b);

/* Does TEXT end in SUFFIX, behind something else? */
bool text_has_suffix(const char *text, const char *suffix);

enum { TEXT_SHA256 = 2 * 32 + 1 };
void text_sha256(const unsigned char sha256[32], char out[TEXT_SHA256]);

/* Control characters of TEXT, and bytes of a text that is not UTF-8, as \n and \ooo. A backslash is
 * left as it is: the library has escaped what it composed. Allocated; NULL: no memory. */
char *text_escape(const char *text);
