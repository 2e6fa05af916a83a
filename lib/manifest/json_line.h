#pragma once
/* JSON objects that stand on one line of a text: their members, read and written. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct json_line {
    json_t *object;   /* owned: json_line_clear */
    const char *name; /* of the file, for messages; borrowed */
    const char *all;  /* the text that holds the line, to tell its number; borrowed */
    size_t before;    /* lines before ALL */
    const char *text; /* the line in it; borrowed */
    struct wp_error *err;
    int status; /* negative errno of the first failure, which sticks: nothing is read any more */
};

/* Parses SIZE bytes at L->text. 0, -EINVAL or -ENOMEM. */
int json_line_parse(struct json_line *l, size_t size);
void json_line_clear(struct json_line *l);

/* Fails with "NAME: line N: TEXT": -EINVAL, or the status of an earlier failure. */
#define json_line_wrong(...) error_negative(json_line_fill_wrong(__VA_ARGS__))
int json_line_fill_wrong(struct json_line *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int json_line_nomem(struct json_line *l); /* likewise */

/* Is there a member NAME, or NAME_base64? */
bool json_line_has(struct json_line *l, const char *name);

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* Each fills *OUT and returns 1; 0 where an optional member is not there; the status where it, or
 * one before, is of another type or out of range. *OUT is left as it was, then. Callers may look at
 * the status once, at the end. Text is allocated, may have been in base 64, and holds no NUL. */
int json_line_text(struct json_line *l, const char *name, enum json_need need, char **out);
int json_line_uint(struct json_line *l, const char *name, uint64_t max, enum json_need need,
                   uint64_t *out);
int json_line_bool(struct json_line *l, const char *name, enum json_need need, bool *out);
/* As json_line_text, but borrowed, and never in base 64. */
int json_line_plain(struct json_line *l, const char *name, enum json_need need, const char **out);
/* An array of at least one string, all as texts. */
int json_line_list(struct json_line *l, const char *name, enum json_need need, char ***out,
                   size_t *count);
/* ONE a string, or MANY an array of at least one string: all as texts. Required. */
int json_line_texts(struct json_line *l, const char *one, const char *many, char ***out,
                    size_t *count);
/* What the array LIST holds, numbers below LIMIT; fails with WRONG where they are not. 1 or the
 * status. */
int json_line_numbers(struct json_line *l, const json_t *list, uint64_t limit, const char *wrong,
                      uint32_t **out, size_t *count);
/* Fails unless "version" is KNOWN. */
void json_line_version(struct json_line *l, unsigned known);
/* Member NAME, an object of texts, as "KEY=VALUE". Optional. */
int json_line_pairs(struct json_line *l, const char *name, char ***out, size_t *count);

/* ---- json_write.c. The first failure sticks: callers look at `error` once, at the end of a line.
 */

struct json_writer {
    struct buf *out; /* borrowed */
    bool inside;     /* the next member needs a comma */
    int error;       /* 0 or negative errno */
};

void json_write_close(struct json_writer *w);    /* } */
void json_write_end_line(struct json_writer *w); /* } and a newline */

/* A member; none where VALUE is NULL. Names are our own and plain; values are any bytes: what is
 * not UTF-8 becomes the member NAME_base64. With NAME NULL the next four write an item of an array.
 */
void json_write_text(struct json_writer *w, const char *name, const char *value);
void json_write_uint(struct json_writer *w, const char *name, uint64_t value);
/* VALUE is JSON already. */
void json_write_raw(struct json_writer *w, const char *name, const char *value);
/* VALUE needs no escapes. */
void json_write_plain(struct json_writer *w, const char *name, const char *value);
/* An array of strings, all in base 64 where one of them is not UTF-8. */
void json_write_texts(struct json_writer *w, const char *name, char *const *values, size_t count);
/* The one text as member ONE, or several as the array MANY; nothing where there is none. */
void json_write_one_or_many(struct json_writer *w, const char *one, const char *many,
                            char *const *values, size_t count);
/* An array of numbers. */
void json_write_numbers(struct json_writer *w, const char *name, const uint32_t *values,
                        size_t count);
/* The member NAME, or the item or the line where that is NULL: an object that the caller fills and
 * closes with json_write_close or json_write_end_line. */
void json_write_object(struct json_writer *w, const char *name);
/* The member NAME, or the item where that is NULL: an array that the caller fills and closes. */
void json_write_array(struct json_writer *w, const char *name);
void json_write_item(struct json_writer *w, const char *value, size_t n); /* UTF-8 */
void json_write_array_end(struct json_writer *w);
/* A member of any name: in base 64, and NAME with the suffix, where VALUE is not UTF-8 or NAME
 * itself ends in the suffix. */
void json_write_named_text(struct json_writer *w, const char *name, size_t name_size,
                           const char *value);
