"""The trees that this process uses: the modules of one never answer for those of another.

A second release, or another application whose packages have the same names, needs more than a new
sys.path, since what was imported stays imported. In a task the earlier tree is put aside with all
of its modules, and comes back with them when it is activated again; elsewhere that is an error.
"""

import importlib
import importlib.machinery
import logging
import os
import sys
import threading
from types import ModuleType
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from . import _engine
from ._program import Error

_log = logging.getLogger("warmpack")

Modules = Dict[str, ModuleType]


class Tree:
    """A tree that was activated here."""

    def __init__(self, root: str, made: str, paths: Sequence[str]) -> None:
        self.root = root
        self.made = made  # another one for other content at the same place
        self.paths = list(paths)  # on sys.path
        self.aside: Optional[Modules] = None  # while it is put aside: its modules
        self.environments: Dict[str, Any] = {}  # likewise: Numba's constants of its functions


class _Engine:
    """One of Numba's engines, and every tree whose code may be in it."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine  # None: the one that Numba itself began with
        self.trees: List[Tree] = []


# All under the lock, which who calls check() and use() holds.
lock = threading.RLock()  # threads may activate several
_trees: List[Tree] = []  # the last was activated last
_engines = [_Engine(None)]  # the last is the current one
_warned: Set[str] = set()


def front() -> Optional[Tree]:
    """The tree that was activated last."""
    return _trees[-1] if _trees else None


def _is_below(path: Any, tree: Tree) -> bool:
    return isinstance(path, str) and any(
        path == place or path.startswith(place.rstrip("/") + "/")
        for place in (tree.root, *tree.paths))


def _places(module: ModuleType) -> List[Any]:
    """Where a module comes from: its file, or the directories of a namespace package."""
    file = getattr(module, "__file__", None)
    if file is not None:
        return [file]
    try:
        return list(getattr(module, "__path__", ()))
    except Exception:  # Anything can be in sys.modules.
        return []


def _modules_of(tree: Tree) -> Modules:
    found = {}
    for name, module in list(sys.modules.items()):
        places = _places(module)
        if places and all(_is_below(place, tree) for place in places):
            found[name] = module
    return found


def _is_module(path: str) -> bool:
    suffixes = importlib.machinery.all_suffixes()
    return any(os.path.isfile(stem + suffix) for suffix in suffixes
               for stem in (path, os.path.join(path, "__init__")))


def _provides(name: str, paths: Sequence[str]) -> bool:
    """Is the module NAME, or the package that it belongs to, among PATHS? Directories without
    __init__.py, namespace packages, are shared by all who have them."""
    for place in paths:
        for part in name.split("."):
            place = os.path.join(place, part)
            if _is_module(place):
                return True
            if not os.path.isdir(place):
                break
    return False


def _some(names: Sequence[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:8]) + (" and %d more" % (len(names) - 8) if len(names) > 8 else "")


def _in_the_way(new: Tree) -> Iterator[Tuple[Tree, Modules, List[str]]]:
    """Each tree in use of which modules would answer for NEW's: with all of its modules, and the
    names of those."""
    for tree in _trees:
        if tree is new or tree.aside is not None:
            continue
        loaded = _modules_of(tree)
        if tree.root == new.root:
            names = list(loaded)
        else:
            names = [name for name in loaded if _provides(name, new.paths)
                     and not _is_below(_places(loaded[name])[0], new)]
        if names or tree.root == new.root:
            yield tree, loaded, names


def _refuse_what_cannot_go(tree: Tree, loaded: Modules) -> None:
    compiled = [name for name, module in loaded.items()
                if str(getattr(module, "__file__", "")).endswith(
                    tuple(importlib.machinery.EXTENSION_SUFFIXES))]
    if compiled:
        raise Error("%s of %s: a process cannot take another release of compiled modules: start a "
                    "new one" % (_some(compiled), tree.root))
    if _engine.is_there():
        taught = _engine.extensions(loaded)
        if taught:
            raise Error("%s of %s extended Numba's own functions or types, which a process cannot "
                        "take back: start a new one" % (_some(taught), tree.root))
        _engine.fresh()  # or an error, before anything is changed


def _detach(modules: Modules) -> None:
    """Removes MODULES from sys.modules and, as attributes, from packages that stay."""
    for name, module in modules.items():
        sys.modules.pop(name, None)
        package, _, child = name.rpartition(".")
        if package and package not in modules:
            holder = sys.modules.get(package)
            if holder is not None and getattr(holder, child, None) is module:
                delattr(holder, child)


def _attach(modules: Modules) -> None:
    for name, module in modules.items():
        sys.modules[name] = module
        package, _, child = name.rpartition(".")
        if package and package not in modules and package in sys.modules:
            setattr(sys.modules[package], child, module)


def _put_aside(tree: Tree, loaded: Modules) -> None:
    _detach(loaded)
    tree.aside = loaded
    if _engine.is_there():
        tree.environments = _engine.take_environments(loaded)
    sys.path[:] = [path for path in sys.path if path not in tree.paths]


def _bring_back(tree: Tree) -> None:
    if tree.aside is not None:
        _attach(tree.aside)
        if tree.environments:
            _engine.give_environments(tree.environments)
        tree.aside, tree.environments = None, {}


def _choose_engine() -> None:
    """One that has no code but that of trees in use; a new one where there is none."""
    here = [tree for tree in _trees if tree.aside is None]
    if not _engine.is_there():
        _engines[:] = [_Engine(None)]  # no code yet
    elif not all(tree in here for tree in _engines[-1].trees):
        if _engines[-1].engine is None:
            _engines[-1].engine = _engine.current()
        # Of trees that are gone for good there is nothing to come back to.
        known = [one for one in _engines if all(tree in _trees for tree in one.trees)]
        fit = [one for one in known if all(tree in here for tree in one.trees)]
        chosen = fit[-1] if fit else _Engine(_engine.fresh())
        _engine.switch(chosen.engine)
        _engines[:] = [one for one in known if one is not chosen] + [chosen]
    _engines[-1].trees = here


def _warn_of_others(new: Tree) -> None:
    """Modules that were imported before, from no tree of ours, are left to answer: another copy
    of numpy would be no help."""
    listed = {name.partition(".")[0] for path in new.paths if os.path.isdir(path)
              for name in os.listdir(path)}
    names = [name for name in listed & set(sys.modules) - _warned
             if _provides(name, new.paths) and _places(sys.modules[name])
             and not any(_is_below(_places(sys.modules[name])[0], tree) for tree in _trees)]
    if names:
        _warned.update(names)
        _log.warning("%s: imported before %s was activated, from elsewhere: these stay",
                     _some(names), new.root)


def _find(root: str, made: str, paths: Sequence[str]) -> Tree:
    for tree in _trees:
        if (tree.root, tree.made) == (root, made):
            tree.paths += [path for path in paths if path not in tree.paths]
            return tree
    return Tree(root, made, paths)


def check(root: str, made: str, paths: Sequence[str], replace_modules: bool) -> Tree:
    """The tree ROOT as MADE, which may be used now; else an error that names the modules that are
    in the way. Changes nothing."""
    new = _find(root, made, paths)
    for tree, loaded, names in _in_the_way(new):
        if not names:
            continue
        if not replace_modules:
            raise Error("%s: imported from %s, which was activated before%s, and would answer for "
                        "%s: start a new process, or give replace_modules=True"
                        % (_some(names), tree.root,
                           " with other content" if tree.root == root else "", root))
        _refuse_what_cannot_go(tree, loaded)
    return new


def use(new: Tree, paths: Sequence[str]) -> None:
    """Makes NEW the one whose modules are imported, PATHS first. What is in its way, which check()
    allowed, is put aside."""
    for tree, loaded, _ in list(_in_the_way(new)):
        _put_aside(tree, loaded)
        if tree.root == new.root:  # its files are not there any more
            _trees.remove(tree)
    _bring_back(new)
    if new in _trees:
        _trees.remove(new)
    _trees.append(new)
    _choose_engine()
    wanted = [*paths, *(path for path in new.paths if path not in paths)]
    sys.path[:] = wanted + [path for path in sys.path if path not in wanted]
    importlib.invalidate_caches()
    _warn_of_others(new)
