#pragma once
/* Names and numbers of users and groups, each looked up once. Not locked: one thread at a time. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum names_kind { NAMES_USER, NAMES_GROUP };

struct names_known {
    char *name; /* owned; by number: NULL where there is none */
    id_t id;
    bool found; /* by name: is there such a user or group? */
};

struct names_list {
    struct names_known *known; /* owned; sorted by what it is searched by */
    size_t count;
};

/* Zero-initialise; names_free. */
struct names {
    struct names_list by_id[2], by_name[2]; /* by enum names_kind */
};

/* The name, or NULL where there is none (or no memory). The cache's. */
const char *names_of(struct names *n, enum names_kind kind, id_t id);
/* Is there a user or group NAME? Then *ID is its number. */
bool names_find(struct names *n, enum names_kind kind, const char *name, id_t *id);
void names_free(struct names *n); /* also empties it for further use */
