/* Merging: finds the builds of all inputs. Code that separate processes compiled for one CPU is
 * never mixed: its symbols carry a number that starts anew in each process, and LLVM takes two
 * symbols of one name for the same function when both are loaded. Source: Numba 0.52 to 0.68,
 * core/codegen.py and core/compiler.py. */

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "numba/features.h"
#include "numba/key.h"

/* "TRIPLE NAME FEATURES" of an overload, in *TEXT; NULL where it is for no CPU. */
static int cpu_text(const struct merge_index *i, size_t overload, char **text, struct wp_error *err)
{
    _cleanup_(key_clear) struct wp_overload key = {0};

    *text = NULL;
    if (!key_is_for_cpu(i->index.overloads[overload].key))
        return 0;
    if (key_read_cpu(&key, i->index.overloads[overload].key) < 0)
        return error_nomem(err);
    if (!*key.triple || !*key.cpu || !features_is_plain(key.triple) ||
        !features_is_plain(key.cpu) || !features_is_plain(key.features))
        return error_set(err, 0, i->line->index, "is for a CPU that no machine has");
    if (asprintf(text, "%s %s %s", key.triple, key.cpu, key.features) < 0) {
        *text = NULL;
        return error_nomem(err);
    }
    return 0;
}

static struct merge_cpu *find_cpu(struct merge *m, const char *text)
{
    for (size_t i = 0; i < m->cpu_count; i++)
        if (strcmp(m->cpus[i].text, text) == 0)
            return &m->cpus[i];
    return NULL;
}

static int add_cpu(struct merge *m, size_t input, char **text, struct wp_error *err)
{
    if (m->cpu_count == MANIFEST_CPUS_MOST || strlen(*text) > MANIFEST_CPU_LONGEST)
        return error_set(err, 0, m->inputs[input].name,
                         "is for more CPUs than one manifest can tell of");
    if (array_add(m->cpus, m->cpu_count,
                  (struct merge_cpu){.text = take_ptr(*text), .input = input}) < 0)
        return error_nomem(err);
    return 0;
}

/* Indexes without a source, such as PyTensor's, are never joined: each is taken as a whole. */
static bool is_keyed(const struct merge_index *i)
{
    return !i->line->source;
}

static int gather(struct merge *m, size_t input, struct wp_error *err)
{
    const struct merge_input *in = &m->inputs[input];
    int r = 0;

    for (size_t i = 0; i < in->index_count; i++) {
        const struct merge_index *index = &in->indexes[i];

        for (size_t k = 0; k < index->index.count && !index->is_out && !is_keyed(index); k++) {
            _cleanup_free_ char *text = NULL;

            r = cpu_text(index, k, &text, err);
            if (r == 0 && text && !find_cpu(m, text))
                r = add_cpu(m, input, &text, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- Two of one CPU ---------------------------------------------------------------------- */

static bool is_same_data(const struct merge *m, const struct merge_member *a, size_t x,
                         const struct merge_member *b, size_t y)
{
    _cleanup_free_ char *here = path_join(a->index->dir, a->index->index.overloads[x].data);
    _cleanup_free_ char *there = path_join(b->index->dir, b->index->index.overloads[y].data);
    const struct entry *e = here ? merge_file(&m->inputs[a->input], here) : NULL;
    const struct entry *f = there ? merge_file(&m->inputs[b->input], there) : NULL;

    return e && f && merge_is_same(e, f);
}

/* Does EARLIER hold overload number WHICH of MEMBER, with exactly the same code? */
static bool has_same(const struct merge *m, const struct merge_member *earlier,
                     const struct merge_member *member, size_t which)
{
    const struct index *index = &earlier->index->index;

    for (size_t i = 0; i < index->count; i++)
        if (!earlier->index->dropped[i] &&
            pickle_equal(index->overloads[i].key, member->index->index.overloads[which].key) == 1 &&
            is_same_data(m, earlier, i, member, which))
            return true;
    return false;
}

static int refuse(const struct merge *m, const struct merge_cpu *cpu, size_t input,
                  struct wp_error *err)
{
    const char *name = strchr(cpu->text, ' ') + 1;
    const size_t n = strcspn(name, " ");

    return error_set(err, 0, m->inputs[input].name,
                     "its code is for the CPU of %s (%.*s with %s), and another process compiled "
                     "it: object code of two processes can share symbols, and gives wrong results "
                     "where both are loaded: not merged",
                     m->inputs[cpu->input].name, (int)n, name,
                     name[n + 1] ? "the same features" : "no features");
}

/* Handles one member of a group; the earlier members of that group begin at FIRST. */
static int check_member(struct merge *m, const struct merge_member *first,
                        const struct merge_member *member, struct wp_error *err)
{
    struct merge_input *in = &m->inputs[member->input];

    for (size_t k = 0; k < member->index->index.count; k++) {
        _cleanup_free_ char *text = NULL;
        struct merge_cpu *cpu;
        bool is_there = false;
        int r = cpu_text(member->index, k, &text, err);

        if (r < 0)
            return r;
        cpu = text ? find_cpu(m, text) : NULL;
        if (!cpu)
            continue;
        if (cpu->input == member->input) {
            cpu->overloads++;
            in->added++;
            continue;
        }
        for (const struct merge_member *e = first; e < member && !is_there; e++)
            is_there = e->input == cpu->input && has_same(m, e, member, k);
        if (!is_there)
            return refuse(m, cpu, member->input, err);
        member->index->dropped[k] = true;
    }
    return 0;
}

/* ---- Other targets ----------------------------------------------------------------------- */

static bool has_other_targets(const struct merge_index *i)
{
    for (size_t k = 0; k < i->index.count; k++)
        if (!key_is_for_cpu(i->index.overloads[k].key))
            return true;
    return false;
}

/* Code for a GPU is taken whole from the first input that has it. */
static void check_other_targets(struct merge *m, struct merge_member *members, size_t n)
{
    const struct merge_member *from = NULL;

    for (size_t i = 0; i < n; i++) {
        struct merge_index *index = members[i].index;
        bool differs = false;

        if (!has_other_targets(index))
            continue;
        if (!from) {
            from = &members[i];
            m->inputs[from->input].added++;
            continue;
        }
        for (size_t k = 0; k < index->index.count; k++)
            if (!key_is_for_cpu(index->index.overloads[k].key)) {
                differs |= !has_same(m, from, &members[i], k);
                index->dropped[k] = true;
            }
        if (!differs)
            continue;
        report(m->context, WP_WARNING, index->line->index,
               "its code for other targets than CPUs is that of %s: that of %s is left out",
               m->inputs[from->input].name, m->inputs[members[i].input].name);
        m->result->left_out++;
    }
}

/* ---- Indexes of no source ---------------------------------------------------------------- */

static void keep_first(struct merge *m, struct merge_member *members, size_t n)
{
    m->inputs[members[0].input].added++;
    for (size_t i = 1; i < n; i++) {
        const struct index *first = &members[0].index->index, *other = &members[i].index->index;
        bool same =
            first->size == other->size && memcmp(first->text, other->text, first->size) == 0;

        for (size_t k = 0; k < other->count && same; k++)
            same = is_same_data(m, &members[0], k, &members[i], k);
        if (same)
            members[i].index->is_out = true;
        else
            merge_leave_out(m, &m->inputs[members[i].input], members[i].index,
                            "another one of that name is there");
    }
}

/* ---- All --------------------------------------------------------------------------------- */

static int check_group(struct merge *m, struct merge_member *members, size_t n,
                       struct wp_error *err)
{
    int r = 0;

    if (is_keyed(members[0].index)) {
        keep_first(m, members, n);
        return 0;
    }
    for (size_t i = 0; i < n && r == 0; i++)
        r = check_member(m, members, &members[i], err);
    if (r == 0)
        check_other_targets(m, members, n);
    return r;
}

int merge_check_builds(struct merge *m, struct merge_groups *g, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < m->count && r == 0; i++)
        r = gather(m, i, err);
    for (size_t i = 0, n; i < g->count && r == 0; i += n) {
        n = merge_group_size(g, i);
        r = check_group(m, &g->members[i], n, err);
    }
    for (size_t i = 1; i < m->count && r == 0; i++)
        if (!m->inputs[i].added)
            r = error_set(err, 0, m->inputs[i].name,
                          "has no valid cache that %s lacks: nothing to merge",
                          i == 1 ? m->inputs[0].name : "the inputs before it");
    return r;
}

/* ---- Who they are ------------------------------------------------------------------------ */

static int add_build(struct merge *m, const char *archive, const char *root, uint32_t cpus,
                     struct wp_error *err)
{
    struct manifest_build *new;

    if (m->build_count == MANIFEST_BUILDS_MOST)
        return error_set(err, 0, m->o->output, "not made: more than %d builds",
                         MANIFEST_BUILDS_MOST);
    if (array_grow(m->builds, m->build_count) < 0)
        return error_nomem(err);
    new = &m->builds[m->build_count++];
    *new = (struct manifest_build){
        .archive = strdup(archive), .root = root ? strdup(root) : NULL, .cpus = cpus};
    return new->archive && (!root || new->root) ? 0 : error_nomem(err);
}

/* The CPU numbers, in the result, of build B of an input that is itself the result of a merge. */
static uint32_t cpus_of(struct merge *m, const struct manifest *from,
                        const struct manifest_build *b)
{
    uint32_t cpus = 0;

    for (size_t i = 0; i < from->cpu_count; i++) {
        const struct merge_cpu *cpu = b->cpus >> i & 1 ? find_cpu(m, from->cpus[i]) : NULL;

        if (cpu)
            cpus |= UINT32_C(1) << (cpu - m->cpus);
    }
    return cpus;
}

int merge_name_builds(struct merge *m, struct wp_error *err)
{
    char hex[2 * SHA256_SIZE + 1];
    int r = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct merge_input *in = &m->inputs[i];
        uint32_t cpus = 0;

        in->first_build = (uint32_t)m->build_count;
        if (!in->added)
            continue;
        for (size_t k = 0; k < in->m.build_count && r == 0; k++) {
            const struct manifest_build *b = &in->m.builds[k];

            r = add_build(m, b->archive, b->root, cpus_of(m, &in->m, b), err);
        }
        for (size_t k = 0; k < m->cpu_count; k++)
            cpus |= m->cpus[k].input == i ? UINT32_C(1) << k : 0;
        hex_encode(in->m.digest, SHA256_SIZE, hex);
        if (r == 0 && !in->m.build_count)
            r = add_build(m, hex, in->m.roots[0], cpus, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool number_in(const char *name, size_t *number)
{
    const char *end = name + strlen(name) - 4, *at = end; /* ".nbc" */

    while (at > name && at[-1] >= '0' && at[-1] <= '9')
        at--;
    *number = strtoul(at, NULL, 10);
    return at < end && end - at < 8;
}

uint32_t merge_build_of(const struct merge_input *in, const struct merge_index *i, const char *data)
{
    size_t number = 1, stem;
    uint32_t build;

    if (!in->m.build_count || !i->line->build_count)
        return in->first_build;
    if (i->line->build_count > 1 &&
        (!index_is_data_name(data, &stem) || !number_in(data, &number) || number < 1 ||
         number > i->line->build_count))
        return in->first_build;
    build = i->line->builds[i->line->build_count > 1 ? number - 1 : 0];
    return in->first_build + (build < in->m.build_count ? build : 0);
}
