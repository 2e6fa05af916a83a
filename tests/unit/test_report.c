/* What a caller hears of a job: causes without noise, and one call at a time; and the umask. */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"

static void a_damaged_archive_is_told_of_without_a_system_error(void **state)
{
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(error_set(&err, EBADMSG, "a.tgz", "the archive is truncated"), -EBADMSG);
    assert_int_equal(err.code, EBADMSG);
    assert_string_equal(err.message, "a.tgz: the archive is truncated");
}

struct heard {
    atomic_int inside, overlaps, calls;
};

static void hear(struct heard *h)
{
    if (atomic_fetch_add(&h->inside, 1) != 0)
        atomic_fetch_add(&h->overlaps, 1);
    for (int i = 0; i < 100; i++)
        atomic_fetch_add(&h->calls, 1);
    atomic_fetch_sub(&h->inside, 1);
}

static void on_message(void *ctx, enum wp_severity severity, const char *text)
{
    (void)severity;
    (void)text;
    hear(ctx);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    hear(ctx);
}

enum { ROUNDS = 20000 };

static void *send_messages(void *to)
{
    for (int i = 0; i < ROUNDS; i++)
        report(to, WP_NOTE, NULL, "note");
    return NULL;
}

static void messages_and_progress_come_one_at_a_time(void **state)
{
    struct heard heard = {0};
    const struct wp_context to = {
        .message = on_message, .progress = on_progress, .user_data = &heard};
    pthread_t other;

    (void)state;
    assert_int_equal(pthread_create(&other, NULL, send_messages, (void *)&to), 0);
    for (uint64_t i = 0; i < ROUNDS; i++)
        report_progress(&to, i, ROUNDS);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&heard.overlaps), 0);
    assert_int_equal(atomic_load(&heard.calls), 2 * ROUNDS * 100);
}

static void progress_that_nobody_wants_goes_nowhere(void **state)
{
    const struct wp_context deaf = {0};

    (void)state;
    report_progress(NULL, 1, 2);
    report_progress(&deaf, 1, 2);
}

static void options_of_a_later_version_are_refused(void **state)
{
    struct wp_context context = {0};
    struct wp_verify_options o = {0};
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(options_check(NULL, &o, &err), 0);
    assert_int_equal(options_check(&context, &o, &err), 0);
    context.reserved_int[3] = 1;
    assert_int_equal(options_check(&context, &o, NULL), -EINVAL);
    context.reserved_int[3] = 0;
    o.reserved_ptr[0] = &context;
    assert_int_equal(options_check(NULL, &o, &err), -EINVAL);
    assert_non_null(strstr(err.message, WP_VERSION));
}

static void a_context_says_when_to_stop(void **state)
{
    static volatile sig_atomic_t interrupted;
    const struct wp_context context = {.interrupted = &interrupted};
    struct wp_error err = {0};

    (void)state;
    assert_int_equal(context_check(NULL, &err), 0);
    assert_int_equal(context_check(&context, &err), 0);
    interrupted = 1;
    assert_int_equal(context_check(&context, &err), -EINTR);
}

static void *ask_umask(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
        (void)file_umask();
    return NULL;
}

/* A file that another thread creates meanwhile must get the mode that the umask says. */
static void the_umask_is_told_without_changing_it(void **state)
{
    mode_t before = umask(0027);
    atomic_bool stop = false;
    pthread_t other;
    bool stays = true;

    (void)state;
    assert_int_equal(file_umask(), 0027);
    assert_int_equal(pthread_create(&other, NULL, ask_umask, &stop), 0);
    for (int i = 0; i < 300000 && stays; i++)
        stays = umask(0027) == 0027;
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    umask(before);
    assert_true(stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_archive_is_told_of_without_a_system_error),
        cmocka_unit_test(messages_and_progress_come_one_at_a_time),
        cmocka_unit_test(progress_that_nobody_wants_goes_nowhere),
        cmocka_unit_test(options_of_a_later_version_are_refused),
        cmocka_unit_test(a_context_says_when_to_stop),
        cmocka_unit_test(the_umask_is_told_without_changing_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
