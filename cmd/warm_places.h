#pragma once
/* How a command that was run for a tree is run for its copy. */

/* Where PATH, absolute, lies in the copy COPY of a directory that DIRS are the names of, up to
 * NULL; NULL: it does not lie there. Allocated; errno is ENOMEM where there is no memory, else 0.
 */
char *warm_place(const char *path, const char *const *dirs, const char *copy);
/* COMMAND with the words that name something in DIRS or, relative to CWD, something that the copy
 * does not have; NULL-ended and allocated, as its words; NULL: no memory. */
char **warm_command(const char *const *command, const char *const *dirs, const char *copy,
                    const char *cwd, const char *new_cwd);
void warm_command_free(char **command);
/* "PYTHONPATH=..." with the entries that lie in DIRS, seen from CWD, in the copy. NULL: no memory.
 */
char *warm_python_path(const char *const *dirs, const char *copy, const char *cwd);
