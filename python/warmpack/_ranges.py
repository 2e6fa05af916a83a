"""Fetching from a store no more of an archive than unpacking it is going to read.

The archive's first and last bytes say what it holds and where. `warmpack extract --needs` tells
from them what is read, where an earlier tree has the rest; that is fetched into a file that has a
hole in place of all else. A hole is never taken for content, since every file has a digest: where
more is needed than was thought, unpacking fails, and all of the archive is fetched.
"""

import contextlib
import os
import zipfile
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from . import _layouts
from ._program import Error, run
from ._scratch import scratch
from ._url import filesystem_of, fetched, name_of, telling

T = TypeVar("T")

LEAST = 1 << 20  # bytes: a smaller archive is fetched in one request
_START = 1 << 16  # bytes: the first header and some more
_END = 1 << 18  # bytes in which most manifests and the pointer to them lie
_BLOCK = 512  # bytes, of a tar
_MOST = 0.7  # of the archive: where more than this is needed, one request is quicker
_NEAR = 1 << 16  # bytes between two ranges that are fetched in one


class _Unfit(Exception):
    """The store gives no ranges, or the archive is not one of those that tell."""


class _Parts:
    """A file of the archive's size, filled part by part."""

    def __init__(self, filesystem: Any, path: str, size: int, file: str) -> None:
        self.filesystem, self.path, self.size = filesystem, path, size
        self.file = file
        with open(file, "wb") as made:
            made.truncate(size)

    def fetch(self, begin: int, end: int) -> bytes:
        data: bytes = self.filesystem.cat_file(self.path, start=begin, end=end)
        if len(data) != end - begin:
            raise _Unfit  # all of it, from a server that knows no ranges
        with open(self.file, "r+b") as file:
            file.seek(begin)
            file.write(data)
        return data

    def fetch_ends(self) -> int:
        """Returns where the last part begins: the manifest, or before that."""
        begin, start = self.size - _END, self.fetch(0, _START)
        is_tar = start[257:262] == b"ustar"
        if is_tar and _layouts.MARK not in start:  # another's, or an image in a tar
            raise _Unfit
        end = self.fetch(begin, self.size)
        if is_tar:
            offset = _looked_back(self, begin, end)
        else:
            offset = _pointed(end) or _before_directory(self, begin, end)
        if offset is None:
            raise _Unfit
        if offset < begin:
            self.fetch(offset, begin)
        return min(offset, begin)


# ---- Where the manifest begins ----------------------------------------------------------------

def _pointed(end: bytes) -> Optional[int]:
    """As the last gzip member or zstd frame says."""
    if end[-42:-38] == b"\x1f\x8b\x08\x04" and end[-22:-18] == b"WP\x08\x00":
        return int.from_bytes(end[-18:-10], "little")
    return int.from_bytes(end[-8:], "little") if end[-16:-8] == b"warmpack" else None


def _before_directory(parts: _Parts, begin: int, end: bytes) -> Optional[int]:
    """In a zip it is the last entry. The directory, which says so, ends where its end record, or
    the longer one that large archives have before that, begins."""
    at = end.rfind(b"PK\x05\x06")
    if at < 0:
        return None
    if end[at - 20:at - 16] == b"PK\x06\x07":
        at = end.rfind(b"PK\x06\x06", 0, at)
        directory = begin + at - int.from_bytes(end[at + 40:at + 48], "little")
    else:
        directory = begin + at - int.from_bytes(end[at + 12:at + 16], "little")
    if 0 <= directory < begin:
        parts.fetch(directory, begin)
    with zipfile.ZipFile(parts.file) as archive:
        return max((entry.header_offset for entry in archive.infolist()), default=None)


def _looked_back(parts: _Parts, begin: int, end: bytes) -> Optional[int]:
    """In a plain tar it is the last entry, behind an extended header of its own."""
    while parts.size % _BLOCK == 0 and begin > parts.size // 2:
        headers = [at for at in range(0, len(end), _BLOCK) if end[at + 257:at + 262] == b"ustar"]
        if len(headers) > 1 and end[headers[-2] + 156:headers[-2] + 157] == b"x":
            return begin + headers[-2]
        earlier = max(begin - 3 * len(end), 0)
        begin, end = earlier, parts.fetch(earlier, begin) + end
    return None


# ---- What is needed ---------------------------------------------------------------------------

def _joined(ranges: Sequence[Sequence[int]]) -> List[Tuple[int, int]]:
    joined: List[Tuple[int, int]] = []
    for begin, end in ranges:
        if joined and begin - joined[-1][1] <= _NEAR:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _fetch_needed(parts: _Parts, words: Sequence[str], env: Optional[Mapping[str, str]],
                  program: Optional[str]) -> None:
    last = parts.fetch_ends()
    told = run(["extract", "--needs", *words, "--file=" + parts.file], env, program=program)
    wanted = [(max(begin, _START), min(end, last)) for begin, end in _joined(told["ranges"])]
    wanted = [(begin, end) for begin, end in wanted if begin < end]
    if not told["known"] or sum(end - begin for begin, end in wanted) > _MOST * parts.size:
        raise _Unfit
    for begin, end in wanted:
        parts.fetch(begin, end)


def _fetch_archive(filesystem: Any, path: str, file: str, words: Sequence[str],
                   env: Optional[Mapping[str, str]], program: Optional[str]) -> None:
    size = filesystem.info(path).get("size")
    if not isinstance(size, int) or size < LEAST:  # some stores say nothing, or a text
        raise _Unfit
    _fetch_needed(_Parts(filesystem, path, size, file), words, env, program)


def _fetch_layout(filesystem: Any, path: str, folder: str, words: Sequence[str],
                  env: Optional[Mapping[str, str]], program: Optional[str]) -> None:
    """A layer of an image is an archive like any other."""
    def get_layer(path: str, file: str) -> None:
        try:
            _fetch_archive(filesystem, path, file, words, env, program)
        except (_Unfit, Error, FileNotFoundError):
            filesystem.get_file(path, file)  # which knows an absence

    _layouts.fetch(filesystem, path, folder, False, get_layer)


@contextlib.contextmanager
def _partly_fetched(url: str, words: Sequence[str], beside: Optional[str],
                    env: Optional[Mapping[str, str]],
                    program: Optional[str]) -> Iterator[Optional[str]]:
    """A file with those parts of what URL names that extract with WORDS reads, or None."""
    filesystem, path = filesystem_of(url)
    with scratch(beside) as folder:
        file: Optional[str] = os.path.join(folder, name_of(url))
        try:
            with telling(url, _Unfit):
                fetch = (_fetch_layout if _layouts.is_layout(filesystem, path)
                         else _fetch_archive)
                fetch(filesystem, path, str(file), words, env, program)
        except (_Unfit, Error):  # what is wrong, fetching all of it tells
            file = None
        yield file


def with_needed(url: str, words: Sequence[str], use: Callable[[str], T], *,
                beside: Optional[str] = None, env: Optional[Mapping[str, str]] = None,
                program: Optional[str] = None) -> T:
    """USE(file), which runs extract with WORDS, on a file in BESIDE with what URL names, or with as
    much of it as is needed for that."""
    with _partly_fetched(url, words, beside, env, program) as part:
        if part is not None:
            with contextlib.suppress(Error):
                return use(part)
    with fetched(url, beside) as file:
        return use(file)
