/* Does path arithmetic on bytes, and keeps lists of paths. */

#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "warmpack.h"

char *path_join(const char *a, const char *b)
{
    size_t n = strlen(a);
    char *out = NULL;

    if (b[0] == '/' || n == 0 || strcmp(a, ".") == 0)
        return strdup(b);
    if (asprintf(&out, "%s%s%s", a, a[n - 1] == '/' || !*b ? "" : "/", b) < 0)
        return NULL;
    return out;
}

char *path_normalise(const char *path)
{
    size_t slashes = path[0] != '/' ? 0 : path[1] == '/' && path[2] != '/' ? 2 : 1;
    size_t used = 0, floor;
    char *out = malloc(strlen(path) + 2);

    if (!out)
        return NULL;
    memset(out, '/', slashes);
    used = floor = slashes;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");

        if (n == 2 && memcmp(p, "..", 2) == 0) {
            size_t last = used;

            while (last > floor && out[last - 1] != '/')
                last--;
            if (used > floor && !(used - last == 2 && memcmp(out + last, "..", 2) == 0)) {
                used = last > floor ? last - 1 : floor; /* take the last component back */
            } else if (!slashes) {                      /* nothing to take back: keep it */
                if (used > floor)
                    out[used++] = '/';
                memcpy(out + used, "..", 2);
                used += 2;
            }
        } else if (n && !(n == 1 && *p == '.')) {
            if (used > floor)
                out[used++] = '/';
            memmove(out + used, p, n);
            used += n;
        }
        p += n;
        p += strspn(p, "/");
    }
    if (!used)
        out[used++] = '.';
    out[used] = '\0';
    return out;
}

char *path_absolute(const char *path)
{
    char *cwd, *joined, *out;

    if (path[0] == '/')
        return path_normalise(path);
    cwd = getcwd(NULL, 0);
    if (!cwd)
        return NULL;
    joined = path_join(cwd, path);
    free(cwd);
    if (!joined)
        return NULL;
    out = path_normalise(joined);
    free(joined);
    return out;
}

char *path_append(const char *a, const char *b)
{
    return *b ? path_join(a, b) : strdup(a);
}

const char *path_from(const char *path, const char *dir)
{
    path += strlen(dir);
    return path + strspn(path, "/");
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

bool path_has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), tail = strlen(suffix);

    return n > tail && memcmp(path + n - tail, suffix, tail) == 0;
}

char *path_dir(const char *path)
{
    return strndup(path, path_base(path) == path ? 0 : (size_t)(path_base(path) - path) - 1);
}

bool text_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int path_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int path_compare_start(const void *key, const void *item)
{
    const struct path_start *start = key;

    return strncmp(start->text, *(const char *const *)item, start->n);
}

int path_list_add(struct path_list *l, char *path)
{
    if (!path || array_add(l->v, l->count, path) < 0) {
        free(path);
        return -ENOMEM;
    }
    return 0;
}

void path_list_sort(struct path_list *l)
{
    array_sort(l->v, l->count, path_compare);
}

bool path_list_has(const struct path_list *l, const char *path)
{
    return array_find(&path, l->v, l->count, path_compare) != NULL;
}

void path_list_clear(struct path_list *l)
{
    while (l->count)
        free(l->v[--l->count]);
    free(l->v);
    l->v = NULL;
}

bool path_is_under(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    if (n == 0)
        return path[0] != '/';
    if (strncmp(path, dir, n) != 0)
        return false;
    return path[n] == '\0' || path[n] == '/' || dir[n - 1] == '/';
}

bool path_is_safe(const char *path)
{
    if (!*path || path[0] == '/')
        return false;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += n;
        p += strspn(p, "/");
    }
    return true;
}

char *path_clean(const char *path)
{
    char *out = malloc(strlen(path) + 1);
    size_t used = 0;

    if (!out)
        return NULL;
    if (path[0] == '/')
        out[used++] = '/';
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");

        if (n && !(n == 1 && *p == '.')) {
            if (used && out[used - 1] != '/')
                out[used++] = '/';
            memcpy(out + used, p, n);
            used += n;
        }
        p += n;
        p += strspn(p, "/");
    }
    out[used] = '\0';
    return out;
}

const char *path_strip(const char *path, unsigned n)
{
    while (n--) {
        path += strcspn(path, "/");
        path += strspn(path, "/");
        if (!*path)
            return NULL;
    }
    return path;
}

const char *path_strip_dir(const char *path, unsigned n)
{
    const unsigned depth = path_depth(path);

    return n > depth ? NULL : n == depth ? "" : path_strip(path, n);
}

unsigned path_depth(const char *path)
{
    unsigned n = *path ? 1 : 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

size_t utf8_length(const unsigned char *s, size_t n, bool surrogates)
{
    const size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (length == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Forms that are longer than they need to be, what lies beyond U+10FFFF, and surrogates. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f) || (s[0] == 0xed && s[1] > 0x9f && !surrogates))
        return 0;
    return length;
}

/* Is all of it such characters? */
static bool is_utf8(const unsigned char *s, size_t n, bool surrogates)
{
    for (size_t i = 0, step; i < n; i += step) {
        step = utf8_length(s + i, n - i, surrogates);
        if (!step)
            return false;
    }
    return true;
}

bool utf8_valid(const char *s, size_t n)
{
    return is_utf8((const unsigned char *)s, n, false);
}

bool utf8_valid_surrogates(const unsigned char *s, size_t n)
{
    return is_utf8(s, n, true);
}

bool wp_is_utf8(const char *text)
{
    return utf8_valid(text, strlen(text));
}

/* C0 and C1 control characters and DEL, in the sequence of LENGTH bytes at S. */
static bool is_control(const unsigned char *s, size_t length)
{
    if (length == 1)
        return s[0] < 0x20 || s[0] == 0x7F;
    return length == 2 && s[0] == 0xC2 && s[1] < 0xA0;
}

char *wp_escape(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = strlen(text);
    char *out = malloc(4 * n + 1), *o = out;

    if (!out)
        return NULL;
    for (size_t i = 0; i < n;) {
        size_t step = utf8_length(s + i, n - i, false);
        bool plain = step && !is_control(s + i, step) && s[i] != '\\';

        if (plain) {
            memcpy(o, s + i, step);
            o += step;
        } else if (s[i] == '\\' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
            *o++ = '\\';
            *o++ = s[i] == '\\' ? '\\' : s[i] == '\n' ? 'n' : s[i] == '\t' ? 't' : 'r';
            step = 1;
        } else {
            step = step ? step : 1;
            for (size_t k = 0; k < step; k++)
                o += sprintf(o, "\\%03o", s[i + k]);
        }
        i += step;
    }
    *o = '\0';
    return out;
}

char *path_escape_format(const char *fmt, va_list ap)
{
    char *text, *escaped;

    if (vasprintf(&text, fmt, ap) < 0)
        return NULL;
    escaped = wp_escape(text);
    free(text);
    return escaped;
}
