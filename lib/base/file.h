#pragma once
/* Reading whole files by path, through symlinks, as Python would; temporary files; and what jobs
 * ask of files. */

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "error.h"

struct buf;

/* Reads the regular file PATH of at most MAX bytes into OUT (appended). ST may be NULL. 0, or a
 * negative errno: -EFBIG where it is larger, -EINVAL where it is no regular file. */
int file_read(const char *path, size_t max, struct buf *out, struct stat *st);

/* Does R, from reading a whole file, say that there is no such file to be read: it is a directory,
 * no regular file, or too large? */
bool file_is_unfit(int r);

/* The same of the file FD: ST is filled, unless it is NULL. */
int file_read_all(int fd, size_t max, struct buf *out, struct stat *st);

/* Reads FD from where it stands to its end into OUT (appended), whose size is thought to be
 * EXPECTED. 0, or negative errno: -EFBIG where it is more than MAX. */
int file_read_rest(int fd, size_t expected, size_t max, struct buf *out);
/* Up to N bytes at OFFSET: fewer only where the file ends. Their number, or negative errno. */
ssize_t file_read_at(int fd, void *out, size_t n, uint64_t offset);

/* Opens the directory PATH, through symlinks. 1; 0: there is none; negative errno. */
int file_list_path(const char *path, DIR **out);
/* The next name in D, apart from the directory itself and the one above it. 1; 0 at the end;
 * negative errno: what has been listed is not all. */
int file_next(DIR *d, struct dirent **item);
/* FD's directory, which owns FD from now on; FD is closed on failure, too. NULL and errno. */
DIR *file_list(int fd);
/* Directory NAME in DIR, not through a symlink. NULL and errno. */
DIR *file_list_at(int dir, const char *name);
/* Is this the name of the directory itself, or of the one above it? */
bool file_is_dots(const char *name);

/* The name that file FD has in /proc, for what a descriptor alone is not enough for. */
struct file_fd_name {
    char text[sizeof "/proc/self/fd/" + 10];
};
struct file_fd_name file_fd_name(int fd);
/* Gives the file FD, which may have no name yet, the name NAME in DIR. 0 or negative errno. */
int file_link(int fd, int dir, const char *name);
/* flock(2), LOCK_EX, without waiting. 1; 0: the filesystem has no such locks; -EWOULDBLOCK: another
 * holds it; or negative errno. */
int file_lock(int fd);
/* Do both tell of one file, with the same content? The ctime tells that another one has got its
 * inode, but of a file with several names it changes with each of these. */
bool file_is_same(const struct stat *a, const struct stat *b);
/* Is NAME in DIR the very file FD? 1, 0 or negative errno. */
int file_has_name(int fd, int dir, const char *name);
/* FD's file once more, for reading from its first byte: a duplicate would share the position. A new
 * descriptor, or negative errno. */
int file_open_again(int fd);
/* All N bytes of DATA, where FD stands or at OFFSET: 0 or negative errno. */
int file_write(int fd, const void *data, size_t n);
int file_write_at(int fd, const void *data, size_t n, uint64_t offset);

/* A file without a name, in $TMPDIR, else /tmp. Its descriptor, or negative errno. */
int file_temporary(struct wp_error *err);
/* Writes all of DATA to such a file at OFFSET. */
int file_temporary_write(int fd, uint64_t offset, const void *data, size_t n, struct wp_error *err);

/* To be called before a read (EVENTS: POLLIN) or a write (POLLOUT) of FD, which may be a pipe whose
 * other end stalls. Signals reach one thread only, so every other one must look at the flag now and
 * then. 0: it may be done, and its own errors tell what is wrong with FD; -EINTR: *INTERRUPTED is
 * set. INTERRUPTED NULL: there is nothing to look at. */
int file_wait(int fd, short events, const volatile sig_atomic_t *interrupted);

/* The umask of the process. There is one for all threads, and umask(2) can only tell it by setting
 * another, so it is read from /proc where that is mounted. */
mode_t file_umask(void);
