#pragma once
/* Path arithmetic on bytes. Nothing here touches the filesystem except path_absolute (getcwd).
 * Allocated results are the caller's. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* As os.path.abspath: joined to getcwd() where relative, then normalised lexically
 * ("//", ".", ".." and the trailing slash go; exactly two leading slashes stay, as POSIX and
 * Python have it). NULL and errno on failure. */
char *path_absolute(const char *path);

/* Lexical normalisation alone, as os.path.normpath. */
char *path_normalise(const char *path);

/* "A/B" (just B where A is "" or "."; B absolute wins, as os.path.join). */
char *path_join(const char *a, const char *b);

/* Likewise, but just A where B is "". */
char *path_append(const char *a, const char *b);
/* PATH, which is DIR or lies below it, as seen from there. Points into PATH. */
const char *path_from(const char *path, const char *dir);

/* Points into PATH, behind its last slash. */
const char *path_base(const char *path);

/* Does PATH end in SUFFIX, behind something else? */
bool path_has_suffix(const char *path, const char *suffix);

/* The part before the last slash; "" where there is none. Allocated. */
char *path_dir(const char *path);

/* Are two texts the same, or both NULL? */
bool text_same(const char *a, const char *b);

/* For qsort and bsearch of `char *`, and of structs that begin with one: bytewise, as strcmp. */
int path_compare(const void *a, const void *b);

/* For bsearch, where KEY is a struct path_start: how the `char *` that ITEM begins with lies to the
 * texts that begin with the key's first N bytes. */
struct path_start {
    const char *text; /* borrowed */
    size_t n;
};
int path_compare_start(const void *key, const void *item);

/* A list of paths, or of other texts. Zero-initialise; free with path_list_clear. */
struct path_list {
    char **v; /* owned, as are the texts */
    size_t count;
};
/* Takes PATH over: 0 or -ENOMEM, also where it is NULL. */
int path_list_add(struct path_list *l, char *path);
void path_list_sort(struct path_list *l); /* bytewise */
/* Is PATH in L, which is sorted? */
bool path_list_has(const struct path_list *l, const char *path);
void path_list_clear(struct path_list *l); /* also resets to empty */

/* Is PATH equal to DIR, or below it? ("" is above everything relative.) */
bool path_is_under(const char *path, const char *dir);

/* A name from an archive that may be created beneath a directory: relative, not empty, no
 * component "..". Components "." and doubled slashes are for path_clean to remove. */
bool path_is_safe(const char *path);

/* Archive name made canonical: leading "./", inner "/./", "//" and trailing slashes removed.
 * "" for "." and "./". Allocated; ".." is left in (path_is_safe refuses it). */
char *path_clean(const char *path);

/* Without its first N components; NULL (not an error) where nothing is left. Points into PATH. */
const char *path_strip(const char *path, unsigned n);
/* Likewise of a directory that stands for what lies in it: "" where it has just N. */
const char *path_strip_dir(const char *path, unsigned n);
/* How many components PATH, a clean one, has. */
unsigned path_depth(const char *path);

/* Is the text valid UTF-8 (no surrogates, no overlong forms)? */
bool utf8_valid(const char *s, size_t n);
/* Likewise, lone surrogates allowed: Python's "surrogatepass". */
bool utf8_valid_surrogates(const unsigned char *s, size_t n);
/* Bytes of the character that S, of N bytes, begins with; 0: it begins with none. */
size_t utf8_length(const unsigned char *s, size_t n, bool surrogates);

/* As wp_escape, what vprintf(3) would print. */
char *path_escape_format(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
