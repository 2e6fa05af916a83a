#pragma once
/* JSON objects written on one line. The first failure sticks: callers look at `error` once, at
 * the end of a line. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json_writer {
    struct buf *out; /* borrowed */
    bool inside;     /* the next member needs a comma */
    int error;       /* 0 or negative errno */
};

void json_write_open(struct json_writer *w);  /* { */
void json_write_close(struct json_writer *w); /* } */
void json_write_end_line(struct json_writer *w);

/* A member; none where VALUE is NULL. Names are our own and plain; values are any bytes: what is
 * not UTF-8 becomes the member NAME_base64. */
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
/* The member NAME, an object that the caller fills and closes with json_write_close. */
void json_write_object(struct json_writer *w, const char *name);
/* A member of any name: in base 64, and NAME with the suffix, where VALUE is not UTF-8 or NAME
 * itself ends in the suffix. */
void json_write_named_text(struct json_writer *w, const char *name, size_t name_size,
                           const char *value);
