"""bash, zsh and fish complete every verb and every option, as the shells themselves see it."""

import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import time

import pytest

from trees import BINARY, environment

BUILD = pathlib.Path(BINARY).parent


def output(*words, **more):
    done = subprocess.run([os.fspath(w) for w in words], capture_output=True, text=True,
                          timeout=60, check=False, **more)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def in_bash(line, cwd):
    """The line as bash splits it: at spaces, and "=" is a word of its own."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith(" ") else [])
    script = "\n".join([
        f"source {shlex.quote(str(BUILD / 'warmpack.bash'))}",
        f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}",
        "_warmpack",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ])
    return set(output("bash", "--norc", "-c", script, cwd=cwd, env=environment(cwd)).split())


def in_fish(line, cwd):
    words = "source $argv[1]; complete -C $argv[2]"
    text = output("fish", "--no-config", "-c", words, BUILD / "warmpack.fish", line, cwd=cwd,
                  env=environment(cwd))
    offers = {row.split("\t")[0] for row in text.splitlines()}
    return {re.sub(r"^--[a-z-]+=", "", offer) for offer in offers}


class Zsh:
    """A zsh at a terminal, since it completes only there."""

    def __init__(self, cwd):
        home = cwd / "zsh"
        home.mkdir()
        shutil.copy(BUILD / "warmpack.zsh", home / "_warmpack")
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(cwd)
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment(home, TERM="xterm"))
        self.pid = pid
        self.run("stty rows 900 columns 250; PROMPT= RPROMPT= PROMPT_EOL_MARK= LISTMAX=0 "
                 f"fpath=({shlex.quote(str(home))} $fpath); unset zle_bracketed_paste; "
                 "autoload -Uz compinit; compinit -u -D; "
                 # Says where the listing ends: a busy machine may pause in the middle. Not bound
                 # to ^D, which the terminal takes for itself as long as zsh does not read from it.
                 "listing() { zle list-choices; zle -R; print -rn -- end-$((40 + 2)) }; "
                 "zle -N listing; bindkey '^T' listing")

    def until(self, mark):
        seen, deadline = b"", time.monotonic() + 60
        while mark not in seen:
            assert select.select([self.terminal], [], [], deadline - time.monotonic())[0], seen
            seen += os.read(self.terminal, 65536)
        return seen.decode(errors="replace")

    def run(self, command):
        os.write(self.terminal, f"{command}\nprint mark-$((40 + 2))\r".encode())
        self.until(b"mark-42")

    def listing(self, line):
        """What appears below LINE."""
        os.write(self.terminal, line.encode() + b"\x14")
        seen = self.until(b"end-42").partition("end-42")[0]
        os.write(self.terminal, b"\x15")
        self.run("")
        return seen

    def offers(self, line):
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x08\x00]", " ", self.listing(line))
        rows = [re.sub(r"\s-- .*", "", row) for row in text.splitlines()[1:]]
        return {word.rstrip("/") for row in rows for word in row.split()}

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with a few names to offer."""
    path = tmp_path_factory.mktemp("place")
    (path / "app.tgz").touch()
    (path / "tree").mkdir()
    return path


@pytest.fixture(scope="module")
def zsh(place):
    shell = Zsh(place)
    yield shell
    shell.close()


@pytest.fixture(params=["bash", "zsh", "fish"])
def offers(request, place):
    """offers(LINE): what the shell offers where LINE ends."""
    if request.param == "zsh":
        return request.getfixturevalue("zsh").offers
    ask = {"bash": in_bash, "fish": in_fish}[request.param]
    return lambda line: ask(line, place)


VERBS = re.findall(r"^  warmpack ([a-z]+) ", output(BINARY, "--help"), re.M)


def options_of(verb):
    return set(re.findall(r"^  (?:-\w, |    )(--[a-z0-9-]+)", output(BINARY, verb, "--help"), re.M))


def test_every_verb_is_offered(offers):
    assert len(VERBS) >= 9
    assert set(VERBS) <= offers("warmpack ")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_offered_and_no_other(offers, verb):
    found = {word for word in offers(f"warmpack {verb} --") if word.startswith("--")} - {"--"}
    assert found == options_of(verb)


@pytest.mark.parametrize("line, verb", [("-czf a.tgz", "create"), ("xf a.tgz", "extract"),
                                        ("--list", "list")])
def test_tars_spelling_is_understood(offers, line, verb):
    found = {word for word in offers(f"warmpack {line} --") if word.startswith("--")} - {"--"}
    assert options_of(verb) - {"--file", "--gzip"} <= found  # These are given.


@pytest.mark.parametrize("line", ["extract --layout ", "extract --layout=", "restore --layout "])
def test_values_are_offered(offers, line):
    assert {"auto", "keep", "in-tree", "cache-dir", "user-wide"} <= offers("warmpack " + line)


def test_formats_are_those_that_are_written(offers):
    written = re.search(r"^Formats: (.*?)\. ", output(BINARY, "create", "--help"), re.M)[1].split()
    assert len(written) >= 6
    found = offers("warmpack create --format ") - {"warmpack", "create", "--format"}  # the line
    assert found == set(written)


@pytest.mark.parametrize("line", ["list -f ", "-czf ", "xzf ", "create --file "])
def test_archives_are_files(offers, line):
    assert {"app.tgz", "tree"} <= {name.rstrip("/") for name in offers("warmpack " + line)}


@pytest.mark.parametrize("line", ["verify ", "extract -C ", "extract -f other.tgz --cache-dir "])
def test_directories_are_directories(offers, line):
    found = {name.rstrip("/") for name in offers("warmpack " + line)}
    assert "tree" in found
    assert "app.tgz" not in found


def test_users_are_offered(offers):
    assert "root" in offers("warmpack extract --user ro")
