#pragma once
/* Base 64 (RFC 4648, section 4: with padding), for names that are not UTF-8. */

#include "base/buf.h"

/* What the name of a member ends in whose value is written so. */
#define BASE64_SUFFIX "_base64"

int base64_add(struct buf *out, const void *data, size_t n); /* 0 or -ENOMEM */

/* The bytes of TEXT, allocated, with a NUL behind them. NULL: errno is EINVAL unless TEXT is what
 * base64_add writes for some bytes without a NUL, or ENOMEM. */
char *base64_decode(const char *text, size_t n);
