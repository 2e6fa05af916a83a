"""The command line: what is refused and how, help texts and man pages in step, tar's spelling."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERBS = ["create", "extract", "list", "amend", "restore", "verify", "inspect", "env", "path"]


def options_of_help(text):
    """Each long option that a line of the help text begins with."""
    return set(re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+)", text, re.M))


def options_of_page(verb):
    """Each long option that an item of the man page begins with."""
    items = re.findall(r"^\.It (.*Fl.*)$", (ROOT / f"man/warmpack-{verb}.1").read_text(), re.M)
    return {name for item in items for name in re.findall(r"Fl -([a-z0-9-]+)", item)}


def refused(result):
    """It failed with one line that points at the help; returns the line."""
    assert result.returncode == 2, result
    assert result.stdout == b""
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("warmpack: ")
    return lines[0]


def tree(path):
    """An application with a source file of a time that has nanoseconds."""
    (path / "app").mkdir(parents=True)
    (path / "app" / "k.py").write_text("x = 1\n")
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_help_goes_to_stdout_and_names_what_the_man_page_names(warmpack, verb):
    result = warmpack(verb, "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    shown = options_of_help(result.stdout.decode())
    assert {"help", "version", "json", "threads", "progress", "quiet", "verbose"} <= shown
    assert shown == options_of_page(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_the_help_is_taken_and_the_others_are_refused_by_name(warmpack, verb):
    everything = set().union(*(options_of_page(v) for v in VERBS))
    taken = options_of_help(warmpack(verb, "--help").stdout.decode())
    values = {"threads": "1", "progress": "never", "level": "1", "strip-components": "1", "max-size": "1",
              "layout": "keep", "mtime": "@1", "restamp": "auto", "gzip-members": "one", "format": "tgz"}
    page = "\n".join((ROOT / f"man/warmpack-{v}.1").read_text() for v in VERBS)
    for option in sorted(everything - {"help", "version"}):
        argument = []
        if re.search(rf"Fl -{option} Ar", page):
            argument = [values.get(option, "x")]
        if (verb, option) == ("env", "probe"):
            continue  # It needs nothing else.
        # No operand and no archive: something is always missing, but not the option.
        line = refused(warmpack(verb, f"--{option}", *argument))
        assert (f"{verb} does not take" in line or "not written" in line) == (option not in taken), line
        if option not in taken:
            assert f"--{option}" in line


def test_help_lines_fit_a_wide_terminal(warmpack):
    for verb in VERBS:
        for line in warmpack(verb, "--help").stdout.decode().splitlines():
            assert len(line) <= 110, line


def test_help_of_the_program_names_every_verb(warmpack):
    result = warmpack("--help")
    assert (result.returncode, result.stderr) == (0, b"")
    for verb in VERBS:
        assert f"warmpack {verb}" in result.stdout.decode()


def test_help_of_tar_letters_is_the_help_of_their_verb(warmpack):
    assert warmpack("-x", "--help").stdout == warmpack("extract", "--help").stdout


def test_version_goes_to_stdout(warmpack):
    for args in [["--version"], ["create", "--version"], ["verify", "--version"]]:
        result = warmpack(*args)
        assert (result.returncode, result.stderr) == (0, b"")
        assert re.fullmatch(rb"warmpack \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("args, said", [
    ([], "nothing to do"),
    (["frobnicate"], "'frobnicate' is not a verb"),
    (["-f", "a.tgz", "app"], "no verb"),
    (["-cxf", "a.tgz"], "exclude one another"),
    (["create", "-xf", "a.tgz"], "already given"),
    (["create", "app"], "give -f ARCHIVE"),
    (["list"], "give -f ARCHIVE"),
    (["extract"], "give -f ARCHIVE"),
    (["create", "-f"], "needs an argument"),
    (["create", "-f", "", "app"], "empty"),
    (["create", "-f", "a.tgz"], "no PATH"),
    (["create", "-f", "a.tgz", ""], "empty"),
    (["restore", "--runtime-root", "", "app"], "--runtime-root: the name is empty"),
    (["create", "-f", "a.tgz", "--source-root", "", "app"], "--source-root: the name is empty"),
    (["create", "-f", "a.tgz", "-f", "b.tgz", "app"], "twice"),
    (["create", "-f", "a.tgz", "app", "-C", "x"], "no effect"),
    (["extract", "-f", "a.tgz", "app", "-C", "x"], "before every PATTERN"),
    (["create", "--bogus"], "unknown option --bogus"),
    (["create", "-Y"], "unknown option -Y"),
    (["create", "-qY"], "unknown option -Y"),
    (["create", "--no-"], "ambiguous"),
    (["create", "--strict=yes"], "takes no argument"),
    (["create", "-f", "a.tgz", "--threads", "many", "app"], "not a number"),
    (["create", "-f", "a.tgz", "--threads", "-1", "app"], "range"),
    (["create", "-f", "a.tgz", "--threads", "99999999999999999999", "app"], "range"),
    (["extract", "-f", "a.tgz", "--strip-components", "1x"], "not a number"),
    (["extract", "-f", "a.tgz", "--layout", "nowhere"], "not known"),
    (["extract", "-f", "a.tgz", "--layout", "cache-dir"], "NUMBA_CACHE_DIR"),
    (["create", "-f", "a.tgz", "--progress", "often", "app"], "not known"),
    (["create", "-f", "a.tgz", "--level", "99", "app"], "levels"),
    (["create", "-f", "a.tar", "--level", "1", "app"], "not compressed"),
    (["create", "-f", "a.tar.zst", "--gzip-members", "one", "app"], "for tgz"),
    (["create", "-f", "a.rar", "app"], "tgz"),
    (["create", "-f", "a.tgz", "--format", "rar", "app"], "not known"),
    (["create", "-f", "a.tgz", "-z", "--zstd", "app"], "conflicting"),
    (["create", "-f", "a.tgz", "--format", "tgz", "--zstd", "app"], "exclude"),
    (["create", "-f", "a.tgz", "--format", "gnu", "app"], "whole seconds"),
    (["create", "-f", "a.tgz", "--format", "ustar", "app"], "whole seconds"),
    (["create", "-jf", "a.tbz", "app"], "bzip2 is read, not written"),
    (["create", "-Jf", "a.txz", "app"], "xz is read, not written"),
    (["create", "-f", "-", "--json", "app"], "standard output"),
    (["extract", "-f", "a.tgz", "-O", "--json"], "standard output"),
    (["extract", "-f", "a.tgz", "-O", "--replace"], "excludes --replace"),
    (["extract", "-f", "a.tgz", "-k", "--replace"], "exclude"),
    (["extract", "-f", "-", "-T", "-"], "standard input is named twice"),
    (["create", "-f", "a.tgz", "--no-cache-dir", "--cache-dir", "x", "app"], "exclude"),
    (["create", "-f", "a.tgz", "--owner", "nobody-of-that-name", "app"], "NAME:NUMBER"),
    (["create", "-f", "a.tgz", "--group", "g:x", "app"], "not a number"),
    (["create", "-f", "a.tgz", "--owner", "u:4294967295", "app"], "not a number"),
    (["extract", "-f", "a.tgz", "--strict"], "extract does not take --strict"),
    (["verify"], "give one DIR"),
    (["verify", "app", "-f", "a.tgz"], "give one DIR"),
    (["verify", "app", "app"], "give one DIR"),
    (["path"], "no FILE.py"),
])
def test_bad_usage_is_one_line_that_names_the_cause(warmpack, tmp_path, args, said):
    line = refused(warmpack(*args, cwd=tree(tmp_path)))
    assert said in line
    assert "--help'" in line
    assert not list(tmp_path.glob("*.t*"))


def test_control_characters_of_the_command_line_are_escaped(warmpack):
    line = refused(warmpack("create", b"--bo\x1b[31mgus\n\xff"))
    assert "--bo\\033[31mgus\\n\\377" in line


@pytest.mark.parametrize("args, said", [
    (["create", "-f", "a.tgz", "--cache-dir", "nowhere", "app"], "nowhere"),
    (["create", "-f", "a.tgz", "--cache-dir", "app/k.py", "app"], "app/k.py"),
    (["create", "-f", "a.tgz", "-T", "nowhere"], "nowhere"),
    (["create", "-f", "a.tgz", "-X", "nowhere", "app"], "nowhere"),
    (["create", "-f", "a.tgz", "nowhere"], "nowhere"),
    (["create", "-f", "a.tgz", "-C", "nowhere", "app"], "nowhere"),
    (["list", "-f", "nowhere.tgz"], "nowhere.tgz"),
    (["extract", "-f", "nowhere.tgz"], "nowhere.tgz"),
    (["verify", "-f", "nowhere.tgz"], "nowhere.tgz"),
    (["verify", "nowhere"], "nowhere"),
])
def test_what_is_missing_is_named_with_the_cause(warmpack, tmp_path, args, said):
    line = refused(warmpack(*args, cwd=tree(tmp_path)))
    assert said in line
    assert re.search(r"No such file|Not a directory", line)
    assert not list(tmp_path.glob("*.t*"))


def names(warmpack, archive):
    result = warmpack("list", "-f", archive)
    assert result.returncode == 0, result
    return result.stdout.decode().splitlines()


@pytest.mark.parametrize("args", [
    ["-czf", "a.tgz", "app"],
    ["czf", "a.tgz", "app"],
    ["-cz", "-f", "a.tgz", "app"],
    ["-f", "a.tgz", "-zc", "app"],
    ["cfz", "a.tgz", "app"],
    ["cfC", "a.tgz", ".", "app"],
    ["-czfa.tgz", "app"],
    ["--create", "--file=a.tgz", "app"],
    ["create", "--dir=.", "-f", "a.tgz", "app"],
    ["create", "app", "-f", "a.tgz"],
    ["create", "-f", "a.tgz", "--", "app"],
    ["create", "-pvf", "a.tgz", "app"],
])
def test_the_spellings_of_create_mean_the_same(warmpack, tmp_path, args):
    tree(tmp_path)
    result = warmpack(*args)
    assert (result.returncode, result.stdout) == (0, b""), result
    assert [n for n in names(warmpack, tmp_path / "a.tgz") if ".warmpack" not in n] == [
        "app/", "app/k.py"]


@pytest.mark.parametrize("args", [
    ["-xzf", "a.tgz", "-C", "out"], ["xzf", "a.tgz", "-C", "out"], ["xfC", "a.tgz", "out"],
    ["--extract", "-f", "a.tgz", "-C", "out"], ["--get", "-fa.tgz", "-Cout"],
    ["extract", "-C", "out", "-f", "a.tgz"], ["-xvpf", "a.tgz", "--directory=out"],
    ["-xJf", "a.tgz", "-C", ".", "-C", "out"],
])
def test_the_spellings_of_extract_mean_the_same(warmpack, tmp_path, args):
    tree(tmp_path)
    assert warmpack("-czf", "a.tgz", "app").returncode == 0
    result = warmpack(*args)
    assert (result.returncode, result.stdout) == (0, b""), result
    assert (tmp_path / "out/app/k.py").read_text() == "x = 1\n"


def test_each_C_is_relative_to_the_one_before(warmpack, tmp_path):
    tree(tmp_path / "one")
    tree(tmp_path / "one" / "two" / "three")
    (tmp_path / "one/two/three/app").rename(tmp_path / "one/two/three/other")
    result = warmpack("-cf", "a.tar", "-C", "one", "app", "-C", "two", "-C", "three", "other")
    assert result.returncode == 0, result
    assert {"app/k.py", "other/k.py"} <= set(names(warmpack, tmp_path / "a.tar"))


@pytest.mark.parametrize("listed, flags", [
    (b"app/k.py\n\n-odd\n", []), (b"app/k.py\0-odd\0", ["-0"]), (b"app/k.py\0-odd", ["--null"]),
    (b"app/k.py\n-odd", []), (b"app/k.py\0-odd\0", []),
])
def test_T_takes_names_from_a_file_verbatim(warmpack, tmp_path, listed, flags):
    tree(tmp_path)
    (tmp_path / "-odd").write_text("")
    result = warmpack("-cf", "a.tar", "-T", "-", *flags, stdin=listed)
    assert result.returncode == 0, result
    assert {"app/k.py", "-odd"} <= set(names(warmpack, tmp_path / "a.tar"))


def test_exclude_leaves_out_and_the_file_of_patterns_too(warmpack, tmp_path):
    tree(tmp_path)
    for name in ["a.o", "b.pyc", "c.txt"]:
        (tmp_path / "app" / name).write_text("")
    (tmp_path / "patterns").write_text("*.pyc \n\n")
    result = warmpack("-cf", "a.tar", "--exclude", "*.o", "-X", "patterns", "app")
    assert result.returncode == 0, result
    kept = names(warmpack, tmp_path / "a.tar")
    assert {"app/k.py", "app/c.txt"} <= set(kept)
    assert not {"app/a.o", "app/b.pyc"} & set(kept)


def test_an_archive_goes_to_standard_output_as_a_plain_tar_without_a_hint(warmpack, tmp_path):
    tree(tmp_path)
    plain = warmpack("-cf", "-", "app")
    assert plain.returncode == 0
    assert plain.stdout[257:262] == b"ustar"
    assert warmpack("-czf", "-", "app").stdout[:2] == b"\x1f\x8b"
    assert warmpack("-cf", "-", "--zstd", "app").stdout[:4] == b"\x28\xb5\x2f\xfd"


def test_z_wins_over_the_suffix(warmpack, tmp_path):
    tree(tmp_path)
    assert warmpack("-czf", "a.tar.zst", "app").returncode == 0
    assert (tmp_path / "a.tar.zst").read_bytes()[:2] == b"\x1f\x8b"


def test_format_wins_over_the_suffix_and_pax_is_a_tar(warmpack, tmp_path):
    tree(tmp_path)
    assert warmpack("create", "--format", "tar.zst", "-f", "a.bin", "app").returncode == 0
    assert (tmp_path / "a.bin").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert warmpack("create", "--format=pax", "-f", "b.bin", "app").returncode == 0
    assert (tmp_path / "b.bin").read_bytes()[257:262] == b"ustar"
    assert warmpack("create", "--posix", "-f", "b.tgz", "app").returncode == 0
    assert (tmp_path / "b.tgz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_full_disk_behind_standard_output_is_an_error(warmpack, tmp_path):
    tree(tmp_path)
    assert warmpack("-czf", "a.tgz", "app").returncode == 0
    for args in [["create", "--help"], ["--version"], ["tf", "a.tgz"], ["list", "--json", "-f", "a.tgz"],
                 ["verify", "-q", "--json", "app"], ["inspect", "-q", "--json", "app"]]:
        with open("/dev/full", "wb") as full:
            result = warmpack(*args, stdout=full)
        assert result.returncode == 2, args
        assert result.stderr == b"warmpack: standard output: No space left on device\n"


def test_quiet_says_nothing_and_progress_only_when_asked(warmpack, tmp_path):
    tree(tmp_path)
    assert warmpack("-cqf", "a.tgz", "app").stderr == b""
    loud = warmpack("-cf", "a.tgz", "app").stderr
    assert loud.startswith(b"a.tgz: ") and loud.count(b"\n") == 1 and b"\r" not in loud
    assert b"\r" in warmpack("-cf", "a.tgz", "--progress=always", "app").stderr
