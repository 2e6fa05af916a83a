/* Finds names that several entries of a zip have. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "zip_archive.h"

struct key {
    uint64_t hash;
    const char *name;              /* as it is unpacked */
    char *owned;                   /* the same, where it is not the archive's */
    const struct zip_entry *entry; /* borrowed */
};

static uint64_t hash_of(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return h;
}

/* By the hash first: paths begin alike, and comparing them takes long. */
static int compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int make_key(struct key *k, const struct zip_archive *a, const struct zip_entry *e)
{
    *k = (struct key){.name = zip_name(a, e), .entry = e};
    if (strncmp(k->name, "./", 2) == 0 || strstr(k->name, "//") || strstr(k->name, "/./")) {
        k->owned = path_clean(k->name);
        if (!k->owned)
            return -ENOMEM;
        k->name = k->owned;
    }
    k->hash = hash_of(k->name);
    return 0;
}

static size_t count_repeated(const struct key *keys, size_t n, const struct zip_entry **first)
{
    size_t repeated = 0;

    for (size_t i = 1; i < n; i++) {
        if (compare(&keys[i - 1], &keys[i]) != 0)
            continue;
        if (i >= 2 && compare(&keys[i - 2], &keys[i]) == 0)
            continue; /* it has been counted */
        if (repeated++ == 0 || keys[i].entry->at < (*first)->at)
            *first = keys[i].entry;
    }
    return repeated;
}

static bool is_directory_name(const char *name)
{
    return *name && name[strlen(name) - 1] == '/';
}

ssize_t zip_repeated_names(const struct zip_archive *a, const struct zip_entry **first)
{
    struct key *keys = malloc((a->count + 1) * sizeof *keys);
    ssize_t repeated = 0;
    size_t n = 0;

    if (!keys)
        return -ENOMEM;
    for (size_t i = 0; i < a->count && repeated == 0; i++)
        if (!is_directory_name(zip_name(a, &a->entries[i])))
            repeated = make_key(&keys[n++], a, &a->entries[i]);
    if (repeated == 0) {
        array_sort(keys, n, compare);
        repeated = (ssize_t)count_repeated(keys, n, first);
    }
    while (n > 0)
        free(keys[--n].owned);
    free(keys);
    return repeated;
}
