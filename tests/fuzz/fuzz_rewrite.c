/* Feeds the writer of indexes: what it writes can be read again, and is equal but for the strings
 * that it was to change, whichever overloads are chosen. libFuzzer calls it. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/index_write.h"
#include "numba/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct index_cpu cpus[] = {{"znver4", "+avx2,-sse4a"}, {"", ""}};

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Is what was refused what may be? What is too much to be compared may. */
static void check_refused(const struct wp_error *err)
{
    check(err->code == ENOTSUP || !strstr(err->message, "does not read as it should"));
}

static void check_key(const struct pickle_value *now, const struct pickle_value *was,
                      const struct index_cpu *cpu)
{
    check(cpu ? key_is_alike(now, was) == 1 : pickle_equal(now, was) == 1);
    if (cpu)
        check(pickle_is_str(now->items[1]->items[1], cpu->name) &&
              pickle_is_str(now->items[1]->items[2], cpu->features));
}

static void check_all(const struct index *now, const struct index *was, const bool *chosen,
                      const struct index_cpu *cpu)
{
    check(now->count == was->count && strcmp(now->numba, was->numba) == 0);
    check(pickle_equal(pickle_root(now->body_pickle)->items[0],
                       pickle_root(was->body_pickle)->items[0]) == 1);
    check(now->size - now->body_end == was->size - was->body_end);
    for (size_t i = 0; i < now->count; i++) {
        check(strcmp(now->overloads[i].data, was->overloads[i].data) == 0);
        check_key(now->overloads[i].key, was->overloads[i].key, chosen[i] ? cpu : NULL);
    }
}

/* Rewrites I, and what came of it back to another CPU. */
static void rewrite(const struct index *i, const bool *chosen, unsigned again)
{
    const struct index_cpu *cpu = &cpus[again];
    _cleanup_buf_ struct buf out = {0};
    _cleanup_(index_clear) struct index now = {0};
    struct wp_error err = {0};
    int r = index_retarget(i, chosen, cpu, &out, &err);

    if (r < 0) {
        check_refused(&err);
        check(out.size == 0 && (again == 0 || r != -ENOTSUP));
        return;
    }
    check(index_read(&now, out.data, out.size, NULL) == 0);
    check_all(&now, i, chosen, cpu);
    if (again == 0)
        rewrite(&now, chosen, 1);
}

/* The chosen ones alone, the last first, with other names. */
static void pick(const struct index *i, const bool *chosen)
{
    _cleanup_buf_ struct buf out = {0};
    _cleanup_(index_clear) struct index now = {0};
    struct index_writer *w;
    struct wp_error err = {0};
    size_t n = 0;
    int r = index_writer_new(&w, i, &err);

    for (size_t k = i->count; k-- > 0 && r == 0;)
        if (chosen[k])
            r = index_writer_add(w, i, k, NULL, "a.1.nbc", &err);
    if (r == 0)
        r = index_writer_finish(w, &out, &err);
    index_writer_free(w);
    if (r < 0) {
        check_refused(&err);
        return;
    }
    check(index_read(&now, out.data, out.size, NULL) == 0);
    for (size_t k = i->count; k-- > 0;)
        if (chosen[k])
            check_key(now.overloads[n++].key, i->overloads[k].key, NULL);
    check(n == now.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned pattern = size ? data[size - 1] : 0; /* what is behind the pickles is ignored */
    _cleanup_free_ bool *chosen = NULL;
    struct index i;

    if (index_read(&i, data, size, NULL) < 0)
        return 0;
    chosen = calloc(i.count + 1, sizeof *chosen);
    for (size_t k = 0; chosen && k < i.count; k++)
        chosen[k] = pattern >> k % 8 & 1;
    if (chosen)
        pick(&i, chosen);
    for (size_t k = 0; chosen && k < i.count; k++)
        chosen[k] = chosen[k] && key_is_for_cpu(i.overloads[k].key);
    if (chosen)
        rewrite(&i, chosen, 0);
    index_clear(&i);
    return 0;
}
