#pragma once
/* Free on every way out: `_cleanup_free_ char *s = NULL;`, `_cleanup_close_ int fd = -1;`. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}
/* May also be called directly: *FD becomes -1, so that nothing is closed twice. */
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
    *fd = -1;
}
static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}
static inline void cleanup_closedir(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* cppcheck does not know the attribute, and takes nothing static for a leak. */
#ifdef ANALYSED_BY_CPPCHECK
#define _cleanup_(f) static
#else
#define _cleanup_(f) __attribute__((cleanup(f)))
#endif
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)
#define _cleanup_buf_ _cleanup_(buf_free)

/* The value of *P, which no longer owns it. */
static inline int take_fd(int *fd)
{
    int v = *fd;
    *fd = -1;
    return v;
}
#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) *_p = &(p);                                                                  \
        __typeof__(p) _v = *_p;                                                                    \
        *_p = NULL;                                                                                \
        _v;                                                                                        \
    })
