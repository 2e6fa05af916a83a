/* Copies and frees entries. */

#include "entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/times.h"

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

const char *entry_difference(const struct entry *got, const struct entry *want)
{
    if (got->type != want->type)
        return "is of another type than the manifest says";
    if (got->mode != want->mode || got->uid != want->uid || got->gid != want->gid)
        return "has another mode or owner than the manifest says";
    if (!time_is(got->mtime, want->mtime))
        return "has another time than the manifest says";
    if (got->type == ENTRY_SYMLINK && strcmp(got->target, want->target) != 0)
        return "points elsewhere than the manifest says";
    if (got->type == ENTRY_FILE && got->size != want->size)
        return "has another size than the manifest says";
    return NULL;
}

static bool is_name(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

const char *entry_owner_difference(const struct entry *got, const struct entry *want)
{
    return is_name(got->uname, want->uname) && is_name(got->gname, want->gname)
               ? NULL
               : "has an owner of another name than the manifest says";
}
