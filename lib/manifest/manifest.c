/* Holds what manifests are made of: names of values, paths, memory, finding. */

#include "manifest/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "manifest/manifest_private.h"
#include "manifest/needs.h"
#include "numba/stamp.h"

static const char *const TYPES[] = {
    [ENTRY_FILE] = "file",
    [ENTRY_DIR] = "dir",
    [ENTRY_SYMLINK] = "symlink",
    [ENTRY_HARDLINK] = "hardlink",
};
static const char *const PLACES[] = {
    [MANIFEST_CACHE_DIR] = "cache-dir",
    [MANIFEST_CACHE_USER_WIDE] = "user-wide",
    [MANIFEST_CACHE_INSIDE] = "inside",
};
const struct manifest_names manifest_type_names = {TYPES, sizeof TYPES / sizeof *TYPES};
const struct manifest_names manifest_place_names = {PLACES, sizeof PLACES / sizeof *PLACES};
const struct manifest_names manifest_stamp_names = {stamp_kind_names, STAMP_KINDS};

int manifest_name_index(const struct manifest_names *n, const char *text)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->names[i], text) == 0)
            return (int)i;
    return -1;
}

bool manifest_path_is_canonical(const char *path)
{
    if (!path_is_safe(path))
        return false;
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, "/");

        if (n == 0 || (n == 1 && *p == '.'))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(strings[i]);
    free(strings);
}

void manifest_set_clear(struct manifest_set *s)
{
    free_strings(s->files, s->file_count);
    free(s->uses);
    free_strings(s->outside, s->outside_count);
    *s = (struct manifest_set){0};
}

void manifest_clear(struct manifest *m)
{
    free(m->creator);
    free(m->signatures);
    free(m->home);
    free_strings(m->roots, m->root_count);
    free_strings(m->env, m->env_count);
    free_strings(m->distributions, m->distribution_count);
    free_strings(m->numba_users, m->numba_user_count);
    free(m->command);
    if (m->needs)
        free_strings(m->needs, m->cpu_count);
    free_strings(m->cpus, m->cpu_count);
    for (size_t i = 0; i < m->build_count; i++) {
        free(m->builds[i].archive);
        free(m->builds[i].root);
    }
    free(m->builds);
    for (size_t i = 0; i < m->entry_count && !m->is_read; i++)
        entry_clear(&m->entries[i]);
    free(m->entries);
    texts_free(&m->texts);
    for (size_t i = 0; i < m->cache_count; i++) {
        free(m->caches[i].cache);
        free(m->caches[i].source);
    }
    free(m->caches);
    for (size_t i = 0; i < m->set_count; i++)
        manifest_set_clear(&m->sets[i]);
    free(m->sets);
    for (size_t i = 0; i < m->index_count; i++) {
        free(m->indexes[i].index);
        free(m->indexes[i].source);
        free(m->indexes[i].status);
        free(m->indexes[i].reason);
        free(m->indexes[i].numba);
        free(m->indexes[i].builds);
    }
    free(m->indexes);
    *m = (struct manifest){0};
}

int manifest_add_cpu(struct manifest *m, const char *cpu)
{
    for (size_t i = 0; i < m->cpu_count; i++)
        if (strcmp(m->cpus[i], cpu) == 0)
            return (int)i;
    if (m->cpu_count == MANIFEST_CPUS_MOST || strlen(cpu) > MANIFEST_CPU_LONGEST)
        return -ENOSPC;
    if (array_grow(m->cpus, m->cpu_count) < 0 || array_grow(m->needs, m->cpu_count) < 0 ||
        needs_of_cpu(cpu, &m->needs[m->cpu_count]) < 0)
        return -ENOMEM;
    m->cpus[m->cpu_count] = strdup(cpu);
    if (m->cpus[m->cpu_count])
        return (int)m->cpu_count++;
    free(m->needs[m->cpu_count]);
    return -ENOMEM;
}

void manifest_state_clear(struct manifest_state *s)
{
    free(s->action);
    free_strings(s->roots, s->root_count);
    free(s->layout);
    free(s->cache_root);
    free(s->options);
    free(s->archive);
    *s = (struct manifest_state){0};
}

const struct entry *manifest_find(const struct manifest *m, const char *path)
{
    return array_find(&path, m->entries, m->entry_count, path_compare);
}

const struct manifest_index *manifest_find_index(const struct manifest *m, const char *path)
{
    return array_find(&path, m->indexes, m->index_count, path_compare);
}

char *manifest_source_dir(const struct manifest *m, const char *dir, const char **misplaced)
{
    *misplaced = NULL;
    for (size_t i = 0; i < m->cache_count; i++)
        if (strcmp(m->caches[i].cache, dir) == 0)
            return strdup(m->caches[i].source);
    if (strcmp(path_base(dir), "__pycache__") != 0)
        *misplaced = "its directory is not one where Numba looks for a source of this tree";
    return path_dir(dir);
}
