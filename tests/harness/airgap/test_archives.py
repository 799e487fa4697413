"""Image archives, read by a reader of its own: what ``docker load`` and ``ctr images import`` would find."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from hashlib import sha256
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.airgap.archives import Image, Layer, write_archive
from tests.e2e.airgap.debian import EPOCH


class Entry(NamedTuple):
    """What a layer has at a path."""

    kind: str
    mode: int
    content: bytes | str


KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link"}


def read_layer(file):
    """Return the entries of a layer by path, as they are applied: in order, directories first."""
    entries = {}
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
            assert member.mtime == EPOCH
            parent = member.name.rpartition("/")[0]
            assert not parent or entries[parent].kind == "directory", f"{member.name} before {parent}"
            assert member.name not in entries, f"{member.name} is there twice"
            kind = KINDS[member.type]
            content = tar.extractfile(member).read() if kind == "file" else member.linkname
            entries[member.name] = Entry(kind, member.mode, content)
    return entries


def read_archive(path):
    """Return the images of an archive by reference: the configuration, and the names of the layers.

    What the format promises is checked on the way: the hashes are those of the layers and the configuration.
    """
    images = {}
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        assert names[-1] == "manifest.json", "who reads a stream has seen all layers by then"
        for image in json.load(tar.extractfile("manifest.json")):
            config_bytes = tar.extractfile(image["Config"]).read()
            assert image["Config"] == f"{sha256(config_bytes).hexdigest()}.json"
            config = json.loads(config_bytes)
            layers = [tar.extractfile(name).read() for name in image["Layers"]]
            assert config["rootfs"] == {
                "type": "layers",
                "diff_ids": [f"sha256:{sha256(layer).hexdigest()}" for layer in layers],
            }
            assert len(config["history"]) == len(layers)
            for reference in image["RepoTags"]:
                assert reference not in images
                images[reference] = (config, image["Layers"])
    return images


@pytest.fixture
def layer(tmp_path):
    """Write a layer with these files."""

    def write(name, files, **links):
        with Layer(tmp_path / name) as out:
            for path, content in files.items():
                out.file(path, content)
            for path, target in links.items():
                out.link(path, target)
        return tmp_path / name

    return write


def entries(path):
    with path.open("rb") as file:
        return read_layer(file)


def test_a_file_has_its_directories_before_it(layer):
    assert entries(layer("own.tar", {"/usr/local/bin/tool": b"x"})) == {
        "usr": Entry("directory", 0o755, ""),
        "usr/local": Entry("directory", 0o755, ""),
        "usr/local/bin": Entry("directory", 0o755, ""),
        "usr/local/bin/tool": Entry("file", 0o644, b"x"),
    }


def test_modes_and_links_are_kept(tmp_path):
    with Layer(tmp_path / "own.tar") as layer:
        layer.directory("/root", 0o700)
        layer.file("/root/run", b"#!/bin/sh\n", 0o755)
        layer.link("/bin", "usr/bin")
        layer.link("/etc/off.service", "/dev/null")
        layer.directory("/root")
    assert entries(tmp_path / "own.tar") == {
        "root": Entry("directory", 0o700, ""),
        "root/run": Entry("file", 0o755, b"#!/bin/sh\n"),
        "bin": Entry("link", 0o777, "usr/bin"),
        "etc": Entry("directory", 0o755, ""),
        "etc/off.service": Entry("link", 0o777, "/dev/null"),
    }


@pytest.fixture
def tree(tmp_path):
    """A directory with one of each."""
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "bin" / "tool").write_text("#!/bin/sh\n")
    (root / "bin" / "tool").chmod(0o755)
    (root / "bin" / "data").write_text("x")
    (root / "bin" / "data").chmod(0o600)
    (root / "bin" / "module.pyc").write_text("compiled")
    (root / "bin" / "alias").symlink_to("tool")
    (root / "gone").symlink_to("/no/such/file")
    (root / "etc").symlink_to("bin")
    return root


TREE = {
    "bin": Entry("directory", 0o755, ""),
    "bin/alias": Entry("link", 0o777, "tool"),
    "bin/data": Entry("file", 0o644, b"x"),
    "bin/tool": Entry("file", 0o755, b"#!/bin/sh\n"),
    "empty": Entry("directory", 0o755, ""),
    "etc": Entry("link", 0o777, "bin"),
    "gone": Entry("link", 0o777, "/no/such/file"),
}


def test_a_tree_is_copied_with_its_links_and_without_what_python_compiled(tree, tmp_path):
    with Layer(tmp_path / "own.tar") as layer:
        layer.tree("", tree)
    assert entries(tmp_path / "own.tar") == TREE


def test_a_tree_can_lie_deeper(tree, tmp_path):
    with Layer(tmp_path / "own.tar") as layer:
        layer.tree("/opt/it", tree)
    deeper = {f"opt/it/{path}": entry for path, entry in TREE.items()}
    above = {path: Entry("directory", 0o755, "") for path in ("opt", "opt/it")}
    assert entries(tmp_path / "own.tar") == above | deeper


def test_a_long_file_is_copied_from_the_disk(layer, tmp_path):
    content = os.urandom(1 << 20)
    (tmp_path / "large").write_bytes(content)
    written = entries(layer("own.tar", {"/large": tmp_path / "large"}))
    assert written == {"large": Entry("file", 0o644, content)}


def test_an_archive_names_its_images_and_what_they_run(layer, tmp_path):
    base, own = layer("base.tar", {"/etc/os": b"debian"}), layer("own.tar", {"/run.sh": b"exec"})
    settings = {"Entrypoint": ["/run.sh"], "User": "1000"}
    write_archive(tmp_path / "a.tar", [Image(["quay.io/a/b:1", "localhost/c:2"], [base, own], settings)])
    images = read_archive(tmp_path / "a.tar")
    assert set(images) == {"quay.io/a/b:1", "localhost/c:2"}
    config, layers = images["quay.io/a/b:1"]
    assert config["os"] == "linux"
    assert config["architecture"] in ("amd64", "arm64")
    assert config["config"] == {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Entrypoint": ["/run.sh"],
        "User": "1000",
    }
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert [read_layer(tar.extractfile(name)) for name in layers] == [entries(base), entries(own)]


def test_settings_may_replace_the_environment(layer, tmp_path):
    own = layer("own.tar", {"/x": b""})
    write_archive(tmp_path / "a.tar", [Image(["a:1"], [own], {"Env": ["HOME=/root"]})])
    assert read_archive(tmp_path / "a.tar")["a:1"][0]["config"] == {"Env": ["HOME=/root"]}


def test_a_layer_that_images_share_is_there_once(layer, tmp_path):
    base, one, two = (layer(f"{name}.tar", {f"/{name}": name.encode()}) for name in ("base", "one", "two"))
    images = [Image(["one:1"], [base, one]), Image(["two:1"], [base, two]), Image(["0:1"], [base])]
    write_archive(tmp_path / "a.tar", images)
    images = read_archive(tmp_path / "a.tar")
    assert images["one:1"][1][0] == images["two:1"][1][0] == images["0:1"][1][0]
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert sum(name.endswith("layer.tar") for name in tar.getnames()) == 3


def test_two_layers_of_the_same_content_are_there_once(layer, tmp_path):
    one, two = layer("one.tar", {"/x": b"x"}), layer("two.tar", {"/x": b"x"})
    write_archive(tmp_path / "a.tar", [Image(["one:1"], [one]), Image(["two:1"], [two])])
    images = read_archive(tmp_path / "a.tar")
    assert images["one:1"][1] == images["two:1"][1]


def test_the_same_content_has_the_same_digest_wherever_and_whenever_it_is_written(tree, tmp_path):
    digests = []
    for place, umask, date in (("here", 0o022, 1), ("there", 0o077, 10**9)):
        root = tmp_path / place
        root.mkdir()
        for file in tree.rglob("*"):
            os.utime(file, (date, date), follow_symlinks=False)
            if file.is_file() and not file.is_symlink():
                execute = file.stat().st_mode & stat.S_IXUSR
                file.chmod((0o755 if execute else 0o644) & ~umask)
        before = os.umask(umask)
        with Layer(root / "own.tar") as layer:
            layer.tree("", tree)
        write_archive(root / "a.tar", [Image(["a:1"], [root / "own.tar"])])
        os.umask(before)
        digests.append(sha256((root / "a.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_other_content_has_another_digest(layer, tmp_path):
    for name, content in (("one", b"x"), ("two", b"y")):
        write_archive(tmp_path / name, [Image(["a:1"], [layer(f"{name}.tar", {"/x": content})])])
    one, two = (read_archive(tmp_path / name)["a:1"][0] for name in ("one", "two"))
    assert one["rootfs"] != two["rootfs"]


CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/")
NAMES = st.text(CHARACTERS, min_size=1, max_size=60).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(files=st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8))
def test_whatever_files_there_are_they_are_read_back(files, tmp_path_factory):
    # A file cannot be a directory as well.
    files = {
        path: content
        for path, content in files.items()
        if not any(other.startswith(f"{path}/") for other in files)
    }
    target = tmp_path_factory.mktemp("layer") / "own.tar"
    with Layer(target) as layer:
        for path, content in files.items():
            layer.file(f"/{path}", content)
    read = {path: entry.content for path, entry in entries(target).items() if entry.kind == "file"}
    assert read == files
