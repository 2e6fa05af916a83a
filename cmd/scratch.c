/* Makes and removes a directory for what is needed while a command runs. */

#include "scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "message.h"
#include "text.h"

enum { OPEN_DIRS = 16 };

int scratch_make(char **out)
{
    const char *given = getenv("TMPDIR");
    const char *tmp = given && *given ? given : "/tmp";
    /* A command may change its directory, and is to find it still. */
    _cleanup_free_ char *full = realpath(tmp, NULL);
    char *dir;

    *out = NULL;
    dir = text_printf("%s/warmpack-XXXXXX", full ? full : tmp);
    if (!dir)
        return message_no_memory();
    if (!mkdtemp(dir)) {
        message_error("%s: cannot be made: %s", dir, strerror(errno));
        free(dir);
        return STATUS_FAILED;
    }
    *out = dir;
    return 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    if (type == FTW_D && (st->st_mode & 0700) != 0700)
        chmod(path, 0700); /* where that fails, removing says so */
    return 0;
}

static int take_away(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void scratch_remove(char *dir)
{
    if (!dir)
        return;
    nftw(dir, open_up, OPEN_DIRS, FTW_PHYS | FTW_MOUNT);
    if (nftw(dir, take_away, OPEN_DIRS, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) != 0)
        message_warning("%s: cannot be removed: %s", dir, strerror(errno));
    free(dir);
}
