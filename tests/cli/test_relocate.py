"""A virtual environment that is unpacked or moved to another path runs there."""

import base64
import csv
import hashlib
import json
import os
import subprocess

import pytest
import trees
from trees import look, run, write

PYTHON = "/usr/bin/python3"
LONG = "x" * 130
SCRIPT = "# -*- coding: utf-8 -*-\nimport sys\nprint(sys.prefix)\n"


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture(name="venv")
def environment(tmp_path):
    """With scripts as pip and uv write them, for short paths and for others, a .pth file, and
    RECORD."""
    place = tmp_path / "srv/venv"
    run(PYTHON, "-m", "venv", "--without-pip", place)
    site, = (place / "lib").glob("python*/site-packages")
    python = f"{place}/bin/python3"
    made = {place / "bin/short": f"#!{python}\n" + SCRIPT,
            place / "bin/option": f"#!{python} -E\n" + SCRIPT,
            place / "bin/pips": f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n" + SCRIPT,
            place / "bin/uvs": f"#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\n" + SCRIPT,
            site / "here.pth": f"{place}/more\n/elsewhere{place}/more\n",
            site / "pk.egg-link": f"{place}/more\n."}
    lines = ["pk/__init__.py,,"]
    for path, text in made.items():
        write(path, text, ns=1_600_000_000_123_456_789)
        if path.parent.name == "bin":
            path.chmod(0o755)
        name = os.path.relpath(path, site)
        lines.append(f"{name},{digest(text.encode())},{len(text)}")
    write(site / "pk/__init__.py", "")
    write(site / "pk-1.dist-info/RECORD", "".join(line + "\n" for line in lines))
    return place


def scripts(place):
    return sorted(place / "bin" / name for name in ("short", "option", "pips", "uvs"))


def assert_at_home(place, old):
    for script in scripts(place):
        said = subprocess.run([script], check=True, capture_output=True, text=True).stdout
        assert said == f"{place}\n", script
        assert script.stat().st_mtime_ns == 1_600_000_000_123_456_789
    said = subprocess.run(["sh", "-c", '. "$1"; echo "$VIRTUAL_ENV"', "sh", place / "bin/activate"],
                          check=True, capture_output=True, text=True).stdout
    assert said == f"{place}\n"
    site, = (place / "lib").glob("python*/site-packages")
    assert (site / "here.pth").read_text() == f"{place}/more\n/elsewhere{old}/more\n"
    assert (site / "pk.egg-link").read_text() == f"{place}/more\n."
    with open(site / "pk-1.dist-info/RECORD", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row[1]]
    assert len(rows) == 6
    for path, said, size in rows:
        data = (site / path).read_bytes()
        assert (said, int(size)) == (digest(data), len(data)), path
    for path in (place / "pyvenv.cfg", *(place / "bin").glob("*ctivate*")):
        assert str(old) not in path.read_text()


@pytest.mark.parametrize("where", ["out", LONG, "with a space"])
@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_an_environment_runs_where_it_is_unpacked(warmpack, tmp_path, venv, where, suffix):
    warmpack.ok("create", "-qf", "v" + suffix, "-C", "srv", "venv")
    old = venv.parent.rename(tmp_path / "away")
    done = warmpack.ok("extract", "-f", "v" + suffix, "-C", where)
    assert b"files rewritten for their new place" in done.stderr
    assert_at_home(tmp_path / where / "venv", venv)
    before = look(tmp_path / where, ours=True)
    said = json.loads(warmpack.ok("restore", "--json", where).stdout)
    assert (said["relocated"], said["changed"], said["missing"]) == (0, 0, 0)
    trees.assert_same(before, look(tmp_path / where, ours=True))
    assert old.exists()


def test_an_environment_that_was_moved_is_repaired(warmpack, tmp_path, venv):
    """By mv, again and again: also from a place that was never packed."""
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    run("tar", "-xzf", "v.tgz", "-C", tmp_path / "srv", cwd=tmp_path)
    for where in ("one", "a second", "one", LONG):
        before = next(p for p in tmp_path.iterdir() if (p / "venv").is_dir())
        before.rename(tmp_path / where)
        said = json.loads(warmpack.ok("restore", "--json", "--dry-run", where).stdout)
        assert said["relocated"] >= 8
        said = json.loads(warmpack.ok("restore", "--json", where).stdout)
        assert said["relocated"] >= 8 and said["changed"] == 0
        assert_at_home(tmp_path / where / "venv", venv)
        said = json.loads(warmpack.ok("restore", "--json", where).stdout)
        assert (said["relocated"], said["changed"]) == (0, 0)


def test_the_new_path_may_begin_with_the_old_one(warmpack, tmp_path, venv):
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    warmpack.ok("extract", "-qf", "v.tgz", "-C", venv)
    script = (venv / "venv/bin/short").read_text()
    assert script.startswith(f"#!{venv}/venv/bin/python3\n")
    before = look(venv / "venv", ours=True)
    warmpack.ok("restore", venv / "venv")
    trees.assert_same(before, look(venv / "venv", ours=True))


def test_runtime_root_and_stripping_count(warmpack, tmp_path, venv):
    warmpack.ok("create", "-qf", "v.tgz", "-C", tmp_path, "srv")
    warmpack.ok("extract", "-qf", "v.tgz", "-C", "image", "--strip-components", "1",
                "--runtime-root", "/opt")
    assert (tmp_path / "image/venv/bin/short").read_text().startswith("#!/opt/venv/bin/python3\n")
    assert "/opt/venv" in (tmp_path / "image/venv/bin/activate").read_text()


def test_no_relocate_leaves_all_as_it_was_packed(warmpack, tmp_path, venv):
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    for words in (("extract", "-f", "v.tgz", "-C", "out"), ("restore", "out")):
        assert b"rewritten" not in warmpack.ok(*words, "--no-relocate").stderr
        for script in scripts(venv):
            assert (tmp_path / "out/venv/bin" / script.name).read_bytes() == script.read_bytes()


def test_other_trees_are_relocated_if_that_is_asked_for(warmpack, tmp_path, venv):
    (venv / "pyvenv.cfg").unlink()
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    assert b"rewritten" not in warmpack.ok("extract", "-f", "v.tgz", "-C", "one").stderr
    assert b"rewritten" in warmpack.ok("extract", "--relocate", "-f", "v.tgz", "-C", "two").stderr
    for where, root in (("one", venv), ("two", tmp_path / "two/venv")):
        text = (tmp_path / where / "venv/bin/short").read_text()
        assert text.startswith(f"#!{root}/bin/python3\n")


def test_what_cannot_be_rewritten_is_named(warmpack, tmp_path, venv):
    write(venv / "bin/binary", b"\x7fELF\0" + os.fsencode(venv) + b"/lib\0")
    (venv / "bin/link").symlink_to(venv / "bin/short")
    write(venv / "bin/develop", f"#!{venv}/bin/python3\n__file__ = '{venv}/src/tool'\n")
    write(venv / "bin/wrapper", f"#!/bin/sh\nexec {venv}/bin/python3 \"$@\"\n")
    write(venv / "bin/another", f"#!{venv}/bin/python3\n__file__ = '{venv}-2/src/tool'\n")
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    said = warmpack.ok("extract", "-f", "v.tgz", "-C", "out").stderr.decode()
    assert "bin/binary: holds a path of where the environment was, and is no text" in said
    assert "bin/link: holds a path of where the environment was, and is a symbolic link" in said
    assert (tmp_path / "out/venv/bin/binary").read_bytes() == (venv / "bin/binary").read_bytes()
    assert [line.split(":")[1][-7:] for line in said.splitlines() if "its interpreter" in line] == [
        "develop", "wrapper"]
    assert (tmp_path / "out/venv/bin/develop").read_text() == (
        f"#!{tmp_path}/out/venv/bin/python3\n__file__ = '{venv}/src/tool'\n")
    said = warmpack.ok("extract", "-f", "v.tgz", "-C", 'quote"d').stderr.decode()
    assert "bin/pips: holds a path of where the environment was, and no script can name" in said
    assert len([line for line in said.splitlines() if "bin/pips" in line]) == 1


def test_modules_of_editable_installations_are_named(warmpack, tmp_path, venv):
    site, = (venv / "lib").glob("python*/site-packages")
    for name, path in (("finder.py", venv / "src"), ("other.py", f"{venv}-2/src"), ("pk/k.py", venv)):
        write(site / name, f"MAPPING = {{'pk': '{path}'}}\n")
    before = (site / "finder.py").read_bytes()
    warmpack.ok("create", "-f", "v.tgz", "-C", venv.parent, "venv")
    name = site.relative_to(venv.parent) / "finder.py"

    def names_it(*verb):
        said = warmpack.ok(*verb).stderr.decode().splitlines()
        assert [line for line in said if "is a module" in line] == [
            f"warmpack: {name}: holds a path of where the environment was, and is a module: it "
            "stays as it is"], said

    names_it("extract", "-f", "v.tgz", "-C", "new")
    (tmp_path / "new").rename(tmp_path / "moved")
    names_it("restore", "moved")
    assert (tmp_path / "moved" / name).read_bytes() == before


def test_a_file_that_was_changed_is_changed(warmpack, tmp_path, venv):
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    warmpack.ok("extract", "-qf", "v.tgz", "-C", "out")
    with open(tmp_path / "out/venv/bin/short", "a", encoding="utf-8") as file:
        file.write("# mine\n")
    said = json.loads(warmpack.ok("restore", "--json", "out").stdout)
    assert (said["changed"], said["relocated"]) == (1, 0)


def test_hard_links_to_other_trees_keep_their_content(warmpack, tmp_path, venv):
    """Tools link files into many environments from one store."""
    warmpack.ok("create", "-qf", "v.tgz", "-C", "srv", "venv")
    run("tar", "-xzf", "v.tgz", cwd=tmp_path)
    script = tmp_path / "venv/bin/short"
    store = tmp_path / "store"
    os.link(script, store)
    before = store.read_bytes()
    warmpack.ok("restore", "venv")
    assert store.read_bytes() == before and script.read_bytes() != before


def test_debians_directories_have_their_pth_files_relocated(warmpack, tmp_path):
    pth = tmp_path / "srv/app/lib/python3/dist-packages/here.pth"
    write(pth, f"{tmp_path}/srv/app/more\n")
    warmpack.ok("-czf", "a.tgz", "-C", "srv", "app")
    warmpack.ok("extract", "--relocate", "-f", "a.tgz", "-C", "opt")
    there = tmp_path / "opt/app/lib/python3/dist-packages/here.pth"
    assert there.read_text() == f"{tmp_path}/opt/app/more\n"


@trees.needs_root
def test_what_cannot_be_written_to_is_named_and_the_rest_is_done(warmpack, tmp_path, venv):
    """By who may not write to scripts: nothing fails after all else is repaired."""
    warmpack.ok("-czf", "a.tgz", "-C", "srv", "venv")
    place = trees.public_directory()
    run("tar", "-xzf", tmp_path / "a.tgz", "-C", place)
    run("chown", "-R", f"{trees.NOBODY}:{trees.NOBODY}", place)
    (place / "venv/bin").chmod(0o555)
    try:
        done = warmpack.ok("restore", place, user=trees.NOBODY, cwd=place)
        for script in scripts(place / "venv"):
            assert str(script).encode() in done.stderr or script.name.encode() in done.stderr
            assert str(venv) in script.read_text()
        assert b"cannot be written to" in done.stderr
        assert str(place) in next((place / "venv").glob("lib/python*/site-packages/here.pth")
                                  ).read_text()
    finally:
        trees.remove_tree(place)


@trees.needs_root
@pytest.mark.parametrize("name", ["bin/short", "RECORD"])
def test_what_its_owner_cannot_read_is_left_and_the_rest_is_done(warmpack, tmp_path, venv, name):
    warmpack.ok("create", "-qf", "v.tgz", "-C", tmp_path / "srv", "venv")
    public = trees.public_directory()
    try:
        os.chown(public, trees.NOBODY, trees.NOBODY)
        with open(tmp_path / "v.tgz", "rb") as archive:
            warmpack.ok("extract", "-qf", "-", "-C", public / "a", stdin=archive, cwd=public,
                        user=trees.NOBODY)
        shut, = public.glob("a/venv/" + (name if "/" in name else "lib/python*/*/*/" + name))
        shut.chmod(0)
        (public / "a").rename(public / "b")
        done = warmpack("restore", "b", cwd=public, user=trees.NOBODY)
        assert done.returncode in (0, 1), done
        assert str(public / "b/venv").encode() in (public / "b/venv/bin/option").read_bytes()
    finally:
        trees.remove_tree(public)
