"""What happens to a tree after it was unpacked, and whether it is still known for what was signed."""

import os
import shutil
import subprocess

import pytest
import trees
from test_relocate import environment  # noqa: F401  (a fixture)
from test_signatures import app, keep_time, key, keys, manifest_of  # noqa: F401
from trees import refused, write

PYTHON = "/usr/bin/python3"


@pytest.fixture
def trust(keys):  # noqa: F811
    return ("--trust", keys / "mine/pub.pem")


@pytest.fixture
def sign(keys):  # noqa: F811
    return ("--sign", keys / "mine/key.pem")


# ---- Compiled files --------------------------------------------------------------------------

def compile_as_python(tree):
    """With the times that the sources have now; what Python does by itself."""
    subprocess.run([PYTHON, "-m", "compileall", "-q", "--invalidation-mode=timestamp", "-d", "/srv",
                    tree / "pkg"], check=True)


@pytest.fixture
def compiled(warmpack, app, sign):  # noqa: F811
    """A tree that was unpacked, with .pyc files."""
    compile_as_python(app)
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "o")
    return warmpack.cwd / "o/app"


def touch_all(tree, seconds):
    for path in tree.rglob("*.py"):
        os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("how", ["restore", "Python"])
def test_compiled_files_with_the_time_that_a_source_got_since_are_those_that_were_signed(
        warmpack, compiled, trust, how):
    touch_all(compiled, 1_600_000_000)
    before = {path: path.read_bytes() for path in compiled.rglob("*.pyc")}
    assert len(before) == 2
    if how == "restore":
        warmpack.ok("restore", "-q", "o", "--restamp", "always")
    else:
        compile_as_python(compiled)
    assert all(path.read_bytes() != data for path, data in before.items())
    warmpack.ok("verify", "-q", "o", *trust, status=0 if how == "restore" else 1)  # 1: stale
    warmpack.ok("restore", "-q", "o", *trust)


def other_code(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def other_flags(data):
    return data[:4] + b"\2\0\0\0" + data[8:]


def other_size(data):
    return data[:12] + b"\7" + data[13:]


@pytest.mark.parametrize("change", [other_code, other_flags, other_size, lambda data: data[:15],
                                    lambda data: b""])
def test_compiled_files_with_another_code_are_refused(warmpack, compiled, trust, change):
    path = next(compiled.rglob("k.*.pyc"))
    path.write_bytes(change(path.read_bytes()))
    for verb in ("verify", "restore"):
        refused(warmpack(verb, "o", *trust), path.name, "Python compiles it again")
    path.unlink()
    warmpack.ok("verify", "-q", "o", *trust)


# ---- Environments ----------------------------------------------------------------------------

@pytest.fixture
def relocated(warmpack, venv, sign, trust):
    """A virtual environment that was unpacked at another path than it was packed at."""
    venv.rename(warmpack.cwd / "venv")
    write(warmpack.cwd / "venv/lib/k.py", "x = 1\n")
    (warmpack.cwd / "venv").rename(venv)
    warmpack.ok("create", "-qf", "v.tgz", *sign, "-C", "srv", "venv")
    warmpack.ok("extract", "-qf", "v.tgz", "-C", "o", *trust)
    place = warmpack.cwd / "o/venv"
    assert (place / "bin/short").read_text().startswith(f"#!{place}/bin/python3\n")
    return place


venv = environment


def test_an_environment_that_was_relocated_is_the_one_that_was_signed(warmpack, relocated, trust):
    warmpack.ok("verify", "-q", "o", *trust)
    warmpack.ok("restore", "-q", "o", *trust)
    (warmpack.cwd / "o").rename(warmpack.cwd / "p")
    refused(warmpack("verify", "p", *trust), "is not what was packed")  # names where it is not
    refused(warmpack("restore", "--dry-run", "p", *trust), "is not what was packed")
    refused(warmpack("restore", "p", "--no-relocate", *trust), "is not what was packed")
    warmpack.ok("restore", "-q", "p", *trust)
    warmpack.ok("verify", "-q", "p", *trust)
    script = warmpack.cwd / "p/venv/bin/short"
    assert script.read_text().startswith(f"#!{script.parent}/python3\n")


def test_an_environment_may_go_below_its_old_place_and_up_from_there(warmpack, venv, sign, trust):
    warmpack.ok("create", "-qf", "v.tgz", *sign, "-C", "srv", "venv")
    warmpack.ok("extract", "-qf", "v.tgz", "-C", "srv/venv/new", *trust)
    inner, script = venv / "new/venv", venv / "bin/short"
    assert (inner / "bin/short").read_text().startswith(f"#!{inner}/bin/python3\n")
    warmpack.ok("verify", "-q", "srv/venv/new", *trust)
    inner.rename(warmpack.cwd / "moved")
    shutil.rmtree(venv)
    (warmpack.cwd / "moved").rename(venv)
    warmpack.ok("restore", "-q", "srv", *trust)
    assert script.read_text().startswith(f"#!{script.parent}/python3\n")
    warmpack.ok("verify", "-q", "srv", *trust)


@pytest.mark.parametrize("name, old, new", [
    ("bin/short", "python3\n", "python3 -i\n"), ("bin/short", "print", "exit"),
    ("bin/short", "#!{}", "#!/elsewhere{}"), ("bin/pips", "exec", "evil"),
    ("bin/activate", "VIRTUAL_ENV=", "VIRTUAL_ENV=/evil:"), ("pyvenv.cfg", "home = ", "home = /e"),
    ("lib/k.py", "x = 1", "x = 2"), ("bin/short", "print", "\0print")])
def test_what_relocating_does_not_do_is_refused(warmpack, relocated, trust, name, old, new):
    path = relocated / name
    text = path.read_text()
    assert old.format(relocated) in text
    keep_time(path, text.replace(old.format(relocated), new.format(relocated), 1).encode())
    for verb in ("verify", "restore"):
        refused(warmpack(verb, "o", *trust), name, "is not what was packed")


def test_a_state_that_lies_about_the_place_leads_no_script_there(warmpack, relocated, trust):
    """It is not signed, and only says what to rewrite."""
    (state,) = relocated.glob(".warmpack/*/state.jsonl")
    keep_time(state, state.read_bytes().replace(str(warmpack.cwd / "o").encode(), b"/evil"))
    script = relocated / "bin/short"
    keep_time(script, script.read_bytes().replace(str(relocated).encode(), b"/evil/venv"))
    refused(warmpack("verify", "o", *trust), "short")
    warmpack("restore", "o", *trust)
    assert "/evil" not in script.read_text() or \
        warmpack("restore", "o", *trust).returncode == 2


# ---- Verbs that change trees -----------------------------------------------------------------

@pytest.mark.parametrize("number", [2, 3, 31])
@pytest.mark.parametrize("verb", ["verify", "restore"])
def test_a_state_that_lies_about_stripped_names_hides_no_change(warmpack, app, sign, trust,  # noqa: F811
                                                                verb, number):
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "o")
    warmpack.ok(verb, "o", *trust)
    (state,) = (warmpack.cwd / "o").rglob("state.jsonl")
    state.write_text(state.read_text().replace('"strip": 0', f'"strip": {number}'))
    for path in [*(warmpack.cwd / "o").rglob("*.nbc"), warmpack.cwd / "o/app/pkg/k.py"]:
        keep_time(path, path.read_bytes()[::-1])
    refused(warmpack(verb, "o", *trust), "has its whole name", "stripped")


@pytest.mark.parametrize("verb", ["verify", "restore"])
def test_a_state_that_lies_about_stripped_names_hides_no_link_to_other_files(
        warmpack, app, sign, trust, verb):  # noqa: F811
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "o")
    (state,) = (warmpack.cwd / "o").rglob("state.jsonl")
    state.write_text(state.read_text().replace('"strip": 0', '"strip": 9'))
    package, other = warmpack.cwd / "o/app/pkg", warmpack.cwd / "other"
    package.rename(other)
    package.symlink_to(other)
    (other / "k.py").write_text("# other\n")
    refused(warmpack(verb, "o", *trust), "app/pkg/", "has its whole name", "stripped")


@pytest.mark.parametrize("verb", ["verify", "restore"])
def test_a_hard_link_is_held_against_what_it_links_to(warmpack, app, sign, trust, verb):  # noqa: F811
    shutil.copytree(app / "pkg", app / "same", copy_function=os.link)
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    for name in "pkg", "same":
        for pattern in "k.py", "__pycache__/*.nbc":
            shutil.rmtree(warmpack.cwd / "o", ignore_errors=True)
            warmpack.ok("extract", "-qf", "a.tgz", "-C", "o", *trust)
            warmpack.ok(verb, "o", *trust)
            (path,) = (warmpack.cwd / "o/app" / name).glob(pattern)
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content[::-1])
            refused(warmpack(verb, "o", *trust), f"app/{name}/", "packed and signed")


def test_names_that_were_stripped_deeper_than_the_manifest_lies_are_no_lie(
        warmpack, app, sign, trust):  # noqa: F811
    for name in "__init__.py", "pkg/__init__.py", "pkg/sub/__init__.py":
        write(app / name, f"# {name}\n")
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "o", "--strip-components", "2", *trust)
    assert (warmpack.cwd / "o/__init__.py").read_text() == "# pkg/__init__.py\n"
    for verb in "verify", "restore":
        done = warmpack(verb, "o", *trust)
        assert done.returncode in (0, 1) and b"missing" not in done.stderr, done
    (warmpack.cwd / "o/__init__.py").write_text("# other\n")
    refused(warmpack("restore", "o", *trust), "is not what was packed and signed")


def test_seal_drops_a_signature_only_by_saying_so(warmpack, app, sign, trust):  # noqa: F811
    warmpack.ok("seal", "-q", "app", *sign)
    said = warmpack.ok("seal", "app", *sign)
    assert b"signature" not in said.stderr and b"already" in said.stderr
    said = warmpack.ok("seal", "app")
    assert b"left out" in said.stderr and b"--sign" in said.stderr
    refused(warmpack("verify", "app", *trust), "is not signed")
    assert b"signature" not in warmpack.ok("seal", "app").stderr
    warmpack.ok("seal", "-q", "app", *sign)
    write(app / "pkg/new.py", "", ns=10**18)
    said = warmpack.ok("seal", "-v", "app", *sign)
    assert b"gives way" in said.stderr
    warmpack.ok("verify", "-q", "app", *trust)


def test_fixing_obeys_the_keys(warmpack, app, sign, trust, keys):  # noqa: F811
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "o")
    source = warmpack.cwd / "o/app/pkg/k.py"
    os.utime(source, (1, 1))
    refused(warmpack("verify", "--fix", "o", "--trust", keys / "other/pub.pem"), "no key")
    assert source.stat().st_mtime == 1
    warmpack.ok("verify", "-q", "--fix", "o", *trust)
    assert source.stat().st_mtime_ns == 10**18 + 1


def test_caches_alone_are_put_beside_no_source_but_the_signed_one(warmpack, app, sign,  # noqa: F811
                                                                  trust):
    """The sources that lie there are not checked as a tree is: they are no part of what is taken."""
    warmpack.ok("create", "-qf", "a.tgz", *sign, "app")
    for name in ("same", "other"):
        write(warmpack.cwd / name / "app/pkg/__init__.py", "", ns=10**18 + 2)
        write(warmpack.cwd / name / "app/pkg/k.py", "x = %d\n" % (1 + (name == "other")),
              ns=10**18 + 1)
    refused(warmpack("extract", "-f", "a.tgz", "-C", "other", "--caches-only", *trust), "the same")
    assert not list((warmpack.cwd / "other").rglob("*.nb?"))
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "same", "--caches-only", *trust)
    warmpack.ok("verify", "-q", "same", *trust)
    trees.index(warmpack.cwd / "same/app/pkg/k.py", "k.planted-9.py311")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "same", "--caches-only", *trust)
    refused(warmpack("verify", "same", *trust), "planted")
