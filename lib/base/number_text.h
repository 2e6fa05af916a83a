#pragma once
/* Times and floats as text, exact both ways: wp_time_text and wp_float_text, in any locale. */

#include <time.h>

/* Reads what wp_time_text writes, and nothing else. 0 or -EINVAL. */
int time_parse(const char *text, struct timespec *out);
