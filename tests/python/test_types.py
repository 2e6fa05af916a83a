"""The package is typed (py.typed says so), and the types hold, as Python 3.8 understands them."""

import os
import subprocess

from conftest import ROOT
from harness import PYTHON

CHECKER = os.environ.get("WARMPACK_TEST_PYTHON") or PYTHON

USER = """
import warmpack
import warmpack.spark

def use() -> int:
    done = warmpack.extract("app.tgz", "/opt", if_needed=True)
    reveal_type(done["summary"])
    for index in warmpack.verify("/opt")["indexes"]:
        reveal_type(index["reason"])
    warmpack.create("app.tgz", "app", levle=3)
    return done["lost"]
"""


def check(*words, cwd):
    env = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    done = subprocess.run([CHECKER, "-m", "mypy", "--strict", "--python-version", "3.8", *words],
                          cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout


def test_every_type_holds(tmp_path):
    assert "Success: no issues found" in check("-p", "warmpack", cwd=tmp_path)


def test_a_type_checker_knows_what_users_get_and_what_they_misspell(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    said = check("user.py", cwd=tmp_path)
    assert 'Dict[builtins.str, builtins.int]"' in said or 'dict[builtins.str, builtins.int]"' in said
    assert 'Union[builtins.str, None]"' in said or "builtins.str | None" in said
    assert 'Unexpected keyword argument "levle"' in said
    assert "Found 1 error" in said
