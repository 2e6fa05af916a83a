"""The releases of Numba to test with, each in a virtual environment that is kept between runs.

    versions.py list                    their numbers
    versions.py python RELEASE REPORT   the interpreter that has it; made where it is not there yet

Where there is no Python for a release, or no way to a package index, REPORT is a JUnit report of one
skipped test, and the exit status 1. Whatever else goes wrong leaves no report.

They lie in $WARMPACK_VENVS, by default in a place that every user may enter, because a test runs
Numba as another user: /var/cache/warmpack-tests for root, else ~/.cache/warmpack-tests.
"""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import quoteattr

REPORT = """\
<testsuites><testsuite name="versions"><testcase classname="tests.numba.versions" name="release_%s">
<skipped message=%s/></testcase></testsuite></testsuites>
"""
NO_INDEX = re.compile("from versions: none|ProxyError|NewConnectionError|timed out")
LIST = Path(__file__).with_name("versions.txt")


class Unavailable(Exception):
    """What is missing here, and nobody's fault."""


def releases():
    lines = (line.split("#", 1)[0].split() for line in LIST.read_text().splitlines())
    return {
        words[0]: SimpleNamespace(
            number=words[0],
            pythons=[tuple(map(int, v.split("."))) for v in words[1].split("-")],
            packages=["numba==" + words[0], *words[2:]],
        )
        for words in lines
        if words
    }


def place():
    if "WARMPACK_VENVS" in os.environ:
        return Path(os.environ["WARMPACK_VENVS"])
    if os.geteuid() == 0:
        return Path("/var/cache/warmpack-tests/venvs")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "warmpack-tests" / "venvs"


def interpreters():
    """Debian's own, what is on PATH, and what pyenv has installed."""
    names = ["python3"] + ["python3.%d" % minor for minor in range(14, 7, -1)]
    yield "/usr/bin/python3"
    yield from filter(None, map(shutil.which, names))
    yield from sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")))


def answer(python, script):
    """What the interpreter prints, or None where it cannot."""
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, cwd="/")
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def interpreter_for(release):
    for python in interpreters():
        said = answer(python, "import sys, venv, ensurepip; print(*sys.version_info[:2])")
        if said and release.pythons[0] <= tuple(map(int, said.split())) <= release.pythons[1]:
            return python
    wanted = " to ".join(".".join(map(str, v)) for v in release.pythons)
    raise Unavailable("needs a Python from %s with venv" % wanted)


def make(release, directory):
    shutil.rmtree(directory, ignore_errors=True)
    python = interpreter_for(release)
    subprocess.run([python, "-m", "venv", str(directory)], check=True, stdout=sys.stderr)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    # Exactly these packages, none built here.
    words = ["install", "-q", "--no-deps", "--only-binary=:all:", *release.packages]
    done = subprocess.run(pip + words, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode != 0 and NO_INDEX.search(done.stderr):
        raise Unavailable("needs a Python package index")
    done.check_returncode()


def python_of(release):
    base = place()
    base.mkdir(parents=True, exist_ok=True)
    directory = base / ("numba-" + release.number)
    python = str(directory / "bin" / "python")
    complete = directory / "packages.txt"  # written last
    wanted = "\n".join(release.packages)
    with open(str(directory) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (complete.exists() and complete.read_text() == wanted and
                answer(python, "import numba") is not None):
            make(release, directory)
            complete.write_text(wanted)
    return python


def main():
    command, *words = sys.argv[1:]
    known = releases()
    if command == "list" and not words:
        print(*known)
    elif command == "python" and len(words) == 2 and words[0] in known:
        try:
            print(python_of(known[words[0]]))
        except Unavailable as error:
            Path(words[1]).write_text(REPORT % (words[0], quoteattr(str(error))))
            sys.exit("versions.py: Numba %s %s" % (words[0], error))
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit("versions.py: Numba %s: %s" % (words[0], error))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
