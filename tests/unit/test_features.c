/* What CPUs can do: the tables, lists of features, and code that needs more than a machine has. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "numba/features_table.h"
#include "warmpack.h"

static bool has(const struct features *f, const char *name)
{
    unsigned id;

    if (!features_find(f->arch, name, strlen(name), &id))
        fail_msg("%s is not in the table", name);
    return features_has(f, id);
}

static struct features of_cpu(const char *name)
{
    struct features f;

    if (!features_of_cpu(FEATURES_X86_64, name, &f))
        fail_msg("%s is not known", name);
    return f;
}

static struct features of_code(const char *cpu, const char *list)
{
    struct features_code code;
    struct features set;

    assert_int_equal(features_of_code(&code, FEATURES_X86_64, cpu, list), 0);
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

    assert_false(features_of_cpu(FEATURES_X86_64, "znver99", &f));
    assert_false(features_of_cpu(FEATURES_X86_64, "", &f));
    assert_int_equal(
        features_of_code(&code, FEATURES_X86_64, "znver99", "+avx2,+warp,-weft,+avx,drive"), 0);
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
    struct features host, base;
    _cleanup_buf_ struct buf lacking = {0};

    if (!features_of_host(&host))
        skip();
    assert_true(features_of_cpu(host.arch, "generic", &base));
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
            if (sign == '+' && features_find(FEATURES_X86_64, name, n, &id))
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

/* ---- aarch64 ----------------------------------------------------------------------------- */

static void check_words(enum features_arch arch, const char *words)
{
    unsigned id;

    while (*words) {
        size_t n = strcspn(words, " ");

        if (n && !features_find(arch, words, n, &id))
            fail_msg("'%s' is not in the table", words);
        words += n + (words[n] == ' ');
    }
}

static void each_word_of_the_tables_is_in_the_tables(void **state)
{
    (void)state;
    static const struct {
        enum features_arch arch;
        const struct features_cpu *cpus;
        const struct features_row *rows;
    } tables[] = {{FEATURES_X86_64, features_x86_cpus, features_x86_rows},
                  {FEATURES_AARCH64, features_aarch64_cpus, features_aarch64_rows}};

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        struct features f;

        for (const struct features_cpu *c = tables[t].cpus; c->names; c++) {
            char names[512], *rest = names;

            check_words(tables[t].arch, c->more);
            check_words(tables[t].arch, c->without ? c->without : "");
            assert_true(strlen(c->names) < sizeof names);
            strcpy(names, c->names);
            for (char *name; (name = strsep(&rest, " "));) {
                assert_true(features_of_cpu(tables[t].arch, name, &f));
                assert_int_equal(f.arch, tables[t].arch);
            }
        }
        for (const struct features_row *row = tables[t].rows; row->name; row++)
            check_words(tables[t].arch, row->on);
    }
    assert_true(features_x86_count + features_aarch64_count <=
                8 * sizeof((struct features *)0)->bits);
}

/* What the assembler of LLVM knows for each: ours have all of that, and the same where releases of
 * LLVM do not differ. */
static void llvm_assembles_for_aarch64_cpus_what_the_table_has(void **state)
{
    (void)state;
    static const char command[] = "/usr/bin/python3 -B '" TEST_DATA "/numba/llvm_cpus.py' generic "
                                  "cortex-a53 cortex-a72 cortex-a76 neoverse-n1 neoverse-v1 "
                                  "apple-m1 thunderx2t99 neoverse-n2 a64fx ampere1 cortex-a510";
    static const char *const differ[] = {"neoverse-v1", "neoverse-n2", "a64fx", "ampere1",
                                         "cortex-a510"};
    char line[1024];
    FILE *f = popen(command, "r");
    int lines = 0;

    assert_non_null(f);
    for (; fgets(line, sizeof line, f); lines++) {
        struct features ours, theirs = {.arch = FEATURES_AARCH64};
        char *at = line, *name = strsep(&at, " \n");
        bool alike = true;

        assert_true(features_of_cpu(FEATURES_AARCH64, name, &ours));
        for (char *word; (word = strsep(&at, " \n"));) {
            unsigned id;

            if (!*word)
                continue;
            assert_true(features_find(FEATURES_AARCH64, word, strlen(word), &id));
            features_add(&theirs, id);
            if (!features_has(&ours, id))
                fail_msg("%s: %s is theirs alone", name, word);
        }
        for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
            alike = alike && strcmp(differ[i], name) != 0;
        for (unsigned id = 0; features_name(id) && alike; id++)
            /* There is no instruction by which this could be told. */
            if (features_has(&ours, id) && !features_has(&theirs, id) &&
                strcmp(features_name(id), "lse2") != 0)
                fail_msg("%s: %s is ours alone", name, features_name(id));
    }
    if (WEXITSTATUS(pclose(f)) == 77)
        skip(); /* this LLVM has no assembler for aarch64 */
    assert_int_equal(lines, 12);
}

static struct features needed(const char *triple, const char *cpu, const char *list)
{
    struct features f;
    struct wp_error err = {0};

    if (features_needed(&f, triple, cpu, list, &err) < 0)
        fail_msg("%s", err.message);
    return f;
}

#define ARM "aarch64-unknown-linux-gnu"
#define INTEL "x86_64-pc-linux-gnu"

/* AT_HWCAP and AT_HWCAP2 of machines that can be rented: Graviton 2 and 3, and a Raspberry Pi 4. */
static void code_for_aarch64_runs_where_the_system_tells_its_features(void **state)
{
    (void)state;
    struct features pi, graviton2, graviton3, code;
    _cleanup_buf_ struct buf why = {0};

    features_of_hwcaps(0x887, 0, &pi); /* fp asimd evtstrm crc32 cpuid */
    features_of_hwcaps(0x10119fff, 0, &graviton2);
    features_of_hwcaps(0xdfffffff, 0x1f201, &graviton3);
    assert_true(has(&pi, "neon") && has(&pi, "crc") && !has(&pi, "aes") && !has(&pi, "lse"));
    assert_true(has(&graviton2, "lse") && has(&graviton2, "dotprod") && !has(&graviton2, "sve"));
    assert_true(has(&graviton3, "sve") && has(&graviton3, "bf16") && !has(&graviton3, "sve2"));

    code = needed(ARM, "generic", "+neon");
    assert_int_equal(features_missing(&code, &pi, &why), 0);
    code = needed(ARM, "neoverse-n1", "");
    assert_int_equal(features_missing(&code, &graviton2, &why), 0);
    assert_int_equal(features_missing(&code, &pi, &why), 1);
    buf_clear(&why);
    code = needed(ARM, "neoverse-v1", "-sve");
    assert_int_equal(features_missing(&code, &graviton2, &why), 1);
    buf_clear(&why);
    code = needed(ARM, "generic", "+sve2-aes");
    assert_true(has(&code, "sve") && has(&code, "aes") && has(&code, "fullfp16"));
    assert_int_equal(features_missing(&code, &graviton3, &why), 1);
    assert_string_equal((char *)why.data, "sve2 and sve2-aes");
}

/* ---- Architectures, and what code needs -------------------------------------------------- */

static void another_architecture_is_another_machine(void **state)
{
    (void)state;
    struct features intel = of_cpu("x86-64-v4"), arm = needed(ARM, "generic", ""),
                    other = {.arch = features_arch_of("ppc64le-linux-gnu")};
    _cleanup_buf_ struct buf why = {0};

    assert_int_equal(features_arch_of(INTEL), FEATURES_X86_64);
    assert_int_equal(features_arch_of("arm64-unknown-linux-gnu"), FEATURES_AARCH64);
    assert_int_equal(features_arch_of("arm64-apple-darwin23.1.0"), FEATURES_OTHER);
    assert_int_equal(features_arch_of("x86_64-pc-windows-msvc"), FEATURES_OTHER);
    assert_int_equal(features_arch_of("x86_64-unknown-linux-musl"), FEATURES_X86_64);
    assert_int_equal(features_arch_of("i686-pc-linux-gnu"), FEATURES_UNKNOWN);
    assert_int_equal(features_arch_of("armv7l-linux-gnueabihf"), FEATURES_UNKNOWN);
    assert_int_equal(features_arch_of(""), FEATURES_UNKNOWN);
    assert_int_equal(other.arch, FEATURES_OTHER);
    assert_false(features_arch_can_run(FEATURES_X86_64, FEATURES_AARCH64));
    assert_false(features_arch_can_run(FEATURES_AARCH64, FEATURES_OTHER));
    assert_true(features_arch_can_run(FEATURES_X86_64, FEATURES_UNKNOWN));
    assert_true(features_arch_can_run(FEATURES_X86_64, FEATURES_X86_64));

    assert_int_equal(features_missing(&arm, &intel, &why), 1);
    assert_string_equal((char *)why.data, "an aarch64 machine");
    buf_clear(&why);
    assert_int_equal(features_missing(&intel, &arm, &why), 1);
    assert_string_equal((char *)why.data, "an x86_64 machine");
    buf_clear(&why);
    assert_int_equal(features_missing(&other, &intel, &why), 1);
    assert_string_equal((char *)why.data, "a machine of another architecture");
}

static void what_code_needs_is_never_guessed(void **state)
{
    (void)state;
    static const struct {
        const char *triple, *cpu, *list, *why;
    } cases[] = {{INTEL, "znver99", "", "CPU znver99"},
                 {INTEL, "znver99", "+avx2", "CPU znver99"},
                 {INTEL, "", "+avx2", "CPU "},
                 {INTEL, "neoverse-n1", "", "CPU neoverse-n1"},
                 {ARM, "skylake", "", "CPU skylake"},
                 {INTEL, "generic", "+avx2,+warp,+weft", "feature warp is"},
                 {INTEL, "generic", "+neon", "feature neon is"},
                 {ARM, "generic", "+avx2", "feature avx2 is"},
                 {"ppc64le-linux-gnu", "generic", "", "ppc64le-linux-gnu"},
                 {"i686-pc-linux-gnu", "generic", "", "i686-pc-linux-gnu"}};
    struct features f;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wp_error err = {0};
        int r = features_needed(&f, cases[i].triple, cases[i].cpu, cases[i].list, &err);

        if (r != -ENOTSUP || !strstr(err.message, cases[i].why))
            fail_msg("case %zu: %d, %s", i, r, err.message);
    }
    /* What is not known and not used harms nobody. */
    f = needed(INTEL, "generic", "+avx2,-warp");
    assert_true(has(&f, "avx2"));
}

static void sets_have_one_text(void **state)
{
    (void)state;
    struct features f = needed(INTEL, "generic", "+avx2,-sse4a"), g;
    _cleanup_buf_ struct buf text = {0}, again = {0}, none = {0}, arm = {0};

    assert_int_equal(features_text(&f, &text), 0);
    assert_string_equal((char *)text.data,
                        "64bit,avx,avx2,cmov,cx8,sse,sse2,sse3,sse4.1,sse4.2,ssse3,x87");
    g = needed(INTEL, "x86-64-v2", "+avx,-mmx");
    assert_int_equal(features_text(&g, &again), 0);
    assert_string_not_equal((char *)again.data, (char *)text.data);
    assert_int_equal(features_text(&(struct features){.arch = FEATURES_X86_64}, &none), 0);
    assert_string_equal((char *)none.data, "");
    f = needed(ARM, "cortex-a72", "");
    assert_int_equal(features_text(&f, &arm), 0);
    assert_string_equal((char *)arm.data, "aes,crc,fp-armv8,neon,sha2");
}

/* As Numba does on some machines that have it: every avx* with a minus. */
static void what_numba_denies_is_not_had(void **state)
{
    (void)state;
    struct features have = of_cpu("x86-64-v4"), code = needed(INTEL, "x86-64-v2", "+avx");
    _cleanup_buf_ struct buf why = {0};

    assert_int_equal(features_missing(&code, &have, &why), 0);
    features_deny(&have, "+64bit,-avx,-avx2,+sse4.2,-warp");
    assert_true(has(&have, "sse4.2") && !has(&have, "fma") && !has(&have, "avx512f"));
    assert_int_equal(features_missing(&code, &have, &why), 1);
    assert_string_equal((char *)why.data, "avx");
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
        cmocka_unit_test(each_word_of_the_tables_is_in_the_tables),
        cmocka_unit_test(llvm_assembles_for_aarch64_cpus_what_the_table_has),
        cmocka_unit_test(code_for_aarch64_runs_where_the_system_tells_its_features),
        cmocka_unit_test(another_architecture_is_another_machine),
        cmocka_unit_test(what_code_needs_is_never_guessed),
        cmocka_unit_test(sets_have_one_text),
        cmocka_unit_test(what_numba_denies_is_not_had),
        cmocka_unit_test(only_plain_names_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
