/* Lists what aarch64 CPUs can have. */

#include "numba/features_table.h"

/* AT_HWCAP and AT_HWCAP2, by bit. Source: Linux, arch/arm64/include/uapi/asm/hwcap.h. */
#define CAP(bit) (UINT64_C(1) << (bit))
enum {
    FP = 0,
    ASIMD = 1,
    AES = 3,
    PMULL = 4,
    SHA1 = 5,
    SHA2 = 6,
    CRC32 = 7,
    ATOMICS = 8,
    FPHP = 9,
    ASIMDHP = 10,
    ASIMDRDM = 12,
    JSCVT = 13,
    FCMA = 14,
    LRCPC = 15,
    DCPOP = 16,
    SHA3 = 17,
    SM3 = 18,
    SM4 = 19,
    ASIMDDP = 20,
    SHA512 = 21,
    SVE = 22,
    ASIMDFHM = 23,
    DIT = 24,
    USCAT = 25,
    ILRCPC = 26,
    FLAGM = 27,
    SSBS = 28,
    SB = 29,
    PACA = 30,
    PACG = 31
};
enum {
    DCPODP = 0,
    SVE2 = 1,
    SVEAES = 2,
    SVEPMULL = 3,
    SVEBITPERM = 4,
    SVESHA3 = 5,
    SVESM4 = 6,
    FLAGM2 = 7,
    FRINT = 8,
    SVEF32MM = 10,
    SVEF64MM = 11,
    I8MM = 13,
    BF16 = 14,
    RNG = 16,
    BTI = 17,
    MTE = 18,
    SME = 23,
    WFXT = 31,
    CSSC = 34,
    SVE2P1 = 36,
    SME2 = 37,
    MOPS = 43,
    HBC = 44,
    LRCPC3 = 46,
    LSE128 = 47,
    LUT = 49,
    FAMINMAX = 50
};

#define ROW(name, on, one, two)                                                                    \
    {                                                                                              \
        name, on, .caps = (one), .caps2 = (two)                                                    \
    }
#define BY_HAND(name, on, one, two)                                                                \
    {                                                                                              \
        name, on, .by_hand = true, .caps = (one), .caps2 = (two)                                   \
    }

const struct features_row features_aarch64_rows[] = {
    ROW("fp-armv8", "", CAP(FP), 0),
    ROW("neon", "fp-armv8", CAP(ASIMD), 0),
    ROW("aes", "neon", CAP(AES) | CAP(PMULL), 0),
    ROW("sha2", "neon", CAP(SHA1) | CAP(SHA2), 0),
    /* Another name for the two. */
    ROW("crypto", "aes sha2", CAP(AES) | CAP(PMULL) | CAP(SHA1) | CAP(SHA2), 0),
    ROW("crc", "", CAP(CRC32), 0),
    ROW("lse", "", CAP(ATOMICS), 0),
    ROW("rdm", "neon", CAP(ASIMDRDM), 0),
    ROW("fullfp16", "fp-armv8", CAP(FPHP) | CAP(ASIMDHP), 0),
    ROW("dotprod", "neon", CAP(ASIMDDP), 0),
    ROW("fp16fml", "fullfp16 neon", CAP(ASIMDFHM), 0),
    ROW("sha3", "sha2", CAP(SHA3) | CAP(SHA512), 0),
    ROW("sm4", "neon", CAP(SM3) | CAP(SM4), 0),
    ROW("jsconv", "fp-armv8", CAP(JSCVT), 0),
    ROW("complxnum", "neon", CAP(FCMA), 0),
    ROW("rcpc", "", CAP(LRCPC), 0),
    ROW("rcpc-immo", "rcpc", CAP(ILRCPC), 0),
    ROW("rcpc3", "rcpc-immo", 0, CAP(LRCPC3)),
    ROW("lse2", "", CAP(USCAT), 0),
    ROW("lse128", "lse", 0, CAP(LSE128)),
    ROW("fptoint", "fp-armv8", 0, CAP(FRINT)),
    ROW("bf16", "neon", 0, CAP(BF16)),
    ROW("i8mm", "neon", 0, CAP(I8MM)),
    ROW("sve", "fullfp16", CAP(SVE), 0),
    ROW("f32mm", "sve", 0, CAP(SVEF32MM)),
    ROW("f64mm", "sve", 0, CAP(SVEF64MM)),
    ROW("sve2", "sve", 0, CAP(SVE2)),
    ROW("sve2-aes", "sve2 aes", 0, CAP(SVEAES) | CAP(SVEPMULL)),
    ROW("sve2-bitperm", "sve2", 0, CAP(SVEBITPERM)),
    ROW("sve2-sha3", "sve2 sha3", 0, CAP(SVESHA3)),
    ROW("sve2-sm4", "sve2 sm4", 0, CAP(SVESM4)),
    /* Since LLVM 20 these stand for themselves. */
    ROW("sve-aes", "sve aes", 0, CAP(SVEAES) | CAP(SVEPMULL)),
    ROW("sve-bitperm", "sve", 0, CAP(SVEBITPERM)),
    ROW("sve-sha3", "sve sha3", 0, CAP(SVESHA3)),
    ROW("sve-sm4", "sve sm4", 0, CAP(SVESM4)),
    ROW("sve2p1", "sve2", 0, CAP(SVE2P1)),
    ROW("cssc", "", 0, CAP(CSSC)),
    ROW("mops", "", 0, CAP(MOPS)),
    ROW("lut", "neon", 0, CAP(LUT)),
    ROW("faminmax", "neon", 0, CAP(FAMINMAX)),

    BY_HAND("flagm", "", CAP(FLAGM), 0),
    BY_HAND("altnzcv", "flagm", 0, CAP(FLAGM2)),
    BY_HAND("dit", "", CAP(DIT), 0),
    BY_HAND("pauth", "", CAP(PACA) | CAP(PACG), 0),
    BY_HAND("ssbs", "", CAP(SSBS), 0),
    BY_HAND("sb", "", CAP(SB), 0),
    BY_HAND("bti", "", 0, CAP(BTI)),
    BY_HAND("mte", "", 0, CAP(MTE)),
    BY_HAND("rand", "", 0, CAP(RNG)),
    BY_HAND("ccpp", "", CAP(DCPOP), 0),
    BY_HAND("ccdp", "ccpp", 0, CAP(DCPODP)),
    BY_HAND("wfxt", "", 0, CAP(WFXT)),
    BY_HAND("hbc", "", 0, CAP(HBC)),
    BY_HAND("sme", "bf16 fullfp16", 0, CAP(SME)),
    BY_HAND("sme2", "sme", 0, CAP(SME2)),
    {0},
};

const unsigned features_aarch64_count =
    sizeof features_aarch64_rows / sizeof *features_aarch64_rows - 1;

void features_of_hwcaps(uint64_t caps, uint64_t caps2, struct features *out)
{
    unsigned first, end;

    *out = (struct features){.arch = FEATURES_AARCH64};
    features_ids(FEATURES_AARCH64, &first, &end);
    for (unsigned i = first; i < end; i++) {
        const struct features_row *row = features_row(i);

        if ((row->caps & ~caps) == 0 && (row->caps2 & ~caps2) == 0)
            out->bits[i / 64] |= UINT64_C(1) << i % 64;
    }
}
