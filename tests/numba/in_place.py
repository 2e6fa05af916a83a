"""Running Python in a tree that stays as it is, with its caches taken by the locator."""

import json
import os
import subprocess
from pathlib import Path

from harness import LOADED, NOBODY, PYTHON, REPOSITORY, SAVED, Person, Run, environment

PACKAGE = REPOSITORY / "python"

RESULTS = """\
import json
import numpy as np
import pkg.k as k
print("RESULTS " + json.dumps([k.add(1, 2), k.total(np.arange(9.0))]))
"""


def locator_variables(home):
    """What makes any release of Numba ask the locator, in every Python that starts: what the wheel
    of warmpack does by its .pth file."""
    site = Path(home) / "site"
    site.mkdir(exist_ok=True)
    site.chmod(0o755)
    (site / "sitecustomize.py").write_text(
        "import warmpack.locator\nwarmpack.locator._automatic()\n")
    return {"PYTHONPATH": "%s:%s" % (site, PACKAGE)}


def run_in_place(root, person, code=RESULTS, locator=True, python=PYTHON, before=(),
                 path=(), **variables):
    """Runs CODE with ROOT on the path; returns what Numba loaded and saved, and the results."""
    paths = [str(root), *map(str, path)]
    if locator:
        paths.append(locator_variables(person.home)["PYTHONPATH"])
    env = environment(person.home, NUMBA_DEBUG_CACHE=1, NUMBA_NUM_THREADS=1,
                      PYTHONPATH=":".join(paths), **variables)
    done = subprocess.run(person.command([*before, python, "-B", "-c", code]), env=env,
                          cwd=person.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(line[8:]) for line in done.stdout.splitlines()
               if line.startswith("RESULTS ")]
    run = Run(LOADED.findall(done.stdout), SAVED.findall(done.stdout), results, 0)
    run.said = done.stderr
    return run


def reader(here):
    """Somebody who may read the tree and not write to it, where this can be had."""
    home = here / "reader"
    home.mkdir()
    person = Person(home, NOBODY if os.geteuid() == 0 else None)
    person.own(home)
    return person
