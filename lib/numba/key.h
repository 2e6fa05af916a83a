#pragma once
/* The key of an overload. The parts are found by what they are, not by how many there are:
 *   Numba:       (signature, magic, code)
 *   numba-cuda:  (signature, magic, version, code), and ("launch_config", ...) behind it where the
 *                code depends on how the kernel is launched
 *   others:      further parts behind the code (options, the symbol of a gufunc's kernel)
 * Source: Numba 0.52 to 0.68, core/caching.py, Cache._index_key; core/codegen.py, magic_tuple;
 * numba-cuda 0.30, dispatcher.py and cache.py. */

#include "base/buf.h"
#include "numba/pickle.h"
#include "warmpack.h"

/* Fills OUT with what V, the key in an index, says: all texts but the data file's
 * name. A NUL within one is written as "\x00". A part that has another form than those above is
 * left NULL, or is among the others: no form of a key is an error. 0 or -ENOMEM, with OUT cleared.
 */
int key_read(struct wp_overload *out, const struct pickle_value *v);
/* The same of triple, CPU and features alone. */
int key_read_cpu(struct wp_overload *out, const struct pickle_value *v);
void key_clear(struct wp_overload *o);

/* Is V the key of code for a CPU, of a form whose CPU may be replaced: the second part is of three
 * texts, and there is neither a version nor a launch configuration, which other targets have? */
bool key_is_for_cpu(const struct pickle_value *v);

/* Are A and B keys for a CPU that say the same but for the CPU's name and its features: signature,
 * triple, code and every other part? If both got one CPU's strings, Numba would find one of them
 * alone. Whole keys are compared by pickle_equal. 1, 0, or -ENOTSUP where they are too deep or too
 * large to be compared. */
int key_is_alike(const struct pickle_value *a, const struct pickle_value *b);
