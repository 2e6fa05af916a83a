#pragma once
/* What verify tells besides its judgements: see enum wp_note_kind. */

#include "numba/data.h"
#include "numba/places.h"
#include "warmpack.h"

/* Cache files met that are no indexes, by their names in the report. */
struct leftovers {
    char **files; /* owned */
    size_t count, room;
};

/* What the manifest of an unpacked tree remembers; zero where there is none. */
struct remembered {
    char *old_root; /* "/srv/build/app/": where the tree was warmed, if that is another place */
    char **env;     /* "NAME=VALUE" of NUMBA_* that changed the code; owned */
    size_t env_count;
    bool known;
};

/* Adds a note. 0 or -ENOMEM. */
int note_add(struct wp_verify_report *r, enum wp_note_kind kind, const char *path, const char *fmt,
             ...) __attribute__((format(printf, 4, 5)));

/* Of one judged index and the object code of its data files. */
int note_index(struct wp_verify_report *r, const struct wp_index_status *s,
               const struct data_facts *facts, const char *old_root);
/* An index in DIR belongs to OWNER; U will run Python. 1 where a note was added. */
int note_sticky(struct wp_verify_report *r, const char *dir, const char *shown, uid_t owner,
                const struct places_user *u);

int leftovers_add(struct leftovers *l, const char *file);
/* Which of them no index of R names. */
int note_leftovers(struct wp_verify_report *r, struct leftovers *l);
void leftovers_clear(struct leftovers *l);

/* Reads the manifests in DIR/.warmpack. BASES: the paths at which the tree is now. */
int remembered_read(struct remembered *out, const char *dir, const char *const *bases,
                    struct wp_error *err);
void remembered_clear(struct remembered *m);
/* Settings of this environment that differ from those at packing. */
int note_settings(struct wp_verify_report *r, const struct remembered *m);
