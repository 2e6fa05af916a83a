"""Archives and trees that Spark reads by URI itself: handed on, never an old one for a new one."""

import shutil

import jobs
import pytest
import warmpack
import warmpack.spark
from test_spark import assert_small_was_loaded, on_executors


@pytest.fixture(scope="module")
def packed(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "tiny.tgz"
    warmpack.create(path, small.name, directory=small.parent)
    return path


def test_an_archive_by_uri_is_handed_on(sc, place, packed):
    shutil.copy2(packed, place / "apps" / "by-uri.tgz")
    uri = "viewfs://store/apps/by-uri.tgz"
    apps = [warmpack.spark.add_app(sc, uri) for _ in range(2)]
    for app in apps:
        assert_small_was_loaded(on_executors(sc, app.wrap(jobs.reporting(jobs.run_small()))))


def test_a_uri_is_read_as_spark_reads_it(sc, place, packed):
    """With one slash, as Spark and Java write them, and with what is no letter in escapes."""
    for name in ("one äpp#1.tgz", "two.tgz"):
        shutil.copy2(packed, place / "apps" / name)
    by_file = (place / "apps" / "one äpp#1.tgz").as_uri().replace("file:///", "file:/")
    assert "%20" in by_file and "%23" in by_file
    for uri, name in ((by_file, "one äpp#1.tgz"), ("viewfs:/apps/two.tgz", "two.tgz")):
        app = warmpack.spark.add_app(sc, uri)
        assert app.name == name
        assert_small_was_loaded(on_executors(sc, app.wrap(jobs.reporting(jobs.run_small()))))
    assert warmpack.spark.conf(by_file) == warmpack.spark.conf(packed) != {}


def test_what_spark_was_given_to_unpack_names_what_is_adopted(sc, place, packed):
    for given, name in (("a%20b.tgz", "a b.tgz"), ("a%20b.tgz#of-a-uri", "of-a-uri")):
        shutil.copy2(packed, place / "apps" / "a b.tgz")
        uri = "file:%s/%s" % (place / "apps", given)
        sc.addArchive(uri)
        app = warmpack.spark.adopt(uri)
        assert app.name == name
        reports = on_executors(sc, app.wrap(jobs.reporting(jobs.run_small())))
        assert_small_was_loaded(reports, name + "/tiny")


def test_what_spark_does_not_hand_on_is_told_and_takes_no_name(sc, place, packed):
    """It knows no directories of this machine; and no URI with a space is one."""
    (place / "apps" / "local" / "later").mkdir(parents=True)
    with pytest.raises(warmpack.Error, match="local/later: Spark cannot hand it on: ") as caught:
        warmpack.spark.add_app(sc, "file:%s/apps/local/later" % place)
    assert "\n" not in str(caught.value)
    with pytest.raises(warmpack.Error, match="a b: Spark cannot read it: Illegal character"):
        warmpack.spark.add_app(sc, "viewfs://store/apps/a b")
    shutil.copy2(packed, place / "apps" / "later")
    app = warmpack.spark.add_app(sc, "viewfs://store/apps/later")
    assert_small_was_loaded(on_executors(sc, app.wrap(jobs.reporting(jobs.run_small()))))


def test_a_tree_by_uri_is_handed_on_and_restored(sc, place, packed):
    warmpack.extract(packed, place / "apps" / "trees")
    # Spark unpacks each .tgz that it brings, too: tiny is there already.
    (place / "apps" / "trees" / "tiny").rename(place / "apps" / "trees" / "by-tree")
    app = warmpack.spark.add_app(sc, "viewfs://store/apps/trees/by-tree")
    reports = on_executors(sc, app.wrap(jobs.reporting(jobs.run_small())))
    assert_small_was_loaded(reports, "by-tree")


@pytest.mark.parametrize("scheme", ("viewfs", "file"))
def test_a_uri_with_other_content_than_before_is_refused(sc, place, packed, small, scheme):
    name = "changes-%s.tgz" % scheme
    path = place / "apps" / name
    shutil.copy2(packed, path)
    uri = "viewfs://store/apps/" + name if scheme == "viewfs" else path.as_uri()
    app = warmpack.spark.add_app(sc, uri)
    assert_small_was_loaded(on_executors(sc, app.wrap(jobs.reporting(jobs.run_small()))))
    warmpack.create(path, small.name, directory=small.parent, level=1)
    with pytest.raises(warmpack.Error, match="was added before with other content"):
        warmpack.spark.add_app(sc, uri)
    (place / "apps" / "other").mkdir(exist_ok=True)
    shutil.copy2(path, place / "apps" / "other" / name)
    with pytest.raises(warmpack.Error, match="was added before, and executors would keep that"):
        warmpack.spark.add_app(sc, uri.replace(name, "other/" + name))


def test_a_uri_of_nothing_and_options_of_create_for_one_are_refused(sc):
    with pytest.raises(warmpack.Error, match="viewfs://store/apps/none.tgz: Spark cannot read it"):
        warmpack.spark.add_app(sc, "viewfs://store/apps/none.tgz")
    with pytest.raises(TypeError, match="is packed already"):
        warmpack.spark.add_app(sc, "viewfs://store/apps/none.tgz", strict=True)


def test_what_spark_does_not_unpack_is_told(sc, small, tmp_path):
    archive = tmp_path / "not-unpacked.tar.zst"
    warmpack.create(archive, small.name, directory=small.parent)
    sc.addArchive("%s#not-unpacked" % archive)
    app = warmpack.spark.adopt("not-unpacked")

    def said(_):
        try:
            app.activate()
        except Exception as error:
            yield str(error)

    (line,) = on_executors(sc, said, 1)
    assert "not-unpacked: Spark did not unpack it" in line and ".tgz" in line
