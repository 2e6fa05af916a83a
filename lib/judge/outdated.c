/* Judges whether an index is older than a file that its code can come from. */

#include "judge/outdated.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "judge/judge.h"
#include "numba/compiled.h"

enum outdated outdated_by_times(const struct wp_stamp *stamp, bool kept, struct timespec compiled,
                                struct timespec source, struct timespec newest)
{
    if (!time_is_before(compiled, newest))
        return NOT_OUTDATED;
    /* What reads a source does so before it compiles it: who made the tree has not kept its times,
     * as git does not. */
    return (stamp->kind == WP_STAMP_CONTENT && !kept) || time_is_before(compiled, source)
               ? OUTDATED_UNKNOWN
               : OUTDATED;
}

/* Does the .pyc called NAME, no newer than COMPILED, say that SOURCE had its time and size? */
static bool remembers(int dirfd, const char *name, const struct stat *source,
                      struct timespec compiled)
{
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct compiled_header head;
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           !time_is_before(compiled, st.st_mtim) &&
           file_read_at(fd, &head, sizeof head, 0) == sizeof head && head.flags == 0 &&
           le32toh(head.mtime) == (uint32_t)source->st_mtim.tv_sec &&
           le32toh(head.size) == (uint32_t)source->st_size;
}

bool outdated_time_is_kept(int dirfd, const char *name, const struct stat *st,
                           struct timespec compiled)
{
    _cleanup_close_ int cache = openat(dirfd, "__pycache__", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *d = NULL;
    const size_t n = strlen(name), stem = n > 3 ? n - 3 : n; /* without ".py" */
    struct dirent *item;

    if (cache < 0 || !(d = fdopendir(dup(cache))))
        return false;
    while (file_next(d, &item) > 0)
        if (strncmp(item->d_name, name, stem) == 0 && item->d_name[stem] == '.' &&
            path_has_suffix(item->d_name, ".pyc") && remembers(cache, item->d_name, st, compiled))
            return true;
    return false;
}

int outdated_set(struct wp_index_status *s, const char *path)
{
    return judge_set(s, WP_OUTDATED, "%s changed after it was compiled; Numba would not notice",
                     path);
}
