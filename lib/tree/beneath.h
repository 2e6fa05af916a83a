#pragma once
/* Opening and making things beneath a directory descriptor: no symlink is followed below it, names
 * may be longer than PATH_MAX, and ".." is refused. Functions return a descriptor or 0, or a
 * negative errno (ELOOP where a symlink is in the way). */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* As openat(2) with O_CLOEXEC | O_NOFOLLOW. PATH "" or "." is the directory itself. */
int beneath_open(int dirfd, const char *path, int flags, mode_t mode);
/* Opens what is there for reading, without waiting for the other end of a FIFO. */
int beneath_open_read(int dirfd, const char *path);
/* Likewise a regular file, which ST tells of: -EISDIR or -EINVAL where it is none. */
int beneath_open_file(int dirfd, const char *path, struct stat *st);
/* Copies to PART as many of the first components of PATH, of PATH_MAX bytes and more, as fit into
 * one call: their size, or -ENAMETOOLONG. */
int beneath_split_long(const char *path, char part[PATH_MAX]);
/* Opens the directory that holds PATH's last component (O_PATH: for the *at calls alone); *NAME
 * points into PATH at that. -EINVAL where PATH ends in a slash, "." or "..". */
int beneath_parent(int dirfd, const char *path, const char **name);
/* Makes PATH's missing directories and the last one with exactly MODE, whatever the umask, and an
 * inherited setgid bit. -ENOTDIR, -ELOOP where something else stands there. */
int beneath_mkdirs(int dirfd, const char *path, mode_t mode);
/* chmod(2) of what is not a symlink (-ELOOP), whether it can be read or not. */
int beneath_chmod(int dirfd, const char *path, mode_t mode);
/* lstat. */
int beneath_stat(int dirfd, const char *path, struct stat *st);
/* Is R, which one of these functions has returned, "not there"? As error_is_absence, and ELOOP:
 * what lies behind a symlink is not beneath the directory. */
bool beneath_is_absence(int r);
/* Is R, from opening or reading a file, "no such file": not there, or there is something else than
 * a file that could be read, or more than the largest that is asked for, or a path longer than
 * Python could open? */
bool beneath_is_no_file(int r);
/* As that, or "we are not let read it": then the user's Python cannot either. */
bool beneath_is_out_of_reach(int r);
/* As beneath_stat. 1; 0: nothing is there; negative errno. */
int beneath_look(int dirfd, const char *path, struct stat *st);
/* Opens a directory for listing. 1; 0: there is none; negative errno. */
int beneath_list(int dirfd, const char *path, DIR **out);
/* Removes a file or a whole tree (directories without write permission too); absent is fine.
 * Stops at the first thing that cannot be removed, such as a mount point (-EBUSY). */
int beneath_remove(int dirfd, const char *path);
/* rmdir(2): 0 or negative errno. */
int beneath_rmdir(int dirfd, const char *path);
/* rename(2), each name beneath its own descriptor. */
int beneath_rename(int from_fd, const char *from, int to_fd, const char *to);
/* Reads a whole regular file of at most MAX bytes (-EFBIG) in place of what OUT holds. ST may be
 * NULL. */
struct buf;
int beneath_read(int dirfd, const char *path, size_t max, struct buf *out, struct stat *st);

/* Removes from directory DIR what killed runs had yet to put in place of other files. 0, also where
 * there is no DIR; negative errno: something may still be there. */
int beneath_sweep(int dirfd, const char *dir);
