/* Handles sets of features: the tables behind them, what builds on what, and sets as texts. */

#include "numba/features.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "numba/features_table.h"

/* ---- The tables -------------------------------------------------------------------------- */

void features_ids(enum features_arch arch, unsigned *first, unsigned *end)
{
    const unsigned all = features_x86_count + features_aarch64_count;

    *first = arch == FEATURES_X86_64 ? 0 : arch == FEATURES_AARCH64 ? features_x86_count : all;
    *end = arch == FEATURES_X86_64 ? features_x86_count : all;
}

const struct features_row *features_row(unsigned id)
{
    if (id < features_x86_count)
        return &features_x86_rows[id];
    id -= features_x86_count;
    return id < features_aarch64_count ? &features_aarch64_rows[id] : NULL;
}

bool features_find(enum features_arch arch, const char *name, size_t n, unsigned *id)
{
    unsigned first, end;

    features_ids(arch, &first, &end);
    for (unsigned i = first; i < end; i++) {
        const char *other = features_row(i)->name;

        if (strncmp(other, name, n) == 0 && other[n] == '\0') {
            *id = i;
            return true;
        }
    }
    return false;
}

const char *features_name(unsigned id)
{
    const struct features_row *row = features_row(id);

    return row ? row->name : NULL;
}

/* ---- Architectures ----------------------------------------------------------------------- */

bool features_is_of_other_system(const char *triple)
{
    static const char *const systems[] = {"-windows", "-mingw",   "-cygwin", "-apple-", "-darwin",
                                          "-macos",   "-freebsd", "-netbsd", "-openbsd"};

    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        if (strstr(triple, systems[i]))
            return true;
    return false;
}

enum features_arch features_arch_of(const char *triple)
{
    static const struct {
        const char *name;
        enum features_arch arch;
    } names[] = {{"x86_64", FEATURES_X86_64},
                 {"amd64", FEATURES_X86_64},
                 {"aarch64", FEATURES_AARCH64},
                 {"arm64", FEATURES_AARCH64},
                 /* Their programs may run on a CPU of 64 bits. */
                 {"i386", FEATURES_UNKNOWN},
                 {"i486", FEATURES_UNKNOWN},
                 {"i586", FEATURES_UNKNOWN},
                 {"i686", FEATURES_UNKNOWN}};
    size_t n = strcspn(triple, "-");

    if (features_is_of_other_system(triple))
        return FEATURES_OTHER;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == n && memcmp(names[i].name, triple, n) == 0)
            return names[i].arch;
    return n == 0 || strncmp(triple, "arm", 3) == 0 || strncmp(triple, "thumb", 5) == 0
               ? FEATURES_UNKNOWN
               : FEATURES_OTHER;
}

enum features_arch features_arch_here(void)
{
#if defined(__x86_64__)
    return FEATURES_X86_64;
#elif defined(__aarch64__)
    return FEATURES_AARCH64;
#else
    return FEATURES_OTHER;
#endif
}

const char *features_arch_name(enum features_arch arch)
{
    static const char *const names[] = {[FEATURES_UNKNOWN] = "unknown",
                                        [FEATURES_OTHER] = "other",
                                        [FEATURES_X86_64] = "x86_64",
                                        [FEATURES_AARCH64] = "aarch64"};

    return names[arch];
}

bool features_arch_can_run(enum features_arch machine, enum features_arch code)
{
    return machine == FEATURES_UNKNOWN || code == FEATURES_UNKNOWN || machine == code;
}

/* ---- Sets -------------------------------------------------------------------------------- */

bool features_has(const struct features *f, unsigned id)
{
    return f->bits[id / 64] >> id % 64 & 1;
}

/* Does the feature ID build directly on the feature called NAME? */
static bool builds_on(unsigned id, const char *name)
{
    const char *at = features_row(id)->on;
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
    unsigned first, end;

    f->bits[id / 64] |= UINT64_C(1) << id % 64;
    features_ids(f->arch, &first, &end);
    for (unsigned i = first; i < end; i++)
        if (!features_has(f, i) && builds_on(id, features_name(i)))
            features_add(f, i);
}

void features_remove(struct features *f, unsigned id)
{
    unsigned first, end;

    f->bits[id / 64] &= ~(UINT64_C(1) << id % 64);
    features_ids(f->arch, &first, &end);
    for (unsigned i = first; i < end; i++)
        if (features_has(f, i) && builds_on(i, features_name(id)))
            features_remove(f, i);
}

/* Each word of TEXT is a feature of the table; tests/unit/test_features.c sees to it. */
static void change(struct features *f, const char *text,
                   void (*how)(struct features *f, unsigned id))
{
    unsigned id;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (features_find(f->arch, text, n, &id))
            how(f, id);
        text += n + (text[n] == ' ');
    }
}

/* Is GIVEN one of NAMES? LLVM takes "skylake_avx512" for "skylake-avx512". */
static bool is_one_of(const char *names, const char *given)
{
    for (; *names; names += *names == ' ') {
        const char *g = given;

        for (; *names && *names != ' ' && (*names == *g || (*names == '-' && *g == '_')); g++)
            names++;
        if (!*g && (!*names || *names == ' '))
            return true;
        names += strcspn(names, " ");
    }
    return false;
}

bool features_of_cpu(enum features_arch arch, const char *name, struct features *out)
{
    const struct features_cpu *c = arch == FEATURES_X86_64    ? features_x86_cpus
                                   : arch == FEATURES_AARCH64 ? features_aarch64_cpus
                                                              : NULL;

    *out = (struct features){.arch = arch};
    while (c && c->names && !is_one_of(c->names, name))
        c++;
    if (!c || !c->names || (c->like && !features_of_cpu(arch, c->like, out)))
        return false;
    change(out, c->more, features_add);
    if (c->without)
        change(out, c->without, features_remove);
    return true;
}

static int other_machine(enum features_arch arch, struct buf *out)
{
    int r = arch == FEATURES_OTHER ? buf_add_str(out, "a machine of another architecture")
                                   : buf_printf(out, "an %s machine", features_arch_name(arch));

    return r < 0 || buf_terminate(out) < 0 ? -ENOMEM : 1;
}

int features_missing(const struct features *need, const struct features *have, struct buf *out)
{
    enum { NAMED = 4 };
    unsigned ids[8 * sizeof need->bits];
    size_t count = 0, named;

    if (!features_arch_can_run(have->arch, need->arch))
        return other_machine(need->arch, out);
    for (unsigned i = 0; features_name(i); i++)
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

/* ---- Texts ------------------------------------------------------------------------------- */

int features_text(const struct features *f, struct buf *out)
{
    const char *names[8 * sizeof f->bits];
    size_t count = 0;

    for (unsigned i = 0; features_name(i); i++)
        if (features_has(f, i))
            names[count++] = features_name(i);
    array_sort(names, count, path_compare);
    for (size_t i = 0; i < count; i++)
        if (buf_printf(out, "%s%s", i ? "," : "", names[i]) < 0)
            return -ENOMEM;
    return buf_terminate(out);
}
