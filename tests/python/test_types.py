"""The package is typed (py.typed says so), and the types hold, as Python 3.8 understands them."""

import json
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


# What pydoc advises, every result used.
ADVISED = """
import warmpack
import warmpack.spark
from warmpack import setuptools

def use(spark: object) -> None:
    made = warmpack.create("app.tgz", "app", directory="/srv/build", cache_dir=["caches"])
    print(made["archive"], made["id"], made["entries"], made["bytes"] / made["bytes_read"],
          made["cache_dirs"], made["summary"]["total"])
    done = warmpack.extract("app.tgz", "/opt", if_needed=True)
    if done["lost"] or not done["manifest"] or done["unchanged"]:
        for index in done["indexes"]:
            print(index["index"], index["source"], index["status"], index["reason"])
    if done["set_cache_dir"]:
        print(done["cache_dir"], done["layout"], done["was_valid"] - done["lost"])
    again = warmpack.restore("/opt", dry_run=True)
    print(again["times"] + again["restamped"] + again["renamed"] + again["lost"], again["missing"])
    sealed = warmpack.seal("/opt", strict=True)
    print(sealed["id"], sealed["written"] or sealed["replaced"], sealed["dir"])
    amended = warmpack.amend("dist/app.whl", source=".")
    if amended["written"]:
        print(amended.get("id"), [one["path"] for one in amended["unmatched"]], amended["added"])
    judged = warmpack.verify("/opt", python="python3", fix=True)
    for found in judged["indexes"]:
        stamp = found["stamp"]
        print(found["numba"], stamp["kind"] if stamp else None, stamp and stamp.get("mtime"))
        for overload in found["overloads"]:
            print(overload["signature"], overload["cpu"], overload["data"], overload["size"])
    print([note["text"] for note in judged["notes"]])
    for inside in warmpack.inspect(archive="app.tgz")["indexes"]:
        print(inside["error"], len(inside["overloads"]))
    print(warmpack.env("/opt")["NUMBA_CPU_NAME"])
    here = warmpack.activate("app.tgz", "/opt", paths=["", "lib"], replace_modules=True)
    print(here.path, here.summary["valid"], here.settings)
    app = warmpack.spark.add_app(spark, "src/app")
    work = app.wrap(use)
    print(work, app.activate().path, setuptools.cmdclass(strict=True))
"""


def test_a_program_that_does_what_pydoc_advises_passes_mypy_and_pyright(tmp_path):
    (tmp_path / "user.py").write_text(ADVISED)
    assert "Success: no issues found" in check("user.py", cwd=tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(
        {"extraPaths": [str(ROOT / "python")], "typeCheckingMode": "strict"}))
    done = subprocess.run([CHECKER, "-m", "basedpyright", "--outputjson"], cwd=tmp_path,
                          stdout=subprocess.PIPE, text=True, check=False)
    said = json.loads(done.stdout)
    assert said["summary"]["filesAnalyzed"] == 1
    assert [one["message"] for one in said["generalDiagnostics"]] == []
