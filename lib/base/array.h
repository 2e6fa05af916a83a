#pragma once
/* Arrays that grow by doubling. What they have room for needs no member: it is the next power of
 * two. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* ARRAY, of COUNT items of SIZE bytes, with room for one more. NULL: no memory, and ARRAY is as it
 * was. */
static inline void *array_with_room(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) /* full only at powers of two */
        return array;
    return reallocarray(array, count ? 2 * count : 1, size);
}

/* Makes room in ARRAY, a pointer, behind its COUNT items: 0, or -ENOMEM, and ARRAY is as it was. It
 * must have been made by this alone, though COUNT may have become less. */
#define array_grow(array, count)                                                                   \
    ({                                                                                             \
        void *_grown = array_with_room((array), (count), sizeof *(array));                         \
        if (_grown)                                                                                \
            (array) = _grown;                                                                      \
        _grown ? 0 : -ENOMEM;                                                                      \
    })

/* Adds a value to ARRAY behind its COUNT items, and counts it: 0, or -ENOMEM as above,
 * and the value has not been asked for. */
#define array_add(array, count, ...)                                                               \
    ({                                                                                             \
        int _added = array_grow(array, count);                                                     \
        if (_added == 0)                                                                           \
            (array)[(count)++] = __VA_ARGS__;                                                      \
        _added;                                                                                    \
    })

/* Sorts the COUNT items of ARRAY, which may be NULL where there are none. */
#define array_sort(array, count, compare)                                                          \
    array_sort_items((array), (count), sizeof *(array), (compare))
static inline void array_sort_items(void *array, size_t count, size_t size,
                                    int (*compare)(const void *a, const void *b))
{
    if (count)
        qsort(array, count, size, compare);
}

/* The item of ARRAY, sorted so, for which COMPARE, called with KEY first, says 0; or NULL. */
#define array_find(key, array, count, compare)                                                     \
    array_find_item((key), (array), (count), sizeof *(array), (compare))
static inline void *array_find_item(const void *key, const void *array, size_t count, size_t size,
                                    int (*compare)(const void *a, const void *b))
{
    return count ? bsearch(key, array, count, size, compare) : NULL;
}

/* Of COUNT items, the number of the first for which IS_BEFORE is false: an expression in the number
 * I, true for none but the items before. COUNT where it is true for all. */
/* I is a name. NOLINTBEGIN(bugprone-macro-parentheses) */
#define array_first(i, count, is_before)                                                           \
    ({                                                                                             \
        size_t _low = 0, _high = (count);                                                          \
        while (_low < _high) {                                                                     \
            size_t i = _low + (_high - _low) / 2;                                                  \
            if (is_before)                                                                         \
                _low = i + 1;                                                                      \
            else                                                                                   \
                _high = i;                                                                         \
        }                                                                                          \
        _low;                                                                                      \
    })
/* NOLINTEND(bugprone-macro-parentheses) */
