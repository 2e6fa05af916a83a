"""Compares what sources of real packages depend on with what Python's ast and the rules of its
import system say.

    python3 depends_by_ast.py SHOW_DEPENDS SHOW_IMPORTS [PACKAGE...]

No file that Python could load may be missing. More may be there, in few cases: the reference knows
one directory that modules are found from, not all that may be on a path.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import imports_by_ast

TOP = Path("/usr/lib/python3/dist-packages")
PACKAGES = tuple(sys.argv[3:]) or ("numba", "llvmlite", "six.py", "yaml")
SUFFIXES = (".so", ".pyd", ".py", ".pyc")


def listing():
    found = []
    for package in PACKAGES:
        path = TOP / package
        files = [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file())
        found += [str(p.relative_to(TOP)) for p in files]
    return sorted(found, key=os.fsencode)


class Tree:
    """The modules of a tree, by dotted name, as sys.path = [TOP] has them."""

    def __init__(self, paths, dynamic):
        self.dynamic = dynamic
        self.modules = {}  # files by dotted name; a package's are its __init__
        self.packages = set()
        for path in paths:
            folder, _, base = path.rpartition("/")
            stem, _, rest = base.partition(".")
            if not path.endswith(SUFFIXES) or (path.endswith((".py", ".pyc")) and "." in rest):
                continue
            name = folder.replace("/", ".") + ("" if stem == "__init__" else "." + stem)
            if stem == "__init__":
                self.packages.add(name)
            self.modules.setdefault(name.lstrip("."), set()).add(path)

    def chain(self, name):
        """The files of a module and of the packages that it lies in."""
        parts = name.split(".")
        for n in range(1, len(parts) + 1):
            yield from self.modules.get(".".join(parts[:n]), ())

    def loads(self, path):
        """The files that a source itself may load."""
        name = path[: -len(".py")].replace("/", ".")
        package = name.rpartition(".")[0]
        found = set(self.chain(name.removesuffix(".__init__")))
        if path in self.dynamic and package:
            top = package.split(".")[0]
            for module, files in self.modules.items():
                if module.split(".")[0] == top:
                    found |= files
        for level, module, names, _ in imports_by_ast.by_ast((TOP / path).read_bytes()) or ():
            if level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - level + 1])
                module = base + ("." + module if module else "")
            found.update(self.chain(module))
            if names == ("*",):
                for other, files in self.modules.items():
                    if module in self.packages and other.rpartition(".")[0] == module:
                        found |= files
            else:
                for attribute in names or ():
                    found.update(self.chain(module + "." + attribute))
        return found


def closures(edges):
    """What each file leads to in the end."""
    for start in edges:
        found, waiting = {start}, [start]
        while waiting:
            new = edges.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        yield start, found


def by_library(command, paths):
    done = subprocess.run(
        [*imports_by_ast.EMULATOR, *command],
        input="".join(p + "\n" for p in paths),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sets, sources = [], {}
    for line in map(json.loads, done.stdout.splitlines()):
        if "source" in line:
            sources[line["source"]] = sets[line["set"]]
        else:
            assert line["files"] == sorted(line["files"], key=os.fsencode)
            assert all(use < len(sets) for use in line["uses"])
            sets.append(set(line["files"]).union(*(sets[use] for use in line["uses"])))
    return sources, len(sets)


def main(show_depends, show_imports):
    paths = listing()
    sources = [p for p in paths if p.endswith(".py")]
    if not sources:
        sys.exit("SKIP: none of these packages of Debian's is here: " + " ".join(PACKAGES))
    scanned = imports_by_ast.by_scanner(show_imports, [str(TOP / p) for p in sources])
    dynamic = {p for p, (_, why) in zip(sources, scanned, strict=True) if why}
    bad = compare([show_depends, str(TOP)], paths, sources, dynamic)
    # Those that cannot be followed take most of their packages: once more as though they could.
    bad += compare([show_depends, str(TOP), "static"], paths, sources, set())
    sys.exit(1 if bad else 0)


def compare(command, paths, sources, dynamic):
    """The number of sources that lack a file, or 1 where too many have one more."""
    tree = Tree(paths, dynamic)
    found, sets = by_library(command, paths)
    bad = more = total = 0
    for path, expected in closures({p: tree.loads(p) for p in sources}):
        missing, extra = expected - found[path], found[path] - expected
        total += len(expected)
        more += len(extra)
        if missing:
            bad += 1
            print(path, "lacks", sorted(missing)[:5])
    print(
        "%d sources in %d sets, %d of them dynamic: %d files and %d more; %d sources lack some"
        % (len(sources), sets, len(dynamic), total, more, bad)
    )
    return bad + (more > total // 100)


if __name__ == "__main__":
    main(*sys.argv[1:3])
