#pragma once
/* The module warmpack.locator, which the build takes from python/warmpack/locator.py. */

extern const unsigned char locator_text[]; /* ends with a zero */
