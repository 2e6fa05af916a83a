/* What the names of CPUs stand for.
 * Source: LLVM 11 to 22, X86TargetParser.cpp. Where releases of LLVM differ, the larger set is
 * given: code may have been compiled with it. */

#include <string.h>

#include "numba/features_table.h"

struct cpu {
    const char *name;
    const char *like;    /* NULL: the base is empty */
    const char *more;    /* features that LIKE lacks, parted by spaces */
    const char *without; /* features of LIKE that it lacks; NULL: none */
};

#define AVX512_SKYLAKE "avx512f avx512cd avx512dq avx512bw avx512vl evex512 "
#define AVX512_ICELAKE "avx512bitalg avx512vbmi2 avx512vnni avx512vpopcntdq "
#define APX "egpr zu ccmp push2pop2 ppx ndd nf "
#define SKYLAKE "aes clflushopt xsavec xsaves sgx "

/* A name stands behind the one it is like. */
static const struct cpu cpus[] = {
    {"generic", NULL, "x87 cx8 cmov 64bit sse2"},
    {"x86-64", NULL, "x87 cx8 cmov 64bit mmx fxsr sse2"},
    {"x86-64-v2", "x86-64", "sahf popcnt crc32 sse4.2 cx16"},
    {"x86-64-v3", "x86-64-v2", "avx2 bmi bmi2 f16c fma lzcnt movbe xsave"},
    {"x86-64-v4", "x86-64-v3", AVX512_SKYLAKE},

    {"nocona", "x86-64", "cx16 sse3"},
    {"core2", "nocona", "sahf ssse3"},
    {"penryn", "core2", "sse4.1"},
    {"nehalem", "penryn", "popcnt crc32 sse4.2"},
    {"corei7", "nehalem", ""},
    {"westmere", "nehalem", "pclmul"},
    {"sandybridge", "westmere", "avx xsave xsaveopt"},
    {"corei7-avx", "sandybridge", ""},
    {"ivybridge", "sandybridge", "f16c fsgsbase rdrnd"},
    {"core-avx-i", "ivybridge", ""},
    {"haswell", "ivybridge", "avx2 bmi bmi2 fma invpcid lzcnt movbe"},
    {"core-avx2", "haswell", ""},
    {"broadwell", "haswell", "adx prfchw rdseed"},
    {"skylake", "broadwell", SKYLAKE},
    {"skylake-avx512", "broadwell", "aes clflushopt xsavec xsaves clwb pku " AVX512_SKYLAKE},
    {"skx", "skylake-avx512", ""},
    {"cascadelake", "skylake-avx512", "avx512vnni"},
    {"cooperlake", "cascadelake", "avx512bf16"},
    {"cannonlake", "skylake", AVX512_SKYLAKE "avx512ifma avx512vbmi pku sha"},
    {"icelake-client", "cannonlake", AVX512_ICELAKE "gfni rdpid vaes vpclmulqdq"},
    {"rocketlake", "icelake-client", "", "sgx"},
    {"icelake-server", "icelake-client", "clwb pconfig wbnoinvd"},
    {"tigerlake", "icelake-client", "avx512vp2intersect movdir64b clwb movdiri shstk kl widekl"},
    {"sapphirerapids", "icelake-server",
     "amx-bf16 amx-int8 amx-tile avx512bf16 avx512fp16 avx512vp2intersect avxvnni cldemote enqcmd "
     "movdir64b movdiri ptwrite serialize shstk tsxldtrk uintr waitpkg"},
    {"emeraldrapids", "sapphirerapids", ""},
    {"graniterapids", "sapphirerapids", "amx-fp16 prefetchi"},
    {"graniterapids-d", "graniterapids", "amx-complex"},
    {"diamondrapids", "graniterapids-d",
     "avx10.2 cmpccxadd avxifma avxneconvert avxvnniint8 avxvnniint16 sha512 sm3 sm4 " APX
     "movrs amx-movrs amx-avx512 amx-fp8 amx-tf32 amx-transpose usermsr"},
    {"knl", "broadwell", "aes avx512f avx512cd avx512er avx512pf prefetchwt1 evex512"},
    {"knm", "knl", "avx512vpopcntdq"},

    {"bonnell", "core2", "movbe"},
    {"atom", "bonnell", ""},
    {"silvermont", "bonnell", "crc32 pclmul popcnt prfchw rdrnd sse4.2"},
    {"slm", "silvermont", ""},
    {"goldmont", "silvermont", "aes clflushopt fsgsbase rdseed sha xsave xsavec xsaveopt xsaves"},
    {"goldmont-plus", "goldmont", "ptwrite rdpid sgx"},
    {"tremont", "goldmont-plus", "clwb gfni"},
    {"alderlake", "tremont",
     "adx avx2 bmi bmi2 f16c fma invpcid lzcnt pconfig pku serialize shstk vaes vpclmulqdq "
     "cldemote movdir64b movdiri waitpkg avxvnni hreset kl widekl"},
    {"gracemont", "alderlake", ""},
    {"raptorlake", "alderlake", ""},
    {"meteorlake", "alderlake", ""},
    {"sierraforest", "alderlake", "cmpccxadd avxifma avxneconvert avxvnniint8 enqcmd uintr"},
    {"arrowlake", "sierraforest", ""},
    {"grandridge", "sierraforest", "raoint"},
    {"arrowlake-s", "arrowlake", "avxvnniint16 sha512 sm3 sm4"},
    {"lunarlake", "arrowlake-s", ""},
    {"pantherlake", "arrowlake-s", "prefetchi"},
    {"wildcatlake", "pantherlake", ""},
    {"novalake", "pantherlake", "avx10.2 movrs " APX},
    {"clearwaterforest", "arrowlake-s", "usermsr prefetchi"},

    {"k8", "x86-64", "3dnowa"},
    {"athlon64", "k8", ""},
    {"athlon-fx", "k8", ""},
    {"opteron", "k8", ""},
    {"k8-sse3", "k8", "cx16 sse3"},
    {"athlon64-sse3", "k8-sse3", ""},
    {"opteron-sse3", "k8-sse3", ""},
    {"amdfam10", "k8-sse3", "lzcnt popcnt prfchw sahf sse4a"},
    {"barcelona", "amdfam10", ""},
    {"btver1", "x86-64", "cx16 lzcnt popcnt prfchw sahf sse4a ssse3"},
    {"btver2", "btver1", "aes avx bmi crc32 f16c movbe pclmul xsave xsaveopt"},
    {"bdver1", "x86-64",
     "aes avx cx16 crc32 fma4 lwp lzcnt pclmul popcnt prfchw sahf sse4a xop xsave"},
    {"bdver2", "bdver1", "bmi f16c fma tbm"},
    {"bdver3", "bdver2", "fsgsbase xsaveopt"},
    {"bdver4", "bdver3", "avx2 bmi2 movbe mwaitx rdrnd"},
    {"znver1", "x86-64",
     "adx aes avx2 bmi bmi2 clflushopt clzero cx16 crc32 f16c fma fsgsbase lzcnt movbe mwaitx "
     "pclmul popcnt prfchw rdrnd rdseed sahf sha sse4a xsave xsavec xsaveopt xsaves"},
    {"znver2", "znver1", "clwb rdpid rdpru wbnoinvd"},
    {"znver3", "znver2", "invpcid pku vaes vpclmulqdq"},
    {"znver4", "znver3",
     AVX512_SKYLAKE AVX512_ICELAKE "avx512ifma avx512vbmi avx512bf16 gfni shstk"},
    {"znver5", "znver4", "avx512vp2intersect avxvnni movdir64b movdiri prefetchi"},
};

/* Each word of TEXT is a feature of the table; tests/unit/test_features.c sees to it. */
static void change(struct features *f, const char *text,
                   void (*how)(struct features *f, unsigned id))
{
    unsigned id;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (features_find(text, n, &id))
            how(f, id);
        text += n + (text[n] == ' ');
    }
}

/* LLVM takes "skylake_avx512" for "skylake-avx512". */
static bool is_name(const char *name, const char *given)
{
    while (*name && (*name == *given || (*name == '-' && *given == '_'))) {
        name++;
        given++;
    }
    return *name == *given;
}

bool features_of_cpu(const char *name, struct features *out)
{
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        const struct cpu *c = &cpus[i];

        if (!is_name(c->name, name))
            continue;
        *out = (struct features){0};
        if (c->like && !features_of_cpu(c->like, out))
            return false;
        change(out, c->more, features_add);
        if (c->without)
            change(out, c->without, features_remove);
        return true;
    }
    return false;
}
