"""Numba's execution engine, of which a process needs another one for a second release of a tree.

Numba links machine code by symbols, made of module, function and a number that starts anew in each
process: the functions of two releases have the same ones. In one engine the second release's
callers would call the first one's functions, without a word. Seen with Numba 0.56.4 to 0.68.1; the
attributes below are the same in all of them.
"""

import importlib
import sys
from typing import Any, Collection, Dict, List

from ._program import Error


def is_there() -> bool:
    """Whether this process has Numba, and so machine code at all."""
    return hasattr(sys.modules.get("numba"), "config")


def _unknown(error: Exception) -> Error:
    version = getattr(sys.modules["numba"], "__version__", "")
    return Error("Numba %s cannot take another release of a tree into a process that has used one "
                 "(%s): start a new process" % (version, error))


def _context() -> Any:
    return importlib.import_module("numba.core.registry").cpu_target.target_context


def current() -> Any:
    """The engine into which Numba puts what it loads or compiles from now on."""
    try:
        return _context()._internal_codegen
    except (ImportError, AttributeError) as error:
        raise _unknown(error) from error


def fresh() -> Any:
    """A new one, empty."""
    try:
        return type(current())("numba.exec")
    except TypeError as error:
        raise _unknown(error) from error


def switch(engine: Any) -> None:
    """Makes ENGINE the current one. What was loaded before stays in its own, and goes on there."""
    _context()._internal_codegen = engine


def _memo() -> Any:
    try:
        return importlib.import_module("numba.core.environment").Environment._memo
    except (ImportError, AttributeError) as error:
        raise _unknown(error) from error


def take_environments(modules: Collection[str]) -> Dict[str, Any]:
    """Takes out, and returns, the constants of MODULES' functions, which Numba finds by symbols."""
    memo = _memo()
    taken = {name: env for name, env in list(memo.items())
             if env.globals.get("__name__") in modules}
    for name in taken:
        del memo[name]
    return taken


def give_environments(environments: Dict[str, Any]) -> None:
    _memo().update(environments)


def extensions(modules: Collection[str]) -> List[str]:
    """The names of MODULES that have taught Numba functions or types of others (@overload and its
    like). Numba forgets nothing of that, and asks the first teacher first."""
    try:
        registry = importlib.import_module("numba.core.typing.templates").builtin_registry
        templates = [*registry.functions, *registry.attributes]
    except (ImportError, AttributeError) as error:
        raise _unknown(error) from error
    found = set()
    for template in templates:
        teacher = getattr(getattr(template, "_overload_func", None), "__module__", None)
        of = getattr(getattr(template, "key", None), "__module__", None)
        if teacher in modules and of not in modules:
            found.add(str(teacher))
    return sorted(found)
