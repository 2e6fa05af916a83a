#pragma once
/* Small helps with text: freeing on every way out, joining, hexadecimal digits. */

#include <stdio.h>
#include <stdlib.h>

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
#ifdef ANALYSED_BY_CPPCHECK
#define _cleanup_(f) static
#else
#define _cleanup_(f) __attribute__((cleanup(f)))
#endif
#define _cleanup_free_ _cleanup_(text_free)
#define _cleanup_fclose_ _cleanup_(text_fclose)

/* The directory B as seen from the directory A: "A/B", or B where that is absolute or A is here.
 * Allocated; NULL: no memory. */
char *text_join(const char *a, const char *b);

enum { TEXT_SHA256 = 2 * 32 + 1 };
void text_sha256(const unsigned char sha256[32], char out[TEXT_SHA256]);

/* Control characters of TEXT, and bytes of a text that is not UTF-8, as \n and \ooo. A backslash is
 * left as it is: the library has escaped what it composed. Allocated; NULL: no memory. */
char *text_escape(const char *text);
