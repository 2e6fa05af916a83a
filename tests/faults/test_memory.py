"""Out of memory ends a job with a line that says so: it hangs and crashes nowhere, and makes no
cache anything that it is not."""

import os
import signal
import subprocess

import pytest

from jobs import JOBS, SIGN, SLOW, TRUST, USUAL, prepare

STEP = int(os.environ.get("WARMPACK_ALLOCATION_STEP", "7"))  # 1: every allocation
NAMES = [name for name in JOBS if STEP == 1 or name not in SLOW]


@pytest.fixture
def undo(warmpack, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "bare"))  # of the command that warms
    return prepare(warmpack, tmp_path)


def is_foreign_crash(r, tmp_path):
    """Some libraries crash without memory, now and then."""
    return (r.returncode in (-signal.SIGSEGV, -signal.SIGABRT)
            and (tmp_path / "happened").read_text() == "foreign")


@pytest.mark.parametrize("job", NAMES)
def test_out_of_memory_ends_a_job_with_one_line(warmpack, faulty, undo, tmp_path, job):
    words, happened, n = JOBS[job], True, 1
    undo(job)
    usual, _ = faulty(*words, allocation=0)
    assert usual.returncode == USUAL.get(job, 0)
    step = max(STEP, int((tmp_path / "happened").read_text()) // SLOW.get(job, 10**9))
    while happened:
        undo(job)
        try:
            r, happened = faulty(*words, timeout=60, allocation=n)
        except subprocess.TimeoutExpired:
            # libcrypto 3.5 waits for ever for what it could not set up, at many of its allocations.
            assert (tmp_path / "happened").read_text() == "foreign", n
            n += 500
            continue
        if r.returncode != usual.returncode and not is_foreign_crash(r, tmp_path):
            assert r.returncode == 2, (n, r)
            assert b"memory" in r.stderr, (n, r)
        # libcrypto sets itself up by thousands of allocations.
        n += step * 31 if step > 1 and n > 250 and "key" in " ".join(words) else step
    assert n > 30


def test_without_memory_no_forged_state_hides_a_changed_file(warmpack, faulty, undo, tmp_path):
    undo("verify --trust")
    (tmp_path / "one" / "app").mkdir(parents=True)
    (tmp_path / "one" / "app" / "k.py").write_text("x = 1\n")
    warmpack.ok("create", "-qf", "one.tgz", *SIGN, "-C", "one", "app")
    warmpack.ok("extract", "-qf", "one.tgz", "-C", "forged")
    (state,) = (tmp_path / "forged").rglob("state.jsonl")
    state.write_text(state.read_text().replace('"strip": 0', '"strip": 9'))
    words = ("verify", "forged", *TRUST, "--threads", "1")
    faulty(*words, allocation=0)
    last = int((tmp_path / "happened").read_text())
    for n in range(last - 60, last + 1):  # behind those of libcrypto
        r, happened = faulty(*words, allocation=n)
        assert happened and (r.returncode == 2 or is_foreign_crash(r, tmp_path)), (n, r)
