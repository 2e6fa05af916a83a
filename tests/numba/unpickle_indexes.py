"""Prints as JSON what Python itself finds in every index beneath the directories given."""

import json
import pickle
import sys
from pathlib import Path


def describe_stamp(stamp):
    """Content is a digest; times are compared to the last bit."""
    if isinstance(stamp, bytes):
        return stamp.hex()
    return [float(stamp[0]).hex(), stamp[1]]


def signature(key):
    """Types by their names, as str() gives them: since 0.57 some have another repr()."""
    if isinstance(key, tuple):
        return "(" + ", ".join(map(str, key)) + (",)" if len(key) == 1 else ")")
    if hasattr(key, "args"):
        return signature(key.args) + " -> " + str(key.return_type)
    return str(key)


def describe(path):
    with open(path, "rb") as f:
        version = pickle.load(f)
        stamp, overloads = pickle.load(f)
    return {
        "numba": version,
        "python": "%d%d%s" % (*sys.version_info[:2], sys.abiflags),
        "stamp": describe_stamp(stamp),
        "overloads": [
            {
                "form": type(key[0]).__name__,
                "signature": signature(key[0]),
                "magic": list(key[1]),
                "code": list(key[2]),
                "data": data,
                "size": (path.parent / data).stat().st_size,
            }
            for key, data in overloads.items()
        ],
    }


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    found = {}
    for root in sys.argv[1:]:
        for index in sorted(Path(root).rglob("*.nbi")):
            found[str(index.relative_to(root))] = describe(index)
    json.dump(found, sys.stdout)
