/* Entries' lines as this program writes them are read without a JSON parser. Whatever is read that
 * way must be what the parser reads. */

#include "manifest/manifest_private.h"
#include "manifest_fixture.h"

static const char *const lines[] = {
    "{\"path\": \"app\", \"type\": \"dir\", \"mode\": \"0755\", \"uid\": 0, \"gid\": 0, "
    "\"mtime\": \"1795339396.000000000\"}\n",
    "{\"path\": \"app/k.py\", \"type\": \"file\", \"mode\": \"0644\", \"uid\": 10, \"gid\": 0, "
    "\"user\": \"root\", \"group\": \"wheel\", \"size\": 661, \"mtime\": "
    "\"1795339396.456441290\", \"sha256\": "
    "\"abcd000000000000000000000000000000000000000000000000000000000001\"}\n",
    "{\"path\": \"app/k.py\", \"type\": \"file\", \"mode\": \"0000\", \"uid\": 4294967295, "
    "\"gid\": 4294967295, \"group\": \"\", \"size\": 0, \"mtime\": \"-0.500000000\"}\n",
    "{\"path\": \"app/link\", \"type\": \"symlink\", \"target\": \"../../etc\", \"mode\": "
    "\"0777\", \"uid\": 0, \"gid\": 0, \"mtime\": \"-9223372036854775807.999999999\"}\n",
    "{\"path\": \"app/hard\", \"type\": \"hardlink\", \"target\": \"app/k.py\", \"mode\": "
    "\"7644\", \"uid\": 0, \"gid\": 0, \"user\": \"u\", \"mtime\": \"0.000000001\"}\n",
};

static bool is_same_text(const char *a, const char *b)
{
    return !a == !b && (!a || strcmp(a, b) == 0);
}

/* The entry of LINE (SIZE bytes) by the parser: a blank in front is not as we write. */
static int parse(struct entry *out, struct records *r, const char *line, size_t size)
{
    char text[1024];
    struct wp_error err = {0};
    struct json_line l = {.name = "m", .all = text, .text = text, .err = &err};
    int result;

    assert_true(size + 1 < sizeof text);
    text[0] = ' ';
    memcpy(text + 1, line, size);
    result = records_add_line(r, &l, size + 1);
    json_line_clear(&l);
    *out = r->m.entry_count ? r->m.entries[0] : (struct entry){0};
    return result < 0 ? result : r->m.entry_count == 1;
}

/* Returns whether LINE was read without the parser. */
static bool agrees(const char *line, size_t size)
{
    struct entry quick, room[1], parsed;
    struct records r = {.m = {.entries = room, .is_read = true}, .entry_room = 1};
    struct texts texts = {0};
    bool is_quick = entry_line_read(&quick, line, size, NULL, &texts);

    if (is_quick) {
        if (parse(&parsed, &r, line, size) != 1)
            fail_msg("the parser refuses %.*s", (int)size, line);
        assert_true(is_same_text(quick.path, parsed.path));
        assert_true(is_same_text(quick.target, parsed.target));
        assert_true(is_same_text(quick.uname, parsed.uname));
        assert_true(is_same_text(quick.gname, parsed.gname));
        assert_int_equal(quick.type, parsed.type);
        assert_int_equal(quick.mode, parsed.mode);
        assert_true(quick.uid == parsed.uid && quick.gid == parsed.gid);
        assert_true(quick.size == parsed.size);
        assert_memory_equal(&quick.mtime, &parsed.mtime, sizeof quick.mtime);
        assert_int_equal(quick.has_sha256, parsed.has_sha256);
        assert_memory_equal(quick.sha256, parsed.sha256, sizeof quick.sha256);
        assert_int_equal(quick.absent, parsed.absent);
    }
    r.m.entries = NULL;
    manifest_clear(&r.m);
    texts_free(&texts);
    return is_quick;
}

static void a_line_of_ours_is_read_without_the_parser(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_true(agrees(lines[i], strlen(lines[i])));
}

static void a_line_that_is_read_means_what_the_parser_says(void **state)
{
    static const char odd[] = "\"\\{}:, 019-.ax\n\x7f\xc3\x01/";

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        size_t n = strlen(lines[i]), read = 0;

        for (size_t at = 0; at < n; at++) {
            char text[1024];

            for (const char *c = odd; c < odd + sizeof odd; c++) { /* the NUL, too */
                memcpy(text, lines[i], n + 1);
                text[at] = *c;
                read += agrees(text, n);
                memmove(text + at + 1, lines[i] + at, n - at);
                read += agrees(text, n + 1);
            }
            memcpy(text, lines[i], n);
            memmove(text + at, lines[i] + at + 1, n - at - 1);
            read += agrees(text, n - 1);
            agrees(lines[i], at);
        }
        assert_true(read > 0); /* another size is still a size */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_ours_is_read_without_the_parser),
        cmocka_unit_test(a_line_that_is_read_means_what_the_parser_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
