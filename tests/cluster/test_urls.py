"""Archives by URL: every function takes them, and what has not changed is fetched once."""

import collections
import functools
import gzip
import http.server
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time

import pytest
import warmpack
import warmpack.spark
from warmpack import _ranges
from conftest import ROOT, recipe, run_script
from small import run_small

sys.path.append(str(ROOT / "tests" / "cli"))

import images as by_hand  # noqa: E402


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files with ranges and, as stores have them, entity tags; counts what was fetched."""

    fetched, sent = [], []

    def log_message(self, *words):
        pass

    def send_head(self):
        path = self.translate_path(self.path)
        if not os.path.isfile(path):
            self.send_error(404)
            return None
        size, file = os.path.getsize(path), open(path, "rb")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(wanted.group(1)) if wanted else 0
        last = min(int(wanted.group(2) or size - 1), size - 1) if wanted else size - 1
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, size))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("ETag", '"%d-%d"' % (os.stat(path).st_mtime_ns, size))
        self.end_headers()
        if self.command == "GET":
            self.fetched.append(self.path)
            self.sent.append(last - first + 1)
        file.seek(first)
        self.left = last - first + 1
        return file

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(self.left))


class Whole(Ranges):
    """Knows no ranges."""

    def send_head(self):
        del self.headers["Range"]
        return super().send_head()

    def send_header(self, name, value):
        if name != "Accept-Ranges":
            super().send_header(name, value)


class Stalling(Ranges):
    """Sends half of the first archive and no more."""

    goes_on, is_first = threading.Event(), True

    def copyfile(self, source, outputfile):
        if type(self).is_first:
            type(self).is_first = False
            outputfile.write(source.read(self.left // 2))
            self.goes_on.wait()
        else:
            super().copyfile(source, outputfile)


class Plain(Ranges):
    """No tags and no times: nothing but the content says what it is."""

    def send_header(self, name, value):
        if name != "ETag":
            super().send_header(name, value)


Web = collections.namedtuple("Web", "folder url fetched sent")


@pytest.fixture
def web(tmp_path, request):
    folder = tmp_path / "web"
    folder.mkdir()
    handler = type("Handler", (getattr(request, "param", Ranges),), {"fetched": [], "sent": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Web(folder, "http://127.0.0.1:%d/" % server.server_port, handler.fetched, handler.sent)
    server.shutdown()
    server.server_close()


def test_every_function_takes_a_url(s3, trees, home, tmp_path):
    tree = trees[0]
    url = "s3://bucket/every/app.tgz"
    made = warmpack.create(url, "app", directory=tree.parent)
    assert made["archive"] == url
    assert s3.head_object(Bucket="bucket", Key="every/app.tgz")["ContentLength"] == made["bytes"]
    assert warmpack.verify(archive=url)["summary"] == {"total": 3, "valid": 3}
    assert warmpack.inspect(archive=url)["summary"]["total"] == 3
    assert set(warmpack.env(url)) == {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"}
    assert warmpack.extract(url, tmp_path / "opt", if_needed=True)["was_valid"] == 3
    assert run_small(tmp_path / "opt" / "app", home) == (3, 0)
    assert warmpack.extract(url, tmp_path / "opt", if_needed=True)["unchanged"]

    subprocess.run([sys.executable, "-m", "zipfile", "-c", tmp_path / "foreign.zip", "pkg"],
                   check=True, cwd=tree)
    s3.upload_file(str(tmp_path / "foreign.zip"), "bucket", "every/foreign.zip")
    amended = warmpack.amend("s3://bucket/every/foreign.zip", source=tree)
    assert amended["written"] and amended["archive"] == "s3://bucket/every/foreign.zip"
    assert warmpack.verify(archive="s3://bucket/every/foreign.zip")["summary"]["valid"] == 3


def test_what_compares_joins_and_repairs_takes_urls_too(s3, trees, archives, home, tmp_path):
    web = ["s3://bucket/more/%d.tgz" % number for number in range(2)]
    for url, archive in zip(web, archives):
        s3.upload_file(str(archive), "bucket", url[len("s3://bucket/"):])
    assert warmpack.diff(web[0], web[0])["differences"] == []
    assert "app/pkg/k.py" in {found["path"] for found in warmpack.diff(*web)["differences"]}

    for number, cpu in enumerate(("x86-64-v2", "generic")):
        tree = tmp_path / cpu / "app"
        shutil.copytree(trees[0], tree, ignore=shutil.ignore_patterns("__pycache__"))
        os.utime(tree / "pkg/k.py", ns=2 * (trees[0].joinpath("pkg/k.py").stat().st_mtime_ns,))
        run_small(tree, home, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="")
        warmpack.create("s3://bucket/more/%s.tgz" % cpu, "app", directory=tree.parent)
    made = warmpack.merge("s3://bucket/more/all.tgz", "s3://bucket/more/x86-64-v2.tgz",
                          "s3://bucket/more/generic.tgz")
    assert made["archive"] == "s3://bucket/more/all.tgz" and made["joined"] == 3
    assert warmpack.verify(archive=made["archive"])["summary"] == {"total": 3, "valid": 3}

    warmpack.extract(web[0], tmp_path / "opt")
    (manifest,) = (tmp_path / "opt/app/.warmpack").glob("*/manifest.jsonl")
    s3.upload_file(str(manifest), "bucket", "more/manifest.jsonl")
    shutil.rmtree(tmp_path / "opt/app/.warmpack")
    os.utime(tmp_path / "opt/app/pkg/k.py", (1, 1))
    assert warmpack.restore(tmp_path / "opt", manifest="s3://bucket/more/manifest.jsonl")["times"]
    assert run_small(tmp_path / "opt" / "app", home) == (3, 0)

    warmed = warmpack.warm("s3://bucket/more/warmed.tgz", "app", directory=trees[1].parent,
                           command=[sys.executable, "-c", "import pkg.k"],
                           env={**os.environ, "PYTHONPATH": str(trees[1])})
    assert warmed["archive"] == "s3://bucket/more/warmed.tgz" and warmed["written"]
    assert warmpack.verify(archive=warmed["archive"])["summary"] == {"total": 3, "valid": 3}


def test_settings_for_spark_are_read_from_where_it_reads(s3, trees, archives, tmp_path):
    """An archive, or no more than the indexes of a tree."""
    memory = importlib.import_module("fsspec").filesystem("memory")
    memory.pipe_file("/conf/app.tgz", archives[0].read_bytes())
    s3.upload_file(str(archives[0]), "bucket", "conf/app.tgz")
    warmpack.extract(archives[0], tmp_path / "opt")
    upload(s3, tmp_path / "opt", "conf/tree")
    settings = warmpack.spark.conf(archives[0])
    assert len(settings) == 2
    for uri in ("s3a://bucket/conf/app.tgz", "s3a://bucket/conf/tree", "memory:/conf/app.tgz"):
        assert warmpack.spark.conf(uri) == settings
    s3.put_object(Bucket="bucket", Key="conf/none/a.py", Body=b"")
    for name, said in (("none", "has no cache index"), ("absent.tgz", "there is no such archive")):
        with pytest.raises(warmpack.Error, match="s3a://bucket/conf/%s: %s" % (name, said)):
            warmpack.spark.conf("s3a://bucket/conf/" + name)


def activated(url, place, *also):
    code = ("import warmpack, sys\n"
            "for url in sys.argv[2:]: done = warmpack.activate(url, sys.argv[1])\n"
            "import pkg.k\n"
            "print(done.path, pkg.k.add(20, 22))")
    done = subprocess.run([sys.executable, "-c", code, place, url, *also], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_an_archive_in_a_store_is_unpacked_again_when_it_changed(s3, archives, tmp_path):
    for archive, result in zip((*archives, archives[0]), ("42", "1042", "42")):
        s3.upload_file(str(archive), "bucket", "changing.tgz")
        assert activated("s3://bucket/changing.tgz", tmp_path / "place") == result


@pytest.mark.parametrize("web, times", ((Ranges, 1), (Plain, 3)), indirect=["web"],
                         ids=("with entity tags", "without"))
def test_what_has_not_changed_is_fetched_once_where_the_store_tells(web, times, archives, tmp_path):
    folder, url, fetched, _ = web
    (folder / "app.tgz").write_bytes(archives[0].read_bytes())
    assert activated(url + "app.tgz", tmp_path / "place", url + "app.tgz") == "42"
    assert activated(url + "app.tgz", tmp_path / "place") == "42"
    assert len(fetched) == times
    (folder / "app.tgz").write_bytes(archives[1].read_bytes())
    assert activated(url + "app.tgz", tmp_path / "place") == "1042"
    assert not list(tmp_path.glob(".warmpack-*"))


@pytest.mark.parametrize("web", (Stalling,), indirect=True)
def test_nothing_stays_of_a_fetch_that_was_killed(web, archives, tmp_path):
    (web.folder / "app.tgz").write_bytes(archives[0].read_bytes())
    place = tmp_path / "machine" / "place"
    process = subprocess.Popen([sys.executable, "-c", "import sys, warmpack\n"
                                "warmpack.activate(*sys.argv[1:])", web.url + "app.tgz", place])
    try:
        for _ in range(600):
            left = list(tmp_path.glob("machine/.warmpack-*/app.tgz"))
            if left and left[0].stat().st_size:
                break
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
        Stalling.goes_on.set()
    assert left[0].stat().st_size < archives[0].stat().st_size
    assert activated(web.url + "app.tgz", place) == "42"
    assert {p.name for p in place.parent.iterdir()} == {"place", ".place.json", ".place.lock"}


# ---- Layouts of images ------------------------------------------------------------------------

def blobs(folder):
    """From the smallest to the largest."""
    return sorted((folder / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)


@pytest.fixture
def images(trees, monkeypatch, tmp_path):
    """Two layouts: an image of 1 MiB that others made, and the first release upon it."""
    noise = tarfile.TarInfo("noise")
    noise.size = 1 << 20
    packed = gzip.compress(noise.tobuf() + random.Random(1).randbytes(1 << 20) + bytes(1024))
    monkeypatch.setattr(by_hand, "tar_of", lambda _: packed)
    image = by_hand.image(tmp_path / "base")
    by_hand.layout(tmp_path / "base", {**image, "annotations": {by_hand.REF: "it"}})
    warmpack.create(tmp_path / "app.oci", "app", directory=trees[0].parent,
                    base=str(tmp_path / "base:it"))
    return tmp_path / "base", tmp_path / "app.oci"


def upload(s3, folder, key):
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), "bucket", key + "/" + path.relative_to(folder).as_posix())


@pytest.mark.parametrize("where", ("s3", "web", "file"))
def test_a_layout_that_is_a_directory_is_an_archive(where, s3, web, images, home, tmp_path):
    """Of its layers the one that is warmpack's is fetched."""
    app = images[1]
    if where == "s3":
        upload(s3, app, "layout/app.oci")
    else:
        shutil.copytree(app, web.folder / "app.oci")
    url = {"s3": "s3://bucket/layout/", "web": web.url, "file": "file://%s/" % web.folder}[where]
    assert warmpack.verify(archive=url + "app.oci")["summary"] == {"total": 3, "valid": 3}
    done = warmpack.extract(url + "app.oci", tmp_path / "opt")
    assert (done["lost"], run_small(tmp_path / "opt" / "app", home)) == (0, (3, 0))
    layer, base = blobs(app)[-2:]
    if where == "web":
        assert web.fetched.count("/app.oci/blobs/sha256/" + layer.name) == 4  # two looks
        assert sum(web.sent) < base.stat().st_size / 2


@pytest.mark.parametrize("kind", ("directory", "tar"))
def test_an_image_and_its_base_may_be_in_a_store(kind, s3, images, trees, home, tmp_path):
    base, app = images
    if kind == "tar":
        subprocess.run(["tar", "-cf", tmp_path / "base.tar", "-C", base, "."], check=True)
        s3.upload_file(str(tmp_path / "base.tar"), "bucket", "base-tar/base.oci.tar")
        given, url = "s3://bucket/base-tar/base.oci.tar:it", "s3://bucket/made-tar/app.oci.tar"
    else:
        upload(s3, base, "base/base.oci")
        given, url = "s3://bucket/base/base.oci:it", "s3://bucket/made/app.oci"
    made = warmpack.create(url, "app", directory=trees[0].parent, base=given)
    assert made["archive"] == url
    assert warmpack.extract(url, tmp_path / "opt")["lost"] == 0
    assert run_small(tmp_path / "opt" / "app", home) == (3, 0)
    if kind == "directory":
        listed = s3.list_objects_v2(Bucket="bucket", Prefix="made/app.oci/")["Contents"]
        assert {item["Key"][len("made/app.oci/"):] for item in listed} == \
            {path.relative_to(app).as_posix() for path in app.rglob("*") if path.is_file()}
        with pytest.raises(warmpack.Error, match="made/app.oci: is there"):
            warmpack.create(url, "app", directory=trees[0].parent)


def test_a_layout_is_unpacked_again_when_its_index_changed(s3, images, trees, tmp_path):
    upload(s3, images[1], "changing.oci")
    place = tmp_path / "place"
    assert activated("s3://bucket/changing.oci", place) == "42"
    warmpack.create(tmp_path / "next.oci", "app", directory=trees[1].parent)
    upload(s3, tmp_path / "next.oci", "changing.oci")
    assert activated("s3://bucket/changing.oci", place) == "1042"
    assert activated(str(images[1]), place) == "42"
    shutil.copytree(tmp_path / "next.oci", images[1], dirs_exist_ok=True)  # names no file anew
    assert activated(str(images[1]), place) == "1042"


def test_what_is_wrong_with_a_layout_is_told_of_it(s3, tmp_path):
    """A store that names blobs in a circle, or nothing that is one."""
    digest = "sha256:" + 64 * "a"
    for key, text in (("oci-layout", '{"imageLayoutVersion": "1.0.0"}'),
                      ("blobs/sha256/" + 64 * "a", '{"manifests": [{"digest": "%s"}]}' % digest)):
        s3.put_object(Bucket="bucket", Key="wrong.oci/" + key, Body=text.encode())
    for text in ('{"manifests": [{"digest": "%s"}]}' % digest, "[1]", "{", '{"manifests": {}}',
                 '{"manifests": [{"digest": "../../x"}, 1]}'):
        s3.put_object(Bucket="bucket", Key="wrong.oci/index.json", Body=text.encode())
        with pytest.raises(warmpack.Error, match="^s3://bucket/wrong.oci: ") as caught:
            warmpack.extract("s3://bucket/wrong.oci", tmp_path / "opt")
        assert caught.value.status == 2 and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


# ---- No more than is needed ------------------------------------------------------------------

SUFFIXES = (".tgz", ".tar.zst", ".tar", ".zip", ".egg", ".whl", ".oci")


def make_large(folder, version, small):
    """Twelve files that nothing compresses, of which one changes; SMALL empty ones; and what
    makes an egg or a wheel of them."""
    for name in ("EGG-INFO/PKG-INFO", *("large-1.dist-info/" + name
                                        for name in ("METADATA", "WHEEL", "RECORD"))):
        path = folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for number in range(12):
        changes = version if number == 10 else 0
        path = folder / "app" / ("%02d.bin" % number)
        path.write_bytes(random.Random(100 * number + changes).randbytes(1 << 20))
    for number in range(small):
        (folder / "app" / ("a%05d.py" % number)).touch()
    (folder / "app" / "k.py").write_text("x = %d\n" % version)


@pytest.fixture
def large(tmp_path):
    """large(".tgz"): the archives of two releases; `old` is the first, unpacked."""
    def make(suffix, small=10):
        made = []
        for version in (1, 2):
            make_large(tmp_path / str(version), version, small)
            made.append(tmp_path / ("%d%s" % (version, suffix)))
            place = tmp_path / str(version) / "app"
            if suffix in (".egg", ".whl"):
                warmpack.create(made[-1], ".", directory=place)
            else:
                warmpack.create(made[-1], "app", directory=place.parent)
        warmpack.extract(made[0], tmp_path / "old")
        return made
    return make


def size_of(archive):
    return max((path.stat().st_size for path in archive.rglob("*")),
               default=archive.stat().st_size)


def put(archive, web, stem="app"):
    """Serves ARCHIVE under a name that only layouts are known by; returns its URL."""
    if archive.is_dir():
        shutil.copytree(archive, web.folder / (stem + ".oci"), dirs_exist_ok=True)
        return web.url + stem + ".oci"
    shutil.copy(archive, web.folder / (stem + ".bin"))
    return web.url + stem + ".bin"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not {".warmpack", "warmpack"} & set(path.parts)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_an_earlier_tree_has_is_not_fetched(web, large, suffix, tmp_path):
    archive = large(suffix)[1]
    done = warmpack.extract(put(archive, web), tmp_path / "new", from_tree=tmp_path / "old")
    assert done["reused"] >= 11 and len(web.fetched) > 2
    assert sum(web.sent) < size_of(archive) / 2
    warmpack.extract(archive, tmp_path / "whole")
    assert contents(tmp_path / "new") == contents(tmp_path / "whole")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_of_any_size_is_found(web, large, suffix, monkeypatch, tmp_path):
    """Of more bytes than are fetched at once from the end."""
    archive = large(suffix, 300)[1]
    monkeypatch.setattr(_ranges, "_END", 1 << 12)
    monkeypatch.setattr(_ranges, "fetched", None)  # all of it
    done = warmpack.extract(put(archive, web), tmp_path / "new", from_tree=tmp_path / "old")
    assert done["reused"] >= 11
    assert sum(web.sent) < size_of(archive) / 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_more_is_fetched_of_what_is_unpacked_already(web, large, suffix, tmp_path):
    """Though nothing of this archive was kept but the tree."""
    archive = large(suffix)[0]
    done = warmpack.extract(put(archive, web), tmp_path / "old", if_needed=True)
    assert done["unchanged"] and sum(web.sent) < 1 << 20


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_store_is_asked_for_the_parts(s3, large, suffix, monkeypatch, tmp_path):
    archive = large(suffix)[1]
    key = "large/%s/app%s" % (suffix, ".oci" if archive.is_dir() else ".bin")
    if archive.is_dir():
        upload(s3, archive, key)
    else:
        s3.upload_file(str(archive), "bucket", key)
    filesystem = importlib.import_module("fsspec").filesystem("s3")  # the one that is kept
    parts, fetch = [], filesystem.cat_file

    def counted(*words, **named):
        parts.append(fetch(*words, **named))
        return parts[-1]

    monkeypatch.setattr(filesystem, "cat_file", counted)
    monkeypatch.setattr(_ranges, "fetched", None)  # all of it
    done = warmpack.extract("s3://bucket/" + key, tmp_path / "new", from_tree=tmp_path / "old")
    assert done["reused"] >= 11 and 1 << 20 < sum(map(len, parts)) < size_of(archive) / 2
    warmpack.extract(archive, tmp_path / "whole")
    assert contents(tmp_path / "new") == contents(tmp_path / "whole")


@pytest.mark.parametrize("size", ("12000000", None, 12e6))
def test_all_is_fetched_where_a_store_gives_no_number_for_the_size(large, size, monkeypatch,
                                                                   tmp_path):
    memory = importlib.import_module("fsspec").filesystem("memory")
    memory.pipe_file("/app.tgz", large(".tgz")[1].read_bytes())
    monkeypatch.setattr(type(memory), "info", lambda *_, **__: {
        "name": "/app.tgz", "type": "file", "size": size})
    warmpack.extract("memory://app.tgz", tmp_path / "new", from_tree=tmp_path / "old")
    assert contents(tmp_path / "new") == contents(tmp_path / "2")


@pytest.mark.parametrize("suffix", (".tgz", ".tar", ".zip", ".oci"))
@pytest.mark.parametrize("web", (Ranges, Whole), indirect=True, ids=("ranges", "whole"))
def test_all_is_fetched_where_parts_are_not_enough(web, large, suffix, tmp_path):
    """A file of the earlier tree has changed; a server gives no parts."""
    archive = large(suffix)[1]
    changed = tmp_path / "old/app/05.bin"
    changed.write_bytes(changed.read_bytes()[::-1])
    done = warmpack.extract(put(archive, web), tmp_path / "new", from_tree=tmp_path / "old")
    assert done["reused"] == 10
    assert contents(tmp_path / "new") == contents(tmp_path / "2")
    assert max(web.sent) == size_of(archive)


def test_a_tar_that_is_not_ours_is_fetched_once(web, large, tmp_path):
    """The end of an image in a tar has no manifest that could be found by looking back."""
    archive = large(".oci.tar")[1]
    done = warmpack.extract(put(archive, web), tmp_path / "new", from_tree=tmp_path / "old")
    assert done["reused"] >= 11 and sum(web.sent) < 1.1 * archive.stat().st_size
    assert contents(tmp_path / "new") == contents(tmp_path / "2")


@pytest.mark.parametrize("suffix", (".tgz", ".oci"))
def test_activate_fetches_what_has_changed(web, large, suffix, tmp_path):
    for archive in large(suffix):
        web.sent.clear()
        warmpack.activate(put(archive, web), tmp_path / "place", cpu=False)
    assert sum(web.sent) < size_of(archive) / 2
    assert contents(tmp_path / "place") == contents(tmp_path / "2")


@pytest.mark.parametrize("url", ("s3://bucket/none.tgz", "http://127.0.0.1:9/none.tgz",
                                 "nonsense://host/none.tgz", "file:///nonexistent/none.tgz"))
def test_what_cannot_be_fetched_is_named(s3, url, tmp_path):
    with pytest.raises(warmpack.Error) as caught:
        warmpack.extract(url, tmp_path)
    assert str(caught.value).startswith(url + ": ")
    assert list(tmp_path.iterdir()) == []


class Broken(Ranges):
    def send_head(self):
        self.send_error(503, "out of order")


@pytest.mark.parametrize("web", (Broken,), indirect=True)
def test_an_error_of_a_store_is_no_absence(web):
    """In one line, whatever the store says, and also where one has to connect to know it."""
    for url, said in ((web.url + "a.tgz", "503.*out of order"), (web.url + "a.oci", "503"),
                      ("http://127.0.0.1:9/a.tgz", "onnect"),
                      ("ftp://127.0.0.1:9/a.tgz", "refused"),
                      ("zip://a.tgz::%sa.zip" % web.url, "503"), ("s3://", "Parameter validation")):
        with pytest.raises(warmpack.Error, match=re.escape(url) + ": .*" + said) as caught:
            warmpack.verify(archive=url)
        assert "\n" not in str(caught.value) and "no such archive" not in str(caught.value)


@pytest.mark.parametrize("call", (
    warmpack.extract, functools.partial(warmpack.extract, if_needed=True), warmpack.activate,
    lambda url, _: warmpack.env(url)), ids=("extract", "if_needed", "activate", "env"))
def test_what_is_wrong_with_an_archive_is_told_of_its_url(call, web, archives, tmp_path):
    """And not of the file that it was fetched into, which is gone."""
    (web.folder / "cut.tgz").write_bytes(archives[0].read_bytes()[:-200])
    with pytest.raises(warmpack.Error) as caught:
        call(web.url + "cut.tgz", tmp_path / "opt")
    assert str(caught.value).startswith(web.url + "cut.tgz: ") and caught.value.status == 2
    with pytest.raises(warmpack.Error, match="^memory://a.nothing: the suffix names no format"):
        warmpack.create("memory://a.nothing", "pkg", directory=tmp_path)


def test_fsspec_is_asked_for_by_name(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(warmpack.Error, match="s3://bucket/a.tgz: .*package fsspec"):
        warmpack.extract("s3://bucket/a.tgz", tmp_path)


def test_the_recipe_for_urls_runs_as_it_stands(s3, trees, tmp_path):
    (tmp_path / "src").mkdir()
    subprocess.run(["cp", "-a", trees[0], tmp_path / "src" / "app"], check=True)
    said = run_script(recipe("urls").replace("/var/lib/app", str(tmp_path / "lib")), tmp_path,
                      NUMBA_DEBUG_CACHE="1")
    assert said.count("data loaded") == 3 and "data saved" not in said and "42" in said
