"""merge: one archive of those that were warmed for different CPUs, and what is refused."""

import json
import os
import pickle
import re
import shutil
import tarfile

import pytest
import trees
from trees import leftovers, refused, write

TRIPLE = "x86_64-pc-linux-gnu"


@pytest.fixture
def warmpack(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return trees.Runner(tmp_path)


def fails(result, *said):
    """As refused, behind warnings; returns these."""
    assert result.returncode == 2, result
    *warnings, last = result.stderr.decode().splitlines()
    for word in said:
        assert word in last, last
    return "\n".join(warnings)


def index(source, overloads, name=None, *, stamp=None, version="0.56.4", ns=2 * 10**18):
    """An index as Numba writes it: OVERLOADS are (signature, CPU, features, data), or whole keys
    with data."""
    cache = source.parent / "__pycache__"
    cache.mkdir(exist_ok=True)
    name = name or f"{source.stem}.add-3.py311"
    st = source.stat()
    keys = {}
    for number, (key, data) in enumerate(overloads, 1):
        keys[key] = f"{name}.{number}.nbc"
        write(cache / keys[key], pickle.dumps(("library", data), -1), ns=ns)
    stamp = (st.st_mtime, st.st_size) if stamp is None else stamp
    write(cache / (name + ".nbi"),
          pickle.dumps(version, -1) + pickle.dumps((stamp, keys), -1), ns=ns)
    return cache / (name + ".nbi")


def key(cpu, signature="(int64,)", features="", triple=TRIPLE, cells="1"):
    return (signature, (triple, cpu, features), ("0" * 64, cells * 64))


def tree(path, cpu, *, ns=10**18 + 1, extra=()):
    write(path / "app/k.py", "import numpy\nfrom app import low\n", ns=ns)
    write(path / "app/low.py", "x = 1\n", ns=ns + 1)
    write(path / "app/__init__.py", "", ns=ns + 2)
    if cpu:
        index(path / "app/k.py", [(key(cpu), cpu.encode()), *extra])
    return path


@pytest.fixture
def pack(tmp_path, warmpack):
    """Archives of trees that are the same but for their times and the CPU of their caches."""

    def make(name, cpu, **how):
        options = how.pop("options", ())
        place = tree(tmp_path / ("of-" + name), cpu, **how)
        warmpack.ok("create", "-f", name, *options, "-C", place, "app")
        return tmp_path / name

    return make


def read(archive):
    """The archive's files by name, and the lines of its manifest."""
    with tarfile.open(archive) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    (name,) = [name for name in files if name.endswith("/manifest.jsonl")]
    return files, [json.loads(line) for line in files[name].splitlines()]


def overloads(files, name="app/__pycache__/k.add-3.py311.nbi"):
    text = files[name]
    version = pickle.loads(text)
    stamp, keys = pickle.loads(text[len(pickle.dumps(version, -1)):])
    return stamp, keys


def data_of(files, keys):
    return {k[1][1]: pickle.loads(files["app/__pycache__/" + name])[1] for k, name in keys.items()}


def test_an_index_holds_the_overloads_of_all(pack, warmpack):
    a, b, c = pack("a.tgz", "v1"), pack("b.tar.zst", "v2", ns=10**18 + 77), pack("c.zip", "v3")
    done = warmpack.ok("merge", "--json", "-o", "fat.tgz", a, b, c)
    said = json.loads(done.stdout)
    assert (said["joined"], said["left_out"]) == (1, 0)
    assert [(os.path.basename(x["input"]), x["cpu"], x["overloads"]) for x in said["builds"]] == [
        ("a.tgz", "v1", 1), ("b.tar.zst", "v2", 1), ("c.zip", "v3", 1)]
    files, lines = read("fat.tgz")
    stamp, keys = overloads(files)
    assert sorted(keys.values()) == ["k.add-3.py311.%d.nbc" % n for n in (1, 2, 3)]
    assert data_of(files, keys) == {"v1": b"v1", "v2": b"v2", "v3": b"v3"}
    # The first one's times are those of the result, and what fits them.
    assert stamp == (10**9 + 1e-9, len(files["app/k.py"]))
    (k,) = [x for x in lines if x.get("path") == "app/k.py"]
    assert k["mtime"] == "1000000000.000000001"
    warmpack.ok("verify", "-f", "fat.tgz")
    warmpack.ok("extract", "-f", "fat.tgz", "-C", "out")
    warmpack.ok("verify", "out")


def test_an_application_begins_with_its_interpreters_name_afterwards(pack, warmpack, tmp_path):
    line, inputs = b"#!/usr/bin/env python3\n", (pack("a.zip", "v1"), pack("b.zip", "v2"))
    for path in inputs:
        path.write_bytes(line + path.read_bytes())
    warmpack.ok("merge", "-o", "m.zip", *inputs)
    assert (tmp_path / "m.zip").read_bytes().startswith(line + b"PK")
    assert os.access(tmp_path / "m.zip", os.X_OK)
    trees.run("unzip", "-tq", tmp_path / "m.zip")
    warmpack.ok("extract", "-f", "m.zip", "-C", "out")
    refused(warmpack("merge", "-o", "m.tgz", *inputs), "m.tgz", "script", "lost")
    inputs[1].write_bytes(b"MZ" + bytes(100) + inputs[1].read_bytes())
    refused(warmpack("merge", "-o", "n.zip", *inputs), "b.zip", "would be lost")


def test_a_signature_is_dropped_only_by_saying_so(pack, warmpack, tmp_path):
    trees.run("openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key.pem")
    sign = ("--sign", "key.pem")
    a, b = pack("a.tgz", "v1", options=sign), pack("b.tgz", "v2")
    warmpack.ok("seal", "of-b.tgz", *sign)
    for inputs in ((a, b), (a, "of-b.tgz")):
        said = warmpack.ok("merge", "-o", "m.tgz", *inputs).stderr
        assert said.count(b"its signature is left out") == (1 if inputs[1] == b else 2)
        assert warmpack.ok("merge", "-o", "m.tgz", *inputs, *sign).stderr.count(b"gives way") > 0
        warmpack.ok("inspect", "-f", "m.tgz")
    _, lines = read("m.tgz")
    assert "signature" in lines[-1]


def test_the_manifest_tells_the_build_of_each_data_file(pack, warmpack):
    a = pack("a.tgz", "v1", extra=[(key("v1", "(float64,)"), b"f")])
    b, c = pack("b.tgz", "v2"), pack("c.tgz", "v3")
    digests = [read(x)[1][-1]["sha256"] for x in (a, b, c)]
    warmpack.ok("merge", "-o", "two.tgz", a, b)
    warmpack.ok("merge", "-o", "three.tgz", "two.tgz", c)
    _, lines = read("three.tgz")
    header, (line,) = lines[0], [x for x in lines if "index" in x]
    assert [(b["archive"], b["cpus"]) for b in header["builds"]] == list(
        zip(digests, ([0], [1], [2])))
    assert [b["root"].rsplit("/", 1)[1] for b in header["builds"]] == [
        "of-a.tgz", "of-b.tgz", "of-c.tgz"]
    assert header["cpus"] == [TRIPLE + " v%d " % n for n in (1, 2, 3)]
    assert line["builds"] == [0, 0, 1, 2] and line["cpus"] == [0, 1, 2]
    warmpack.ok("verify", "-f", "three.tgz")


def test_the_result_does_not_depend_on_threads_and_is_the_same_again(pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), pack("b.tgz", "v2")
    for name, threads in (("1.tgz", 1), ("2.tgz", 4)):
        warmpack.ok("merge", "-o", name, "--threads", str(threads), a, b)
    assert (tmp_path / "1.tgz").read_bytes() == (tmp_path / "2.tgz").read_bytes()


def test_inspect_shows_what_there_is_for_which_cpu(pack, warmpack):
    a = pack("a.tgz", "v1", extra=[(key("v1", "(float64,)"), b"f")])
    b = pack("b.tgz", "v2", extra=[(key("v2", "(float32,)"), b"more of it")])
    warmpack.ok("merge", "-o", "fat.tgz", a, b)
    shown = warmpack.ok("inspect", "-f", "fat.tgz").stdout.decode()
    rows = [line.split() for line in shown.splitlines() if " byte" in line and "(" in line]
    rows = [row for row in rows if row[0] != "stamp"]
    assert re.findall(r"cpu (\d) +\S+ (v\d)", shown) == [("1", "v1"), ("2", "v2")]
    assert [(row[0], row[1:].count("-")) for row in rows] == [
        ("(int64,)", 0), ("(float64,)", 1), ("(float32,)", 1)]
    (index,) = json.loads(warmpack.ok("inspect", "--json", "-f", "fat.tgz").stdout)["indexes"]
    assert [c["cpu"] for c in index["matrix"]["cpus"]] == ["v1", "v2"]
    assert [(r["signature"], [c["data"] for c in r["cells"]])
            for r in index["matrix"]["signatures"]] == [
        ("(int64,)", ["k.add-3.py311.1.nbc", "k.add-3.py311.3.nbc"]),
        ("(float64,)", ["k.add-3.py311.2.nbc", None]),
        ("(float32,)", [None, "k.add-3.py311.4.nbc"])]
    (index,) = json.loads(warmpack.ok("inspect", "--json", "-f", a).stdout)["indexes"]
    assert "matrix" not in index
    whole = warmpack.ok("inspect", "-v", "-f", "fat.tgz").stdout.decode()
    assert whole.count("  overload  ") == 4


def test_trees_are_merged_as_their_archives_are(pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), pack("b.tgz", "v2")
    warmpack.ok("merge", "-o", "of-archives.tgz", a, b)
    warmpack.ok("merge", "-o", "of-trees.tgz", tmp_path / "of-a.tgz", b)
    one, other = read("of-archives.tgz"), read("of-trees.tgz")
    assert one[0].keys() == other[0].keys()
    assert overloads(one[0]) == overloads(other[0])


def test_caches_alone_join_a_tree_that_has_the_sources(pack, warmpack, tmp_path):
    bare = tree(tmp_path / "bare", None, ns=10**18 + 5 * 10**9)
    caches = [pack("c%d.tgz" % n, "v%d" % n, options=["--caches-only"]) for n in (1, 2)]
    warmpack.ok("merge", "-o", "fat.tgz", bare, *caches)
    files, _ = read("fat.tgz")
    assert data_of(files, overloads(files)[1]) == {"v1": b"v1", "v2": b"v2"}
    warmpack.ok("merge", "--caches-only", "-o", "caches.tgz", bare, *caches)
    assert "app/k.py" not in read("caches.tgz")[0]
    warmpack.ok("extract", "--caches-only", "-f", "caches.tgz", "-C", bare)
    warmpack.ok("verify", bare)
    refused(warmpack("merge", "-o", "x.tgz", *caches), "caches without their sources")


def test_caches_outside_and_in_the_tree_come_together(warmpack, tmp_path):
    import hashlib
    one, two = (tree(tmp_path / n / "top", c) for n, c in (("one", "v1"), ("two", "v2")))
    caches, path = tmp_path / "caches", str(one / "app")
    caches.mkdir()
    name = "app_" + hashlib.sha1(path.encode()).hexdigest()
    (one / "app/__pycache__").rename(caches / name)
    for n, place in (("1.tgz", one), ("2.tgz", two)):
        warmpack.ok("create", "-f", n, "--cache-dir", caches, "-C", place, "app")
    for order in (["1.tgz", "2.tgz"], ["2.tgz", "1.tgz"]):
        warmpack.ok("merge", "-o", "fat.tgz", *order)
        files, lines = read("fat.tgz")
        (line,) = [x for x in lines if "index" in x]
        assert ("/cache/" in line["index"]) == (order[0] == "1.tgz")
        assert len(overloads(files, line["index"])[1]) == 2
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        warmpack.ok("extract", "-f", "fat.tgz", "-C", "out")
        warmpack.ok("verify", "out")


def test_sources_that_differ_are_named_and_refused(pack, warmpack, tmp_path):
    a = pack("a.tgz", "v1")
    other = tree(tmp_path / "other", "v2")
    write(other / "app/low.py", "x = 2\n")
    write(other / "app/new.py", "")
    said = fails(warmpack("merge", "-o", "x.tgz", a, other), "2 of its sources are not as in")
    assert "app/low.py: has other content in" in said and "app/new.py: is in" in said
    (other / "app/new.py").unlink()
    (other / "app/low.py").unlink()
    fails(warmpack("merge", "-o", "x.tgz", a, other), "1 of its sources is not as in")
    assert not (tmp_path / "x.tgz").exists()


def test_two_builds_for_one_cpu_are_refused(pack, warmpack, tmp_path):
    a = pack("a.tgz", "v1")
    again = tree(tmp_path / "again", None)
    index(again / "app/k.py", [(key("v1"), b"another process")])
    refused(warmpack("merge", "-o", "x.tgz", a, again), "another process compiled it", "v1")
    # Of other functions, too: they can meet in a program.
    shutil.rmtree(again / "app/__pycache__")
    index(again / "app/low.py", [(key("v1"), b"of low")], "low.f-1.py311")
    refused(warmpack("merge", "-o", "x.tgz", a, again), "another process compiled it")


def test_the_same_build_is_taken_once(pack, warmpack):
    a, b, c = (pack("%s.tgz" % n, n) for n in ("v1", "v2", "v3"))
    refused(warmpack("merge", "-o", "x.tgz", a, a), "nothing to merge")
    warmpack.ok("merge", "-o", "ab.tgz", a, b)
    warmpack.ok("merge", "-o", "bc.tgz", b, c)
    refused(warmpack("merge", "-o", "x.tgz", "ab.tgz", b), "nothing to merge")
    warmpack.ok("merge", "-o", "abc.tgz", "ab.tgz", "bc.tgz")
    files, _ = read("abc.tgz")
    keys = overloads(files)[1]
    assert data_of(files, keys) == {"v1": b"v1", "v2": b"v2", "v3": b"v3"}
    assert sum(name.endswith(".nbc") for name in files) == 3


def test_the_output_may_be_an_input(pack, warmpack):
    a, b, c = (pack("%s.tgz" % n, n) for n in ("v1", "v2", "v3"))
    shutil.copy(a, "fat.tgz")
    warmpack.ok("merge", "-o", "fat.tgz", "fat.tgz", b)
    warmpack.ok("merge", "-o", "fat.tgz", c, "fat.tgz")
    assert len(overloads(read("fat.tgz")[0])[1]) == 3
    before = c.read_bytes()
    refused(warmpack("merge", "-o", c, "fat.tgz", c), "nothing to merge")
    assert c.read_bytes() == before


def test_what_is_not_valid_is_left_out_and_counted(pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), tree(tmp_path / "b", "v2")
    index(b / "app/low.py", [(key("v2"), b"")], "low.f-1.py311", stamp=(1.0, 6))
    done = warmpack.ok("merge", "--json", "-o", "fat.tgz", a, b)
    assert json.loads(done.stdout)["left_out"] == 1
    assert "low.f-1.py311.nbi: stale: left out" in done.stderr.decode()
    assert not [name for name in read("fat.tgz")[0] if "low.f" in name]
    fails(warmpack("merge", "--strict", "-o", "x.tgz", a, b), "1 cache indexes are left out")
    # The first one's too.
    warmpack.ok("merge", "-o", "fat.tgz", b, a)
    assert not [name for name in read("fat.tgz")[0] if "low.f" in name]


def test_code_of_a_file_that_the_first_one_has_otherwise_is_left_out(warmpack, tmp_path):
    a, b = tree(tmp_path / "a", "v1"), tree(tmp_path / "b", "v2")
    for place, content in ((a, b"one"), (b, b"other")):
        write(place / "app/k.py", "from app import fast\n", ns=10**18)
        write(place / "app/fast.so", content, ns=10**18)
        index(place / "app/low.py", [(key("v1" if place == a else "v2"), b"")], "low.f-1.py311")
        index(place / "app/k.py", [(key("v1" if place == a else "v2"), b"")])
    done = warmpack.ok("merge", "--json", "-o", "fat.tgz", a, b)
    assert "its code came from app/fast.so, which" in done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["left_out"], said["joined"]) == (1, 1)


def test_code_that_imports_what_was_added_is_left_out(warmpack, tmp_path, pack):
    caches = pack("c.tgz", "v2", options=["--caches-only"])
    a = tree(tmp_path / "a", "v1")
    write(a / "numpy.py", "", ns=10**18)
    index(a / "app/low.py", [(key("v1"), b"")], "low.f-1.py311")
    said = fails(warmpack("merge", "-o", "x.tgz", a, caches), "nothing to merge")
    assert "imports numpy.py, which it did not have" in said


def test_another_numba_cannot_be_joined_and_another_python_lies_beside(pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), tree(tmp_path / "b", None)
    index(b / "app/k.py", [(key("v2"), b"2")], version="0.60.0")
    refused(warmpack("merge", "-o", "x.tgz", a, b), "is of Numba 0.56.4", "of 0.60.0")
    shutil.rmtree(b / "app/__pycache__")
    index(b / "app/k.py", [(key("v2"), b"2")], "k.add-3.py312", version="0.60.0")
    warmpack.ok("merge", "-o", "fat.tgz", a, b)
    files, _ = read("fat.tgz")
    assert {n for n in files if n.endswith(".nbi")} == {
        "app/__pycache__/k.add-3.py311.nbi", "app/__pycache__/k.add-3.py312.nbi"}


CUDA = ("(int64,)", ("9.0", "13.0"), "0.30.0", ("0" * 64, "1" * 64),
        ("launch_config", (1, 1, 1), 0))


def test_code_for_gpus_is_taken_whole_from_the_first_with_its_marker(warmpack, tmp_path):
    a, b, c = (tree(tmp_path / n, "v" + n) for n in "123")
    for place, data in ((b, b"of 2"), (c, b"of 3")):
        cpu = "v" + place.name
        index(place / "app/k.py", [(key(cpu), cpu.encode()), (CUDA, data)])
        write(place / "app/__pycache__/k.add-3.py311.lcs")
    done = warmpack.ok("merge", "-o", "fat.tgz", a, b, c)
    assert re.search("its code for other targets than CPUs is that of .*/2: that of .*/3 is left "
                     "out", done.stderr.decode())
    files, _ = read("fat.tgz")
    _, keys = overloads(files)
    assert len(keys) == 4
    assert pickle.loads(files["app/__pycache__/" + keys[CUDA]])[1] == b"of 2"
    assert files["app/__pycache__/k.add-3.py311.lcs"] == b""
    fails(warmpack("merge", "--strict", "-o", "x.tgz", a, b, c), "left out")


def test_caches_of_no_source_are_carried_whole(warmpack, tmp_path):
    a, b, c = (tree(tmp_path / n, "v" + n) for n in "123")
    for place, cpu in ((b, "v2"), (c, "v3")):
        write(place / "app/string", "")
        made = index(place / "app/string", [(key(cpu), cpu.encode())], "string.f-1.py311", stamp=0)
        for path in made.parent.glob("string*"):
            path.rename(place / "app" / path.name)
        (place / "app/string").unlink()
    done = warmpack.ok("merge", "-o", "fat.tgz", a, b, c)
    assert "string.f-1.py311.nbi: another one of that name is there" in done.stderr.decode()
    files, _ = read("fat.tgz")
    assert list(overloads(files, "app/string.f-1.py311.nbi")[1])[0] == key("v2")
    assert pickle.loads(files["app/string.f-1.py311.1.nbc"])[1] == b"v2"


# ---- Hostile input ------------------------------------------------------------------------------


def rewrite(archive, change):
    """The archive with other content: CHANGE gets its files and the lines of its manifest."""
    import hashlib
    files, lines = read(archive)
    (name,) = [name for name in files if name.endswith("/manifest.jsonl")]
    change(files, lines)
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines[:-1])
    end = dict(lines[-1], sha256=hashlib.sha256(body).hexdigest(),
               entries=sum("path" in line for line in lines))
    files[name] = body + json.dumps(end).encode() + b"\n"
    out = archive.with_name("changed-" + archive.name)
    with tarfile.open(archive) as old, tarfile.open(out, "w:gz", format=tarfile.PAX_FORMAT,
                                                    pax_headers=old.pax_headers) as new:
        for member in old:
            if member.isfile() and member.name not in files:
                continue
            if member.isfile():
                import io
                member.size = len(files[member.name])
                new.addfile(member, io.BytesIO(files[member.name]))
            else:
                new.addfile(member)
    return out


def line_of(lines, member, value):
    return next(line for line in lines if line.get(member) == value)


INDEX = "app/__pycache__/k.add-3.py311.nbi"


def lies_about_stamp(files, lines):
    line_of(lines, "path", "app/k.py")["mtime"] = "5.000000000"


def calls_valid_what_is_none(files, lines):
    files[INDEX] = b"no pickle"
    redo(files, lines, INDEX)


def redo(files, lines, name):
    import hashlib
    line = line_of(lines, "path", name)
    line.update(size=len(files[name]), sha256=hashlib.sha256(files[name]).hexdigest())


def lacks_a_data_file(files, lines):
    name = "app/__pycache__/k.add-3.py311.1.nbc"
    del files[name]
    lines.remove(line_of(lines, "path", name))


def has_another_source(files, lines):
    files["app/low.py"] = b"x = 7\n"


def has_a_source_too_few(files, lines):
    del files["app/low.py"]


def names_a_build_that_is_not_there(files, lines):
    lines[0]["builds"] = [{"archive": "0" * 64, "cpus": [31]}]
    line_of(lines, "index", INDEX)["builds"] = [63]


def has_a_strange_cpu(files, lines):
    stamp, keys = overloads(files)
    files[INDEX] = pickle.dumps("0.56.4", -1) + pickle.dumps(
        (stamp, {key("a b\n"): name for name in keys.values()}), -1)
    redo(files, lines, INDEX)


@pytest.mark.parametrize("change, said", [
    (lies_about_stamp, "its stamp is not that of its source"),
    (calls_valid_what_is_none, "it cannot be read"),
    (lacks_a_data_file, "one of its data files is not there"),
    (has_another_source, "does not have the content that the manifest says"),
    (has_a_source_too_few, "is in the manifest of"),
    (has_a_strange_cpu, "is for a CPU that no machine has"),
])
def test_a_manifest_that_lies_is_refused(change, said, pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), pack("b.tgz", "v2")
    warmpack.ok("merge", "-o", "fat.tgz", a, rewrite(b, lambda files, lines: None))
    refused(warmpack("merge", "-o", "x.tgz", a, rewrite(b, change)), said)
    refused(warmpack("merge", "-o", "x.tgz", rewrite(b, change), a), said)
    assert not leftovers(tmp_path) and not (tmp_path / "x.tgz").exists()


def test_numbers_of_builds_that_are_not_there_do_no_harm(pack, warmpack):
    a, b = pack("a.tgz", "v1"), pack("b.tgz", "v2")
    warmpack.ok("merge", "-o", "fat.tgz", a, rewrite(b, names_a_build_that_is_not_there))
    (line,) = [x for x in read("fat.tgz")[1] if "index" in x]
    assert line["builds"] == [0, 1]


def test_data_files_of_another_name_cannot_take_the_place_of_others(warmpack, tmp_path):
    """An index can name any file beside it."""
    a, b = tree(tmp_path / "a", "v1"), tree(tmp_path / "b", None)
    made = index(b / "app/low.py", [(key("v2"), b"evil")], "low.f-1.py311")
    text = made.read_bytes().replace(b"low.f-1.py311.1.nbc", b"k.add-3.py311.1.nbc")
    st = (b / "app/low.py").stat()
    text = pickle.dumps("0.56.4", -1) + pickle.dumps(
        ((st.st_mtime, st.st_size), {key("v2"): "k.add-3.py311.1.nbc"}), -1)
    made.write_bytes(text)
    made.with_name("low.f-1.py311.1.nbc").rename(made.with_name("k.add-3.py311.1.nbc"))
    warmpack.ok("merge", "-o", "fat.tgz", a, b)
    files, _ = read("fat.tgz")
    assert pickle.loads(files["app/__pycache__/k.add-3.py311.1.nbc"])[1] == b"v1"
    assert overloads(files, "app/__pycache__/low.f-1.py311.nbi")[1] == {
        key("v2"): "low.f-1.py311.1.nbc"}


def test_truncated_and_foreign_archives_are_refused(pack, warmpack, tmp_path):
    a, b = pack("a.tgz", "v1"), pack("b.tgz", "v2")
    whole = b.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 43):
        (tmp_path / "cut.tgz").write_bytes(whole[:size])
        refused(warmpack("merge", "-o", "x.tgz", a, "cut.tgz"))
    with tarfile.open("plain.tar", "w") as tar:
        tar.add("of-b.tgz/app", "app")
    refused(warmpack("merge", "-o", "x.tgz", a, "plain.tar"), "has no manifest of warmpack's")
    refused(warmpack("merge", "-o", "x.tgz", a, "nowhere.tgz"), "nowhere.tgz")
    assert not leftovers(tmp_path) and not (tmp_path / "x.tgz").exists()


def test_usage(pack, warmpack):
    a = pack("a.tgz", "v1")
    for words, said in (([a, a], "give -o OUT"), (["-o", "x.tgz", a], "give two archives"),
                        (["-o", "x.odd", a, a], "suffix"), (["-o", "x.tgz", "-", "-"], "twice"),
                        (["-o", "-", "--json", a, a], "standard output")):
        refused(warmpack("merge", *words), said)
