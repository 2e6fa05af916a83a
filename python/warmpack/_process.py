"""Making this process use a tree that is in place: its settings, its caches, its modules."""

import importlib
import os
import sys
from typing import Any, Dict, NamedTuple, Optional, Sequence

from . import _cpu, _in_use
from ._program import Error

# What the environment said before any activation changed it: where caches go must not depend on
# which of two applications a process activates first.
_given_cache_dir: Optional[str] = None
_given_known = False


class Activation(NamedTuple):
    """What activate() did."""

    path: str  # of the tree, which is on sys.path
    summary: Dict[str, int]  # verify's: "total", "valid", and each other status that there is
    settings: Dict[str, str]  # the NUMBA_ variables that were set
    retargeted: bool = False  # all code is for this CPU, or was made to load on it
    locator: bool = False  # caches load through warmpack.locator, from a tree as it lies


def cache_dir_before() -> Optional[str]:
    global _given_cache_dir, _given_known
    if not _given_known:
        given = os.environ.get("NUMBA_CACHE_DIR")
        _given_cache_dir = os.path.abspath(given) if given else None
        _given_known = True
    return _given_cache_dir


def _numba_value(name: str) -> Optional[str]:
    """What the Numba that is imported already uses for the variable NAME; None: not known."""
    config = sys.modules["numba"].config
    value = getattr(config, name[len("NUMBA_"):], None)
    if value is not None or name == "NUMBA_CACHE_DIR":
        return str(value or "")
    try:
        if name == "NUMBA_CPU_NAME":
            return str(importlib.import_module("llvmlite.binding").get_host_cpu_name())
        return str(importlib.import_module("numba.core.codegen").get_host_cpu_features())
    except (ImportError, AttributeError):
        return None


def _check_variable(name: str, value: str) -> None:
    if hasattr(sys.modules.get("numba"), "config"):
        used = _numba_value(name)
        if used is not None and used != value:
            raise Error("numba was imported before the application was activated, with %s=%s; "
                        "its caches need %s" % (name, used or "(not set)", value))
    elif os.environ.get(name, value) != value:
        raise Error("%s is %s here, and the application's caches need %s"
                    % (name, os.environ[name] or "(empty)", value))


def _check_cache_dir(wanted: Optional[str]) -> None:
    """Numba says nothing where it looks in another place than the caches were put into."""
    imported = hasattr(sys.modules.get("numba"), "config")
    used = _numba_value("NUMBA_CACHE_DIR") if imported else os.environ.get("NUMBA_CACHE_DIR")
    used = os.path.abspath(used) if used else None
    if used != wanted:
        raise Error("%sNUMBA_CACHE_DIR is %s, and the application's caches need %s"
                    % ("numba was imported before the application was activated: " if imported
                       else "", used or "(not set)", wanted or "(not set)"))


def _check_native() -> None:
    """Keys that are this machine's own load only where Numba compiles for it."""
    for name in _cpu.VARIABLES:
        if name in os.environ and name not in _cpu.given():
            raise Error("%s is %s here, and the application's caches need it not to be set; "
                        "retarget=False leaves them as they were compiled"
                        % (name, os.environ[name] or "(empty)"))


# Has an application been activated whose caches need that none of them is set?
_is_native = False


def _check_cpu(settings: Dict[str, str], is_native: bool) -> None:
    for name in _cpu.VARIABLES if _is_native else ():
        if settings.get(name) is not None and name not in os.environ:
            raise Error("%s is not set here, as another application's caches need, and this one's "
                        "need %s" % (name, settings[name] or "(empty)"))
    for name, value in settings.items():
        _check_variable(name, value)
    if is_native:
        _check_native()


def _needs_locator(record: Dict[str, Any]) -> bool:
    """Numba takes caches only from directories that it may write to; and keys may have been made
    another machine's, where several share a disk."""
    return (bool(record.get("in_place"))
            or (bool(record["retargeted"]) and record["here"] != _cpu.here())
            or not all(os.access(path, os.W_OK | os.X_OK) for path in record["caches"]))


def use(record: Dict[str, Any], paths: Sequence[str], cache_dir: Optional[str],
        replace_modules: bool) -> Activation:
    global _is_native
    root, settings = record["root"], record["settings"]
    wanted = [os.path.normpath(os.path.join(root, path)) for path in paths]
    with _in_use.lock:
        tree = _in_use.check(root, record["made"], wanted, replace_modules)
        _check_cpu(settings, record["retargeted"])
        if "NUMBA_CACHE_DIR" not in settings:
            _check_cache_dir(cache_dir)
        os.environ.update(settings)
        _is_native = _is_native or record["retargeted"]
        with_locator = _needs_locator(record)
        if with_locator:
            importlib.import_module(".locator", __package__)._automatic()
        _in_use.use(tree, wanted)
    return Activation(root, record["summary"], settings, record["retargeted"], with_locator)
