"""Numba's caches taken from where they lie in a tree that carries a manifest of warmpack's.

A tree that was sealed or extracted is warm without a restore: read-only, at any path, with any
times, under any user. Either of

    NUMBA_CACHE_LOCATOR_CLASSES=warmpack.locator.Warm      # Numba 0.62 and later
    import warmpack.locator; warmpack.locator.install()    # any Numba from 0.56 on
    WARMPACK_AUTO=1                                        # where warmpack is installed by pip

lets Numba ask the class Warm first. Where a source lies in such a tree and has the content that
the manifest records, its caches are copied to a directory of this user's, the overlay, and Numba
loads from there and saves there. Everywhere else Numba's own locators decide. See the manual page
warmpack-locator(7).

This file needs no other file of the package and imports nothing but the standard library and, once
Numba itself is there, Numba.
"""

import atexit
import base64
import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import logging
import os
import pickle
import re
import shutil
import stat
import struct
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple

__all__ = ["Warm", "consult", "install"]

_log = logging.getLogger("warmpack")

_FORMAT = 3  # of overlays: one of another format is left alone
_LARGEST_MANIFEST = 1 << 30
_TAIL = 4096  # the end of a manifest, with the digest of all of it
_SETTLED = 2 * 10**9  # ns: a file that changed so recently may change again within one time stamp
_FRESH = 0.2  # seconds for which looking again at a directory or at dependencies is spared
_UNUSED = 30 * 86400  # seconds after which another release's overlay is removed

_HOME = re.compile(r"(?:(.*)/)?(?:\.warmpack|EGG-INFO/warmpack|[^/]+\.dist-info/warmpack)/"
                   r"[0-9a-f]{16}", re.S)
_ID = re.compile(r"[0-9a-f]{16}")
_INDEX = re.compile(r"(.+\.py(\d+[a-z]*))\.nbi", re.S)
_MODULE = re.compile(r"[^./]+(\.py|\.pyc|(\.[^/]*)?\.(so|pyd))", re.S)
# Imports of names that do not stand in the source.
_DYNAMIC = re.compile(rb"importlib|__import__|pkgutil|runpy|__path__|exec\s*\(")
_PYTHON = "%d%d%s" % (*sys.version_info[:2], getattr(sys, "abiflags", ""))


class _Left(Exception):
    """Why a source is left to Numba's own locators; with WARMPACK_TRUST, to no cache."""


class _NoTrust(_Left):
    """Why no signature at all can be checked."""


# ---- Files -------------------------------------------------------------------------------------


def _read(path: str, end: int = 0) -> Tuple[bytes, os.stat_result]:
    """The content, or its last END bytes, of a regular file that is no symlink. What else stands
    there, such as a FIFO, holds nobody up."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _Left("%s is not a regular file" % path)
        if end and status.st_size > end:
            file.seek(-end, os.SEEK_END)
        return file.read(), status


# What the kernel says where a filesystem has no locks, or does without a service for them.
_NO_LOCKS = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK, errno.EBADF)


def _lock_file(fd: int) -> None:
    """Waits for the lock of the open file FD. Where the filesystem has none, nobody is waited for."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _identity(status: os.stat_result) -> Tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_beneath(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


# An error is no absence: what cannot be looked at is neither taken for gone, nor passed over.
_ABSENT = (FileNotFoundError, NotADirectoryError)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except _ABSENT:
        return False
    return True


def _modules(directory: str) -> List[str]:
    """What gives a module in there: files, and packages."""
    found = []
    with contextlib.suppress(*_ABSENT), os.scandir(directory) as items:
        for item in items:
            if _MODULE.fullmatch(item.name):
                found.append(item.name)
            elif "." not in item.name and _is_there(item.path + "/__init__.py"):
                found.append(item.name)
    return sorted(found)


def _imports(text: bytes) -> Optional[Set[str]]:
    """Parts of the names that a source may import, "" for its own package; None: any."""
    if _DYNAMIC.search(text):
        return None
    ast = importlib.import_module("ast")
    names: Set[str] = set()
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in nodes:
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in (getattr(node, "module", None) or "", *(each.name for each in node.names)):
                names.update(name.split("."))
    return names


class _Digests:
    """SHA-256 of files, remembered by path, times, size and inode: here and, where there is an
    overlay, in a file that processes append lines to."""

    def __init__(self) -> None:
        self.known: Dict[Tuple[Any, ...], str] = {}

    def load(self, path: str) -> None:
        with contextlib.suppress(OSError):
            for line in _read(path)[0].splitlines():
                with contextlib.suppress(ValueError, TypeError):  # a line that was cut
                    *key, digest = json.loads(line)
                    self.known[tuple(key)] = digest

    def of(self, path: str, status: os.stat_result, memory: Optional[str]) -> str:
        key = (path, *_identity(status))
        digest = self.known.get(key)
        if digest is None:
            content, now = _read(path)
            digest = hashlib.sha256(content).hexdigest()
            # A whole number of seconds is a time that somebody gave: squashfs has no other, and an
            # image that was made again has the same for another content.
            is_settled = (time.time_ns() - now.st_ctime_ns > _SETTLED
                          and now.st_ctime_ns % 10**9 != 0)
            if is_settled and _identity(now) == key[1:]:
                self.known[key] = digest
                if memory:
                    self._append(memory, json.dumps([*key, digest]) + "\n")
        return digest

    @staticmethod
    def _append(path: str, line: str) -> None:
        with contextlib.suppress(OSError):  # it will be taken again
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(path, flags, 0o600)
            with open(fd, "wb", buffering=0) as file:
                file.write(line.encode())


_digests = _Digests()


# ---- Trust -------------------------------------------------------------------------------------
# As in lib/manifest/signature.c. Keys are read by hand, since importing the package cryptography
# takes longer than all else here: only what has to read a manifest does that.

_CONTEXT = b"warmpack-manifest signature 1\0"  # signed is this, with the digest of what is before
_LARGEST_KEY = 64 << 10
_MOST_SIGNATURES = 64
_PUBLIC_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----")
_ED25519 = bytes.fromhex("302a300506032b6570032100")  # before the 32 bytes of a key (RFC 8410)


def _key(path: str) -> bytes:
    """The key in a file, which may be a symlink."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _NoTrust("%s, which WARMPACK_TRUST names, is not a regular file" % path)
        text = b""
        while len(text) <= _LARGEST_KEY:
            more = os.read(fd, _LARGEST_KEY)
            if not more:
                break
            text += more
    finally:
        os.close(fd)
    found, der = _PUBLIC_KEY.search(text), b""
    if text.count(b"-----BEGIN PUBLIC KEY-----") > 1:
        raise _NoTrust("%s, which WARMPACK_TRUST names, holds several keys" % path)
    with contextlib.suppress(ValueError):
        der = base64.b64decode(found[1]) if found else b""
    if (b"PRIVATE KEY" in text or len(text) > _LARGEST_KEY or len(der) != len(_ED25519) + 32
            or not der.startswith(_ED25519)):
        raise _NoTrust("%s, which WARMPACK_TRUST names, is no public Ed25519 key in PEM" % path)
    return der[len(_ED25519):]


def _key_files(path: str) -> List[str]:
    if not os.path.isdir(path):
        return [path]
    found = [os.path.join(path, name) for name in os.listdir(path)
             if name.endswith(".pem") and len(name) > 4]
    if not found:
        raise _NoTrust("%s, which WARMPACK_TRUST names, holds no key: no NAME.pem is in it" % path)
    return found


@functools.lru_cache(maxsize=None)
def _keys(names: str) -> FrozenSet[bytes]:
    """The keys that NAMES, parted by colons, name; read once in a process."""
    if importlib.util.find_spec("cryptography") is None:
        raise _NoTrust("WARMPACK_TRUST is set, and without the package cryptography signatures "
                       "cannot be checked")
    try:
        found = frozenset(_key(file) for name in names.split(":") if name
                          for file in _key_files(name))
    except OSError as error:
        raise _NoTrust("a key that WARMPACK_TRUST names cannot be read: %s" % error) from error
    if not found:
        raise _NoTrust("WARMPACK_TRUST names no key")
    return found


def _trusted() -> Optional[FrozenSet[bytes]]:
    """The keys of which one must have signed a manifest; None: whoever wrote it is believed."""
    names = os.environ.get("WARMPACK_TRUST")
    return _keys(names) if names else None


def _verify(key: bytes, value: bytes, message: bytes) -> bool:
    try:
        ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        exceptions = importlib.import_module("cryptography.exceptions")
    except ImportError as error:
        raise _NoTrust("WARMPACK_TRUST is set, and signatures cannot be checked: %s"
                       % error) from error
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(value, message)
    except exceptions.InvalidSignature:
        return False
    return True


# ---- Manifests ---------------------------------------------------------------------------------


def _member(line: Dict[str, Any], name: str) -> Optional[str]:
    """A name in a line of the manifest, whose bytes need not be UTF-8."""
    if name in line:
        return os.fsdecode(line[name].encode("utf-8"))
    if name + "_base64" in line:
        return os.fsdecode(base64.b64decode(line[name + "_base64"], validate=True))
    return None


def _members(line: Dict[str, Any], name: str) -> Optional[List[str]]:
    if name in line:
        return [os.fsdecode(item.encode("utf-8")) for item in line[name]]
    if name + "_base64" in line:
        return [os.fsdecode(base64.b64decode(item, validate=True))
                for item in line[name + "_base64"]]
    return None


class _Manifest:
    """The text of a manifest. Its lines are sorted, so entries are found without reading all."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.last: List[Dict[str, Any]] = []  # the lines after the entries, but the end
        self.first = text.find(b"\n") + 1  # offset of the first entry
        self.closed = 0  # offset after the end line, where signatures begin
        self.header = json.loads(text[:self.first])
        if self.header["format"] != "warmpack-manifest" or self.header["version"] != 1:
            raise _Left("its manifest has an unknown version")
        self.end = self._read_backwards()  # offset after the last entry
        self.parsed: Dict[str, Optional[Dict[str, Any]]] = {}

    def _read_backwards(self) -> int:
        ended, end = False, len(self.text)
        if not self.text.endswith(b"\n"):
            raise _Left("its manifest is truncated")
        while end > self.first:
            start = self.text.rfind(b"\n", 0, end - 1) + 1
            line = json.loads(self.text[start:end])
            if "path" in line or "path_base64" in line:
                break
            if line.get("end"):
                if hashlib.sha256(memoryview(self.text)[:start]).hexdigest() != line["sha256"]:
                    raise _Left("its manifest is damaged")
                self.closed = self.closed or end
                ended = True
            elif ended:
                self.last.append(line)
            end = start
        if not ended:
            raise _Left("its manifest is truncated")
        self.last.reverse()
        return end

    def check_signature(self, keys: FrozenSet[bytes]) -> None:
        """Refuses what none of KEYS has signed."""
        before = hashlib.sha256(memoryview(self.text)[:self.closed])
        why = "is not signed"
        for line in self.text[self.closed:].split(b"\n", _MOST_SIGNATURES)[:_MOST_SIGNATURES]:
            if line:
                key, value = self._signature(line)
                if key in keys:
                    if _verify(key, value, _CONTEXT + before.digest()):
                        return
                    why = "has a signature that is wrong: it was altered after it was signed"
                elif key and "wrong" not in why:
                    why = "is signed, but with no key that is trusted"
                elif why == "is not signed":
                    why = "has no signature that can be checked here: they are of unknown kinds"
            before.update(line + b"\n")
        raise _Left("its manifest " + why)

    @staticmethod
    def _signature(line: bytes) -> Tuple[bytes, bytes]:
        """The key and the value; of one of another kind, nothing."""
        with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
            item = json.loads(line)["signature"]
            if item["algorithm"] == "ed25519":
                return bytes.fromhex(item["key"]), bytes.fromhex(item["value"])
        return b"", b""

    def _name_at(self, offset: int) -> Tuple[bytes, int, int]:
        """The name of the entry whose line holds OFFSET, or of the first after it, and where that
        line begins and ends."""
        start = self.text.rfind(b"\n", 0, offset) + 1
        while start < self.end:
            end = self.text.find(b"\n", start) + 1
            if self.text.startswith(b'{"path": "', start):  # as warmpack writes it
                stop = self.text.find(b'"', start + 10)
                name = self.text[start + 10:stop]
                if b"\\" not in name:
                    return name, start, end
            path = _member(json.loads(self.text[start:end]), "path")
            if path is not None:
                return os.fsencode(path), start, end
            start = end
        return b"", start, start

    def _find(self, name: bytes) -> int:
        """Where the first entry begins whose name is not before NAME."""
        low, high = self.first, self.end
        while low < high:
            found, start, end = self._name_at((low + high) // 2)
            if start == end or found >= name:
                high = min(start, (low + high) // 2)
            else:
                low = end
        return low

    def entry(self, name: str) -> Optional[Dict[str, Any]]:
        if name not in self.parsed:
            raw = os.fsencode(name)
            found, start, end = self._name_at(self._find(raw))
            self.parsed[name] = json.loads(self.text[start:end]) if found == raw else None
        return self.parsed[name]

    def names(self, prefix: str) -> Iterator[str]:
        """The entries whose names begin with PREFIX."""
        raw = os.fsencode(prefix)
        found, _, end = self._name_at(self._find(raw))
        while found.startswith(raw):
            yield os.fsdecode(found)
            found, start, end = self._name_at(end)
            if start == end:
                return

    def children(self, prefix: str) -> Set[str]:
        """Most names of entries right behind PREFIX, which ends in a slash, without it."""
        raw = os.fsencode(prefix)
        name = re.compile(rb'\{"path": "%s([^/"\\]+)"' % re.escape(raw))
        found = name.finditer(self.text, self._find(raw), self._find(raw[:-1] + b"0"))
        return {os.fsdecode(each[1]) for each in found}

    def ends(self) -> Tuple[str, str]:
        """The first entry and the last."""
        return tuple(os.fsdecode(self._name_at(at)[0])  # type: ignore[return-value]
                     for at in (self.first, self.end - 1))

    def file(self, name: str) -> Optional[Tuple[str, str]]:
        """The file that is meant by NAME and its digest: itself, the target of a link, or the zip
        in which NAME lies."""
        for _ in range(40):
            entry = self.entry(name)
            if entry is None:
                name, cut, _ = name.rpartition("/")
                if not cut:
                    return None
            elif entry["type"] == "file":
                return (name, entry["sha256"]) if "sha256" in entry else None
            elif entry["type"] in ("symlink", "hardlink"):
                target = _member(entry, "target") or ""
                if entry["type"] == "symlink":
                    target = os.path.normpath(os.path.join(os.path.dirname(name), target))
                name = target
            else:
                return None
        return None


def _clean(name: Optional[str]) -> str:
    """A name in the archive, which cannot lead out of it."""
    if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise _Left("its manifest has a name that leads elsewhere: %r" % name)
    return name


def _depends(line: Dict[str, Any], sets: Dict[Any, List[str]]) -> Optional[List[str]]:
    """The archived names of the files that an index depends on; None: its manifest does not say."""
    given = line.get("depends")
    if isinstance(given, (int, str)):
        if given not in sets:
            raise _Left("its manifest names a set of dependencies that it lacks")
        return sets[given]
    return _members(line, "depends")


def _package(manifest: _Manifest, source: str) -> List[str]:
    """Every .py of the topmost package that the source is in; of its directory where it is in
    none."""
    directory = os.path.dirname(source)
    while manifest.entry((os.path.dirname(directory) + "/__init__.py").lstrip("/")):
        directory = os.path.dirname(directory)
    prefix = directory + "/" if directory else ""
    return [name for name in manifest.names(prefix) if name.endswith(".py")]


def _stamp(line: Dict[str, Any]) -> Optional[List[Any]]:
    """The stamp of an index as JSON can hold it."""
    given = line.get("stamp") or {}
    if given.get("kind") == "mtime":
        return [float(given["mtime"]), int(given["size"])]
    if given.get("kind") == "seconds":
        return [int(given["mtime"]), int(given["size"])]
    if given.get("kind") == "content":
        return [str(bytes.fromhex(given["sha256"]).hex())]
    return None


class _Cpu(NamedTuple):
    """What Numba compiles for."""

    triple: str
    name: str
    features: str

    def plus(self) -> FrozenSet[str]:
        return frozenset(word[1:] for word in self.features.split(",") if word.startswith("+"))


def _choose(header: Dict[str, Any], ours: _Cpu) -> Tuple[Optional[int], Optional[_Cpu]]:
    """Which of the manifest's CPUs to load code for, one for the whole tree, and the CPU whose keys
    become ours for that, if they are not already. (None, None) where it tells no CPUs."""
    given = header["cpus"] if "cpus" in header else [header["cpu"]] if "cpu" in header else []
    needs = header.get("needs") or []
    best: Tuple[int, int, Optional[_Cpu]] = (-1, -1, None)
    for number, item in enumerate(given):
        text, needed = item, needs[number] if number < len(needs) else None
        if isinstance(item, dict):
            text, needed = item["cpu"], item.get("needs")
        cpu = _Cpu(*(text + "  ").split(" ")[:3])
        if cpu == ours:
            return number, None
        if cpu.triple == ours.triple and needed is not None and ours.plus().issuperset(needed):
            best = max(best, (len(set(needed)), -number, cpu), key=lambda each: each[:2])
    if best[2] is not None:
        return -best[1], best[2]
    if given:
        raise _Left("its caches are for %s, and this is %s %s"
                    % (" and ".join(" ".join(str(item).split(" ")[:2]) for item in given),
                       ours.triple, ours.name))
    return None, None


# ---- Rewriting an index ------------------------------------------------------------------------
# An index is two pickles: Numba's version, and (stamp, {key: name of the data file}). In the keys
# that say OLD, OLD becomes NEW. Nothing is unpickled: opcodes are followed as far as it takes to
# know which strings are meant.


class _Text:
    """One push of a string: where its opcode begins and ends, and where the memo's after it."""

    def __init__(self, text: str, begin: int, end: int, is_literal: bool) -> None:
        self.text, self.begin, self.end, self.is_literal = text, begin, end, is_literal
        self.memo_end = 0


class _Tuple:
    def __init__(self, items: List[Any], is_shared: bool = False) -> None:
        self.items, self.is_shared = items, is_shared


class _Pairs:
    def __init__(self) -> None:
        self.pairs: List[Tuple[Any, Any]] = []


# An index to just before the time in its stamp.
_STAMPED = re.compile(rb"\x80.(?:\x95.{8})?\x8c.[^\0-\x1f]*\x94?\.\x80.(?:\x95.{8})?G", re.S)
_MARK = object()
# Opcodes that push what does not matter: bytes of their argument, or the width of its length.
_PUSH = {b"N": 0, b"\x88": 0, b"\x89": 0, b"J": 4, b"K": 1, b"M": 2, b"G": 8, b"]": 0, b"\x8f": 0}
_PUSH_LONG = {b"\x8a": 1, b"\x8b": 4, b"C": 1, b"B": 4, b"\x8e": 8, b"\x96": 8}
_STRINGS = {b"\x8c": 1, b"X": 4, b"\x8d": 8}
_POPS = {b"a": 1, b"b": 1, b"R": 2, b"\x81": 2, b"\x93": 2, b"\x92": 3}  # those after "b" push one
_TO_MARK = b"e\x90u"  # add what stands above the mark to what is below it
_FROM_MARK = b"ld\x91"  # make one thing of what stands above the mark
_TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}


class _Pickle:
    """Follows one pickle from START. What it does not know raises: KeyError, IndexError."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.at = data, start
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}
        self.frames: List[int] = []
        while self.step():
            pass
        (self.result,) = self.stack

    def number(self, width: int) -> int:
        self.at += width
        return int.from_bytes(self.data[self.at - width:self.at], "little")

    def above_mark(self) -> List[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
        items = self.stack[place + 1:]
        del self.stack[place:]
        return items

    def remember(self, number: int) -> None:
        top = self.memo[number] = self.stack[-1]
        if isinstance(top, _Text) and not top.memo_end:
            top.memo_end = self.at

    def recall(self, number: int, begin: int) -> Any:
        known = self.memo[number]
        if isinstance(known, _Text):
            return _Text(known.text, begin, self.at, False)
        if isinstance(known, _Tuple):
            return _Tuple(known.items, True)
        return known

    def step(self) -> bool:
        begin, code, stack = self.at, self.data[self.at:self.at + 1], self.stack
        self.at += 1
        if code in _STRINGS:
            length = self.number(_STRINGS[code])
            self.at += length
            text = self.data[self.at - length:self.at].decode("utf-8", "surrogatepass")
            stack.append(_Text(text, begin, self.at, True))
        elif code == b"\x94":
            self.remember(len(self.memo))
        elif code in (b"q", b"r"):
            self.remember(self.number(1 if code == b"q" else 4))
        elif code in (b"h", b"j"):
            stack.append(self.recall(self.number(1 if code == b"h" else 4), begin))
        elif code in _PUSH:
            self.at += _PUSH[code]
            stack.append(None)
        elif code in _PUSH_LONG:
            length = self.number(_PUSH_LONG[code])
            self.at += length
            stack.append(None)
        elif code == b"}":
            stack.append(_Pairs())
        elif code == b"(":
            stack.append(_MARK)
        elif code == b"0":
            stack.pop()
        elif code in _TUPLES:
            count = _TUPLES[code]
            items = stack[len(stack) - count:]
            del stack[len(stack) - count:]
            stack.append(_Tuple(items))
        elif code == b"t":
            stack.append(_Tuple(self.above_mark()))
        elif code in (b"u", b"s"):
            items = self.above_mark() if code == b"u" else [stack.pop(-2), stack.pop()]
            if isinstance(stack[-1], _Pairs):
                stack[-1].pairs += zip(items[::2], items[1::2])
        elif code in _POPS:
            del stack[len(stack) - _POPS[code]:]
            if code not in (b"a", b"b"):
                stack.append(None)
        elif code in _TO_MARK:
            self.above_mark()
        elif code in _FROM_MARK:
            self.above_mark()
            stack.append(None)
        elif code == b"c":
            self.at = self.data.index(b"\n", self.data.index(b"\n", self.at) + 1) + 1
            stack.append(None)
        elif code == b"\x80":
            self.at += 1
        elif code == b"\x95":
            self.frames.append(begin)
            self.at += 8
        elif code != b".":
            raise KeyError(code)
        return code != b"."


def _literal(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) < 256:
        return b"\x8c" + bytes([len(raw)]) + raw
    return b"X" + struct.pack("<I", len(raw)) + raw


def _instead(text: _Text, new: str) -> Tuple[int, int, bytes]:
    """The change, (begin, end, bytes), that makes this push of a string, and no other, NEW."""
    if text.is_literal and text.memo_end:  # others may refer to it: it stays, and goes at once
        return text.memo_end, text.memo_end, b"0" + _literal(new)
    return text.begin, text.end, _literal(new)


def _retarget(data: bytes, old: _Cpu, new: _Cpu) -> bytes:
    """The index with NEW in the keys that say OLD; as it was where that would not be right."""
    try:
        body = _Pickle(data, _Pickle(data, 0).at)
        _, overloads = body.result.items
        pairs = overloads.pairs
    except (LookupError, ValueError, AttributeError):
        return data
    keys = [key for key, _ in pairs if isinstance(key, _Tuple) and len(key.items) > 1]
    changes = []
    for key in keys:
        magic = key.items[1]
        if not isinstance(magic, _Tuple) or len(magic.items) != 3:
            continue
        texts = [item.text if isinstance(item, _Text) else "" for item in magic.items]
        if texts == list(new) or key.is_shared or magic.is_shared:
            return data  # code for this very CPU is there; or the pickle is none of Numba's
        if texts == list(old):
            changes += [_instead(magic.items[1], new.name), _instead(magic.items[2], new.features)]
    # A frame that is too short or too long is refused by one of Python's unpicklers; none is right.
    changes += [(frame, frame + 9, b"") for frame in body.frames]
    parts, at = [], 0
    for begin, end, text in sorted(changes):
        parts += [data[at:begin], text]
        at = end
    return b"".join([*parts, data[at:body.at]])


def _unstamped(data: bytes, stamp: List[Any]) -> bytes:
    """The index with the recorded time in its stamp: a restore may have given it another."""
    found = _STAMPED.match(data)
    if not found or not isinstance(stamp[0], float):
        return data
    return data[:found.end()] + struct.pack(">d", stamp[0]) + data[found.end() + 8:]


# ---- Surveys -----------------------------------------------------------------------------------
# What a process needs of a manifest, as JSON can hold it: kept in the overlay, so that the next one
# need not read the manifest.


class _Names:
    """Where the names of a manifest lie in its tree, which may have got another name since."""

    def __init__(self, home: str, prefix: str) -> None:
        self.prefix = prefix  # the directory of the archive that is the tree
        info = os.path.basename(os.path.dirname(os.path.dirname(home)))
        self.is_wheel = os.path.dirname(home).endswith(".dist-info/warmpack")
        self.data = info[:-len("dist-info")] + "data" if self.is_wheel else ""

    def of(self, name: str) -> Optional[str]:
        """None where it does not lie there."""
        top, _, rest = name.partition("/")
        if self.is_wheel and top.endswith(".data"):
            scheme, _, rest = rest.partition("/")  # as installers place a wheel's files
            return rest if scheme in ("purelib", "platlib") and rest else None
        if not self.prefix:
            return name
        return name[len(self.prefix) + 1:] if name.startswith(self.prefix + "/") else None

    def has(self, manifest: _Manifest, at: str) -> bool:
        """Does the manifest record what lies at AT in the tree?"""
        names = [self.prefix + "/" + at if self.prefix else at]
        if self.is_wheel:
            names += ["%s/%s/%s" % (self.data, lib, at) for lib in ("purelib", "platlib")]
        return any(manifest.entry(name) is not None
                   or next(manifest.names(name + "/"), None) is not None for name in names)


def _prefix(manifest: _Manifest) -> str:
    home = _member(manifest.header, "home")
    found = _HOME.fullmatch(home) if home else None
    if found:
        return found[1] or ""
    first, last = manifest.ends()  # an old manifest: the one top-level directory, if there is one
    top = first.partition("/")[0]
    return top if last.startswith(top + "/") else ""


def _directories(files: List[Tuple[str, str]], real: str) -> Set[str]:
    """The directories of files of the tree REAL, those that links among them lead to, and those
    above them, the tree's own included."""
    found: Set[str] = set()
    for name, digest in files:
        if digest.startswith("->"):
            behind = os.path.realpath(os.path.join(real, os.path.dirname(name), digest[2:]))
            if behind != real and _is_beneath(behind, real):
                found.update(_directories([(os.path.relpath(behind, real) + "/", "")], real))
        while name and os.path.dirname(name) not in found:
            name = os.path.dirname(name)
            found.add(name)
    return found


class _Survey:
    """Made from a manifest, for one CPU."""

    def __init__(self, manifest: _Manifest, tree: str, home: str, ours: _Cpu) -> None:
        self.manifest, self.tree = manifest, tree
        self.names = _Names(home, _prefix(manifest))
        self.sources: Dict[str, Dict[str, Any]] = {}
        self.why: Dict[str, str] = {}  # why a source is left to Numba
        self.foreign = ""  # why all are
        self.old: Optional[_Cpu] = None
        self.number: Optional[int] = None
        try:
            self.number, self.old = _choose(manifest.header, ours)
        except _Left as why:
            self.foreign = str(why)
        self.sets: Dict[Any, List[str]] = {}
        for line in manifest.last:
            if "set" in line:  # its own files, and those of earlier sets
                names = set(_members(line, "depends") or [])
                names.update(*(self.sets[used] for used in line.get("uses", [])))
                self.sets[line["set"]] = sorted(names)
        for line in manifest.last:
            name, source = _member(line, "index"), _member(line, "source")
            if name is not None and source is not None:
                self.add(line, _clean(name), _clean(source))

    def add(self, line: Dict[str, Any], name: str, source: str) -> None:
        at, index = self.names.of(source), _INDEX.fullmatch(name)
        if at is None or not index or index[2] != _PYTHON:
            return
        file, stamp = self.manifest.file(source), _stamp(line)
        try:
            if line.get("numba", _numba().__version__) != _numba().__version__:
                raise _Left("its caches were made by Numba %s" % line["numba"])
            if line.get("valid") is not True or file is None or stamp is None:
                raise _Left("its caches were not valid when they were packed")
            if self.foreign:
                raise _Left(self.foreign)
            if self.number is not None and self.number not in line.get("cpus", [self.number]):
                raise _Left("its caches are for other CPUs")
            depends = _depends(line, self.sets)
        except _Left as why:
            self.why.setdefault(at, str(why))
            return
        if depends is None:  # in a zip, the zip's digest says all
            depends = _package(self.manifest, source) if self.manifest.entry(source) else []
        known = self.sources.setdefault(
            at, {"file": self.lies(source, file[0]), "sha256": file[1], "stamp": stamp,
                 "depends": set(), "indexes": []})
        if known["stamp"] == stamp:
            known["indexes"].append(name)
            known["depends"].update(depends)

    def lies(self, name: str, meant: str) -> Optional[str]:
        """Where to look for NAME, which means the file MEANT: a link may lead elsewhere now."""
        return self.names.of(name if self.manifest.entry(name) else meant)

    def needed(self, name: str) -> Tuple[str, str]:
        """Where a file lies that an index depends on, and its digest; of a link to a directory its
        target."""
        file, entry = self.manifest.file(_clean(name)), self.manifest.entry(name)
        at = self.lies(name, file[0] if file else name)
        if at and not file and entry and entry["type"] == "symlink" and not _MODULE.fullmatch(
                os.path.basename(name)):
            return at, "->" + (_member(entry, "target") or "")
        return (at, file[1]) if file and at else (name, "")  # which nothing has

    def document(self) -> Dict[str, Any]:
        numbers: Dict[FrozenSet[str], int] = {}
        for known in self.sources.values():
            known["depends"] = numbers.setdefault(frozenset(known["depends"]), len(numbers))
        sets = [[self.needed(name) for name in sorted(names)] for names in numbers]
        modules = {directory: self.recorded(directory)
                   for files in sets for directory in _directories(files, self.tree)}
        return {"why": self.why, "prefix": self.names.prefix, "old": self.old,
                "sources": self.sources, "sets": sets, "modules": modules}

    def recorded(self, directory: str) -> List[str]:
        """The modules in a directory of the tree that were packed."""
        listed = _modules(os.path.join(self.tree, directory))
        archived = os.path.join(self.names.prefix, directory, "")
        known = self.manifest.children(archived) if archived and len(listed) > 16 else set()
        return [name for name in listed if name in known
                or self.names.has(self.manifest, os.path.join(directory, name))]


# ---- Trees -------------------------------------------------------------------------------------


class _Tree:
    """A directory with a manifest: what the manifest says of the caches in it, for this CPU, Numba
    and Python."""

    def __init__(self, base: str, home: str) -> None:
        self.base = base  # as it was reached
        self.real = os.path.realpath(base)
        self.home = home
        self.path = os.path.realpath(os.path.join(home, "manifest.jsonl"))
        if not _is_beneath(self.path, self.real):
            raise _Left("its manifest is elsewhere, behind a symlink")
        self.end, self.status = _read(self.path, _TAIL)
        parts = [os.lstat(path) for path in (os.path.dirname(home), home)] + [self.status]
        self.owners = {part.st_uid for part in parts}
        self.writable = 0  # by group or others
        for part in parts:
            self.writable |= part.st_mode & 0o022
        self.trust: Optional[FrozenSet[bytes]] = None  # the keys of which one has signed it
        self.read: Optional[_Manifest] = None
        self.known: Optional[Dict[str, Any]] = None
        self.overlay: Optional[_Overlay] = None
        self.left = ""  # why, where all of it is left to Numba
        self.directories: Dict[str, str] = {}
        self.listed: Dict[str, Tuple[float, List[str]]] = {}  # directory -> until when, newcomers
        self.right: Dict[int, Tuple[float, str]] = {}  # set of dependencies -> until when, why not
        self.originals: Optional[Dict[str, str]] = None  # index -> its bytes, in hexadecimal

    def check_owner(self, path: str, source: os.stat_result) -> None:
        """A manifest decides what is loaded, so it must be as trusted as the code beside it."""
        if not self.owners <= {0, os.geteuid(), source.st_uid}:
            raise _Left("its manifest belongs to another user than it")
        if self.writable & ~source.st_mode:
            if self.writable & ~os.stat(os.path.dirname(path)).st_mode:
                raise _Left("others may write to its manifest, but not to it")

    def obey(self, trust: Optional[FrozenSet[bytes]]) -> None:
        """Forgets what was taken with other keys, or without any."""
        if trust != self.trust:
            self.trust, self.read, self.known, self.overlay, self.left = trust, None, None, None, ""

    def key(self, ours: _Cpu) -> str:
        parts = [_FORMAT, self.real, hashlib.sha256(self.end).hexdigest(), *ours,
                 _numba().__version__, _PYTHON]
        if self.trust is not None:  # what an overlay was filled with unchecked stays apart
            parts.append(sorted(key.hex() for key in self.trust))
        text = json.dumps(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def manifest(self) -> _Manifest:
        if self.read is None:
            if self.status.st_size > _LARGEST_MANIFEST:
                raise _Left("its manifest is too large")
            try:
                text, status = _read(self.path)
            except OSError as error:
                raise _Left("its manifest cannot be read: %s" % error) from error
            if _identity(status) != _identity(self.status):
                raise _Left("its manifest is being replaced")
            manifest = _Manifest(text)
            if self.trust is not None:
                manifest.check_signature(self.trust)
            self.read = manifest
        return self.read

    def records(self, rel: str) -> bool:
        """Was a file of this name packed?"""
        manifest = self.manifest()
        return _Names(self.home, _prefix(manifest)).has(manifest, rel)

    def place(self, rel: str) -> Tuple[str, os.stat_result]:
        """The path of a name in the tree, behind its symlinks, none of which leads out."""
        directory, _, base = rel.rpartition("/")
        real = self.directories.get(directory)
        if real is None:
            real = self.directories[directory] = os.path.realpath(
                os.path.join(self.real, directory))
        path = real + "/" + base
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            path = os.path.realpath(path)
            status = os.lstat(path)
        if not _is_beneath(path, self.real):
            raise _Left("%s leads out of the tree" % rel)
        return path, status

    def digest(self, place: Tuple[str, os.stat_result]) -> str:
        return _digests.of(*place, self.overlay.digests if self.overlay else None)

    def has(self, rel: str, digest: str) -> bool:
        try:
            if digest.startswith("->"):
                path = os.path.join(self.real, rel)
                return os.path.islink(path) and os.readlink(path) == digest[2:]
            return self.digest(self.place(rel)) == digest
        except (*_ABSENT, _Left):
            return False

    def check(self, known: Dict[str, Any]) -> None:
        """Has the source, and all that it depends on, the content that was compiled?"""
        assert self.known
        if not known["file"]:
            raise _Left("its manifest has it elsewhere")
        place = self.place(known["file"])
        self.check_owner(*place)
        if self.digest(place) != known["sha256"]:
            raise _Left("it is not what was packed")
        number = known["depends"]
        until, why = self.right.get(number, (0.0, ""))
        if time.monotonic() >= until:
            files = self.known["sets"][number]
            why = next((name for name, digest in files if not self.has(name, digest)), "")
            why = why or self.added(files)
            self.right[number] = time.monotonic() + _FRESH, why
        if why:
            raise _Left("it depends on %s, which is not what was packed" % why)

    def newcomers(self, directory: str) -> List[str]:
        """The modules in a directory that were not packed."""
        assert self.known
        until, names = self.listed.get(directory, (0.0, []))
        if time.monotonic() >= until:
            here = _Names(self.home, self.known["prefix"])
            packed = set(self.known["modules"].get(directory, ()))
            names = [name for name in _modules(os.path.join(self.real, directory))
                     if name not in packed
                     and not here.has(self.manifest(), os.path.join(directory, name))]
            self.listed[directory] = time.monotonic() + _FRESH, names
        return names

    def added(self, files: List[Tuple[str, str]]) -> str:
        """A module that was not packed and that one of the files imports now: it takes the place of
        another, or was looked for in vain. As in a restore, newcomers at the top of the tree are
        others' packages, unless they take the place of one."""
        assert self.known
        for directory in sorted(_directories(files, self.real)):
            for name in self.newcomers(directory):
                stem = name.partition(".")[0]
                packed = self.known["modules"].get(directory, ())
                if (any(stem == other.partition(".")[0] for other in packed) or directory and
                        (stem == "__init__" or self.may_import(files, directory, stem))):
                    return os.path.join(directory, name)
        return ""

    def may_import(self, files: List[Tuple[str, str]], directory: str, module: str) -> bool:
        """May one of the files import the module of that directory?"""
        for name, _ in files:
            found = _imports(_read(self.place(name)[0])[0]) if name.endswith(".py") else set()
            if found is None or module in found:
                return True
            if "*" in found and found & {"", os.path.basename(directory)}:
                return True
        return False

    # Where the caches of a source may have been put since they were packed, and what they were
    # before they were retargeted. It need not be true: digests say what is taken.

    def _state(self) -> List[bytes]:
        return _read(os.path.join(self.home, "state.jsonl"))[0].splitlines()

    def _original(self, index: str) -> bytes:
        if self.originals is None:
            self.originals = {}
            with contextlib.suppress(OSError, _Left):
                for text in self._state()[:-1]:
                    with contextlib.suppress(ValueError, TypeError, AttributeError):
                        line = json.loads(text)
                        name = _member(line, "retargeted")
                        if name is not None:
                            self.originals[name] = line.get("original", "")
        try:
            return bytes.fromhex(self.originals.get(index, ""))
        except (ValueError, TypeError):
            return b""

    def _cache_places(self, index: str, rel: str, prefix: str) -> Iterator[str]:
        recorded = _Names(self.home, prefix).of(os.path.dirname(index))
        if recorded:
            yield recorded
        yield os.path.join(os.path.dirname(rel), "__pycache__")
        with contextlib.suppress(OSError, ValueError, KeyError, _Left):
            state = json.loads(self._state()[-1])
            for root in _members(state, "roots") or [_member(state, "root") or ""]:
                then = os.path.normpath(os.path.join(root, *prefix.split("/")[state["strip"]:]))
                cache = os.path.relpath(_member(state, "cache_root") or "", then)
                source = os.path.dirname(os.path.join(then, rel))
                name = "%s_%s" % (os.path.basename(source),
                                  hashlib.sha1(os.fsencode(source)).hexdigest())
                if not cache.startswith(".."):
                    yield os.path.normpath(os.path.join(cache, name))

    def gather(self, rel: str, known: Dict[str, Any], ours: _Cpu) -> Dict[str, bytes]:
        """The files that Numba is to find for a source: each has been read, has the digest of the
        manifest, and is what the overlay will hold."""
        assert self.known
        old = _Cpu(*self.known["old"]) if self.known["old"] else None
        files: Dict[str, bytes] = {}
        missing: Set[str] = set()  # indexes without all of their data
        for index in known["indexes"]:
            name = os.path.basename(index)
            for directory in self._cache_places(index, rel, self.known["prefix"]):
                data = self._index(index, os.path.join(directory, name), known["stamp"])
                if data is not None and name not in files:
                    files[name] = _retarget(data, old, ours) if old else data
                    if not self._gather_data(index, directory, files):
                        missing.add(name)
        # The wrapper of a gufunc calls its kernel by a symbol that another process calls otherwise.
        for name in [name for name in files if re.fullmatch(r"guf-.*\.nbi", name)]:
            kernel = name[len("guf-"):]
            if kernel in missing or kernel not in files:
                files = {other: data for other, data in files.items()
                         if not other.startswith(name[:-len("nbi")])}
        if not files:
            raise _Left("its caches are not as they were packed")
        return files

    def _index(self, index: str, path: str, stamp: List[Any]) -> Optional[bytes]:
        """The index as it was packed; None where it is not there, or another."""
        digest = (self.manifest().entry(index) or {}).get("sha256")
        with contextlib.suppress(OSError, _Left):
            data = _unstamped(_read(self.place(path)[0])[0], stamp)
            if hashlib.sha256(data).hexdigest() != digest:
                data = _unstamped(self._original(index), stamp)
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        return None

    def _gather_data(self, index: str, directory: str, files: Dict[str, bytes]) -> bool:
        """Are all there?"""
        manifest, stem, whole = self.manifest(), index[:-len("nbi")], True
        for name in manifest.names(stem):
            if not re.fullmatch(r"\d+\.nbc|lcs", name[len(stem):]):
                continue
            # One that is missing or another is one that Numba compiles again.
            base = os.path.basename(name)
            with contextlib.suppress(OSError, _Left):
                data, _ = _read(self.place(os.path.join(directory, base))[0])
                if hashlib.sha256(data).hexdigest() == (manifest.entry(name) or {}).get("sha256"):
                    files[base] = data
            whole = whole and base in files
        return whole


class _Unfit(_Tree):
    """One whose manifest cannot be looked at."""

    def __init__(self, base: str, home: str, why: str) -> None:  # pylint: disable=W0231
        self.base, self.path, self.why = base, home, why


_trees: Dict[str, _Tree] = {}  # directory of a manifest -> its tree
_near: Dict[str, Tuple[float, List[_Tree]]] = {}  # directory -> until when, its trees


def _homes(directory: str) -> Iterator[str]:
    places = [directory + "/.warmpack", directory + "/EGG-INFO/warmpack"]
    if not os.path.exists(directory + "/__init__.py"):  # distributions lie beside packages
        with contextlib.suppress(OSError):  # what we are not let into is looked through for none
            places += ["%s/%s/warmpack" % (directory, name) for name in os.listdir(directory)
                       if name.endswith(".dist-info")]
    for place in places:
        with contextlib.suppress(*_ABSENT):
            yield from (place + "/" + name for name in sorted(os.listdir(place))
                        if _ID.fullmatch(name))


def _tree(base: str, home: str) -> _Tree:
    """The tree, made again where its manifest is another file than before."""
    known = _trees.get(home)
    if known:
        with contextlib.suppress(OSError):
            if _identity(os.stat(known.path)) == _identity(known.status):
                return known
    tree = _trees[home] = _Tree(base, home)
    return tree


def _trees_at(directory: str) -> List[_Tree]:
    until, trees = _near.get(directory, (0.0, []))
    if time.monotonic() >= until:
        trees, homes = [], []
        try:
            homes = list(_homes(directory))
        except OSError as why:
            _warn(directory, str(why))
            trees.append(_Unfit(directory, directory, str(why)))
        for home in homes:
            try:
                trees.append(_tree(directory, home))
            except _ABSENT:
                pass
            except (OSError, _Left) as why:
                _warn(home, "%s: %s" % (home, why))
                trees.append(_Unfit(directory, home, str(why)))
        _near[directory] = time.monotonic() + _FRESH, trees
    return trees


def _candidates(py_file: str) -> Iterator[Tuple[_Tree, str]]:
    """The trees that the file may be of, the nearest first, and its name in each."""
    tried: Set[str] = set()
    for is_real in (False, True):
        path = directory = os.path.realpath(py_file) if is_real else os.path.abspath(py_file)
        while directory not in tried and directory != os.path.dirname(directory):
            tried.add(directory)
            directory = os.path.dirname(directory)
            for tree in _trees_at(directory):
                yield tree, path[len(directory.rstrip("/")) + 1:]


# ---- Overlays ----------------------------------------------------------------------------------


def _is_unmapped(uid: int) -> bool:
    """In a user namespace without the system's root, as Apptainer makes them, what is root's seems
    to be nobody's."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as mapped, \
                open("/proc/sys/kernel/overflowuid", encoding="ascii") as nobody:
            maps = [line.split() for line in mapped]
            return uid == int(nobody.read()) and all(int(words[2]) < 2**32 - 1 for words in maps)
    except (OSError, ValueError, IndexError):
        return False


def _check_mine(path: str) -> None:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError("%s is not a directory of this user's own" % path)


def _check_overlay(path: str) -> None:
    """Refuses a directory that has taken an overlay's place since: who cleans up /tmp removes what
    was not used for long, and then any user can make another of that name."""
    while not os.path.basename(path).startswith("warmpack-overlay-"):
        _check_mine(path)
        path = os.path.dirname(path)
    _check_mine(path)


def _check_parents(path: str) -> None:
    """Refuses a directory that others could exchange."""
    parent = os.path.dirname(path)
    while True:
        status = os.lstat(parent)
        if status.st_uid not in (0, os.geteuid()) and not _is_unmapped(status.st_uid):
            raise PermissionError("%s belongs to another user" % parent)
        if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
            raise PermissionError("others may write to %s" % parent)
        if parent == os.path.dirname(parent):
            return
        parent = os.path.dirname(parent)


def _bases() -> Iterator[str]:
    """Where overlays may lie, the best first."""
    environ = os.environ.get
    home, given = os.path.expanduser("~"), environ("WARMPACK_OVERLAY_DIR")
    for base in (os.path.abspath(given) if given else None, environ("XDG_RUNTIME_DIR"),
                 environ("XDG_CACHE_HOME") or (home + "/.cache" if os.path.isdir(home) else None),
                 environ("TMPDIR") or "/tmp", "/dev/shm"):
        if base and os.path.isabs(base):
            yield base


def _make(path: str) -> None:
    """Processes that start together make the same directories: the first is the one that does."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def _open_base(base: str, makes: bool = True) -> str:
    """The directory for this user's overlays in BASE. It is made where it is not there; without
    MAKES it need only be possible."""
    if makes and not os.path.isdir(base):
        _make(base)  # not its parents: a home that does not exist is none
    path = os.path.join(os.path.realpath(base), "warmpack-overlay-%d" % os.geteuid())
    if makes:
        _make(path)
    is_there = os.path.lexists(path)
    if is_there:
        _check_mine(path)
    first = path if os.path.isdir(base) else os.path.realpath(base)  # that is, or would be made
    _check_parents(first)
    writable = path if is_there else os.path.dirname(first)
    if not os.access(writable, os.W_OK | os.X_OK):
        raise PermissionError("cannot write to %s" % writable)
    return path


class _Private:
    """This process's own overlay, which goes with it. Its lock tells others that it is in use."""

    def __init__(self) -> None:
        self.process, self.path, self.lock = 0, "", -1

    def directory(self, base: str) -> str:
        if self.process != os.getpid() or not _is_beneath(self.path, base):
            self.sweep(base)
            path = tempfile.mkdtemp(prefix=".new-", dir=base)
            self.lock = os.open(path + "/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _lock_file(self.lock)
            self.path = os.path.join(base, "private-" + os.path.basename(path)[len(".new-"):])
            os.rename(path, self.path)
            self.process = os.getpid()
            atexit.register(self.remove, self.path, self.process)
        return self.path

    @staticmethod
    def sweep(base: str) -> None:
        """Removes what processes that are gone have left."""
        for name in os.listdir(base):
            if not name.startswith("private-"):
                continue
            with contextlib.suppress(OSError):
                fd = os.open("%s/%s/lock" % (base, name), os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(os.path.join(base, name), ignore_errors=True)
                finally:
                    os.close(fd)

    @staticmethod
    def remove(path: str, process: int) -> None:
        if process == os.getpid():
            shutil.rmtree(path, ignore_errors=True)


_private = _Private()


class _Overlay:
    """A directory in which Numba finds one tree's caches, one subdirectory a source, each complete
    before it gets its name. In memory where no place can be written to."""

    def __init__(self, key: str, base: Optional[str], writes: bool) -> None:
        self.base, self.path, self.is_held = base, "(memory)/" + key, base is None
        self.process = os.getpid()
        self.writes = writes and base is not None
        if base is not None:
            base = _open_base(base, writes)
            if os.environ.get("WARMPACK_OVERLAY") == "private" and writes:
                base = _private.directory(base)
            self.path = os.path.join(base, key)
            if writes and not os.path.isdir(self.path):
                self.sweep(base)
                _make(self.path)
            if writes or os.path.lexists(self.path):
                _check_mine(self.path)
            _digests.load(os.path.join(self.path, "digests"))
        self.digests = os.path.join(self.path, "digests") if self.writes else None

    @staticmethod
    def sweep(base: str) -> None:
        """Removes overlays that no process has opened for long."""
        for name in os.listdir(base):
            path = os.path.join(base, name)
            with contextlib.suppress(OSError):
                if time.time() - os.stat(path + "/survey.json").st_mtime > _UNUSED:
                    shutil.rmtree(path, ignore_errors=True)

    def survey(self, make: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        """MAKE()'s answer, kept for the processes to come."""
        path = os.path.join(self.path, "survey.json")
        with contextlib.suppress(OSError, ValueError):
            text, status = _read(path)
            survey: Dict[str, Any] = json.loads(text)
            if self.writes and time.time() - status.st_mtime > _UNUSED / 30:
                os.utime(path)  # it is in use
            return survey
        survey = make()
        if self.writes:
            self.write(path, json.dumps(survey).encode())
        return survey

    def write(self, path: str, content: bytes) -> None:
        fd, temporary = tempfile.mkstemp(prefix=".new-", dir=self.path)
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(temporary, path)

    def directory(self, rel: str) -> str:
        stem = os.path.splitext(os.path.basename(rel))[0][:40]
        name = "%s_%s" % (stem, hashlib.sha256(os.fsencode(rel)).hexdigest()[:16])
        return os.path.join(self.path, name)

    def put(self, rel: str, gather: Callable[[], Dict[str, bytes]]) -> str:
        """The directory for a source, filled with GATHER()'s files where it is not there yet."""
        path = self.directory(rel)
        if path in _held or os.path.isdir(path):
            return path
        files = gather()
        if self.is_held:
            _held[path] = files
            return path
        temporary = tempfile.mkdtemp(prefix=".new-", dir=self.path)
        try:
            for name, content in files.items():
                fd = os.open(os.path.join(temporary, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                             0o600)
                with open(fd, "wb") as file:
                    file.write(content)
            os.rename(temporary, path)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not os.path.isdir(path):  # else another process was first
                raise
        return path


def _open_overlay(tree: _Tree, ours: _Cpu, writes: bool = True) -> None:
    """Gives the tree the first overlay that can be used, and what it needs of the manifest."""
    refused: Dict[str, str] = {}
    for base in (*_bases(), None):
        if base in _full:
            continue
        try:
            overlay = _Overlay(tree.key(ours), base, writes)
            tree.known = overlay.survey(
                lambda: _Survey(tree.manifest(), tree.real, tree.home, ours).document())
            tree.overlay = overlay
            break
        except OSError as error:
            refused[base or ""] = str(error)
    if not writes:
        return
    if tree.overlay and tree.overlay.is_held:
        _warn("held", "there is no place for what Numba compiles, so it is not saved: %s"
              % "; ".join(refused.values()))
    given = os.path.abspath(os.environ.get("WARMPACK_OVERLAY_DIR") or "/")
    if given in refused:
        _warn("given", "WARMPACK_OVERLAY_DIR cannot be used: " + refused[given])


# ---- Numba -------------------------------------------------------------------------------------


_held: Dict[str, Dict[str, bytes]] = {}  # directory that does not exist -> its files
_REFUSED = "(memory)/refused"
_ours: Set[str] = set()  # the directories that Numba was given
_full: Set[str] = set()  # bases in which an overlay could not be filled
_warned: Set[str] = set()
_lock = threading.RLock()  # threads may import modules at once


def _renew_lock() -> None:
    """In a child, where the thread that held it does not run."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _warn(what: str, message: str) -> None:
    if what not in _warned:
        _warned.add(what)
        _log.warning("%s", message)


def _numba() -> Any:
    return importlib.import_module("numba")


def _config() -> Any:
    return importlib.import_module("numba.core.config")


def _caching() -> Any:
    return importlib.import_module("numba.core.caching")


@functools.lru_cache(maxsize=None)
def _this_cpu() -> _Cpu:
    """What Numba here puts into keys. Only Numba tells it."""
    target = importlib.import_module("numba.core.registry").cpu_target
    return _Cpu(*map(str, target.target_context.codegen().magic_tuple()))


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Numba reads an index, adds to it and numbers the data file by it. Two processes that do that
    at once would take one number for two overloads, and one would run the other's code."""
    fd = os.open(directory + "/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock_file(fd)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile has FD, too
        os.close(fd)


_saving = threading.local()


def _soften() -> None:
    """A directory of ours may fill up or vanish under a program: what cannot be loaded from it is
    compiled, what cannot be saved there is not saved, and nothing is raised."""
    caching = _caching()
    file = caching.IndexDataCacheFile
    if getattr(file, "_warmpack", False):
        return
    load_index, load_data, save, flush = file._load_index, file._load_data, file.save, file.flush

    def soft_load_index(self: Any) -> Any:
        if self._cache_path not in _ours:
            return load_index(self)
        try:
            held = _held.get(self._cache_path)
            if held is None:
                _check_overlay(self._cache_path)
                return load_index(self)
            stream = io.BytesIO(held.get(os.path.basename(self._index_path), b""))
            if pickle.load(stream) != self._version:
                return {}
            stamp, overloads = pickle.load(stream)
            caching._cache_log("[cache] index loaded from %r", self._index_path)
            return overloads if stamp == self._source_stamp else {}
        except (EOFError, pickle.UnpicklingError, *_ABSENT):
            return {}
        except OSError as error:
            if getattr(_saving, "path", None) == self._cache_path:  # what is there would be lost
                raise
            _warn("load", "what was saved is not loaded: %s" % error)
            return {}

    def soft_load_data(self: Any, name: str) -> Any:
        if self._cache_path not in _ours:
            return load_data(self, name)
        try:
            held = _held.get(self._cache_path)
            if held is None:
                _check_overlay(self._cache_path)
                return load_data(self, name)
            data = pickle.loads(held.get(name, b""))
            caching._cache_log("[cache] data loaded from %r", self._data_path(name))
            return data
        except (EOFError, pickle.UnpicklingError) as error:
            raise FileNotFoundError(name) from error  # which Numba takes for "not there"

    def soft_save(self: Any, key: Any, data: Any) -> None:
        if self._cache_path not in _ours:
            save(self, key, data)
        elif self._cache_path not in _held:
            try:
                _check_overlay(self._cache_path)
                with _locked(self._cache_path):
                    _saving.path = self._cache_path
                    save(self, key, data)
            except OSError as error:
                _warn("save", "what Numba compiles is not saved: %s" % error)
            finally:
                _saving.path = None

    def soft_flush(self: Any) -> None:
        if self._cache_path in _held:
            _held[self._cache_path] = {}
        elif self._cache_path in _ours:
            with contextlib.suppress(OSError):
                _check_overlay(self._cache_path)
                flush(self)
        else:
            flush(self)

    file._load_index, file._load_data = soft_load_index, soft_load_data
    file.save, file.flush, file._warmpack = soft_save, soft_flush, True


def _reason(error: Exception) -> str:
    """Why a source is left to Numba. What is hostile can make any function raise anything."""
    is_told = isinstance(error, (_Left, OSError))
    return str(error) if is_told else "its manifest is damaged: %r" % error


def _source(tree: _Tree, rel: str) -> Optional[Dict[str, Any]]:
    """What the manifest says of a source; None where it has no caches for it."""
    assert tree.known
    known: Optional[Dict[str, Any]] = tree.known["sources"].get(rel)
    if known is None and rel in tree.known["why"]:
        raise _Left(tree.known["why"][rel])
    return known


def _open(tree: _Tree, ours: _Cpu, writes: bool) -> None:
    if tree.left:
        raise _Left(tree.left)
    overlay = tree.overlay
    is_private = os.environ.get("WARMPACK_OVERLAY") == "private"
    if (overlay is None or (writes and not overlay.writes and not overlay.is_held)
            or (is_private and overlay.process != os.getpid())):
        try:
            _open_overlay(tree, ours, writes)
        except _NoTrust:
            raise
        except Exception as error:
            tree.left = _reason(error)
            raise _Left(tree.left) from error


def _judge(tree: _Tree, rel: str, ours: _Cpu, writes: bool = True) -> Optional[Dict[str, Any]]:
    """What the manifest says of a source, all of which holds; None where it has no caches."""
    trust = _trusted()
    if isinstance(tree, _Unfit):
        raise _Left(tree.why)
    tree.obey(trust)
    _open(tree, ours, writes)
    known = _source(tree, rel)
    if known is not None:
        tree.check(known)
    elif trust is not None and tree.records(rel):
        raise _Left("none of its caches was packed and signed")
    return known


def _use(tree: _Tree, rel: str, known: Dict[str, Any], ours: _Cpu) -> str:
    """The directory for a source. Where a place turns out to be full, the next one is taken."""
    if tree.overlay and not tree.overlay.is_held and not os.path.isdir(tree.overlay.path):
        _open_overlay(tree, ours)  # it was removed under the program
    while True:
        assert tree.overlay
        try:
            return tree.overlay.put(rel, lambda: tree.gather(rel, known, ours))
        except OSError:
            _full.add(tree.overlay.base or "")
            _open_overlay(tree, ours)


def _locate(py_file: str) -> Tuple[Optional[str], Any, str]:
    """The directory and the stamp for a source, or why there is none; "" where no tree has it.
    With WARMPACK_TRUST, one that is refused gets a directory that is always empty: Numba's own
    locators would take what lies beside it."""
    reason = ""
    for tree, rel in _candidates(py_file):
        try:
            ours = _this_cpu()
            known = _judge(tree, rel, ours)
            if known is None:
                continue
            path, stamp = _use(tree, rel, known, ours), known["stamp"]
            return path, tuple(stamp) if len(stamp) == 2 else bytes.fromhex(stamp[0]), ""
        except Exception as why:  # a manifest that lies: whatever it makes us stumble over
            reason = _reason(why)
            _warn("trust" if isinstance(why, _NoTrust) else tree.path,
                  "%s: its caches are not used: %s (manifest: %s)"
                  % (os.path.join(tree.base, rel), reason, tree.path))
    if reason and os.environ.get("WARMPACK_TRUST"):
        _held.setdefault(_REFUSED, {})
        return _REFUSED, (0.0, 0), reason
    return None, None, reason


class Warm:
    """A cache locator of Numba's."""

    def __init__(self, py_func: Any, py_file: str, path: str, stamp: Any) -> None:
        self._py_file = py_file  # Numba's warnings name it
        self._lineno = py_func.__code__.co_firstlineno
        self._path, self._stamp = path, stamp

    def ensure_cache_path(self) -> None:
        """Called before each save. Where the directory was removed it is filled again: with the new
        overload alone, it would keep all others from the next process. One that cannot be made is
        told by the save itself."""
        if self._path not in _held and not os.path.isdir(self._path):
            with _lock:
                _locate(self._py_file)

    def get_cache_path(self) -> str:
        return self._path

    def get_source_stamp(self) -> Any:
        return self._stamp

    def get_disambiguator(self) -> str:
        return str(self._lineno)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        with _lock:
            path, stamp, reason = _locate(py_file)
            if path is not None:
                _ours.add(path)
                _soften()
        if os.environ.get("WARMPACK_DEBUG") == "1":
            print("warmpack: %s in %s: %s" % (getattr(py_func, "__qualname__", py_func), py_file,
                                              reason or path or "in no tree with its caches"),
                  file=sys.stderr)
        if path is not None:
            return cls(py_func, py_file, path, stamp)
        if not _is_alone():
            return None  # Numba asks the next
        for other in _caching().CacheImpl._locator_classes:
            if other is not Warm:
                locator = other.from_function(py_func, py_file)
                if locator is not None:
                    return locator
        return None


def _is_alone() -> bool:
    """Does NUMBA_CACHE_LOCATOR_CLASSES replace Numba's own list by this class alone?"""
    given = getattr(_config(), "CACHE_LOCATOR_CLASSES", "")
    names = [name.strip() for name in given.split(",") if name.strip()]
    return bool(names) and all(name == "warmpack.locator.Warm" for name in names)


def install() -> None:
    """Makes Numba ask Warm before its own locators, or those that are set. To be called before the
    first function with a cache is decorated; a second call changes nothing."""
    config = _config()
    given = getattr(config, "CACHE_LOCATOR_CLASSES", "")
    if given:
        if "warmpack.locator.Warm" not in (name.strip() for name in given.split(",")):
            config.CACHE_LOCATOR_CLASSES = "warmpack.locator.Warm," + given
        return
    classes = _caching().CacheImpl._locator_classes
    if Warm not in classes:
        classes.insert(0, Warm)


class _Automatic:
    """Installs Warm as soon as Numba's caching is imported. Not by NUMBA_CACHE_LOCATOR_CLASSES:
    programs inherit that, and one without warmpack would fail."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "numba.core.caching":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec else None
        if loader is not None:
            execute = loader.exec_module

            def exec_and_install(module: Any) -> None:
                execute(module)
                install()

            loader.exec_module = exec_and_install
        return spec


def _automatic() -> None:
    """What the file warmpack-auto.pth calls where WARMPACK_AUTO is 1."""
    if "numba.core.caching" in sys.modules:
        install()
    else:
        sys.meta_path.insert(0, _Automatic())


# ---- Asking ------------------------------------------------------------------------------------


def consult(py_file: str) -> Dict[str, Any]:
    """What Numba would be given for a source in this Python: "overlay" (a directory, which need not
    be there yet) and the names of the "indexes" in the manifest, or a "reason" why not; "manifest"
    is None where no tree with a manifest has the file. Nothing is written."""
    answer: Dict[str, Any] = {"source": os.path.abspath(py_file), "manifest": None, "overlay": None,
                              "indexes": [], "reason": None}
    for tree, rel in _candidates(py_file):
        try:
            ours = _this_cpu()
            known = _judge(tree, rel, ours, writes=False)
            if known is not None:
                assert tree.overlay
                path = tree.overlay.directory(rel)
                files = os.listdir(path) if os.path.isdir(path) else tree.gather(rel, known, ours)
                answer.update(manifest=tree.path, reason=None, overlay=path,
                              indexes=[name for name in known["indexes"]
                                       if os.path.basename(name) in files])
                break
        except Exception as why:
            answer.update(manifest=tree.path, reason=_reason(why))
    return answer


if __name__ == "__main__":
    for word in sys.argv[1:]:
        print(json.dumps(consult(word)))
