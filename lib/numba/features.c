#include "numba/features.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/features_table.h"
#include "warmpack.h"

bool features_find(const char *name, size_t n, unsigned *id)
{
    for (unsigned i = 0; features_rows[i].name; i++) {
        if (strncmp(features_rows[i].name, name, n) == 0 && features_rows[i].name[n] == '\0') {
            *id = i;
            return true;
        }
    }
    return false;
}

const char *features_name(unsigned id)
{
    return features_rows[id].name;
}

bool features_has(const struct features *f, unsigned id)
{
    return f->bits[id / 64] >> id % 64 & 1;
}

/* Does the feature ID build directly on the feature called NAME? */
static bool builds_on(unsigned id, const char *name)
{
    const char *at = features_rows[id].on;
    size_t n = strlen(name);

    while (*at) {
        size_t word = strcspn(at, " ");

        if (word == n && memcmp(at, name, n) == 0)
            return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

void features_add(struct features *f, unsigned id)
{
    f->bits[id / 64] |= UINT64_C(1) << id % 64;
    for (unsigned i = 0; features_rows[i].name; i++)
        if (!features_has(f, i) && builds_on(id, features_rows[i].name))
            features_add(f, i);
}

void features_remove(struct features *f, unsigned id)
{
    f->bits[id / 64] &= ~(UINT64_C(1) << id % 64);
    for (unsigned i = 0; features_rows[i].name; i++)
        if (features_has(f, i) && builds_on(i, features_rows[id].name))
            features_remove(f, i);
}

size_t features_next(const char **at, char *sign, const char **name)
{
    size_t n;

    *at += strspn(*at, ",");
    *sign = '\0';
    if (**at == '+' || **at == '-')
        *sign = *(*at)++;
    *name = *at;
    n = strcspn(*at, ",");
    *at += n;
    return n;
}

int features_of_code(struct features_code *out, const char *cpu, const char *list)
{
    const char *name;
    unsigned id;
    size_t n;
    char sign;

    *out = (struct features_code){0};
    out->knows_cpu = features_of_cpu(cpu, &out->set);
    for (unsigned i = 0; features_rows[i].name; i++)
        if (features_rows[i].by_hand)
            out->set.bits[i / 64] &= ~(UINT64_C(1) << i % 64);
    while (*list) {
        n = features_next(&list, &sign, &name);
        if (n == 0)
            continue;
        if (features_find(name, n, &id)) {
            if (sign == '-')
                features_remove(&out->set, id);
            else
                features_add(&out->set, id);
        } else if (sign != '-' && ((out->unknown.size && buf_add_str(&out->unknown, " ") < 0) ||
                                   buf_add(&out->unknown, name, n) < 0)) {
            return -ENOMEM;
        }
    }
    return buf_terminate(&out->unknown);
}

bool features_is_full(const char *list)
{
    enum { FEW = 40 };
    size_t names = 0;

    for (; list && *list; list++)
        names += *list == ',';
    return names > FEW;
}

void features_code_clear(struct features_code *c)
{
    buf_free(&c->unknown);
}

char *wp_features_beside(const char *cpu, const char *list, bool *known)
{
    _cleanup_buf_ struct buf out = {0};
    struct features base;
    const char *name;
    unsigned id;
    size_t n;
    char sign;

    *known = features_of_cpu(cpu, &base);
    while (*list) {
        bool implied;

        n = features_next(&list, &sign, &name);
        if (n == 0)
            continue;
        implied = *known && features_find(name, n, &id) && features_has(&base, id);
        if (*known && implied == (sign != '-'))
            continue;
        if (buf_printf(&out, "%s%c%.*s", out.size ? " " : "", sign ? sign : '+', (int)n, name) < 0)
            return NULL;
    }
    return buf_terminate(&out) < 0 ? NULL : (char *)take_ptr(out.data);
}

int features_missing(const struct features *need, const struct features *have, struct buf *out)
{
    enum { NAMED = 4 };
    unsigned ids[8 * sizeof need->bits];
    size_t count = 0, named;

    for (unsigned i = 0; features_rows[i].name; i++)
        if (features_has(need, i) && !features_has(have, i))
            ids[count++] = i;
    if (count == 0)
        return 0;
    named = count <= NAMED ? count : NAMED - 1;
    for (size_t i = 0; i < named; i++) {
        const char *before = i == 0 ? "" : i + 1 == count ? " and " : ", ";

        if (buf_add_str(out, before) < 0 || buf_add_str(out, features_name(ids[i])) < 0)
            return -ENOMEM;
    }
    if (named < count && buf_printf(out, " and %zu more", count - named) < 0)
        return -ENOMEM;
    return buf_terminate(out) < 0 ? -ENOMEM : 1;
}

bool features_is_plain(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "+-_.,")] == '\0';
}
