/* warmpack path: prints where Numba looks for the caches of source files. */

#include <stdio.h>

#include "json_document.h"
#include "message.h"
#include "show.h"
#include "string_list.h"
#include "text.h"
#include "verbs.h"

/* "* in-tree    /srv/app/pkg/__pycache__": the one that Numba uses is marked. */
static void print_place(const struct wp_cache_place *p)
{
    printf("%c %-9s  %s", p->used ? '*' : ' ', wp_layout_name(p->kind), show_name(p->dir));
    if (p->why_not)
        printf("  (%s)", show_name(p->why_not));
    putchar('\n');
}

static json_t *place_object(const struct wp_cache_place *p)
{
    json_t *o = json_object();

    json_object_set_new(o, "kind", json_string(wp_layout_name(p->kind)));
    document_set_name(o, "dir", p->dir);
    json_object_set_new(o, "used", json_boolean(p->used));
    document_set_name(o, "reason", p->why_not);
    return o;
}

/* "  locator    /run/user/1000/warmpack-overlay-1000/...": what warmpack.locator gives Numba. */
static void print_located(const struct wp_located *l)
{
    if (!l->overlay) {
        printf("  locator    (%s)\n", l->manifest && l->reason
                                          ? show_name(l->reason)
                                          : "in no tree with a manifest that has caches of it");
        return;
    }
    printf("%c locator    %s%s\n", l->in_force ? '*' : ' ', show_name(l->overlay),
           l->in_force ? "" : "  (not in force: see warmpack-locator(7))");
}

static json_t *located_object(const struct wp_located *l)
{
    json_t *o = json_object();

    document_set_name(o, "manifest", l->manifest);
    document_set_name(o, "overlay", l->overlay);
    json_object_set_new(o, "indexes", document_count(l->index_count));
    json_object_set_new(o, "in_force", json_boolean(l->in_force));
    document_set_name(o, "reason", l->reason);
    return o;
}

static void print_object(const char *file, const struct wp_cache_place *places, size_t count,
                         const struct wp_located *located)
{
    json_t *o = json_object(), *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, place_object(places + i));
    document_set_name(o, "file", file);
    json_object_set_new(o, "places", array);
    if (located)
        json_object_set_new(o, "locator", located_object(located));
    document_item(o);
}

static void warn_of_no_place(const char *file)
{
    show_flush();
    message_warning("%s: Numba can write to none of these and will refuse to cache",
                    show_name(file));
}

/* LOCATED: NULL where nobody was asked. */
static void show_file(const struct args *a, const char *file, const struct wp_verify_options *o,
                      const struct wp_located *located)
{
    const bool is_taken = located && located->in_force && located->overlay;
    struct wp_cache_place *places = NULL;
    struct wp_error err = {0};
    size_t count = 0;
    bool used = is_taken;
    int rc = wp_cache_places(file, o, &places, &count, &err);

    if (rc < 0) {
        show_flush();
        message_outcome(rc, &err);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        places[i].used &= !is_taken;
        used |= places[i].used;
    }
    if (a->json)
        print_object(file, places, count, located);
    else if (a->operand_count > 1)
        printf("%s:\n", show_name(file));
    if (located && !a->json)
        print_located(located);
    for (size_t i = 0; i < count && !a->json; i++)
        print_place(places + i);
    if (!used)
        warn_of_no_place(file);
    wp_cache_places_free(places, count);
}

/* What the interpreter of --python says of all files. */
static int ask(const struct wp_context *context, const struct args *a, struct wp_located **located)
{
    _cleanup_(string_list_clear) struct string_list files = {0};
    struct wp_error err = {0};
    int rc = 0;

    if (!a->python)
        return 0;
    for (size_t i = 0; i < a->operand_count && rc == 0; i++)
        rc = string_list_add(&files, a->operands[i].text);
    if (rc < 0)
        return message_no_memory();
    rc = wp_locate(context, a->python, string_list_values(&files), files.count, located, &err);
    return message_outcome(rc, &err);
}

int path_run(const struct wp_context *context, const struct args *a)
{
    struct wp_located *located = NULL;
    struct wp_verify_options o = {
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .runtime_roots = string_list_values(&a->runtime_roots),
    };

    int rc = ask(context, a, &located);

    if (rc)
        return rc;
    if (a->json) {
        document_begin();
        document_array("files");
    }
    for (size_t i = 0; i < a->operand_count; i++)
        show_file(a, a->operands[i].text, &o, located ? located + i : NULL);
    wp_located_free(located, a->operand_count);
    if (a->json) {
        document_array_end();
        document_end();
    }
    return message_status();
}
