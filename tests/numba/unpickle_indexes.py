"""Prints as JSON what Python itself finds in every index beneath the directories given."""

import json
import pickle
import sys
from pathlib import Path


def describe(path):
    with open(path, "rb") as f:
        version = pickle.load(f)
        stamp, overloads = pickle.load(f)
    return {
        "numba": version,
        "stamp": [stamp[0].hex() if isinstance(stamp[0], float) else stamp[0], stamp[1]],
        "overloads": [
            {
                "form": type(key[0]).__name__,
                "signature": str(key[0]),
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
