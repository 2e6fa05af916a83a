"""Kills, full disks and odd filesystems: real ones."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import trees  # noqa: E402

# Whoever runs the tests may ignore them (nohup, a job in the background of a script), and children
# would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def warmpack(tmp_path):
    return trees.Runner(tmp_path)


@pytest.fixture
def mount():
    """mount(DIR, *arguments of mount) mounts something on DIR until the test ends."""
    mounted = []

    def run(path, *arguments):
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *map(str, arguments), str(path)], capture_output=True,
                              check=False)
        if done.returncode != 0:
            pytest.skip("cannot mount here: " + done.stderr.decode().strip())
        mounted.append(path)
        return path

    yield run
    for path in reversed(mounted):
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """faults.c, compiled."""
    path = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", path,
                    pathlib.Path(__file__).with_name("faults.c"), "-ldl"], check=True)
    return path


@pytest.fixture
def faulty(warmpack, shim, tmp_path):
    """Runs warmpack with a fault, within TIMEOUT seconds, and tells whether it has happened."""
    listed = subprocess.run(["ldd", trees.BINARY], capture_output=True, text=True).stdout
    # A sanitizer's library wants to be the first.
    sanitizer = re.findall(r"=> (\S*/libasan\S*)", listed)

    def run(*words, timeout=120, **fault):
        out = tmp_path / "happened"
        out.unlink(missing_ok=True)
        env = {"LD_PRELOAD": " ".join([*sanitizer, str(shim)]), "FAULT_OUT": str(out),
               "FAULT_BASE": str(tmp_path),
               **{f"FAULT_{name.upper()}": str(value) for name, value in fault.items()}}
        return warmpack(*words, env=env, timeout=timeout), out.exists() and out.stat().st_size > 0
    return run
