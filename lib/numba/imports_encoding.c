/* Tells whether a Python source is in an encoding in which quotes and backslashes can be told. */

#include <string.h>

#include "numba/imports_private.h"

/* Is the encoding one in which ASCII bytes are ASCII everywhere? Else they may be anything. */
static bool is_like_ascii(const unsigned char *name, size_t n)
{
    static const char *const starts[] = {"utf-8",       "utf8",  "latin",     "iso-8859",
                                         "iso8859",     "ascii", "us-ascii",  "cp125",
                                         "windows-125", "koi8",  "iso-latin", "mac"};
    char folded[16] = {0};

    for (size_t i = 0; i < n && i < sizeof folded - 1; i++)
        folded[i] =
            name[i] == '_' ? '-' : (char)(name[i] | (name[i] >= 'A' && name[i] <= 'Z' ? 32 : 0));
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(folded, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Does the comment from AT to END name another encoding? PEP 263: coding[:=]\s*([-\w.]+) */
static bool names_odd_encoding(const unsigned char *at, const unsigned char *end)
{
    while ((at = memmem(at, (size_t)(end - at), "coding", strlen("coding")))) {
        size_t n = 0;

        at += strlen("coding");
        if (at >= end || (*at != ':' && *at != '='))
            continue;
        for (at++; at < end && (*at == ' ' || *at == '\t'); at++)
            ;
        while (at + n < end && (source_is_name(at[n]) || at[n] == '-' || at[n] == '.'))
            n++;
        if (n > 0)
            return !is_like_ascii(at, n);
    }
    return false;
}

bool import_has_odd_encoding(struct source_text *t)
{
    size_t at = 0;

    for (unsigned line = 0; line < 2 && at < t->size; line++) {
        size_t end = source_text_line_end(t, at);
        const unsigned char *hash = memchr(t->data + at, '#', end - at);

        if (hash && names_odd_encoding(hash, t->data + end))
            return true;
        at = end < t->size ? source_text_skip_line_end(t, end) : end;
    }
    return false;
}
