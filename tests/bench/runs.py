"""Runs the tools of all jobs in turn, round after round, and sees whether they were disturbed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trees

HERE = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))
ALLOWED = 0.08  # share of the cores that others may have had while a tool ran
PATIENCE = 0.35  # share of the whole time that may go to repeating and waiting


def environment():
    """What a user's settings must not change."""
    foreign = ("TAR_OPTIONS", "GZIP", "PIGZ", "ZIPOPT", "UNZIP", "ZSTD_CLEVEL", "ZSTD_NBTHREADS")
    return {
        k: v
        for k, v in os.environ.items()
        if k not in foreign and not k.startswith("NUMBA_") and k != "XDG_CACHE_HOME"
    }


def say(words):
    """What is being done, on one line of a terminal."""
    if sys.stderr.isatty():
        print("\r\033[K" + words, end="", file=sys.stderr, flush=True)


def spin():
    """Share of the cores that are really there: work on all at once, CPU time by wall time."""
    children = []
    start = time.perf_counter()
    for _ in range(CORES):
        pid = os.fork()
        if pid == 0:
            block = b"x" * (1 << 20)
            end = time.process_time() + 0.1
            while time.process_time() < end:
                hashlib.sha256(block)
            os._exit(0)
        children.append(pid)
    cpu = sum(sum(os.wait4(pid, 0)[2][:2]) for pid in children)
    return cpu / (time.perf_counter() - start) / CORES


class Runner:
    """Runs tools; keeps what they took."""

    def __init__(self, top, runs, scratch=None):
        self.top = top  # of the tree that is packed
        self.runs = runs
        self.results = {}  # (job, tool): list of what measure.py says
        self.spent = 0.0  # seconds of measured runs
        self.lost = 0.0  # seconds of runs that were repeated, and of waiting
        self.packed = {}  # exact: contents of the tree
        self.left_out = []  # what to say of peers that did not unpack what was packed
        # Where it is unpacked: on tmpfs, unless that is too small.
        self.scratch = Path(tempfile.mkdtemp(prefix="warmpack-bench-", dir=scratch or "/dev/shm"))

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def wait_for_cores(self):
        """Until all cores are there, or patience ends."""
        for _ in range(30):
            if spin() > 1 - 2 * ALLOWED or self.lost > PATIENCE * self.spent:
                return
            time.sleep(1)
            self.lost += 1

    def once(self, job, tool):
        """One run, in an empty directory on tmpfs where it unpacks. Leaves that directory."""
        cwd = self.top
        if job.kind == "unpack":
            cwd = self.scratch / "here"
            shutil.rmtree(cwd, ignore_errors=True)
            cwd.mkdir()
        if tool.before:
            subprocess.run(tool.before, cwd=cwd, check=True)
        if job.output:
            for word in tool.command:  # zip adds to an archive that is there
                for name in (w for w in word.split() if w.endswith("." + job.output)):
                    Path(name).unlink(missing_ok=True)
        result = self.scratch / "result"
        done = subprocess.run(
            [sys.executable, "-ISs", HERE / "measure.py", result, *tool.command],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        took = json.loads(result.read_text()) if done.returncode == 0 else {"status": -1}
        if took["status"] != 0:
            sys.exit("bench: %s, %s: %s" % (job.name, tool.name, done.stderr.strip()[-500:]))
        room = CORES * took["wall"]
        took["disturbed"] = took["others"] + took["stolen"] > ALLOWED * room + 0.02
        return took

    def run(self, job, tool):
        """One run, again where it was disturbed; keeps the one that was disturbed least."""
        tries = []
        while True:
            tries.append(self.once(job, tool))
            if not tries[-1]["disturbed"] or len(tries) == 3:
                break
            if self.lost + tries[-1]["wall"] > PATIENCE * (self.spent + tries[-1]["wall"]):
                break
            self.lost += tries[-1]["wall"]
            time.sleep(0.2)
        best = min(tries, key=lambda t: (t["others"] + t["stolen"]) / t["wall"])
        self.spent += best["wall"]
        self.results.setdefault((job.name, tool.name), []).append(best)

    def check(self, job, tool):
        """Is what the tool unpacked what was packed? A peer of which that is not so is left out:
        False."""
        if job.kind != "unpack":
            return True
        exact = job.exact if tool.name.startswith("warmpack") else ""
        if exact not in self.packed:
            self.packed[exact] = trees.contents(self.top / "site", exact)
        there = trees.contents(self.scratch / "here" / "site", exact)
        name = trees.difference(self.packed[exact], there)
        if not name:
            return True
        wrong = "%s, %s: %s is not as it was packed" % (job.name, tool.name, name)
        if tool.name.startswith("warmpack"):
            sys.exit("bench: " + wrong)
        say("")
        print("bench: %s: left out" % wrong, file=sys.stderr)
        self.left_out.append(wrong)
        job.tools.remove(tool)
        self.results.pop((job.name, tool.name), None)
        return False

    def all(self, jobs, slow):
        """Every tool once, then again: what disturbs the machine for a while disturbs all."""
        for number in range(self.runs):
            for job in jobs:
                os.sync()  # the last job's archives
                self.wait_for_cores()
                for tool in list(job.tools):
                    if tool.slow and (number > 0 or not slow):
                        continue
                    say("run %d of %d: %s, %s" % (number + 1, self.runs, job.name, tool.name))
                    self.run(job, tool)
                    if number == 0:
                        self.check(job, tool)
        say("")
