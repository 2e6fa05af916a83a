"""What of an unpacked directory goes onto sys.path."""

import os
import struct
from typing import Any, Dict, Optional, Sequence

from ._places import is_there


def _says(data: bytes, module: str) -> bool:
    """Is MODULE one of the strings of these pickles?"""
    name = module.encode("utf-8", "surrogateescape")
    forms = [b"X" + struct.pack("<I", len(name)) + name]
    if len(name) < 256:
        forms.append(b"\x8c" + bytes([len(name)]) + name)
    return any(form in data for form in forms)


def _module(path: str) -> str:
    """The name of the module PATH, which is relative to where it is imported from."""
    stem = os.path.splitext(path)[0]
    return stem.replace("/", ".")


def _was_imported_with(top: str, directory: str, index: Dict[str, Any]) -> Optional[bool]:
    """Was the source of an index imported as TOP.something, or without TOP? None: not known."""
    source = index.get("source") or ""
    for overload in index.get("overloads", ()):
        data = overload.get("data")
        if not data or not source.startswith(top + "/"):
            continue
        path = os.path.join(directory, os.path.dirname(index["index"]), data)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if _says(content, _module(source)):
            return True
        if _says(content, _module(source[len(top) + 1:])):
            return False
    return None


def root_of(directory: str, indexes: Sequence[Dict[str, Any]]) -> str:
    """The tree in DIRECTORY: its one directory, or DIRECTORY itself where there are several, or
    where the one is a package. One without __init__.py is a package (a namespace package) if the
    code in the caches was imported by its name. INDEXES are verify's."""
    # Names that begin with a dot are the manifest's, caches', or of tools.
    names = [name for name in os.listdir(directory) if not name.startswith(".")]
    if len(names) != 1:
        return directory
    top = os.path.join(directory, names[0])
    if not os.path.isdir(top) or is_there(os.path.join(top, "__init__.py")):
        return directory
    for index in indexes:
        with_top = _was_imported_with(names[0], directory, index)
        if with_top is not None:
            return directory if with_top else top
    return top
