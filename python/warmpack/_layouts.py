"""Layouts of images that are directories, in stores: fetching what is read of one, and sending one.
"""

import contextlib
import json
import os
import re
import zlib
from typing import Any, Callable, Iterator, List, Optional, Set

INDEX = "index.json"
MARK = b"warmpack-manifest="  # in the first header of an archive or a layer of ours
_START = 1 << 16  # bytes of a layer that tell whose it is
_LARGEST = 16 << 20  # bytes of a manifest or an index


def is_layout(filesystem: Any, path: str) -> bool:
    """A store without directories, such as a web server, does not tell: there the name does."""
    if path.rstrip("/").endswith(".oci"):
        return bool(filesystem.exists(path.rstrip("/") + "/" + INDEX))
    return bool(filesystem.info(path).get("type") == "directory")


def _blobs(told: Any, name: str) -> Iterator[str]:
    """The names of what TOLD has descriptors of under NAME: the program says what is wrong there,
    and reads digests of this kind alone."""
    listed = told.get(name) if isinstance(told, dict) else None
    for descriptor in listed if isinstance(listed, list) else [listed]:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if isinstance(digest, str) and re.fullmatch("sha256:[0-9a-f]{64}", digest):
            yield "blobs/sha256/" + digest[7:]


Get = Callable[[str, str], None]  # (path in the store, file to be made of it)


class _Layout:
    def __init__(self, filesystem: Any, path: str, folder: str, get_layer: Optional[Get]) -> None:
        self.filesystem, self.path, self.folder = filesystem, path.rstrip("/"), folder
        self.get_layer = get_layer or filesystem.get_file
        self.seen: Set[str] = set()

    def fetch(self, name: str, get: Optional[Get] = None) -> None:
        file = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        (get or self.filesystem.get_file)(self.path + "/" + name, file)

    def text(self, name: str) -> Any:
        self.fetch(name)
        with open(os.path.join(self.folder, name), "rb") as file:
            try:
                return json.loads(file.read(_LARGEST))
            except ValueError:
                return None

    def may_be_ours(self, name: str) -> bool:
        start = self.filesystem.cat_file(self.path + "/" + name, start=0, end=_START)[:_START]
        try:
            return MARK in zlib.decompressobj(31).decompress(start, _START)
        except zlib.error:
            return True  # packed in a way that cannot be looked into here

    def fetch_layers(self, told: Any, all_layers: bool) -> None:
        for name in _blobs(told, "layers"):
            with contextlib.suppress(FileNotFoundError):  # which need not be all there
                if name not in self.seen and (all_layers or self.may_be_ours(name)):
                    self.fetch(name, self.get_layer)
            self.seen.add(name)

    def fetch_image(self, name: str, todo: List[Any]) -> None:
        if name in self.seen:
            return
        self.seen.add(name)
        with contextlib.suppress(FileNotFoundError):
            todo.append(self.text(name))


def fetch(filesystem: Any, path: str, folder: str, all_layers: bool,
          get_layer: Optional[Get] = None) -> None:
    """Fetches the layout PATH into FOLDER, apart from the layers that are not warmpack's; each of
    these by GET_LAYER."""
    layout = _Layout(filesystem, path, folder, get_layer)
    layout.fetch("oci-layout")
    todo = [layout.text(INDEX)]
    while todo:
        told = todo.pop()
        for name in _blobs(told, "manifests"):
            layout.fetch_image(name, todo)
        for name in _blobs(told, "config"):
            layout.fetch_image(name, [])
        layout.fetch_layers(told, all_layers)


def send(folder: str, filesystem: Any, path: str) -> None:
    """The index comes last: what it names is there then."""
    path = path.rstrip("/")
    if filesystem.exists(path) and (not filesystem.isdir(path) or filesystem.ls(path)):
        raise FileExistsError("is there, and is no empty directory")
    names = [os.path.relpath(os.path.join(base, name), folder)
             for base, _, files in os.walk(folder) for name in files]
    for name in sorted(names, key=lambda name: (name == INDEX, name)):
        filesystem.makedirs(os.path.dirname(path + "/" + name), exist_ok=True)
        filesystem.put_file(os.path.join(folder, name), path + "/" + name)
