"""All that reads an archive sees the same one, whatever else is called like a manifest in it."""

import io
import json
import tarfile
import zipfile

import pytest
import trees
from trees import index, write

OLD = 1_600_000_000 * 10**9
OTHER = "0123456789abcdef"
TEXT = "no manifest at all\n"
# Of each format its metadata, and the directory in which manifests lie.
FORMATS = {
    "tgz": ({}, "app/.warmpack"),
    "tar": ({}, "app/.warmpack"),
    "zip": ({}, "app/.warmpack"),
    "egg": ({"EGG-INFO/PKG-INFO": "Name: app\n"}, "EGG-INFO/warmpack"),
    "whl": ({"app-1.dist-info/METADATA": "Name: app\n", "app-1.dist-info/WHEEL": "1\n"},
            "app-1.dist-info/warmpack"),
}
VERBS = [["list"], ["verify", "--json"], ["inspect"], ["extract", "-C", "out"], ["extract", "-O"],
         ["amend", "--source", "tree"]]


def reorder_tar(path, last, *, without=None):
    """Python's tarfile keeps the mark, a global record, and the times, which are records, too."""
    with tarfile.open(path) as old:
        members = [(m, old.extractfile(m).read() if m.isfile() else b"") for m in old
                   if m.name != without]
        mark = old.pax_headers
    members.sort(key=lambda m: m[0].name == last)
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w", pax_headers=mark,
                      format=tarfile.PAX_FORMAT) as new:
        for member, content in members:
            member.pax_headers.pop("comment", None)  # a manifest may say where it began
            new.addfile(member, io.BytesIO(content))


def reorder_zip(path, last, *, without=None):
    with zipfile.ZipFile(path) as old:
        members = [(m, old.read(m)) for m in old.infolist() if m.filename != without]
        mark = old.comment
    members.sort(key=lambda m: m[0].filename == last)
    with zipfile.ZipFile(path, "w") as new:
        new.comment = mark
        for member, content in members:
            new.writestr(member, content)


def names(path):
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as archive:
        return archive.getnames()


@pytest.fixture(params=FORMATS)
def packed(request, warmpack, tmp_path):
    """(archive, the name in it of a plain file that is called like a manifest)."""
    metadata, homes = FORMATS[request.param]
    archive, other = tmp_path / f"app-1.{request.param}", f"{homes}/{OTHER}/manifest.jsonl"
    write(tmp_path / "tree/app/k.py", "x = 1\n", ns=OLD)
    index(tmp_path / "tree/app/k.py")
    for name, text in {**metadata, other: TEXT}.items():
        write(tmp_path / "tree" / name, text, ns=OLD)
    # What is named expressly is packed, though it is called like a file of warmpack's own.
    tops = sorted({"app", *(name.split("/")[0] for name in metadata)})
    warmpack.ok("create", "-qf", archive, "-C", "tree", *tops, other)
    return archive, other


@pytest.mark.parametrize("order", ["as packed", "before the manifest", "behind the manifest"])
def test_a_file_that_is_called_like_a_manifest_is_none_for_any_verb(warmpack, tmp_path, packed,
                                                                   order):
    archive, other = packed
    (manifest,) = [n for n in names(archive) if n.endswith("/manifest.jsonl") and n != other]
    if order != "as packed":
        reorder = reorder_zip if zipfile.is_zipfile(archive) else reorder_tar
        reorder(archive, other if order == "behind the manifest" else manifest)
        assert names(archive)[-1] == (other if order == "behind the manifest" else manifest)

    listed = json.loads(warmpack.ok("list", "--json", "-f", archive).stdout)
    assert {manifest, other} <= {entry["path"] for entry in listed["entries"]}
    assert b"1 of 1 cache indexes valid" in warmpack.ok("verify", "-f", archive).stderr
    document = json.loads(warmpack.ok("verify", "--json", "-f", archive).stdout)
    assert document["summary"] == {"total": 1, "valid": 1}  # read from end to end
    assert b"1 cache index" in warmpack.ok("inspect", "-f", archive).stderr
    assert warmpack.ok("extract", "-O", "-f", archive, other).stdout == TEXT.encode()
    printed = warmpack.ok("extract", "-O", "-f", archive, manifest).stdout
    assert json.loads(printed.splitlines()[0])["format"] == "warmpack-manifest"

    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"1 of 1 cache indexes valid" in done.stderr
    assert (tmp_path / "out" / other).read_text() == TEXT
    assert (tmp_path / "out" / manifest).read_bytes() == printed

    warmpack.ok("amend", "-f", archive, "--source", "tree", "-o", f"new{archive.suffix}")
    assert b"1 of 1 cache indexes valid" in warmpack.ok("verify", "-f",
                                                        f"new{archive.suffix}").stderr


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_an_archive_without_the_manifest_that_it_names_is_truncated(warmpack, packed, words):
    """Though it holds another file that is called like one."""
    archive, other = packed
    (manifest,) = [n for n in names(archive) if n.endswith("/manifest.jsonl") and n != other]
    reorder = reorder_zip if zipfile.is_zipfile(archive) else reorder_tar
    reorder(archive, other, without=manifest)
    trees.refused(warmpack(*words, "-f", archive), "its manifest is missing")


def second_in_tar(path, name, text):
    """Puts an entry between the first header and the rest, and leads the pointer to the manifest
    behind it."""
    old = path.read_bytes()
    with tarfile.open(path) as archive:
        (first, *_, manifest) = archive.getmembers()
        at = first.offset
        pointer = manifest.pax_headers["comment"]
    offset = int(pointer.split("=")[1])
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    added = entry.tobuf(tarfile.USTAR_FORMAT) + text.encode().ljust(512, b"\0")
    new = f"warmpack-manifest-offset={offset + len(added)}"
    assert len(new) == len(pointer) and len(text) <= 512
    path.write_bytes(old[:at] + added + old[at:].replace(pointer.encode(), new.encode()))


def second_in_zip(path, name, text):
    with zipfile.ZipFile(path) as old:
        members = [(m, old.read(m)) for m in old.infolist()]
        mark = old.comment
    with zipfile.ZipFile(path, "w") as new:
        new.comment = mark
        new.writestr(name, text)
        for member, content in members:
            if member.filename == name:
                member.filename = "x" + name[1:]
            new.writestr(member, content)
    path.write_bytes(path.read_bytes().replace(b"x" + name[1:].encode(), name.encode()))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_second_manifest_is_refused_by_all_that_read_more_than_the_first(warmpack, tmp_path,
                                                                          kind):
    """list and verify of a tar read the manifest alone, as their manual pages say; a zip's
    directory is read in any case."""
    archive = tmp_path / f"a.{kind}"
    write(tmp_path / "tree/app/k.py", "x = 1\n" * 2000, ns=OLD)
    index(tmp_path / "tree/app/k.py")
    warmpack.ok("create", "-qf", archive, "-C", "tree", "app")
    (manifest,) = [n for n in names(archive) if n.endswith("/manifest.jsonl")]
    {"tar": second_in_tar, "zip": second_in_zip}[kind](archive, manifest, TEXT)
    assert names(archive).count(manifest) == 2
    for words in [["list"], ["verify"]]:
        if kind == "tar":
            warmpack.ok(*words, "-f", archive)
        else:
            trees.refused(warmpack(*words, "-f", archive), "the archive has a second manifest")
    for words in [["verify", "--json"], ["inspect"], ["extract", "-C", "out"],
                  ["amend", "--source", "tree"]]:
        said = warmpack(*words, "-f", archive)
        trees.refused(said, manifest)
    assert not (tmp_path / "out").exists()
