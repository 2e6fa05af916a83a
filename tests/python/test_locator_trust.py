"""warmpack.locator and WARMPACK_TRUST: caches of manifests that a trusted key signed, or none."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest
from forged import Forged
from test_locator import again, ask, files, fresh, held  # noqa: F401  (fresh is a fixture)

locator = pytest.importorskip("warmpack.locator")
ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

CONTEXT = b"warmpack-manifest signature 1\0"
PEM = serialization.Encoding.PEM


class Key:
    def __init__(self, path):
        self.private = ed25519.Ed25519PrivateKey.generate()
        self.path = path
        self.raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.pem = self.private.public_key().public_bytes(
            PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(self.pem)

    def sign(self, text, context=CONTEXT, **members):
        """TEXT with a signature of all of it."""
        value = self.private.sign(context + hashlib.sha256(text).digest()).hex()
        line = {"algorithm": "ed25519", "key": self.raw.hex(), "value": value, **members}
        return text + json.dumps({"signature": line}).encode() + b"\n"


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path / "pub.pem")


@pytest.fixture
def other(tmp_path):
    return Key(tmp_path / "other.pem")


@pytest.fixture(autouse=True)
def trust(monkeypatch, key):
    """Sets the variable; first to the key."""
    def trust(*paths):
        locator._keys.cache_clear()
        monkeypatch.setenv("WARMPACK_TRUST", ":".join(map(str, paths)))

    trust(key.path)
    yield trust
    locator._keys.cache_clear()


@pytest.fixture
def tree(tmp_path):
    return Forged(tmp_path / "srv", locator._this_cpu())


def why(found):
    """Why Numba gets a directory that holds nothing: its own locators would look beside the
    source."""
    assert isinstance(found, locator.Warm)
    assert found.get_cache_path() == locator._REFUSED
    assert not os.path.exists(found.get_cache_path())
    _, _, reason = locator._locate(found._py_file)
    return reason


# ---- Signatures --------------------------------------------------------------------------------


def test_what_a_trusted_key_signed_is_taken(tree, key, other, trust, monkeypatch):
    tree.seal(key.sign(tree.text()))
    assert sorted(files(ask(tree))) == [tree.stem + ".1.nbc", tree.stem + ".nbi"]
    again(monkeypatch)
    trust("", other.path, key.path)
    assert files(ask(tree))


def test_the_next_process_needs_no_manifest(tree, key, monkeypatch):
    first = ask(tree.seal(key.sign(tree.text())))
    again(monkeypatch)
    monkeypatch.setattr(locator, "_verify", None)
    assert ask(tree).get_cache_path() == first.get_cache_path()


def altered(text, key, other):
    return key.sign(text).replace(b'"creator": "test"', b'"creator": "tost"')


def altered_and_digested_anew(text, key, other):
    *lines, end, signature = altered(text, key, other).splitlines(True)
    end = {**json.loads(end), "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    return b"".join(lines) + json.dumps(end).encode() + b"\n" + signature


def end_line_altered(text, key, other):
    *lines, end, signature = key.sign(text).splitlines(True)
    return b"".join(lines) + end.replace(b"}", b', "x": 1}') + signature


def unsigned(text, key, other):
    return text


def cut_in_the_signature(text, key, other):
    return key.sign(text)[:-20]


def cut_before_the_end(text, key, other):
    return b"".join(key.sign(text).splitlines(True)[:-2])


def of_another_key(text, key, other):
    return other.sign(text)


def of_another_key_under_the_trusted_name(text, key, other):
    return other.sign(text, key=key.raw.hex())


def of_another_manifest(text, key, other):
    return text + key.sign(text.replace(b'"test"', b'"tost"')).splitlines(True)[-1]


def without_the_context(text, key, other):
    return key.sign(text, context=b"")


def of_unknown_algorithm(text, key, other):
    return key.sign(text, algorithm="ed25519ph")


def short_value(text, key, other):
    return key.sign(text, value="ab")


def no_object(text, key, other):
    return text + b'{"signature": "yes"}\n'


def no_hexadecimal(text, key, other):
    return key.sign(text, key="zz")


def before_the_end(text, key, other):
    """The signature of a shorter text, which a second end makes the beginning of a longer one."""
    lines = key.sign(text).splitlines(True) + [b'{"note": 1}\n']
    end = {**json.loads(lines[-3]), "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    return b"".join(lines) + json.dumps(end).encode() + b"\n"


def behind_the_64th(text, key, other):
    return key.sign(text + b'{"signature": {}}\n' * 64)


@pytest.mark.parametrize("make", [
    altered, altered_and_digested_anew, end_line_altered, unsigned, cut_in_the_signature,
    cut_before_the_end, of_another_key, of_another_key_under_the_trusted_name, of_another_manifest,
    without_the_context, of_unknown_algorithm, short_value, no_object, no_hexadecimal,
    before_the_end, behind_the_64th], ids=lambda make: make.__name__)
def test_a_manifest_that_is_not_signed_with_the_key_gives_no_cache(tree, key, other, fresh, make,
                                                                   caplog):
    found = ask(tree.seal(make(tree.text(), key, other)))
    assert "manifest" in why(found)
    assert not [name for _, _, names in os.walk(fresh) for name in names]
    assert len(caplog.records) == 1


def test_the_reasons_are_those_of_the_program(tree, key, other):
    text = tree.text()
    for sealed, said in ((text, "its manifest is not signed"),
                         (other.sign(text), "is signed, but with no key that is trusted"),
                         (altered_and_digested_anew(text, key, other), "signature that is wrong")):
        assert said in why(ask(tree.seal(sealed)))


def test_of_several_signatures_one_is_enough(tree, key, other, trust, monkeypatch):
    both = other.sign(key.sign(tree.text()))
    assert files(ask(tree.seal(both)))
    again(monkeypatch)
    trust(other.path)
    assert files(ask(tree))
    again(monkeypatch)
    text, first, second = tree.text(), *both.splitlines(True)[-2:]
    assert "wrong" in why(ask(tree.seal(text + second + first)))


# ---- Caches and sources ------------------------------------------------------------------------


def change_code(tree):
    tree.nbc.write_bytes(b"evil")


def change_index(tree):
    tree.nbi.write_bytes(tree.nbi.read_bytes() + b"x")


def change_source(tree):
    tree.source.write_bytes(b"def g(): pass\n")


def test_code_that_was_altered_is_not_among_the_caches(tree, key):
    change_code(tree)
    assert list(files(ask(tree.seal(key.sign(tree.text()))))) == [tree.stem + ".nbi"]


@pytest.mark.parametrize("change", [change_index, change_source], ids=lambda each: each.__name__)
def test_what_was_altered_beside_a_signed_manifest_gives_no_cache(tree, key, change):
    """Not even by Numba's own locators, which would take what lies beside the source."""
    tree.seal(key.sign(tree.text()))
    change(tree)
    assert "as they were packed" in why(ask(tree)) or "not what was packed" in why(ask(tree))


def test_a_source_that_was_packed_without_caches_gets_none(tree, key):
    """An index beside it was planted."""
    bare = tree.put("app/pkg/bare.py", b"")
    tree.seal(key.sign(tree.text()))
    assert "was packed and signed" in why(ask(tree, bare))
    assert "was packed and signed" in locator.consult(str(bare))["reason"]


def test_what_no_tree_has_is_left_to_numba(tree, key, tmp_path):
    tree.seal(key.sign(tree.text()))
    (tree.root / "pkg" / "later.py").write_text("")
    (tmp_path / "alone.py").write_text("")
    assert ask(tree, tree.root / "pkg" / "later.py") == ""
    assert ask(tree, tmp_path / "alone.py") == ""


@pytest.mark.parametrize("plant", ["link", "directory", "unreadable"])
def test_a_manifest_that_cannot_be_looked_at_is_no_way_around(tree, key, tmp_path, plant,
                                                              monkeypatch):
    tree.seal(key.sign(tree.text()))
    path = tree.home / "manifest.jsonl"
    if plant == "unreadable":  # which root would read
        def refuse(path, *more):
            raise PermissionError(path)

        monkeypatch.setattr(locator, "_read", refuse)
    else:
        path.rename(tmp_path / "elsewhere")
        if plant == "link":
            path.symlink_to(tmp_path / "elsewhere")
        else:
            path.mkdir()
    assert why(ask(tree))


def test_numba_loads_nothing_from_where_it_was_refused(tree, key, monkeypatch):
    """The directory is in memory: what Numba asks for is not there, what it saves goes nowhere."""
    caching = locator._caching()
    change_source(tree)
    found = locator.Warm.from_function(change_source, str(tree.seal(tree.text()).source))
    file = caching.IndexDataCacheFile(found.get_cache_path(), tree.stem[:-5],
                                      found.get_source_stamp())
    assert file._load_index() == {}
    file.save(("key",), b"data")
    assert file._load_index() == {}
    assert file.load(("key",)) is None
    file.flush()
    found.ensure_cache_path()
    assert not os.path.exists(found.get_cache_path())


# ---- Overlays ----------------------------------------------------------------------------------


def test_an_overlay_that_was_filled_without_trust_is_not_believed_with_it(tree, other, monkeypatch,
                                                                          fresh):
    monkeypatch.delenv("WARMPACK_TRUST")
    evil = ask(tree.seal())
    assert files(evil)
    monkeypatch.setenv("WARMPACK_TRUST", str(other.path))
    for _ in range(2):  # in this process, and in another
        assert "is not signed" in why(ask(tree))
        again(monkeypatch)


def test_overlays_of_different_keys_and_of_none_are_different(tree, key, other, trust, monkeypatch):
    tree.seal(other.sign(key.sign(tree.text())))
    paths = []
    for names in ((key.path,), (other.path,), (other.path, key.path), (key.path, other.path), ()):
        trust(*names)
        found = ask(tree)
        assert files(found)
        paths.append(found.get_cache_path())
        again(monkeypatch)
    assert paths[2] == paths[3]  # in whatever order they are named
    assert len(set(paths)) == 4


def test_a_tree_in_memory_is_checked_too(tree, key, monkeypatch):
    held(monkeypatch)
    tree.seal(key.sign(tree.text()))
    path = ask(tree).get_cache_path()
    assert path != locator._REFUSED and locator._held[path]
    again(monkeypatch)
    assert why(ask(tree.seal(tree.text())))


def test_a_manifest_that_is_read_later_is_checked_too(tree, key, monkeypatch):
    """The overlay is there, and the manifest was replaced by one that ends alike: its signatures
    are longer than what tells manifests apart."""
    second = tree.put("app/pkg/second.py", b"second")
    index = tree.put("%s/second.g-1%s.nbi" % (tree.place, tree.stem[5:]), tree.nbi.read_bytes())
    tree.lines.append({**tree.line, "source": "app/pkg/second.py", "depends": ["app/pkg/second.py"],
                       "index": "%s/second.g-1%s.nbi" % (tree.place, tree.stem[5:])})
    tail = b'{"signature": {"x": "%s"}}\n' % (b"x" * 5000)
    tree.seal(key.sign(tree.text()) + tail)
    assert files(ask(tree))
    evil = pickle.dumps(b"evil")
    index.write_bytes(evil)
    tree.entries["%s/second.g-1%s.nbi" % (tree.place, tree.stem[5:])]["sha256"] = \
        hashlib.sha256(evil).hexdigest()
    tree.seal(tree.text() + tail)
    again(monkeypatch)
    assert "unknown kinds" in why(ask(tree, second))


# ---- Keys --------------------------------------------------------------------------------------


def pem(private, kind="SubjectPublicKeyInfo"):
    return private.public_key().public_bytes(PEM, getattr(serialization.PublicFormat, kind))


def rsa():
    from cryptography.hazmat.primitives.asymmetric import rsa

    return pem(rsa.generate_private_key(65537, 2048))


def x25519():
    from cryptography.hazmat.primitives.asymmetric import x25519

    return pem(x25519.X25519PrivateKey.generate())


def private():
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def both():
    """What must not lie about: the private key beside the public one."""
    return private() + pem(ed25519.Ed25519PrivateKey.generate())


def several():
    return pem(ed25519.Ed25519PrivateKey.generate()) + pem(ed25519.Ed25519PrivateKey.generate())


KEYS = {"several": several, "rsa": rsa, "x25519": x25519, "private": private, "both": both, "empty": lambda: b"",
        "junk": lambda: b"\0\xff", "short": lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n"
        b"-----END PUBLIC KEY-----\n", "large": lambda: b"\n" * 70000}


@pytest.mark.parametrize("kind", [*KEYS, "missing", "fifo", "directory", "empty directory"])
def test_a_key_that_is_none_means_no_cache_and_one_warning(tree, key, trust, tmp_path, kind,
                                                           caplog):
    path = tmp_path / "strange.pem"
    if kind in KEYS:
        path.write_bytes(KEYS[kind]())
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "empty directory":
        path.mkdir()
        (path / "key.pub").write_bytes(key.pem)
        (path / ".pem").write_bytes(key.pem)
    elif kind == "directory":
        (path / "sub.pem").mkdir(parents=True)
    trust(key.path, path)
    second = Forged(tmp_path / "second", locator._this_cpu())
    for each in (tree, second):
        assert "strange.pem" in why(ask(each.seal(key.sign(each.text()))))
    assert len(caplog.records) == 1


def test_keys_of_a_directory_and_behind_links(tree, key, trust, tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    (ring / "mine.pem").symlink_to(key.path)
    (ring / "junk").write_text("junk")
    (tmp_path / "link").symlink_to(ring)
    trust(tmp_path / "link")
    assert files(ask(tree.seal(key.sign(tree.text()))))


def test_a_key_with_text_around_it_and_carriage_returns(tree, key, trust):
    key.path.write_bytes(b"my key\r\n" + key.pem.replace(b"\n", b"\r\n") + b"bye\n")
    trust(key.path)
    assert files(ask(tree.seal(key.sign(tree.text()))))


def test_where_the_variable_names_no_key_there_is_no_cache(tree, key, trust):
    tree.seal(key.sign(tree.text()))
    trust("", "")
    assert "names no key" in why(ask(tree))


def test_an_empty_variable_is_none(tree, trust):
    trust("")
    assert files(ask(tree.seal()))


@pytest.mark.parametrize("how", ["absent", "broken"])
def test_without_cryptography_there_is_no_cache_and_one_warning_says_so(tree, key, tmp_path,
                                                                        monkeypatch, caplog, how):
    if how == "absent":
        monkeypatch.setitem(sys.modules, "cryptography", None)
    else:
        monkeypatch.setitem(sys.modules,
                            "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for each in (tree, Forged(tmp_path / "second", locator._this_cpu())):
        assert "signatures cannot be checked" in why(ask(each.seal(key.sign(each.text()))))
    assert len(caplog.records) == 1


def test_cryptography_is_imported_only_where_a_manifest_is_read(tree, key):
    code = ("import sys\nsys.path[:0] = %r\nimport warmpack.locator as l\n"
            "l._locate(%r)\nprint('cryptography' in sys.modules)" %
            ([p for p in sys.path if p.endswith("/python")], str(tree.source)))
    tree.seal(key.sign(tree.text()))
    said = [subprocess.run([sys.executable, "-c", code], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.strip() for _ in range(2)]
    assert said == ["True", "False"]
