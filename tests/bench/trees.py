"""The trees that are packed, and whether what was unpacked is the same."""

import hashlib
import os
import pickle
import shutil
import stat
import subprocess
import sys
from pathlib import Path

PYTHON = "/usr/bin/python3"
DEBIAN = Path("/usr/lib/python3/dist-packages")
PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "sklearn", "pandas", "pynndescent", "umap")
QUICK = ("numba", "llvmlite", "numpy", "pynndescent", "umap")
# Debian packages that are unpacked, not installed, to make the large tree.
LARGE = ("ansible", "python3-botocore", "python3-django", "python3-sympy")
VERSION = "1"  # of the recipes below: a tree of another recipe is made anew

WARM = """
import sys
import numpy, pynndescent
points = numpy.random.RandomState(1).random_sample((300, 8)).astype("float32")
index = pynndescent.NNDescent(points, n_neighbors=10, random_state=1)
index.prepare()
index.query(points[:10])
if "umap" in sys.argv:
    import umap
    umap.UMAP(n_neighbors=10, random_state=1).fit(points)
"""


def give_nanoseconds(root):
    """Every file gets a time with nanoseconds, always the same. The second stays, by which a .pyc
    knows its source."""
    for path, directories, files in os.walk(root):
        for name in files:
            full = os.path.join(path, name)
            st = os.stat(full, follow_symlinks=False)
            digest = hashlib.sha256(os.path.relpath(full, root).encode()).digest()
            part = 1 + int.from_bytes(digest[:8], "big") % 999_999_999
            time = st.st_mtime_ns // 1_000_000_000 * 1_000_000_000 + part
            os.utime(full, ns=(time, time), follow_symlinks=False)


def warm(site, packages):
    """Runs what has caches, from the tree, so that they come to lie in it."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    variables.update(PYTHONPATH=str(site), PYTHONDONTWRITEBYTECODE="1")
    subprocess.run(
        [PYTHON, "-W", "ignore", "-c", WARM, *packages],
        env=variables,
        cwd=site.parent,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    if len(list(site.rglob("*.nbi"))) < 20:
        sys.exit("bench: the tree has no warm caches")


def made_once(make):
    """A tree is made once, and anew where a run was cut or the recipe has changed."""

    def once(place, name, *more):
        top = place / "trees" / name
        mark = top / ("made-" + VERSION)
        if not mark.exists():
            shutil.rmtree(top, ignore_errors=True)
            top.mkdir(parents=True)
            print("Making the tree %s ..." % name, file=sys.stderr)
            make(top, *more)
            mark.touch()
        return top

    return once


@made_once
def site_tree(top, packages):
    """Debian's packages as they are installed, with warm caches."""
    for name in packages:
        shutil.copytree(DEBIAN / name, top / "site" / name, symlinks=True)
    give_nanoseconds(top / "site")
    warm(top / "site", packages)


@made_once
def large_tree(top, base):
    """The same, and packages of very many files, compiled as Debian does on installing them."""
    shutil.copytree(base / "site", top / "site", symlinks=True)
    debs = top / "debs"
    debs.mkdir()
    # apt downloads as a user of its own, who may not be able to write here; it says so only.
    subprocess.run(["apt-get", "-qq", "download", *LARGE], cwd=debs, stderr=subprocess.DEVNULL)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, debs / "root"], check=True)
    if not (debs / "root").is_dir():
        sys.exit("bench: the packages of the large tree cannot be had: " + " ".join(LARGE))
    packages = debs / "root" / "usr/lib/python3/dist-packages"
    for found in packages.iterdir():
        found.rename(top / "site" / found.name)
    shutil.rmtree(debs)
    subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "compileall", "-q", "-j0", top / "site"],
        stdout=subprocess.DEVNULL,
    )
    for path in (top / "site").iterdir():
        if path.is_dir() and not (base / "site" / path.name).exists():
            give_nanoseconds(path)


POOL = os.urandom(1 << 20)


def write_small(path, number):
    """A file of 1 KiB, half of which no compressor can shrink."""
    at = number * 613 % (len(POOL) - 512)
    with open(path, "wb") as f:
        f.write(POOL[at : at + 512] + b"def f(x):\n    return x\n" * 22 + b"# Small.")


def write_index(source):
    """What Numba leaves for a function of SOURCE of which nothing has been compiled yet."""
    st = os.stat(source)
    cache = source.parent / "__pycache__"
    cache.mkdir()
    with open(cache / (source.stem + ".f-1.py311.nbi"), "wb") as f:
        pickle.dump("0.56.4", f, protocol=4)
        pickle.dump(((st.st_mtime, st.st_size), {}), f, protocol=4)


@made_once
def many_tree(top, files):
    """FILES small files, 1,000 a directory, the first of which has an index."""
    for number in range(files):
        if number % 1000 == 0:
            directory = top / "site" / ("d%04d" % (number // 1000))
            directory.mkdir(parents=True)
        write_small(directory / ("f%03d.py" % (number % 1000)), number)
        if number % 1000 == 0:
            write_index(directory / "f000.py")


@made_once
def flat_tree(top, files):
    """FILES small files in one directory."""
    (top / "site").mkdir()
    for number in range(files):
        write_small(top / "site" / ("f%06d.py" % number), number)


@made_once
def spread_tree(top, files):
    """FILES directories with one small file each."""
    for number in range(files):
        directory = top / "site" / ("d%06d" % number)
        directory.mkdir(parents=True)
        write_small(directory / "f.py", number)


@made_once
def huge_tree(top, size):
    """One file of SIZE bytes. Of every 8 MiB two are incompressible, one is text, and the rest is a
    hole: what is packed needs more than 4 GiB, and the tree less than half of its size."""
    text = b"".join(b"def f%d(x):\n    return x + %d\n" % (n, n) for n in range(40_000))[: 1 << 20]
    (top / "site").mkdir()
    with open(top / "site" / "huge.bin", "wb") as f:
        for at in range(0, size, 8 << 20):
            f.seek(at)
            f.write(os.urandom(2 << 20) + text)
        f.truncate(size)


@made_once
def deep_tree(top, levels):
    """LEVELS directories, one in the other, ten small files in each."""
    directory = top / "site"
    for level in range(levels):
        directory = directory / ("level%03d" % level)
        directory.mkdir(parents=True)
        for number in range(10):
            (directory / ("m%d.py" % number)).write_text("x = %d\n" % (level * 10 + number))


def count(root):
    files = size = 0
    for path, _, names in os.walk(root):
        files += len(names)
        size += sum(os.lstat(os.path.join(path, n)).st_size for n in names)
    return files, size


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        while True:
            part = f.read(1 << 20)
            if not part:
                return digest.hexdigest()
            digest.update(part)


def contents(root, exact):
    """What a tree holds, by name; EXACT says of what modes and times to the nanosecond count, too:
    "", "files" or "all". What warmpack adds for itself is left out."""
    found = {}
    for path, directories, files in os.walk(root):
        directories[:] = [d for d in directories if d != ".warmpack"]
        for name in directories + files:
            full = os.path.join(path, name)
            st = os.lstat(full)
            what = [stat.S_IFMT(st.st_mode)]
            if stat.S_ISREG(st.st_mode):
                what += [st.st_size, digest_of(full)]
            elif stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(full))
            if exact == "all" or (exact and stat.S_ISREG(st.st_mode)):
                what += [stat.S_IMODE(st.st_mode), st.st_mtime_ns]
            found[os.path.relpath(full, root)] = tuple(what)
    return found


def difference(packed, unpacked):
    """The first name in which the two differ, or None."""
    for name in sorted(packed.keys() | unpacked.keys()):
        if packed.get(name) != unpacked.get(name):
            return name
    return None
