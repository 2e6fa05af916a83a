/* Looks up each user and group once. */

#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/account.h"
#include "base/array.h"
#include "base/cleanup.h"

/* Names come from archives, too: what is remembered of them is bounded. */
enum { MOST_NAMES = 4096 };

/* Asks the system, by NAME where it is given, else by *ID. Sets the other of the two (*FOUND is
 * allocated). Returns 1, 0 where there is no such entry, or -ENOMEM. */
static int ask(enum names_kind kind, const char *name, id_t *id, char **found)
{
    _cleanup_(account_clear) struct account a = {0};
    int r = account_find(&a, kind == NAMES_GROUP, name, *id);

    if (r < 1)
        return r == -ENOMEM ? r : 0;
    *id = a.id;
    if (found)
        *found = take_ptr(a.name);
    return 1;
}

static void list_clear(struct names_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->known[i].name);
    l->count = 0;
}

static int list_insert(struct names_list *l, size_t at, struct names_known k)
{
    if (array_grow(l->known, l->count) < 0)
        return -ENOMEM;
    memmove(l->known + at + 1, l->known + at, (l->count - at) * sizeof *l->known);
    l->known[at] = k;
    l->count++;
    return 0;
}

const char *names_of(struct names *n, enum names_kind kind, id_t id)
{
    struct names_list *l = &n->by_id[kind];
    size_t at = array_first(i, l->count, l->known[i].id < id);
    if (at < l->count && l->known[at].id == id)
        return l->known[at].name;
    struct names_known k = {.id = id};
    if (ask(kind, NULL, &id, &k.name) < 0 || list_insert(l, at, k) < 0) {
        free(k.name);
        return NULL;
    }
    return k.name;
}

bool names_find(struct names *n, enum names_kind kind, const char *name, id_t *id)
{
    struct names_list *l = &n->by_name[kind];
    if (l->count >= MOST_NAMES)
        list_clear(l);
    size_t at = array_first(i, l->count, strcmp(l->known[i].name, name) < 0);
    if (at < l->count && strcmp(l->known[at].name, name) == 0) {
        *id = l->known[at].id;
        return l->known[at].found;
    }
    struct names_known k = {.name = strdup(name)};
    k.found = ask(kind, name, &k.id, NULL) == 1;
    *id = k.id;
    if (!k.name || list_insert(l, at, k) < 0)
        free(k.name);
    return k.found;
}

void names_free(struct names *n)
{
    for (int kind = NAMES_USER; kind <= NAMES_GROUP; kind++) {
        list_clear(&n->by_id[kind]);
        list_clear(&n->by_name[kind]);
        free(n->by_id[kind].known);
        free(n->by_name[kind].known);
    }
    *n = (struct names){0};
}
