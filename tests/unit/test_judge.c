/* Whether Numba would load from an index: each fact that decides, and which of several is told. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judge/judge.h"

/* What a tree has for the index of one function in k.py. */
struct facts {
    int source; /* what looking at it gives: 1, 0 or negative errno */
    struct judge_file file;
    int data;
    struct timespec data_time;
    bool truncated;
    unsigned char digest[32];
    int digests; /* how often it was asked for */
};

static int look_at_source(void *ctx, struct judge_file *f)
{
    const struct facts *facts = ctx;

    *f = facts->file;
    return facts->source;
}

static int look_at_digest(void *ctx, unsigned char out[32])
{
    struct facts *facts = ctx;

    facts->digests++;
    memcpy(out, facts->digest, 32);
    return 0;
}

static int look_at_data(void *ctx, const char *name, struct judge_file *f, bool *whole)
{
    const struct facts *facts = ctx;

    assert_string_equal(name, "k.add-3.py311.1.nbc");
    f->mtime = facts->data_time;
    *whole = !facts->truncated;
    return facts->data;
}

static const struct timespec time_of_source = {.tv_sec = 1795339396, .tv_nsec = 456441290};

static struct facts sound(void)
{
    return (struct facts){.source = 1,
                          .file = {.mtime = time_of_source, .size = 661},
                          .data = 1,
                          .data_time = {.tv_sec = 1795339397}};
}

static struct index_overload overload = {.data = (char *)"k.add-3.py311.1.nbc"};

static struct index index_of(struct wp_stamp stamp)
{
    return (struct index){
        .numba = (char *)"0.56.4", .stamp = stamp, .overloads = &overload, .count = 1};
}

static struct index made_then(void)
{
    return index_of(stamp_of(WP_STAMP_MTIME, time_of_source, 661, NULL));
}

static void assert_judged(struct facts facts, const struct index *index, const char *misplaced,
                          const char *unwritable, enum wp_status status, const char *reason)
{
    struct judge_facts f = {
        .source = look_at_source, .digest = look_at_digest, .data = look_at_data, .ctx = &facts};
    struct wp_error unread = {.code = EINVAL, .message = "the pickle ends early"};
    struct wp_index_status s = {0};

    assert_int_equal(judge_index(&s, index, &unread, misplaced, unwritable, &f), 0);
    assert_string_equal(wp_status_name(s.status), wp_status_name(status));
    if (reason)
        assert_non_null(strstr(s.reason, reason));
    else
        assert_null(s.reason);
    judge_clear(&s);
}

static void is_valid_where_all_fits(void **state)
{
    struct index index = made_then();

    (void)state;
    assert_judged(sound(), &index, NULL, NULL, WP_VALID, NULL);
}

static void is_stale_by_a_nanosecond_that_a_double_holds_or_by_a_byte(void **state)
{
    struct index index = made_then();
    struct facts facts = sound();

    (void)state;
    facts.file.mtime.tv_nsec += 1000;
    assert_judged(facts, &index, NULL, NULL, WP_STALE, "the source's time");
    facts = sound();
    facts.file.size++;
    assert_judged(facts, &index, NULL, NULL, WP_STALE, "has 662 bytes, the index says 661");
}

static void whole_seconds_fit_any_part_of_one(void **state)
{
    struct index index = index_of(stamp_of(WP_STAMP_SECONDS, time_of_source, 661, NULL));
    struct facts facts = sound();

    (void)state;
    facts.file.mtime.tv_nsec = 999000000;
    assert_judged(facts, &index, NULL, NULL, WP_VALID, NULL);
    facts.file.mtime.tv_sec++;
    assert_judged(facts, &index, NULL, NULL, WP_STALE, "the source's time");
}

static void content_is_read_for_a_stamp_of_content_alone(void **state)
{
    struct facts facts = sound();
    struct index index = index_of(stamp_of(WP_STAMP_CONTENT, time_of_source, 661, facts.digest));
    struct judge_facts f = {
        .source = look_at_source, .digest = look_at_digest, .data = look_at_data, .ctx = &facts};
    struct wp_index_status s = {0};

    (void)state;
    facts.file.mtime.tv_sec -= 5; /* no matter */
    assert_int_equal(judge_index(&s, &index, NULL, NULL, NULL, &f), 0);
    assert_int_equal(s.status, WP_VALID);
    assert_int_equal(facts.digests, 1);
    judge_clear(&s);
    facts.digest[0] = 1;
    assert_judged(facts, &index, NULL, NULL, WP_STALE, "content is not what was compiled");
    index = made_then();
    facts = sound();
    assert_int_equal(judge_index(&s, &index, NULL, NULL, NULL, &f), 0);
    assert_int_equal(facts.digests, 0);
    judge_clear(&s);
}

static void absence_and_an_error_are_told_apart(void **state)
{
    struct index index = made_then();
    struct facts facts = sound();

    (void)state;
    facts.source = 0;
    assert_judged(facts, &index, NULL, NULL, WP_SOURCE_MISSING, "there is no");
    facts.source = -EACCES;
    assert_judged(facts, &index, NULL, NULL, WP_UNREADABLE, strerror(EACCES));
    facts = sound();
    facts.data = 0;
    assert_judged(facts, &index, NULL, NULL, WP_DATA_MISSING, "is gone");
    facts.data = -EIO;
    assert_judged(facts, &index, NULL, NULL, WP_UNREADABLE, strerror(EIO));
}

static void data_older_than_its_source_is_suspect(void **state)
{
    struct index index = made_then();
    struct facts facts = sound();

    (void)state;
    facts.data_time = time_of_source;
    assert_judged(facts, &index, NULL, NULL, WP_VALID, NULL);
    facts.data_time.tv_nsec--;
    assert_judged(facts, &index, NULL, NULL, WP_SUSPECT, "older than the source");
    facts.truncated = true;
    assert_judged(facts, &index, NULL, NULL, WP_CORRUPT, "k.add-3.py311.1.nbc");
}

/* The clock that gave the source its time was ahead of the one of the machine that compiled. */
static void an_index_older_than_its_source_too_was_made_of_it(void **state)
{
    struct index index = made_then();
    struct facts facts = sound();
    struct timespec then = {.tv_sec = time_of_source.tv_sec - 9};
    bool ahead = false;
    struct judge_facts f = {.source = look_at_source,
                            .digest = look_at_digest,
                            .data = look_at_data,
                            .ctx = &facts,
                            .index_mtime = &then,
                            .ahead = &ahead};
    struct wp_index_status s = {0};

    (void)state;
    facts.data_time = then;
    assert_int_equal(judge_index(&s, &index, NULL, NULL, NULL, &f), 0);
    assert_int_equal(s.status, WP_VALID);
    assert_true(ahead);
    judge_clear(&s);
    then.tv_sec = time_of_source.tv_sec + 1;
    assert_int_equal(judge_index(&s, &index, NULL, NULL, NULL, &f), 0);
    assert_int_equal(s.status, WP_SUSPECT);
    judge_clear(&s);
}

/* A missing source, then the place, then the stamp, then data, then who may write. */
static void the_first_cause_is_told(void **state)
{
    struct index index = made_then();
    struct facts facts = sound();

    (void)state;
    assert_judged(facts, &index, NULL, "nobody may", WP_UNWRITABLE, "nobody may");
    facts.data = 0;
    assert_judged(facts, &index, NULL, "nobody may", WP_DATA_MISSING, "gone");
    facts.file.size = 1;
    assert_judged(facts, &index, NULL, "nobody may", WP_STALE, "bytes");
    assert_judged(facts, &index, "elsewhere", "nobody may", WP_MISPLACED, "elsewhere");
    facts.source = 0;
    assert_judged(facts, &index, "elsewhere", "nobody may", WP_SOURCE_MISSING, "there is no");
    assert_judged(facts, NULL, "elsewhere", "nobody may", WP_CORRUPT, "the pickle ends early");
}

static void a_report_is_sorted_and_counted(void **state)
{
    static const char *const names[] = {"b", "c", "a"};
    struct wp_verify_report report = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct wp_index_status s = {.index = strdup(names[i]), .status = i ? WP_STALE : WP_VALID};

        assert_int_equal(judge_add(&report, &s), 0);
        assert_null(s.index);
    }
    judge_sort(&report);
    assert_string_equal(report.indexes[0].index, "a");
    assert_string_equal(report.indexes[2].index, "c");
    assert_int_equal(report.by_status[WP_STALE], 2);
    assert_int_equal(report.by_status[WP_VALID], 1);
    wp_verify_report_clear(&report);
    assert_int_equal(report.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_valid_where_all_fits),
        cmocka_unit_test(is_stale_by_a_nanosecond_that_a_double_holds_or_by_a_byte),
        cmocka_unit_test(whole_seconds_fit_any_part_of_one),
        cmocka_unit_test(content_is_read_for_a_stamp_of_content_alone),
        cmocka_unit_test(absence_and_an_error_are_told_apart),
        cmocka_unit_test(data_older_than_its_source_is_suspect),
        cmocka_unit_test(an_index_older_than_its_source_too_was_made_of_it),
        cmocka_unit_test(the_first_cause_is_told),
        cmocka_unit_test(a_report_is_sorted_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
