/* Reads and writes the records of pax extended headers. */

#include "pax.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "warmpack.h"

static unsigned digits(size_t n)
{
    unsigned count = 1;

    for (; n >= 10; n /= 10)
        count++;
    return count;
}

int pax_add(struct buf *b, const char *key, const void *value, size_t n)
{
    size_t rest = strlen(key) + n + 3; /* the space, "=" and the newline */
    size_t total = rest + digits(rest);
    int rc;

    /* The length counts its own digits, which may make it one digit longer (98 becomes 101). */
    total = rest + digits(total);
    if ((rc = buf_printf(b, "%zu %s=", total, key)) < 0 || (rc = buf_add(b, value, n)) < 0)
        return rc;
    return buf_add(b, "\n", 1);
}

int pax_add_str(struct buf *b, const char *key, const char *value)
{
    return pax_add(b, key, value, strlen(value));
}

int pax_add_number(struct buf *b, const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    return pax_add_str(b, key, text);
}

int pax_add_time(struct buf *b, const char *key, struct timespec t)
{
    char text[WP_NUMBER_SIZE];

    wp_time_text(t.tv_sec, (int32_t)t.tv_nsec, text);
    if (t.tv_nsec == 0)
        *strchr(text, '.') = '\0';
    return pax_add_str(b, key, text);
}

static int parse_unsigned(const char *text, size_t n, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (n == 0)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, text[i] - '0', &v) || v > max)
            return -EINVAL;
    }
    *out = v;
    return 0;
}

static int parse_signed(const char *text, size_t n, int64_t *out)
{
    bool negative = n > 0 && text[0] == '-';
    uint64_t v;

    if (parse_unsigned(text + negative, n - negative, INT64_MAX, &v) < 0)
        return -EINVAL;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return 0;
}

int pax_parse_time(const char *text, size_t n, struct timespec *out)
{
    bool negative = n > 0 && text[0] == '-', beyond = false;
    const char *point;
    uint64_t sec = 0;
    long nsec = 0, unit = 100000000;

    text += negative;
    n -= negative;
    point = memchr(text, '.', n);
    size_t whole = point ? (size_t)(point - text) : n;
    if (parse_unsigned(text, whole, INT64_MAX, &sec) < 0)
        return -EINVAL;
    for (size_t i = whole + 1; i < n; i++, unit /= 10) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        nsec += unit * (text[i] - '0');
        beyond |= unit == 0 && text[i] != '0';
    }
    if (!negative) {
        *out = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
        return 0;
    }
    nsec += beyond; /* further from zero is towards the past */
    *out = (struct timespec){.tv_sec = -(time_t)sec};
    if (nsec > 0) {
        out->tv_sec--;
        out->tv_nsec = 1000000000 - nsec;
    }
    return 0;
}

/* A name: bytes without a NUL, which a C string would hide the rest behind. */
static int take_str(char **to, const char *value, size_t n)
{
    char *copy = NULL;

    if (memchr(value, '\0', n))
        return -EINVAL;
    if (n > 0) {
        copy = malloc(n + 1);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, value, n);
        copy[n] = '\0';
    }
    free(*to);
    *to = copy;
    return 0;
}

static int take_signed(bool *has, int64_t *to, const char *value, size_t n)
{
    *has = n > 0;
    return n > 0 ? parse_signed(value, n, to) : 0;
}

static int take_size(bool *has, uint64_t *to, const char *value, size_t n)
{
    *has = n > 0;
    return n > 0 ? parse_unsigned(value, n, INT64_MAX, to) : 0;
}

/* "OFFSET,SIZE,OFFSET,SIZE": the whole map of format 0.1. */
static int take_map(struct sparse_map *m, const char *value, size_t n)
{
    const char *end = value + n;
    bool has_offset = false;
    uint64_t offset = 0, number;

    sparse_clear(m);
    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        size_t length = (size_t)((comma ? comma : end) - value);

        if (parse_unsigned(value, length, INT64_MAX, &number) < 0)
            return -EINVAL;
        if (has_offset) {
            int rc = sparse_add(m, offset, number);

            if (rc < 0)
                return rc;
        } else {
            offset = number;
        }
        has_offset = !has_offset;
        value += length + (comma != NULL);
    }
    return has_offset ? -EINVAL : 0;
}

/* Is the key at hand, which has no NUL, NAME? */
#define IS(name) (key_size == sizeof(name) - 1 && memcmp(key, name, key_size) == 0)

static int take_sparse(struct pax *p, const char *key, size_t key_size, const char *value, size_t n)
{
    uint64_t number = 0;
    bool has;

    if (IS("name"))
        return take_str(&p->sparse_path, value, n);
    if (IS("map")) {
        p->sparse = true;
        return take_map(&p->map, value, n);
    }
    if (take_size(&has, &number, value, n) < 0)
        return -EINVAL;
    if (IS("size") || IS("realsize")) {
        p->sparse_size = number;
        p->has_sparse_size = p->sparse = has;
    } else if (IS("major")) {
        p->sparse_map_follows = number == 1;
        p->sparse = true;
        return number > 1 ? -EINVAL : 0;
    } else if (IS("minor")) {
        p->sparse = true;
    } else if (IS("offset")) {
        p->sparse_offset = number;
    } else if (IS("numbytes")) {
        return sparse_add(&p->map, p->sparse_offset, number);
    }
    return 0;
}

static int take_record(struct pax *p, const char *key, size_t key_size, const char *value, size_t n)
{
    static const char gnu_sparse[] = "GNU.sparse.";
    const size_t gnu_size = sizeof(gnu_sparse) - 1;

    if (IS("path"))
        return take_str(&p->path, value, n);
    if (IS("linkpath"))
        return take_str(&p->linkpath, value, n);
    if (IS("uname"))
        return take_str(&p->uname, value, n);
    if (IS("gname"))
        return take_str(&p->gname, value, n);
    if (IS("comment"))
        return memchr(value, '\0', n) ? 0 : take_str(&p->comment, value, n);
    if (IS("size"))
        return take_size(&p->has_size, &p->size, value, n);
    if (IS("uid"))
        return take_signed(&p->has_uid, &p->uid, value, n);
    if (IS("gid"))
        return take_signed(&p->has_gid, &p->gid, value, n);
    if (IS("mtime")) {
        p->has_mtime = n > 0;
        return n > 0 ? pax_parse_time(value, n, &p->mtime) : 0;
    }
    if (key_size > gnu_size && memcmp(key, gnu_sparse, gnu_size) == 0)
        return take_sparse(p, key + gnu_size, key_size - gnu_size, value, n);
    return 0;
}
#undef IS

int pax_parse(struct pax *p, const void *data, size_t n)
{
    const char *at = data;

    while (n > 0) {
        const char *space = memchr(at, ' ', n < 21 ? n : 21), *equals;
        uint64_t length;
        int rc;

        if (!space || parse_unsigned(at, (size_t)(space - at), n, &length) < 0)
            return -EINVAL;
        const char *key = space + 1, *end = at + length; /* behind the newline */
        if (end <= key || end[-1] != '\n')
            return -EINVAL;
        equals = memchr(key, '=', (size_t)(end - key));
        if (!equals || equals == key)
            return -EINVAL;
        rc = take_record(p, key, (size_t)(equals - key), equals + 1,
                         (size_t)(end - 1 - (equals + 1)));
        if (rc < 0)
            return rc;
        at = end;
        n -= length;
    }
    return 0;
}

static int copy_str(char **to, const char *from)
{
    if (!from)
        return 0;
    *to = strdup(from);
    return *to ? 0 : -ENOMEM;
}

int pax_copy(struct pax *to, const struct pax *from)
{
    pax_clear(to);
    if (copy_str(&to->path, from->path) < 0 || copy_str(&to->linkpath, from->linkpath) < 0 ||
        copy_str(&to->uname, from->uname) < 0 || copy_str(&to->gname, from->gname) < 0)
        return -ENOMEM;
    to->has_size = from->has_size;
    to->has_uid = from->has_uid;
    to->has_gid = from->has_gid;
    to->has_mtime = from->has_mtime;
    to->size = from->size;
    to->uid = from->uid;
    to->gid = from->gid;
    to->mtime = from->mtime;
    return 0;
}

void pax_clear(struct pax *p)
{
    free(p->path);
    free(p->linkpath);
    free(p->uname);
    free(p->gname);
    free(p->comment);
    free(p->sparse_path);
    sparse_clear(&p->map);
    *p = (struct pax){0};
}
