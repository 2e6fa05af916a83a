/* Writes and reads times and floats as text, exact both ways. */

#include "base/number_text.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "warmpack.h"

void wp_time_text(int64_t sec, int32_t nsec, char out[WP_NUMBER_SIZE])
{
    /* A timespec counts nanoseconds upwards from a floored second; the text has a sign and a
     * magnitude. Unsigned, since the magnitude of the least int64_t is no int64_t. */
    uint64_t whole = (uint64_t)sec;

    if (sec < 0) {
        whole = 0 - whole;
        if (nsec) {
            whole--;
            nsec = 1000000000 - nsec;
        }
    }
    snprintf(out, WP_NUMBER_SIZE, "%s%llu.%09d", sec < 0 ? "-" : "", (unsigned long long)whole,
             nsec);
}

/* A run of COUNT digits at TEXT. */
static uint64_t read_digits(const char *text, size_t count)
{
    uint64_t v = 0;

    for (size_t i = 0; i < count; i++)
        v = v * 10 + (uint64_t)(text[i] - '0');
    return v;
}

int time_parse(const char *text, struct timespec *out)
{
    bool negative = text[0] == '-';
    const char *p = text + negative;
    size_t digits = strspn(p, "0123456789");
    uint64_t whole;
    long nsec;
    int64_t sec;

    if (digits == 0 || digits > 19 || (p[0] == '0' && digits > 1) || p[digits] != '.')
        return -EINVAL;
    whole = read_digits(p, digits);
    p += digits + 1;
    if (strspn(p, "0123456789") != 9 || p[9])
        return -EINVAL;
    nsec = (long)read_digits(p, 9);
    if (negative && !whole && !nsec)
        return -EINVAL; /* zero has one spelling */
    if (whole > (uint64_t)INT64_MAX + (negative && !nsec))
        return -EINVAL;
    if (negative && nsec) {
        sec = -(int64_t)whole - 1;
        nsec = 1000000000 - nsec;
    } else {
        sec = negative ? (int64_t)(0 - whole) : (int64_t)whole;
    }
    if ((int64_t)(time_t)sec != sec)
        return -EINVAL;
    *out = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
    return 0;
}

/* The fewest significant digits that read back as V, without trailing zeros, and the power of ten
 * of the first one. Fewer than 15 are found as 15 with zeros, but for subnormal numbers. Digits are
 * picked out one by one because the decimal point between them is the locale's. */
static int shortest_digits(double v, char digits[18])
{
    char text[64];
    size_t n = 0;
    char *p;

    for (int precision = v < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, v);
        if (strtod(text, NULL) == v)
            break;
    }
    for (p = text; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && n < 17)
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return atoi(p + 1);
}

void wp_float_text(double v, char out[WP_NUMBER_SIZE])
{
    const char *sign = signbit(v) && !isnan(v) ? "-" : "";
    char digits[18];
    int power, count;

    if (!isfinite(v)) {
        snprintf(out, WP_NUMBER_SIZE, "%s%s", sign, isnan(v) ? "nan" : "inf");
        return;
    }
    power = shortest_digits(fabs(v), digits);
    count = (int)strlen(digits);
    if (power < -4 || power >= 16) /* Python's float_repr_style: 1e-05 and 1e+16 */
        snprintf(out, WP_NUMBER_SIZE, "%s%c%s%se%+03d", sign, digits[0], count > 1 ? "." : "",
                 digits + 1, power);
    else if (power < 0)
        snprintf(out, WP_NUMBER_SIZE, "%s0.%.*s%s", sign, -power - 1, "000", digits);
    else if (count <= power + 1)
        snprintf(out, WP_NUMBER_SIZE, "%s%lld.0", sign, (long long)fabs(v));
    else
        snprintf(out, WP_NUMBER_SIZE, "%s%.*s.%s", sign, power + 1, digits, digits + power + 1);
}
