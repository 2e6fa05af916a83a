"""A tree with a manifest, made by hand, so that a test can say whatever it likes in it."""

import hashlib
import json
import os
import pickle
from pathlib import Path

ID = "0123456789abcdef"
FOREIGN = ("x86_64-pc-linux-gnu", "x86-64-v3", "")


def digest(content):
    return hashlib.sha256(content).hexdigest()


def index_bytes(cpu, stamp=(1.5, 3), version=None, data="k.f-3.py311.1.nbc", protocol=4):
    import numba

    key = (("int64",), tuple(cpu), ("a" * 64, "b" * 64))
    return (pickle.dumps(version or numba.__version__, 5)
            + pickle.dumps((stamp, {key: data}), protocol))


class Forged:
    """app/pkg/k.py with one index and one data file, and a manifest about them."""

    def __init__(self, base, cpu):
        import sys

        self.base, self.root = Path(base), Path(base) / "app"
        self.stem = "k.f-3.py%d%d" % sys.version_info[:2]
        self.entries, self.after, self.cpu = {}, [], tuple(cpu)
        self.header = {"format": "warmpack-manifest", "version": 1, "creator": "test",
                       "root": "/srv", "home": "app/.warmpack/" + ID, "cpu": " ".join(cpu)}
        self.put("app/pkg/__init__.py", b"")
        self.source = self.put("app/pkg/k.py", b"def f(): pass\n")
        self.place = "app/pkg/__pycache__"
        self.nbi = self.put("%s/%s.nbi" % (self.place, self.stem), index_bytes(cpu))
        self.nbc = self.put("%s/%s.1.nbc" % (self.place, self.stem), b"code")
        self.line = {"index": "%s/%s.nbi" % (self.place, self.stem), "source": "app/pkg/k.py",
                     "stamp": {"kind": "mtime", "mtime": 1.5, "size": 3}, "valid": True,
                     "status": "valid", "cpus": [0], "depends": ["app/pkg/k.py"]}
        self.lines = [self.line]

    @property
    def home(self):
        return self.root / ".warmpack" / ID

    def put(self, name, content, **members):
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.entries[name] = {"path": name, "type": "file", "size": len(content),
                              "sha256": digest(content), **members}
        return path

    def text(self):
        lines = [self.header]
        lines += [self.entries[name] for name in sorted(self.entries, key=os.fsencode)]
        body = "".join(json.dumps(line) + "\n" for line in [*lines, *self.after, *self.lines])
        end = {"end": True, "entries": len(self.entries), "sha256": digest(body.encode())}
        return (body + json.dumps(end) + "\n").encode()

    def seal(self, text=None):
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "manifest.jsonl").write_bytes(self.text() if text is None else text)
        return self
