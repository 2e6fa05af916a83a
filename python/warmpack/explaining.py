"""What Numba loads and compiles in this process, and why it compiles.

`warmpack explain` puts this module before a program's own ones, and `warmpack.stats()` counts with
it. It needs nothing but the standard library, and Numba once the program imports it.

Numba asks an object of its class Cache, or NullCache where a function has no cache, before it
compiles, and hands it what it compiled. Both questions are watched here; an index is read, as Numba
has just read it, only where nothing was loaded.
"""

import errno
import importlib.abc
import importlib.util
import json
import os
import pickle
import re
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

_DIRECTORY = "WARMPACK_EXPLAIN"  # the variable that names where processes leave what they saw
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # what a byte of such a name is to Python
_ADDRESS = re.compile(r"#[0-9a-f]+(?=<)| at 0x[0-9a-f]+")


class Cause(NamedTuple):
    """Why something was compiled: one of the words of warmpack-explain(1), what was found, and what
    helps."""

    word: str
    detail: str
    cure: str


class _State:
    """Of this process. SECONDS were spent on compiling."""

    hits = 0
    misses = 0
    seconds = 0.0
    pid = os.getpid()
    file = -1
    inode: Tuple[int, ...] = ()  # of FILE, with its mode and device
    directory: Optional[str] = None  # a program may clear its environment
    installed = False
    unread = ""  # what could not be listed where an index was looked for


_listeners: List[Callable[[], None]] = []
_thread = threading.local()
_first: Dict[str, Any] = {}  # by index: what it was before this process saved anything there


# ---- Telling -------------------------------------------------------------------------------------


def _tell(event: str, **facts: Any) -> None:
    """Appends a line to this process's file: at once, since a process may end in any way."""
    directory = _State.directory
    if not directory:
        return
    try:
        if not _is_own_file():
            _State.pid = os.getpid()
            path = os.path.join(directory, "%d.jsonl" % _State.pid)
            _State.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _State.inode = os.fstat(_State.file)[:3]
            _tell_process()
        text = json.dumps(dict(event=event, **facts), ensure_ascii=False)
        # A name that is not UTF-8 has no form in JSON.
        line = _NOT_UTF8.sub("\ufffd", text).encode() + b"\n"
        if os.write(_State.file, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        _tell_loss(directory)  # the program is not to notice


def _is_own_file() -> bool:
    """Whether this process still has its file open: a child's lines are its own, and a program may
    close what it did not open, and get the same number for a file of its own."""
    if _State.file < 0 or _State.pid != os.getpid():
        return False
    try:
        return os.fstat(_State.file)[:3] == _State.inode
    except OSError:
        return False


def _tell_loss(directory: str) -> None:
    """An empty file needs no room."""
    try:
        os.close(os.open(os.path.join(directory, "%d.lost" % os.getpid()), os.O_WRONLY | os.O_CREAT,
                         0o600))
    except OSError:
        pass


def _tell_process() -> None:
    numba = sys.modules["numba"]
    config = numba.core.config
    _tell("process", pid=os.getpid(), argv=list(getattr(sys, "argv", [])),
          executable=sys.executable, numba=numba.__version__,
          python="%d.%d.%d" % sys.version_info[:3], disabled=bool(config.DISABLE_JIT))


def _function(py_func: Any) -> Dict[str, Any]:
    code = getattr(py_func, "__code__", None)
    module = getattr(py_func, "__module__", "?")
    name = getattr(py_func, "__qualname__", repr(py_func))
    if module:  # what Numba makes of a text is in none
        name = "%s.%s" % (module, name)
    return {"function": name, "source": getattr(code, "co_filename", None),
            "line": getattr(code, "co_firstlineno", None)}


def _text(signature: Any) -> str:
    """Without addresses of jitclasses and functions, which are others in each process."""
    return _ADDRESS.sub("", str(signature))


def _changed() -> None:
    for call in _listeners:
        call()


# ---- Causes --------------------------------------------------------------------------------------


class _Index(NamedTuple):
    version: Any
    stamp: Any
    overloads: Dict[Any, str]


def _read(path: str) -> Any:
    """The index PATH: an _Index; None where there is none; the error where it cannot be read."""
    try:
        with open(path, "rb") as file:
            version = pickle.load(file)
            if version != sys.modules["numba"].__version__:
                return _Index(version, None, {})
            return _Index(version, *pickle.loads(file.read()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # as many kinds as there are ways to damage a pickle
        return error


def _roots() -> Iterator[Tuple[str, str]]:
    """Directories of hashed caches, and what sends Numba there."""
    config = sys.modules["numba"].core.config
    if config.CACHE_DIR:
        yield config.CACHE_DIR, "NUMBA_CACHE_DIR"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield os.path.join(cache, "numba"), "the user-wide cache"


def _homes(directory: str) -> Iterator[str]:
    """The cache directories beside manifests above DIRECTORY."""
    while True:
        own = os.path.join(directory, ".warmpack")
        for name in _names(own):
            yield os.path.join(own, name, "cache")
        above = os.path.dirname(directory)
        if above == directory:
            return
        directory = above


def _names(directory: str) -> List[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _State.unread = str(error)
        return []


def _hashed(root: str, source_dir: str) -> Iterator[str]:
    """The hashed directories in ROOT of source directories that are called like SOURCE_DIR."""
    wanted = re.compile(re.escape(os.path.basename(source_dir)) + r"_[0-9a-f]{40}(\.\d+)?\Z")
    for name in _names(root):
        if wanted.match(name):
            yield os.path.join(root, name)


def _elsewhere(source_dir: str, here: str) -> Iterator[Tuple[str, str]]:
    """Places but HERE where the cache of SOURCE_DIR may lie, and what they are."""
    in_tree = os.path.join(source_dir, "__pycache__")
    places = [(in_tree, "in the tree")]
    for root, name in _roots():
        places += [(directory, name) for directory in _hashed(root, source_dir)]
    for root in _homes(source_dir):
        places += [(directory, "beside the tree's manifest")
                   for directory in _hashed(root, source_dir)]
    for directory, name in places:
        if os.path.realpath(directory) != os.path.realpath(here):
            yield directory, name


_WARM = "warm it where it is built, before packing (warmpack warm)"
_RESTORE = "warmpack restore the tree, or unpack it with warmpack extract"
_READABLE = "let this user read it: warmpack extract --user, or chmod"


def _displaced(cache: Any, directory: str, kind: str, source_dir: str) -> Cause:
    """An index lies in DIRECTORY, where Numba does not look."""
    config = sys.modules["numba"].core.config
    detail = "its cache lies in %s (%s), and Numba looks in %s" % (directory, kind,
                                                                   cache.cache_path)
    if kind == "in the tree" and config.CACHE_DIR:
        return Cause("misplaced", detail, "unset NUMBA_CACHE_DIR, or " + _RESTORE)
    if kind == "in the tree":
        return Cause("unwritable", detail + ": it may not write to the former",
                     "WARMPACK_AUTO=1 with the package installed (see warmpack-locator(7)), or let "
                     "this user write to that directory")
    if kind == "beside the tree's manifest":
        return Cause("misplaced", detail,
                     _RESTORE + ", or WARMPACK_AUTO=1 (see warmpack-locator(7))")
    return Cause("misplaced", detail,
                 _RESTORE + " at this path; or --runtime-root with the path that Python sees")


def _cure_of(error: Exception) -> str:
    """Of an index or a data file that Numba cannot read."""
    if isinstance(error, PermissionError):
        return _READABLE
    return "warmpack verify --fix the tree, which says why, and warm it again"


def _no_index(cache: Any) -> Cause:
    name = cache._impl.filename_base
    source_dir = os.path.dirname(os.path.abspath(cache._py_func.__code__.co_filename))
    function, _, rest = name.rpartition("-")
    line, _, python = rest.partition(".")
    others: List[Tuple[str, str, str]] = []  # what it is, directory, name
    _State.unread = ""
    places = [(cache.cache_path, ""), *_elsewhere(source_dir, cache.cache_path)]
    for directory, kind in places:
        for found in _names(directory):
            if not found.endswith(".nbi") or not found.startswith(function + "-"):
                continue
            found_line, _, found_python = found[len(function) + 1:-4].partition(".")
            if not found_line.isdigit():
                continue
            if found == name + ".nbi":
                if not kind:
                    continue  # this process has saved it since
                return _displaced(cache, directory, kind, source_dir)
            if found_line == line:
                others.append(("other-python", directory, found_python))
            elif found_python == python:
                others.append(("stale", directory, found_line))
    for word, directory, what in others:
        if word == "other-python":
            return Cause(word, "the cache in %s is of %s, and this is %s" % (directory, what,
                                                                             python),
                         "warm it with the Python that runs it")
        return Cause(word, "the cache in %s is of the function in line %s, and it stands in line "
                     "%s" % (directory, what, line), "the source changed: warm it again")
    if _State.unread:
        return Cause("unreadable", "there is no index of it in %s, and of another place: %s" %
                     (cache.cache_path, _State.unread), "let this user read it")
    return Cause("never-warmed", "there is no index of it in %s" % cache.cache_path, _WARM)


def _stale(stamp: Any, now: Any) -> Cause:
    def text(value: Any) -> str:
        if isinstance(value, tuple) and len(value) == 2:
            return "time %r and %r bytes" % value
        return "content %s" % value.hex() if isinstance(value, bytes) else repr(value)

    detail = "the index is of a source with %s, and the source has %s" % (text(stamp), text(now))
    pair = isinstance(stamp, tuple) and isinstance(now, tuple)
    if pair and stamp[1:] == now[1:]:
        return Cause("stale", detail, _RESTORE + "; where its content changed, warm it again")
    return Cause("stale", detail, "the source changed: warm it again")


def _parts(key: Any) -> Tuple[Any, Any, Any, Any]:
    """Signature, CPU, code and what else a key has: by what they are, as forms differ."""
    rest = list(key[2:]) if isinstance(key, tuple) else []
    code = next((part for part in rest if isinstance(part, tuple) and len(part) == 2 and
                 all(isinstance(text, str) and len(text) == 64 for text in part)), None)
    return key[0], key[1], code, [part for part in rest if part is not code]


def _cpu_text(magic: Any) -> str:
    return " ".join(str(part) for part in magic[:2]) if isinstance(magic, tuple) else repr(magic)


def _other_cpu(there: Any, here: Any) -> Cause:
    detail = "its code is for %s, and this process compiles for %s" % (_cpu_text(there),
                                                                      _cpu_text(here))
    if there[:2] == here[:2] and len(there) > 2:
        only = [sorted(set(a[2].split(",")) - set(b[2].split(",")))
                for a, b in ((there, here), (here, there))]
        detail += " with other features: %s there, %s here" % tuple(
            " ".join(names[:6]) + (" and %d more" % (len(names) - 6) if len(names) > 6 else "")
            if any(names) else "none besides" for names in only)
    if there[0] != here[0]:
        return Cause("other-cpu", detail, "warm it on such a machine")
    return Cause("other-cpu", detail,
                 "warmpack retarget the tree, or extract with --retarget, where the code can run "
                 "here; or set what warmpack env prints")


def _not_among(index: _Index, key: Any) -> Cause:
    """KEY is not in the overloads of INDEX: the cause is what the nearest of them has otherwise."""
    signature, magic, code, other = _parts(key)
    near = [_parts(found) for found in index.overloads if _parts(found)[0] == signature]
    for found in near:
        if found[1] == magic and found[2] == code and found[3] != other:
            return Cause("launch", "it was warmed for a launch of %r, and is launched as %r" %
                         (found[3], other), "warm it with that launch configuration")
    for found in near:
        if found[2] == code and found[1] != magic:
            return _other_cpu(found[1], magic)
    for found in near:
        if found[1] == magic and found[2] and code and found[2][0] == code[0]:
            return Cause("closure", "what its closure holds is not what it was when it was warmed",
                         "where it is a function, its cache may hit at the path of the build only, "
                         "or never: give it what it needs as arguments or globals")
    for found in near:
        if found[1] == magic:
            return Cause("bytecode", "its bytecode is not what was warmed: made by another version "
                         "of Python, or by a decorator", "warm it again")
    if near:
        return _other_cpu(near[0][1], magic)
    signatures = sorted({str(_parts(found)[0]) for found in index.overloads})
    more = " and %d more" % (len(signatures) - 4) if len(signatures) > 4 else ""
    return Cause("signature", "it was warmed for %s%s, and not for %s" %
                 (", ".join(signatures[:4]) or "nothing", more, signature),
                 "call it so where it is warmed, or give it signatures")


def _why(cache: Any, signature: Any, context: Any) -> Cause:
    """Why CACHE gave nothing for SIGNATURE."""
    file = cache._cache_file
    path = file._index_path
    if path not in _first:
        _first[path] = _read(path)
    index = _first[path]
    if not cache._enabled:
        return Cause("not-cached", "its cache is disabled", "do not disable it")
    if index is None:
        return _no_index(cache)
    if isinstance(index, Exception):
        return Cause("unreadable", "%s cannot be read: %s: %s" % (path, type(index).__name__, index),
                     _cure_of(index))
    if index.version != file._version:
        return Cause("other-numba", "the index is of Numba %s, and this is %s" %
                     (index.version, file._version), "warm it with the Numba that runs it")
    if index.stamp != file._source_stamp:
        return _stale(index.stamp, file._source_stamp)
    key = cache._index_key(signature, context.codegen())
    name = index.overloads.get(key)
    if name is None:
        return _not_among(index, key)
    data = os.path.join(cache.cache_path, name)
    try:
        os.stat(data)
    except (FileNotFoundError, NotADirectoryError):
        return Cause("data-missing", "%s is not there, which the index names" % data,
                     "pack the index and its data together: warm it again")
    except OSError as error:
        return Cause("unreadable", "a data file cannot be looked at: %s" % error,
                     "let this user read it")
    if not os.access(data, os.R_OK):
        return Cause("data-missing", "%s cannot be read by this user" % data, _READABLE)
    return Cause("unknown", "%s was not taken" % data, "warmpack verify --python the tree")


def _no_cache(py_func: Any) -> Cause:
    if getattr(py_func, "__module__", "") is None:
        return Cause("not-cached", "Numba made it, as it makes methods of a jitclass, and it has no "
                     "cache", "call it in a function with cache=True")
    return Cause("not-cached", "it has no cache", "decorate it with cache=True")


# ---- Watching ------------------------------------------------------------------------------------


class _Miss:
    """Something that Numba compiles just now."""

    def __init__(self, cache: Any, py_func: Any, cause: Optional[Cause], since: float) -> None:
        self.cache = cache
        self.py_func = py_func
        self.cause = cause
        self.since = since
        self.within = 0.0  # seconds that callees took


def _pending() -> List[_Miss]:
    if not hasattr(_thread, "pending"):
        _thread.pending = []
    pending: List[_Miss] = _thread.pending
    return pending


def _holder(depth: int) -> Any:
    """The Python function of whoever asks a NullCache, which does not know it."""
    holder = sys._getframe(depth + 1).f_locals.get("self")
    return getattr(holder, "py_func", None) or getattr(holder, "_pyfunc", None)


def _on_load(cache: Any, py_func: Any, signature: Any, context: Any, found: Any,
             since: float) -> None:
    if found is not None:
        _State.hits += 1
        _changed()
        _tell("load", signature=_text(signature), seconds=round(time.perf_counter() - since, 6),
              **_function(py_func))
        return
    cause = None
    if _State.directory and context is not None:
        try:
            cause = _why(cache, signature, context)
        except Exception as error:  # of what looks at a private part of Numba
            cause = Cause("unknown", "%s: %s" % (type(error).__name__, error), "")
    _pending().append(_Miss(cache, py_func, cause, since))


def _on_save(cache: Any, signature: Any, saved: bool, error: Optional[Exception]) -> None:
    pending = _pending()
    while pending:
        miss = pending.pop()
        if miss.cache is cache:
            break
    else:
        return
    seconds = time.perf_counter() - miss.since
    cause = miss.cause
    if cause is None and pending:
        return  # compiled into a function that is told of
    if pending:
        pending[-1].within += seconds
    seconds -= miss.within
    _State.seconds += seconds
    if cause is None:
        cause = _no_cache(miss.py_func)
    _State.misses += 1
    _changed()
    if error is not None:
        cause = Cause("unwritable", "it cannot be saved: %s" % error,
                      "let this user write there; WARMPACK_AUTO=1 (see warmpack-locator(7))")
    elif miss.cause is not None and not saved:
        cause = Cause("not-cachable", "Numba does not save it: it warns why",
                      "see Numba's warning")
    _tell("compile", signature=_text(signature), seconds=round(seconds, 6), cause=cause.word,
          detail=cause.detail, cure=cause.cure, saved=saved, **_function(miss.py_func))


def _watch(caching: Any) -> None:
    """Puts the watch around the methods of Numba's module CACHING."""
    cache, null, file = caching.Cache, caching.NullCache, caching.IndexDataCacheFile
    begin, load, save, write = (cache.__init__, cache.load_overload, cache.save_overload, file.save)

    def __init__(self: Any, py_func: Any) -> None:
        try:
            begin(self, py_func)
        except RuntimeError as error:
            if "locator" in str(error):
                _tell("compile", signature=None, seconds=0, cause="unwritable", saved=False,
                      detail="Numba finds no place for its cache and stops: %s" % error,
                      cure="WARMPACK_AUTO=1 (see warmpack-locator(7)), or set NUMBA_CACHE_DIR",
                      **_function(py_func))
            raise

    def load_overload(self: Any, sig: Any, target_context: Any) -> Any:
        since = time.perf_counter()
        try:
            found = load(self, sig, target_context)
        except Exception as error:
            _tell("compile", signature=_text(sig), seconds=0, cause="unreadable", saved=False,
                  detail="Numba raises %s: %s" % (type(error).__name__, error),
                  cure=_cure_of(error),
                  **_function(self._py_func))
            raise
        _on_load(self, self._py_func, sig, target_context, found, since)
        return found

    def save_overload(self: Any, sig: Any, data: Any) -> Any:
        _thread.saved = False
        error = None
        try:
            return save(self, sig, data)
        except Exception as raised:
            error = raised
            raise
        finally:
            _on_save(self, sig, _thread.saved, error)

    def save_data(self: Any, key: Any, data: Any) -> Any:
        done = write(self, key, data)
        _thread.saved = True
        return done

    def load_nothing(self: Any, sig: Any, target_context: Any) -> None:
        _on_load(self, _holder(1), sig, None, None, time.perf_counter())

    def save_nothing(self: Any, sig: Any, cres: Any) -> None:
        _on_save(self, sig, False, None)

    cache.__init__, cache.load_overload, cache.save_overload = __init__, load_overload, save_overload
    file.save = save_data
    null.load_overload, null.save_overload = load_nothing, save_nothing
    _tell("begin")


_CACHING = "numba.core.caching"


class _Loader(importlib.abc.Loader):
    """Watches the module once it is there."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        _watch(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Finder:
    """Waits for Numba, which a program may never import."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _CACHING:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def counts() -> Tuple[int, int, float]:
    """Hits, misses, and seconds of compiling, of this process."""
    return _State.hits, _State.misses, _State.seconds


def add(hits: int, misses: int) -> None:
    """Counts what was counted otherwise."""
    _State.hits += hits
    _State.misses += misses


def on_change(call: Callable[[], None]) -> None:
    """CALL is called, on any thread, whenever one of the counts has changed."""
    _listeners.append(call)


def install() -> bool:
    """Begins to count, and with WARMPACK_EXPLAIN set to tell. False: it has begun already."""
    watching = sys.modules.get("_warmpack_explaining")
    if watching is not None and watching is not sys.modules.get(__name__):
        # The program watches this process by its own copy: both read one state.
        globals().update(_State=watching._State, _listeners=watching._listeners)
        return False
    if _State.installed:
        return False
    _State.installed = True
    _State.directory = os.environ.get(_DIRECTORY)
    if _CACHING in sys.modules:
        _watch(sys.modules[_CACHING])
    else:
        sys.meta_path.insert(0, _Finder())
    return True
