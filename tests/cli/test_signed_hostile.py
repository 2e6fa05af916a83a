"""Signed archives to which somebody has added, from which somebody has taken, or that lie about how
they are to be read: with --trust none of them leaves anything."""

import io
import shutil
import struct
import tarfile
import zipfile

import pytest
import trees
from test_signatures import app, keys, members, rewrite, signed, untouched  # noqa: F401
from trees import refused


@pytest.fixture
def trust(keys):  # noqa: F811
    return ("--trust", keys / "mine/pub.pem")


def all_refuse(warmpack, archive, trust, *said):
    """From a file, from a pipe, and where nothing is unpacked."""
    data = archive.read_bytes()
    for result in (warmpack("extract", "-f", archive, "-C", "no", *trust),
                   warmpack("extract", "-f", "-", "-C", "no", *trust, stdin=data),
                   warmpack("verify", "-f", archive, *trust)):
        assert result.returncode == 2
        line = result.stderr.decode().splitlines()[-1]
        assert any(word in line for word in said), line
    untouched(warmpack, "no")
    assert not list(warmpack.cwd.glob(".warmpack*"))


def entry(name, **facts):
    made = tarfile.TarInfo(name)
    for fact, value in facts.items():
        setattr(made, fact, value)
    return made


MORE = {
    "another case": (entry("app/PKG/k.py"), b"x"),
    "a directory": (entry("app/pkg/new", type=tarfile.DIRTYPE), None),
    "a hard link": (entry("app/pkg/l", type=tarfile.LNKTYPE, linkname="app/pkg/__init__.py"), None),
    "a symlink": (entry("app/pkg/s", type=tarfile.SYMTYPE, linkname="k.py"), None),
    "a FIFO": (entry("app/pkg/f", type=tarfile.FIFOTYPE), None),
    "a device": (entry("app/pkg/d", type=tarfile.CHRTYPE), None),
    "an index": (entry("app/pkg/__pycache__/k.evil-1.py311.nbi"), b"x"),
    "a name of warmpack's own": (entry("app/.warmpack/x"), b"x"),
    "beside the tree": (entry("other.py"), b"x"),
}


@pytest.mark.parametrize("more", MORE)
def test_what_was_added_is_refused(warmpack, signed, trust, more):  # noqa: F811
    info, content = MORE[more]
    rewrite(signed, lambda m, c: [(info, content), (m, c)] if m.name.endswith("k.py") else [(m, c)])
    all_refuse(warmpack, signed, trust, "is not in the manifest")


TWICE = {
    "as it is": entry("app/pkg/k.py"), "with a dot": entry("app/./pkg/k.py"),
    "with slashes": entry("app//pkg//k.py"),
    "a link for a directory": entry("app/pkg", type=tarfile.SYMTYPE, linkname="/tmp"),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("twice", TWICE)
def test_names_that_come_twice_are_refused(warmpack, signed, trust, twice, place):  # noqa: F811
    info = (TWICE[twice], None if twice == "a link for a directory" else b"x = 2\n")
    rewrite(signed, lambda m, c: [(m, c)] if not m.name.endswith("k.py") else
            [info, (m, c)] if place == "before" else [(m, c), info])
    all_refuse(warmpack, signed, trust, "twice", "than the manifest says", "Not a directory")


def is_manifest(member):
    return member.name.endswith("manifest.jsonl")


def renamed(name):
    return "/".join(["app/.warmpack", "0" * 16, name.rpartition("/")[2]])


MANIFESTS = {
    "a second one behind it": lambda m, c: [(m, c), (entry(renamed(m.name)), c)],
    "a second one before it": lambda m, c: [(entry(renamed(m.name)), c), (m, c)],
    "the same twice": lambda m, c: [(m, c), (entry(m.name), c)],
    "an altered one behind it": lambda m, c: [
        (m, c), (entry(m.name), c.replace(b'"0644"', b'"0755"', 1))],
    "an altered one before it": lambda m, c: [
        (entry(m.name), c.replace(b'"0644"', b'"0755"', 1)), (m, c)],
    "another home": lambda m, c: [(entry(renamed(m.name)), c)],
    "a hard link": lambda m, c: [
        (entry("app/m"), c), (entry(m.name, type=tarfile.LNKTYPE, linkname="app/m"), None)],
    "a symlink": lambda m, c: [
        (entry("app/m"), c), (entry(m.name, type=tarfile.SYMTYPE, linkname="../../m"), None)],
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_archives_with_other_manifests_are_refused(warmpack, signed, trust, change):  # noqa: F811
    rewrite(signed, lambda m, c: MANIFESTS[change](m, c) if is_manifest(m) else [(m, c)])
    all_refuse(warmpack, signed, trust, "manifest")


def test_the_place_of_the_manifest_says_nothing(warmpack, signed, trust):  # noqa: F811
    """It is found by its name; whether it stands first or last, all is held against it."""
    mark, old = members(signed)
    old.sort(key=lambda pair: not is_manifest(pair[0]))
    for altered in (False, True):
        with tarfile.open(signed, "w", format=tarfile.PAX_FORMAT, pax_headers=mark) as archive:
            for member, content in old:
                if is_manifest(member):
                    member.pax_headers = {}
                if altered and member.name.endswith("k.py"):
                    content = b"x = 2\n"
                archive.addfile(member, content and io.BytesIO(content))
        if not altered:
            warmpack.ok("extract", "-qf", signed, "-C", "o", *trust)
    all_refuse(warmpack, signed, trust, "does not have the content")


def test_what_follows_the_end_is_refused(warmpack, signed, trust):  # noqa: F811
    whole = signed.read_bytes()
    more = io.BytesIO()
    with tarfile.open(fileobj=more, mode="w") as archive:
        archive.addfile(entry("app/pkg/new.py", size=1), io.BytesIO(b"x"))
    cut = whole.rstrip(b"\0")
    cut += b"\0" * (-len(cut) % 512)
    for data in (whole + more.getvalue(), cut + more.getvalue(), cut + bytes(512) + more.getvalue(),
                 cut):
        signed.write_bytes(data)
        all_refuse(warmpack, signed, trust, "follows the end", "is not in the manifest",
                   "truncated")


def test_members_that_are_not_asked_for_are_checked_too(warmpack, signed, trust):  # noqa: F811
    rewrite(signed, lambda m, c: [(m, b"y\n" if m.name.endswith("__init__.py") else c)])
    for choice in (["app/pkg/k.py"], ["--exclude", "*__init__*"]):
        refused(warmpack("extract", "-f", signed, "-C", "no", *trust, *choice), "__init__.py",
                "than the manifest says")
    untouched(warmpack, "no")


def test_content_of_an_earlier_tree_must_be_the_signed_one(warmpack, signed, app,  # noqa: F811
                                                           keys, trust):  # noqa: F811
    """extract --from reads it from there."""
    warmpack.ok("extract", "-qf", signed, "-C", "old", *trust)
    source = warmpack.cwd / "old/app/pkg/k.py"
    st = source.stat()
    source.write_bytes(b"x = 2\n")
    trees.set_time(source, st.st_mtime_ns)
    done = warmpack("extract", "-qf", signed, "-C", "new", "--from", "old/app", *trust)
    new = warmpack.cwd / "new/app/pkg/k.py"
    assert done.returncode == 2 or new.read_bytes() == b"x = 1\n"
    assert done.returncode == 0 or not new.exists()


# ---- Zip -------------------------------------------------------------------------------------

@pytest.fixture
def zipped(warmpack, app, keys):  # noqa: F811
    warmpack.ok("create", "-qf", "a.zip", "--sign", keys / "mine/key.pem", "app")
    return warmpack.cwd / "a.zip"


def at(data, name, last):
    """Where NAME stands in a local header, or in the central directory."""
    return data.rfind(name) if last else data.find(name)


@pytest.mark.parametrize("which", ["local", "central", "both"])
def test_names_that_differ_in_a_zips_two_headers_are_refused(warmpack, zipped, trust, which):
    name, other = b"app/pkg/k.py", b"app/pkg/e.py"
    data = zipped.read_bytes()
    if which == "both":
        data = data.replace(name, other)
    else:
        place = at(data, name, which == "central")
        data = data[:place] + other + data[place + len(name):]
    zipped.write_bytes(data)
    all_refuse(warmpack, zipped, trust, "contradict", "is not in the manifest")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["app/pkg/new.py", "app/pkg/k.py"])
def test_what_was_added_to_a_zip_is_refused(warmpack, zipped, trust, name):
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(name, "x = 2\n")
    all_refuse(warmpack, zipped, trust, "is not in the manifest", "twice")


def test_modes_that_a_zip_has_besides_the_manifests_give_nobody_a_right(warmpack, zipped, trust):
    """A zip's headers have no place for all that a manifest has: it is what counts."""
    data = zipped.read_bytes()
    place = at(data, b"app/pkg/k.py", True) - 46
    assert data[place:place + 4] == b"PK\1\2"
    zipped.write_bytes(data[:place + 38] + struct.pack("<I", 0o104777 << 16) + data[place + 42:])
    done = warmpack("extract", "-qpf", zipped, "-C", "o", *trust)
    assert done.returncode == 2 or \
        (warmpack.cwd / "o/app/pkg/k.py").stat().st_mode & 0o7777 == 0o644


def test_entries_that_no_directory_of_a_zip_names_are_not_unpacked(warmpack, zipped, trust):
    """Behind the last one, and before the first."""
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("app/pkg/hidden.py", "x")
    more = hidden.getvalue()[:hidden.getvalue().find(b"PK\1\2")]
    data = zipped.read_bytes()
    end = data.rfind(b"PK\5\6")
    (directory,) = struct.unpack("<I", data[end + 16:end + 20])
    behind = data[:directory] + more + data[directory:end + 16] + struct.pack(
        "<I", directory + len(more)) + data[end + 20:]
    for name, text in (("behind", behind), ("before", more + data)):
        zipped.write_bytes(text)
        done = warmpack("extract", "-qf", zipped, "-C", name, *trust)
        assert not list(warmpack.cwd.rglob("hidden.py"))
        assert done.returncode == 2 or (warmpack.cwd / name / "app/pkg/k.py").exists()


# ---- Many keys -------------------------------------------------------------------------------

def test_a_directory_of_ten_thousand_keys_behind_a_link(warmpack, signed, keys,  # noqa: F811
                                                        tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    (tmp_path / "link").symlink_to("ring")
    other = (keys / "other/pub.pem").read_bytes()
    for number in range(10000):
        (ring / f"{number}.pem").write_bytes(other)
    refused(warmpack("verify", "-f", signed, "--trust", "link"), "no key that is trusted")
    (ring / "mine.pem").symlink_to(keys / "mine/pub.pem")
    warmpack.ok("verify", "-qf", signed, "--trust", "link")
    shutil.rmtree(ring)
    refused(warmpack("verify", "-f", signed, "--trust", "link"), "No such file")
