"""Names and links that lead out of the directory."""

import hashlib
import os

import pytest
from hostile_tar import (Ours, directory, file, gnu_long, gz, hardlink, pax, symlink, tar)
from trees import assert_same, leftovers, look, run

OUT = ["/canary", "//canary", "/", "..", "../canary", "../out/x", "app/../../canary", "app/..",
       "./../canary", "app/../k.py", "app/./../../canary", "../", "app/dir/../../../canary",
       ".//..//canary"]


KINDS = ("directory", "symlink", "hardlink", "pax", "gnu")


@pytest.mark.parametrize("name, kind", [(name, "file") for name in OUT] + [
    (name, kind) for name in ("/canary", "..", "app/../../canary") for kind in KINDS])
def test_names_that_lead_out_are_refused(arena, name, kind):
    good = file("app/new", "new")
    bad = {"file": lambda: file(name), "directory": lambda: directory(name),
           "symlink": lambda: symlink(name, "k.py"), "hardlink": lambda: hardlink(name, "app/new"),
           "pax": lambda: pax(("path", name)) + file("harmless"),
           "gnu": lambda: gnu_long(name.encode()) + file("harmless")}[kind]()
    arena.refused(tar(good, bad), "canary" if "canary" in name else name.strip("/") or "/")


@pytest.mark.parametrize("name", ["/canary", "../canary", "app/../../canary"])
@pytest.mark.parametrize("wrap", ["gz", "pipe"])
def test_names_that_lead_out_are_refused_in_every_way_in(arena, name, wrap):
    data = tar(file("app/new", "new"), file(name))
    arena.refused(gz(data) if wrap == "gz" else data, name, pipe=wrap == "pipe")


@pytest.mark.parametrize("options", [["--strip-components=1"], ["-k"], ["-p"], ["--replace"],
                                     ["--if-needed"]])
def test_names_that_lead_out_are_refused_with_every_option(arena, options):
    arena.refused(tar(file("app/new", "new"), file("x/../../canary")), "x/../../canary",
                  options=options)


@pytest.mark.parametrize("name", ["a/..", "a/../..", "a//../../canary"])
def test_stripping_components_does_not_make_a_name_lead_out(arena, name):
    arena.refused(tar(file(name)), options=["--strip-components=1"])


@pytest.mark.parametrize("target", ["/etc/passwd", "../canary", "app/../../canary", "..", ".", "",
                                    "mine", "app/k.py", "app/way-out/canary", "nowhere"])
@pytest.mark.parametrize("by_pax", [False, True])
def test_hard_links_to_what_this_archive_has_not_unpacked_are_refused(arena, target, by_pax):
    link = hardlink("app/link", target)
    if by_pax:
        link = pax(("linkpath", target)) + hardlink("app/link", "app/new")
    if by_pax and not target:  # an empty record unsets the value
        arena.contained(tar(file("app/new", "new"), link))
    else:
        arena.refused(tar(file("app/new", "new"), link), "app/link", "is a hard link")


def test_a_hard_link_to_itself_is_refused(arena):
    arena.refused(tar(hardlink("app/link", "app/link")), "app/link")


def test_a_ring_of_hard_links_is_refused(arena):
    arena.refused(tar(hardlink("a", "b"), hardlink("b", "c"), hardlink("c", "a")))


def test_a_hard_link_to_a_directory_is_refused(arena):
    arena.refused(tar(directory("app/d"), hardlink("app/link", "app/d")), "app/link")


@pytest.mark.parametrize("target", ["..", "../..", "/", ".", "way-out", "dir"])
def test_nothing_is_written_through_a_symlink_of_the_archive(arena, target):
    arena.refused(tar(symlink("app/s", target), file("app/s/canary")), "app/s")


def test_nothing_is_written_through_a_chain_of_symlinks(arena):
    arena.refused(tar(symlink("a", "b"), symlink("b", ".."), file("a/canary")), "a/canary")
    arena.refused(tar(directory("d"), symlink("d/up", ".."), symlink("d/up2", "up/.."),
                      file("d/up2/canary")), "d/up2/canary")


def test_no_hard_link_is_made_through_a_symlink(arena):
    arena.refused(tar(symlink("s", ".."), hardlink("app/link", "s/canary")), "app/link")


def test_nothing_is_written_through_a_symlink_that_is_there(arena):
    """app/way-out leads to the directory above: it is replaced, as in tar."""
    before = (arena.base / "place" / "canary").read_text()
    result = arena.contained(tar(file("app/way-out/canary")))
    assert result.returncode == 0
    assert (arena.base / "place" / "canary").read_text() == before
    assert not (arena.out / "app/way-out").is_symlink()


@pytest.mark.parametrize("parts", [
    [symlink("x", ".."), directory("x"), file("x/canary")],
    [directory("x"), symlink("x", ".."), file("x/canary")],
    [file("x"), directory("x"), file("x/canary")],
    [directory("x"), file("x/canary"), symlink("x", ".."), file("x/canary")],
    [symlink("x", "../canary"), file("x")],
    [file("x"), symlink("x", "../canary"), file("x")],
    [file("x"), hardlink("y", "x"), symlink("x", "../canary"), file("y")],
    [symlink("x", "../canary"), hardlink("y", "x"), file("y")],
    [symlink("x", "../canary"), hardlink("y", "x"), file("x"), file("y")],
    [symlink("x", ".."), directory("x"), symlink("x/y", "../.."), file("x/y/z")],
    [directory("x", mode=0), file("x/y"), directory("x", mode=0o777)],
    [symlink("x/", ".."), file("x/canary")],
    [hardlink("y", "x"), symlink("x", "../canary"), file("y/z")],
])
def test_a_name_that_changes_its_type_leads_nowhere(arena, parts):
    arena.contained(tar(*parts))
    assert (arena.base / "place/canary").read_text() == "canary"


@pytest.mark.parametrize("name", [b"", b".", b"./", b"././.", b"a\0b", b"\n", b"\xff" * 90,
                                  b" ", b"a/", b"a//b", b"a/./b"])
@pytest.mark.parametrize("kind", [file, directory])
def test_odd_names_stay_inside(arena, name, kind):
    arena.contained(tar(kind(name), file("app/new", "new")))


def short(value):
    return repr(value[:12]) + f"-{len(value)}" if isinstance(value, bytes) else None


@pytest.mark.parametrize("name", [b"n" * 256, b"n" * 100_000, b"d/" * 300 + b"f",
                                  b"x" * (1 << 20), b"a\0../../canary", b"\0", b"a\n../b"], ids=short)
@pytest.mark.parametrize("by", ["pax", "gnu"])
def test_long_names_stay_inside(arena, name, by):
    extension = pax(("path", name)) if by == "pax" else gnu_long(name)
    arena.contained(tar(extension + file("harmless")))
    listed = arena.run("list", "-f", "a.tar")
    arena.sane(listed)
    assert listed.stdout.count(b"\n") <= 1


def test_a_name_of_six_thousand_levels_is_refused(arena):
    arena.refused(tar(pax(("path", b"d/" * 6000 + b"f")) + file("harmless")), "2048 levels deep")


@pytest.mark.parametrize("target", [b"t" * 100_000, b"\0", b"a\0b", b"x" * (1 << 20)], ids=short)
def test_long_targets_of_symlinks_stay_inside(arena, target):
    arena.contained(tar(pax(("linkpath", target)) + symlink("app/link", "x")))


@pytest.mark.parametrize("type", [b"3", b"4", b"6", b"7", b"D", b"M", b"N", b"V", b"Z", b"\0",
                                  b"\xff", b"K", b"A", b"S"])
def test_odd_types_stay_inside(arena, type):
    arena.contained(tar(file("app/odd", "x" * 600, type=type), file("app/new", "new")))


def planted_journal(out):
    """A staging directory as a killed run would leave it, whose journal removes `mine`."""
    name = ".warmpack-aaaaaa"
    body = f"warmpack-journal 1 merge\narea {name} {out}\nremove 0 mine\n".encode()
    text = body + b"end 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n"
    return tar(directory(name, mode=0o700, uid=os.geteuid(), gid=os.getegid()),
               directory(name + "/new", mode=0o700), directory(name + "/old", mode=0o700),
               file(name + "/journal", text, mode=0o600), file(name + "/lock", b"", mode=0o600),
               file("app/new", "new"))


@pytest.mark.parametrize("options", [[], ["-p"]])
def test_an_archive_cannot_plant_a_journal_for_the_next_run(arena, options):
    first = arena.extract(arena.archive(planted_journal(arena.out)), *options)
    arena.sane(first)
    arena.sane(arena.extract(arena.archive(tar(file("app/newer", "newer")), "b.tar")))
    assert (arena.out / "mine").exists()
    assert not leftovers(arena.out)


def test_an_archive_cannot_plant_a_journal_in_a_directory_below(arena):
    """app/.warmpack-aaaaaa waits for somebody who unpacks into app."""
    name = ".warmpack-aaaaaa"
    body = f"warmpack-journal 1 merge\narea {name} {arena.out}/app\nremove 0 k.py\n".encode()
    text = body + b"end 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n"
    own = {"uid": os.geteuid(), "gid": os.getegid()}
    data = tar(directory("app/" + name, mode=0o700, **own),
               directory(f"app/{name}/new", mode=0o700), directory(f"app/{name}/old", mode=0o700),
               file(f"app/{name}/journal", text, mode=0o600),
               file(f"app/{name}/lock", b"", mode=0o600))
    arena.sane(arena.extract(arena.archive(data)))
    arena.sane(arena.run("extract", "-f", arena.archive(tar(file("newer")), "b.tar"), "-C",
                         arena.out / "app"))
    assert (arena.out / "app/k.py").exists()


def test_control_characters_of_names_do_not_reach_the_terminal(arena):
    path = arena.archive(tar(file(b"app/\x1b]0;x\x07\r\n"), file(b"../\x1b[2J")))
    for words in (["list", "-f", path], ["list", "-v", "-f", path],
                  ["extract", "-v", "-f", path, "-C", arena.out]):
        result = arena.run(*words)
        for stream in (result.stdout, result.stderr):
            assert not set(stream) & (set(range(32)) - {10})


# ---- Hard links and what their names meant -------------------------------------------------------

@pytest.mark.parametrize("parts, options", [
    ([file("app/left-out"), hardlink("app/link", "app/left-out")], ["--exclude", "app/left-out"]),
    ([hardlink("app/link", "app/left-out"), file("app/left-out")], ["--exclude", "app/left-out"]),
    ([file("left-out"), hardlink("app/link", "left-out")], ["app"]),
    ([file("left-out"), hardlink("x/app/link", "left-out")], ["--strip-components=1"]),
    ([file("a"), hardlink("app/link", "a"), hardlink("app/other", "app/link")], ["app"]),
])
def test_a_hard_link_to_a_member_that_is_left_out_fails_alone(arena, parts, options):
    """As in GNU tar: status 2, but all else is unpacked."""
    path = arena.archive(tar(*parts, file("app/new", "new"), file("x/app/new", "new")))
    result = arena.extract(path, *options)
    assert result.returncode == 2
    lines = result.stderr.decode().splitlines()
    assert "link" in lines[0] and "is a hard link to" in lines[0], lines
    assert (arena.out / "app/new").read_text() == "new"
    assert not (arena.out / "app/link").exists()
    assert not leftovers(arena.out)


DUPLICATES = {
    "file": [file("a", "one"), hardlink("b", "a"), file("a", "two")],
    "link-of-a-link": [file("a", "one"), hardlink("b", "a"), hardlink("c", "b"), file("b", "two")],
    "link-again": [file("a", "one"), file("b", "two"), hardlink("c", "a"), hardlink("c", "b")],
    "removed-for-a-link": [file("a", "one"), file("b", "two"), hardlink("b", "a")],
    "large": [file("a", "1" * 600_000), hardlink("b", "a"), file("a", "two")],
    "to-itself": [file("a", "one"), hardlink("a", "a")],
    "to-itself-by-another": [file("a", "one"), hardlink("b", "a"), hardlink("a", "b")],
    "chain": [file("a", "one"), hardlink("b", "a"), file("a", "two"), hardlink("c", "a"),
              file("a", "three"), hardlink("d", "b")],
    "symlink": [symlink("a", "one"), hardlink("b", "a"), file("a", "two")],
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_a_hard_link_leads_to_what_its_name_meant_at_that_place_of_the_archive(arena, name):
    path = arena.archive(tar(*DUPLICATES[name]))
    (arena.base / "tar").mkdir()
    run("tar", "-xf", path, "-C", arena.base / "tar")
    arena.run.ok("extract", "-f", path, "-C", arena.base / "ours")
    assert_same(look(arena.base / "tar"), look(arena.base / "ours"))


def test_a_hard_link_that_the_manifest_does_not_know_is_refused(arena):
    """The file with the right content is there, but under the link's name is another one."""
    for name in ("one", "two"):
        (arena.base / "src" / "app").mkdir(parents=True, exist_ok=True)
        (arena.base / "src" / "app" / name).write_text(name)
    (arena.base / "src/app/zlink").hardlink_to(arena.base / "src/app/one")
    arena.run.ok("-cf", "ours.tar", "-C", "src", "app")
    archive = Ours((arena.base / "ours.tar").read_bytes())
    arena.run.ok("extract", "-f", arena.archive(archive.tar()), "-C", arena.base / "x")
    for part in archive.parts:
        if part[1] == "app/zlink":
            head = part[0]
            at = head.rindex(b"app/one\0")
            head = bytearray(head[:at] + b"app/two" + head[at + 7:])
            block = head[-512:]
            block[148:156] = b" " * 8
            head[-512 + 148:-512 + 156] = b"%06o\0 " % sum(block)
            part[0] = bytes(head)
    arena.refused(archive.tar(), "app/zlink")
