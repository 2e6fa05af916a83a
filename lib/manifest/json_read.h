#pragma once
/* Members of a JSON object that stands on one line of a text. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct json_line {
    json_t *object;   /* owned: json_line_clear */
    const char *name; /* of the file, for messages; borrowed */
    const char *all;  /* the text that holds the line, to tell its number; borrowed */
    size_t before;    /* lines before ALL */
    const char *text; /* the line in it; borrowed */
    struct wp_error *err;
};

/* Parses SIZE bytes at L->text. 0, -EINVAL or -ENOMEM. */
int json_line_parse(struct json_line *l, size_t size);
void json_line_clear(struct json_line *l);

/* Fills the error with "NAME: line N: TEXT"; returns -EINVAL. */
int json_line_wrong(const struct json_line *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Is there a member NAME, or NAME_base64? */
bool json_line_has(const struct json_line *l, const char *name);

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* Each fills *OUT and returns 1; 0 where an optional member is not there (*OUT is left as it
 * was); negative errno where it is of another type or out of range. Text is allocated, may have
 * been in base 64, and holds no NUL. */
int json_line_text(const struct json_line *l, const char *name, enum json_need need, char **out);
int json_line_uint(const struct json_line *l, const char *name, uint64_t max, enum json_need need,
                   uint64_t *out);
int json_line_bool(const struct json_line *l, const char *name, enum json_need need, bool *out);
/* As json_line_text, but borrowed, and never in base 64. */
int json_line_plain(const struct json_line *l, const char *name, enum json_need need,
                    const char **out);
/* An array of at least one string, all as texts. */
int json_line_list(const struct json_line *l, const char *name, enum json_need need, char ***out,
                   size_t *count);
/* ONE a string, or MANY an array of at least one string: all as texts. Required. */
int json_line_texts(const struct json_line *l, const char *one, const char *many, char ***out,
                    size_t *count);
/* Member NAME, an object of texts, as "KEY=VALUE". Optional. */
int json_line_pairs(const struct json_line *l, const char *name, char ***out, size_t *count);
