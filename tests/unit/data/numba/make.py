#!/usr/bin/python3
"""Makes what the unit tests of lib/numba read.

make.py            the files beside this one: pickles of each protocol, real indexes
                   and data files, and what Python reads in them
make.py live DIR   warms a fresh application in DIR, and writes DIR/indexes.txt
make.py keys DIR   writes DIR/keys.pickle, a list of keys of every form, and DIR/keys.txt

The last two are run by the tests themselves, with the Numba of this machine.
"""

import glob
import os
import pickle
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

APPLICATION = '''\
import numba
import numpy as np


@numba.njit(cache=True)
def add(a, b):
    return a + b


@numba.njit(["float64(float64)", "int64(int64)"], cache=True)
def eager(a):
    return a * 2


@numba.vectorize(["float64(float64, float64)", "int64(int64, int64)"], cache=True)
def ufunc(a, b):
    return a + b


@numba.guvectorize(["(float64[:], float64[:])"], "(n)->(n)", cache=True)
def gufunc(a, out):
    for i in range(a.shape[0]):
        out[i] = a[i] * 2


@numba.cfunc("float64(float64)", cache=True)
def callback(x):
    return x * 2


def make(k):
    @numba.njit(cache=True)
    def inner(x):
        return x + k
    return inner


@numba.njit(cache=True)
def größe(x):
    return x.size


add(1, 2), add(1.0, 2.0), add(1, 2.0)
gufunc(np.arange(4.0))
make(3)(1)
größe(np.arange(4.0)), größe(np.zeros((2, 2)))
'''


# ---- What a pickle holds, as text ----------------------------------------------------------

class Object:
    """Stands for a class, or for what a class makes: the reader makes neither."""

    def __init__(self, head, parts=()):
        self.head, self.parts, self.state, self.more = head, parts, None, []

    def append(self, item):
        self.more.append(item)

    def __setitem__(self, key, value):
        self.more += [key, value]

    def add(self, item):
        self.more.append(item)


class Ordered:
    """A set in the order of the stream."""

    def __init__(self, items=()):
        self.items = list(items)

    def add(self, item):
        self.items.append(item)


class Reader(pickle._Unpickler):
    """Python's own unpickler, with classes and calls left as data."""
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        return Object("global", [module, name])

    def combine(self, head, count):
        parts = self.stack[-count:]
        del self.stack[-count:]
        self.append(Object(head, parts))

    def load_reduce(self):
        self.combine("reduce", 2)

    def load_newobj(self):
        self.combine("newobj", 2)

    def load_newobj_ex(self):
        self.combine("newobj_ex", 3)

    def load_build(self):
        state = self.stack.pop()
        self.stack[-1].state = state

    def load_empty_set(self):
        self.append(Ordered())

    def load_frozenset(self):
        items = self.pop_mark()  # which changes what self.append is
        self.append(("frozen", Ordered(items)))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.EMPTY_SET[0]] = load_empty_set
    dispatch[pickle.FROZENSET[0]] = load_frozenset


def text_of(v, above=()):
    """One line for a value, the same that the test makes of the reader's graph."""
    if v is None or isinstance(v, bool):
        return repr(v)
    if isinstance(v, int):
        if -2**63 <= v < 2**63:
            return str(v)
        return "big " + v.to_bytes(v.bit_length() // 8 + 1, "little", signed=True).hex()
    if isinstance(v, float):
        return "float " + struct.pack(">d", v).hex()
    if isinstance(v, str):
        return "str " + v.encode("utf-8", "surrogatepass").hex()
    if isinstance(v, bytes):
        return "bytes " + v.hex()
    if isinstance(v, bytearray):
        return "bytearray " + v.hex()
    if id(v) in above:
        return "cycle"
    above += (id(v),)

    def run(items):
        return "".join(" " + text_of(i, above) for i in items)
    if isinstance(v, tuple) and len(v) == 2 and v[0] == "frozen":
        return "(frozenset%s)" % run(v[1].items)
    if isinstance(v, (tuple, list)):
        return "(%s%s)" % (type(v).__name__, run(v))
    if isinstance(v, dict):
        return "(dict%s)" % run(x for pair in v.items() for x in pair)
    if isinstance(v, Ordered):
        return "(set%s)" % run(v.items)
    state = "" if v.state is None else " state " + text_of(v.state, above)
    more = " more" + run(v.more) if v.more else ""
    return "(%s%s%s%s)" % (v.head, run(v.parts), state, more)


# ---- Pickles of every kind of value --------------------------------------------------------

class Plain:
    pass


class Slots:
    __slots__ = ("a", "b")


class List(list):
    pass


class Dict(dict):
    pass


class Arguments:
    def __new__(cls, a, *, b):
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (1,), {"b": 2}


def everything():
    plain, slots, own_list, own_dict = Plain(), Slots(), List([1, 2]), Dict(a=1, b=2)
    plain.x = slots.a = "value"
    own_list.name = "list"
    loop = [1]
    loop.append(loop)
    shared = ("one", "two")
    return [
        None, True, False,
        0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63, 2**63,
        -2**63 - 1, 2**64, 10**40, -10**40, 2**2100, -2**2100,
        0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("-inf"), 1795339396.4564414,
        "", "ascii", "größe \u20ac \U0001f40d", "line\nbreak\r\x00\x1a", "back\\slash \\u0041",
        "\udce9 \ud800", "x" * 300, b"", b"bytes\x00\xff\n'\"\\", b"y" * 300, bytearray(b"array\xff"),
        (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(1001)),
        {}, {"k": "v"}, dict((i, -i) for i in range(1001)),
        {7}, frozenset([8]), loop, shared, shared, len, Plain,
        plain, slots, own_list, own_dict, Arguments(1, b=2), complex(1, 2), range(3),
    ]


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data)


def make_pickles():
    for protocol in range(3, 6):
        data = pickle.dumps(everything(), protocol)
        write("protocol-%d.pickle" % protocol, data)
        write("protocol-%d.txt" % protocol, read_text(data))


def read_text(data):
    import io
    return (text_of(Reader(io.BytesIO(data), encoding="ASCII").load()) + "\n").encode()


# ---- Indexes -------------------------------------------------------------------------------

def warm(directory):
    """An application's cache, made by running it."""
    with open(os.path.join(directory, "app.py"), "w") as f:
        f.write(APPLICATION)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PYTHON"))}
    subprocess.run([sys.executable, "-c", "import app"], cwd=directory, env=env, check=True)
    return os.path.join(directory, "__pycache__")


def describe(path):
    """A line for the index, one for each overload, as the test prints them."""
    with open(path, "rb") as f:
        version = pickle.load(f)
        stamp, overloads = pickle.load(f)
    if isinstance(stamp, bytes):
        text = "content " + stamp.hex()
    else:
        kind = "mtime" if isinstance(stamp[0], float) else "seconds"
        text = "%s %s %d" % (kind, struct.pack(">d", stamp[0]).hex(), stamp[1])
    lines = ["%s %s %s" % (os.path.basename(path), version, text)]
    lines += ["  " + name for name in overloads.values()]
    return "\n".join(lines) + "\n"


def write_descriptions(directory, pattern):
    text = "".join(map(describe, sorted(glob.glob(os.path.join(directory, pattern)))))
    with open(os.path.join(directory, "indexes.txt"), "w", encoding="utf-8") as f:
        f.write(text)


def other_stamps(directory):
    """Indexes with the stamps of other releases, and one of several frames."""
    from numba import types
    from numba.core.serialize import dumps
    magic = ("x86_64-pc-linux-gnu", "generic", "")
    code = ("0" * 64, "1" * 64)
    scalars = [types.int8, types.int64, types.float32, types.float64, types.complex128]
    arrays = [types.Array(t, d, "C") for t in scalars for d in range(1, 9)]
    pairs = [(a, b) for a in arrays for b in arrays[::2]]
    many = {(pair, magic, ("%064x" % i, "0" * 64)): "app.many-1.py311.%d.nbc" % i
            for i, pair in enumerate(pairs, 1)}
    one = {("(int64,)", magic, code): "app.one-1.py311.1.nbc"}
    for name, stamp, overloads in [("seconds", (1795339396, 661), one),
                                   ("before-1970", (-2, 661), one),
                                   ("content", bytes(range(32)), one),
                                   ("empty", (1795339396.4564414, 661), {}),
                                   ("size-0", (-0.5, 0), one),
                                   ("size-large", (1.25, 2**40), one),
                                   ("many", (1795339396.4564414, 661), many)]:
        with open(os.path.join(directory, "app.%s-1.py311.nbi" % name), "wb") as f:
            pickle.dump("0.62.1", f, protocol=-1)
            f.write(dumps((stamp, overloads)))


def make_indexes():
    import shutil
    import tempfile
    with tempfile.TemporaryDirectory() as directory:
        cache = warm(directory)
        for old in glob.glob(os.path.join(HERE, "*.nb[ic]")):
            os.unlink(old)
        for pattern in ["*.nbi", "app.ufunc*.1.nbc", "guf-*.nbc"]:
            for path in glob.glob(os.path.join(cache, pattern)):
                shutil.copy(path, HERE)
    other_stamps(HERE)
    os.unlink(os.path.join(HERE, "app.many-1.py311.nbi"))  # large, and made again by "live"
    write_descriptions(HERE, "*.nbi")


# ---- Keys ----------------------------------------------------------------------------------

def keys_of_every_form():
    """Each with what is to be read of it."""
    from numba import types
    from numba.core import typing
    cpu = ("x86_64-pc-linux-gnu", "znver3", "+avx2,-sse4a")
    cuda = ((12, 8), (8, 6))
    code = ("a1" * 32, "b2" * 32)
    launch = ("launch_config", ("griddim", (1, 2, 3)), None)
    array = types.Array(types.float64, 1, "C")
    of_cpu = {"triple": cpu[0], "cpu": cpu[1], "features": cpu[2], "for_cpu": "yes"}
    of_code = {"code": code[0], "cells": code[1]}
    of_cuda = {"target": repr(cuda), **of_code}
    one = {"signature": "(int64,)"}
    return [
        (((types.int64, array), cpu, code),
         {"signature": "(int64, array(float64, 1d, C))", **of_cpu, **of_code}),
        (("(int64,)", cpu, code), {**one, **of_cpu, **of_code}),
        ((typing.signature(types.int64, types.float32), cpu, code),
         {"signature": "(float32,) -> int64", **of_cpu, **of_code}),
        (("(int64,)", cuda, code), {**one, **of_cuda}),
        (("(int64,)", cuda, "0.30.0", code), {**one, **of_cuda, "version": "0.30.0"}),
        (("(int64,)", cuda, "0.30.0", code, launch),
         {**one, **of_cuda, "version": "0.30.0", "launch": repr(launch)}),
        (("(int64,)", cuda, code, {"fastmath": True}, 3),
         {**one, **of_cuda, "other": "{'fastmath': True}, 3"}),
        (("(int64,)", cpu, "kernel", code),
         {**one, **of_cpu, **of_code, "other": "'kernel'"}),
        (("(int64,)", cpu, code, "kernel"),
         {**one, **of_cpu, **of_code, "other": "'kernel'"}),
        (("(int64,)", cpu, code, launch),
         {**one, **of_cpu, **of_code, "launch": repr(launch), "for_cpu": None}),
        (("(int64,)", cpu, ("a" * 63, "b" * 64)),
         {**one, **of_cpu, "other": repr(("a" * 63, "b" * 64)), "for_cpu": None}),
        (("(int64,)", cpu), {}),
        ("text", {}),
    ]


def write_keys(directory):
    from numba.core.serialize import dumps
    names = ("signature", "triple", "cpu", "features", "target", "version", "code", "cells",
             "launch", "other", "for_cpu")
    made = keys_of_every_form()
    with open(os.path.join(directory, "keys.pickle"), "wb") as f:
        f.write(dumps([key for key, _ in made]))
    with open(os.path.join(directory, "keys.txt"), "w") as f:
        for _, said in made:
            f.write("\t".join(said.get(name) or "-" for name in names) + "\n")


def main():
    if sys.argv[1:2] == ["keys"]:
        write_keys(sys.argv[2])
    elif sys.argv[1:2] == ["live"]:
        made = warm(sys.argv[2])
        other_stamps(made)
        for found in glob.glob(os.path.join(made, "*.nb[ic]")):
            os.rename(found, os.path.join(sys.argv[2], os.path.basename(found)))
        write_descriptions(sys.argv[2], "*.nbi")
    else:
        make_pickles()
        make_indexes()


if __name__ == "__main__":
    main()
