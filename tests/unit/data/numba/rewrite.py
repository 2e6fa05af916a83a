"""Makes indexes to be rewritten, and reads what became of them, with the Numba of this interpreter.

rewrite.py make DIR    indexes in DIR: of a fresh application, and of keys of every form
rewrite.py check PLAN  does each index of the file PLAN hold what was asked for?

A line of the plan is JSON: {"new": FILE, "base": FILE, "parts": [...]}, and each part
{"old": FILE, "which": N, "cpu": [NAME, FEATURES] or null, "data": NAME or null}.
"""

import io
import json
import os
import pickle
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

MORE = '''

@numba.njit(cache=True)
def apply(f, x, text="", many=(1, 2), nothing=None):
    return f(x)


@numba.njit(cache=True)
def ask(values, names, pair):
    return len(values) + len(names)


@numba.njit
def double(x):
    return x * 2


record = np.dtype([("größe", np.float64), ("count", np.int32, (2,))])
apply(double, 1), apply(double, 2.0, "text"), apply(make(4), 3, many=(1.0, 2))
ask(numba.typed.List([1, 2]), numba.typed.List(["a"]), (1, ("b", 2.0)))
ask(np.zeros(2, record), numba.typed.List([np.zeros(2, record)]), np.zeros(2)[::2])
ask(numba.typed.Dict.empty(numba.types.unicode_type, numba.types.float64[:]),
    numba.typed.List([1.0]), (np.datetime64("2020"), None))
'''


def magics():
    cpu = ("x86_64-pc-linux-gnu", "generic", "")
    return cpu, ("x86_64-pc-linux-gnu", "skylake", "+avx2,-sse4a"), ("aarch64-unknown-linux-gnu", "", "")


def keys_of_every_form():
    """Parts are shared between keys, and between a key's CPU and its other parts."""
    from numba import types
    from numba.core import typing
    code = ("a1" * 32, "b2" * 32)
    one, two, three = magics()
    omitted = types.Omitted("")
    array = types.Array(types.float64, 1, "C")
    cuda = ((12, 8), (8, 6))
    yield (omitted, types.Omitted(one[1])), one, code
    yield (omitted, types.literal(one[2])), one, code
    yield (array, omitted), two, code
    yield (array, types.Tuple([array, array])), two, (code[1], code[0])
    yield "(%s)" % one[1], one, code
    yield one[1], one, code  # the CPU's name is the signature
    yield typing.signature(array, array, types.int64), one, code
    yield typing.signature(array, array, types.int64), three, code
    yield ("größe\udcff" * 100,), one, code, "kernel"
    yield ("(int64,)", one, code, one)  # the magic is a part of its own, too
    yield ("(int32,)", one, code, two)
    key = "(int16,)", one, code
    yield key
    yield "(int8,)", one, code, key  # a key is a part of another
    yield "(int64,)", cuda, "0.30.0", code
    yield "(int64,)", cuda, "0.30.0", code, ("launch_config", ("griddim", (1, 2, 3)))
    yield (types.FunctionType(typing.signature(array, array)),), one, code
    yield (types.ListType(types.unicode_type), types.DictType(types.int64, array)), one, code


def many_keys():
    """So many that frames end within keys."""
    from numba import types
    one = magics()[0]
    scalars = [types.int8, types.int64, types.float32, types.float64, types.complex128]
    arrays = [types.Array(t, d, "C") for t in scalars for d in range(1, 9)]
    pairs = [(a, b) for a in arrays for b in arrays[::2]]
    return [(pair, one, ("%064x" % i, "0" * 64)) for i, pair in enumerate(pairs)]


def write_index(path, version, stamp, keys, dumps, behind=b""):
    overloads = {key: "%s.%d.nbc" % (path.stem, i) for i, key in enumerate(keys, 1)}
    path.write_bytes(pickle.dumps(version, -1) + dumps((stamp, overloads)) + behind)


def make(directory):
    import make as maker
    from numba import __version__
    from numba.core.serialize import dumps
    directory = Path(directory)
    maker.APPLICATION += MORE
    for path in Path(maker.warm(str(directory))).glob("*.nb[ic]"):
        path.rename(directory / path.name)
    stamp = (1795339396.4564414, 661)
    every, many = list(keys_of_every_form()), many_keys()
    write_index(directory / "app.every-1.py311.nbi", __version__, stamp, every, dumps, b"behind")
    write_index(directory / "app.many-2.py311.nbi", __version__, bytes(range(32)), many, dumps)
    write_index(directory / "app.empty-3.py311.nbi", __version__, stamp, [], dumps)
    for protocol in 3, 4, 5:
        for python in False, True:
            pickler = pickle._dumps if python else pickle.dumps
            for number, keys in enumerate([every, many]):
                name = "app.p%d%s%d-1.py311.nbi" % (protocol, "py" if python else "c", number)
                write_index(directory / name, __version__, stamp, keys,
                            lambda value: pickler(value, protocol))


# ---- Checking ------------------------------------------------------------------------------

def read(data, unpickler):
    """The version, where it ends, stamp and overloads, where they end."""
    file = io.BytesIO(data)
    version = unpickler(file).load()
    middle = file.tell()
    stamp, overloads = unpickler(file).load()
    return version, middle, stamp, list(overloads.items()), file.tell()


def same(a, b):
    """Equal, of one type, and so are the members of plain containers."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return True


def with_cpu(key, cpu):
    if cpu is None:
        return key
    return (key[0], (key[1][0], *cpu), *key[2:])


def check_one(line, unpickler, old):
    plan = json.loads(line)
    for name in {plan["base"]} | {part["old"] for part in plan["parts"]}:
        if name not in old:
            old[name] = read(Path(name).read_bytes(), unpickler)
    expected = []
    for part in plan["parts"]:
        key, name = old[part["old"]][3][part["which"]]
        expected.append((with_cpu(key, part["cpu"]), part["data"] or name))
    base, new = (Path(plan[name]).read_bytes() for name in ("base", "new"))
    before, after = old[plan["base"]], read(new, unpickler)
    assert new[:after[1]] == base[:before[1]], "the version"
    assert same(after[2], before[2]), "the stamp"
    if unpickler is pickle._Unpickler:  # the other one reads ahead
        assert new[after[4]:] == base[before[4]:], "what is behind"
    for i, (is_, wanted) in enumerate(zip(after[3], expected)):
        assert same(is_, wanted), (i, is_, wanted)
        hash(is_[0])
    assert len(after[3]) == len(expected)


def check(plan):
    sys.path.insert(0, os.path.dirname(os.path.abspath(plan)))  # where the application is
    lines = Path(plan).read_text().splitlines()
    for unpickler in pickle.Unpickler, pickle._Unpickler:
        old = {}
        for line in lines:
            try:
                check_one(line, unpickler, old)
            except Exception:
                print(unpickler, line[:2000], file=sys.stderr)
                raise


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2])
