/* Finds the features that code for each CPU of a manifest needs. */

#include "manifest/needs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "numba/features.h"

/* Puts what every LLVM prints of a machine in the place of what not all print: x87 is a part of
 * x86-64, and crc32, which LLVM 14 was the first to name, one of SSE 4.2. */
static void name_as_printed(struct features *need)
{
    unsigned x87, crc32, sse42;

    if (need->arch != FEATURES_X86_64 || !features_find(need->arch, "x87", 3, &x87) ||
        !features_find(need->arch, "crc32", 5, &crc32) ||
        !features_find(need->arch, "sse4.2", 6, &sse42))
        return;
    features_remove(need, x87);
    if (features_has(need, crc32))
        features_add(need, sse42);
    features_remove(need, crc32);
}

int needs_of_cpu(const char *cpu, char **out)
{
    _cleanup_free_ char *copy = strdup(cpu);
    _cleanup_buf_ struct buf text = {0};
    struct features need;
    char *rest = copy, *triple, *name;
    int r;

    *out = NULL;
    if (!copy)
        return -ENOMEM;
    triple = strsep(&rest, " ");
    name = strsep(&rest, " ");
    if (!name || !rest)
        return 0;
    r = features_needed(&need, triple, name, rest, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    name_as_printed(&need);
    if (features_text(&need, &text) < 0)
        return -ENOMEM;
    *out = (char *)take_ptr(text.data);
    return 0;
}

/* ---- The header's member ----------------------------------------------------------------- */

/* "avx,avx2" as ["avx", "avx2"]. */
static void write_list(struct json_writer *w, const char *needs)
{
    json_write_array(w, NULL);
    for (size_t n; *needs; needs += n + (needs[n] == ',')) {
        n = strcspn(needs, ",");
        json_write_item(w, needs, n);
    }
    json_write_array_end(w);
}

void needs_write(struct json_writer *w, const struct manifest *m)
{
    json_write_array(w, "needs");
    for (size_t i = 0; i < m->cpu_count; i++) {
        if (m->needs[i])
            write_list(w, m->needs[i]);
        else
            json_write_raw(w, NULL, "null");
    }
    json_write_array_end(w);
}

static int read_list(struct json_line *l, const json_t *list, char **out)
{
    _cleanup_buf_ struct buf text = {0};
    const json_t *item;
    size_t i;

    if (json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return json_line_wrong(l, "\"needs\" holds what is no list of features");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);

        if (!name || !*name || strchr(name, ',') || !features_is_plain(name))
            return json_line_wrong(l, "\"needs\" holds what is no feature's name");
        if (buf_printf(&text, "%s%s", i ? "," : "", name) < 0)
            return json_line_nomem(l);
    }
    if (buf_terminate(&text) < 0)
        return json_line_nomem(l);
    *out = (char *)take_ptr(text.data);
    return 0;
}

int needs_read(struct json_line *l, struct manifest *m)
{
    const json_t *lists = json_object_get(l->object, "needs"), *list;
    size_t i;

    m->needs = calloc(m->cpu_count + 1, sizeof *m->needs);
    if (!m->needs)
        return json_line_nomem(l);
    if (lists && (!json_is_array(lists) || json_array_size(lists) != m->cpu_count))
        return json_line_wrong(l, "\"needs\" is no array with a list for each CPU");
    json_array_foreach(lists, i, list) if (l->status == 0) read_list(l, list, &m->needs[i]);
    return l->status;
}
