"""What --if-needed, -k and -O make of trees and archives that are not what they were."""

import json
import os
import pickle
import shutil
import subprocess

import pytest
from trees import SECOND, index, set_time, system_calls


@pytest.fixture(name="warmpack")
def warmpack_that_can_insist(warmpack):
    def ok(*words):
        result = warmpack(*words)
        assert result.returncode == 0, result.stderr
        return result

    warmpack.ok = ok
    return warmpack


def make(tmp_path, top, text):
    tree = tmp_path / top
    tree.mkdir()
    (tree / "x.py").write_text(text)
    return top


def homes(tree):
    """Those of the manifests that lie at its top."""
    return [name for name in os.listdir(tree / ".warmpack") if name != ".gitignore"]


def test_a_release_that_another_one_replaced_is_unpacked_again(warmpack, tmp_path):
    """Also where both were unpacked under another name than they were packed under."""
    for number in ("1", "2"):
        warmpack.ok("-czf", f"v{number}.tgz", make(tmp_path, "app-" + number, "x = " + number))
    strip = ["--strip-components", "1", "-C", "d"]
    for number in ("1", "2", "1"):
        result = warmpack.ok("extract", "--if-needed", "-f", f"v{number}.tgz", *strip)
        assert b"nothing to do" not in result.stderr
        assert (tmp_path / "d/x.py").read_text() == "x = " + number
    assert len(homes(tmp_path / "d")) == 1
    result = warmpack.ok("extract", "--if-needed", "-f", "v1.tgz", *strip)
    assert b"nothing to do" in result.stderr


def test_a_release_that_a_foreign_archive_overwrote_is_unpacked_again(warmpack, tmp_path):
    warmpack.ok("-czf", "v1.tgz", make(tmp_path, "app", "x = 1"))
    warmpack.ok("extract", "--if-needed", "-f", "v1.tgz", "-C", "d")
    (tmp_path / "app/x.py").write_text("x = 2")
    subprocess.run(["tar", "czf", "foreign.tgz", "app"], cwd=tmp_path, check=True)
    warmpack.ok("extract", "-f", "foreign.tgz", "-C", "d")
    assert (tmp_path / "d/app/x.py").read_text() == "x = 2"
    warmpack.ok("extract", "--if-needed", "-f", "v1.tgz", "-C", "d")
    assert (tmp_path / "d/app/x.py").read_text() == "x = 1"


def test_a_directory_that_is_unpacked_over_is_looked_at_without_those_above_it(warmpack, tmp_path):
    """They would be listed, with all that lies side by side in them, once for each."""
    count, out = 200, "out/of/many/levels"
    for i in range(count):
        make(tmp_path, f"top{i}", "x = 1")
    warmpack.ok("-cf", "a.tar", *(f"top{i}" for i in range(count)))
    words = ("-xf", "a.tar", "-C", out)
    os.makedirs(tmp_path / out)
    warmpack.ok(*words)
    assert system_calls(tmp_path, *words).count("getdents64") < 10 * count


def test_two_archives_in_one_directory_do_not_supersede_one_another(warmpack, tmp_path):
    for top in ("a", "b"):
        warmpack.ok("-czf", top + ".tgz", make(tmp_path, top, "x = 1"))
        warmpack.ok("extract", "--if-needed", "-f", top + ".tgz", "-C", "d")
    for top in ("a", "b"):
        result = warmpack.ok("extract", "--if-needed", "-f", top + ".tgz", "-C", "d")
        assert b"nothing to do" in result.stderr


def tree_of(tmp_path, name, files):
    for path, text in files.items():
        (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / path).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize("words", [[], ["--replace"]])
@pytest.mark.parametrize("top", ["", "app/"])
def test_archives_with_a_few_files_in_common_keep_their_manifests(warmpack, tmp_path, top, words):
    """A README, or the __init__.py of a namespace. Each is still unpacked anew where it must be."""
    place = tmp_path / "d" / top
    for name in ("a", "b"):
        tree_of(tmp_path, name, {f"{top}pkg/__init__.py": "", f"{top}README": name,
                                 f"{top}pkg/{name}.py": f"{name} = 1\n"})
        warmpack.ok("-czf", name + ".tgz", "-C", name, *(["app"] if top else ["README", "pkg"]))
    warmpack.ok("extract", "-f", "a.tgz", "-C", "d")
    warmpack.ok("extract", *words, "-f", "b.tgz", "-C", "d")
    assert (tmp_path / "d" / top / "README").read_text() == "b"
    if words:  # what was swapped is a's no longer
        assert len(homes(place)) == 1
        return
    assert len(homes(place)) == 2
    said = json.loads(warmpack.ok("restore", "--dry-run", "--json", "d").stdout)
    assert (said["manifests"], said["changed"], said["missing"]) == (2, 0, 0)
    for name in ("a", "b"):
        assert b"nothing to do" not in warmpack.ok("extract", "--if-needed", "-f", name + ".tgz",
                                                   "-C", "d").stderr
        assert (tmp_path / "d" / top / "README").read_text() == name
        assert len(homes(place)) == 2
    assert b"nothing to do" in warmpack.ok("extract", "--if-needed", "-f", "b.tgz",
                                           "-C", "d").stderr


def test_swapping_one_archives_directory_keeps_the_manifest_of_another(warmpack, tmp_path):
    for name in ("a", "b"):
        tree_of(tmp_path, name, {f"{name}1/x.py": "x", f"{name}2/y.py": "y"})
        warmpack.ok("-czf", name + ".tgz", "-C", name, name + "1", name + "2")
        warmpack.ok("extract", "--replace", "-f", name + ".tgz", "-C", "d")
    assert len(homes(tmp_path / "d")) == 2
    result = warmpack.ok("extract", "--if-needed", "-f", "a.tgz", "-C", "d")
    assert b"nothing to do" in result.stderr


def test_a_new_release_supersedes_the_old_one_though_some_files_were_dropped(warmpack, tmp_path):
    old = {f"app/m{i}.py": "old" for i in range(20)}
    new = {f"app/m{i}.py": "new" for i in range(18)} | {f"app/n{i}.py": "" for i in range(9)}
    for name, files in (("old", old), ("new", new)):
        tree_of(tmp_path, name, files)
        warmpack.ok("-czf", name + ".tgz", "-C", name, "app")
        warmpack.ok("extract", "-f", name + ".tgz", "-C", "d")
    assert len(homes(tmp_path / "d/app")) == 1
    assert (tmp_path / "d/app/m19.py").read_text() == "old"


def test_a_release_most_of_which_stays_keeps_its_manifest(warmpack, tmp_path):
    for name, files in (("old", {f"app/m{i}.py": "old" for i in range(20)}),
                        ("fix", {f"app/m{i}.py": "new" for i in range(17)})):
        tree_of(tmp_path, name, files)
        warmpack.ok("-czf", name + ".tgz", "-C", name, "app")
        warmpack.ok("extract", "-f", name + ".tgz", "-C", "d")
    assert len(homes(tmp_path / "d/app")) == 2


def test_a_small_release_keeps_its_manifest_as_long_as_a_file_of_its_own(warmpack, tmp_path):
    """Releases come and go meanwhile, and each leaves no more than that."""
    names = ["a.py", "b.py", "only-in-1.py"]
    for number in range(1, 5):
        shutil.rmtree(tmp_path / "app", ignore_errors=True)
        (tmp_path / "app").mkdir()
        for name in names[:3 if number == 1 else 2]:
            (tmp_path / "app" / name).write_text(f"x = {number}")
        warmpack.ok("-czf", f"{number}.tgz", "app")
        warmpack.ok("-xf", f"{number}.tgz", "-C", "d")
        assert len(homes(tmp_path / "d/app")) == (1 if number == 1 else 2)
    (tmp_path / "d/app/only-in-1.py").unlink()
    warmpack.ok("-xf", "4.tgz", "-C", "d")
    assert len(homes(tmp_path / "d/app")) == 1


def test_an_update_without_a_directory_above_leaves_what_was_dropped_at_the_top(warmpack, tmp_path):
    """As the manual says; what lies in a directory goes with --replace."""
    for number in ("1", "2"):
        dropped = ["dropped.py", "lib/dropped.py"] if number == "1" else []
        for name in ["kept.py", "lib/kept.py", *dropped]:
            (tmp_path / number / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / number / name).write_text(number)
        warmpack.ok("-czf", number + ".tgz", "-C", number, ".")
    warmpack.ok("-xf", "1.tgz", "-C", "d")
    warmpack.ok("-xf", "2.tgz", "-C", "d", "--replace")
    found = sorted(str(p.relative_to(tmp_path / "d")) for p in (tmp_path / "d").rglob("*.py"))
    assert found == ["dropped.py", "kept.py", "lib/kept.py"]


def test_a_manifest_whose_files_have_gone_goes(warmpack, tmp_path):
    for name in ("one", "two"):
        tree_of(tmp_path, name, {f"{name}/x.py": "x", f"{name}_more/x.py": "x"})
        warmpack.ok("-czf", name + ".tgz", "-C", name, name, name + "_more")
    warmpack.ok("extract", "-f", "one.tgz", "-C", "d")
    for path in ("one", "one_more"):
        shutil.rmtree(tmp_path / "d" / path)
    warmpack.ok("extract", "-f", "two.tgz", "-C", "d")
    assert len(homes(tmp_path / "d")) == 1


def test_keep_old_removes_nothing_and_claims_nothing(warmpack, tmp_path):
    warmpack.ok("-czf", "v1.tgz", make(tmp_path, "app", "x = 1"))
    (tmp_path / "app/x.py").write_text("x = 2")
    warmpack.ok("-czf", "v2.tgz", "app")
    warmpack.ok("-xf", "v1.tgz", "-C", "d")
    before = set(homes(tmp_path / "d/app"))
    assert warmpack("-xkf", "v2.tgz", "-C", "d").returncode == 2
    assert before <= set(homes(tmp_path / "d/app"))
    assert (tmp_path / "d/app/x.py").read_text() == "x = 1"
    warmpack.ok("extract", "--if-needed", "-f", "v2.tgz", "-C", "d")
    assert (tmp_path / "d/app/x.py").read_text() == "x = 2"


def test_a_failure_leaves_an_empty_directory_and_removes_what_it_made(warmpack, tmp_path):
    warmpack.ok("-czf", "a.tgz", make(tmp_path, "app", "x = 1"))
    whole = (tmp_path / "a.tgz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "empty").mkdir(mode=0o711)
    for where in ("empty", "n/x/y"):
        assert warmpack("extract", "--if-needed", "-f", "cut.tgz", "-C", where).returncode == 2
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o711
    assert not os.listdir(tmp_path / "empty") and not (tmp_path / "n").exists()


@pytest.mark.parametrize("archive", ["changed.tar", "cut.tar"])
def test_contents_of_a_tampered_archive_are_told_by_the_exit_status(warmpack, tmp_path, archive):
    warmpack.ok("-cf", "a.tar", make(tmp_path, "app", "x = 1\n" * 1000))
    whole = (tmp_path / "a.tar").read_bytes()
    at = whole.index(b"x = 1\nx = 1")
    (tmp_path / "changed.tar").write_bytes(whole[:at] + b"y" + whole[at + 1:])
    after = at + 6 * 1000 + (-6 * 1000) % 512
    (tmp_path / "cut.tar").write_bytes(whole[:after] + bytes(1024))
    assert warmpack("-xOf", archive, "app/x.py").returncode == 2
    assert warmpack.ok("-xOf", "a.tar", "app/x.py").stdout == b"x = 1\n" * 1000


def test_replace_takes_whole_archives_only(warmpack, tmp_path):
    warmpack.ok("-czf", "a.tgz", make(tmp_path, "app", "x = 1"))
    warmpack.ok("-xf", "a.tgz", "-C", "d")
    for words in (["app/x.py"], ["--exclude", "y.py"]):
        result = warmpack("extract", "--replace", "-f", "a.tgz", "-C", "d", *words)
        assert result.returncode == 2 and b"--replace" in result.stderr
    assert (tmp_path / "d/app/x.py").read_text() == "x = 1"


def two_releases(warmpack, tmp_path, number, data):
    """Archives 1.tgz and 2.tgz of a module, whose indexes differ in their stamps alone, and their
    data where DATA; 1 lies in d, and the manifest of 2, too."""
    for release in (1, number):
        source = tmp_path / "app" / "k.py"
        source.parent.mkdir(exist_ok=True)
        source.write_text(f"x = {release:04}\n")
        set_time(source, release * SECOND)
        made = index(source)
        if data:
            made.with_name(made.stem + ".1.nbc").write_bytes(
                pickle.dumps(("library", b"code %04d" % release), -1))
        warmpack.ok("-czqf", "1.tgz" if release == 1 else "2.tgz", "app")
    shutil.rmtree(tmp_path / "d", ignore_errors=True)
    warmpack.ok("-xqf", "1.tgz", "-C", "d")
    assert warmpack("extract", "-kqf", "2.tgz", "-C", "d").returncode == 2
    assert len(homes(tmp_path / "d/app")) == 2
    return made


# Which manifest is read first depends on its digest.
@pytest.mark.parametrize("number", range(2, 10))
@pytest.mark.parametrize("data", [False, True], ids=["same-data", "other-data"])
def test_the_release_speaks_for_an_index_whose_files_lie_there(warmpack, tmp_path, number, data):
    two_releases(warmpack, tmp_path, number, data)
    for words in (("verify",), ("verify", "--fix"), ("restore", "-q"), ("verify",)):
        warmpack.ok(*words, "d")
    assert (tmp_path / "d/app/__pycache__/k.add-3.py311.nbi").exists()


@pytest.mark.parametrize("number", range(2, 10))
def test_code_of_another_release_is_outdated_though_its_index_differs_in_the_time_alone(
        warmpack, tmp_path, number):
    made = two_releases(warmpack, tmp_path, number, True)
    data = made.with_name(made.stem + ".1.nbc")
    shutil.copy2(data, tmp_path / "d/app/__pycache__" / data.name)  # beside the index of release 1
    result = warmpack("verify", "d")
    assert result.returncode == 1 and b"1 outdated" in result.stderr, result
