"""--with-locator: the module for running a tree in place travels in it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import trees
from trees import ROOT, needs_root, refused, run, write

MODULE = (ROOT / "python" / "warmpack" / "locator.py").read_bytes()
PLACE = ".warmpack/python/warmpack/locator.py"


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    write(app / "pkg/k.py", "x = 1\n", ns=10**18 + 1)
    write(app / "pkg/__init__.py", "", ns=10**18 + 2)
    trees.index(app / "pkg/k.py")
    return app


def manifest(app):
    (found,) = app.glob(".warmpack/*/manifest.jsonl")
    return found


def lines(app):
    return [json.loads(line) for line in manifest(app).read_text().splitlines()]


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst", "zip"])
def test_archives_carry_it_and_the_manifest_knows_it(warmpack, app, tmp_path, suffix):
    name = "a." + suffix
    for archive in (name, "again." + suffix):
        warmpack.ok("create", "-qf", archive, "--with-locator", "app")
    assert (tmp_path / name).read_bytes() == (tmp_path / ("again." + suffix)).read_bytes()
    assert b"app/" + PLACE.encode() in warmpack.ok("list", "-f", name).stdout
    warmpack.ok("verify", "-f", name)
    warmpack.ok("extract", "-qf", name, "-C", "opt")
    root = tmp_path / "opt/app"
    assert (root / PLACE).read_bytes() == MODULE
    (line,) = [line for line in lines(root) if line.get("path") == "app/" + PLACE]
    assert line["size"] == len(MODULE) and line["mode"] == "0644"
    assert not list(root.glob(".warmpack/python/warmpack/__init__.py"))
    root.rename(tmp_path / "moved")
    said = json.loads(warmpack.ok("restore", "--json", "moved").stdout)
    assert said["summary"] == {"total": 1, "valid": 1}
    # Where an archive has it, its name is another; without it nothing of the kind is there.
    warmpack.ok("create", "-qf", "plain.tgz", "app")
    warmpack.ok("extract", "-qf", "plain.tgz", "-C", "plain")
    assert not (tmp_path / "plain/app/.warmpack/python").exists()
    assert manifest(tmp_path / "plain/app").parent.name != manifest(tmp_path / "moved").parent.name


def test_wheels_and_eggs_carry_it_where_their_manifest_lies(warmpack, tmp_path):
    info = "app-1.dist-info"
    write(tmp_path / "w/pkg/k.py", "x = 1\n")
    write(tmp_path / "w" / info / "METADATA", "Metadata-Version: 2.1\nName: app\nVersion: 1\n")
    write(tmp_path / "w" / info / "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
    warmpack.ok("create", "-qf", "app-1-py3-none-any.whl", "--with-locator", "-C", "w", "pkg", info)
    with zipfile.ZipFile(tmp_path / "app-1-py3-none-any.whl") as wheel:
        name = info + "/warmpack/python/warmpack/locator.py"
        assert wheel.read(name) == MODULE
        assert (name + ",sha256=").encode() in wheel.read(info + "/RECORD")
    write(tmp_path / "e/pkg/k.py", "x = 1\n")
    write(tmp_path / "e/EGG-INFO/PKG-INFO", "Name: app\n")
    warmpack.ok("create", "-qf", "a.egg", "--with-locator", "-C", "e", ".")
    with zipfile.ZipFile(tmp_path / "a.egg") as egg:
        assert egg.read("EGG-INFO/warmpack/python/warmpack/locator.py") == MODULE


def test_a_seal_has_it_until_one_is_made_without(warmpack, app):
    def seal(*words):
        return json.loads(warmpack.ok("seal", "--json", *words, app).stdout)["written"]

    assert seal() and not (app / PLACE).exists()
    assert seal("--with-locator") and (app / PLACE).read_bytes() == MODULE
    assert not seal("--with-locator")
    (app / PLACE).write_bytes(b"changed")
    assert seal("--with-locator") and (app / PLACE).read_bytes() == MODULE
    # What create packs of it has it by its own option alone.
    warmpack.ok("create", "-qf", "a.tar", "app")
    assert PLACE.encode() not in run("tar", "-tf", "a.tar", cwd=app.parent)
    assert seal() and sorted(path.name for path in (app / ".warmpack").iterdir()) == \
        [manifest(app).parent.name]


def test_one_that_was_changed_in_an_archive_is_refused(warmpack, app, tmp_path):
    warmpack.ok("create", "-qf", "a.tar", "--with-locator", "app")
    data = (tmp_path / "a.tar").read_bytes()
    assert data.count(b"import atexit") == 1
    (tmp_path / "a.tar").write_bytes(data.replace(b"import atexit", b"import Atexit"))
    refused(warmpack("extract", "-qf", "a.tar", "-C", "opt"), "locator.py")
    assert not (tmp_path / "opt/app").exists()


def test_two_archives_in_one_directory_share_it(warmpack, app, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name / (name + ".py"), name)
        warmpack.ok("create", "-qf", name + ".tgz", "--with-locator", "-C", name, name + ".py")
        warmpack.ok("extract", "-qf", name + ".tgz", "-C", "opt")
    assert (tmp_path / "opt" / PLACE).read_bytes() == MODULE
    assert len(list((tmp_path / "opt/.warmpack").glob("*/manifest.jsonl"))) == 2
    warmpack.ok("restore", "opt")


def test_caches_alone_do_not_bring_it(warmpack, app):
    refused(warmpack("create", "-f", "a.tgz", "--caches-only", "--with-locator", "app"),
            "exclude one another")


def test_python_takes_it_from_there_but_an_installed_package_comes_first(warmpack, app, tmp_path):
    warmpack.ok("seal", "-q", "--with-locator", app)
    place = app / ".warmpack/python"
    where = "import sys; sys.path[:0] = sys.argv[1:]; import warmpack.locator as l; print(l.__file__)"

    def found(*path):
        return subprocess.check_output([sys.executable, "-I", "-B", "-c", where, *map(str, path)],
                                       text=True).strip()

    assert found(place) == str(app / PLACE)
    installed = ROOT / "python"
    for order in ((place, installed), (installed, place)):
        assert found(*order) == str(installed / "warmpack/locator.py")


@needs_root
@pytest.mark.parametrize("how", ["extract", "seal"])
def test_everybody_may_read_it_and_the_manifest_whatever_roots_umask(warmpack, app, tmp_path, how):
    if how == "extract":
        warmpack.ok("create", "-qf", "a.tgz", "--with-locator", "app")
        (tmp_path / "opt").mkdir()
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "opt", umask="077")
        app = tmp_path / "opt/app"
    else:
        warmpack.ok("seal", "-q", "--with-locator", app, umask="077")
    for path in (app / ".warmpack").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert (app / ".warmpack").stat().st_mode & 0o777 == 0o755


def test_what_a_user_unpacks_obeys_the_umask(warmpack, app):
    warmpack.ok("create", "-qf", "a.tgz", "--with-locator", "app")
    opt = trees.public_directory()
    try:
        shutil.copy(app.parent / "a.tgz", opt)
        opt.chmod(0o777)
        user = trees.NOBODY if os.geteuid() == 0 else None
        warmpack.ok("extract", "-qf", "a.tgz", cwd=opt, umask="077", user=user)
        assert (opt / "app" / PLACE).read_bytes() == MODULE
        for path in (opt / "app/.warmpack").rglob("*"):
            assert not path.is_dir() or path.stat().st_mode & 0o077 == 0, path
    finally:
        trees.remove_tree(opt)
