"""What the archives of the museum are made of. Nothing is compressed: deflate data are stored
blocks, so that the bytes do not depend on a version of zlib."""

import dataclasses
import struct
import zlib

END = bytes(1024)


@dataclasses.dataclass
class Piece:
    name: str
    what: str  # is odd about it
    data: bytes
    tree: dict  # path: content of a file, str: target of a link, None: directory; None: none
    says: str = ""  # in what warmpack says; with a tree: as a warning
    mtime: float = None  # of the only file
    peers: bool = True  # may peers unpack it?

    def named(self, prefix):
        return dataclasses.replace(self, name=prefix + self.name)


# ---- Deflate and gzip

def stored(data):
    """Deflate data that hold DATA as they are."""
    return b"\1" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data


def gz(data):
    return (b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored(data)
            + struct.pack("<II", zlib.crc32(data), len(data)))


# ---- Tar

def number(value, width):
    """A field: an int in octal; bytes as they are."""
    if isinstance(value, int):
        value = b"%0*o" % (width - 1, value)
    return value.ljust(width, b"\0")


def header(name, *, type=b"0", size=0, link="", mode=0o644, uid=0, gid=0, mtime=1000000000,
           checksum=lambda n: b"%06o\0 " % n, magic=b"ustar\0" + b"00", prefix=b"", major=0,
           minor=0):
    block = bytearray(512)
    fields = ((0, name.encode()), (100, number(mode, 8)), (108, number(uid, 8)),
              (116, number(gid, 8)), (124, number(size, 12)), (136, number(mtime, 12)),
              (148, b" " * 8), (156, type), (157, link.encode()), (257, magic),
              (329, number(major, 8)), (337, number(minor, 8)), (345, prefix))
    for at, data in fields:
        block[at:at + len(data)] = data
    if checksum:
        block[148:156] = checksum(sum(block))
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def file(name, content, **fields):
    fields.setdefault("size", len(content))
    return header(name, **fields) + padded(content)


def long_name(type, content):
    return file("././@LongLink", content, type=type)


def record(key, value):
    body = b" " + key.encode() + b"=" + value + b"\n"
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


def pax(type=b"x", **records):
    return file("PaxHeader", type=type, content=b"".join(
        record(k, v.encode() if isinstance(v, str) else v) for k, v in records.items()))


# ---- Zip

def extra(tag, data):
    return struct.pack("<HH", tag, len(data)) + data


@dataclasses.dataclass
class Entry:
    name: bytes
    content: bytes = b""
    packed: bytes = None  # None: the content
    method: int = 0
    flags: int = 0
    host: int = 3
    mode: int = 0o100644
    attributes: int = None  # None: of the mode
    date: int = 0x5821
    extra: bytes = b""  # of both headers
    local_extra: bytes = None
    descriptor: bytes = None  # behind the content: its signature, or b""
    crc: int = None
    size: int = None  # what the headers say
    packed_size: int = None
    local_name: bytes = None
    gap: bytes = b""  # before it

    def common(self, extra_size, sizes=True):
        packed = self.content if self.packed is None else self.packed
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        size = len(self.content) if self.size is None else self.size
        packed_size = len(packed) if self.packed_size is None else self.packed_size
        numbers = (crc, packed_size, size) if sizes else (0, 0, 0)
        return struct.pack("<HHHHIIIHH", self.flags, self.method, 0, self.date, *numbers,
                           len(self.name), extra_size)

    def local(self):
        fields = self.extra if self.local_extra is None else self.local_extra
        data = self.content if self.packed is None else self.packed
        if self.descriptor is not None:
            data += self.descriptor + struct.pack("<III", zlib.crc32(self.content), len(data),
                                                  len(self.content))
        return (self.gap + struct.pack("<IH", 0x04034B50, 20)
                + self.common(len(fields), self.descriptor is None)
                + (self.local_name or self.name) + fields + data)

    def central(self, at):
        attributes = self.mode << 16 if self.attributes is None else self.attributes
        return (struct.pack("<IBBH", 0x02014B50, 20, self.host, 20) + self.common(len(self.extra))
                + struct.pack("<HHHII", 0, 0, 0, attributes, at) + self.name + self.extra)


def zip_end(count, size, at, comment=b"", volume=0):
    return struct.pack("<IHHHHIIH", 0x06054B50, volume, volume, count, count, size, at,
                       len(comment)) + comment


def zip64_end(count, size, at, here):
    return (struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, at)
            + struct.pack("<IIQI", 0x07064B50, 0, here, 1))


def zipped(*entries, start=b"", shifted=False, comment=b"", order=None, end=zip_end):
    """The archive behind START; SHIFTED: offsets count from the archive's own beginning."""
    data, places = start, []
    for entry in entries:
        places.append(len(data) + len(entry.gap) - (len(start) if shifted else 0))
        data += entry.local()
    at = len(data) - (len(start) if shifted else 0)
    numbers = range(len(entries)) if order is None else order
    directory = b"".join(entries[i].central(places[i]) for i in numbers)
    return data + directory + end(len(entries), len(directory), at, comment)
