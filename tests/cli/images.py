"""Layouts of images, read and made by hand: shared by the tests of format oci."""

import gzip
import hashlib
import json
import pathlib
import re
import tarfile

OCI = "application/vnd.oci.image."
REF = "org.opencontainers.image.ref.name"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """The layout PATH, a directory or a tar, with everything that the image specification asks of
    it checked."""

    def __init__(self, path):
        self.files = {}
        if pathlib.Path(path).is_dir():
            for file in pathlib.Path(path).rglob("*"):
                if file.is_file():
                    self.files[file.relative_to(path).as_posix()] = file.read_bytes()
        else:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    assert member.isdir() or member.isreg()
                    if member.isreg():
                        assert member.name not in self.files
                        self.files[member.name] = tar.extractfile(member).read()
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        self.index = json.loads(self.files["index.json"])
        assert self.index["schemaVersion"] == 2
        assert self.index.get("mediaType", OCI + "index.v1+json") == OCI + "index.v1+json"
        (self.descriptor,) = self.index["manifests"]
        assert self.descriptor["mediaType"] == OCI + "manifest.v1+json"
        self.manifest = json.loads(self.blob(self.descriptor))
        assert self.manifest["schemaVersion"] == 2
        assert self.manifest["mediaType"] == OCI + "manifest.v1+json"
        assert self.manifest["config"]["mediaType"] == OCI + "config.v1+json"
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layers = [self.blob(layer) for layer in self.manifest["layers"]]
        assert self.config["rootfs"]["type"] == "layers"
        assert len(self.config["rootfs"]["diff_ids"]) == len(self.layers)
        blobs = {"blobs/sha256/" + d["digest"][7:] for d in
                 [self.descriptor, self.manifest["config"], *self.manifest["layers"]]}
        assert set(self.files) == blobs | {"oci-layout", "index.json"}
        platform = self.descriptor.get("platform", self.config)
        assert all(self.config[name] == platform[name] for name in platform)
        assert {"os", "architecture"} <= set(platform)
        for time in [self.config["created"], *(h["created"] for h in self.config["history"] if "created" in h)]:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
        texts = [*self.manifest["annotations"].values(), *self.config["config"]["Labels"].values()]
        assert all(isinstance(text, str) for text in texts)

    def blob(self, descriptor):
        data = self.files["blobs/sha256/" + descriptor["digest"][7:]]
        assert digest_of(data) == descriptor["digest"] and len(data) == descriptor["size"]
        return data


def put(path, data):
    """A blob in the layout PATH: what a descriptor says of it."""
    blobs = pathlib.Path(path) / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    (blobs / digest_of(data)[7:]).write_bytes(data)
    return {"digest": digest_of(data), "size": len(data)}


def tar_of(name):
    return gzip.compress(tarfile.TarInfo(name).tobuf() + bytes(1024), mtime=0)


def image(path, *, names=("base",), system="linux", architecture="amd64", docker=False, config=None,
          types=None, manifest=None):
    """An image of one layer for each of NAMES, in the layout PATH: the descriptor for an index."""
    kind = "application/vnd.docker." if docker else OCI
    layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip" if docker \
        else OCI + "layer.v1.tar+gzip"
    blobs = [tar_of(name) for name in names]
    layers = [{"mediaType": (types or {}).get(name, layer_type), **put(path, blob)}
              for name, blob in zip(names, blobs)]
    config = {"os": system, "architecture": architecture, "config": {"Env": ["A=b"]},
              "history": [{"created_by": "hand"}],
              "rootfs": {"type": "layers",
                         "diff_ids": [digest_of(gzip.decompress(blob)) for blob in blobs]},
              **(config or {})}
    manifest = {"schemaVersion": 2, "layers": layers,
                "config": {"mediaType": kind + ("container.image.v1+json" if docker
                                                else "config.v1+json"), **put(path, config)},
                **(manifest or {})}
    return {"mediaType": kind + ("distribution.manifest.v2+json" if docker else
                                 "manifest.v1+json"), **put(path, manifest)}


def layout(path, *descriptors):
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(path) / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (pathlib.Path(path) / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": list(descriptors)}))
    return pathlib.Path(path)
