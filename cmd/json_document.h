#pragma once
/* The --json documents: one object on stdout, its members printed as they come, so that a long
 * list is never held in memory. */

#include <jansson.h>

#include "warmpack.h"

/* { "key": value, ..., "array": [ items ], ... } */
void document_begin(void);
void document_member(const char *key, json_t *value);   /* takes VALUE over; NULL: no memory */
void document_name(const char *key, const char *value); /* see document_set_name */
void document_array(const char *key);
void document_item(json_t *value); /* takes VALUE over */
void document_array_end(void);
void document_end(void);

/* Sets KEY to the bytes VALUE: null where NULL, KEY_base64 where they are not UTF-8. */
void document_set_name(json_t *object, const char *key, const char *value);
/* "triple", "cpu" and "features" */
void document_set_cpu(json_t *object, const char *triple, const char *cpu, const char *features);

/* A number of bytes or files. */
json_t *document_count(uint64_t n);

/* What retargeting has done, as an object. */
json_t *document_retarget(const struct wp_retarget_result *r);

/* What two sides do not have in common, as an object. */
json_t *document_difference(const struct wp_difference *d);

/* "indexes": [...], "summary": {...} */
void document_verify(const struct wp_verify_report *r);

/* "builds": [...]: what an interpreter loads */
void document_loaded(const struct wp_verify_report *r);

/* As document_verify, without the judgement: "overloads" and "corrupt" in the summary. */
void document_inspect(const struct wp_verify_report *r);
