"""Running Python with Numba and warmpack, and counting what Numba says it did."""

import json
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
WARMPACK = os.path.abspath(os.environ.get("WARMPACK") or REPOSITORY / "build" / "warmpack")
# Debian's Numba belongs to Debian's Python, whatever python3 comes first on PATH. For another Numba
# (versions.py), its interpreter is named.
PYTHON = os.environ.get("WARMPACK_TEST_PYTHON") or "/usr/bin/python3"

NOBODY = 65534
os.umask(0o022)  # so that others read what tests make, whoever runs them

LOADED = re.compile(r"^\[cache\] data loaded from '(.*)'$", re.M)
SAVED = re.compile(r"^\[cache\] data saved to '(.*)'$", re.M)


@dataclass(frozen=True)
class Person:
    """Who runs a command: this process's user (uid None), or another one, where we are root."""

    home: Path
    uid: int = None

    def command(self, words):
        if self.uid is None:
            return words
        return [
            "setpriv",
            "--reuid=%d" % self.uid,
            "--regid=%d" % self.uid,
            "--clear-groups",
            *words,
        ]

    def own(self, path):
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)


@dataclass
class Run:
    """What one process did, by Numba's own account."""

    loaded: list
    saved: list
    results: list
    seconds: float

    @property
    def loads(self):
        return len(self.loaded)

    @property
    def saves(self):
        return len(self.saved)


def environment(home, **extra):
    """A clean environment: no variable of whoever runs the tests changes where Numba looks."""
    env = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
    }
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "TMPDIR"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update({k: str(v) for k, v in extra.items() if v is not None})
    return env


def run_numba(root, person, part="application", **variables):
    """Runs PART of the tree at ROOT and returns what Numba loaded and saved."""
    result = Path(person.home) / "result.json"
    env = environment(person.home, NUMBA_DEBUG_CACHE=1, NUMBA_NUM_THREADS=1, **variables)
    process = subprocess.run(
        person.command([PYTHON, str(HERE / "run_app.py"), str(root), part, str(result)]),
        env=env,
        cwd=person.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.returncode == 0, process.stderr
    said = json.loads(result.read_text(encoding="utf-8"))
    result.unlink()
    return Run(
        loaded=LOADED.findall(process.stdout),
        saved=SAVED.findall(process.stdout),
        results=said["results"],
        seconds=said["seconds"],
    )


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def counts(self):
        """The pair of "N of M cache indexes valid"."""
        if "no cache indexes" in self.err:
            return 0, 0
        found = re.search(r"(\d+) of (\d+) cache indexes valid", self.err)
        assert found, "no summary of indexes in: " + self.err
        return int(found.group(1)), int(found.group(2))


def warmpack(*words, home, person=None, expect=0, cwd="/", stdin=None, **variables):
    """Runs the program; EXPECT is the exit status it must end with, or None."""
    command = [WARMPACK, *map(str, words)]
    process = subprocess.run(
        person.command(command) if person else command,
        env=environment(home, **variables),
        cwd=cwd,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    done = Done(
        process.returncode,
        process.stdout.decode("utf-8", "surrogateescape"),
        process.stderr.decode("utf-8", "surrogateescape"),
    )
    said = "%s\nexit status %d\n%s" % (command, done.code, done.err)
    assert expect is None or done.code == expect, said
    return done


def shell(script, home, expect=0, **variables):
    """Runs a line of bash with $WARMPACK set, whose status is that of any command of a pipe that
    fails. EXPECT None leaves judging to the caller."""
    process = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        env=environment(home, WARMPACK=WARMPACK, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert expect is None or process.returncode == expect, process.stderr
    return Done(process.returncode, process.stdout, process.stderr)


def remove_tree(path):
    """Removes a tree that may hold directories without write permission."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, stat.S_IRWXU)
    shutil.rmtree(path)


def indexes_in(*roots):
    return sorted(p for root in roots for p in Path(root).rglob("*.nbi"))


@dataclass
class Warm:
    """A tree that was warmed, packed and taken away."""

    place: str
    variables: dict  # NUMBA_CACHE_DIR where it was set
    archives: dict  # suffix -> path, made by warmpack
    said: dict  # suffix -> what create printed
    tars: dict  # "gnu" and "pax" -> list of archives, made by GNU tar
    copies: dict  # "tree" and, where outside, "caches": cp -a of what was packed
    in_place: dict  # part -> Run, the second run
    warmed: dict  # part -> Run, the first run
    indexes: int
    piped: object = None  # Done of extract at the end of a pipe
    extra: dict = field(default_factory=dict)
