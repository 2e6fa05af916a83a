#pragma once
/* The build runs generate_completion to write what shells complete for warmpack. All of it comes
 * from the table of options, so that no verb and no option can be forgotten. */

#include <stdbool.h>

#include "cmd/options.h"

/* What may stand as an argument of an option, or as an operand of a verb. */
enum kind {
    KIND_NOTHING,
    KIND_FILES,
    KIND_DIRECTORIES,
    KIND_COMMANDS,
    KIND_USERS,
    KIND_GROUPS,
    KIND_WORDS
};

enum { WORDS_ROOM = 256 };

struct offer {
    const char *name; /* of the option, without dashes */
    char letter;      /* 0: none */
    const char *help;
    const char *argument; /* NULL: none */
    bool repeatable;
    enum kind kind;
    char words[WORDS_ROOM]; /* KIND_WORDS: separated by spaces */
};

/* Fills OUT with the first option of VERB in row *I of the table or behind it, and moves *I behind
 * that. False: there is no other. */
bool offer_next(struct offer *out, enum verb v, size_t *i);
enum kind offer_operands(enum verb v);

/* TEXT, with each character of SPECIAL written as ESCAPE followed by it. */
void put_escaped(const char *text, const char *special, const char *escape);
/* The same for what stands between single quotes of a shell. */
void put_quoted(const char *text, const char *special, const char *escape);

void write_bash(void);
void write_zsh(void);
void write_fish(void);
