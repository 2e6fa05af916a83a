"""Tar archives byte by byte: every field can lie."""

import gzip
import hashlib
import io
import json
import tarfile

END = bytes(1024)


def number(value, width):
    """A field: an int in octal; bytes as they are."""
    if isinstance(value, int):
        value = b"%0*o" % (width - 1, value)
    return value.ljust(width, b"\0")


def header(name, *, type=b"0", size=0, link=b"", mode=0o644, uid=0, gid=0, mtime=0,
           checksum=None, magic=b"ustar\0" + b"00", prefix=b"", major=0, minor=0):
    name, link = (x.encode() if isinstance(x, str) else x for x in (name, link))
    block = bytearray(512)

    def put(at, width, data):
        assert len(data) <= width, data
        block[at:at + len(data)] = data

    put(0, 100, name)
    put(100, 8, number(mode, 8))
    put(108, 8, number(uid, 8))
    put(116, 8, number(gid, 8))
    put(124, 12, number(size, 12))
    put(136, 12, number(mtime, 12))
    put(148, 8, b" " * 8)
    put(156, 1, type)
    put(157, 100, link)
    put(257, 8, magic)
    put(329, 8, number(major, 8))
    put(337, 8, number(minor, 8))
    put(345, 155, prefix)
    put(148, 8, b"%06o\0 " % sum(block) if checksum is None else checksum)
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def file(name, content=b"evil", **fields):
    content = content.encode() if isinstance(content, str) else content
    fields.setdefault("size", len(content))
    return header(name, **fields) + padded(content)


def directory(name, **fields):
    return header(name, type=b"5", mode=fields.pop("mode", 0o755), **fields)


def symlink(name, target, **fields):
    return header(name, type=b"2", link=target, mode=0o777, **fields)


def hardlink(name, target, **fields):
    return header(name, type=b"1", link=target, **fields)


def record(key, value):
    key, value = (x.encode() if isinstance(x, str) else x for x in (key, value))
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) != len(str(length)):
        total = length + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def pax(*records, type=b"x", **fields):
    """Records as (key, value), or as raw bytes."""
    data = b"".join(r if isinstance(r, bytes) else record(*r) for r in records)
    return file("pax", data, type=type, **fields)


def gnu_long(text, type=b"L"):
    return file("././@LongLink", text + b"\0", type=type, magic=b"ustar  \0")


def tar(*parts):
    return b"".join(parts) + END


# ---- Archives of ours, taken apart and put together again ------------------------------------

class Ours:
    """A plain tar that warmpack made: .parts are [raw headers, name, content], the manifest is the
    last; .lines are the manifest's."""

    def __init__(self, data):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
        starts = [m.offset for m in members]
        # What stands before the first member is the mark.
        self.parts = []
        for i, m in enumerate(members):
            start = 0 if i == 0 else starts[i]
            content = data[m.offset_data:m.offset_data + m.size]
            if not m.isreg():
                content = b""
            self.parts.append([data[start:m.offset_data], m.name, content])
        self.manifest_header, self.manifest_name, text = self.parts.pop()
        self.lines = [json.loads(line) for line in text.splitlines()]
        # The offset of the first member is that of its own extended header.
        first = self.parts[0][0]
        at = 1024 + int(first[124:136].rstrip(b"\0 "), 8) // 512 * 512 if first[156:157] == b"g" \
            else 0
        self.mark, self.parts[0][0] = first[:at], first[at:]
        assert self.mark and b"warmpack-manifest" in self.mark

    def line(self, **members):
        """The manifest's line that has these members."""
        (found,) = [x for x in self.lines if all(x.get(k) == v for k, v in members.items())]
        return found

    def text(self):
        """The manifest as it is now, with an end line that fits."""
        body = b"".join(json.dumps(x, ensure_ascii=False).encode() + b"\n"
                        for x in self.lines if "end" not in x)
        return body + self.end(body)

    def end(self, body, **changed):
        last = {"end": True, "entries": sum("path" in x for x in self.lines),
                "sha256": hashlib.sha256(body).hexdigest(), **changed}
        return json.dumps(last).encode() + b"\n"

    def manifest(self, text=None, name=None):
        return file(name or self.manifest_name, self.text() if text is None else text)

    def entries(self):
        return b"".join(head + padded(content) for head, _, content in self.parts)

    def tar(self, text=None, mark=None, manifest=None):
        mark = self.mark if mark is None else mark
        manifest = self.manifest(text) if manifest is None else manifest
        return tar(mark, self.entries(), manifest)


def gz(data):
    return gzip.compress(data, 1, mtime=0)
