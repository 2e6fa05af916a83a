#pragma once
/* Walks the code of a Python source and leaves out its strings and comments, near the speed of
 * memory: code is looked at in blocks of 64 bytes, as bit masks, and of strings their ends alone.
 *
 * Source of the rules: CPython 3.14, Parser/lexer/lexer.c, and the language reference, "Lexical
 * analysis". What Python 3.11 and earlier take for a string of theirs ends at the same place. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_text {
    const unsigned char *data; /* borrowed */
    size_t size;
    size_t comment_end; /* offset of the line end behind the last comment; SIZE_MAX: none yet */
    bool broken;        /* a string has no end, or strings lie too deep in one another */
    size_t block;       /* offset of the block that CODE describes */
    uint64_t code;      /* by byte of the block: may it be of interest in code? */
    /* Called for each name within an f-string's fields; may be NULL. */
    void (*field_name)(void *arg, size_t begin, size_t end);
    /* Called for each string that source_text_next skips, quotes included; may be NULL. */
    void (*string)(void *arg, size_t begin, size_t end);
    void *arg;
};

void source_text_start(struct source_text *s, const unsigned char *data, size_t size);

/* The next place from AT on, in code, where a byte above 127 or one of the pairs "mp", "xe", "ev",
 * "ys", "__" stands: each word of interest holds one. The end of the text where there is none. */
size_t source_text_next(struct source_text *s, size_t at);

/* Offset of the line end, or the end of the text, from AT on. */
size_t source_text_line_end(const struct source_text *s, size_t at);
/* Offset behind the line end that stands at AT: LF, CR or CRLF. */
size_t source_text_skip_line_end(const struct source_text *s, size_t at);
static inline bool source_is_line_end(unsigned char c)
{
    return c == '\n' || c == '\r';
}
static inline bool source_is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}
/* Can this byte be part of a name? Any byte above 127 can. */
static inline bool source_is_name(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

/* Where the name that the byte at AT belongs to begins and ends. */
size_t source_name_begin(const struct source_text *s, size_t at);
size_t source_name_end(const struct source_text *s, size_t at);
