/* Lists what the names of CPUs stand for. Names of one row mean the same to compilers.
 * Source: LLVM 11 to 22, X86TargetParser.cpp. Where releases of LLVM differ, the larger set is
 * given: code may have been compiled with it. */

#include "numba/features_table.h"

#define AVX512_SKYLAKE "avx512f avx512cd avx512dq avx512bw avx512vl evex512 "
#define AVX512_ICELAKE "avx512bitalg avx512vbmi2 avx512vnni avx512vpopcntdq "
#define APX "egpr zu ccmp push2pop2 ppx ndd nf "
#define SKYLAKE "aes clflushopt xsavec xsaves sgx "

const struct features_cpu features_x86_cpus[] = {
    {"generic", NULL, "x87 cx8 cmov 64bit sse2"},
    {"x86-64", NULL, "x87 cx8 cmov 64bit mmx fxsr sse2"},
    {"x86-64-v2", "x86-64", "sahf popcnt crc32 sse4.2 cx16"},
    {"x86-64-v3", "x86-64-v2", "avx2 bmi bmi2 f16c fma lzcnt movbe xsave"},
    {"x86-64-v4", "x86-64-v3", AVX512_SKYLAKE},

    {"nocona", "x86-64", "cx16 sse3"},
    {"core2", "nocona", "sahf ssse3"},
    {"penryn", "core2", "sse4.1"},
    {"nehalem corei7", "penryn", "popcnt crc32 sse4.2"},
    {"westmere", "nehalem", "pclmul"},
    {"sandybridge corei7-avx", "westmere", "avx xsave xsaveopt"},
    {"ivybridge core-avx-i", "sandybridge", "f16c fsgsbase rdrnd"},
    {"haswell core-avx2", "ivybridge", "avx2 bmi bmi2 fma invpcid lzcnt movbe"},
    {"broadwell", "haswell", "adx prfchw rdseed"},
    {"skylake", "broadwell", SKYLAKE},
    {"skylake-avx512 skx", "broadwell", "aes clflushopt xsavec xsaves clwb pku " AVX512_SKYLAKE},
    {"cascadelake", "skylake-avx512", "avx512vnni"},
    {"cooperlake", "cascadelake", "avx512bf16"},
    {"cannonlake", "skylake", AVX512_SKYLAKE "avx512ifma avx512vbmi pku sha"},
    {"icelake-client", "cannonlake", AVX512_ICELAKE "gfni rdpid vaes vpclmulqdq"},
    {"rocketlake", "icelake-client", "", "sgx"},
    {"icelake-server", "icelake-client", "clwb pconfig wbnoinvd"},
    {"tigerlake", "icelake-client", "avx512vp2intersect movdir64b clwb movdiri shstk kl widekl"},
    {"sapphirerapids emeraldrapids", "icelake-server",
     "amx-bf16 amx-int8 amx-tile avx512bf16 avx512fp16 avx512vp2intersect avxvnni cldemote enqcmd "
     "movdir64b movdiri ptwrite serialize shstk tsxldtrk uintr waitpkg"},
    {"graniterapids", "sapphirerapids", "amx-fp16 prefetchi"},
    {"graniterapids-d", "graniterapids", "amx-complex"},
    {"diamondrapids", "graniterapids-d",
     "avx10.2 cmpccxadd avxifma avxneconvert avxvnniint8 avxvnniint16 sha512 sm3 sm4 " APX
     "movrs amx-movrs amx-avx512 amx-fp8 amx-tf32 amx-transpose usermsr"},
    {"knl", "broadwell", "aes avx512f avx512cd avx512er avx512pf prefetchwt1 evex512"},
    {"knm", "knl", "avx512vpopcntdq"},

    {"bonnell atom", "core2", "movbe"},
    {"silvermont slm", "bonnell", "crc32 pclmul popcnt prfchw rdrnd sse4.2"},
    {"goldmont", "silvermont", "aes clflushopt fsgsbase rdseed sha xsave xsavec xsaveopt xsaves"},
    {"goldmont-plus", "goldmont", "ptwrite rdpid sgx"},
    {"tremont", "goldmont-plus", "clwb gfni"},
    {"alderlake gracemont raptorlake meteorlake", "tremont",
     "adx avx2 bmi bmi2 f16c fma invpcid lzcnt pconfig pku serialize shstk vaes vpclmulqdq "
     "cldemote movdir64b movdiri waitpkg avxvnni hreset kl widekl"},
    {"sierraforest arrowlake", "alderlake",
     "cmpccxadd avxifma avxneconvert avxvnniint8 enqcmd uintr"},
    {"grandridge", "sierraforest", "raoint"},
    {"arrowlake-s lunarlake", "arrowlake", "avxvnniint16 sha512 sm3 sm4"},
    {"pantherlake wildcatlake", "arrowlake-s", "prefetchi"},
    {"novalake", "pantherlake", "avx10.2 movrs " APX},
    {"clearwaterforest", "arrowlake-s", "usermsr prefetchi"},

    {"k8 athlon64 athlon-fx opteron", "x86-64", "3dnowa"},
    {"k8-sse3 athlon64-sse3 opteron-sse3", "k8", "cx16 sse3"},
    {"amdfam10 barcelona", "k8-sse3", "lzcnt popcnt prfchw sahf sse4a"},
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
    {0},
};

/* Source: what LLVM 14, 20 and 22 compile for each, by feature; those that only hand-written code
 * uses are left out. The larger set is given here, too. */
const struct features_cpu features_aarch64_cpus[] = {
    {"generic", NULL, "neon"},
    {"apple-a7 apple-a8 apple-a9 cyclone", "generic", "aes sha2"},
    {"cortex-a34 cortex-a35 cortex-a53 cortex-a57 cortex-a72 cortex-a73 exynos-m3 kryo thunderx "
     "thunderxt81 thunderxt83 thunderxt88",
     "apple-a7", "crc"},
    {"apple-a10 falkor", "cortex-a34", "rdm"},
    {"thunderx2t99", "apple-a10", "lse"},
    {"apple-a11 carmel", "thunderx2t99", "fullfp16"},
    {"exynos-m4 exynos-m5", "apple-a11", "dotprod"},
    {"a64fx", "apple-a11", "complxnum sve"},
    {"cortex-a55 cortex-a65 cortex-a65ae cortex-a75 cortex-a76 cortex-a76ae cortex-a77 cortex-a78 "
     "cortex-a78ae cortex-x1 neoverse-e1 neoverse-n1",
     "exynos-m4", "rcpc"},
    {"thunderx3t110", "thunderx2t99", "jsconv complxnum rcpc"},
    {"apple-a12 apple-s4 apple-s5", "thunderx3t110", "fullfp16"},
    {"cortex-a78c", "cortex-a55", "fp16fml"},
    {"cortex-r82 cortex-r82ae", "generic",
     "crc lse rdm dotprod fp16fml jsconv complxnum rcpc-immo"},
    {"cortex-x1c", "cortex-a55", "rcpc-immo lse2"},
    {"tsv110", "exynos-m4", "fp16fml jsconv complxnum"},
    {"saphira", "thunderx3t110", "dotprod rcpc-immo lse2"},
    {"apple-a13 apple-s6 apple-s7 apple-s8", "saphira", "fp16fml sha3"},
    {"apple-a14 apple-latest apple-m1", "apple-a13", "fptoint"},
    {"ampere1", "saphira", "fullfp16 sha3 fptoint bf16 i8mm"},
    {"ampere1a", "ampere1", "sm4"},
    {"apple-a15 apple-a16 apple-a17 apple-a18 apple-m2 apple-m3 apple-m4 apple-s10 apple-s9",
     "ampere1", "fp16fml"},
    {"cobalt-100 cortex-a320 cortex-a510 cortex-a520 cortex-a520ae cortex-a710 cortex-a715 "
     "cortex-a720 cortex-a720ae cortex-a725 cortex-x2 cortex-x3 cortex-x4 cortex-x925 neoverse-n3 "
     "neoverse-v2 neoverse-v3 neoverse-v3ae",
     "cortex-r82", "lse2 fptoint bf16 i8mm sve2-bitperm"},
    {"ampere1b", "ampere1a", "cssc"},
    {"apple-a19 apple-m5", "apple-a15", "cssc"},
    {"c1-nano c1-premium c1-pro c1-ultra", "cobalt-100", "mops"},
    {"neoverse-512tvb neoverse-v1", "apple-a13", "sm4 bf16 i8mm sve"},
    {"oryon-1", "ampere1a", "fp16fml"},
    {"neoverse-n2", "cobalt-100", "aes sha2"},
    {"ampere1c", "ampere1b", "fp16fml sve2-aes sve2-sha3 sve2-sm4"},
    {"gb10 grace olympus", "neoverse-n2", "sve2-aes sve2-sha3 sve2-sm4"},
    {"fujitsu-monaka", "gb10", "mops"},
    {0},
};
