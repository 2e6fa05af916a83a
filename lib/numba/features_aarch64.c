/* Lists what aarch64 CPUs can have. */

#include "numba/features_table.h"

/* The bits of AT_HWCAP and AT_HWCAP2, with their names where those are others. Source: Linux,
 * arch/arm64/include/uapi/asm/hwcap.h. */
#define BIT(number) (UINT64_C(1) << (number))

#define ROW(name, on, one, two)                                                                    \
    {                                                                                              \
        name, on, .caps = (one), .caps2 = (two)                                                    \
    }
#define BY_HAND(name, on, one, two)                                                                \
    {                                                                                              \
        name, on, .by_hand = true, .caps = (one), .caps2 = (two)                                   \
    }

const struct features_row features_aarch64_rows[] = {
    ROW("fp-armv8", "", BIT(0), 0),          /* fp */
    ROW("neon", "fp-armv8", BIT(1), 0),      /* asimd */
    ROW("aes", "neon", BIT(3) | BIT(4), 0),  /* aes pmull */
    ROW("sha2", "neon", BIT(5) | BIT(6), 0), /* sha1 sha2 */
    /* Another name for the two. */
    ROW("crypto", "aes sha2", BIT(3) | BIT(4) | BIT(5) | BIT(6), 0), /* aes pmull sha1 sha2 */
    ROW("crc", "", BIT(7), 0),                                       /* crc32 */
    ROW("lse", "", BIT(8), 0),                                       /* atomics */
    ROW("rdm", "neon", BIT(12), 0),                                  /* asimdrdm */
    ROW("fullfp16", "fp-armv8", BIT(9) | BIT(10), 0),                /* fphp asimdhp */
    ROW("dotprod", "neon", BIT(20), 0),                              /* asimddp */
    ROW("fp16fml", "fullfp16 neon", BIT(23), 0),                     /* asimdfhm */
    ROW("sha3", "sha2", BIT(17) | BIT(21), 0),                       /* sha3 sha512 */
    ROW("sm4", "neon", BIT(18) | BIT(19), 0),                        /* sm3 sm4 */
    ROW("jsconv", "fp-armv8", BIT(13), 0),                           /* jscvt */
    ROW("complxnum", "neon", BIT(14), 0),                            /* fcma */
    ROW("rcpc", "", BIT(15), 0),                                     /* lrcpc */
    ROW("rcpc-immo", "rcpc", BIT(26), 0),                            /* ilrcpc */
    ROW("rcpc3", "rcpc-immo", 0, BIT(46)),                           /* lrcpc3 */
    ROW("lse2", "", BIT(25), 0),                                     /* uscat */
    ROW("lse128", "lse", 0, BIT(47)),
    ROW("fptoint", "fp-armv8", 0, BIT(8)), /* frint */
    ROW("bf16", "neon", 0, BIT(14)),
    ROW("i8mm", "neon", 0, BIT(13)),
    ROW("sve", "fullfp16", BIT(22), 0),
    ROW("f32mm", "sve", 0, BIT(10)), /* svef32mm */
    ROW("f64mm", "sve", 0, BIT(11)), /* svef64mm */
    ROW("sve2", "sve", 0, BIT(1)),
    ROW("sve2-aes", "sve2 aes", 0, BIT(2) | BIT(3)), /* sveaes svepmull */
    ROW("sve2-bitperm", "sve2", 0, BIT(4)),          /* svebitperm */
    ROW("sve2-sha3", "sve2 sha3", 0, BIT(5)),        /* svesha3 */
    ROW("sve2-sm4", "sve2 sm4", 0, BIT(6)),          /* svesm4 */
    /* Since LLVM 20 these stand for themselves. */
    ROW("sve-aes", "sve aes", 0, BIT(2) | BIT(3)), /* sveaes svepmull */
    ROW("sve-bitperm", "sve", 0, BIT(4)),          /* svebitperm */
    ROW("sve-sha3", "sve sha3", 0, BIT(5)),        /* svesha3 */
    ROW("sve-sm4", "sve sm4", 0, BIT(6)),          /* svesm4 */
    ROW("sve2p1", "sve2", 0, BIT(36)),
    ROW("cssc", "", 0, BIT(34)),
    ROW("mops", "", 0, BIT(43)),
    ROW("lut", "neon", 0, BIT(49)),
    ROW("faminmax", "neon", 0, BIT(50)),

    BY_HAND("flagm", "", BIT(27), 0),
    BY_HAND("altnzcv", "flagm", 0, BIT(7)), /* flagm2 */
    BY_HAND("dit", "", BIT(24), 0),
    BY_HAND("pauth", "", BIT(30) | BIT(31), 0), /* paca pacg */
    BY_HAND("ssbs", "", BIT(28), 0),
    BY_HAND("sb", "", BIT(29), 0),
    BY_HAND("bti", "", 0, BIT(17)),
    BY_HAND("mte", "", 0, BIT(18)),
    BY_HAND("rand", "", 0, BIT(16)),    /* rng */
    BY_HAND("ccpp", "", BIT(16), 0),    /* dcpop */
    BY_HAND("ccdp", "ccpp", 0, BIT(0)), /* dcpodp */
    BY_HAND("wfxt", "", 0, BIT(31)),
    BY_HAND("hbc", "", 0, BIT(44)),
    BY_HAND("sme", "bf16 fullfp16", 0, BIT(23)),
    BY_HAND("sme2", "sme", 0, BIT(37)),
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
