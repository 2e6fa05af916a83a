"""Eggs and wheels that keep their Numba caches, built by setuptools.

Either in setup.py:

    from warmpack.setuptools import cmdclass
    setup(..., cmdclass=cmdclass())

or, where warmpack is installed when the project is built, by a table in pyproject.toml, every key
of which is optional:

    [tool.warmpack]
    warm-up = ["python", "-c", "import app.warm"]  # a list, or a line for the shell
    source = "src"           # what holds the packages; default: as setuptools is told
    cache-dir = ["caches"]   # default: $NUMBA_CACHE_DIR and the user's own
    strict = true            # fail where a cache is stale, or there is none

bdist_egg and bdist_wheel then amend what they built from the warm caches of the source tree.
"""

import importlib
import logging
import os
import subprocess
import sys
from typing import Any, Dict, List, Optional, Type

from ._jobs import amend
from ._program import Error

__all__ = ["cmdclass", "finalize"]

_COMMANDS = ("bdist_egg", "bdist_wheel")
_KEYS = ("warm-up", "source", "cache-dir", "strict")
_log = logging.getLogger("warmpack")


def _toml() -> Any:
    """A reader of TOML: Python's from 3.11 on, else one of those that setuptools brings."""
    for name in ("tomllib", "tomli", "setuptools.compat.py310", "setuptools.extern.tomli"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return getattr(module, "tomllib", module)
    raise Error("pyproject.toml: cannot be read by Python before 3.11 without tomli")


def _settings() -> Optional[Dict[str, Any]]:
    """The table [tool.warmpack] of the project that is built here; None where it has none."""
    try:
        with open("pyproject.toml", "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if b"warmpack" not in text:  # most projects
        return None
    try:
        tool = _toml().loads(text.decode("utf-8")).get("tool", {})
    except ValueError as error:
        raise Error("pyproject.toml: %s" % error) from error
    table: Optional[Dict[str, Any]] = tool.get("warmpack") if isinstance(tool, dict) else None
    return None if table is None else _checked(table)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _checked(table: Any) -> Dict[str, Any]:
    """TABLE, whose keys are known and whose values are of the right kind."""
    if not isinstance(table, dict):
        raise Error("pyproject.toml: tool.warmpack is not a table")
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise Error("pyproject.toml: tool.warmpack has no key '%s'" % unknown[0])
    for name, value in table.items():
        if name == "strict":
            right, kind = isinstance(value, bool), "true or false"
        elif name == "source":
            right, kind = isinstance(value, str), "a string"
        else:
            right, kind = isinstance(value, str) or _is_strings(value), "a string or a list of them"
        if not right:
            raise Error("pyproject.toml: tool.warmpack.%s is not %s" % (name, kind))
    return table


def _source(distribution: Any, settings: Dict[str, Any]) -> str:
    """The directory that holds the packages as they lie in the archive."""
    if "source" in settings:
        return str(settings["source"])
    package_dir = distribution.package_dir or {}
    found = {package_dir.get("", ".") or "."}
    for package, folder in package_dir.items():
        tail = package.replace(".", os.sep)
        if not package:
            continue
        folder = os.path.normpath(folder)
        if folder != tail and not folder.endswith(os.sep + tail):
            raise Error("package_dir: %s lies in %s, whose end is another name: its caches cannot "
                        "be packed" % (package, folder))
        found.add(folder[:-len(tail)].rstrip(os.sep) or ".")
    if "" not in package_dir and len(found) > 1:
        found.discard(".")
    if len(found) > 1:
        raise Error("package_dir: the packages lie in several directories (%s); name one as "
                    "tool.warmpack.source" % ", ".join(sorted(found)))
    return str(found.pop())


def _warm_up(command: Any, source: str) -> None:
    """Runs what imports and calls the project, from its sources."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(
        [os.path.abspath(source), *filter(None, [env.get("PYTHONPATH")])])
    if isinstance(command, list) and command and command[0] in ("python", "python3"):
        command = [sys.executable, *command[1:]]
    _log.info("warming up: %s", command)
    try:
        done = subprocess.run(command, shell=isinstance(command, str), env=env, check=False)
    except OSError as error:
        raise Error("the warm-up command cannot be run: %s: %s" % (command[0], error.strerror)
                    ) from error
    if done.returncode != 0:
        raise Error("the warm-up command ended with status %d: %s" % (done.returncode, command))


def _amend(path: str, source: str, settings: Dict[str, Any]) -> None:
    cache_dir = settings.get("cache-dir")
    strict = bool(settings.get("strict"))
    done = amend(path, source=source, cache_dir=cache_dir, strict=strict)
    summary = done["summary"]
    if strict and not (done["written"] and summary["total"]):
        raise Error("%s: there is no Numba cache for what it holds in %s" % (path, source))
    print("warmpack: %s: %d of %d cache indexes valid" % (path, summary.get("valid", 0),
                                                          summary["total"]))


def _built(command: Any, already: List[Any]) -> List[str]:
    """The archives that the command noted, as upload wants to know them."""
    files = getattr(command.distribution, "dist_files", [])
    return [path for kind, _, path in files[len(already):] if kind in _COMMANDS]


def _amending(base: Type[Any], given: Optional[Dict[str, Any]] = None) -> Type[Any]:
    """The command BASE, amending what it built. GIVEN: settings instead of pyproject.toml's."""

    class Amending(base):  # type: ignore[misc]
        _warmpack = True

        def run(self) -> None:
            settings = given if given is not None else _settings() or {}
            already = list(getattr(self.distribution, "dist_files", []))
            try:
                source = _source(self.distribution, settings)
                if "warm-up" in settings:
                    _warm_up(settings["warm-up"], source)
                super().run()
                for path in _built(self, already):
                    _amend(path, source, settings)
            except Error as error:
                # What setuptools shows in one line, and not as somebody's mistake in Python.
                from distutils.errors import DistutilsError

                raise DistutilsError("warmpack: %s" % error) from error

    Amending.__name__ = Amending.__qualname__ = base.__name__
    return Amending


def _base(name: str) -> Optional[Type[Any]]:
    places = {"bdist_egg": ("setuptools.command.bdist_egg",),
              "bdist_wheel": ("setuptools.command.bdist_wheel", "wheel.bdist_wheel")}
    for module in places[name]:
        try:
            base: Type[Any] = getattr(importlib.import_module(module), name)
        except ImportError:
            continue
        return base
    return None


def cmdclass(**settings: Any) -> Dict[str, Type[Any]]:
    """For setup(cmdclass=...): the commands that there are. SETTINGS (warm_up, source, cache_dir,
    strict) stand for the table in pyproject.toml, and instead of it."""
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    unknown = sorted(set(given) - set(_KEYS))
    if unknown:
        raise TypeError("cmdclass() has no argument '%s'" % unknown[0].replace("-", "_"))
    bases = {name: _base(name) for name in _COMMANDS}
    return {name: _amending(base, given or None) for name, base in bases.items() if base}


def finalize(distribution: Any) -> None:
    """The entry point by which setuptools asks: switched on by [tool.warmpack]."""
    try:
        if _settings() is None:
            return
    except Error as error:
        # What setuptools shows in one line here.
        from distutils.errors import DistutilsSetupError

        raise DistutilsSetupError("warmpack: %s" % error) from error
    for name in _COMMANDS:
        try:
            base = distribution.get_command_class(name)
        except Exception:  # setuptools has no such command, and says so in several ways.
            continue
        if not getattr(base, "_warmpack", False):
            distribution.cmdclass[name] = _amending(base)
