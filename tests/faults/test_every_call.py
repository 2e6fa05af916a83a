"""Every call of every job can be the last one, or fail. A kill leaves each file whole, as it was or
as it was to be, and the next run completes the job; a failing call ends the job with a line and with
nothing changed, or is told of, or does not matter.

A part of the calls is tried here, a different one for each job and errno; with
WARMPACK_EVERY_CALL=1, as tests/run.sh --attack sets it, each."""

import errno
import os
import re
import signal
import stat
import subprocess

import pytest
from trees import BINARY, look

from jobs import JOBS, SLOW, USUAL, prepare

EVERY = os.environ.get("WARMPACK_EVERY_CALL") == "1"
TRIES = 6  # of a job and a fault, else
ERRORS = [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENOMEM, errno.EACCES, errno.EROFS]
NAMES = [name for name in JOBS if EVERY or name not in SLOW]
APART = {b"home", b"happened"}  # what belongs to the test
WARMED = b"w.tgz"  # that warm writes
# Whatever keeps one from writing to a place is for Numba, too, a reason to look in the next one.
AS_NUMBA = {"verify what is misplaced"}


@pytest.fixture
def undo(warmpack, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "bare"))  # of the command that warms
    return prepare(warmpack, tmp_path)


def seen(base):
    """All that is there, but for what differs from run to run: times of all but sources."""
    found = {}
    for path, entry in look(base, ours=True).items():
        if path.split(b"/")[0] in APART or path.endswith(b".warmpack/.gitignore"):
            continue  # nothing depends on the latter: it is written once, as far as that can be
        kept = {k: v for k, v in entry.items() if k not in ("mtime", "links")}
        if path.endswith(b".py"):
            kept["mtime"] = entry["mtime"]
        if path == WARMED:  # Numba's code is never the same twice: the archive is whole, or is not
            r = subprocess.run([BINARY, "verify", "-qf", base / "w.tgz"],
                               capture_output=True, check=False)
            kept["content"] = r.returncode, r.stderr
            del kept["size"]
        found[path] = kept
    return found


# Staging, locks, and files that have not yet taken the place of others.
TEMPORARY = re.compile(rb"(^|/)(\.warmpack-|\.warmpack\.(lock|new)|\.([xymw]\.[a-z.]+|out)\.[0-9a-f]{16}(/|$))")


def temporary(found):
    """Names that must not be there once a job is done."""
    return [path for path in found if TEMPORARY.search(path)]


# A line that tells of something that was changed all the same.
STAYS = re.compile(rb"before that|the journal|written to the disk|set owner, mode and time"
                   rb"|cannot be made|exists already, kept|what other manifests know was repaired")


def without_new_directories(now, before):
    """A directory that was made for a lock stays where the lock could not be removed."""
    return {path: entry for path, entry in now.items()
            if path in before or not stat.S_ISDIR(entry["type"])}


def numbers(job, last, salt, most=None):
    """Which of LAST calls are tried: MOST, if any, or all in a campaign."""
    tries = SLOW.get(job, most) if EVERY else TRIES
    if tries is None or tries >= last:
        return range(1, last + 1)
    step = last / tries
    shift = sum(f"{job} {salt}".encode()) % max(1, int(step))
    return sorted({1 + shift + int(i * step) for i in range(tries)} - {last + 1})


class Job:
    def __init__(self, warmpack, faulty, undo, base, name):
        self.warmpack, self.faulty, self.undo, self.base, self.name = (
            warmpack, faulty, undo, base, name)
        self.words = JOBS[name]
        # Retargeting follows a commit of its own.
        self.between = {}
        if name == "extract --retarget":
            undo(name)
            warmpack.ok(*JOBS["extract"])
            self.between = seen(base)
        undo(name)
        self.before = seen(base)
        done = warmpack(*self.words)
        self.usual, self.answer = done.returncode, done.stdout
        assert self.usual == USUAL.get(name, 0)
        self.after = seen(base)
        assert not temporary(self.after)

    def count(self, calls):
        """How many calls there are."""
        self.undo(self.name)
        self.faulty(*self.words, calls=calls, n=0)
        return int((self.base / "happened").read_text())

    def try_call(self, calls, n, **fault):
        self.undo(self.name)
        return self.faulty(*self.words, calls=calls, n=n, **fault)

    def check_next_run(self, n):
        """It completes what was left, or does it all anew."""
        if "oci" in self.words:  # an image takes the place of no other one
            self.undo(self.name)
        again = self.warmpack(*self.words)
        now, after = seen(self.base), self.after
        if self.name == "seal again":
            now, after = map(without_names_of_homes, (now, after))
        if self.name == "verify --fix":  # does not record again what is removed already
            now, after = ({p: e for p, e in found.items() if not p.endswith(b"/state.jsonl")}
                          for found in (now, after))
        assert again.returncode == self.usual, (n, again)
        assert not temporary(now), n
        assert now == after, (n, differing(now, after))


def without_names_of_homes(found):
    """A seal is called after its content, in which directories have their times: taking back a
    commit leaves new ones where it had put something."""
    kept = {}
    for path, entry in found.items():
        if path.endswith(b"/manifest.jsonl"):
            entry = {k: v for k, v in entry.items() if k not in ("content", "size")}
        kept[re.sub(rb"(?<=/\.warmpack/)[0-9a-f]{16}", b"HOME", path)] = entry
    return kept


def differing(a, b):
    return {p: (a.get(p), b.get(p)) for p in a.keys() | b.keys() if a.get(p) != b.get(p)}


@pytest.fixture
def make(warmpack, faulty, undo, tmp_path):
    return lambda name: Job(warmpack, faulty, undo, tmp_path, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_at_any_changing_call_leaves_files_whole_and_a_job_to_complete(make, name):
    job = make(name)
    for n in numbers(name, job.count(",changing,"), "kill"):
        r, happened = job.try_call(",changing,", n, kill=1)
        assert not happened or r.returncode == -signal.SIGKILL, (n, r)
        now = seen(job.base)
        for path in now.keys() - set(temporary(now)):
            if job.between and path.endswith(b"/state.jsonl"):
                continue  # keeps how indexes were, while they are being changed
            content = now[path].get("content")
            whole = [at[path].get("content")
                     for at in (job.before, job.between, job.after) if path in at]
            assert content in whole, (n, path)
        for path in job.before.keys() & job.after.keys():
            assert path in now, (n, path)
        job.check_next_run(n)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", NAMES)
def test_a_call_that_fails_changes_nothing_or_is_told(make, name, error):
    job = make(name)
    for n in numbers(name, job.count(",every,"), error):
        r, happened = job.try_call(",every,", n, errno=error)
        if not happened:  # a call or two depend on what the kernel says
            continue
        # The next run clears up what a cleaning that failed has left.
        found = seen(job.base)
        now = {path: found[path] for path in found.keys() - set(temporary(found))}
        said = [line for line in r.stderr.splitlines() if line.startswith(b"warmpack: ")]
        # An answer that differs says why.
        told = said or any(word in r.stdout + r.stderr
                           for word in (b"unreadable", b"restamped", os.strerror(error).encode()))
        assert r.returncode in (0, 1, 2), (n, r)
        if r.returncode == job.usual and now == job.after and r.stdout == job.answer:
            pass
        elif name in AS_NUMBA and r.returncode in (0, 1):
            assert now == job.after
        elif r.returncode == 2:
            assert said, (n, r)
            assert without_new_directories(now, job.before) == job.before or any(
                STAYS.search(line) for line in said), (n, r, differing(now, job.before))
        else:
            assert told, (n, r, job.answer, differing(now, job.after))
        job.check_next_run(n)


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["extract with a cache root", "extract --replace", "extract -k",
                                  "extract --caches-only", "restore into a cache root",
                                  "seal over another", "verify --fix", "retarget"])
def test_a_call_that_fails_while_a_kill_is_made_good_loses_nothing(make, name, error):
    job = make(name)
    for k in numbers(name, job.count(",changing,"), "killed", 20):
        def run(**fault):
            job.try_call(",changing,", k, kill=1)
            return job.faulty(*job.words, calls=",every,", **fault)

        run(n=0)
        for n in numbers(name, int((job.base / "happened").read_text()), error + k, 30):
            run(n=n, errno=error)
            job.check_next_run((k, n))
