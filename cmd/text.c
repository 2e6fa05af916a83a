/* Escapes, joins and encodes text. */

#include "text.h"

#include <stdarg.h>
#include <string.h>

char *text_printf(const char *fmt, ...)
{
    char *out;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : out;
}

char *text_join(const char *a, const char *b)
{
    size_t n = strlen(a);

    if (b[0] == '/' || n == 0 || strcmp(a, ".") == 0)
        return strdup(b);
    return text_printf("%s%s%s", a, a[n - 1] == '/' || !*b ? "" : "/", b);
}

bool text_has_suffix(const char *text, const char *suffix)
{
    const size_t n = strlen(text), tail = strlen(suffix);

    return n > tail && strcmp(text + n - tail, suffix) == 0;
}

void text_sha256(const unsigned char sha256[32], char out[TEXT_SHA256])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sha256[i]);
}

char *text_escape(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    bool utf8 = wp_is_utf8(text);
    char *out = malloc(4 * strlen(text) + 1), *o = out;

    for (; out && *s; s++) {
        bool wide_control = utf8 && s[0] == 0xc2 && s[1] < 0xa0; /* U+0080 to U+009F */

        if (*s == '\n')
            o = stpcpy(o, "\\n");
        else if (*s < 0x20 || *s == 0x7f || (!utf8 && *s >= 0x80) || wide_control)
            o += sprintf(o, "\\%03o", *s);
        else
            *o++ = (char)*s;
        if (wide_control)
            o += sprintf(o, "\\%03o", *++s);
    }
    if (out)
        *o = '\0';
    return out;
}
