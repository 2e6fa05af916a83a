"""Zips of the museum."""

import struct
import zlib

from blocks import Entry, Piece, extra, stored, zip64_end, zip_end, zipped

TEXT = b"x = 1\n"
A = Entry(b"a.py", TEXT)
B = Entry(b"b.py", b"x = 2\n")
ONE = {"a.py": TEXT}
BOTH = {"a.py": TEXT, "b.py": b"x = 2\n"}
LINK = 0o120777
UTF8 = 1 << 11
# "target/" twelve times in LZMA, with an end mark, as 7-Zip packs a link.
LZMA_LINK = bytes.fromhex(
    "09040500"  # version and size of the properties
    "5d00008000"
    "003a184aab18ab92e1afd5bed823ffffdafd0000")


def unicode_path(stored_name, name):
    return extra(0x7075, struct.pack("<BI", 1, zlib.crc32(stored_name)) + name.encode())


def time(seconds):
    return extra(0x5455, struct.pack("<BI", 1, seconds & 0xFFFFFFFF))


def ntfs_time(seconds):
    ticks = (seconds + 11644473600) * 10000000
    return extra(0x000A, bytes(4) + struct.pack("<HHQQQ", 1, 24, ticks, ticks, ticks))


def long_sizes(size, packed):
    return extra(1, struct.pack("<QQ", size, packed))


def with_64(count, size, at, comment):
    here = at + size
    return zip64_end(count, size, at, here) + zip_end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, comment)


def with_idle_64(count, size, at, comment):
    return zip64_end(count, size, at, at + size) + zip_end(count, size, at, comment)


def good():
    raw = b"m\x81sli.py"
    yield Piece("unicode-path.zip", "Info-ZIP's Unicode Path field is the name",
                zipped(Entry(raw, TEXT, host=0, extra=unicode_path(raw, "müsli.py"))),
                {"müsli.py": TEXT})
    yield Piece("unicode-path-of-another-name.zip", "its checksum is of another name",
                zipped(Entry(b"a.py", TEXT, extra=unicode_path(b"old.py", "new.py"))), ONE)
    yield Piece("two-unicode-paths-of-one-name.zip", "two names become one by that field",
                zipped(Entry(b"1.py", b"old", extra=unicode_path(b"1.py", "a.py")),
                       Entry(b"2.py", TEXT, extra=unicode_path(b"2.py", "a.py"))), ONE,
                says="more than once")
    yield Piece("name-in-latin-1.zip", "a name without the flag for UTF-8",
                zipped(Entry(b"\xe4.py", TEXT)), {b"\xe4.py": TEXT})
    yield Piece("name-in-utf-8.zip", "a name with that flag",
                zipped(Entry("ä.py".encode(), TEXT, flags=UTF8)), {"ä.py": TEXT})
    yield Piece("same-name-twice.zip", "a name comes twice", zipped(Entry(b"a.py", b"old"), A), ONE,
                says="more than once")
    yield Piece("backslashes.zip", "a DOS name with backslashes",
                zipped(Entry(b"d\\a.py", TEXT, host=0, attributes=0x20)), {"d/a.py": TEXT})
    yield Piece("time-after-2038.zip", "a time that 32 bits do not hold",
                zipped(Entry(b"a.py", TEXT, date=60 << 9 | 6 << 5 | 15, extra=time(2223374400))), ONE,
                mtime=2223374400)
    yield Piece("time-before-1980.zip", "a time that DOS does not hold",
                zipped(Entry(b"a.py", TEXT, date=0x21, extra=time(-86400))), ONE, mtime=-86400)
    yield Piece("time-of-ntfs.zip", "a time in Windows' field",
                zipped(Entry(b"a.py", TEXT, host=0, attributes=0x20, extra=ntfs_time(1600000000))),
                ONE, mtime=1600000000)
    yield Piece("fifo-with-content.zip", "what zip has read from a pipe",
                zipped(Entry(b"-", TEXT, mode=0o010600)), {"-": TEXT})
    yield Piece("fifo.zip", "a FIFO, which is skipped",
                zipped(Entry(b"fifo", mode=0o010600), A), ONE, says="skipped", peers=False)
    yield Piece("symlink.zip", "a symbolic link", zipped(Entry(b"l", b"a.py", mode=LINK), A),
                {"l": "a.py", **ONE})
    yield Piece("symlink-in-lzma.zip", "a symbolic link packed with LZMA",
                zipped(Entry(b"l", b"target/" * 12, LZMA_LINK, method=14, flags=2, mode=LINK)),
                {"l": "target/" * 12})
    yield Piece("deflated.zip", "deflate data", zipped(Entry(b"a.py", TEXT, stored(TEXT), method=8)),
                ONE)
    yield Piece("empty-deflated.zip", "an empty file, deflated",
                zipped(Entry(b"a.py", b"", b"\3\0", method=8)), {"a.py": b""})
    yield Piece("descriptor.zip", "sizes behind the content",
                zipped(Entry(b"a.py", TEXT, stored(TEXT), method=8, flags=8,
                             descriptor=b"PK\7\x08"), B), BOTH)
    yield Piece("descriptor-without-signature.zip", "likewise, without a signature",
                zipped(Entry(b"a.py", TEXT, stored(TEXT), method=8, flags=8, descriptor=b""), B), BOTH)
    yield Piece("zip64-sizes.zip", "sizes in the long field, though small",
                zipped(Entry(b"a.py", TEXT, size=0xFFFFFFFF, packed_size=0xFFFFFFFF,
                             extra=long_sizes(6, 6))), ONE)
    yield Piece("zip64-end.zip", "the long end record alone counts", zipped(A, end=with_64), ONE)
    yield Piece("zip64-end-not-needed.zip", "a long end record that nobody asks for",
                zipped(A, end=with_idle_64), ONE)
    yield Piece("name-like-locator.zip", "a name like the locator of a long end record",
                zipped(Entry(b"PK\6\7" + b"a" * 13 + b".py", TEXT)),
                {"PK\6\7" + "a" * 13 + ".py": TEXT})
    yield Piece("directory-of-dos.zip", "a directory by its attribute alone",
                zipped(Entry(b"d1", host=0, attributes=0x10), A), {"d1": None, **ONE})
    yield Piece("mode-zero.zip", "no mode at all", zipped(Entry(b"a.py", TEXT, mode=0)), ONE)
    yield Piece("no-entry.zip", "has no entry", zipped(), {})
    yield Piece("comment.zip", "a comment", zipped(A, comment=b"a comment"), ONE)
    yield Piece("comment-like-end.zip", "a comment that begins like an end record",
                zipped(A, comment=b"PK\5\6" + b"x" * 30), ONE)
    yield Piece("line-behind.zip", "a line behind the end", zipped(A) + b"\n", ONE, says="ignored")
    yield Piece("zeros-behind.zip", "zeros behind the end", zipped(A) + bytes(1000), ONE)
    yield Piece("program-in-front.zip", "a program in front, which offsets count",
                zipped(A, start=b"#!/bin/sh\nexit\n"), ONE)
    yield Piece("program-in-front-shifted.zip", "likewise, which they do not count",
                zipped(A, start=b"#!/bin/sh\nexit\n", shifted=True), ONE)
    yield Piece("another-archive-in-front.zip", "two archives, joined",
                zipped(B, start=zipped(A), shifted=True), {"b.py": b"x = 2\n"}, says="joined")
    yield Piece("signature-in-front.zip", "once meant to be split",
                zipped(A, start=b"PK\7\x08"), ONE)
    yield Piece("directory-in-another-order.zip", "the directory has another order",
                zipped(A, B, order=(1, 0)), BOTH)
    yield Piece("gap.zip", "bytes between entries",
                zipped(A, Entry(b"b.py", b"x = 2\n", gap=b"a gap")), BOTH)
    yield Piece("extra-padding.zip", "three bytes behind the extra fields",
                zipped(Entry(b"a.py", TEXT, extra=time(1000000000) + bytes(3))), ONE,
                mtime=1000000000)


def bad():
    def piece(name, what, data, says):
        return Piece(name, what, data, None, says=says)

    inner = zipped(A, B)
    outer = Entry(b"i.zip", inner).local()
    yield piece("encrypted.zip", "an encrypted entry",
                zipped(Entry(b"a.py", TEXT, flags=1)), "encrypted")
    yield piece("encrypted-directory.zip", "an encrypted directory",
                zipped(Entry(b"a.py", TEXT, flags=1 << 13)), "encrypted")
    yield piece("deflate64.zip", "packed with Deflate64",
                zipped(Entry(b"a.py", TEXT, stored(TEXT), method=9)), "Deflate64")
    yield piece("implode.zip", "packed with Implode",
                zipped(Entry(b"a.py", TEXT, method=6)), "Implode")
    yield piece("unknown-method.zip", "packed in a way that nobody knows",
                zipped(Entry(b"a.py", TEXT, method=77)), "method")
    yield piece("no-end.zip", "ends before the directory", Entry(b"a.py", TEXT).local(),
                "end record is missing")
    yield piece("truncated-around-another.zip", "ends behind a zip that is packed in it",
                outer + Entry(b"b.py", TEXT).local()[:20], "another archive")
    yield piece("volumes.zip", "the last of two volumes",
                zipped(A, end=lambda n, size, at, c: zip_end(n, size, at, c, volume=1)), "volumes")
    yield piece("volumes-within-an-entry.zip", "likewise, and begins within an entry",
                zipped(A, end=lambda n, size, at, c: zip_end(n, size, at, c, volume=1))[33:], "volumes")
    yield piece("count.zip", "the end says another number of entries",
                zipped(A, end=lambda n, size, at, c: zip_end(2, size, at, c)), "number of entries")
    yield piece("directory-outside.zip", "the directory begins behind the end",
                zipped(A, end=lambda n, size, at, c: zip_end(n, size, at + 1000, c)), "fit")
    yield piece("zip64-end-missing.zip", "the long end record is not there",
                zipped(A, end=lambda n, size, at, c: zip64_end(n, size, at, 0)[56:]
                       + zip_end(0xFFFF, size, at, c)), "zip64 end record")
    yield piece("extra-length.zip", "an extra field longer than all of them",
                zipped(Entry(b"a.py", TEXT, extra=struct.pack("<HH", 0x5455, 99) + b"x")), "extra")
    yield piece("checksum.zip", "the checksum differs", zipped(Entry(b"a.py", TEXT, crc=1)),
                "checksum")
    yield piece("longer.zip", "more comes out than the headers say",
                zipped(Entry(b"a.py", TEXT, stored(TEXT), method=8, size=3)), "longer")
    yield piece("shorter.zip", "less comes out than the headers say",
                zipped(Entry(b"a.py", TEXT, stored(TEXT), method=8, size=9)), "shorter")
    yield piece("two-names.zip", "the two headers have different names",
                zipped(Entry(b"a.py", TEXT, local_name=b"b.py")), "contradict")
    yield piece("overlap.zip", "two entries are the same bytes",
                zipped(A, end=lambda n, size, at, c: Entry(b"b.py", TEXT).central(0)
                       + zip_end(2, 2 * size, at, c)), "overlap")
    yield Piece("absolute-name.zip", "a name that begins with a slash",
                zipped(Entry(b"/tmp/museum/a.py", TEXT)), None, says="refused", peers=False)
    yield piece("dotdot.zip", "a name that leads out", zipped(Entry(b"../a.py", TEXT)), "refused")
    yield piece("dotdot-by-unicode-path.zip", "a name that leads out by its Unicode Path",
                zipped(Entry(b"a.py", TEXT, extra=unicode_path(b"a.py", "../a.py"))), "refused")
    yield piece("nul-in-name.zip", "a name with a zero byte", zipped(Entry(b"a\0.py", TEXT)),
                "zero byte")
    yield piece("file-through-symlink.zip", "a file below a link that leads out",
                zipped(Entry(b"d", b"..", mode=LINK), Entry(b"d/a.py", TEXT)), "")
    yield piece("symlink-too-long.zip", "a symbolic link of 70,000 bytes",
                zipped(Entry(b"l", b"x" * 70000, mode=LINK)), "symbolic link")


def all_pieces():
    for piece in good():
        yield piece.named("zip-good-")
    for piece in bad():
        yield piece.named("zip-bad-")
