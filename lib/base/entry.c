/* Copies and frees entries. */

#include "entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void entry_clear(struct entry *e)
{
    free(e->path);
    free(e->target);
    free(e->uname);
    free(e->gname);
    *e = (struct entry){0};
}

static int copy_string(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

int entry_copy(struct entry *to, const struct entry *from)
{
    *to = *from;
    to->path = to->target = to->uname = to->gname = NULL;
    if (copy_string(&to->path, from->path) < 0 || copy_string(&to->target, from->target) < 0 ||
        copy_string(&to->uname, from->uname) < 0 || copy_string(&to->gname, from->gname) < 0) {
        entry_clear(to);
        return -ENOMEM;
    }
    return 0;
}

int entry_take_attributes(struct entry *to, const struct entry *from)
{
    to->mtime = from->mtime;
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    free(to->uname);
    free(to->gname);
    to->uname = to->gname = NULL;
    return copy_string(&to->uname, from->uname) < 0 || copy_string(&to->gname, from->gname) < 0
               ? -ENOMEM
               : 0;
}
