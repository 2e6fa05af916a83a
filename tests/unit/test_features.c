/* What CPUs can do: the tables, lists of features, and code that needs more than a machine has. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "numba/features.h"
#include "warmpack.h"

static bool has(const struct features *f, const char *name)
{
    unsigned id;

    if (!features_find(name, strlen(name), &id))
        fail_msg("%s is not in the table", name);
    return features_has(f, id);
}

static struct features of_cpu(const char *name)
{
    struct features f;

    if (!features_of_cpu(name, &f))
        fail_msg("%s is not known", name);
    return f;
}

static struct features of_code(const char *cpu, const char *list)
{
    struct features_code code;
    struct features set;

    assert_int_equal(features_of_code(&code, cpu, list), 0);
    set = code.set;
    features_code_clear(&code);
    return set;
}

static void names_of_cpus_imply_what_llvm_says(void **state)
{
    (void)state;
    static const struct {
        const char *cpu, *has, *lacks;
    } cases[] = {
        {"generic", "sse2", "sse3"},
        {"x86-64", "sse2", "sse3"},
        {"x86-64-v2", "sse4.2", "avx"},
        {"x86-64-v3", "avx2", "avx512f"},
        {"x86-64-v3", "fma", "adx"},
        {"x86-64-v4", "avx512vl", "avx512vnni"},
        {"nehalem", "popcnt", "pclmul"},
        {"haswell", "bmi2", "adx"},
        {"broadwell", "adx", "clflushopt"},
        {"skylake", "xsavec", "avx512f"},
        {"skylake-avx512", "avx512bw", "sgx"},
        {"rocketlake", "avx512vbmi2", "sgx"},
        {"znver1", "sha", "clwb"},
        {"znver3", "vaes", "avx512f"},
        {"znver4", "avx512bf16", "avxvnni"},
        {"znver5", "avxvnni", "amx-tile"},
        {"sapphirerapids", "amx-int8", "xop"},
        {"knl", "avx512er", "avx512bw"},
        {"corei7-avx", "avx", "avx2"},
        {"bdver2", "fma4", "avx2"},
        {"skylake_avx512", "avx512bw", "sgx"},
        {"emeraldrapids", "amx-bf16", "amx-fp16"},
        {"graniterapids", "amx-fp16", "amx-complex"},
        {"graniterapids-d", "amx-complex", "avx10.2"},
        {"diamondrapids", "avx10.2", "xop"},
        {"diamondrapids", "egpr", "sse4a"},
        {"sierraforest", "avxifma", "avx512f"},
        {"arrowlake-s", "avxvnniint16", "avx512f"},
        {"lunarlake", "sm4", "avx10.2"},
        {"pantherlake", "sha512", "avx10.2"},
        {"novalake", "avx10.2", "amx-tile"},
        {"clearwaterforest", "usermsr", "avx512f"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct features f = of_cpu(cases[i].cpu);

        if (!has(&f, cases[i].has) || has(&f, cases[i].lacks))
            fail_msg("%s: %s %d, %s %d", cases[i].cpu, cases[i].has, has(&f, cases[i].has),
                     cases[i].lacks, has(&f, cases[i].lacks));
    }
}

static void unknown_names_are_said_to_be_unknown(void **state)
{
    (void)state;
    struct features_code code;
    struct features f;

    assert_false(features_of_cpu("znver99", &f));
    assert_false(features_of_cpu("", &f));
    assert_int_equal(features_of_code(&code, "znver99", "+avx2,+warp,-weft,+avx,drive"), 0);
    assert_false(code.knows_cpu);
    assert_true(has(&code.set, "avx2") && !has(&code.set, "bmi"));
    assert_string_equal((char *)code.unknown.data, "warp drive");
    features_code_clear(&code);
}

static void lists_are_read_in_order_with_what_builds_on_what(void **state)
{
    (void)state;
    struct features f = of_code("generic", "+avx512bw");

    assert_true(has(&f, "avx512f") && has(&f, "avx2") && has(&f, "fma") && has(&f, "ssse3"));
    f = of_code("generic", "+avx512bw,-avx");
    assert_true(has(&f, "sse4.2") && !has(&f, "avx512bw") && !has(&f, "fma"));
    f = of_code("generic", "-avx,+avx2,");
    assert_true(has(&f, "avx"));
    f = of_code("x86-64-v3", "");
    assert_true(has(&f, "avx2") && !has(&f, "avx512f"));
    f = of_code("znver3", ",,+,-,");
    assert_true(has(&f, "avx2"));
}

/* A hypervisor hides them, and no code that Numba compiles uses them. */
static void what_only_hand_written_code_uses_must_be_asked_for(void **state)
{
    (void)state;
    struct features f = of_code("skylake-avx512", "");

    assert_true(has(&f, "avx512f") && !has(&f, "pku"));
    f = of_code("skylake-avx512", "+pku");
    assert_true(has(&f, "pku"));
}

static void lacking_features_are_named(void **state)
{
    (void)state;
    struct features need = of_code("x86-64-v4", ""), have = of_code("x86-64-v3", "");
    _cleanup_buf_ struct buf out = {0}, two = {0};

    assert_int_equal(features_missing(&have, &need, &out), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(features_missing(&need, &have, &out), 1);
    assert_string_equal((char *)out.data, "avx512f, avx512dq, avx512cd and 3 more");
    need = of_code("x86-64-v3", "+gfni,+adx");
    assert_int_equal(features_missing(&need, &have, &two), 1);
    assert_string_equal((char *)two.data, "adx and gfni");
}

static void lists_are_cut_to_what_the_name_does_not_say(void **state)
{
    (void)state;
    _cleanup_free_ char *known = NULL, *unknown = NULL;
    bool is_known;

    known = wp_features_beside("haswell", "+avx2,-avx512f,+adx,-fma,+warp,-weft", &is_known);
    assert_string_equal(known, "+adx -fma +warp");
    assert_true(is_known);
    unknown = wp_features_beside("warp", "+avx2,-fma", &is_known);
    assert_string_equal(unknown, "+avx2 -fma");
    assert_false(is_known);
}

/* Every table speaks of features by names that are in the table of features. */
static void this_machine_has_what_every_machine_of_its_kind_has(void **state)
{
    (void)state;
    struct features host, base = of_cpu("x86-64");
    _cleanup_buf_ struct buf lacking = {0};

    if (!features_of_host(&host))
        skip();
    if (features_missing(&base, &host, &lacking) != 0)
        fail_msg("this machine lacks %s", (char *)lacking.data);
}

/* LLVM's own opinion, where its compiler is installed: the features that it gives to code for each
 * CPU that both know. */
static void clang_gives_every_cpu_the_same_features(void **state)
{
    (void)state;
    static const char *const cpus[] = {
        "x86-64", "x86-64-v2", "x86-64-v3", "nocona", "core2", "penryn", "nehalem", "westmere",
        "ivybridge", "sandybridge", "haswell", "broadwell", "skylake", "bonnell", "goldmont",
        "silvermont", "tremont", "goldmont-plus", "btver1", "btver2", "bdver1", "bdver2", "bdver3",
        "bdver4", "znver1", "alderlake", "icelake-server", "cascadelake", NULL,
        /* Of these, releases differ: ours have what any of them gives. */
        "amdfam10", "sapphirerapids", "emeraldrapids", "graniterapids", "graniterapids-d",
        "raptorlake", "gracemont", "meteorlake", "sierraforest", "arrowlake", "grandridge",
        "arrowlake-s", "lunarlake", "pantherlake", "clearwaterforest", "diamondrapids", "novalake",
        "znver2", "znver3", "znver4", "znver5", "x86-64-v4", "skylake-avx512", "cooperlake",
        "cannonlake", "icelake-client", "rocketlake", "tigerlake", "knl", "knm"};
    bool alike = true;

    if (system("clang --version >/dev/null 2>&1") != 0)
        skip();
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        struct features ours, theirs = {0};
        char command[512], list[4096] = "";
        const char *at = list, *name;
        unsigned id;
        size_t n;
        char sign;
        FILE *f;

        if (!cpus[i]) {
            alike = false;
            continue;
        }
        ours = of_cpu(cpus[i]);
        snprintf(command, sizeof command,
                 "echo 'void f(void){}' | clang -cc1 -triple x86_64-pc-linux-gnu -target-cpu %s "
                 "-emit-llvm -x c -o - - 2>/dev/null | sed -n "
                 "'s/.*\"target-features\"=\"\\([^\"]*\\)\".*/\\1/p'",
                 cpus[i]);
        f = popen(command, "r");
        assert_non_null(f);
        if (!fgets(list, sizeof list, f) && alike)
            fail_msg("clang does not know %s", cpus[i]);
        assert_int_equal(pclose(f), 0);
        list[strcspn(list, "\n")] = '\0';
        while ((n = features_next(&at, &sign, &name)))
            if (sign == '+' && features_find(name, n, &id))
                theirs.bits[id / 64] |= UINT64_C(1) << id % 64;
        for (id = 0; features_name(id); id++) {
            /* Modes of the compiler and names that came later. */
            if (strcmp(features_name(id), "64bit") == 0 || strcmp(features_name(id), "cmov") == 0 ||
                strcmp(features_name(id), "evex512") == 0)
                continue;
            if (features_has(&ours, id) == features_has(&theirs, id))
                continue;
            if (alike || features_has(&theirs, id))
                fail_msg("%s: %s is %s", cpus[i], features_name(id),
                         features_has(&ours, id) ? "ours alone" : "theirs alone");
        }
    }
}

static void only_plain_names_are_plain(void **state)
{
    (void)state;
    assert_true(features_is_plain("+64bit,-amx-tile,+sse4.1,+avx10.1_x"));
    assert_true(features_is_plain(""));
    assert_false(features_is_plain("+avx '"));
    assert_false(features_is_plain("$(x)"));
    assert_false(features_is_plain("+avx\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_cpus_imply_what_llvm_says),
        cmocka_unit_test(unknown_names_are_said_to_be_unknown),
        cmocka_unit_test(lists_are_read_in_order_with_what_builds_on_what),
        cmocka_unit_test(what_only_hand_written_code_uses_must_be_asked_for),
        cmocka_unit_test(lacking_features_are_named),
        cmocka_unit_test(lists_are_cut_to_what_the_name_does_not_say),
        cmocka_unit_test(this_machine_has_what_every_machine_of_its_kind_has),
        cmocka_unit_test(clang_gives_every_cpu_the_same_features),
        cmocka_unit_test(only_plain_names_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
