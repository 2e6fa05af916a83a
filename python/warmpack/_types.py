"""What the results hold: the program's JSON documents, see its manual pages.

Keys that are always there are required ones, so that type checkers let done["lost"] pass. Text that
is not UTF-8, which JSON cannot hold, is as os.fsdecode() gives it.
"""

from typing import Dict, List, Optional, TypedDict, Union


class _StampKind(TypedDict):
    kind: str  # mtime, seconds, content or unknown


class Stamp(_StampKind, total=False):
    """What Numba compares with the source."""

    mtime: Union[float, int, None]  # seconds since the epoch; of the kinds mtime and seconds
    size: int  # bytes; likewise
    sha256: str  # 64 hex digits; of the kind content


class _Key(TypedDict):
    signature: Optional[str]
    triple: Optional[str]
    cpu: Optional[str]
    features: Optional[str]
    code: List[Optional[str]]  # digests of the bytecode and of the closure's cells
    closure: bool
    data: Optional[str]  # name of the .nbc file, beside the index
    size: Optional[int]  # its bytes; None where it is not there


class Overload(_Key, total=False):
    """One compiled signature of a function."""

    target: str  # where the code is not for a CPU
    module: str  # that it was compiled as; from inspect(), where a data file says it


class _AnyIndex(TypedDict):
    index: str  # path, relative to what was asked for
    source: Optional[str]
    stamp: Optional[Stamp]
    numba: Optional[str]  # versions: "0.56.4", "311"
    python: Optional[str]


class Index(_AnyIndex):
    """A cache index (.nbi) that was judged."""

    status: str  # valid, stale, source-missing...
    reason: Optional[str]
    locator: bool  # it would load through warmpack.locator


class VerifiedIndex(Index):
    """What verify() says of an index."""

    overloads: List[Overload]


class _Cpu(TypedDict):
    triple: str
    cpu: str
    features: str


class _Cell(TypedDict):
    data: Optional[str]  # the file's name; None: there is none for that CPU


class _Row(TypedDict):
    signature: Optional[str]
    cells: List[_Cell]  # one for each CPU


class Matrix(TypedDict):
    cpus: List[_Cpu]
    signatures: List[_Row]


class _Inspected(_AnyIndex):
    error: Optional[str]  # why it cannot be read
    overloads: List[Overload]


class InspectedIndex(_Inspected, total=False):
    """What inspect() says of an index, without judging it."""

    matrix: Matrix  # where it has code for several CPUs


class Note(TypedDict):
    kind: str
    path: Optional[str]
    text: str


class _Judged(TypedDict):
    indexes: List[Index]
    summary: Dict[str, int]  # "total", "valid", and each other status that there is


class Fixed(TypedDict):
    dry_run: bool
    times: int
    moved: int
    removed: int


class _Verified(TypedDict):
    indexes: List[VerifiedIndex]
    summary: Dict[str, int]  # "total", "valid", and each other status that there is
    notes: List[Note]


class LoadedBuild(TypedDict):
    triple: str
    cpu: str  # that the code was compiled for
    features: str
    needs: Optional[List[str]]  # the features that it needs; None: not known
    overloads: int
    retargeted: bool  # its keys say the interpreter's CPU now


class VerifyResult(_Verified, total=False):
    fix: Fixed  # with fix=True
    builds: List[LoadedBuild]  # with python=: what that interpreter loads


class InspectResult(TypedDict):
    indexes: List[InspectedIndex]
    summary: Dict[str, int]  # "total", "overloads", "corrupt"


class _Difference(TypedDict):
    change: str  # "added", "removed", "changed", "mode" or "time"
    path: str
    cache: bool  # it is a file of a cache


class Difference(_Difference, total=False):
    gained: List[Overload]  # of an index that was read
    lost: List[Overload]


class DiffResult(TypedDict):
    a: str
    b: str
    differences: List[Difference]
    summary: Dict[str, int]  # by change; "gained" and "lost": overloads


class _Compiled(TypedDict):
    function: str
    source: Optional[str]
    line: Optional[int]
    signature: Optional[str]  # None: Numba stopped before there was one
    cause: str  # see warmpack-explain(1)
    detail: str
    cure: str
    saved: bool
    seconds: float


class Compiled(_Compiled, total=False):
    count: int  # how often, in the result of explain


class _Process(TypedDict):
    loaded: int
    compiled: int
    seconds: float


class Process(_Process, total=False):
    pid: int
    argv: List[str]
    executable: str
    numba: str
    python: str
    disabled: bool


class ExplainResult(TypedDict):
    status: int  # of the command
    processes: List[Process]
    compiled: List[Compiled]
    loaded: int
    seconds: float


class WarmBuild(TypedDict):
    cpu: str
    functions: int
    overloads: int
    seconds: float
    never: List[Compiled]  # compiled in every process


class _Warm(TypedDict):
    command: str
    written: bool
    builds: List[WarmBuild]


class WarmResult(_Warm, total=False):
    archive: str  # this and the next four: with an archive
    seconds: float
    loaded: int
    compiled: List[Compiled]
    failed: int
    indexes: List[Index]  # where it was written
    summary: Dict[str, int]


class CreateResult(_Judged):
    archive: str
    id: str  # 16 hex digits
    entries: int
    bytes: int  # of the archive
    bytes_read: int
    cache_dirs: int


class SealResult(_Judged):
    dir: str
    id: str  # 16 hex digits
    written: bool  # False: the same seal was there
    replaced: bool  # an earlier manifest gave way
    entries: int
    bytes_read: int
    cache_dirs: int


class Unmatched(TypedDict):
    path: str  # of a source in the archive that SOURCE does not have


class _Amended(_Judged):
    archive: str
    written: bool
    sources: int
    unmatched: List[Unmatched]
    added: int
    left_behind: int
    pyc: int
    pyc_in_zip: int


class AmendResult(_Amended, total=False):
    id: str  # where it was written


class MergedBuild(TypedDict):
    input: str
    triple: str
    cpu: str
    features: str
    overloads: int


class MergeResult(_Judged):
    archive: str
    id: str  # 16 hex digits
    entries: int
    bytes: int  # of the archive
    joined: int  # indexes that hold code of several inputs
    left_out: int
    builds: List[MergedBuild]


class Build(TypedDict):
    triple: str
    cpu: str
    features: str
    overloads: int
    native: bool  # it is for that very CPU
    chosen: bool
    reason: Optional[str]  # why it cannot run there


class Retargeted(TypedDict):
    triple: Optional[str]  # None: keys were put back
    cpu: Optional[str]
    features: Optional[str]
    indexes: int
    changed: int
    overloads: int
    loads: int
    left: int
    elsewhere: int
    builds: List[Build]


class _Retargetable(_Judged, total=False):
    retarget: Retargeted  # where that was asked for


class _Placed(_Retargetable):
    files: int
    layout: str
    cache_dir: Optional[str]  # None: in the tree
    set_cache_dir: bool  # NUMBA_CACHE_DIR must be set to cache_dir
    renamed: int  # cache directories
    relocated: int  # files
    restamped: int  # indexes
    sources: int
    matched: int
    was_valid: int  # indexes valid when packed
    lost: int  # of those, not valid now
    left_out: int  # indexes whose code came from a file that is not the same


class ExtractResult(_Placed):
    manifest: bool  # is there one
    unchanged: bool  # if_needed had nothing to do
    reused: int  # files whose content an earlier tree had


class RetargetResult(TypedDict):
    dry_run: bool
    retarget: Retargeted


class RestoreResult(_Placed):
    dry_run: bool
    manifests: int
    damaged: int
    missing: int
    changed: int
    extra: int
    times: int
    modes: int
    links: int
    pycs: int
