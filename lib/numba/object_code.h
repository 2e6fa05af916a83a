#pragma once
/* Object code: an ELF file of 64 bits in this machine's byte order, as llvmlite makes it on Linux.
 * Other kinds are told apart and not looked into. */

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

struct object_code {
    const unsigned char *data; /* borrowed */
    size_t size;
    Elf64_Ehdr header;
};

enum object_kind {
    OBJECT_WHOLE,
    OBJECT_CUT,    /* something that its headers speak of is not there */
    OBJECT_FOREIGN /* of another kind of machine: nothing is known of it */
};

/* Do the bytes start as an ELF file does? */
bool object_is_elf(const unsigned char *data, size_t size);
enum object_kind object_read(struct object_code *o, const unsigned char *data, size_t size);

/* Hands each symbol of a whole object whose name starts with PREFIX to FN, until it returns false.
 * NAME ends with a NUL or after ROOM bytes. */
typedef bool object_symbol(void *arg, const char *name, size_t room, bool undefined);
void object_each_symbol(const struct object_code *o, const char *prefix, object_symbol *fn,
                        void *arg);
