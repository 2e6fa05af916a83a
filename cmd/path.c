/* warmpack path: prints where Numba looks for the caches of source files. */

#include <stdio.h>

#include "json_document.h"
#include "message.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

/* "* in-tree    /srv/app/pkg/__pycache__": the one that Numba uses is marked. */
static void print_place(const struct wp_cache_place *p)
{
    printf("%c %-9s  ", p->used ? '*' : ' ', wp_layout_name(p->kind));
    show_name(p->dir);
    if (p->why_not) {
        fputs("  (", stdout);
        show_name(p->why_not);
        putchar(')');
    }
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

static void print_object(const char *file, const struct wp_cache_place *places, size_t count)
{
    json_t *o = json_object(), *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, place_object(places + i));
    document_set_name(o, "file", file);
    json_object_set_new(o, "places", array);
    document_item(o);
}

static void show_file(const struct args *a, const char *file, const struct wp_verify_options *o)
{
    struct wp_cache_place *places = NULL;
    struct wp_error err = {0};
    size_t count = 0;
    bool used = false;
    int rc = wp_cache_places(file, o, &places, &count, &err);

    if (rc < 0) {
        show_flush();
        message_failure(rc, &err);
        return;
    }
    if (a->json) {
        print_object(file, places, count);
    } else if (a->operand_count > 1) {
        show_name(file);
        fputs(":\n", stdout);
    }
    for (size_t i = 0; i < count; i++) {
        used = used || places[i].used;
        if (!a->json)
            print_place(places + i);
    }
    if (!used) {
        _cleanup_free_ char *name = wp_escape(file);

        show_flush();
        message_warning("%s: Numba can write to none of these and will refuse to cache",
                        name ? name : "?");
    }
    wp_cache_places_free(places, count);
}

int path_run(const struct wp_context *context, const struct args *a)
{
    (void)context;
    struct wp_verify_options o = {
        .cache_dir = args_cache_dir(a),
        .user = a->user,
        .runtime_roots = string_list_values(&a->runtime_roots),
    };

    if (a->json) {
        document_begin();
        document_array("files");
    }
    for (size_t i = 0; i < a->operand_count; i++)
        show_file(a, a->operands[i].text, &o);
    if (a->json) {
        document_array_end();
        document_end();
    }
    return message_status();
}
