"""Manifests that lie: what they say is checked against what was unpacked, and against reason."""

import base64
import hashlib
import json

import pytest
from hostile_tar import END, Ours, directory, file, gz, padded, pax, symlink, tar
from trees import Runner, assert_same, index, noise, write


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A plain tar of ours, with a cache directory from outside the tree."""
    base = tmp_path_factory.mktemp("packed")
    source = write(base / "app" / "pkg" / "m.py", "x = 1\n", ns=10**18 + 7)
    write(base / "app" / "k.py", "new k", ns=10**18 + 9)
    write(base / "app" / "data", noise(3000))
    (base / "app" / "link").symlink_to("k.py")
    (base / "app" / "pkg" / "hard").hardlink_to(base / "app" / "k.py")
    index(source)
    path_hash = hashlib.sha1(str(source.parent).encode()).hexdigest()
    (base / "caches").mkdir()
    (base / "app/pkg/__pycache__").rename(base / "caches" / ("pkg_" + path_hash))
    Runner(base).ok("-cf", "a.tar", "--cache-dir", "caches", "app")
    return base


@pytest.fixture
def ours(packed):
    archive = Ours((packed / "a.tar").read_bytes())
    assert [x for x in archive.lines if "cache" in x], "the cache directory was not found"
    assert [x for x in archive.lines if "index" in x]
    return archive


def test_an_archive_that_was_only_taken_apart_is_unpacked(arena, ours, packed):
    """Else the tests below prove nothing."""
    arena.run.ok("extract", "-f", arena.archive(ours.tar()), "-C", arena.out)
    assert (arena.out / "app/k.py").read_text() == "new k"
    arena.run.ok("extract", "-f", arena.archive(gz(ours.tar()), "a.tgz"), "-C", arena.out)


CHANGES = {
    "digest": ("app/k.py", {"sha256": "0" * 64}),
    "digest-is-short": ("app/k.py", {"sha256": "00"}),
    "size": ("app/k.py", {"size": 6}),
    "size-is-negative": ("app/k.py", {"size": -1}),
    "size-is-text": ("app/k.py", {"size": "5"}),
    "size-is-huge": ("app/k.py", {"size": 2**63}),
    "mtime": ("app/k.py", {"mtime": "1000000000.000000010"}),
    "mtime-of-eight-digits": ("app/k.py", {"mtime": "1000000000.00000001"}),
    "mtime-is-a-number": ("app/k.py", {"mtime": 1000000000}),
    "mtime-is-no-time": ("app/k.py", {"mtime": "x"}),
    "mtime-is-minus-nothing": ("app/k.py", {"mtime": "-0.000000000"}),
    "mode": ("app/k.py", {"mode": "0777"}),
    "mode-with-setuid": ("app/k.py", {"mode": "4755"}),
    "mode-is-long": ("app/k.py", {"mode": "100644"}),
    "uid": ("app/k.py", {"uid": 4711}),
    "type": ("app/k.py", {"type": "symlink", "target": "/etc/passwd"}),
    "type-is-unknown": ("app/k.py", {"type": "door"}),
    "target": ("app/link", {"target": "/etc/passwd"}),
    "target-of-a-hard-link": ("app/pkg/hard", {"target": "../canary"}),
    "path-leads-out": ("app/k.py", {"path": "../canary"}),
    "path-is-absolute": ("app/k.py", {"path": "/canary"}),
    "path-with-dots": ("app/k.py", {"path": "app/../app/k.py"}),
    "path-with-a-slash-at-its-end": ("app/pkg", {"path": "app/pkg/"}),
    "path-with-a-zero": ("app/k.py", {"path": "app/k\0.py"}),
    "path-is-empty": ("app/k.py", {"path": ""}),
    "path-is-a-number": ("app/k.py", {"path": 5}),
    "path-is-another": ("app/k.py", {"path": "app/k2.py"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_line_that_lies_is_refused(arena, ours, change):
    path, members = CHANGES[change]
    lines = [x for x in ours.lines if x.get("path") == path]
    if not lines:  # of the two names of one file, which is the link?
        pytest.fail(path)
    if change == "target-of-a-hard-link" and lines[0]["type"] != "hardlink":
        lines = [ours.line(path="app/k.py")]
    if change in ("digest", "digest-is-short", "size") and "sha256" not in lines[0]:
        lines = [x for x in ours.lines if x.get("path") == "app/data"]
    lines[0].update(members)
    ours.lines[1:] = sorted((x for x in ours.lines[1:] if "path" in x),
                            key=lambda x: str(x["path"]).encode()) + [
                                x for x in ours.lines[1:] if "path" not in x]
    arena.refused(ours.tar())


@pytest.mark.parametrize("path", ["app/k.py", "app/data", "app", "app/pkg", "app/link"])
def test_an_entry_that_the_manifest_does_not_name_is_refused(arena, ours, path):
    ours.lines.remove(ours.line(path=path))
    arena.refused(ours.tar())


@pytest.mark.parametrize("extra", ["app/extra", "app/zzz", "zzz", "aaa"])
def test_an_entry_that_only_the_manifest_names_is_refused(arena, ours, extra):
    line = {**ours.line(path="app/data"), "path": extra}
    ours.lines.append(line)
    ours.lines[1:] = sorted((x for x in ours.lines[1:] if "path" in x),
                            key=lambda x: x["path"].encode()) + [
                                x for x in ours.lines[1:] if "path" not in x]
    arena.refused(ours.tar(), extra)


@pytest.mark.parametrize("extra", [file("app/smuggled"), directory("app/smuggled"),
                                   symlink("app/smuggled", "/"), file("smuggled")])
def test_an_entry_that_was_smuggled_in_is_refused(arena, ours, extra):
    text = ours.text()
    arena.refused(tar(ours.mark, ours.entries(), extra, ours.manifest(text)), "smuggled")


@pytest.mark.parametrize("extra", [file("app/smuggled"), directory("app/smuggled"),
                                   file("app/k.py", "other")])
def test_an_entry_behind_the_manifest_has_no_effect_or_is_refused(arena, ours, extra):
    arena.contained(tar(ours.mark, ours.entries(), ours.manifest(), extra))
    assert not (arena.out / "app/smuggled").exists()
    assert (arena.out / "app/k.py").read_text() != "other"


@pytest.mark.parametrize("again", ["app/k.py", "app/data"])
def test_an_entry_that_comes_twice_is_refused(arena, ours, again):
    arena.refused(tar(ours.mark, ours.entries(), file(again, "other"), ours.manifest()), again)


@pytest.mark.parametrize("member, value", [
    ("source", ".."), ("source", "../.."), ("source", "/etc"), ("source", "app/../.."),
    ("source", "nowhere"), ("source", "app/k.py"), ("source", 5), ("source", "app/link"),
    ("cache", ".."), ("cache", "/etc"), ("cache", "../place"), ("cache", "app/../../place"),
    ("cache", "app/nowhere"), ("cache", ""), ("cache", "app"), ("cache", "app/pkg"),
    ("place", "../.."), ("place", 7),
])
def test_a_cache_line_that_lies_stays_inside(arena, ours, member, value):
    (line,) = [x for x in ours.lines if "cache" in x]
    line[member] = value
    caches = arena.base / "caches"
    caches.mkdir()
    before = arena.look(caches)
    result = arena.contained(ours.tar(), options=["--cache-dir", str(caches)])
    bad = isinstance(value, int) or ".." in value.split("/") or value.startswith("/")
    if bad and member != "place":
        assert result.returncode == 2, result
        assert_same(before, arena.look(caches))
    assert all(p.split(b"/")[0].startswith(b"pkg_") or p.split(b"/")[0].count(b"_")
               for p in arena.look(caches))


@pytest.mark.parametrize("member, value", [
    ("source", "../canary"), ("source", "/etc/passwd"), ("index", "../canary"),
    ("index", "/etc/passwd"), ("index", "app/nowhere.nbi"), ("valid", "yes"), ("stamp", 5)])
def test_an_index_line_that_lies_stays_inside(arena, ours, member, value):
    (line,) = [x for x in ours.lines if "index" in x]
    line[member] = value
    result = arena.contained(ours.tar())
    if isinstance(value, str) and (".." in value or value.startswith("/")):
        assert result.returncode == 2


HEADERS = {"a-newer-version": {"version": 2}, "no-version": {"version": None},
           "version-is-text": {"version": "1"}, "another-format": {"format": "x"},
           "root-is-a-number": {"root": 1}}


@pytest.mark.parametrize("change", HEADERS)
def test_a_header_that_is_not_understood_is_refused(arena, ours, change):
    ours.lines[0].update(HEADERS[change])
    arena.refused(ours.tar(), "manifest")


def test_a_newer_version_is_refused_as_such(arena, ours):
    ours.lines[0]["version"] = 2
    arena.refused(ours.tar(), "version 2")


def texts(ours):
    """Manifests that are wrong as texts."""
    good = ours.text()
    lines = good.splitlines(keepends=True)
    body, last = b"".join(lines[:-1]), lines[-1]

    def ended(text):
        return text + ours.end(text)
    return {
        "empty": b"", "newline": b"\n", "garbage": noise(5000), "not-json": ended(body + b"{x}\n"),
        "no-end-line": body, "end-line-is-cut": good[:-1], "cut": good[:len(good) // 2],
        "wrong-digest": body + ours.end(b"other"), "wrong-count": body + ours.end(body, entries=1),
        "count-is-negative": body + ours.end(body, entries=-1),
        "end-is-false": body + ours.end(body, end=False),
        "no-header": ended(b"".join(lines[1:-1])), "two-headers": ended(lines[0] + body),
        "two-ends": good + last, "more-behind-the-end": good + lines[1],
        "garbage-behind-the-end": good + b"garbage\n",
        "unsorted": ended(lines[0] + lines[2] + lines[1] + b"".join(lines[3:-1])),
        "a-path-twice": ended(lines[0] + lines[1] + body[len(lines[0]):]),
        "a-member-twice": ended(body.replace(b'"path": "app/k.py"',
                                             b'"path": "app/k.py", "path": "app/k.py"')),
        "an-array": ended(body + b"[]\n"), "a-number": ended(body + b"5\n"),
        "a-deep-array": ended(body + b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"),
        "a-line-that-is-too-long": ended(body + b'{"x": "' + b"y" * (1 << 20) + b'"}\n'),
        "not-utf8": ended(body + b'{"x": "\xff"}\n'),
        "a-zero-byte": ended(body + b'{"x": "\0"}\n'),
        "bad-base64": ended(body.replace(b'"path": "app/k.py"', b'"path_base64": "!!!"')),
        "both-names": ended(body.replace(
            b'"path": "app/k.py"', b'"path": "app/k.py", "path_base64": "%s"'
            % base64.b64encode(b"app/k.py"))),
        "base64-leads-out": ended(body.replace(
            b'"path": "app/data"', b'"path_base64": "%s"' % base64.b64encode(b"../canary"))),
        "bom": ended(b"\xef\xbb\xbf" + body), "utf16": good.decode().encode("utf-16"),
    }


TEXTS = list(texts(type("Any", (), {"text": lambda _: b"{}\n" * 6, "end": lambda *_, **__: b""})()))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_manifest_is_refused(arena, ours, name):
    manifest = texts(ours)[name]
    assert manifest != ours.text()
    arena.refused(ours.tar(manifest))


def test_members_and_lines_that_are_not_known_are_passed_over(arena, ours):
    ours.lines[0]["later"] = [1, {"x": None}]
    ours.line(path="app/k.py")["later"] = "x"
    ours.lines.insert(-1, {"something": "new"})
    arena.run.ok("extract", "-f", arena.archive(ours.tar()), "-C", arena.out)


# ---- Mark and manifest -------------------------------------------------------------------------

def test_a_mark_without_a_manifest_is_an_archive_that_was_cut(arena, ours):
    arena.refused(tar(ours.mark, ours.entries()), "manifest")
    arena.refused(gz(tar(ours.mark, ours.entries())), "manifest", name="a.tgz")
    arena.refused(tar(ours.mark), "manifest")


def test_two_manifests_are_refused(arena, ours):
    arena.refused(tar(ours.mark, ours.entries(), ours.manifest(), ours.manifest()))


def test_a_manifest_under_another_name_than_the_marks_is_refused(arena, ours):
    other = ours.manifest_name.replace(ours.manifest_name.split("/")[2], "0" * 16)
    assert other != ours.manifest_name
    arena.refused(ours.tar(manifest=ours.manifest(name=other)))


@pytest.mark.parametrize("name", ["../manifest.jsonl", "/manifest.jsonl", "manifest.jsonl",
                                  "app/.warmpack/../../canary", "", "\n", "app/k.py",
                                  ".warmpack/x/manifest.jsonl", "app/.warmpack/manifest.jsonl"])
def test_a_mark_that_names_another_place_is_refused_or_ignored(arena, ours, name):
    mark = pax(("comment", "warmpack-manifest=" + name), type=b"g")
    arena.contained(ours.tar(mark=mark))


def test_a_manifest_that_is_a_link_is_refused(arena, ours):
    link = symlink(ours.manifest_name[-99:], "/etc/passwd")
    arena.refused(ours.tar(manifest=pax(("path", ours.manifest_name)) + link))


def test_our_own_directory_as_a_symlink_is_refused(arena, ours):
    """What is laid out below it would go where it leads."""
    data = tar(ours.mark, symlink("app/.warmpack", "../.."), ours.entries(), ours.manifest())
    arena.refused(data)


def test_a_foreign_archive_with_a_manifest_file_is_just_files(arena, ours):
    """Without the mark nothing of it is believed."""
    (line,) = [x for x in ours.lines if "cache" in x]
    line["source"] = ".."
    arena.contained(tar(ours.entries(), ours.manifest()))


def pointer(offset):
    """The block that ends a plain tar of ours."""
    return padded(f"warmpack-manifest-offset={offset}\n".encode())


def gzip_pointer(offset):
    """The member that ends a .tgz of ours."""
    return (b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x14\0MZ\4\0\2\0\0\0WP\x08\0"
            + offset.to_bytes(8, "little") + b"\3\0" + bytes(8))


def with_extra(member, extra):
    """A gzip member with an extra field before its data."""
    return member[:3] + b"\4" + member[4:10] + len(extra).to_bytes(2, "little") + extra + member[10:]


@pytest.fixture
def other_text(ours):
    """A manifest that says other things."""
    return ours.text().replace(b'"app/data"', b'"app/DATA"')


def both_ways(arena, data, name, *said):
    """Extract refuses it from a file and from a pipe."""
    arena.refused(data, *said, name=name)
    arena.refused(data, *said, name=name, pipe=True)


@pytest.mark.parametrize("offset", ["0", "512", "1", "99999999999", "-1", "x",
                                    "18446744073709551616", ""])
@pytest.mark.parametrize("wrap", [bytes, gz])
def test_a_pointer_that_leads_astray_is_refused(arena, ours, offset, wrap):
    both_ways(arena, wrap(ours.tar() + bytes(9 * 1024) + pointer(offset)), "a.tar", "manifest",
              "follows")
    both_ways(arena, gz(ours.tar()) + gzip_pointer(7), "a.tgz", "manifest")


def test_a_pointer_that_leads_to_the_manifest_is_right(arena, ours):
    """Else the tests here prove nothing."""
    front = ours.mark + ours.entries()
    parts = {"a.tar": front + ours.manifest() + END + pointer(len(front)),
             "a.tar.gz": gz(front + ours.manifest() + END + pointer(len(front))),
             "a.tgz": gz(front) + gz(ours.manifest()) + gz(END) + gzip_pointer(len(gz(front))),
             "b.tgz": gz(front[:700]) + gz(front[700:]) + gz(ours.manifest() + END)
             + gzip_pointer(len(gz(front[:700]) + gz(front[700:])))}
    for name, data in parts.items():
        path = arena.archive(data, name)
        arena.run.ok("extract", "-f", path, "-C", arena.base / name.replace(".", "-"))
        arena.run.ok("extract", "-f", "-", "-C", arena.base / ("p" + name), stdin=data)


def test_a_manifest_behind_the_end_is_not_the_one_that_is_listed(arena, ours):
    real = ours.tar()
    fake = file(ours.manifest_name, ours.text().replace(b'"app/k.py"', b'"app/k.xx"'))
    both_ways(arena, real + fake + END + pointer(len(real)), "a.tar", "follows")
    names = arena.run("list", "-f", "a.tar")
    arena.sane(names)
    assert names.returncode == 2


@pytest.mark.parametrize("ending", [b"", END])
def test_a_manifest_in_the_content_of_a_file_is_not_the_one_that_is_listed(arena, ours, other_text,
                                                                           ending):
    hidden = file(ours.manifest_name, other_text) + ending
    part = [x for x in ours.parts if x[1] == "app/data"][0]
    ours.line(path="app/data").update(size=len(hidden), sha256=hashlib.sha256(hidden).hexdigest())
    part[0], part[2] = b"", file("app/data", hidden, mode=0o644, mtime=5)
    ours.line(path="app/data").update(mtime="5.000000000", mode="0644")
    at = len(ours.mark) + ours.entries().index(hidden)
    data = ours.tar() + pointer(at)
    both_ways(arena, data, "a.tar", "manifest")
    for verb in ("list", "verify"):
        result = arena.run(verb, "-f", "a.tar")
        assert result.returncode == 2 and b"DATA" not in result.stdout


def test_a_manifest_that_only_the_pointer_finds_makes_extract_refuse(arena, ours, other_text):
    """It hides in a gzip header, with an end of its own: for a moment it looks real."""
    front = gz(ours.mark + ours.entries())
    hidden = gz(file(ours.manifest_name, other_text)) + gz(END)
    tail = with_extra(gz(b""), b"XX" + (len(gz(ours.manifest()) + gz(END))).to_bytes(2, "little"))
    tail = tail[:-len(gz(b"")[10:])]  # its data come behind the real manifest
    extra_at = len(front) + 12 + 4
    body = hidden + tail
    hiding = with_extra(gz(b""), b"YY" + len(body).to_bytes(2, "little") + body)
    data = front + hiding + gz(ours.manifest()) + gz(END)
    data += gzip_pointer(extra_at)
    both_ways(arena, data, "a.tgz", "manifest")


@pytest.mark.parametrize("name", ["a.tgz", "a.tar", "a.tar.zst"])
def test_archives_of_ours_that_were_joined_are_refused(arena, packed, name):
    Runner(packed).ok("-caf", name, "--cache-dir", "caches", "app")
    one = (packed / name).read_bytes()
    other = gz(tar(file("other", "x"))) if name == "a.tgz" else one
    for data in (one + one, one + other, one + one + one):
        both_ways(arena, data, name, "follows")
        for verb in ("list", "verify"):
            assert arena.run(verb, "-f", name).returncode == 2


@pytest.mark.parametrize("wrap", [bytes, gz])
def test_foreign_archives_that_were_joined_are_cut_with_a_warning(arena, wrap):
    """As by GNU tar, which says nothing."""
    first, second = wrap(tar(file("app/one", "1"))), wrap(tar(file("app/two", "2")))
    result = arena.run.ok("extract", "-f", arena.archive(first + second), "-C", arena.out)
    assert b"a.tar: the archive ends at byte 1024 of the tar; what follows" in result.stderr
    assert (arena.out / "app/one").exists() and not (arena.out / "app/two").exists()
    quiet = arena.run.ok("list", "-f", arena.archive(first + bytes(20480), "b.tar"))
    assert quiet.stderr == b""


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("wrap", [bytes, gz])
@pytest.mark.parametrize("data", [bytes(512) + b"x" * 512, bytes(1024) + tar(file("app/one", "1")),
                                  bytes(32768) + b"\x01CD001\x01" + bytes(4096)],
                         ids=["a lone block", "an archive", "an image of a CD"])
def test_zeros_before_something_are_no_empty_archive(arena, data, wrap, pipe):
    arena.refused(wrap(data), "begins with zeros", pipe=pipe)


@pytest.mark.parametrize("size", [512, 1024, 10240])
def test_zeros_alone_are_an_empty_archive(arena, size):
    assert b"0 files" in arena.run.ok("extract", "-f", arena.archive(bytes(size))).stderr


def test_zips_that_were_joined_are_read_as_the_last_with_a_warning(arena, packed):
    Runner(packed).ok("-caf", "a.zip", "--cache-dir", "caches", "app")
    one = (packed / "a.zip").read_bytes()
    result = arena.run.ok("extract", "-f", arena.archive(one + one, "a.zip"), "-C", arena.out)
    assert b"joined" in result.stderr
    arena.run.ok("extract", "-f", arena.archive(b"#!/bin/sh\n" + one, "b.zip"), "-C", arena.out)


# ---- What was there before ---------------------------------------------------------------------

def test_a_hostile_state_of_earlier_times_stays_harmless(arena, ours, packed):
    """--if-needed reads what lies in DIR."""
    path = arena.archive(ours.tar())
    arena.run.ok("extract", "-f", path, "-C", arena.out)
    state = arena.out / ours.manifest_name.replace("manifest", "state")
    for text in (b"", b"{", b"\0" * 1000, b"[" * 100_000, noise(1000),
                 json.dumps({"version": 1, "action": "extract", "root": "/"}).encode() + b"\n"):
        state.write_bytes(text)
        arena.sane(arena.run.ok("extract", "--if-needed", "-f", path, "-C", arena.out))
        state.unlink()
        state.symlink_to("/etc/passwd")
        arena.run.ok("extract", "--if-needed", "-f", path, "-C", arena.out)
        assert state.read_bytes().startswith(b"{") and not state.is_symlink()


# What a line of an index may say, and what verify tells of it without reading the index. None: the
# line has no such member, as where another program wrote it.
SAID = {
    "no-status": ({"status": "of-later", "valid": False}, "suspect", "though its stamp fits"),
    "stale": ({"status": None, "stamp": {"kind": "mtime", "mtime": 1.5, "size": 6}},
              "stale", "was stale"),
    "no-stamp": ({"status": None, "stamp": None, "valid": False}, "corrupt", "could not be read"),
    "no-source": ({"status": None, "source": "app/pkg/gone.py"},
                  "source-missing", "not in the archive"),
    "reason": ({"status": "stale", "valid": False, "reason": "a\\b\nc"}, "stale", "a\\\\b\\nc"),
    "no-reason": ({"status": "stale", "valid": False, "reason": None}, "stale", "was not valid"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_line_says_of_an_index_is_told_at_once(arena, ours, name):
    (line,) = [x for x in ours.lines if "index" in x]
    changed, status, reason = SAID[name]
    line.update(changed)
    for member in [m for m, value in line.items() if value is None]:
        del line[member]
    front = ours.mark + ours.entries()
    path = arena.archive(front + ours.manifest() + END + pointer(len(front)))
    said = arena.run("verify", "-f", path)
    assert said.returncode == 1, said
    (told,) = said.stdout.decode().splitlines()
    assert told.startswith(status + "  ") and reason in told
