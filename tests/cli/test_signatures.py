"""--sign and --trust: only what a trusted key has signed is unpacked, restored or called valid."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
import trees
from trees import needs_root, refused, write

SUFFIXES = ["tgz", "tar", "tar.zst", "zip"]
CONTEXT = b"warmpack-manifest signature 1\0"


def openssl(*words):
    subprocess.run(["openssl", *map(os.fspath, words)], check=True, capture_output=True)


def key(path, *kind):
    """Writes NAME.pem and NAME.pub.pem as the README's two lines do."""
    openssl("genpkey", *(kind or ["-algorithm", "ed25519"]), "-out", path / "key.pem")
    openssl("pkey", "-in", path / "key.pem", "-pubout", "-out", path / "pub.pem")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """mine/ and other/, each with key.pem and pub.pem."""
    top = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        (top / name).mkdir()
        key(top / name)
    return top


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    write(app / "pkg/k.py", "x = 1\n", ns=10**18 + 1)
    write(app / "pkg/__init__.py", "", ns=10**18 + 2)
    trees.index(app / "pkg/k.py")
    return app


@pytest.fixture
def signed(warmpack, app, keys):
    warmpack.ok("create", "-qf", "a.tar", "--sign", keys / "mine/key.pem", "app")
    return warmpack.cwd / "a.tar"


def manifest_of(tree):
    (found,) = tree.glob(".warmpack/*/manifest.jsonl")
    return found


def members(archive):
    with tarfile.open(archive) as t:
        return t.pax_headers, [(m, t.extractfile(m).read() if m.isfile() else None) for m in t]


def rewrite(archive, change):
    """Writes the archive anew, with what CHANGE(member, content) returns for each: a list of such
    pairs. Sizes follow the content, and the manifest does not say where it begins: nothing but what
    is signed keeps the archive from being taken."""
    mark, old = members(archive)
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT, pax_headers=mark) as t:
        for member, content in old:
            if member.name.endswith("manifest.jsonl"):
                member.pax_headers = {}
            for new, text in change(member, content):
                if text is not None:
                    new.size = len(text)
                t.addfile(new, None if text is None else io.BytesIO(text))


def with_manifest(archive, change):
    """Gives the archive the manifest that CHANGE(text) returns."""
    def each(member, content):
        is_manifest = member.name.endswith("manifest.jsonl")
        return [(member, change(content) if is_manifest else content)]

    rewrite(archive, each)


def end_line(before, entries):
    digest = hashlib.sha256(before).hexdigest()
    return json.dumps({"end": True, "entries": entries, "sha256": digest}).encode() + b"\n"


def signature(private, before):
    """The line that signs BEFORE, made without the program: the man page says how."""
    message = private.parent / "message"
    message.write_bytes(CONTEXT + hashlib.sha256(before).digest())
    openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", message,
            "-out", message.with_suffix(".sig"))
    openssl("pkey", "-in", private, "-pubout", "-outform", "DER",
            "-out", message.with_suffix(".der"))
    value = message.with_suffix(".sig").read_bytes().hex()
    public = message.with_suffix(".der").read_bytes()[-32:].hex()
    return json.dumps({"signature": {"algorithm": "ed25519", "key": public,
                                     "value": value}}).encode() + b"\n"


def untouched(warmpack, *names):
    for name in names:
        assert not (warmpack.cwd / name).exists(), name


# ---- What is promised ------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_trusted_key_signed_is_taken_from_files_and_pipes(warmpack, app, keys, suffix):
    name = "a." + suffix
    mine, other = keys / "mine/pub.pem", keys / "other/pub.pem"
    warmpack.ok("create", "-qf", name, "--sign", keys / "mine/key.pem", "app")
    data = (warmpack.cwd / name).read_bytes()
    warmpack.ok("extract", "-qf", name, "-C", "file", "--trust", mine)
    warmpack.ok("extract", "-qf", "-", "-C", "pipe", "--trust", mine, stdin=data)
    warmpack.ok("verify", "-qf", name, "--trust", other, "--trust", mine)
    for place in ("file", "pipe"):
        assert (warmpack.cwd / place / "app/pkg/k.py").read_text() == "x = 1\n"
        warmpack.ok("verify", "-q", place, "--trust", mine)
        warmpack.ok("restore", "-q", place, "--trust", mine)
    for args in (("extract", "-f", name, "-C", "no"), ("verify", "-f", name)):
        refused(warmpack(*args, "--trust", other), "no key that is trusted")
    refused(warmpack("extract", "-f", "-", "-C", "no", "--trust", other, stdin=data),
            "no key that is trusted")
    refused(warmpack("verify", "file", "--trust", other), "no key that is trusted")
    refused(warmpack("restore", "file", "--trust", other), "no key that is trusted")
    untouched(warmpack, "no")


def test_the_same_tree_and_key_give_the_same_bytes(warmpack, app, keys):
    for name in ("a.tgz", "b.tgz"):
        warmpack.ok("create", "-qf", name, "--sign", keys / "mine/key.pem", "app")
    assert (warmpack.cwd / "a.tgz").read_bytes() == (warmpack.cwd / "b.tgz").read_bytes()


def test_the_signature_is_what_the_page_says(warmpack, signed, keys):
    """Who has openssl alone can check it."""
    text = next(c for m, c in members(signed)[1] if m.name.endswith("manifest.jsonl"))
    lines = text.splitlines(keepends=True)
    assert json.loads(lines[-2])["end"] is True
    assert signature(keys / "mine/key.pem", b"".join(lines[:-1])) == lines[-1]


def test_a_wheel_and_its_record_are_covered(warmpack, keys):
    w = warmpack.cwd / "w"
    write(w / "p/__init__.py", "y = 1\n", ns=10**18)
    write(w / "p-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: p\nVersion: 1\n", ns=10**18)
    write(w / "p-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
          "Tag: py3-none-any\n", ns=10**18)
    write(w / "p-1.dist-info/RECORD", "", ns=10**18)
    warmpack.ok("create", "-qf", "p-1-py3-none-any.whl", "--sign", keys / "mine/key.pem", "-C", "w",
                "p", "p-1.dist-info")
    for args in (("verify", "-qf"), ("extract", "-q", "-C", "o", "-f")):
        warmpack.ok(*args, "p-1-py3-none-any.whl", "--trust", keys / "mine/pub.pem")


def test_warmpack_trust_counts_where_no_option_is_given(warmpack, signed, app, keys):
    def trust(*names):
        return {"WARMPACK_TRUST": ":".join(str(keys / n) for n in names)}

    refused(warmpack("extract", "-f", signed, "-C", "no", env=trust("other/pub.pem")), "no key")
    refused(warmpack("verify", "-f", signed, env=trust("other/pub.pem")), "no key")
    untouched(warmpack, "no")
    warmpack.ok("extract", "-qf", signed, "-C", "o", env=trust("other/pub.pem", "mine/pub.pem"))
    refused(warmpack("restore", "o", env=trust("other/pub.pem")), "no key")
    warmpack.ok("verify", "-q", "o", "--trust", keys / "mine/pub.pem", env=trust("other/pub.pem"))
    refused_usage = warmpack("extract", "-f", signed, "-C", "no", env={"WARMPACK_TRUST": ":"})
    assert refused_usage.returncode == 2 and b"WARMPACK_TRUST names no key" in refused_usage.stderr
    refused(warmpack("extract", "-f", signed, "-C", "no", env=trust("nothing.pem")), "nothing.pem")
    warmpack.ok("list", "-f", signed, env=trust("nothing.pem"))  # promises nothing, asks nothing
    untouched(warmpack, "no")


def test_a_directory_of_keys(warmpack, signed, keys, tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    (ring / "README").write_text("junk\n")
    (ring / ".hidden").write_bytes(b"\0\xff")
    (ring / "old.pem.bak").write_text("junk\n")
    (ring / "sub").mkdir()
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", ring), "holds no key", "ring")
    shutil.copy(keys / "other/pub.pem", ring / "other.pem")
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", ring), "no key that is")
    shutil.copy(keys / "mine/pub.pem", ring / "mine.pem")
    warmpack.ok("extract", "-qf", signed, "-C", "o", "--trust", ring)
    # A key that cannot be read may be the one that was meant: nothing is guessed.
    (ring / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n")
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", ring), "broken.pem",
            "no public key")
    untouched(warmpack, "no")


# ---- Keys ------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, word", [
    (["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"], "RSA"),
    (["-algorithm", "ed448"], "ED448"),
    (["-algorithm", "x25519"], "X25519"),
    (["-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "EC"),
])
def test_keys_of_other_kinds_are_refused_by_name(warmpack, signed, tmp_path, kind, word):
    key(tmp_path, *kind)
    refused(warmpack("create", "-f", "no.tgz", "--sign", "key.pem", "app"), "key.pem", word,
            "not Ed25519")
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", "pub.pem"), "pub.pem", word)
    untouched(warmpack, "no.tgz", "no")


def test_what_is_no_key_is_refused_with_one_line(warmpack, signed, keys, tmp_path):
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out",
            tmp_path / "locked.pem")
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "large.pem").write_bytes(b"-" * (1 << 20))
    os.mkfifo(tmp_path / "fifo.pem")
    for name, word in (("locked.pem", "password"), ("empty.pem", "no private key"),
                       ("large.pem", "large"), ("fifo.pem", "not a regular file"),
                       ("gone.pem", "No such"), (keys / "mine/pub.pem", "is a public key")):
        refused(warmpack("create", "-f", "no.tgz", "--sign", name, "app"), word)
    (tmp_path / "two.pem").write_bytes((keys / "other/pub.pem").read_bytes()
                                       + (keys / "mine/pub.pem").read_bytes())
    (tmp_path / "cut.pem").write_bytes((keys / "mine/pub.pem").read_bytes()[:60])
    openssl("pkey", "-pubin", "-in", keys / "mine/pub.pem", "-outform", "DER", "-out",
            tmp_path / "der.pem")
    for name, word in (("empty.pem", "no public key"), ("fifo.pem", "not a regular file"),
                       ("/dev/zero", "not a regular file"), ("two.pem", "several keys"),
                       ("cut.pem", "no public key"), ("der.pem", "no public key"),
                       ("gone.pem", "No such"), (keys / "mine/key.pem", "is a private key")):
        refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", name), word)
    untouched(warmpack, "no.tgz", "no")


@needs_root
def test_a_key_that_may_not_be_read_is_no_key_less(warmpack, keys):
    place = trees.public_directory()
    try:
        shutil.copy(keys / "mine/pub.pem", place / "pub.pem")
        (place / "pub.pem").chmod(0)
        (warmpack.cwd / "home").chmod(0o755)
        said = subprocess.run(trees.command("verify", place, "--trust", place, user=trees.NOBODY),
                              cwd="/", env=warmpack.variables(), capture_output=True, check=False)
        refused(said, "pub.pem", "Permission denied")
    finally:
        trees.remove_tree(place)


# ---- Archives that were altered --------------------------------------------------------------

def altered_content(member, content):
    if member.name.endswith("k.py"):
        content = b"x = 2\n"
    return [(member, content)]


def altered_mode(member, content):
    if member.name.endswith("k.py"):
        member.mode = 0o6755
    return [(member, content)]


def altered_owner(member, content):
    if member.name.endswith("k.py"):
        member.uid += 1
    return [(member, content)]


def altered_owner_name(member, content):
    if member.name.endswith("k.py"):
        member.uname = "somebody"
    return [(member, content)]


def one_more_entry(member, content):
    more = tarfile.TarInfo("app/pkg/new.py")
    return [(more, b"import os\n"), (member, content)] if member.name.endswith("k.py") \
        else [(member, content)]


def one_entry_less(member, content):
    return [] if member.name.endswith("__init__.py") else [(member, content)]


def an_entry_twice(member, content):
    if not member.name.endswith("k.py"):
        return [(member, content)]
    return [(member, b"x = 2\n"), (tarfile.TarInfo.frombuf(
        member.tobuf(tarfile.PAX_FORMAT)[-512:], "utf-8", "strict"), content)]


def a_link_in_its_place(member, content):
    if not member.name.endswith("k.py"):
        return [(member, content)]
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [(member, None)]


@pytest.mark.parametrize("change", [
    altered_content, altered_mode, altered_owner, altered_owner_name, one_more_entry,
    one_entry_less, an_entry_twice, a_link_in_its_place], ids=lambda f: f.__name__)
def test_an_archive_that_is_not_what_was_signed_is_refused(warmpack, signed, keys, change):
    trust = ("--trust", keys / "mine/pub.pem")
    rewrite(signed, lambda m, c: [(m, c)])
    warmpack.ok("extract", "-qf", signed, "-C", "o", *trust)  # rewriting alone changes nothing
    rewrite(signed, change)
    refused(warmpack("extract", "-f", signed, "-C", "no", *trust))
    refused(warmpack("extract", "-f", "-", "-C", "no", *trust, stdin=signed.read_bytes()))
    refused(warmpack("verify", "-f", signed, *trust))
    untouched(warmpack, "no")
    assert not list(warmpack.cwd.glob(".warmpack*"))


def altered(text):
    return text.replace(b'"0644"', b'"0755"', 1)


def altered_and_digested_anew(text):
    lines = altered(text).splitlines(keepends=True)
    before = b"".join(lines[:-2])
    return before + end_line(before, json.loads(lines[-2])["entries"]) + lines[-1]


def signature_cut_off(text):
    return b"".join(text.splitlines(keepends=True)[:-1])


def signature_first(text):
    lines = text.splitlines(keepends=True)
    before = lines[0] + lines[-1] + b"".join(lines[1:-2])
    return before + end_line(before, json.loads(lines[-2])["entries"])


def signature_before_the_end(text):
    lines = text.splitlines(keepends=True)
    before = b"".join(lines[:-2]) + lines[-1]
    return before + end_line(before, json.loads(lines[-2])["entries"])


def records_behind_the_signature(text):
    """The signed text as the beginning of a longer one."""
    lines = text.splitlines(keepends=True)
    last = json.loads(lines[-2])
    assert "end" in last
    before = b"".join(lines[:-2]) + lines[-1] + b'{"note": 1}\n'
    return before + end_line(before, last["entries"])


def trailing_bytes(text):
    return text + b" "


def trailing_line(text):
    return text + b'{"path": "x"}\n'


def other_value(text):
    head, _, tail = text.rpartition(b'"value": "')
    return head + b'"value": "' + (b"1" if tail[:1] == b"0" else b"0") + tail[1:]


def short_value(text):
    return text.replace(b'"}}\n', b"", 1)[:-2] + b'"}}\n'


def unknown_algorithm(text):
    return text.replace(b'"ed25519"', b'"ed25519ph"')


def no_algorithm(text):
    return text.replace(b'"algorithm": "ed25519", ', b"")


def no_object(text):
    return b"".join(text.splitlines(keepends=True)[:-1]) + b'{"signature": "yes"}\n'


CHANGES = [altered, altered_and_digested_anew, signature_cut_off, signature_first,
           signature_before_the_end, records_behind_the_signature, trailing_bytes, trailing_line,
           other_value, short_value, unknown_algorithm, no_algorithm, no_object]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_manifest_that_is_not_the_signed_one_is_refused(warmpack, signed, keys, change):
    trust = ("--trust", keys / "mine/pub.pem")
    before = signed.read_bytes()
    with_manifest(signed, change)
    assert signed.read_bytes() != before
    refused(warmpack("extract", "-f", signed, "-C", "no", *trust))
    refused(warmpack("extract", "-f", "-", "-C", "no", *trust, stdin=signed.read_bytes()))
    refused(warmpack("verify", "-f", signed, *trust))
    untouched(warmpack, "no")


def test_the_signature_of_another_manifest_is_refused(warmpack, signed, app, keys):
    write(app / "pkg/k.py", "x = 2\n", ns=10**18 + 1)
    warmpack.ok("create", "-qf", "b.tar", "--sign", keys / "mine/key.pem", "app")
    lines = [next(c for m, c in members(warmpack.cwd / n)[1] if m.name.endswith("manifest.jsonl"))
             .splitlines(keepends=True) for n in ("a.tar", "b.tar")]
    assert lines[0][-1] != lines[1][-1]
    with_manifest(signed, lambda text: b"".join(lines[0][:-1]) + lines[1][-1])
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", keys / "mine/pub.pem"),
            "wrong")


def test_another_key_under_the_trusted_ones_name_is_refused(warmpack, signed, keys):
    def confuse(text):
        lines = text.splitlines(keepends=True)
        mine = json.loads(lines[-1])["signature"]
        line = json.loads(signature(keys / "other/key.pem", b"".join(lines[:-1])))
        line["signature"]["key"] = mine["key"]
        return b"".join(lines[:-1]) + json.dumps(line).encode() + b"\n"

    with_manifest(signed, confuse)
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", keys / "mine/pub.pem"),
            "wrong")


def test_a_signature_without_the_context_is_refused(warmpack, signed, keys):
    """What the key signs elsewhere, such as a bare digest, is no signature of a manifest."""
    def bare(text):
        lines = text.splitlines(keepends=True)
        before = b"".join(lines[:-1])
        line = json.loads(lines[-1])
        message = keys / "bare"
        message.write_bytes(hashlib.sha256(before).digest())
        openssl("pkeyutl", "-sign", "-inkey", keys / "mine/key.pem", "-rawin", "-in", message,
                "-out", keys / "bare.sig")
        line["signature"]["value"] = (keys / "bare.sig").read_bytes().hex()
        return before + json.dumps(line).encode() + b"\n"

    with_manifest(signed, bare)
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", keys / "mine/pub.pem"),
            "wrong")


def test_of_several_signatures_one_is_enough(warmpack, signed, keys):
    with_manifest(signed, lambda t: t + signature(keys / "other/key.pem", t))
    for who in ("mine", "other"):
        warmpack.ok("extract", "-qf", signed, "-C", who, "--trust", keys / who / "pub.pem")
    # The second covers the first, too.
    with_manifest(signed, lambda t: b"".join(
        line for i, line in enumerate(t.splitlines(keepends=True))
        if i != len(t.splitlines()) - 2))
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", keys / "other/pub.pem"))


def test_many_signatures_cost_nothing(warmpack, signed, keys):
    """Only the first 64 are looked at, so that a hostile manifest cannot ask for millions."""
    line = json.dumps({"signature": {"algorithm": "x"}}).encode() + b"\n"
    with_manifest(signed, lambda t: signature_cut_off(t) + line * 64 + signature(
        keys / "mine/key.pem", signature_cut_off(t) + line * 64))
    refused(warmpack("extract", "-f", signed, "-C", "no", "--trust", keys / "mine/pub.pem"))
    warmpack.ok("extract", "-qf", signed, "-C", "o")


def test_what_was_never_signed_is_refused(warmpack, app, keys):
    trust = ("--trust", keys / "mine/pub.pem")
    warmpack.ok("create", "-qf", "plain.tgz", "app")
    refused(warmpack("extract", "-f", "plain.tgz", "-C", "no", *trust), "is not signed")
    trees.run("tar", "czf", "foreign.tgz", "app", cwd=warmpack.cwd)
    refused(warmpack("extract", "-f", "foreign.tgz", "-C", "no", *trust), "no manifest")
    refused(warmpack("verify", "-f", "foreign.tgz", *trust), "no manifest")
    warmpack.ok("extract", "-qf", "plain.tgz", "-C", "o")
    refused(warmpack("restore", "o", *trust), "is not signed")
    refused(warmpack("verify", "o", *trust), "is not signed")
    refused(warmpack("verify", "app", *trust), "no manifest")
    untouched(warmpack, "no")


def test_what_stands_there_already_is_no_way_around(warmpack, app, keys):
    """--if-needed would do nothing, and -O writes before all has been checked."""
    trust = ("--trust", keys / "mine/pub.pem")
    warmpack.ok("create", "-qf", "plain.tgz", "app")
    for _ in range(2):
        warmpack.ok("extract", "-qf", "plain.tgz", "-C", "o", "--if-needed")
    refused(warmpack("extract", "-f", "plain.tgz", "-C", "o", "--if-needed", *trust),
            "is not signed")
    said = warmpack("extract", "-f", "plain.tgz", "-O", *trust)
    assert said.returncode == 2 and b"-O" in said.stderr and not said.stdout


@needs_root
def test_the_manifests_own_header_gives_nobody_a_right(warmpack, signed, keys):
    """It is the one entry that no signature covers."""
    def give_away(member, content):
        if member.name.endswith("manifest.jsonl"):
            member.uid = member.gid = trees.NOBODY
            member.mode = 0o6777
        return [(member, content)]

    rewrite(signed, give_away)
    warmpack.ok("extract", "-qpf", signed, "-C", "o", "--trust", keys / "mine/pub.pem")
    st = manifest_of(warmpack.cwd / "o/app").stat()
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (0, 0, 0o644)


# ---- Verbs that make archives ----------------------------------------------------------------

def test_amend_and_seal_sign(warmpack, app, keys):
    trust = ("--trust", keys / "mine/pub.pem")
    trees.run("tar", "czf", "foreign.tgz", "app", cwd=warmpack.cwd)
    warmpack.ok("amend", "-qf", "foreign.tgz", "--source", ".", "-o", "b.tgz", "--sign",
                keys / "mine/key.pem")
    warmpack.ok("extract", "-qf", "b.tgz", "-C", "o", *trust)
    warmpack.ok("seal", "-q", "app", "--sign", keys / "mine/key.pem")
    warmpack.ok("verify", "-q", "app", *trust)
    assert json.loads(manifest_of(app).read_bytes().splitlines()[-1])["signature"]


def test_amend_drops_a_signature_only_by_saying_so(warmpack, signed, keys):
    said = warmpack.ok("amend", "-f", signed, "--source", ".", "-o", "b.tar")
    assert b"left out" in said.stderr and b"--sign" in said.stderr
    refused(warmpack("extract", "-f", "b.tar", "-C", "no", "--trust", keys / "mine/pub.pem"),
            "is not signed")
    said = warmpack.ok("amend", "-f", signed, "--source", ".", "-o", "c.tar", "--sign",
                       keys / "other/key.pem")
    assert b"gives way" in said.stderr
    warmpack.ok("verify", "-qf", "c.tar", "--trust", keys / "other/pub.pem")


def test_amend_does_not_say_that_it_signed_what_it_left_as_it_was(warmpack, keys):
    write(warmpack.cwd / "plain/k.py", "x = 1\n", ns=10**18)
    trees.run("tar", "czf", "plain.tgz", "plain", cwd=warmpack.cwd)
    before = (warmpack.cwd / "plain.tgz").read_bytes()
    write(warmpack.cwd / "plain/k.py", "x = 2\n", ns=10**18)
    said = warmpack("amend", "-f", "plain.tgz", "--source", ".", "--sign", keys / "mine/key.pem")
    assert said.returncode == 2 and b"not signed" in said.stderr
    assert (warmpack.cwd / "plain.tgz").read_bytes() == before


# ---- Trees -----------------------------------------------------------------------------------

@pytest.fixture
def tree(warmpack, signed, keys):
    warmpack.ok("extract", "-qf", signed, "-C", "o", "--trust", keys / "mine/pub.pem")
    return warmpack.cwd / "o/app"


def keep_time(path, data):
    st = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def alter_code(tree):
    (path,) = tree.glob("pkg/__pycache__/*.nbc")
    keep_time(path, path.read_bytes().replace(b"code", b"evil"))


def alter_source(tree):
    keep_time(tree / "pkg/k.py", b"x = 2\n")


def alter_index(tree):
    (path,) = tree.glob("pkg/__pycache__/*.nbi")
    keep_time(path, path.read_bytes().replace(b"+sse", b"+avx"))


def add_an_index(tree):
    trees.index(tree / "pkg/k.py", "k.other-9.py311")


def alter_the_manifest(tree):
    keep_time(manifest_of(tree), manifest_of(tree).read_bytes().replace(b'"0644"', b'"0755"', 1))


def damage_the_manifest(tree):
    keep_time(manifest_of(tree), b"{}\n")


@pytest.mark.parametrize("change", [alter_code, alter_source, alter_index, add_an_index,
                                    alter_the_manifest, damage_the_manifest],
                         ids=lambda f: f.__name__)
def test_a_tree_that_is_not_what_was_signed_is_refused(warmpack, tree, keys, change):
    trust = ("--trust", keys / "mine/pub.pem")
    change(tree)
    os.utime(tree / "pkg/__init__.py", ns=(1, 1))  # which a restore would set
    refused(warmpack("verify", "o", *trust))
    if change is not add_an_index:  # a restore leaves alone what it does not know
        refused(warmpack("restore", "o", *trust))
        assert (tree / "pkg/__init__.py").stat().st_mtime_ns == 1


def test_a_restamped_index_is_the_one_that_was_signed(warmpack, tree, keys):
    (index,) = tree.glob("pkg/__pycache__/*.nbi")
    before = index.read_bytes()
    os.utime(tree / "pkg/k.py", ns=(10**18 + 5 * 10**9, 10**18 + 5 * 10**9))
    warmpack.ok("restore", "-q", "o", "--restamp", "always")
    assert index.read_bytes() != before
    for verb in ("verify", "restore"):
        warmpack.ok(verb, "-q", "o", "--trust", keys / "mine/pub.pem",
                    *(["--restamp", "always"] if verb == "restore" else []))


def test_a_moved_tree_with_caches_outside_is_checked_where_they_lie(warmpack, signed, keys):
    trust = ("--trust", keys / "mine/pub.pem")
    root = warmpack.cwd / "root"
    warmpack.ok("extract", "-qf", signed, "-C", "o", "--cache-dir", root, "--layout", "cache-dir",
                *trust)
    (warmpack.cwd / "o").rename(warmpack.cwd / "moved")
    warmpack.ok("restore", "-q", "moved", "--cache-dir", root, *trust)
    warmpack.ok("verify", "-q", "moved", "--cache-dir", root, *trust)
    (data,) = root.glob("*/*.nbc")
    keep_time(data, data.read_bytes().replace(b"code", b"evil"))
    refused(warmpack("verify", "moved", "--cache-dir", root, *trust), "is not a cache")
    (warmpack.cwd / "moved").rename(warmpack.cwd / "again")
    names = sorted(root.iterdir())
    refused(warmpack("restore", "again", "--cache-dir", root, *trust), "is not a cache")
    assert sorted(root.iterdir()) == names
