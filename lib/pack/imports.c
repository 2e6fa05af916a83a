/* Packing: the imports of sources, which are scanned while their bytes are in the processor's
 * cache. Which of them are asked for is known when all caches have been read. */

#include <errno.h>
#include <stdlib.h>

#include "base/path.h"
#include "base/times.h"
#include "depends.h"

/* When so many are kept, further sources are read a second time where they are asked for. */
enum { MOST_BYTES = 32 << 20 };

/* Of a source that had this size and these times when it was read. */
struct pack_imports {
    struct imports found;
    uint64_t size;
    struct timespec mtime, ctime;
};

int pack_imports_begin(struct pack *p)
{
    if (p->imports)
        return 0;
    p->imports = calloc(p->walk.count + 1, sizeof(struct pack_imports *));
    p->imports_count = p->imports ? p->walk.count : 0;
    return p->imports ? 0 : -ENOMEM;
}

static void drop(struct pack_imports *kept)
{
    if (kept)
        imports_clear(&kept->found);
    free(kept);
}

static size_t bytes_of(const struct imports *found)
{
    return sizeof(struct pack_imports) + 2 * found->count * sizeof *found->items + found->text.room;
}

static bool is_of(const struct pack_imports *kept, const struct walk_item *item)
{
    return kept->size == item->entry.size && time_is(kept->mtime, item->entry.mtime) &&
           time_is(kept->ctime, item->ctime);
}

/* Is there room, and is item NUMBER one whose imports are asked for? */
static bool is_wanted(const struct pack *p, size_t number)
{
    const struct walk_item *item = &p->walk.items[number];

    return number < p->imports_count && item->entry.type == ENTRY_FILE &&
           path_has_suffix(item->entry.path, ".py") && atomic_load(&p->imports_bytes) < MOST_BYTES;
}

/* Keeps FOUND, which is taken over, for item NUMBER. */
static int keep(struct pack *p, size_t number, struct imports *found)
{
    const struct walk_item *item = &p->walk.items[number];
    struct pack_imports *kept = malloc(sizeof *kept);

    if (!kept) {
        imports_clear(found);
        return -ENOMEM;
    }
    *kept = (struct pack_imports){.found = *found,
                                  .size = item->entry.size,
                                  .mtime = item->entry.mtime,
                                  .ctime = item->ctime};
    atomic_fetch_add(&p->imports_bytes, bytes_of(&kept->found));
    drop(p->imports[number]);
    p->imports[number] = kept;
    return 0;
}

int pack_imports_scan(struct pack *p, size_t number, const void *text)
{
    const struct walk_item *item = &p->walk.items[number];
    struct imports found = {0};

    if (!is_wanted(p, number) || (p->imports[number] && is_of(p->imports[number], item)))
        return 0;
    if (imports_scan(&found, text, item->entry.size, NULL) < 0) {
        imports_clear(&found);
        return -ENOMEM;
    }
    return keep(p, number, &found);
}

bool pack_imports_take(const struct pack *p, size_t number, struct imports *out)
{
    struct pack_imports *kept = number < p->imports_count ? p->imports[number] : NULL;

    if (!kept || !is_of(kept, &p->walk.items[number]))
        return false;
    *out = kept->found;
    free(kept);
    p->imports[number] = NULL;
    return true;
}

void pack_imports_clear(struct pack *p)
{
    for (size_t i = 0; i < p->imports_count; i++)
        drop(p->imports[i]);
    free(p->imports);
    p->imports = NULL;
    p->imports_count = 0;
}
