"""Packages of random modules that import each other in every way there is, with cached functions
that take constants and code from one another, and edits of one file each. A number gives the same
package each time."""

import json
import random

CACHED = "@njit(cache=True)"
PLAIN = ("@njit", '@njit(inline="always")', "@register_jitable", CACHED)
HEADS = ("", "# -*- coding: latin-1 -*-\n", "\ufeff", "\f\n", '"""import nothing"""\n')
# Each gives {use}, of module {module} or from the package {above}, whose last part is {last}.
WAYS = (
    ("from {module} import {name}", "{name}"),
    ("from {module} import {name} as {own}", "{own}"),
    ("from {module} import *", "{name}"),
    ("import {module}", "{module}.{name}"),
    ("import {module} as {own}", "{own}.{name}"),
    ("import os, {module} as {own}", "{own}.{name}"),
    ("from {above} import {last} as {own}", "{own}.{name}"),
    ("from {relative} import {name}", "{name}"),
    ("from {relative} import *", "{name}"),
    ("from {relative_above} import {last} as {own}", "{own}.{name}"),
    ("from {relative} import (  # some\n    {name} as {own},\n)", "{own}"),
    ("from \\\n    {relative} \\\n    import \\\n    {name}", "{name}"),
    ("if True: from {module} import {name}\nelse: {name} = 0", "{name}"),
    ("pass; from {relative} import {name}; pass", "{name}"),
    ("try:\n    from absent_{own} import {name}\nexcept ImportError:\n    from {relative} import {name}",
     "{name}"),
    ("with open(__file__):\n    from {relative} import {name}", "{name}"),
    ("def get_{own}():\n    from {relative} import {name}\n    return {name}\n{own} = get_{own}()",
     "{own}"),
    ("class Of_{own}:\n    from {relative} import {name}\n{own} = Of_{own}.__dict__['{name}']",
     "{own}"),
    ("import importlib\n{own} = importlib.import_module('{module}').{name}", "{own}"),
    ("from importlib import import_module as load\n{own} = load('{module}').{name}", "{own}"),
    ("{own} = __import__('{module}', fromlist=['{name}']).{name}", "{own}"),
    ("exec('from {module} import {name}')", "{name}"),
    ("{own} = eval('__import__(\"{module}\", fromlist=[\"\"])').{name}", "{own}"),
    ("import sys\n{own} = sys.modules['{module}'].{name}", "{own}"),
    ("import sys\n{own} = sys.modules.get('{module}').{name}", "{own}"),
    ("import runpy\n{own} = runpy.run_module('{module}')['{name}']", "{own}"),
    ("import pkgutil\n{own} = pkgutil.resolve_name('{module}:{name}')", "{own}"),
    ("import pydoc\n{own} = pydoc.locate('{module}.{name}')", "{own}"),
    # Somebody else has loaded the module, which is then there as its package's attribute.
    ("import {top}", "{module}.{name}"),
    ("import {top} as {own}", "{own}{below_top}.{name}"),
    ("from {top} import high_0 as {own}\nimport {top}", "{module}.{name}"),
    ("{own} = __loader__ and __import__('{top}'){below_top}.{name}", "{own}"),
)  # fmt: skip


class Module:
    def __init__(self, number, parts):
        self.number = number
        self.parts = parts
        self.value = 10 + number
        self.factor = 2 + number % 3
        self.decorator = CACHED
        self.head = ""
        self.line_end = "\n"
        self.imports = []
        self.terms = []
        self.tail = ""

    @property
    def dotted(self):
        return ".".join(self.parts)

    @property
    def path(self):
        return "/".join(self.parts) + ".py"

    def text(self):
        lines = [self.head + "from numba import njit", "from numba.extending import register_jitable"]
        lines += self.imports
        lines += ["V%d = %d" % (self.number, self.value)]
        lines += [self.decorator, "def f%d(x):" % self.number]
        terms = " + ".join(["x * %d" % self.factor, "V%d" % self.number, *self.terms])
        lines += ["    return " + terms, self.tail, ""]
        return "\n".join(lines).replace("\n", self.line_end)


def relative(of, parts):
    """PARTS as module OF names it with dots, or None where they have no package in common."""
    package = of.parts[:-1]
    common = 0
    while common < min(len(package), len(parts)) and package[common] == parts[common]:
        common += 1
    if common == 0:
        return None
    return "." * (len(package) - common + 1) + ".".join(parts[common:])


def add_import(draw, of, target, exports):
    """Module OF takes a constant or a function of TARGET, in some way."""
    name = draw.choice("Vf") + str(target.number)
    if target.decorator is None:
        name = "V%d" % target.number
    own = "own%d_%d" % (of.number, target.number)
    words = {
        "module": target.dotted,
        "top": target.parts[0],
        "below_top": "".join("." + part for part in target.parts[1:]),
        "above": ".".join(target.parts[:-1]),
        "last": target.parts[-1],
        "relative": relative(of, target.parts),
        "relative_above": relative(of, target.parts[:-1]),
        "name": name,
        "own": own,
    }
    package = tuple(target.parts[:-1])
    if package in exports and draw.random() < 0.3:
        exports[package].add((draw.choice(("name", "star", "lazy")), target.parts[-1], name))
        words["module"] = ".".join(package)
        words["relative"] = relative(of, package)
        choices = [0, 1, 3, 4, 7, 10, 18]
    else:
        choices = range(len(WAYS))
    while True:
        statement, use = WAYS[draw.choice(choices)]
        if any(words[key] in (None, "") and "{%s}" % key in statement + use for key in words):
            continue
        if len(target.parts) == 1 and "{top}" in statement:
            continue
        break
    of.imports.append(statement.format(**words))
    use = use.format(**words)
    of.terms.append("%s(x)" % use if name[0] == "f" else use)


def init_text(exports, extra=""):
    lines = []
    lazy = {name: module for kind, module, name in sorted(exports) if kind == "lazy"}
    for kind, module, name in sorted(exports):
        if kind == "name":
            lines.append("from .%s import %s" % (module, name))
        elif kind == "star":
            lines.append("from .%s import *" % module)
    if lazy:
        lines += ["OF = %r" % lazy, "def __getattr__(name):", "    if name in OF:",
                  "        return getattr(__import__(__name__ + '.' + OF[name],"
                  " fromlist=['']), name)", "    raise AttributeError(name)"]  # fmt: skip
    return "\n".join(lines + [extra, ""])


class Package:
    """FILES by path, MODULES in the order in which they can be loaded, EDITS: for each what it is
    called, and the files that it leaves (None: it is gone)."""

    def __init__(self, number):
        draw = random.Random(number)
        self.name = "pkg%d" % number
        self.beside = "beside%d" % number
        places = [[self.name], [self.name], [self.name, "sub"], [self.name, "sub", "deep"],
                  [self.name, "space"], [], [self.beside], [self.name, "other"]]  # fmt: skip
        exports = {(self.name,): set(), (self.name, "sub"): set(),
                   (self.name, "sub", "deep"): set(), (self.name, "other"): set()}  # fmt: skip
        self.modules = []
        for i in range(draw.randint(5, 10)):
            place = draw.choice(places) if i else [self.name]
            last = "high_0" if not i else "m%d" % i
            if not place:
                last = "top%d_%d" % (number, i)
            module = Module(i, [*place, last])
            if i:
                module.decorator = draw.choice(PLAIN)
            if draw.random() < 0.3:
                module.head = draw.choice(HEADS)
            if draw.random() < 0.2:
                module.line_end = draw.choice(("\r\n", "\r"))
            self.modules.append(module)
        for i, module in enumerate(self.modules):
            later = self.modules[i + 1 :]
            for target in draw.sample(later, min(len(later), draw.choice((0, 1, 1, 2, 2, 3)))):
                add_import(draw, module, target, exports)
        for module in self.modules[1:]:
            if draw.random() < 0.2 and module.parts[0] == self.name:  # a circle
                module.tail = "def back():\n    from %s import high_0\n" % self.name
        # A lazy name and one that a star brings must not hide each other.
        self.exports = exports
        self.files = self.written()
        self.edits = list(self.make_edits(draw))

    def written(self):
        files = {module.path: module.text() for module in self.modules}
        for package, names in self.exports.items():
            if any(path.startswith("/".join(package) + "/") for path in files):
                files["/".join(package) + "/__init__.py"] = init_text(names)
        return files

    def make_edits(self, draw):
        for module in self.modules:
            for what in ("value", "factor"):
                old = getattr(module, what)
                setattr(module, what, old + 100)
                yield "%s of %s" % (what, module.path), {module.path: module.text()}
                if what == "value" and draw.random() < 0.3:
                    text, stem = module.text(), module.path[:-3]
                    # A package hides the module beside it; relative imports in it are one deeper.
                    if "from ." not in text and " ." not in text:
                        yield "package beside " + module.path, {stem + "/__init__.py": text}
                        yield "package for " + module.path, {
                            module.path: None, stem + "/__init__.py": text}  # fmt: skip
                setattr(module, what, old)
        for package, names in self.exports.items():
            path = "/".join(package) + "/__init__.py"
            if path in self.files:
                for kind, _, name in sorted(names):
                    if kind != "lazy" and name[0] == "V":
                        extra = "%s = %s + 1000" % (name, name)
                        yield name + " in " + path, {path: init_text(names, extra)}

    def cached(self):
        return [module for module in self.modules if module.decorator == CACHED]

    def after(self, edit):
        files = dict(self.files)
        for path, text in edit.items():
            if text is None:
                del files[path]
            else:
                files[path] = text
        return files


def write(root, path, text):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = "latin-1" if "latin-1" in text else "utf-8"
    path.write_bytes(text.encode(encoding))


RUN = """\
import importlib
import json
import sys


def result(load, call):
    for dotted in load:
        importlib.import_module(dotted)
    said = {}
    for dotted, function in call:
        f = getattr(sys.modules[dotted], function)
        value = f(5)
        said[dotted] = [int(value), sum(f.stats.cache_hits.values()) if hasattr(f, "stats") else 0]
    return said


said = {}
for line in open(sys.argv[1]):
    name, load, call = json.loads(line)
    try:
        said[name] = result(load, call)
    except Exception as error:  # not every random package works
        said[name] = str(error)
print(json.dumps(said))
"""


def plan(packages):
    """Lines for RUN: which modules are loaded first, deepest first, and which functions called."""
    lines = []
    for package in packages:
        load = [module.dotted for module in reversed(package.modules)]
        call = [(module.dotted, "f%d" % module.number) for module in package.cached()]
        lines.append(json.dumps([package.name, load, call]) + "\n")
    return "".join(lines)
