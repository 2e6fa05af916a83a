"""Fuzzes each target for a while, from what the corpus holds, and expects no finding.

The targets are those of the preset "fuzz". A finding is left in build-fuzz/findings: name it for
what is wrong with it, and put it into tests/fuzz/findings, as TARGET-NAME.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build-fuzz"
TARGETS = ("pickle", "index", "rewrite", "data", "imports", "manifest", "tar", "zip",
           "oci")
SECONDS = int(os.environ.get("WARMPACK_FUZZ_SECONDS", "120")) // len(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_the_reader(target, tmp_path):
    corpus = tmp_path / "corpus"  # what is new goes there, not into the tree
    shutil.copytree(HERE / "corpus" / target, corpus)
    for finding in (HERE / "findings").glob(target + "-*"):
        shutil.copy(finding, corpus)
    findings = BUILD / "findings"
    findings.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            str(BUILD / "tests" / "fuzz" / ("fuzz_" + target)),
            *("-max_total_time=%d" % SECONDS, "-max_len=65536", "-timeout=60"),
            *("-rss_limit_mb=2048", "-artifact_prefix=%s/%s-" % (findings, target)),
            "-print_final_stats=1",
            str(corpus),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    runs = [line for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    assert runs and int(runs[0].split()[-1]) > 100, done.stdout[-4000:]
