/* Writes and reads the builds of an archive that was merged. */

#include "manifest/builds.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"

enum { MOST_NUMBERS = 1 << 16 }; /* of data files in one line: a line bounds it, too */

void builds_write_cpus(struct json_writer *w, uint32_t cpus)
{
    json_write_array(w, "cpus");
    for (uint32_t i = 0; i < MANIFEST_CPUS_MOST; i++)
        if (cpus >> i & 1)
            json_write_uint(w, NULL, i);
    json_write_array_end(w);
}

int builds_read_cpus(struct json_line *l, uint32_t *cpus)
{
    const json_t *list = json_object_get(l->object, "cpus");
    _cleanup_free_ uint32_t *numbers = NULL;
    size_t count = 0;

    if (!list)
        return l->status;
    if (!json_is_array(list))
        return json_line_wrong(l, "\"cpus\" is not an array");
    json_line_numbers(l, list, MANIFEST_CPUS_MOST, "\"cpus\" holds what is no number of a CPU",
                      &numbers, &count);
    for (size_t i = 0; i < count; i++)
        *cpus |= UINT32_C(1) << numbers[i];
    return l->status < 0 ? l->status : 1;
}

/* ---- The header's member ----------------------------------------------------------------- */

void builds_write(struct json_writer *w, const struct manifest *m)
{
    json_write_array(w, "builds");
    for (size_t i = 0; i < m->build_count; i++) {
        json_write_object(w, NULL);
        json_write_plain(w, "archive", m->builds[i].archive);
        json_write_text(w, "root", m->builds[i].root);
        builds_write_cpus(w, m->builds[i].cpus);
        json_write_close(w);
    }
    json_write_array_end(w);
}

static int read_build(struct json_line *l, struct manifest_build *b)
{
    unsigned char digest[SHA256_SIZE];

    if (json_line_text(l, "archive", JSON_REQUIRED, &b->archive) > 0 &&
        hex_decode(b->archive, digest, sizeof digest) < 0)
        json_line_wrong(l, "\"archive\" of a build is not 64 hexadecimal digits");
    json_line_text(l, "root", JSON_OPTIONAL, &b->root);
    builds_read_cpus(l, &b->cpus);
    return l->status;
}

int builds_read(struct json_line *l, struct manifest *m)
{
    const json_t *list = json_object_get(l->object, "builds");
    json_t *item;
    size_t i;

    if (!list || l->status < 0)
        return l->status;
    if (!json_is_array(list) || json_array_size(list) > MANIFEST_BUILDS_MOST)
        return json_line_wrong(l, "\"builds\" is no array of up to %d builds",
                               MANIFEST_BUILDS_MOST);
    json_array_foreach(list, i, item)
    {
        struct json_line one = *l;

        if (!json_is_object(item))
            return json_line_wrong(l, "\"builds\" holds what is no build");
        if (array_grow(m->builds, m->build_count) < 0)
            return json_line_nomem(l);
        one.object = item; /* borrowed: not cleared */
        m->builds[m->build_count] = (struct manifest_build){0};
        l->status = read_build(&one, &m->builds[m->build_count++]);
        if (l->status < 0)
            break;
    }
    return l->status;
}

/* ---- An index's -------------------------------------------------------------------------- */

int builds_read_index(struct json_line *l, struct manifest_index *i)
{
    const json_t *list = json_object_get(l->object, "builds");

    if (!list)
        return l->status;
    if (!json_is_array(list) || json_array_size(list) > MOST_NUMBERS)
        return json_line_wrong(l, "\"builds\" is no array of numbers");
    return json_line_numbers(l, list, MANIFEST_BUILDS_MOST,
                             "\"builds\" holds what is no number of a build", &i->builds,
                             &i->build_count);
}
