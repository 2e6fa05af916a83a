"""What the program's JSON documents hold. A member whose text is not UTF-8 has a name that ends
with _base64 instead."""

from typing import Dict, List, Optional, TypedDict, Union


class Stamp(TypedDict, total=False):
    """What Numba compares with the source: kind is mtime, seconds, content or unknown."""

    kind: str
    mtime: Union[float, int, None]
    size: int
    sha256: str


class Overload(TypedDict, total=False):
    signature: str
    triple: str
    cpu: str
    features: str
    target: str  # where the code is not for a CPU
    code: List[Optional[str]]  # digests of the bytecode and of the closure's cells
    closure: bool
    data: str
    size: Optional[int]


class Index(TypedDict, total=False):
    index: str
    source: Optional[str]
    status: str  # valid, stale, source-missing...; not in inspect
    reason: Optional[str]
    error: Optional[str]  # inspect: why it cannot be read
    stamp: Optional[Stamp]
    numba: Optional[str]
    python: Optional[str]
    overloads: List[Overload]  # inspect and verify


class Note(TypedDict, total=False):
    kind: str
    path: Optional[str]
    text: str


class _Indexes(TypedDict):
    indexes: List[Index]
    summary: Dict[str, int]  # "total", "valid", and each other status that there is


class VerifyResult(_Indexes, total=False):
    notes: List[Note]


class InspectResult(_Indexes):
    pass


class CreateResult(_Indexes, total=False):
    archive: str
    id: str
    entries: int
    bytes: int
    bytes_read: int
    cache_dirs: int


class AmendResult(_Indexes, total=False):
    archive: str
    written: bool
    id: str
    sources: int
    unmatched: List[Dict[str, str]]
    added: int
    left_behind: int
    pyc: int
    pyc_in_zip: int


class _Placed(_Indexes, total=False):
    files: int
    layout: str
    cache_dir: Optional[str]
    set_cache_dir: bool  # NUMBA_CACHE_DIR must be set to cache_dir
    renamed: int
    restamped: int
    sources: int
    matched: int
    was_valid: int
    lost: int


class ExtractResult(_Placed, total=False):
    manifest: bool
    unchanged: bool


class RestoreResult(_Placed, total=False):
    dry_run: bool
    manifests: int
    damaged: int
    missing: int
    changed: int
    times: int
    modes: int
    pycs: int
