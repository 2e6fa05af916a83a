"""Every line of warmpack.locator is run by its tests."""

import json
import subprocess
from pathlib import Path

from conftest import ROOT
from harness import PYTHON


def test_every_line_of_the_locator_is_tested(tmp_path):
    data = "--data-file=%s" % (tmp_path / "data")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider",
             *(Path(__file__).with_name(name) for name in ("test_locator.py", "test_locator_trust.py",
                                                           "test_locks.py"))]
    done = subprocess.run([PYTHON, "-m", "coverage", "run", data, "--include=*/warmpack/locator.py",
                           *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    subprocess.run([PYTHON, "-m", "coverage", "json", "-q", data, "-o", tmp_path / "report"],
                   check=True)
    (report,) = json.loads((tmp_path / "report").read_text())["files"].values()
    assert report["missing_lines"] == [] and report["summary"]["num_statements"] > 500
