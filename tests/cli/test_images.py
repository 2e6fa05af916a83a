"""Format oci: a tree as an image that container tools take, and that every verb reads."""

import gzip
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import zlib

import images
import pytest
import trees
from images import Layout
from trees import look, refused, write

NS = 10**18 + 123456789


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    write(app / "pkg/k.py", "x = 1\n", ns=NS)
    write(app / "pkg/__init__.py", "", ns=NS + 1)
    os.symlink("pkg/k.py", app / "link")
    os.link(app / "pkg/k.py", app / "zz")
    trees.index(app / "pkg/k.py")
    for path in [*(app / "pkg/__pycache__").iterdir(), app / "pkg/__pycache__", app / "pkg",
                 app / "link", app]:
        trees.set_time(path, NS + 2)
    return app


def created(tmp_path, *skipped):
    """What lies in TMP_PATH, without what stood there before."""
    return sorted(p.name for p in tmp_path.iterdir() if p.name not in ("app", "home", *skipped))


def members(layer):
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return list(tar)


# ---- What is written --------------------------------------------------------------------------

@pytest.mark.parametrize("name, words", [("img", ["--format", "oci"]), ("img.oci", []),
                                         ("img.oci.tar", [])])
def test_a_layout_is_what_the_specification_says(warmpack, app, tmp_path, name, words):
    warmpack.ok("create", "-qf", name, *words, "app")
    image = Layout(tmp_path / name)
    (layer,) = image.layers
    assert image.manifest["layers"][0]["mediaType"] == images.OCI + "layer.v1.tar+gzip"
    assert image.config["rootfs"]["diff_ids"] == [images.digest_of(gzip.decompress(layer))]
    assert image.descriptor["annotations"] == {images.REF: "latest"}
    assert image.config["os"] == "linux" and image.config["architecture"] == "amd64"
    assert image.config["created"] == "2001-09-09T01:46:40Z"
    labels = image.config["config"]["Labels"]
    assert labels["org.warmpack.numba"] == "0.56.4" and labels["org.warmpack.python"] == "3.11"
    assert labels["org.warmpack.cpus"] == "generic" and labels["org.warmpack.indexes"] == "1"
    assert labels["org.warmpack.valid"] == "1" and labels["org.warmpack.overloads"] == "1"
    assert labels["org.warmpack.manifest"] in [m.name for m in members(layer)]
    assert labels.items() <= image.manifest["annotations"].items()
    assert len(image.config["history"]) == 1
    assert created(tmp_path) == [name]


def test_times_in_the_layer_are_whole_seconds_and_nothing_is_about_all_of_it(warmpack, app,
                                                                             tmp_path):
    """umoci refuses headers that are about all of an archive."""
    warmpack.ok("create", "-qf", "img.oci.tar", "app")
    data = gzip.decompress(Layout(tmp_path / "img.oci.tar").layers[0])
    kinds = set()
    for m in members(data):
        assert m.mtime == int(m.mtime) == NS // 10**9 and "mtime" not in m.pax_headers
    at = 0
    while data[at] != 0:
        kinds.add(data[at + 156:at + 157])
        at += 512 + -(-int(data[at + 124:at + 135], 8) // 512) * 512
    assert kinds == {b"x", b"0", b"1", b"2", b"5"}


def test_the_same_tree_gives_the_same_image_in_every_form(warmpack, app, tmp_path):
    for threads in ("1", "4"):
        warmpack.ok("create", "-qf", threads, "--threads", threads, "--format", "oci", "app")
        warmpack.ok("create", "-qf", threads + ".oci.tar", "--threads", threads, "app")
    piped = warmpack.ok("create", "-qf", "-", "--format", "oci", "app").stdout
    assert piped == (tmp_path / "1.oci.tar").read_bytes() == (tmp_path / "4.oci.tar").read_bytes()
    assert Layout(tmp_path / "1").files == Layout(tmp_path / "4").files == \
        Layout(tmp_path / "1.oci.tar").files
    warmpack.ok("create", "-qf", "dated", "--format", "oci", "app",
                env={"SOURCE_DATE_EPOCH": "86400"})
    dated = Layout(tmp_path / "dated")
    assert dated.config["created"] == "1970-01-02T00:00:00Z"
    assert dated.layers == Layout(tmp_path / "1").layers
    refused(warmpack("create", "-qf", "x.oci", "app", env={"SOURCE_DATE_EPOCH": "1.5"}),
            "SOURCE_DATE_EPOCH")


def test_times_that_no_header_of_a_tar_holds(warmpack, tmp_path):
    """Of a file, and of the image: those around the layer are then the latest that one holds."""
    late = 9_000_000_000
    write(tmp_path / "late/a", b"late", ns=late * 10**9)
    warmpack.ok("create", "-qf", "late.oci.tar", "late")
    warmpack.ok("create", "-qf", "dated.oci.tar", "late", env={"SOURCE_DATE_EPOCH": "99999999999"})
    for name, year in (("late", "2255-"), ("dated", "5138-")):
        image = Layout(tmp_path / f"{name}.oci.tar")
        assert image.config["created"].startswith(year)
        assert late in [m.mtime for m in members(gzip.decompress(image.layers[0]))]
    with tarfile.open(tmp_path / "late.oci.tar") as outer:
        assert {m.mtime for m in outer} == {0o77777777777}
    warmpack.ok("extract", "-qf", "late.oci.tar", "-C", "new")
    assert (tmp_path / "new/late/a").stat().st_mtime == late


def test_one_gzip_member_and_levels(warmpack, app, tmp_path):
    warmpack.ok("create", "-qf", "one.oci", "--gzip-members", "one", "--level", "1", "app")
    layer = Layout(tmp_path / "one.oci").layers[0]
    member = zlib.decompressobj(31)
    assert len(member.decompress(layer)) % 512 == 0 and member.eof and not member.unused_data
    warmpack.ok("verify", "-qf", "one.oci")


def test_the_top_of_an_image_stays_as_it_is(warmpack, app, tmp_path):
    app.chmod(0o700)
    warmpack.ok("create", "-qf", "img.oci", "-C", "app", ".")
    assert "." not in [m.name for m in members(Layout(tmp_path / "img.oci").layers[0])]
    warmpack.ok("extract", "-qf", "img.oci", "-C", "opt")
    trees.assert_same(look(tmp_path / "opt"), {k: v for k, v in look(app).items()})


def test_an_empty_directory_is_taken_and_a_full_one_is_not(warmpack, app, tmp_path):
    (tmp_path / "img").mkdir(mode=0o750)
    warmpack.ok("create", "-qf", "img/", "--format", "oci", "app")
    before = Layout(tmp_path / "img").files
    assert (tmp_path / "img").stat().st_mode & 0o777 == 0o750
    refused(warmpack("create", "-qf", "img", "--format", "oci", "app"), "img", "not empty")
    write(tmp_path / "file", "x")
    refused(warmpack("create", "-qf", "file", "--format", "oci", "app"), "file", "directory")
    os.symlink("nowhere", tmp_path / "dangling")
    refused(warmpack("create", "-qf", "dangling", "--format", "oci", "app"), "symbolic link")
    assert Layout(tmp_path / "img").files == before
    assert created(tmp_path) == ["dangling", "file", "img"]


def test_what_killed_runs_left_is_removed(warmpack, app, tmp_path):
    left = tmp_path / ".img.0123456789abcdef"
    write(left / "blobs/sha256/x", "x")
    write(tmp_path / ".img.other/x", "x")
    warmpack.ok("create", "-qf", "img", "--format", "oci", "app")
    assert created(tmp_path) == [".img.other", "img"]


def test_names_that_would_remove_something_are_refused(warmpack, app, tmp_path):
    write(app / "pkg/.wh.k.py", "x")
    for name in ("img.oci", "img.oci.tar"):
        refused(warmpack("create", "-qf", name, "app"), ".wh.k.py")
    assert created(tmp_path) == []
    warmpack.ok("create", "-qf", "a.tgz", "app")


def test_the_name_of_the_image(warmpack, app, tmp_path):
    warmpack.ok("create", "-qf", "img.oci", "--ref", "v1.2", "app")
    assert Layout(tmp_path / "img.oci").descriptor["annotations"] == {images.REF: "v1.2"}
    for bad in ("-x", "x-", "a b", "a\n", "\u00e4"):
        refused(warmpack("create", "-qf", "x.oci", "--ref=" + bad, "app"), "name of an image")
    refused(warmpack("create", "-qf", "a.tgz", "--ref", "x", "app"), "for oci")


def test_the_platform_is_that_of_the_caches(warmpack, app, tmp_path):
    trees.index(app / "pkg/k.py", "k.arm-1.py311", triple="aarch64-unknown-linux-gnu")
    line = refused(warmpack("create", "-qf", "x.oci", "app"), "--platform")
    assert "linux/amd64" in line and "linux/arm64" in line
    warmpack.ok("create", "-qf", "both.oci", "--platform", "linux/arm64", "app")
    assert Layout(tmp_path / "both.oci").config["architecture"] == "arm64"
    for path in (app / "pkg/__pycache__").glob("k.add-*"):
        path.unlink()
    warmpack.ok("create", "-qf", "arm.oci", "app")
    assert Layout(tmp_path / "arm.oci").config["architecture"] == "arm64"
    images.layout(tmp_path / "base", images.image(tmp_path / "base"))
    line = refused(warmpack("create", "-qf", "x.oci", "--base", "base", "app"), "linux/arm64")
    assert "linux/amd64" in line
    warmpack.ok("create", "-qf", "forced.oci", "--base", "base", "--platform", "linux/amd64", "app")
    for bad in ("linux", "linux/", "/amd64", "a/b/c/d", "linux/amd64/", "linux/x y"):
        refused(warmpack("create", "-qf", "x.oci", "--platform", bad, "app"), "platform")
    assert not (tmp_path / "x.oci").exists()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="says what x86_64 is called")
def test_without_caches_the_platform_is_this_machines(warmpack, tmp_path):
    write(tmp_path / "app/k.py", "")
    warmpack.ok("create", "-qf", "img.oci", "app")
    assert Layout(tmp_path / "img.oci").config["architecture"] == "amd64"
    assert "org.warmpack.cpus" not in Layout(tmp_path / "img.oci").config["config"]["Labels"]


# ---- Reading ----------------------------------------------------------------------------------

def as_directory(tmp_path):
    return "img"


def as_tar(tmp_path):
    return "img.oci.tar"


def as_other_tar(tmp_path):
    """As skopeo and tar pack a layout."""
    trees.run("tar", "-cf", "other.tar", "-C", "img", ".", cwd=tmp_path)
    return "other.tar"


def layer_file(tmp_path):
    layer = Layout(tmp_path / "img").layers[0]
    write(tmp_path / "layer", layer)
    return "layer"


def recompressed(tmp_path):
    """Nothing points at the manifest any more."""
    write(tmp_path / "r.tgz", gzip.compress(gzip.decompress(Layout(tmp_path / "img").layers[0])))
    return "r.tgz"


def plain_layer(tmp_path):
    write(tmp_path / "r.tar", gzip.decompress(Layout(tmp_path / "img").layers[0]))
    return "r.tar"


FORMS = [as_directory, as_tar, as_other_tar, layer_file, recompressed, plain_layer]


@pytest.fixture
def packed(warmpack, app):
    warmpack.ok("create", "-qf", "img", "--format", "oci", "app")
    warmpack.ok("create", "-qf", "img.oci.tar", "app")


@pytest.mark.parametrize("form", FORMS)
def test_every_verb_reads_it_with_exact_times(warmpack, app, packed, tmp_path, form):
    name = form(tmp_path)
    warmpack.ok("create", "-qf", "a.tgz", "app")
    for words in (["list"], ["verify", "-q"], ["inspect", "--json"]):
        told = warmpack.ok(*words, "-f", name).stdout
        assert told == warmpack.ok(*words, "-f", "a.tgz").stdout
    warmpack.ok("extract", "-qf", name, "-C", "opt")
    trees.assert_same(look(tmp_path / "opt/app"), look(app))
    again = warmpack.ok("extract", "--if-needed", "-f", name, "-C", "opt").stderr
    assert b"already" in again or b"up to date" in again, again
    assert warmpack.ok("diff", name, "a.tgz").returncode == 0


@pytest.mark.parametrize("form", FORMS[1:])
def test_through_a_pipe(warmpack, app, packed, tmp_path, form):
    data = (tmp_path / form(tmp_path)).read_bytes()
    assert warmpack.ok("list", "-f", "-", stdin=data).stdout == \
        warmpack.ok("list", "-f", "img").stdout
    warmpack.ok("extract", "-qf", "-", "-C", "opt", stdin=data)
    trees.assert_same(look(tmp_path / "opt/app"), look(app))


def test_a_layout_of_others_is_the_tar_that_it_is(warmpack, tmp_path):
    images.layout(tmp_path / "l", images.image(tmp_path / "l"))
    trees.run("tar", "-cf", "l.tar", "-C", "l", ".", cwd=tmp_path)
    told = warmpack.ok("list", "-f", "l.tar").stdout
    assert b"index.json" in told and b"base" not in told
    assert warmpack.ok("list", "-f", "-", stdin=(tmp_path / "l.tar").read_bytes()).stdout == told
    refused(warmpack("list", "-f", "l"), "l: not an archive", "layer")
    (tmp_path / "no").mkdir()
    refused(warmpack("list", "-f", "no"), "no: cannot read", "directory")


@pytest.mark.parametrize("form", ("gnu", "ustar", "pax"))
@pytest.mark.parametrize("words", ((".",), ("index.json", "oci-layout", "blobs")))
def test_tars_of_a_layout_in_each_format(warmpack, packed, tmp_path, form, words):
    trees.run("tar", "--format=" + form, "-cf", "l.tar", "-C", "img", *words, cwd=tmp_path)
    names = warmpack.ok("list", "-f", "img").stdout
    assert warmpack.ok("list", "-f", "l.tar").stdout == names
    assert warmpack.ok("list", "-f", "-", stdin=(tmp_path / "l.tar").read_bytes()).stdout == names


def test_a_tar_of_no_layout_comes_through_a_pipe_as_it_is_read(warmpack, app, packed, tmp_path):
    """Also one of ".", as layouts are packed: it is not kept in a file to find out. One of a layout
    is."""
    def listed(*words):
        tar = trees.run("tar", "-c", *words, cwd=tmp_path)
        return warmpack("list", "-f", "-", stdin=tar, env={"TMPDIR": str(tmp_path / "none")})

    for words in (("app",), ("-C", "app", "."), ("--format=pax", "-C", "app", ".")):
        told = listed(*words)
        assert told.returncode == 0 and b"k.py" in told.stdout, told.stderr
    refused(listed("-C", "img", "."), "temporary file")


def test_damage_is_told(warmpack, packed, tmp_path):
    blobs = tmp_path / "img/blobs/sha256"
    layer = max(blobs.iterdir(), key=lambda p: len(p.read_bytes()))
    data = bytearray(layer.read_bytes())
    data[len(data) // 2] ^= 1
    layer.write_bytes(data)
    refused(warmpack("extract", "-qf", "img", "-C", "opt"))
    assert not (tmp_path / "opt/app").exists()
    (tmp_path / "img/index.json").write_text("{")
    refused(warmpack("list", "-f", "img"), "index.json")


def others(path):
    """Descriptors of a signature and of a list of parts in the layout PATH, as cosign and BuildKit
    put them, and of an image for another system that is not in it."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", **images.put(path, b"{}")}
    signature = "application/vnd.dev.cosign.simplesigning.v1+json"
    absent = images.image(path, names=("absent",), architecture="s390x")
    (path / "blobs/sha256" / absent["digest"][7:]).unlink()
    return (images.image(path, names=("s",), types={"s": signature}),
            images.image(path, names=("p",), manifest={"config": empty}),
            {**absent, "platform": {"os": "linux", "architecture": "s390x"}})


def test_what_is_no_image_is_passed_over(warmpack, app, packed, tmp_path):
    index = json.loads((tmp_path / "img/index.json").read_text())
    images.layout(tmp_path / "img", *others(tmp_path / "img"), *index["manifests"])
    names = warmpack.ok("list", "-f", "img").stdout
    trees.run("tar", "-cf", "more.tar", "-C", "img", ".", cwd=tmp_path)
    assert names == warmpack.ok("list", "-f", "more.tar").stdout
    assert b"app/" in names and b"index.json" not in names
    write(tmp_path / "more/file", b"")
    for base in ("img", "more.tar"):
        warmpack.ok("create", "-qf", base + ".oci", "--base", base, "more")
        assert len(Layout(tmp_path / (base + ".oci")).layers) == 2
    images.layout(tmp_path / "none", *others(tmp_path / "none"))
    refused(warmpack("list", "-f", "none"), "none", "is missing in it")
    images.layout(tmp_path / "none", *others(tmp_path / "none")[:2])
    refused(warmpack("list", "-f", "none"), "none: not an archive", "layer")
    refused(warmpack("create", "-qf", "x.oci", "--base", "none", "more"), "there is no image")


def test_images_for_several_systems(warmpack, app, packed, tmp_path):
    """The one for this machine is read; where none is, or several are, nobody guesses."""
    index = json.loads((tmp_path / "img/index.json").read_text())
    (own,) = index["manifests"]
    other = images.image(tmp_path / "img", architecture="s390x")
    index["manifests"] = [{**other, "platform": {"os": "linux", "architecture": "s390x"}}, own]
    (tmp_path / "img/index.json").write_text(json.dumps(index))
    warmpack.ok("verify", "-qf", "img")
    write(app / "more.py", "")
    warmpack.ok("create", "-qf", "two.oci", "app")
    shutil.copytree(tmp_path / "two.oci/blobs", tmp_path / "img/blobs", dirs_exist_ok=True)
    index["manifests"] += json.loads((tmp_path / "two.oci/index.json").read_text())["manifests"]
    (tmp_path / "img/index.json").write_text(json.dumps(index))
    refused(warmpack("list", "-f", "img"), "2 images")


def test_amend_writes_no_image_that_lost_its_base(warmpack, app, packed, tmp_path):
    before = (tmp_path / "img.oci.tar").read_bytes()
    refused(warmpack("amend", "-f", "img.oci.tar", "--source", "app"), "create")
    assert (tmp_path / "img.oci.tar").read_bytes() == before


def test_merge_makes_one(warmpack, app, tmp_path):
    warmpack.ok("create", "-qf", "a.tgz", "app")
    for path in (app / "pkg/__pycache__").iterdir():
        path.unlink()
    trees.index(app / "pkg/k.py", "k.more-4.py311", triple="x86_64-unknown-linux-gnu")
    warmpack.ok("create", "-qf", "b.oci", "app")
    warmpack.ok("merge", "-qo", "m.oci", "a.tgz", "b.oci")
    assert Layout(tmp_path / "m.oci").config["config"]["Labels"]["org.warmpack.valid"] == "2"
    warmpack.ok("extract", "-qf", "m.oci", "-C", "opt")
    assert len(list((tmp_path / "opt/app/pkg/__pycache__").iterdir())) == 4


# ---- Other tools ------------------------------------------------------------------------------

def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason="needs " + program)


@needs("umoci")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("members", ["one", "many"])
def test_umoci_unpacks_it(warmpack, app, tmp_path, members):
    warmpack.ok("create", "-qf", "img.oci", "--gzip-members", members, "app")
    trees.run("umoci", "unpack", "--image", "img.oci:latest", "bundle", cwd=tmp_path)
    whole = {name: {**entry, "mtime": entry["mtime"] // 10**9 * 10**9}
             for name, entry in look(app).items()}
    trees.assert_same(look(tmp_path / "bundle/rootfs/app"), whole)


@needs("skopeo")
def test_skopeo_copies_it(warmpack, app, packed, tmp_path):
    skopeo = ("skopeo", "--insecure-policy")
    for source in ("oci:img:latest", "oci-archive:img.oci.tar:latest"):
        told = json.loads(trees.run(*skopeo, "inspect", source, cwd=tmp_path, home=tmp_path))
        assert told["Labels"]["org.warmpack.valid"] == "1" and told["Architecture"] == "amd64"
    trees.run(*skopeo, "copy", "oci-archive:img.oci.tar:latest", "oci:copy:x", cwd=tmp_path)
    trees.run(*skopeo, "copy", "oci:copy:x", "oci-archive:copy.tar:x", cwd=tmp_path)
    for copy in ("copy", "copy.tar"):
        assert Layout(tmp_path / copy).layers == Layout(tmp_path / "img").layers
        warmpack.ok("verify", "-qf", copy)


# ---- On a base --------------------------------------------------------------------------------

def test_a_base_is_kept_and_added_to(warmpack, app, tmp_path):
    base = tmp_path / "base"
    settings = {"Env": ["A=b"], "Entrypoint": ["/run"], "Labels": {"mine": "1"}}
    images.layout(base, images.image(base, names=("one", "two", "one"), config={
        "config": settings, "author": "me", "variant": "v1", "x.y": [1.5, None]}))
    trees.run("tar", "-cf", "base.tar", "-C", "base", ".", cwd=tmp_path)
    warmpack.ok("create", "-qf", "img.oci", "--base", "base", "app")
    warmpack.ok("create", "-qf", "img.oci.tar", "--base", "base.tar", "app")
    image = Layout(tmp_path / "img.oci")
    assert Layout(tmp_path / "img.oci.tar").files == image.files
    assert image.layers[:3] == [images.tar_of(name) for name in ("one", "two", "one")]
    config = image.config
    assert config["author"] == "me" and config["variant"] == "v1" and config["x.y"] == [1.5, None]
    assert config["config"]["Env"] == ["A=b"] and config["config"]["Entrypoint"] == ["/run"]
    assert config["config"]["Labels"]["mine"] == "1"
    assert config["config"]["Labels"]["org.warmpack.valid"] == "1"
    assert config["history"][0] == {"created_by": "hand"} and len(config["history"]) == 2
    index = json.loads((base / "index.json").read_text())
    assert image.manifest["annotations"]["org.opencontainers.image.base.digest"] == \
        index["manifests"][0]["digest"]
    warmpack.ok("extract", "-qf", "img.oci.tar", "-C", "opt")
    trees.assert_same(look(tmp_path / "opt/app"), look(app))


def test_layers_of_a_base_take_no_room_twice(warmpack, app, tmp_path):
    base = images.layout(tmp_path / "base", images.image(tmp_path / "base"))
    warmpack.ok("create", "-qf", "img.oci", "--base", "base", "app")
    name = "blobs/sha256/" + images.digest_of(images.tar_of("base"))[7:]
    assert (tmp_path / "img.oci" / name).stat().st_ino == (base / name).stat().st_ino


def test_an_image_on_an_image(warmpack, app, tmp_path):
    """What is on top is read."""
    write(tmp_path / "deps/d.py", "")
    warmpack.ok("create", "-qf", "deps.oci.tar", "-C", "deps", "d.py")
    warmpack.ok("create", "-qf", "img.oci", "--base", "deps.oci.tar:latest", "app")
    assert len(Layout(tmp_path / "img.oci").layers) == 2
    assert b"d.py" not in warmpack.ok("list", "-f", "img.oci").stdout


def test_types_of_layers(warmpack, app, tmp_path):
    types = {"z": images.OCI + "layer.v1.tar+zstd", "t": images.OCI + "layer.v1.tar"}
    base = tmp_path / "base"
    images.layout(base, images.image(base, names=("z", "t"), types=types))
    warmpack.ok("create", "-qf", "oci.oci", "--base", "base", "app")
    assert [d["mediaType"] for d in Layout(tmp_path / "oci.oci").manifest["layers"]] == \
        [*types.values(), images.OCI + "layer.v1.tar+gzip"]
    images.layout(tmp_path / "docker", images.image(tmp_path / "docker", docker=True))
    warmpack.ok("create", "-qf", "d.oci", "--base", "docker", "app")
    assert {d["mediaType"] for d in Layout(tmp_path / "d.oci").manifest["layers"]} == \
        {images.OCI + "layer.v1.tar+gzip"}


def test_a_base_is_chosen_by_name_and_platform(warmpack, app, tmp_path):
    base = tmp_path / "a:b"
    kinds = {arch: images.image(base, names=(arch,), architecture=arch)
             for arch in ("amd64", "arm64")}
    many = {"mediaType": images.OCI + "index.v1+json",
            **images.put(base, {"manifests": [
                {**kinds[arch], "platform": {"os": "linux", "architecture": arch}}
                for arch in kinds] + [
                {**images.image(base, names=("sum",), system="unknown", architecture="unknown"),
                 "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
                 "platform": {"os": "unknown", "architecture": "unknown"}}]})}
    one = images.image(base, names=("one",))
    images.layout(base, {**many, "annotations": {images.REF: "many"}},
                  {**one, "annotations": {images.REF: "one"}})

    def first_layer(name, *words):
        warmpack.ok("create", "-qf", name, *words, "app")
        return Layout(tmp_path / name).layers[0]

    assert first_layer("1.oci", "--base", "a:b:one") == images.tar_of("one")
    assert first_layer("2.oci", "--base", "a:b:many", "--platform", "linux/arm64") == \
        images.tar_of("arm64")
    if platform.machine() == "x86_64":
        assert first_layer("3.oci", "--base", "a:b:many") == images.tar_of("amd64")
        refused(warmpack("create", "-qf", "x.oci", "--base", "a:b", "app"), "holds 2 images")
    refused(warmpack("create", "-qf", "x.oci", "--base", "a:b:no", "app"), "called 'no'")
    refused(warmpack("create", "-qf", "x.oci", "--base", "a:b:many", "--platform", "linux/s390x",
                     "app"), "linux/s390x")
    refused(warmpack("create", "-qf", "x.oci", "--base", "a:b:one", "--platform", "linux/arm64",
                     "app"), "for linux/amd64")


def remove_layer(base):
    (base / "blobs/sha256" / images.digest_of(images.tar_of("base"))[7:]).unlink()
    return "missing"


def change_layer(base):
    data = bytearray(images.tar_of("base"))
    data[-1] ^= 1
    (base / "blobs/sha256" / images.digest_of(images.tar_of("base"))[7:]).write_bytes(data)
    return "another digest"


def cut_layer(base):
    data = images.tar_of("base")
    (base / "blobs/sha256" / images.digest_of(data)[7:]).write_bytes(data[:-1])
    return "bytes that it is said to have"


def fifo_layer(base):
    remove_layer(base)
    os.mkfifo(base / "blobs/sha256" / images.digest_of(images.tar_of("base"))[7:])
    return "no regular file"


def change_manifest(base):
    (digest,) = [d["digest"] for d in json.loads((base / "index.json").read_text())["manifests"]]
    path = base / "blobs/sha256" / digest[7:]
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaversion"))
    return "another digest"


def named(base, **changes):
    def change(d):
        return {**d, **changes}
    index = json.loads((base / "index.json").read_text())
    images.layout(base, *map(change, index["manifests"]))


def outside(base):
    named(base, digest="sha256:../../../../etc/passwd")
    return "no SHA-256 digest"


def other_digest(base):
    named(base, digest="sha512:" + "0" * 128)
    return "no SHA-256 digest"


def negative(base):
    named(base, size=-1)
    return "no size"


def endless(base):
    """Each index names the next, more often than anybody has a reason to."""
    inner = images.image(base)
    for _ in range(12):
        inner = {"mediaType": images.OCI + "index.v1+json",
                 **images.put(base, {"manifests": [inner, inner]})}
    images.layout(base, inner)
    return "without an end"


def artifact(base):
    images.layout(base, images.image(base, manifest={
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **images.put(base, b"{}")}}))
    return "is no image"


def encrypted(base):
    images.layout(base, images.image(base, types={"base": "application/x-encrypted"}))
    return "application/x-encrypted"


def other_layers(base):
    images.layout(base, images.image(base, config={"rootfs": {"type": "layers", "diff_ids": []}}))
    return "as many layers"


def no_platform(base):
    images.layout(base, images.image(base, architecture=""))
    return "no platform"


def no_history(base):
    images.layout(base, images.image(base, config={"history": "x"}))
    return "malformed"


def no_json(base):
    (base / "index.json").write_bytes(b"[" * 100000)
    return "index.json"


def no_index(base):
    (base / "index.json").unlink()
    return "index.json is missing"


def empty(base):
    images.layout(base)
    return "no image"


def version_two(base):
    (base / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    return "version '2.0.0'"


def no_layout(base):
    (base / "oci-layout").unlink()
    return "no OCI image layout"


def nothing(base):
    shutil.rmtree(base)
    return "No such file"


@pytest.mark.parametrize("suffix", ["oci", "oci.tar"])
@pytest.mark.parametrize("damage", [
    remove_layer, change_layer, cut_layer, fifo_layer, change_manifest, outside, other_digest,
    negative, endless, artifact, encrypted, other_layers, no_platform, no_history, no_json,
    no_index, empty, version_two, no_layout, nothing])
def test_a_base_that_is_not_sound_is_refused(warmpack, app, tmp_path, damage, suffix):
    base = images.layout(tmp_path / "base", images.image(tmp_path / "base"))
    warmpack.ok("create", "-qf", "before.oci", "--base", "base", "app")
    shutil.rmtree(tmp_path / "before.oci")
    said = damage(base)
    refused(warmpack("create", "-qf", "img." + suffix, "--base", "base", "app"), "base", said)
    assert created(tmp_path, "base") == []


def test_truncated_layouts_are_no_layouts(warmpack, app, tmp_path):
    """Every length of a tar ends with a word about it, and nothing made."""
    images.layout(tmp_path / "base", images.image(tmp_path / "base"))
    trees.run("tar", "-cf", "base.tar", "-C", "base", ".", cwd=tmp_path)
    data = (tmp_path / "base.tar").read_bytes()
    for size in range(0, len(data) - 1024, 700):
        write(tmp_path / "cut.tar", data[:size])
        result = warmpack("create", "-qf", "img.oci", "--base", "cut.tar", "app")
        if result.returncode == 0: # the end alone is cut off
            shutil.rmtree(tmp_path / "img.oci")
            continue
        refused(result, "cut.tar")
    assert created(tmp_path, "base", "base.tar", "cut.tar") == []


def test_writing_fails_with_nothing_left(warmpack, app, tmp_path):
    write(app / "big", trees.noise(1 << 20))
    for name in ("img.oci", "img.oci.tar"):
        result = subprocess.run(["sh", "-c", 'ulimit -f 100; exec "$@"', "sh",
                                 *trees.command("create", "-qf", name, "app")],
                                cwd=tmp_path, env=warmpack.variables(), capture_output=True,
                                check=False, timeout=60)
        refused(result, name)
        assert created(tmp_path) == []
