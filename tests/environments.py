"""Virtual environments with what comes from a Python package index, kept between runs.

    environments.py NAME    the interpreter of the one that NAME.txt beside this file, or in a folder
                            of its own, lists; made where it is not there yet

They lie where those of numba/versions.py do, and see Debian's packages: Numba above all. A line
"go PROGRAM@VERSION" is built by the Go that the other lines bring, and lies beside the interpreter.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE / "numba"))

from versions import place  # noqa: E402


def packages(name):
    (path,) = sorted(HERE.glob("*/%s.txt" % name))
    lines = (line.split("#", 1)[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def build(directory, program):
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([str(directory / "bin" / "go"), "install", program], check=True, cwd="/",
                       stdout=sys.stderr,
                       env={**os.environ, "GOBIN": str(directory / "bin"), "GOPATH": temporary,
                            "GOMODCACHE": temporary + "/mod", "GOCACHE": temporary + "/cache",
                            "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"})


def make(directory, wanted):
    programs = [line.split()[1] for line in wanted if line.startswith("go ")]
    wanted = [line for line in wanted if not line.startswith("go ")]
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", str(directory)],
                   check=True, stdout=sys.stderr)
    # Exactly these packages, whatever else is installed.
    subprocess.run([str(directory / "bin" / "python"), "-m", "pip", "install", "-q",
                    "--disable-pip-version-check", "--no-deps", "--ignore-installed", *wanted],
                   check=True, stdout=sys.stderr)
    for program in programs:
        build(directory, program)


def python_of(name):
    base = place()
    base.mkdir(parents=True, exist_ok=True)
    directory, wanted = base / name, packages(name)
    complete = directory / "packages.txt"  # written last
    with open(str(directory) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (complete.exists() and complete.read_text() == "\n".join(wanted)):
            make(directory, wanted)
            complete.write_text("\n".join(wanted))
    return directory / "bin" / "python"


if __name__ == "__main__":
    try:
        print(python_of(*sys.argv[1:]))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit("environments.py: %s: %s" % (sys.argv[1], error))
