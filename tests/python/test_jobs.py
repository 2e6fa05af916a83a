"""The functions are the program: its documents, its refusals, its lines."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import warmpack
from harness import PYTHON, WARMPACK, environment
from small import run_small


def test_what_is_packed_arrives_warm_and_every_result_is_the_programs_document(
        warm_tree, tmp_path, clean_environment):
    archive = tmp_path / "app.tar.zst"
    made = warmpack.create(archive, "app", directory=warm_tree / "build",
                           cache_dir=[warm_tree / "caches"], exclude="*.txt", level=3)
    assert made["archive"] == str(archive)
    assert made["summary"] == {"total": 3, "valid": 3}

    judged = warmpack.verify(archive=archive)
    assert judged["summary"]["valid"] == 3
    inside = warmpack.inspect(archive=archive)
    signatures = {o["signature"] for i in inside["indexes"] for o in i["overloads"]}
    assert "(int64, int64)" in signatures

    done = warmpack.extract(archive, tmp_path / "opt", strip_components=1)
    assert (done["was_valid"], done["lost"], done["renamed"]) == (3, 0, 1)
    assert run_small(tmp_path / "opt", clean_environment) == (3, 0)
    assert warmpack.verify(tmp_path / "opt")["summary"] == {"total": 3, "valid": 3}
    assert set(warmpack.env(tmp_path / "opt")) == {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"}


def test_an_archive_whose_format_rounds_times_is_judged_by_the_exact_ones(warm_tree, tmp_path):
    for suffix in ("tgz", "tar", "zip", "oci", "oci.tar"):
        archive = tmp_path / ("app." + suffix)
        warmpack.create(archive, "app", directory=warm_tree / "build",
                        cache_dir=warm_tree / "caches")
        assert warmpack.verify(archive=archive)["summary"] == {"total": 3, "valid": 3}


def test_an_image_on_a_base_is_an_archive_by_its_path(warm_tree, tmp_path, clean_environment):
    (tmp_path / "dep.py").write_text("")
    warmpack.create(tmp_path / "base.oci.tar", "dep.py", directory=tmp_path, ref="deps")
    image = tmp_path / "image"
    warmpack.create(image, "app", directory=warm_tree / "build", format="oci",
                    cache_dir=warm_tree / "caches", base=str(tmp_path / "base.oci.tar") + ":deps",
                    platform="linux/amd64", with_locator=True)
    code = ("import warmpack; warmpack.activate(%r, %r); import pkg.k"
            % (str(image), str(tmp_path / "opt")))
    done = subprocess.run([PYTHON, "-c", code], check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environment(tmp_path, NUMBA_DEBUG_CACHE=1),
                               "PYTHONPATH": str(Path(warmpack.__file__).parents[1]),
                               "WARMPACK": WARMPACK})
    assert done.stdout.count("data loaded") == 3 and "data saved" not in done.stdout


def test_a_copied_tree_is_restored(archive, tmp_path, clean_environment):
    warmpack.extract(archive, tmp_path / "opt")
    subprocess.run(["cp", "-r", tmp_path / "opt", tmp_path / "copied"], check=True)
    assert warmpack.verify(tmp_path / "copied")["summary"]["valid"] == 0
    done = warmpack.restore(tmp_path / "copied")
    assert (done["sources"], done["matched"], done["lost"]) == (1, 1, 0)
    assert run_small(tmp_path / "copied" / "app", clean_environment) == (3, 0)


def test_code_for_another_cpu_loads_for_whom_it_is_retargeted(archive, tmp_path):
    warmpack.extract(archive, tmp_path / "opt")
    other = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = warmpack.retarget(tmp_path / "opt", PYTHON, env=other)["retarget"]
    assert (done["cpu"], done["features"]) == ("generic", "")
    assert done["changed"] == done["loads"] == done["overloads"] == 3
    assert warmpack.retarget(tmp_path / "opt", undo=True)["retarget"]["changed"] == 3
    again = warmpack.restore(tmp_path / "opt", retarget=PYTHON)
    assert again["lost"] == 0


def test_caches_for_two_cpus_are_merged(archive, tmp_path, clean_environment):
    from warmpack import _types

    warmpack.extract(archive, tmp_path / "other")
    for cache in (tmp_path / "other").rglob("*.nb[ci]"):
        cache.unlink()
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert run_small(tmp_path / "other" / "app", clean_environment, **generic) == (0, 3)
    done = warmpack.merge(tmp_path / "fat.tgz", archive, tmp_path / "other", no_cache_dir=True)
    assert (done["joined"], done["left_out"]) == (3, 0)
    assert [b["overloads"] for b in done["builds"]] == [3, 3]
    always, known = keys_of(_types.MergeResult)
    assert always <= set(done) <= known
    assert all(set(b) == keys_of(_types.MergedBuild)[1] for b in done["builds"])
    warmpack.extract(tmp_path / "fat.tgz", tmp_path / "opt")
    for cpu in ({}, generic):
        assert run_small(tmp_path / "opt" / "app", clean_environment, **cpu) == (3, 0)


def test_caches_are_added_to_what_another_tool_packed(warm_tree, tmp_path):
    foreign = tmp_path / "foreign.zip"
    subprocess.run([PYTHON, "-m", "zipfile", "-c", foreign, "pkg"], check=True,
                   cwd=warm_tree / "build" / "app")
    done = warmpack.amend(foreign, source=warm_tree / "build" / "app",
                          cache_dir=warm_tree / "caches", output=tmp_path / "amended.zip")
    assert done["written"] and done["unmatched"] == []
    assert warmpack.verify(archive=tmp_path / "amended.zip")["summary"]["valid"] == 3


def test_a_refusal_is_an_error_with_the_programs_line(tmp_path):
    missing = tmp_path / "missing.tgz"
    said = subprocess.run([WARMPACK, "extract", "-f", missing], stderr=subprocess.PIPE, text=True,
                          check=False)
    with pytest.raises(warmpack.Error) as caught:
        warmpack.extract(missing)
    assert str(caught.value) == said.stderr.strip()[len("warmpack: "):]
    assert "missing.tgz" in str(caught.value)
    assert caught.value.status == said.returncode == 2


def test_only_what_a_trusted_key_has_signed_is_taken(warm_tree, tmp_path):
    for who in ("mine", "other"):
        for words in (["genpkey", "-algorithm", "ed25519", "-out", who],
                      ["pkey", "-in", who, "-pubout", "-out", who + ".pem"]):
            subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    made = tmp_path / "signed.tgz"
    warmpack.create(made, warm_tree.name, directory=warm_tree.parent, sign=tmp_path / "mine")
    with pytest.raises(warmpack.Error, match="no key that is trusted"):
        warmpack.extract(made, tmp_path / "no", trust=tmp_path / "other.pem")
    assert not (tmp_path / "no").exists()
    both = [tmp_path / "other.pem", tmp_path / "mine.pem"]
    warmpack.extract(made, tmp_path / "o", trust=both)
    warmpack.restore(tmp_path / "o", trust=both)
    warmpack.verify(tmp_path / "o", trust=both)
    warmpack.verify(archive=made, trust=both)


def test_names_that_look_like_options_are_names(tmp_path):
    (tmp_path / "-q").mkdir()
    warmpack.create(tmp_path / "odd.tgz", "-q", directory=tmp_path)
    warmpack.extract(tmp_path / "odd.tgz", tmp_path / "out")
    assert (tmp_path / "out" / "-q").is_dir()


def test_lost_indexes_are_an_answer_and_are_logged(archive, tmp_path, caplog):
    # Whole seconds only, so that the mtime of the source is not what the index says.
    warmpack.extract(archive, tmp_path / "opt")
    os.utime(tmp_path / "opt" / "app" / "pkg" / "k.py", (1, 1))
    judged = warmpack.verify(tmp_path / "opt")
    assert judged["summary"] == {"total": 3, "valid": 0, "stale": 3}
    assert judged["indexes"][0]["reason"]
    warmpack.create(tmp_path / "stale.tgz", "app", directory=tmp_path / "opt")
    assert "stale" in caplog.text


def test_the_program_is_found_by_variable_then_beside_the_package_then_by_path(
        package_copy, tmp_path):
    def found(**variables):
        code = "import warmpack; print(warmpack.find_program())"
        env = environment(tmp_path / "home", PYTHONPATH=package_copy, **variables)
        done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    def program(path):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    assert "set WARMPACK" in found(PATH=tmp_path)
    on_path = program(tmp_path / "bin" / "warmpack")
    assert found(PATH=tmp_path / "bin") == on_path
    beside = program(package_copy / "warmpack" / "bin" / "warmpack")
    assert found(PATH=tmp_path / "bin") == beside
    named = program(tmp_path / "own" / "program")
    assert found(PATH=tmp_path / "bin", WARMPACK=named) == named
    assert "there is no such program" in found(WARMPACK=tmp_path / "none")


@pytest.mark.parametrize("words", (["--version"], ["verify", "/nonexistent"], ["path", "a.py"]))
def test_the_module_is_the_program(words, tmp_path):
    def run(command):
        env = dict(os.environ, PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
        done = subprocess.run([*command, *words], env=env, cwd=tmp_path, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run([sys.executable, "-m", "warmpack"]) == run([WARMPACK])


def test_a_script_named_like_the_program_does_not_find_itself(package_copy, tmp_path):
    script = tmp_path / "bin" / "warmpack"
    script.parent.mkdir()
    script.write_text("#!%s\nimport sys\nfrom warmpack.__main__ import main\nsys.exit(main())\n"
                      % sys.executable)
    script.chmod(0o755)
    for named in ({}, {"WARMPACK": script}):
        env = environment(tmp_path / "home", PYTHONPATH=package_copy, PATH=script.parent, **named)
        done = subprocess.run([script, "--version"], env=env, stderr=subprocess.PIPE, text=True,
                              timeout=30, check=False)
        assert done.returncode == 2 and "was found neither" in done.stderr


def test_a_program_without_execute_permission_runs_from_memory(archive, tmp_path, monkeypatch):
    plain = tmp_path / "plain"
    plain.write_bytes(Path(WARMPACK).read_bytes())
    plain.chmod(0o644)
    monkeypatch.setenv("WARMPACK", str(plain))
    assert warmpack.verify(archive=archive)["summary"]["valid"] == 3
    command = [sys.executable, "-m", "warmpack", "--version"]
    env = dict(os.environ, PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
    assert b"warmpack" in subprocess.check_output(command, env=env)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_program_on_a_filesystem_mounted_noexec_runs(archive, tmp_path):
    place = tmp_path / "noexec"
    place.mkdir()
    code = "import warmpack; print(warmpack.verify(archive=%r)['summary'])" % str(archive)
    script = ('mount -t tmpfs -o noexec none "$1" && cp "$2" "$1"/warmpack || exit 77;'
              ' if "$1"/warmpack --version; then exit 78; fi;'
              ' WARMPACK="$1"/warmpack PYTHONPATH="$3" exec "$4" -c "$5"')
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", place, WARMPACK,
                           Path(warmpack.__file__).parents[1], sys.executable, code],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("needs mount: " + done.stderr.strip())
    assert (done.returncode, done.stdout) == (0, "{'total': 3, 'valid': 3}\n"), done.stderr


def test_a_python_without_memfd_create_runs_what_is_not_executable(tmp_path, monkeypatch):
    """Such as conda's. The kernel may be older than the flag that asks for execution, too."""
    from warmpack import _program

    lost = tmp_path / "warmpack"
    lost.write_bytes(Path(WARMPACK).read_bytes())
    lost.chmod(0o644)
    monkeypatch.setenv("WARMPACK", str(lost))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert warmpack.verify(tmp_path)["summary"]["total"] == 0
    monkeypatch.setattr(_program, "_MFD_EXEC", 0x80000000)
    assert warmpack.verify(tmp_path)["summary"]["total"] == 0


def test_a_machine_that_forbids_programs_in_memory_by_default_runs_it(tmp_path):
    lost = tmp_path / "warmpack"
    lost.write_bytes(Path(WARMPACK).read_bytes())
    lost.chmod(0o644)
    # The setting is of the namespace of processes.
    script = ("mount -t proc proc /proc && echo 1 >/proc/sys/vm/memfd_noexec || exit 77; "
              'exec "$1" -c "import warmpack; print(warmpack.verify(\'.\')[\'summary\'])"')
    env = dict(os.environ, WARMPACK=str(lost), PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh",
                           sys.executable], env=env, cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip("needs namespaces: " + done.stderr.strip())
    assert (done.returncode, done.stdout) == (0, "{'total': 0, 'valid': 0}\n"), done.stderr


def test_the_module_ends_as_the_program_does_where_nobody_reads(tmp_path):
    (tmp_path / "d").mkdir()
    for number in range(3000):
        (tmp_path / "d" / ("%d-%s" % (number, 100 * "x"))).touch()
    warmpack.create(tmp_path / "a.tar", "d", directory=tmp_path)
    ends = []
    for command in ([WARMPACK], [sys.executable, "-m", "warmpack"]):
        env = dict(os.environ, PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
        with subprocess.Popen([*command, "list", "-f", tmp_path / "a.tar"], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(1)
            process.stdout.close()
            ends.append((process.stderr.read(), process.wait()))
    assert ends[0] == ends[1]


def test_paths_may_be_bytes(tmp_path):
    (tmp_path / "d").mkdir()
    warmpack.create(os.fsencode(tmp_path / "a.tar"), b"d", directory=os.fsencode(tmp_path))
    assert (tmp_path / "a.tar").exists()


def interpreters():
    """Every Python 3.8 or newer that is here."""
    found = {}
    folders = [Path(f) for f in os.get_exec_path()]
    # Of whoever runs the tests, whose HOME a fixture changed.
    folders += Path(pwd.getpwuid(os.geteuid()).pw_dir, ".pyenv", "versions").glob("*/bin")
    for folder in folders:
        for minor in range(8, 15):
            path = folder / ("python3.%d" % minor)
            code = "import sys; print(sys.version_info[:2] == (3, %d))" % minor
            # A shim is there for versions that are not.
            if minor not in found and path.exists() and subprocess.run(
                    [path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    check=False).stdout == b"True\n":
                found[minor] = path
    return found


def test_every_python_from_3_8_on_that_is_here_can_use_it(archive, tmp_path):
    code = """
import typing, warmpack, warmpack._activate, warmpack._wrapped, warmpack.spark
for name in ("create", "extract", "restore", "verify", "inspect", "amend", "merge", "seal",
             "diff", "warm", "explain", "activate"):
    typing.get_type_hints(getattr(warmpack, name))
typing.get_type_hints(warmpack.spark.add_app)
done = warmpack.activate(%r, %r)
def work(a, b: int = 3): return a + b
class App:
    def activate(self): pass
import inspect, pickle
wrapped = warmpack._wrapped.Wrapped(App(), work)
assert list(inspect.signature(wrapped).parameters) == ["a", "b"]
assert inspect.getfullargspec(wrapped).args == ["a", "b"]
assert typing.get_type_hints(wrapped) == {"b": int}
assert pickle.loads(pickle.dumps(wrapped))(4) == 7
print(done.summary["total"])
"""
    found = interpreters()
    assert found
    for minor, python in found.items():
        place = tmp_path / ("opt%d" % minor)
        env = environment(tmp_path / "home", PYTHONPATH=Path(warmpack.__file__).parents[1],
                          WARMPACK=WARMPACK)
        done = subprocess.run([python, "-W", "error", "-c", code % (str(archive), str(place))],
                              env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def keys_of(kind):
    return kind.__required_keys__, kind.__required_keys__ | kind.__optional_keys__


def holds(document, kind):
    always, known = keys_of(kind)
    assert always <= set(document) <= known


def test_results_have_the_keys_that_their_types_call_required_and_no_others(warm_tree, tmp_path):
    from warmpack import _types

    build, caches = warm_tree / "build", warm_tree / "caches"
    archive = tmp_path / "app.zip"
    made = warmpack.create(archive, "app", directory=build, cache_dir=caches)
    done = warmpack.extract(archive, tmp_path / "opt")
    for document, kind in ((made, _types.CreateResult), (done, _types.ExtractResult),
                           (warmpack.restore(tmp_path / "opt"), _types.RestoreResult)):
        holds(document, kind)
        for index in document["indexes"]:
            holds(index, _types.Index)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "other.py").write_text("1\n")
    subprocess.run([PYTHON, "-m", "zipfile", "-c", tmp_path / "f.zip", "pkg"], cwd=tmp_path,
                   check=True)
    holds(warmpack.seal(tmp_path / "opt"), _types.SealResult)
    amended = warmpack.amend(tmp_path / "f.zip", source=build / "app", cache_dir=caches)
    holds(amended, _types.AmendResult)
    assert amended["unmatched"]
    holds(amended["unmatched"][0], _types.Unmatched)
    judged = warmpack.verify(tmp_path / "opt", fix=True)
    holds(judged, _types.VerifyResult)
    holds(judged["fix"], _types.Fixed)
    (build_here,) = warmpack.verify(tmp_path / "opt", python=PYTHON)["builds"]
    holds(build_here, _types.LoadedBuild)
    inside = warmpack.inspect(tmp_path / "opt")
    holds(inside, _types.InspectResult)
    for document, kind in ((judged, _types.VerifiedIndex), (inside, _types.InspectedIndex)):
        for index in document["indexes"]:
            holds(index, kind)
            holds(index["stamp"], _types.Stamp)
            for overload in index["overloads"]:
                holds(overload, _types.Overload)
    os.unlink(tmp_path / "opt" / inside["indexes"][0]["index"])
    (tmp_path / "opt" / "app" / "new.py").write_text("")
    found = warmpack.diff(archive, tmp_path / "opt")
    holds(found, _types.DiffResult)
    for difference in found["differences"]:
        holds(difference, _types.Difference)
    assert found["summary"]["removed"] == 1 and found["summary"]["lost"] >= 1
    assert {"change": "added", "path": "app/new.py", "cache": False} in found["differences"]


def test_warm_and_explain_give_what_their_types_say(tmp_path):
    from warmpack import _types

    package = tmp_path / "srv" / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import numba\n@numba.njit(cache=True)\ndef f(x):\n    return x + 1\n"
        "@numba.njit\ndef g(x):\n    return x\n")
    code = "import sys, app; app.f(1); app.g(1); print('said'); sys.exit(len(sys.argv) - 1)"
    settings = environment(tmp_path / "home", PYTHONDONTWRITEBYTECODE="1",
                           PYTHONPATH=tmp_path / "srv")
    done = warmpack.warm(tmp_path / "app.tgz", "app", directory=tmp_path / "srv",
                         command=[PYTHON, "-c", code], env=settings)
    holds(done, _types.WarmResult)
    assert (done["written"], done["loaded"], done["failed"]) == (True, 1, 0)
    assert done["summary"]["valid"] == done["summary"]["total"] == 1
    (build,) = done["builds"]
    holds(build, _types.WarmBuild)
    assert [c["function"] for c in build["never"]] == ["app.g"]
    with pytest.raises(warmpack.Error, match="it ended with status 1"):
        warmpack.warm(tmp_path / "no.tgz", "app", directory=tmp_path / "srv",
                      command=[PYTHON, "-c", code, "more"], env=settings)
    assert not (tmp_path / "no.tgz").exists()
    seen = warmpack.explain([PYTHON, "-c", code, "1", "2", "3"], env=settings)
    holds(seen, _types.ExplainResult)
    assert (seen["status"], len(seen["processes"])) == (3, 1)
    holds(seen["processes"][0], _types.Process)
    for compiled in [*seen["compiled"], *build["never"], *done["compiled"]]:
        holds(compiled, _types.Compiled)
    assert {c["function"]: c["cause"] for c in seen["compiled"]} == {
        "app.f": "never-warmed", "app.g": "not-cached"}
    sealed = warmpack.warm(None, "app", directory=tmp_path / "srv",
                           command=[PYTHON, "-c", code], env=settings)
    holds(sealed, _types.WarmResult)
    assert sealed["written"] and (tmp_path / "srv" / "app" / ".warmpack").is_dir()
    with pytest.raises(warmpack.Error, match="cannot be run"):
        warmpack.explain(["/nosuch"], env=settings)
    with pytest.raises(TypeError):
        warmpack.explain("python3 -m app")


def test_names_that_are_no_utf8_are_what_os_fsdecode_gives(tmp_path):
    cache = tmp_path / os.fsdecode(b"caf\xe9") / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "k.f-1.py311.nbi").write_bytes(b"cut")
    (index,) = warmpack.inspect(tmp_path)["indexes"]
    assert index["index"] == os.fsdecode(b"caf\xe9/__pycache__/k.f-1.py311.nbi")
