/* Takes notes of distributions that an interpreter has in other versions than there were when
 * caches were packed: code may have been compiled into them that Numba does not look at again. */

#include "judge/distributions.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "judge/notes.h"
#include "numba/installed.h"

/* Names as Python compares them: "umap-learn" is "Umap_Learn". */
static bool is_same_name(const char *a, const char *b)
{
    static const char marks[] = "-_.";

    for (;;) {
        size_t x = strspn(a, marks), y = strspn(b, marks);

        if ((x > 0) != (y > 0))
            return false;
        a += x;
        b += y;
        if (!*a || !*b)
            return *a == *b;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        a++;
        b++;
    }
}

static const struct installed *find(const struct installed *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (is_same_name(list[i].name, name))
            return &list[i];
    return NULL;
}

static bool needed_numba(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->numba_user_count; i++)
        if (strcmp(m->numba_users[i], name) == 0)
            return true;
    return false;
}

static int compare(struct wp_verify_report *r, const struct manifest *m, const char *pair,
                   const struct installed *list, size_t count, const char *python)
{
    const char *equals = strchr(pair, '=');
    _cleanup_free_ char *name = equals ? strndup(pair, (size_t)(equals - pair)) : NULL;
    const struct installed *now = name ? find(list, count, name) : NULL;

    if (!equals)
        return 0;
    if (!name)
        return -ENOMEM;
    if ((now && strcmp(now->version, equals + 1) == 0) ||
        !(needed_numba(m, name) || (now && now->uses_numba)))
        return 0;
    return note_add(r, WP_NOTE_DISTRIBUTION, NULL,
                    "it was packed with %.200s %.200s, whose code may be compiled into it, and "
                    "%.200s has %.200s: Numba would not notice",
                    name, equals + 1, python, now ? now->version : "none");
}

int note_distributions(struct wp_verify_report *r, const struct manifest *m,
                       const struct wp_context *context, const char *python, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list names = {0};
    struct installed *list = NULL;
    size_t count = 0;
    int e = 0;

    if (!python || !m->distribution_count)
        return 0;
    for (size_t i = 0; i < m->distribution_count && e == 0; i++)
        e = path_list_add(&names, strndup(m->distributions[i], strcspn(m->distributions[i], "=")));
    e = e < 0 ? error_nomem(err)
              : installed_ask(context, python, names.v, names.count, true, &list, &count, err);
    for (size_t i = 0; i < m->distribution_count && e == 0; i++)
        if (compare(r, m, m->distributions[i], list, count, python) < 0)
            e = error_nomem(err);
    installed_free(list, count);
    return e;
}
