/* Finds what several machines have in common. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "env.h"
#include "numba/features.h"

/* Names of features are sets in the order in which they were added. */

static bool set_has(const struct path_list *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->v[i], name) == 0)
            return true;
    return false;
}

static int set_add(struct path_list *s, const char *name, size_t n)
{
    _cleanup_free_ char *copy = strndup(name, n);

    if (!copy)
        return -ENOMEM;
    if (set_has(s, copy))
        return 0;
    return path_list_add(s, take_ptr(copy));
}

/* More names than any CPU has features. */
enum { MOST_NAMES = 1000 };

static bool is_too_long(const char *list)
{
    size_t names = 0;

    for (; list && *list; list++)
        names += *list == ',';
    return names > MOST_NAMES;
}

/* LLVM tells these of no machine, and older releases do not know all of them. */
static bool is_silent(const char *name)
{
    return strcmp(name, "x87") == 0 || strcmp(name, "evex512") == 0;
}

static enum features_arch arch_of(const struct env_target *t)
{
    return t->triple ? features_arch_of(t->triple) : features_arch_here();
}

/* The features that T has. */
static int features_of_target(const struct env_target *t, struct path_list *has)
{
    struct features_code code;
    const char *at;
    int r = features_of_code(&code, arch_of(t), t->machine || !t->cpu ? "" : t->cpu,
                             t->machine ? t->machine : t->features);

    for (unsigned i = 0; features_name(i) && r == 0; i++)
        if (features_has(&code.set, i))
            r = set_add(has, features_name(i), strlen(features_name(i)));
    for (at = r == 0 ? (char *)code.unknown.data : ""; *at && r == 0;) {
        size_t n = strcspn(at, " ");

        r = set_add(has, at, n);
        at += n + (at[n] == ' ');
    }
    features_code_clear(&code);
    return r;
}

/* The names that the answer is to speak of: those of the lists, so that the LLVM which wrote them
 * knows them all; HAS, what the target has, only where no list is FULL. */
static int names_of_target(const struct env_target *t, const struct path_list *has, bool full,
                           struct path_list *known)
{
    const char *name;
    char sign;
    int r = 0;

    for (const char *at = t->features ? t->features : ""; *at && r == 0;) {
        size_t n = features_next(&at, &sign, &name);

        if (n)
            r = set_add(known, name, n);
    }
    for (size_t i = 0; !full && i < has->count && r == 0; i++)
        if (!is_silent(has->v[i]))
            r = set_add(known, has->v[i], strlen(has->v[i]));
    return r;
}

/* Leaves in ALL what is in S, too. */
static void set_intersect(struct path_list *all, const struct path_list *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < all->count; i++) {
        if (set_has(s, all->v[i]))
            all->v[kept++] = all->v[i];
        else
            free(all->v[i]);
    }
    all->count = kept;
}

/* "+adx,+aes,-avx512f": what is in ALL with a plus, the rest of KNOWN with a minus. */
static char *list_of(struct path_list *known, const struct path_list *all)
{
    _cleanup_buf_ struct buf text = {0};

    path_list_sort(known);
    for (size_t i = 0; i < known->count; i++)
        if (buf_printf(&text, "%s%c%s", i ? "," : "", set_has(all, known->v[i]) ? '+' : '-',
                       known->v[i]) < 0)
            return NULL;
    return buf_terminate(&text) < 0 ? NULL : (char *)take_ptr(text.data);
}

/* Can T be compared with FIRST, and be told to others? */
static int check_target(const struct env_target *t, const struct env_target *first,
                        struct wp_error *err)
{
    struct features known;

    if (!t->machine && !t->features)
        return error_set(err, 0, t->from, "says nothing of its machine");
    if ((t->cpu && !features_is_plain(t->cpu)) ||
        (t->features && !features_is_plain(t->features)) ||
        (t->machine && !features_is_plain(t->machine)) || is_too_long(t->features) ||
        is_too_long(t->machine))
        return error_set(err, 0, t->from, "has a CPU in its key that no machine has");
    if (t->triple && first->triple && strcmp(t->triple, first->triple) != 0)
        return error_set(err, 0, t->from, "is for %s, and %s for %s: they can share nothing",
                         t->triple, first->from, first->triple);
    if (!t->machine && !*t->features && !(t->cpu && features_of_cpu(arch_of(t), t->cpu, &known)))
        return error_set(err, 0, t->from, "is for CPU %s, which is not known here, with no list",
                         t->cpu ? t->cpu : "?");
    return 0;
}

/* The target whose triple the others are held against. */
static const struct env_target *with_triple(const struct env_target *t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (t[i].triple)
            return &t[i];
    return t;
}

/* What all COUNT targets have into ALL, and what the answer speaks of into KNOWN. */
static int compare_targets(const struct env_target *t, size_t count, struct path_list *all,
                           struct path_list *known, struct wp_error *err)
{
    const struct env_target *first = with_triple(t, count);
    bool full = false;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        r = check_target(&t[i], first, err);
        full = full || features_is_full(t[i].features);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        struct path_list has = {0};

        if (features_of_target(&t[i], &has) < 0 || names_of_target(&t[i], &has, full, known) < 0)
            r = error_nomem(err);
        if (i == 0) {
            *all = has;
            continue;
        }
        set_intersect(all, &has);
        path_list_clear(&has);
    }
    return r;
}

int wp_env_common(const struct wp_env *e, struct wp_cpu *out, struct wp_error *err)
{
    struct env_target *targets;
    _cleanup_(path_list_clear) struct path_list all = {0}, known = {0};
    size_t count;
    int r = env_targets(e, &targets, &count, err);

    *out = (struct wp_cpu){0};
    if (r == 0)
        r = compare_targets(targets, count, &all, &known, err);
    if (r == 0)
        r = env_drop_foreign(e, targets, &count, err);
    if (r == 0) {
        const char *triple = with_triple(targets, count)->triple;

        out->triple = triple ? strdup(triple) : NULL;
        out->name = strdup("generic");
        out->features = list_of(&known, &all);
        if (!out->name || !out->features)
            r = error_nomem(err);
    }
    free(targets);
    if (r < 0)
        wp_cpu_clear(out);
    return r;
}
