"""warmpack.locator: what it takes from a manifest, what it refuses, and what it leaves to Numba."""

import json
import os
import pickle
import runpy
import shutil
import signal
import stat
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT
from forged import FOREIGN, ID, Forged, digest, index_bytes

locator = pytest.importorskip("warmpack.locator")
caching = pytest.importorskip("numba.core.caching")


def function():
    pass


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """As in a process that has just started, whose overlays lie in OVERLAYS."""
    for name in ("_trees", "_near", "_held", "_ours", "_full", "_warned"):
        monkeypatch.setattr(locator, name, type(getattr(locator, name))())
    monkeypatch.setattr(locator, "_digests", locator._Digests())
    monkeypatch.setattr(locator, "_private", locator._Private())
    monkeypatch.setattr(locator, "_FRESH", 0)
    overlays = tmp_path / "overlays"
    overlays.mkdir()
    monkeypatch.setenv("WARMPACK_OVERLAY_DIR", str(overlays))
    return overlays


def again(monkeypatch):
    """A new process."""
    for name in ("_trees", "_near", "_warned"):
        monkeypatch.setattr(locator, name, type(getattr(locator, name))())
    monkeypatch.setattr(locator, "_digests", locator._Digests())


@pytest.fixture
def tree(tmp_path):
    return Forged(tmp_path / "srv", locator._this_cpu())


def ask(tree, source=None):
    """The locator for the tree's source, or why it is left to Numba."""
    path, stamp, reason = locator._locate(str(source or tree.source))
    return locator.Warm(function, str(source or tree.source), path, stamp) if path else reason


def files(found):
    return {name: open(os.path.join(found.get_cache_path(), name), "rb").read()
            for name in os.listdir(found.get_cache_path())}


def keys(data):
    """What both of Python's unpicklers read, which must be one thing."""
    start = locator._Pickle(data, 0).at
    stamp, overloads = pickle.loads(data[start:])
    assert pickle._loads(data[start:]) == (stamp, overloads)
    return stamp, list(overloads)


# ---- Taking ------------------------------------------------------------------------------------


def test_the_overlay_holds_what_the_manifest_names(tree, fresh):
    found = ask(tree.seal())
    assert files(found) == {tree.stem + ".nbi": tree.nbi.read_bytes(),
                            tree.stem + ".1.nbc": b"code"}
    assert found.get_source_stamp() == (1.5, 3)
    assert found.get_disambiguator() == str(function.__code__.co_firstlineno)
    assert found.get_cache_path().startswith(str(fresh))
    assert stat.S_IMODE(os.stat(found.get_cache_path()).st_mode) == 0o700


def test_the_next_process_does_not_read_the_manifest(tree, monkeypatch):
    first = ask(tree.seal())
    again(monkeypatch)
    monkeypatch.setattr(locator, "_Manifest", None)
    assert ask(tree).get_cache_path() == first.get_cache_path()


@pytest.mark.parametrize("stamp, wanted", [
    ({"kind": "seconds", "mtime": 7, "size": 3}, (7, 3)),
    ({"kind": "content", "sha256": "ab" * 32}, b"\xab" * 32),
])
def test_every_kind_of_stamp_is_handed_to_numba(tree, stamp, wanted):
    tree.line["stamp"] = stamp
    assert ask(tree.seal()).get_source_stamp() == wanted


def test_indexes_of_another_stamp_than_the_first_are_left_out(tree):
    tree.put("%s/k.g-4%s.nbi" % (tree.place, tree.stem[5:]), b"x")
    tree.lines.append({**tree.line, "index": "%s/k.g-4%s.nbi" % (tree.place, tree.stem[5:]),
                       "stamp": {"kind": "seconds", "mtime": 7, "size": 3}})
    assert sorted(files(ask(tree.seal()))) == [tree.stem + ".1.nbc", tree.stem + ".nbi"]


def test_a_tree_is_known_under_another_name_and_through_symlinks(tree, tmp_path):
    tree.seal()
    tree.root.rename(tmp_path / "releases")
    (tmp_path / "current").symlink_to("releases")
    (tmp_path / "package").symlink_to("releases/pkg")
    for source in ("current/pkg/k.py", "package/k.py"):
        assert files(ask(tree, tmp_path / source))


def test_names_that_are_not_utf_8_are_known(tree):
    raw = b"app/pkg/\xff.py"
    path = os.path.join(os.fsencode(tree.base), raw)
    with open(path, "wb") as file:
        file.write(b"x")
    import base64

    tree.entries[os.fsdecode(raw)] = {"path_base64": base64.b64encode(raw).decode(), "type": "file",
                                      "sha256": digest(b"x")}
    del tree.line["source"], tree.line["depends"]
    tree.line.update(source_base64=base64.b64encode(raw).decode(),
                     depends_base64=[base64.b64encode(raw).decode()])
    assert files(ask(tree.seal(), os.fsdecode(path)))


def test_lines_of_a_later_version_are_passed_over(tree):
    text = tree.seal().text().splitlines(True)
    for at in range(len(text) - 1, 0, -1):
        text.insert(at, b'{"novelty": 1}\n')
    body = b"".join(text[:-1])
    end = {**json.loads(text[-1]), "sha256": digest(body)}
    assert files(ask(tree.seal(body + json.dumps(end).encode() + b"\n")))


def test_lines_after_the_end_are_signatures(tree):
    assert files(ask(tree.seal(tree.text() + b'{"signature": {}}\n')))


def test_links_in_the_tree_are_followed_within_it(tree):
    (tree.root / "pkg" / "alias.py").symlink_to("./k.py")
    os.link(tree.source, tree.root / "pkg" / "hard.py")
    tree.entries["app/pkg/alias.py"] = {"path": "app/pkg/alias.py", "type": "symlink",
                                        "target": "./k.py"}
    tree.entries["app/pkg/hard.py"] = {"path": "app/pkg/hard.py", "type": "hardlink",
                                       "target": "app/pkg/k.py"}
    for name in ("alias", "hard"):
        tree.lines.append({**tree.line, "source": "app/pkg/%s.py" % name})
    tree.seal()
    for name in ("alias", "hard"):
        assert files(ask(tree, tree.root / "pkg" / (name + ".py")))
    tree.source.write_bytes(b"other")
    assert "not what was packed" in ask(tree, tree.root / "pkg" / "alias.py")


def test_a_source_in_a_zip_goes_by_the_zip(tree):
    path = tree.put("app/lib.zip", b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/k.py", "x")
    tree.put("app/lib.zip", path.read_bytes())
    tree.line.update(source="app/lib.zip/m/k.py")
    del tree.line["depends"]
    assert files(ask(tree.seal(), path / "m" / "k.py"))
    path.write_bytes(b"other")
    assert "not what was packed" in ask(tree, path / "m" / "k.py")


@pytest.mark.parametrize("home", [".warmpack", "EGG-INFO/warmpack", "app-1.dist-info/warmpack"])
def test_a_manifest_is_found_in_every_place_it_can_have(tree, home):
    tree.header["home"] = "app/%s/%s" % (home, ID)
    tree.seal()
    if home != ".warmpack":
        (tree.root / home).parent.mkdir()
        shutil.move(tree.root / ".warmpack", tree.root / home)
    assert files(ask(tree))


def test_a_wheel_is_known_where_installers_put_its_files(tree):
    names = {name: "w-1.data/purelib/" + name[4:] for name in tree.entries}
    tree.entries = {names[name]: {**entry, "path": names[name]}
                    for name, entry in tree.entries.items()}
    tree.line.update(index=names[tree.line["index"]], source=names["app/pkg/k.py"],
                     depends=[names["app/pkg/k.py"]])
    tree.lines.append({**tree.line, "source": "w-1.data/scripts/k.py"})
    tree.header["home"] = "w-1.dist-info/warmpack/" + ID
    tree.seal()
    (tree.root / "w-1.dist-info").mkdir()
    (tree.root / ".warmpack").rename(tree.root / "w-1.dist-info" / "warmpack")
    assert files(ask(tree))


def test_a_manifest_without_home_is_about_its_one_top_level_directory(tree):
    del tree.header["home"]
    assert files(ask(tree.seal()))


def test_a_manifest_of_several_directories_lies_above_them(tree):
    del tree.header["home"]
    tree.put("other/file", b"")
    tree.seal()
    (tree.root / ".warmpack").rename(tree.base / ".warmpack")
    assert files(ask(tree))


def test_caches_are_found_beside_the_source_and_in_a_root_that_was_renamed(tree, monkeypatch):
    import hashlib

    tree.seal()
    state = {"root": "/opt", "strip": 0, "cache_root": "/opt/app/.caches"}
    (tree.home / "state.jsonl").write_text(json.dumps(state) + "\n")
    name = "pkg_" + hashlib.sha1(b"/opt/app/pkg").hexdigest()
    (tree.root / ".caches").mkdir()
    (tree.root / "pkg" / "__pycache__").rename(tree.root / ".caches" / name)
    assert len(files(ask(tree))) == 2


def test_a_restamped_index_is_the_one_that_was_packed(tree):
    tree.nbi.write_bytes(index_bytes(locator._this_cpu(), (9.25, 3)))
    assert keys(files(ask(tree.seal()))[tree.stem + ".nbi"])[0] == (1.5, 3)


def retargeted(tree, original):
    """The tree, whose index says another CPU now, with what its state says that it was."""
    packed = tree.seal().nbi.read_bytes()
    tree.nbi.write_bytes(index_bytes(FOREIGN))
    lines = [7, {"retargeted": "app/other.nbi"}, {"retargeted": tree.line["index"], **original(packed)},
             {"root": "/opt", "strip": 0}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tree.home / "state.jsonl").write_text("{ not JSON\n" + text)
    return packed


def test_a_retargeted_index_is_the_one_that_was_packed(tree):
    packed = retargeted(tree, lambda packed: {"original": packed.hex()})
    assert files(ask(tree))[tree.stem + ".nbi"] == packed


def test_a_restamped_and_retargeted_index_is_the_one_that_was_packed(tree):
    restamped = index_bytes(locator._this_cpu(), (9.25, 3))
    packed = retargeted(tree, lambda _: {"original": restamped.hex()})
    assert files(ask(tree))[tree.stem + ".nbi"] == packed


@pytest.mark.parametrize("original", [
    {"original": index_bytes(FOREIGN, data="planted.nbc").hex()}, {"original": "no digits"},
    {"original": 7}, {"original": None}, {}])
def test_a_state_that_lies_about_what_an_index_was_is_not_believed(tree, original):
    retargeted(tree, lambda _: original)
    assert ask(tree) == "its caches are not as they were packed"


# ---- Never an old result -----------------------------------------------------------------------


def test_a_changed_source_is_left_to_numba_until_it_is_back(tree):
    tree.seal()
    tree.source.write_bytes(b"def f(): 1   \n")
    assert ask(tree) == "it is not what was packed"
    tree.source.write_bytes(b"def f(): pass\n")
    assert files(ask(tree))


@pytest.mark.parametrize("source, added, why", [
    ("import low\n", "low.so", "in the place of a packed one"),
    ("import low\n", "low/__init__.py", "in the place of a packed one"),
    ("from . import fast\n", "fast.py", "imported"),
    ("import pkg.fast\n", "fast.cpython-311.so", "imported"),
    ("import pkg\npkg.fast.f()\n", "fast/__init__.py", "imported"),
    ("from .sub import *\n", "sub/fast.py", "imported"),
    ("from . import *\n", "fast.py", "imported"),
    ("import importlib\n", "fast.py", "may be imported"),
    ("no Python\n", "fast.py", "may be imported"),
    ("x = 1\n", "sub/__init__.py", "a package now"),
    ("x = 1  # fast\n", "fast.py", ""), ("from numpy import *\n", "fast.py", ""),
    ("import fast\n", "fast.txt", ""), ("import fast\n", "../fast.py", ""),
    ("import data\n", "data/text", ""), ("import fast\n", "../other/fast.py", ""),
    ("import pkg\n", "../pkg.py", "in the place of a packed one"),
])
def test_a_module_that_was_added_and_would_be_imported_now_leaves_it_to_numba(
        tree, monkeypatch, source, added, why):
    """Its code may be other code; what nothing imports does not matter."""
    tree.source = tree.put("app/pkg/k.py", source.encode())
    tree.put("app/pkg/low.py", b"1")
    tree.put("app/pkg/sub/m.py", b"1")
    tree.line["depends"] = ["app/pkg/k.py", "app/pkg/low.py", "app/pkg/sub/m.py"]
    assert files(ask(tree.seal()))
    again(monkeypatch)
    path = tree.root / "pkg" / added
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"2")
    shown = os.path.normpath(os.path.dirname("pkg/" + added) if "__init__" in added and
                             "sub" not in added else "pkg/" + added)
    said = ask(tree)
    assert (said == "it depends on %s, which is not what was packed" % shown) if why else files(said)
    path.unlink()
    if path.name == "__init__.py" and "sub" not in added:
        path.parent.rmdir()
    assert files(ask(tree))


def test_a_newcomer_among_many_modules_is_found(tree, monkeypatch):
    tree.source = tree.put("app/pkg/k.py", b"from . import fast\n")
    for number in range(30):
        tree.put("app/pkg/m%d\u00e9.py" % number, b"")
    assert files(ask(tree.seal()))
    again(monkeypatch)
    (tree.root / "pkg" / "fast.py").write_bytes(b"")
    assert ask(tree) == "it depends on pkg/fast.py, which is not what was packed"


def test_modules_that_were_packed_and_come_back_are_none_that_were_added(tree, monkeypatch):
    tree.source = tree.put("app/pkg/k.py", b"import low\n")
    low = tree.put("app/pkg/low.so", b"1")
    tree.line["depends"] = ["app/pkg/k.py"]
    low.unlink()
    assert files(ask(tree.seal()))
    again(monkeypatch)
    low.write_bytes(b"1")
    assert files(ask(tree))


@pytest.mark.parametrize("how", ["changed", "gone", "not in the manifest", "out of the tree"])
def test_what_an_index_depends_on_must_be_as_packed(tree, tmp_path, how):
    low = tree.put("app/low.py", b"1")
    tree.line["depends"] = ["app/low.py"]
    if how == "changed":
        low.write_bytes(b"2")
    elif how == "not in the manifest":
        del tree.entries["app/low.py"]
    else:
        low.unlink()
    if how == "out of the tree":
        (tmp_path / "elsewhere.py").write_bytes(b"1")
        low.symlink_to(tmp_path / "elsewhere.py")
    assert "it depends on" in ask(tree.seal())


@pytest.mark.parametrize("now, is_taken", [("a", True), ("b", False), ("gone", False)])
@pytest.mark.parametrize("suffix", [".py", ""])
def test_a_link_that_an_index_depends_on_leads_where_it_led(tree, suffix, now, is_taken):
    for name in ("a", "b"):
        tree.put("app/%s%s" % (name, suffix or "/low.py"), name.encode())
    link = "app/link" + suffix
    tree.entries[link] = {"path": link, "type": "symlink", "target": "a" + suffix}
    (tree.root / ("link" + suffix)).symlink_to(now + suffix)
    tree.line["depends"] = [link] if suffix else [link, "app/a/low.py"]
    answer = ask(tree.seal())
    assert files(answer) if is_taken else "it depends on link" in answer


@pytest.mark.parametrize("text, is_taken", [(b"from .link.new import x", False), (b"1", True)])
def test_a_module_that_came_behind_a_link_is_seen(tree, text, is_taken):
    tree.put("app/a/low.py", b"1")
    tree.put("app/user.py", text)
    tree.entries["app/link"] = {"path": "app/link", "type": "symlink", "target": "a"}
    (tree.root / "link").symlink_to("a")
    tree.line["depends"] = ["app/link", "app/user.py"]
    assert files(ask(tree.seal()))
    (tree.root / "a" / "new.py").write_text("x = 1\n")
    answer = ask(tree)
    assert files(answer) if is_taken else "it depends on a/new.py" in answer


def test_a_link_to_the_tree_itself_adds_nothing(tree):
    tree.put("app/user.py", b"from .link.user import x")
    tree.entries["app/link"] = {"path": "app/link", "type": "symlink", "target": "."}
    (tree.root / "link").symlink_to(".")
    tree.line["depends"] = ["app/link", "app/user.py"]
    assert files(ask(tree.seal()))


def test_a_source_that_is_a_link_to_another_file_now_has_no_caches(tree):
    other = tree.put("app/pkg/other.py", b"other")
    link = tree.root / "pkg" / "link.py"
    link.symlink_to("k.py")
    tree.entries["app/pkg/link.py"] = {"path": "app/pkg/link.py", "type": "symlink",
                                       "target": "k.py"}
    tree.line["source"] = "app/pkg/link.py"
    assert files(ask(tree.seal(), link))
    link.unlink()
    link.symlink_to(other.name)
    assert "not what was packed" in ask(tree, link)


@pytest.mark.parametrize("harm", [None, "index", "data"])
def test_a_wrapper_of_a_gufunc_comes_with_its_kernel_alone(tree, harm):
    names = ["%s/%s%s.nbi" % (tree.place, prefix, tree.stem) for prefix in ("", "guf-")]
    for name in names:
        data = name[:-3] + "1.nbc"
        tree.put(data, b"code")
        tree.put(name, index_bytes(tree.cpu, data=os.path.basename(data)))
    tree.line["index"] = names[0]
    tree.lines.append({**tree.line, "index": names[1]})
    kernel = tree.root.parent / names[0]
    if harm:
        (kernel if harm == "index" else kernel.with_suffix(".1.nbc")).unlink()
    answer = ask(tree.seal())
    assert isinstance(answer, str) if harm == "index" else any(
        name.startswith("guf-") for name in files(answer)) == (harm is None)


def test_indexes_can_share_a_set_of_dependencies(tree):
    low = tree.put("app/low.py", b"1")
    tree.after = [{"set": 4, "depends": ["app/low.py", "app/pkg/k.py"]}]
    tree.line["depends"] = 4
    assert files(ask(tree.seal()))
    low.write_bytes(b"2")
    assert ask(tree) == "it depends on low.py, which is not what was packed"


def test_a_set_that_is_not_there_is_no_empty_one(tree):
    tree.line["depends"] = 5
    assert "a set of dependencies that it lacks" in ask(tree.seal())


@pytest.mark.parametrize("changed, is_taken", [
    ("app/pkg/sub/deep.py", False), ("app/pkg/data.txt", True), ("app/other.py", True)])
def test_an_index_without_dependencies_depends_on_its_whole_package(tree, changed, is_taken):
    del tree.line["depends"]
    tree.put("app/pkg/sub/__init__.py", b"")
    for name in ("app/pkg/sub/deep.py", "app/pkg/data.txt", "app/other.py", "app/pkg/sub/m.py"):
        tree.put(name, b"1")
    tree.line["source"] = "app/pkg/sub/m.py"
    tree.seal()
    (tree.base / changed).write_bytes(b"2")
    found = ask(tree, tree.root / "pkg" / "sub" / "m.py")
    assert isinstance(found, locator.Warm) == is_taken, found


def test_a_module_outside_of_packages_depends_on_all_that_lies_beside_it(tree):
    del tree.line["depends"]
    tree.put("app/high.py", b"1")
    tree.line["source"] = "app/high.py"
    tree.seal()
    (tree.root / "pkg" / "__init__.py").write_bytes(b"2")
    assert "it depends on pkg/__init__.py" in ask(tree, tree.root / "high.py")


@pytest.mark.parametrize("member, value, why", [
    ("valid", False, "not valid when"), ("stamp", {"kind": "unknown"}, "not valid when"),
    ("stamp", None, "not valid when"), ("numba", "0.1", "made by Numba 0.1"),
    ("cpus", [1], "for other CPUs")])
def test_an_index_that_cannot_load_is_left_alone_and_the_reason_told(tree, member, value, why):
    tree.line[member] = value
    assert why in ask(tree.seal())


def test_an_index_for_another_python_is_none(tree):
    tree.put(tree.place + "/k.f-3.py27.nbi", b"x")
    tree.line["index"] = tree.place + "/k.f-3.py27.nbi"
    assert ask(tree.seal()) == ""


def test_an_altered_index_is_refused_and_an_altered_data_file_left_out(tree):
    tree.seal()
    tree.nbc.write_bytes(b"evil")
    assert sorted(files(ask(tree))) == [tree.stem + ".nbi"]
    shutil.rmtree(ask(tree).get_cache_path())
    tree.nbi.write_bytes(index_bytes(locator._this_cpu(), data="evil.nbc"))
    assert ask(tree) == "its caches are not as they were packed"


def test_a_file_is_digested_again_when_anything_about_it_changed(tree, monkeypatch, fresh):
    monkeypatch.setattr(locator, "_SETTLED", -1)
    found = ask(tree.seal())
    memory = os.path.join(os.path.dirname(found.get_cache_path()), "digests")
    assert json.loads(open(memory).readline())[-1] == digest(b"def f(): pass\n")
    with open(memory, "a") as file:
        file.write('["cut')
    again(monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(locator.hashlib, "sha256", spy(locator.hashlib.sha256, seen := []))
        assert files(ask(tree))
    assert b"def f(): pass\n" not in seen
    status = os.stat(tree.source)
    tree.source.write_bytes(b"def f(): 1234\n")
    os.utime(tree.source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ask(tree) == "it is not what was packed"


def spy(real, seen):
    def sha256(data=b""):
        seen.append(bytes(data))
        return real(data)

    return sha256


def test_a_file_without_a_true_time_of_change_is_digested_each_time(tree, monkeypatch):
    monkeypatch.setattr(locator, "_SETTLED", 10**30)
    ask(tree.seal())
    assert not locator._digests.known


# ---- Another CPU -------------------------------------------------------------------------------


def foreign(tmp_path, needs, in_cpus=False, cpu=None):
    ours = locator._this_cpu()
    tree = Forged(tmp_path / "srv", cpu or (ours.triple, *FOREIGN[1:]))
    if in_cpus:
        tree.header["cpus"] = [{"cpu": tree.header.pop("cpu"), "needs": needs}]
    elif needs is not None:
        tree.header["needs"] = [needs]
    return tree.seal()


@pytest.mark.parametrize("in_cpus", [False, True])
def test_code_that_needs_no_more_than_this_cpu_has_gets_this_cpus_key(tmp_path, in_cpus):
    ours = locator._this_cpu()
    tree = foreign(tmp_path, sorted(ours.plus())[:3], in_cpus)
    ((_, magic, _),) = keys(files(ask(tree))[tree.stem + ".nbi"])[1]
    assert magic == tuple(ours)


@pytest.mark.parametrize("needs, cpu", [
    (["feature-of-another"], None), (None, None), ([], ("aarch64-linux", "generic", ""))])
def test_code_for_another_cpu_is_left_alone_otherwise(tmp_path, needs, cpu):
    assert "its caches are for" in ask(foreign(tmp_path, needs, cpu=cpu))


def test_one_build_is_chosen_for_the_whole_tree(tmp_path):
    ours = locator._this_cpu()
    some = sorted(ours.plus())
    header = {"cpus": ["%s v2 " % ours.triple, "%s v3 " % ours.triple, "%s v4 " % ours.triple],
              "needs": [some[:1], some[:2], [*some, "feature-of-another"]]}
    assert locator._choose(header, ours) == (1, (ours.triple, "v3", ""))
    header["cpus"].append(" ".join(ours))
    assert locator._choose(header, ours) == (3, None)
    assert locator._choose({}, ours) == (None, None)


A, B = locator._Cpu("t", "v3", ""), locator._Cpu("t", "host", "+avx," * 80)


def pickled(overloads, protocol=4):
    return pickle.dumps("0.56.4", 5) + pickle.dumps(((1.5, 3), overloads), protocol)


def key(cpu, signature="int64"):
    return ((signature,), tuple(cpu), ("c", "d"))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 3, 1200])
def test_only_the_cpu_of_the_keys_is_rewritten(protocol, count):
    # All of them share '' and the name with what is no CPU, as pickles do.
    shared = b"shared"
    empty, name, bag = "", "v3", [
        shared, shared, (1, 2, 3, 4), {2: shared}, {1, 2}, [3], 1, None, True, 1 << 40, b"x" * 300,
        {1}, frozenset([2]), [], {}]
    given = {(("s%d" % n, empty, name), ("t", name, empty), (empty, "d")): "%s.%d" % (name, n)
             for n in range(count)}
    given[("other target", ("ptx", 7), "c")] = empty
    stamp = (1.5, bag)
    data = pickle.dumps("0.56.4", 5) + pickle.dumps((stamp, given), protocol)
    done = locator._retarget(data, A, B)
    start = locator._Pickle(done, 0).at
    wanted = {(k[0], tuple(B), k[2]) if k[1] == tuple(A) else k: v for k, v in given.items()}
    assert pickle.loads(done[start:]) == pickle._loads(done[start:]) == (stamp, wanted)


def test_what_was_rewritten_can_be_rewritten_again():
    data = locator._retarget(pickled({key(A): "x"}), A, B)
    assert keys(locator._retarget(data, B, A))[1] == [key(A)]


@pytest.mark.parametrize("index", [
    pickled({key(A): "x", key(B): "y"}),  # ours is there
    pickled({key(A): "x", (("b",), *key(A)[1:]): "y"})[:-9],
    pickled([1]), pickled({}) + b"", b"", b"(((", b"\x80\x04.", b"\x80\x04I1\n.", b"N.N.",
    pickle.dumps("v", 5) + pickle.dumps(5, 4),
    pickle.dumps("v", 5) + pickle.dumps(((1, 2), {(k := key(A)): "x", (1, k[1]): "y"}), 4),
])
def test_an_index_that_cannot_be_rewritten_rightly_stays(index):
    done = locator._retarget(index, A, B)
    assert done == index or pickle.loads(done[locator._Pickle(done, 0).at:]) == pickle.loads(
        index[locator._Pickle(index, 0).at:])


def test_classes_in_keys_are_followed_and_not_imported():
    instance = subprocess.CalledProcessError(1, "x")
    body = pickle.dumps(((1.5, 3), {(instance, tuple(A), "c"): "n"}), 4)
    assert tuple(B)[1].encode() in locator._retarget(pickle.dumps("v", 5) + body, A, B)
    old = (b"\x80\x02G\x00\x00\x00\x00\x00\x00\x00\x00K\x01\x86q\x00}cno.such\nthing\nq\x01)\x81}b"
           b"X\x01\x00\x00\x00tq\x02X\x02\x00\x00\x00v3X\x00\x00\x00\x00q\x03\x87h\x03\x87j\x03\x00"
           b"\x00\x00s\x86.")
    done = locator._retarget(pickle.dumps("v", 5) + old, A, B)
    assert b"host" in done and b"no.such" in done


# ---- Hostile -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text, why", [
    (lambda t: t.text()[:-1], "truncated"),
    (lambda t: b"\n".join(t.text().split(b"\n")[:4]) + b"\n", "truncated"),
    (lambda t: t.text().split(b"\n")[0] + b"\n", "truncated"),
    (lambda t: t.text().replace(b"__init__", b"__INIT__"), "damaged"),
    (lambda t: t.text().replace(b'"version": 1', b'"version": 2'), "version"),
    (lambda t: b"", "truncated|damaged"), (lambda t: b"[]\n" * 5, "damaged"),
    (lambda t: b"\0" * 5000, "damaged")])
def test_a_manifest_that_is_cut_or_damaged_is_refused(tree, text, why):
    import re

    assert re.search(why, ask(tree.seal(text(tree))))
    assert re.search(why, ask(tree))  # and not read again


@pytest.mark.parametrize("change", [
    {"index": "../../evil.py311.nbi"}, {"source": "/etc/passwd"}, {"source": ""}, {"index": 7},
    {"stamp": "x"}, {"depends": ["../x"]}, {"depends": [["x"]]}, {"source": "a\0b"}])
def test_a_manifest_that_lies_is_refused_whole(tree, change):
    tree.line.update(change)
    assert "its manifest" in ask(tree.seal())


@pytest.mark.parametrize("change", [
    lambda text: text.replace(b'.nbi", "type": "file",', b'.nbi", "type": "file"'),
    lambda text: text.replace(b"app/pkg/__init__.py", b"app/pkg/\\u0000nit__.py"),
    lambda text: text.replace(b"app/pkg/__init__.py", b"app/pkg/\\ud800nit__.py"),
])
def test_a_manifest_that_proves_to_lie_later_raises_nothing(tree, change, caplog):
    """Its lines are read when they are needed."""
    body = change(tree.text().rpartition(b'{"end"')[0])
    end = {"end": True, "entries": len(tree.entries), "sha256": digest(body)}
    found = ask(tree.seal(body + json.dumps(end).encode() + b"\n"))
    assert isinstance(found, (str, locator.Warm))
    assert "Error" in str(locator.consult(str(tree.source))["reason"]) or found


def test_links_that_go_round_are_no_file(tree):
    for name in "ab":
        tree.entries["app/" + name] = {"path": "app/" + name, "type": "symlink", "target": "ab"[
            name == "a"]}
    tree.entries["app/d"] = {"path": "app/d", "type": "dir"}
    for name in ("app/a", "app/d", "gone", "app/d/gone"):
        tree.lines = [{**tree.line, "depends": [name]}]
        tree.seal()
        assert "it depends on" in ask(tree)


def test_a_source_that_is_a_link_out_of_the_tree_is_refused(tree, tmp_path):
    tree.seal()
    tree.source.rename(tmp_path / "k.py")
    tree.source.symlink_to(tmp_path / "k.py")
    assert "leads out" in ask(tree)


def test_caches_behind_a_link_out_of_the_tree_are_refused(tree, tmp_path):
    tree.seal()
    (tree.root / "pkg" / "__pycache__").rename(tmp_path / "out")
    (tree.root / "pkg" / "__pycache__").symlink_to(tmp_path / "out")
    assert ask(tree) == "its caches are not as they were packed"


def test_a_manifest_behind_a_link_or_that_is_none_is_told_and_refused(tree, tmp_path, caplog):
    tree.seal()
    (tree.root / ".warmpack").rename(tmp_path / "out")
    (tree.root / ".warmpack").symlink_to(tmp_path / "out")
    assert "behind a symlink" in ask(tree) and "behind a symlink" in caplog.text
    (tree.root / ".warmpack").unlink()
    tree.home.mkdir(parents=True)
    os.mkfifo(tree.home / "manifest.jsonl")
    locator._warned.clear()
    assert "not a regular file" in ask(tree) and "not a regular file" in caplog.text
    (tree.home / "manifest.jsonl").unlink()
    assert ask(tree) == ""


def test_a_place_of_manifests_that_cannot_be_looked_at_is_told_and_refused(tree, caplog):
    tree.seal()
    shutil.rmtree(tree.root / ".warmpack")
    (tree.root / ".warmpack").symlink_to(".warmpack")
    assert "symbolic links" in ask(tree) and "symbolic links" in caplog.text


def test_a_file_in_a_zip_that_the_manifest_puts_elsewhere_is_refused(tree):
    tree.put("other.zip", b"x")
    tree.entries["app/lib.zip"] = {"path": "app/lib.zip", "type": "hardlink", "target": "other.zip"}
    tree.line.update(source="app/lib.zip/k.py", depends=[])
    assert "elsewhere" in ask(tree.seal(), tree.root / "lib.zip" / "k.py")


def test_a_manifest_that_is_too_large_or_goes_away_is_refused(tree, monkeypatch):
    tree.seal()
    with monkeypatch.context() as patched:
        patched.setattr(locator, "_LARGEST_MANIFEST", 10)
        assert "too large" in ask(tree)
    again(monkeypatch)
    real = locator._read

    def replaced(path, end=0):
        if path.endswith("manifest.jsonl") and not end:
            (tree.home / "manifest.jsonl").write_bytes(tree.text() + b"\n")
        return real(path, end)

    with monkeypatch.context() as patched:
        patched.setattr(locator, "_read", replaced)
        assert "being replaced" in ask(tree)
    again(monkeypatch)

    def gone(path, end=0):
        if path.endswith("manifest.jsonl") and not end:
            raise OSError(5, "Input/output error")
        return real(path, end)

    monkeypatch.setattr(locator, "_read", gone)
    assert "cannot be read" in ask(tree)


class GivenAway:
    def __init__(self, status):
        self.status = status

    def __getattr__(self, name):
        return 12345 if name == "st_uid" else getattr(self.status, name)


def given_away(monkeypatch, path):
    """As if it belonged to another user, which only root can make it."""
    real = os.lstat
    monkeypatch.setattr(locator.os, "lstat", lambda asked, **more: GivenAway(real(asked, **more))
                        if str(asked) == str(path) else real(asked, **more))


def test_a_manifest_that_others_could_have_planted_is_refused(tree, monkeypatch):
    tree.seal()
    tree.home.chmod(0o777)
    assert "others may write to its manifest" in ask(tree)
    tree.source.parent.chmod(0o777)  # no more than to the code itself
    assert files(ask(tree))
    tree.home.chmod(0o755)
    given_away(monkeypatch, tree.root / ".warmpack")
    again(monkeypatch)
    assert "belongs to another user" in ask(tree)


# ---- Overlays ----------------------------------------------------------------------------------


def mine(directory):
    return directory / ("warmpack-overlay-%d" % os.geteuid())


def held(monkeypatch):
    monkeypatch.setattr(locator, "_bases", lambda: iter(()))


@pytest.mark.parametrize("plant", ["link", "file", "writable"])
def test_a_planted_overlay_is_not_used(tree, fresh, tmp_path, monkeypatch, plant, caplog):
    monkeypatch.setattr(locator, "_bases", lambda: iter((str(fresh), str(tmp_path / "next"))))
    if plant == "link":
        (tmp_path / "planted").mkdir()
        mine(fresh).symlink_to(tmp_path / "planted")
    elif plant == "file":
        mine(fresh).write_text("")
    else:
        mine(fresh).mkdir()
        mine(fresh).chmod(0o777)
    found = ask(tree.seal())
    assert found.get_cache_path().startswith(str(tmp_path / "next"))
    assert "WARMPACK_OVERLAY_DIR cannot be used" in caplog.text


def test_an_overlay_below_a_directory_of_others_is_not_used(tree, fresh, monkeypatch):
    fresh.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        locator._open_base(str(fresh))
    fresh.chmod(0o1777)
    assert locator._open_base(str(fresh)) == str(mine(fresh))
    mine(fresh).chmod(0o500)
    monkeypatch.setattr(locator.os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="cannot write"):
        locator._open_base(str(fresh))
    given_away(monkeypatch, fresh)
    with pytest.raises(PermissionError, match="belongs to another user"):
        locator._open_base(str(fresh))


def test_a_root_that_a_user_namespace_does_not_map_is_root(monkeypatch, tmp_path):
    import builtins

    real, maps = builtins.open, tmp_path / "uid_map"
    overflow = tmp_path / "overflow"
    overflow.write_text("65534\n")

    def opened(path, *words, **more):
        return real({"/proc/self/uid_map": maps, "/proc/sys/kernel/overflowuid": overflow}.get(
            path, path), *words, **more)

    monkeypatch.setattr(builtins, "open", opened)
    maps.write_text("1000 1000 1\n")
    assert locator._is_unmapped(65534) and not locator._is_unmapped(1000)
    maps.write_text("0 0 4294967295\n")
    assert not locator._is_unmapped(65534)
    maps.unlink()
    assert not locator._is_unmapped(65534)


def test_overlays_lie_in_the_first_place_there_is(monkeypatch, tmp_path):
    for name in ("WARMPACK_OVERLAY_DIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(locator._bases()) == [str(tmp_path / ".cache"), "/tmp", "/dev/shm"]
    for name in ("WARMPACK_OVERLAY_DIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, "/" + name)
    assert list(locator._bases()) == ["/WARMPACK_OVERLAY_DIR", "/XDG_RUNTIME_DIR",
                                      "/XDG_CACHE_HOME", "/TMPDIR", "/dev/shm"]
    assert locator._open_base(str(tmp_path / "new")) == str(mine(tmp_path / "new"))


def test_directories_that_another_process_makes_at_the_same_time_are_shared(tmp_path, monkeypatch):
    make = os.mkdir

    def make_as_the_second(path, mode):
        make(path, mode)
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", make_as_the_second)
    base = str(tmp_path / "new")
    overlay = locator._Overlay("key", base, True)
    assert overlay.path == locator._open_base(base) + "/key" and os.path.isdir(overlay.path)


def test_a_private_overlay_goes_with_its_process(tree, fresh, monkeypatch):
    monkeypatch.setenv("WARMPACK_OVERLAY", "private")
    left = mine(fresh) / "private-left"
    left.mkdir(parents=True)
    mine(fresh).chmod(0o700)
    (left / "lock").touch()
    for name in ("private-without", "of-another-tree"):
        (mine(fresh) / name).mkdir()
    found = ask(tree.seal())
    assert "/private-" in found.get_cache_path() and not left.exists()
    assert ask(tree).get_cache_path() == found.get_cache_path()
    locator._private.remove(locator._private.path, 0)
    locator._Private.sweep(str(mine(fresh)))  # in use
    assert os.path.isdir(found.get_cache_path())
    child = os.fork()
    if not child:
        other = ask(tree).get_cache_path()
        os._exit(other == found.get_cache_path() or not os.path.isdir(other))
    assert os.waitpid(child, 0)[1] == 0
    locator._private.remove(locator._private.path, os.getpid())
    assert not os.path.isdir(found.get_cache_path())


def test_overlays_of_old_releases_go(tree, fresh, monkeypatch):
    found = ask(tree.seal())
    survey = os.path.join(os.path.dirname(found.get_cache_path()), "survey.json")
    day = 86400
    os.utime(survey, (1, os.stat(survey).st_mtime - 2 * day))
    again(monkeypatch)
    ask(tree)
    assert os.stat(survey).st_mtime > os.stat(tree.source).st_mtime - day  # it is in use
    os.utime(survey, (1, os.stat(survey).st_mtime - 31 * day))
    tree.header["creator"] = "another"
    again(monkeypatch)
    assert files(ask(tree.seal()))
    assert not os.path.exists(survey)


def test_what_cannot_be_written_goes_to_the_next_place(tree, fresh, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(locator, "_bases", lambda: iter((str(fresh), str(other))))
    real = os.rename

    def full(old, new):
        if str(fresh) in str(new):
            raise OSError(28, "No space left on device")
        real(old, new)

    monkeypatch.setattr(locator.os, "rename", full)
    found = ask(tree.seal())
    assert found.get_cache_path().startswith(str(other))
    assert not [name for name in os.listdir(mine(fresh)) if name.startswith(".new")]


def test_the_process_that_comes_second_takes_what_the_first_has_put(tree, monkeypatch):
    real = os.rename

    def first(old, new):
        shutil.copytree(old, new)
        real(old, new)

    monkeypatch.setattr(locator.os, "rename", first)
    assert len(files(ask(tree.seal()))) == 2


def test_an_overlay_that_cannot_be_read_is_made_anew(tree, monkeypatch):
    found = ask(tree.seal())
    overlay = os.path.dirname(found.get_cache_path())
    with open(os.path.join(overlay, "survey.json"), "w") as file:
        file.write("{")
    again(monkeypatch)
    assert ask(tree).get_cache_path() == found.get_cache_path()


# ---- Numba -------------------------------------------------------------------------------------


def cache_file(found, name="k.f-3"):
    stem = "%s.py%d%d" % (name, *sys.version_info[:2])
    return caching.IndexDataCacheFile(found.get_cache_path(), stem, found.get_source_stamp())


def locate(tree):
    found = locator.Warm.from_function(function, str(tree.source))
    assert isinstance(found, locator.Warm)
    return found


def loadable(tree):
    """With a data file that can be loaded."""
    tree.put("%s/%s.1.nbc" % (tree.place, tree.stem), pickle.dumps("code", 4))
    tree.put("%s/%s.nbi" % (tree.place, tree.stem),
             index_bytes(tree.cpu, data=tree.stem + ".1.nbc"))
    return tree.seal(), (("int64",), tree.cpu, ("a" * 64, "b" * 64))


def test_what_is_damaged_in_the_overlay_is_compiled_again(tree):
    tree, key_ = loadable(tree)
    found = locate(tree)
    cache = cache_file(found)
    assert cache.load(key_) == "code"
    for name in (tree.stem + ".1.nbc", tree.stem + ".nbi"):
        with open(os.path.join(found.get_cache_path(), name), "w"):
            pass
        assert cache.load(key_) is None
    cache.save(key_, "new")
    assert cache.load(key_) == "new"
    cache.flush()
    assert cache.load(key_) is None


def test_what_cannot_be_read_in_the_overlay_is_not_replaced_by_less(tree, caplog):
    """To save is to write all that was saved before again, with one more."""
    tree, key_ = loadable(tree)
    found = locate(tree)
    cache = cache_file(found)
    index = os.path.join(found.get_cache_path(), tree.stem + ".nbi")
    os.remove(index)
    os.symlink(index, index)
    assert cache.load(key_) is None and "is not loaded" in caplog.text
    cache.save(key_, "new")
    assert "is not saved" in caplog.text and os.path.islink(index)


def test_an_overlay_that_was_removed_is_whole_again_before_anything_is_saved(tree):
    tree, key_ = loadable(tree)
    found = locate(tree)
    before = files(found)
    for removed in (found.get_cache_path(), os.path.dirname(found.get_cache_path())):
        shutil.rmtree(removed)
        assert cache_file(found).load(key_) is None
        found.ensure_cache_path()
        assert files(found) == before


@pytest.mark.parametrize("planted", ["directory", "link", "writable"])
def test_what_has_taken_the_place_of_an_overlay_is_not_read_or_written(tree, planted, caplog):
    """As where /tmp is cleaned up under a program that goes on."""
    tree, key_ = loadable(tree)
    found = locate(tree)
    assert cache_file(found).load(key_) == "code"
    top = os.path.dirname(os.path.dirname(found.get_cache_path()))
    if planted == "link":
        os.rename(top, top + "-another")
        os.symlink(top + "-another", top)
    elif planted == "writable":
        os.chmod(found.get_cache_path(), 0o777)
    elif os.geteuid() == 0:
        os.chown(top, 65534, 65534)
    else:
        pytest.skip("needs root")
    before = files(found)
    assert cache_file(found).load(key_) is None and cache_file(found)._load_index() == {}
    cache_file(found).save(("other",), "new")
    cache_file(found).flush()
    assert files(found) == before and "is not saved" in caplog.text


def test_a_child_that_was_forked_while_another_thread_asked_can_ask(tree):
    tree.seal()
    reads, writes = os.pipe()
    with locator._lock:
        thread = locator.threading.Thread(target=fork_and_ask, args=(tree, writes))
        thread.start()
        thread.join()
    assert os.read(reads, 9) == b"found"


def fork_and_ask(tree, to):
    child = os.fork()
    if not child:
        signal.alarm(60)  # where it waits for a lock that nobody will give back
        os.write(to, b"found" if locator.Warm.from_function(function, str(tree.source)) else b"no")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(to)


def test_the_lock_is_renewed_in_a_child(monkeypatch):
    monkeypatch.setattr(locator, "_lock", locator.threading.RLock())
    before = locator._lock
    locator._renew_lock()
    assert locator._lock is not before


def test_a_lock_ends_with_the_save_though_a_child_was_forked_meanwhile(tree):
    found = locate(tree.seal())
    with locator._locked(found.get_cache_path()):
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            os.close(writes)
            os.read(reads, 1)  # until its parent has ended
            os._exit(0)
        os.close(reads)
    with open(os.path.join(found.get_cache_path(), ".lock"), "w") as lock:
        locator.fcntl.flock(lock, locator.fcntl.LOCK_EX | locator.fcntl.LOCK_NB)
    os.close(writes)
    os.waitpid(child, 0)


def test_two_processes_cannot_give_one_number_to_two_overloads(tree, monkeypatch):
    """Numba reads the index, adds to it and writes the data file: nobody may come in between."""
    tree, key_ = loadable(tree)
    found, tried = locate(tree), []
    real = caching.IndexDataCacheFile._save_index

    def save_index(self, overloads):
        with open(os.path.join(found.get_cache_path(), ".lock"), "w") as lock:
            with pytest.raises(BlockingIOError):
                locator.fcntl.flock(lock, locator.fcntl.LOCK_EX | locator.fcntl.LOCK_NB)
        tried.append(overloads)
        real(self, overloads)

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_index", save_index)
    cache_file(found).save(("other",), "new")
    assert tried and cache_file(found).load(("other",)) == "new"
    assert cache_file(found).load(key_) == "code"


def test_a_save_that_fails_is_told_once_and_not_raised(tree, fresh, caplog):
    tree, key_ = loadable(tree)
    found = locate(tree)
    shutil.rmtree(fresh)
    fresh.write_text("")
    found.ensure_cache_path()
    for _ in range(2):
        cache_file(found).save(key_, "new")
    assert caplog.text.count("is not saved") == 1
    assert cache_file(found).load(key_) is None


def test_without_any_place_caches_load_and_nothing_is_saved(tree, monkeypatch, caplog):
    tree, key_ = loadable(tree)
    held(monkeypatch)
    found = locate(tree)
    found.ensure_cache_path()
    cache = cache_file(found)
    assert cache.load(key_) == "code"
    cache.save(("other",), "new")
    assert cache.load(("other",)) is None
    assert "no place for what Numba compiles" in caplog.text
    assert not os.path.exists(found.get_cache_path())
    assert locate(tree).get_cache_path() == found.get_cache_path()
    cache._version = "another"
    assert cache.load(key_) is None
    cache._version, cache._source_stamp = caching.numba.__version__, "another"
    assert cache.load(key_) is None
    cache._source_stamp = found.get_source_stamp()
    del locator._held[found.get_cache_path()][tree.stem + ".1.nbc"]
    assert cache.load(key_) is None
    cache.flush()
    assert cache._load_index() == {}


def test_caches_of_others_are_as_they_were(tree, tmp_path):
    locate(tree.seal())
    theirs = caching.IndexDataCacheFile(str(tmp_path), "x", 1)
    theirs.save("key", "data")
    assert theirs.load("key") == "data"
    theirs.flush()
    assert theirs.load("key") is None
    gone = caching.IndexDataCacheFile(str(tmp_path / "gone"), "x", 1)
    with pytest.raises(FileNotFoundError):
        gone.save("key", "data")


class Another:
    @staticmethod
    def from_function(py_func, py_file):
        return "another's"


@pytest.mark.parametrize("given, wanted", [
    ("warmpack.locator.Warm", "another's"), ("warmpack.locator.Warm, x.Other", None), ("", None)])
def test_everywhere_else_the_list_without_it_decides(tmp_path, monkeypatch, given, wanted):
    monkeypatch.setattr(locator._config(), "CACHE_LOCATOR_CLASSES", given, raising=False)
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [locator.Warm, Another])
    assert locator.Warm.from_function(function, str(tmp_path / "x.py")) == wanted
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [locator.Warm])
    assert locator.Warm.from_function(function, "<string>") is None


def test_one_line_a_function_says_what_became_of_it(tree, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("WARMPACK_DEBUG", "1")
    path = locate(tree.seal()).get_cache_path()
    tree.source.write_bytes(b"other")
    locator.Warm.from_function(function, str(tree.source))
    locator.Warm.from_function(function, str(tmp_path / "x.py"))
    said = capsys.readouterr().err.splitlines()
    assert said == ["warmpack: function in %s: %s" % (tree.source, path),
                    "warmpack: function in %s: it is not what was packed" % tree.source,
                    "warmpack: function in %s: in no tree with its caches" % (tmp_path / "x.py")]


def test_installing_puts_it_first_once(monkeypatch):
    config = locator._config()
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "", raising=False)
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [Another])
    for _ in range(2):
        locator.install()
    assert caching.CacheImpl._locator_classes == [locator.Warm, Another]
    config.CACHE_LOCATOR_CLASSES = "x.Other"
    for _ in range(2):
        locator.install()
    assert config.CACHE_LOCATOR_CLASSES == "warmpack.locator.Warm,x.Other"


def test_it_installs_itself_when_numba_is_imported(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    locator._automatic()
    assert caching.CacheImpl._locator_classes == [locator.Warm]
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    saved = sys.modules.pop("numba.core.caching")
    try:
        locator._automatic()
        assert sys.meta_path[0].find_spec("another") is None
        again_ = __import__("numba.core.caching", fromlist=["x"])
        assert again_ is not saved and again_.CacheImpl._locator_classes[0] is locator.Warm
    finally:
        sys.modules["numba.core.caching"] = saved
        sys.modules["numba.core"].caching = saved


@pytest.mark.parametrize("value", ["", "1"])
def test_the_installed_file_does_nothing_unless_it_is_told_to(tmp_path, value):
    shutil.copy(ROOT / "python" / "warmpack-auto.pth", tmp_path)
    code = ("import site, sys; site.addsitedir(%r); import numba.core.caching as c; "
            "print([x.__module__ for x in c.CacheImpl._locator_classes][0], "
            "any(type(x).__name__ == '_Automatic' for x in sys.meta_path))" % str(tmp_path))
    said = subprocess.check_output(
        [sys.executable, "-c", code], text=True,
        env={**os.environ, "WARMPACK_AUTO": value, "PYTHONPATH": str(ROOT / "python")})
    assert said.split() == ["warmpack.locator" if value else "numba.core.caching", "False"]


@pytest.mark.parametrize("base", ["there", "not there", "with overlays"])
def test_asking_says_what_would_be_loaded_and_writes_nothing(tree, fresh, monkeypatch, base):
    if base == "not there":
        fresh.rmdir()
    elif base == "with overlays":
        mine(fresh).mkdir(mode=0o700)
    before = sorted(fresh.parent.rglob("*"))
    for _ in range(2):
        found = locator.consult(str(tree.seal().source))
    before += tree.home.iterdir(), tree.home, tree.home.parent
    assert not [path for path in fresh.parent.rglob("*")
                if path not in before and tree.home not in path.parents]
    assert found == {"source": str(tree.source), "manifest": str(tree.home / "manifest.jsonl"),
                     "indexes": [tree.line["index"]], "reason": None,
                     "overlay": ask(tree).get_cache_path()}
    assert os.path.isdir(found["overlay"])
    # Numba finds them there, whatever became of those in the tree.
    tree.nbi.unlink()
    assert locator.consult(str(tree.source)) == found
    shutil.rmtree(found["overlay"])
    again(monkeypatch)
    assert locator.consult(str(tree.source))["reason"] == "its caches are not as they were packed"


def test_asking_takes_the_place_that_would_be_taken(tree, fresh, tmp_path, monkeypatch):
    tree.seal()
    fresh.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none" / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = locator.consult(str(tree.source))["overlay"]
    assert said.startswith(str(tmp_path / "cache")) and not (tmp_path / "cache").exists()
    assert ask(tree).get_cache_path() == said


def test_asking_from_a_shell(tree, capsys, monkeypatch):
    tree.seal()
    tree.put("app/none.py", b"")
    assert locator.consult(str(tree.root / "none.py"))["manifest"] is None
    tree.source.write_bytes(b"other")
    monkeypatch.setattr(sys, "argv", ["locator.py", str(tree.source)])
    runpy.run_path(locator.__file__, run_name="__main__")
    assert json.loads(capsys.readouterr().out)["reason"] == "it is not what was packed"


def test_another_tree_further_out_may_have_what_the_nearest_refuses(tree, tmp_path):
    tree.seal()
    outer = Forged(tmp_path / "outer", locator._this_cpu())
    inner = tmp_path / "srv" / "app" / "inner"
    shutil.copytree(outer.root, inner)
    Forged(tmp_path / "third", locator._this_cpu()).seal(b"")
    shutil.copytree(tmp_path / "third" / "app" / ".warmpack", inner / ".warmpack")
    for name, entry in outer.entries.items():
        name = name.replace("app/", "app/inner/", 1)
        tree.entries[name] = {**entry, "path": name}
    tree.lines = [{**outer.line, "index": outer.line["index"].replace("app/", "app/inner/"),
                   "source": "app/inner/pkg/k.py", "depends": []}]
    tree.seal()
    assert files(ask(tree, inner / "pkg" / "k.py"))
