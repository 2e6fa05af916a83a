"""The program under test: $WARMPACK, or what the release preset builds."""

import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("WARMPACK") or str(ROOT / "build" / "warmpack")

# What would make a test depend on who runs it.
FOREIGN = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "NO_COLOR", "POSIXLY_CORRECT", "TZ")

# Whoever runs the tests may ignore them (nohup, a job in the background of a script), and children
# would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def warmpack(tmp_path):
    """warmpack(*args, stdin=b"", cwd=..., env={...}) runs it and returns the CompletedProcess;
    stdout and stderr are bytes. HOME is an empty directory and the working directory a fresh one."""

    def run(*args, stdin=b"", cwd=None, env=None, **more):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        variables = {k: v for k, v in os.environ.items() if k not in FOREIGN}
        variables.update(HOME=str(home), **(env or {}))
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([BINARY, *map(os.fspath, args)], input=stdin, cwd=cwd or tmp_path,
                              env=variables, timeout=120, check=False, **more)

    return run
