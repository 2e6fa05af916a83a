/* What is known of sources in a zip without unpacking it. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/digest.h"
#include "numba/zipped.h"

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)(v >> 8 * i);

        assert_int_equal(buf_add(b, &c, 1), 0);
    }
}

struct zip {
    struct buf text, directory;
    unsigned count;
    size_t start; /* bytes before the zip itself */
};

static void add(struct zip *z, const char *name, const char *content, bool deflated)
{
    unsigned char packed[4096];
    size_t size = strlen(content), n = size, at = z->text.size - z->start;
    uLong crc = crc32(0, (const Bytef *)content, (uInt)size);

    if (deflated) {
        z_stream s = {.next_in = (Bytef *)content,
                      .avail_in = (uInt)size,
                      .next_out = packed,
                      .avail_out = sizeof packed};

        deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        n = s.total_out;
        deflateEnd(&s);
    } else {
        memcpy(packed, content, size);
    }
    for (int central = 0; central < 2; central++) {
        struct buf *b = central ? &z->directory : &z->text;

        buf_add(b, central ? "PK\1\2\24\0\24\0" : "PK\3\4\24\0", central ? 8 : 6);
        put(b, 0x800, 2);
        put(b, deflated ? 8 : 0, 2);
        put(b, 0, 4);
        put(b, crc, 4);
        put(b, n, 4);
        put(b, size, 4);
        put(b, strlen(name), 2);
        put(b, central ? 0 : 4, 2); /* an extra field in the local header alone */
        if (central) {
            put(b, 0, 6);
            put(b, 0, 4);
            put(b, at, 4);
        }
        buf_add_str(b, name);
        if (!central) {
            buf_add(b, "xx\0\0", 4);
            buf_add(b, packed, n);
        }
    }
    z->count++;
}

static void end(struct zip *z)
{
    size_t at = z->text.size - z->start;

    buf_add(&z->text, z->directory.data, z->directory.size);
    buf_add(&z->text, "PK\5\6\0\0\0\0", 8);
    put(&z->text, z->count, 2);
    put(&z->text, z->count, 2);
    put(&z->text, z->directory.size, 4);
    put(&z->text, at, 4);
    put(&z->text, 3, 2);
    buf_add_str(&z->text, "end");
}

static int file_of(const void *data, size_t n)
{
    int fd = memfd_create("zip", 0);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    return fd;
}

static struct zip sample(const char *before)
{
    struct zip z = {0};

    buf_add_str(&z.text, before);
    z.start = z.text.size;
    add(&z, "top.py", "top", false);
    add(&z, "pkg/__init__.py", "", true);
    add(&z, "pkg/k.py", "kernel kernel kernel kernel kernel", true);
    add(&z, "pkg/data.txt", "text", false);
    add(&z, "../out.py", "out", false);
    add(&z, "/absolute.py", "absolute", false);
    add(&z, "gr\303\266\303\237e/m.py", "m", false);
    end(&z);
    return z;
}

static void clear(struct zip *z)
{
    buf_free(&z->text);
    buf_free(&z->directory);
}

static int collect(void *ctx, const char *member)
{
    struct buf *names = ctx;

    return buf_add_str(names, member) < 0 || buf_add_str(names, " ") < 0 ? -ENOMEM : 0;
}

static void the_names_of_sources_are_found(void **state)
{
    static const char expected[] = "top.py pkg/__init__.py pkg/k.py gr\303\266\303\237e/m.py ";

    (void)state;
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        struct zip z = sample(prefixed ? "#!/usr/bin/python3\n" : "");
        struct buf names = {0};
        int fd = file_of(z.text.data, z.text.size);

        assert_int_equal(zipped_sources(fd, collect, &names), 0);
        assert_int_equal(names.size, strlen(expected));
        assert_memory_equal(names.data, expected, names.size);
        buf_free(&names);
        close(fd);
        clear(&z);
    }
}

static void check_digest(int fd, const char *member, const char *content)
{
    unsigned char got[32], wanted[32];

    assert_int_equal(zipped_digest(fd, member, got), 0);
    sha256_of(content, strlen(content), wanted);
    assert_memory_equal(got, wanted, sizeof got);
}

static void a_digest_is_that_of_the_content(void **state)
{
    struct zip z = sample("before");
    int fd = file_of(z.text.data, z.text.size);
    unsigned char out[32];

    (void)state;
    check_digest(fd, "top.py", "top");
    check_digest(fd, "pkg/__init__.py", "");
    check_digest(fd, "pkg/k.py", "kernel kernel kernel kernel kernel");
    assert_int_equal(zipped_digest(fd, "pkg/none.py", out), -ENOENT);
    close(fd);
    clear(&z);
}

/* Whatever byte is wrong, and wherever the file ends: an error or the right digest. */
static void damage_is_an_error(void **state)
{
    struct zip z = sample("");
    unsigned char got[32], wanted[32];
    static const char content[] = "kernel kernel kernel kernel kernel";

    (void)state;
    sha256_of(content, strlen(content), wanted);
    for (size_t i = 0; i < z.text.size; i++) {
        struct buf names = {0};
        int fd = file_of(z.text.data, i);

        if (i < z.text.size - strlen("end"))
            assert_int_not_equal(zipped_digest(fd, "pkg/k.py", got), 0);
        zipped_sources(fd, collect, &names);
        close(fd);
        for (int bit = 0; bit < 8; bit += 3) {
            z.text.data[i] ^= (unsigned char)(1 << bit);
            fd = file_of(z.text.data, z.text.size);
            if (zipped_digest(fd, "pkg/k.py", got) == 0)
                assert_memory_equal(got, wanted, sizeof got);
            zipped_sources(fd, collect, &names);
            close(fd);
            z.text.data[i] ^= (unsigned char)(1 << bit);
        }
        buf_free(&names);
    }
    clear(&z);
}

static void what_is_no_zip_has_no_sources(void **state)
{
    static const char text[] = "This is no zip, though it is long enough to be one.";
    int fd = file_of(text, sizeof text), dir = open("/", O_RDONLY | O_DIRECTORY);
    struct buf names = {0};

    (void)state;
    assert_int_equal(zipped_sources(fd, collect, &names), -EBADMSG);
    assert_int_equal(zipped_sources(dir, collect, &names), -EBADMSG);
    assert_int_equal(names.size, 0);
    close(fd);
    close(dir);
}

static void the_first_component_that_ends_in_zip_is_the_zip(void **state)
{
    (void)state;
    assert_int_equal(zipped_length("/srv/a.zip/pkg/k.py"), strlen("/srv/a.zip"));
    assert_int_equal(zipped_length("a.zip/b.zip/k.py"), strlen("a.zip"));
    assert_int_equal(zipped_length(".zip/k.py"), strlen(".zip"));
    assert_int_equal(zipped_length("/srv/a.zip"), 0);
    assert_int_equal(zipped_length("/srv/a.zip/"), 0);
    assert_int_equal(zipped_length("/srv/a.zipped/k.py"), 0);
    assert_int_equal(zipped_length("/srv/a.egg/k.py"), 0);
    assert_int_equal(zipped_length("zip/k.py"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_names_of_sources_are_found),
        cmocka_unit_test(a_digest_is_that_of_the_content),
        cmocka_unit_test(damage_is_an_error),
        cmocka_unit_test(what_is_no_zip_has_no_sources),
        cmocka_unit_test(the_first_component_that_ends_in_zip_is_the_zip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
