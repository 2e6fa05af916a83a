/* Finds what code needs: what the name of its CPU implies, and the list of features. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/features_table.h"

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

static void remove_by_hand(struct features *f)
{
    for (unsigned i = 0; features_row(i); i++)
        if (features_row(i)->by_hand)
            f->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
}

int features_of_code(struct features_code *out, enum features_arch arch, const char *cpu,
                     const char *list)
{
    const char *name;
    unsigned id;
    size_t n;
    char sign;

    *out = (struct features_code){0};
    out->knows_cpu = features_of_cpu(arch, cpu, &out->set);
    remove_by_hand(&out->set);
    while (*list) {
        n = features_next(&list, &sign, &name);
        if (n == 0)
            continue;
        if (features_find(arch, name, n, &id)) {
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

void features_code_clear(struct features_code *c)
{
    buf_free(&c->unknown);
}

int features_needed(struct features *out, const char *triple, const char *cpu, const char *list,
                    struct wp_error *err)
{
    const enum features_arch arch = features_arch_of(triple);
    _cleanup_(features_code_clear) struct features_code code = {0};

    *out = (struct features){.arch = arch};
    if (arch != FEATURES_X86_64 && arch != FEATURES_AARCH64)
        return error_set(err, ENOTSUP, NULL, "nothing is known of CPUs for %.100s", triple);
    if (features_of_code(&code, arch, cpu, list) < 0)
        return error_nomem(err);
    if (!code.knows_cpu)
        return error_set(err, ENOTSUP, NULL, "the CPU %.100s is not known", cpu);
    if (code.unknown.size)
        return error_set(err, ENOTSUP, NULL, "the feature %.*s is not known",
                         (int)strcspn((char *)code.unknown.data, " "), (char *)code.unknown.data);
    *out = code.set;
    return 0;
}

void features_deny(struct features *have, const char *list)
{
    const char *name;
    unsigned id;
    size_t n;
    char sign;

    while (*list) {
        n = features_next(&list, &sign, &name);
        if (sign == '-' && features_find(have->arch, name, n, &id))
            features_remove(have, id);
    }
}

bool features_is_full(const char *list)
{
    enum { FEW = 40 };
    size_t names = 0;

    for (; list && *list; list++)
        names += *list == ',';
    return names > FEW;
}

/* The architecture of which a CPU and a list are; where both have such a name, x86-64. */
static enum features_arch guess_arch(const char *cpu, const char *list)
{
    struct features base;
    const char *name = "";
    unsigned id;
    char sign;
    size_t n = features_next(&list, &sign, &name);

    if (n && !features_find(FEATURES_X86_64, name, n, &id) &&
        features_find(FEATURES_AARCH64, name, n, &id))
        return FEATURES_AARCH64;
    return !features_of_cpu(FEATURES_X86_64, cpu, &base) &&
                   features_of_cpu(FEATURES_AARCH64, cpu, &base)
               ? FEATURES_AARCH64
               : FEATURES_X86_64;
}

char *wp_features_beside(const char *cpu, const char *list, bool *known)
{
    _cleanup_buf_ struct buf out = {0};
    const enum features_arch arch = guess_arch(cpu, list);
    struct features base;
    const char *name;
    unsigned id;
    size_t n;
    char sign;

    *known = features_of_cpu(arch, cpu, &base);
    while (*list) {
        bool implied;

        n = features_next(&list, &sign, &name);
        if (n == 0)
            continue;
        implied = *known && features_find(arch, name, n, &id) && features_has(&base, id);
        if (*known && implied == (sign != '-'))
            continue;
        if (buf_printf(&out, "%s%c%.*s", out.size ? " " : "", sign ? sign : '+', (int)n, name) < 0)
            return NULL;
    }
    return buf_terminate(&out) < 0 ? NULL : (char *)take_ptr(out.data);
}

bool features_is_plain(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "+-_.,")] == '\0';
}
