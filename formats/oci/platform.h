#pragma once
/* What a system is called in images: "linux/arm64", "linux/arm/v7". */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { OCI_PLATFORM_WORD = 32 };

struct oci_platform {
    char os[OCI_PLATFORM_WORD], architecture[OCI_PLATFORM_WORD], variant[OCI_PLATFORM_WORD];
};

/* OS/ARCHITECTURE[/VARIANT]. */
int oci_platform_parse(const char *text, struct oci_platform *out, struct wp_error *err);
/* That of LLVM's triple, of N bytes, such as x86_64-unknown-linux-gnu. False: it is not known. */
bool oci_platform_of_triple(const char *triple, size_t n, struct oci_platform *out);
/* This machine's. */
int oci_platform_here(struct oci_platform *out, struct wp_error *err);
/* Does code for the one run on the other, as far as their names tell? A variant that only one has
 * does not count. */
bool oci_platform_same(const struct oci_platform *a, const struct oci_platform *b);
/* "os/architecture/variant". */
enum { OCI_PLATFORM_TEXT = 3 * OCI_PLATFORM_WORD };
void oci_platform_text(const struct oci_platform *p, char out[OCI_PLATFORM_TEXT]);
