/* Reads a data file (.nbc) and looks into its object code. */

#include "numba/data.h"

#include <errno.h>
#include <string.h>

#include "numba/index.h"
#include "numba/object_code.h"

/* How far objects are looked for: real ones are the second member of the first member's third. */
enum { DEEPEST = 6, MOST_VALUES = 10000 };

#define SVML "__svml_"

struct search {
    const char *text;
    struct data_facts *facts;
    size_t visited;
};

/* Notes the first undefined symbol of SVML. */
static bool note_svml(void *arg, const char *name, size_t room, bool undefined)
{
    struct data_facts *facts = arg;

    if (!undefined)
        return true;
    room = strnlen(name, room);
    room = room < sizeof facts->svml ? room : sizeof facts->svml - 1;
    memcpy(facts->svml, name, room);
    facts->svml[room] = '\0';
    return false;
}

static void look_at_object(struct search *s, const unsigned char *data, size_t size)
{
    struct object_code o;
    enum object_kind kind = object_read(&o, data, size);

    if (s->text && memmem(data, size, s->text, strlen(s->text)))
        s->facts->has_text = true;
    if (kind == OBJECT_CUT)
        s->facts->whole = false;
    else if (kind == OBJECT_WHOLE && !*s->facts->svml)
        object_each_symbol(&o, SVML, note_svml, s->facts);
}

static void look(struct search *s, const struct pickle_value *v, unsigned depth)
{
    if (++s->visited > MOST_VALUES || depth > DEEPEST)
        return;
    if (v->type == PICKLE_BYTES && object_is_elf(v->data, v->size)) {
        look_at_object(s, v->data, v->size);
        return;
    }
    for (size_t i = 0; i < v->count; i++)
        look(s, v->items[i], depth + 1);
}

int data_read(const unsigned char *data, size_t size, const char *text, struct data_facts *out,
              struct wp_error *err)
{
    struct search s = {.text = text, .facts = out};
    struct pickle *p;
    int r = index_read_data(&p, data, size, err);

    *out = (struct data_facts){.whole = true};
    if (r < 0)
        return r == -ENOTSUP ? 0 : r; /* nothing is known of it */
    look(&s, pickle_root(p), 0);
    pickle_free(p);
    return 0;
}
