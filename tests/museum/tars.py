"""Tars of the museum."""

from blocks import END, Piece, header, file, gz, long_name, pax, padded

TEXT = b"x = 1\n"
A = file("a.py", TEXT)
B = file("b.py", b"x = 2\n")
ONE = {"a.py": TEXT}
BOTH = {"a.py": TEXT, "b.py": b"x = 2\n"}
DIRS = {"d1": None, "d2": None, **ONE}
SPARSE = bytes(4096) + b"end\n"
LONG = "d/" * 60 + "a.py"


def sparse_old():
    block = bytearray(header("a.py", size=512, type=b"S", magic=b"ustar  \0", checksum=b""))
    block[386:410] = b"%011o\0%011o\0" % (4096, 4)
    block[483:495] = b"%011o\0" % 4100
    block[148:156] = b" " * 8
    block[124:136] = b"%011o\0" % 4
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + padded(b"end\n")


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def signed(block):
    """With the checksum over signed bytes, as some had it."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(b - 256 if b > 127 else b for b in block)
    return bytes(block)


def good():
    yield Piece("no-end-blocks.tar", "ends where an entry ends", A + B, BOTH, says="no blocks of zeros")
    yield Piece("no-end-blocks.tar.gz", "likewise, in gzip", gz(A), ONE, says="no blocks of zeros")
    yield Piece("one-end-block.tar", "ends with one block of zeros", A + bytes(512), ONE)
    yield Piece("end-is-no-record.tar", "is no multiple of 10,240 bytes", A + END, ONE)
    yield Piece("empty.tar", "has no entry", bytes(10240), {})
    yield Piece("v7-directory-with-size.tar", "a directory by its slash has a size",
                header("d1/", size=1, type=b"\0", magic=b"", mode=0o755)
                + header("d2/", type=b"\0", magic=b"", mode=0o755) + A + END, DIRS)
    yield Piece("ustar-directory-by-slash-with-size.tar", "likewise, of type 0",
                header("d1/", size=700, mode=0o755) + header("d2/", type=b"5", mode=0o755) + A + END,
                DIRS)
    yield Piece("directory-with-size-hint.tar", "a directory says how large it may become",
                header("d1/", size=4096, type=b"5", mode=0o755)
                + header("d2/", type=b"5", mode=0o755) + A + END, DIRS)
    yield Piece("hard-link-with-size.tar", "a hard link has the size of its file",
                A + header("b.py", type=b"1", link="a.py", size=len(TEXT)) + END,
                {"a.py": TEXT, "b.py": TEXT})
    yield Piece("hard-link-with-content.tar", "a hard link has content, as POSIX allows",
                A + header("b.py", type=b"1", link="a.py", size=len(TEXT)) + padded(TEXT)
                + file("c.py", TEXT) + END, {"a.py": TEXT, "b.py": TEXT, "c.py": TEXT})
    yield Piece("v7.tar", "without magic", file("a.py", TEXT, magic=b"", type=b"\0") + END, ONE)
    yield Piece("signed-checksum.tar", "the checksum is over signed bytes",
                signed(header("ä.py", size=len(TEXT))) + padded(TEXT) + END, {"ä.py": TEXT})
    yield Piece("checksum-with-spaces.tar", "the checksum has spaces in front",
                file("a.py", TEXT, checksum=lambda n: b"%6o \0" % n) + END, ONE)
    yield Piece("numbers-with-spaces.tar", "numbers have spaces around them",
                file("a.py", TEXT, size=b"          6 ", uid=b"     0 \0") + END, ONE)
    yield Piece("size-in-base-256.tar", "the size is binary",
                file("a.py", TEXT, size=b"\x80" + bytes(10) + b"\6") + END, ONE)
    yield Piece("time-before-1970-in-base-256.tar", "the time is binary and negative",
                file("a.py", TEXT, mtime=b"\xff" * 11 + b"\xf6") + END, ONE, mtime=-10)
    yield Piece("gnu-long-name.tar", "GNU's long name", long_name(b"L", LONG.encode() + b"\0")
                + file(LONG[:99], TEXT) + END, {LONG: TEXT})
    yield Piece("gnu-long-name-without-nul.tar", "likewise, without the NUL at its end",
                long_name(b"L", LONG.encode()) + file(LONG[:99], TEXT) + END, {LONG: TEXT})
    yield Piece("gnu-long-link.tar", "GNU's long target", long_name(b"K", b"t" * 150 + b"\0")
                + header("l", type=b"2", link="t" * 100) + END, {"l": "t" * 150})
    yield Piece("prefix.tar", "a name in two parts",
                file("a.py", TEXT, prefix=b"d/" * 30 + b"d") + END, {"d/" * 31 + "a.py": TEXT})
    yield Piece("pax-path.tar", "the name in a pax record", pax(path="ä.py") + A + END,
                {"ä.py": TEXT})
    yield Piece("pax-path-in-latin-1.tar", "a pax name that is not UTF-8, and says so",
                pax(hdrcharset="BINARY", path=b"\xe4.py") + A + END, {b"\xe4.py": TEXT})
    yield Piece("pax-size.tar", "the size in a pax record alone",
                pax(size=str(len(TEXT))) + file("a.py", TEXT, size=0) + B + END, BOTH)
    yield Piece("pax-time-before-1970.tar", "half a second before 1970",
                pax(mtime="-0.5") + A + END, ONE, mtime=-0.5)
    yield Piece("pax-global-time.tar", "a time for all entries",
                pax(b"g", mtime="1000000000") + A + END, ONE, mtime=1000000000)
    yield Piece("pax-comment.tar", "a comment", pax(comment="what comes next") + A + END, ONE)
    yield Piece("pax-unknown-keyword.tar", "a record of another vendor",
                pax(**{"VENDOR.word": "1"}) + A + END, ONE)
    yield Piece("pax-of-solaris.tar", "pax records in a header of type X",
                pax(b"X", path="b.py") + A + END, {"b.py": TEXT})
    yield Piece("sparse-gnu.tar", "a sparse file, GNU's old way", sparse_old() + END,
                {"a.py": SPARSE})
    yield Piece("sparse-0.1.tar", "a sparse file, GNU's pax format 0.1",
                pax(**{"GNU.sparse.size": "4100", "GNU.sparse.numblocks": "1",
                       "GNU.sparse.map": "4096,4"}) + file("a.py", b"end\n") + END, {"a.py": SPARSE})
    yield Piece("sparse-1.0.tar", "a sparse file, GNU's pax format 1.0",
                pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                       "GNU.sparse.name": "a.py", "GNU.sparse.realsize": "4100"})
                + file("GNUSparseFile.0/a.py", padded(b"1\n4096\n4\n") + b"end\n") + END,
                {"a.py": SPARSE})
    yield Piece("contiguous-file.tar", "a file of type 7", file("a.py", TEXT, type=b"7") + END, ONE)
    yield Piece("unknown-type.tar", "an entry of a type that nobody knows",
                file("a.py", TEXT, type=b"Z") + END, ONE, says="unknown type")
    yield Piece("volume-label.tar", "the label of a volume",
                header("label", type=b"V", magic=b"ustar  \0") + A + END, ONE)
    yield Piece("same-name-twice.tar", "a name comes twice", file("a.py", b"old") + A + END, ONE)
    yield Piece("dots-and-slashes.tar", "names such as ./d//a.py",
                file("./d//./a.py", TEXT) + END, {"d/a.py": TEXT})
    yield Piece("device.tar", "a device, which is skipped",
                header("null", type=b"3", major=1, minor=3) + A + END, ONE, says="skipped", peers=False)
    yield Piece("another-archive-behind.tar", "two archives, joined", A + END + B + END, ONE,
                says="joined")
    yield Piece("two-members.tar.gz", "gzip in two members", gz(A) + gz(B + END), BOTH)
    yield Piece("zeros-behind.tar.gz", "zeros behind the gzip data", gz(A + END) + bytes(512), ONE)


def bad():
    def piece(name, what, data, says):
        return Piece(name, what, data, None, says=says)

    yield piece("truncated-in-header.tar", "ends within a header", A + B[:300], "truncated")
    yield piece("truncated-in-content.tar", "ends within content", A + B[:515], "truncated")
    yield piece("truncated-in-padding.tar", "ends within the padding", A + B[:-1], "truncated")
    yield piece("extended-header-at-end.tar", "an extended header without its entry",
                A + pax(path="b.py") + END, "without its entry")
    yield piece("checksum.tar", "a header is damaged", A + damaged(B, 3) + END, "no valid header")
    yield piece("size-no-octal.tar", "the size has a digit 9",
                file("a.py", TEXT, size=b"00000000009\0") + END, "malformed")
    yield piece("size-negative.tar", "the size is negative",
                file("a.py", TEXT, size=b"\xff" * 12) + END, "malformed")
    yield piece("garbage-between-entries.tar", "512 bytes that are no header",
                A + b"garbage " * 64 + B + END, "no valid header")
    yield Piece("absolute-name.tar", "a name that begins with a slash",
                file("/tmp/museum/a.py", TEXT) + END, None, says="refused", peers=False)
    yield piece("dotdot.tar", "a name that leads out", file("../a.py", TEXT) + END, "refused")
    yield piece("file-through-symlink.tar", "a file below a link that leads out",
                header("d", type=b"2", link="..") + file("d/a.py", TEXT) + END, "")
    yield piece("hard-link-to-nothing.tar", "a hard link to a file that is not there",
                header("a.py", type=b"1", link="none.py") + END, "none.py")
    yield piece("hard-link-outside.tar", "a hard link to a file above",
                header("a.py", type=b"1", link="../b.py") + END, "")
    yield piece("pax-length.tar", "a pax record that is longer than its header",
                long_name(b"x", b"99 path=b.py\n") + A + END, "malformed extended header")
    yield piece("pax-path-with-nul.tar", "a pax name with a zero byte",
                pax(path=b"a\0b.py") + A + END, "malformed extended header")
    yield piece("pax-time.tar", "a pax time that is none", pax(mtime="soon") + A + END,
                "malformed extended header")
    yield piece("pax-too-large.tar", "an extended header of 1 GiB",
                header("PaxHeader", type=b"x", size=1 << 30) + END, "16 MiB")
    yield piece("sparse-map.tar", "a sparse map that does not fit its file",
                pax(**{"GNU.sparse.size": "10", "GNU.sparse.numblocks": "1",
                       "GNU.sparse.map": "4096,4"}) + file("a.py", b"end\n") + END, "sparse map")
    yield piece("multi-volume.tar", "goes on with a file of another volume",
                file("a.py", TEXT, type=b"M", magic=b"ustar  \0") + END, "another volume")
    yield piece("text.tar", "text, long enough for a header", b"This is no tar. " * 64,
                "not an archive")
    yield piece("text.tar.gz", "text in gzip", gz(b"This is no tar. " * 64), "not a tar archive")
    yield piece("short-text.tar.gz", "text in gzip, shorter than a header", gz(TEXT),
                "not a tar archive")
    yield piece("nothing.tar.gz", "nothing in gzip", gz(b""), "not a tar archive")
    yield piece("nothing.tar", "nothing at all", b"", "empty")
    yield piece("gzip-checksum.tar.gz", "the checksum of gzip differs",
                damaged(gz(A + END), len(gz(A + END)) - 8), "checksum")
    yield piece("gzip-truncated.tar.gz", "gzip data that end early", gz(A + END)[:-9], "")
    yield piece("gzip-trailing.tar.gz", "something behind the gzip data", gz(A + END) + b"garbage",
                "follows")


def all_pieces():
    for piece in good():
        yield piece.named("tar-good-")
    for piece in bad():
        yield piece.named("tar-bad-")
