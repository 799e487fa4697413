"""Where images come from: published, given, or built here; with a command that plays docker."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from tests.e2e import supply
from tests.e2e.airgap.archives import Image, Layer, write_archive
from tests.e2e.airgap.programs import KUBERNETES
from tests.e2e.airgap.store import Part, Store
from tests.e2e.errors import CannotRunError
from tests.e2e.supply import Choice, Supply

BINDERHUB = f"{supply.BINDERHUB}:1.0.0"
DOCKER = "docker.io/library/docker:28-dind"
PYTHON = "docker.io/library/python:3.13-slim"
NODE = "localhost/binderhub-service-node"
# $IMAGES has what is in the engine, $REGISTRY what can be pulled; $CALLS what was changed.
ENGINE = r"""
case "$1 $2" in
"image inspect") grep -qxF "$3" "$IMAGES" ;;
"image ls") grep -F "$5:" "$IMAGES" ;;
"image rm")
  echo "rm $3" >>"$CALLS"
  grep -vxF "$3" "$IMAGES" >"$IMAGES.new"
  mv "$IMAGES.new" "$IMAGES" ;;
"pull --quiet")
  echo "pull $3" >>"$CALLS"
  grep -qxF "$3" "$REGISTRY" || { printf 'trying\nError: manifest unknown\n' >&2; exit 1; }
  echo "$3" >>"$IMAGES" ;;
"load --quiet")
  echo "load $4" >>"$CALLS"
  [ -z "$FULL" ] || { echo "$FULL" >&2; exit 1; } ;;
*) exit 125 ;;
esac
"""


@pytest.fixture(autouse=True)
def engine(command, tmp_path, monkeypatch):
    """An engine without images, and a registry without any."""
    command("docker", ENGINE)
    files = SimpleNamespace(
        images=tmp_path / "images", registry=tmp_path / "registry", calls=tmp_path / "calls"
    )
    for variable, file in vars(files).items():
        file.write_text("")
        monkeypatch.setenv(variable.upper(), str(file))
    monkeypatch.delenv("FULL", raising=False)
    for variable in ("SUPPLY", "BINDERHUB_IMAGE", "NODE_IMAGE", "KUBERNETES_VERSION"):
        monkeypatch.delenv(variable, raising=False)
    return files


def add(file, *references):
    file.write_text(file.read_text() + "".join(f"{one}\n" for one in references))


@pytest.fixture
def built(monkeypatch):
    """Build stand-ins in a moment, and return the names of those that were built."""
    names = []

    def part(name, reference):
        def build(bench):
            names.append(reference)
            bench.target.write_text(f"stand-in for {reference}")

        return Part(f"{name}.image.tar", f"image {reference}", 0.1, build, (reference,))

    monkeypatch.setattr(
        supply,
        "_STAND_INS",
        {
            supply.BINDERHUB: lambda reference: part("binderhub", reference),
            "docker.io/library/docker": lambda reference: part("docker", reference),
            "localhost/git-server": lambda reference: part("git-server", reference),
            "localhost/base": lambda reference: part("base", reference),
        },
    )
    monkeypatch.setattr(supply.node, "node_image", lambda: part("node", NODE))
    return names


@pytest.fixture
def chosen(tmp_path, built, monkeypatch):
    """A supply whose registries answer, or do not."""

    def make(choice=Choice.AUTO, *, answers=False):
        assert not built
        monkeypatch.setattr(supply, "registries_answer", lambda: answers)
        return Supply(Store(tmp_path / "cache"), choice)

    return make


@pytest.fixture
def save(tmp_path):
    """Write an archive as ``docker save`` does."""

    def write(reference, name="given.tar"):
        with Layer(tmp_path / "layer.tar") as layer:
            layer.file("/x", b"x")
        write_archive(tmp_path / name, [Image([reference], [tmp_path / "layer.tar"])])
        return tmp_path / name

    return write


def test_where_registries_answer_images_are_pulled(chosen, engine, built):
    add(engine.registry, BINDERHUB, DOCKER)
    found = chosen(answers=True).sources([BINDERHUB, DOCKER])
    assert [(one.reference, one.archive, one.local) for one in found] == [
        (BINDERHUB, None, BINDERHUB), (DOCKER, None, DOCKER),
    ]  # fmt: skip
    assert [str(one) for one in found] == [f"{BINDERHUB}: published", f"{DOCKER}: published"]
    assert not any(one.is_stand_in for one in found)
    assert built == []


def test_what_is_in_the_engine_is_not_pulled_again(chosen, engine):
    add(engine.images, DOCKER)
    chosen(answers=True).sources([DOCKER])
    assert engine.calls.read_text() == ""


def test_where_none_answers_stand_ins_are_built(chosen, engine, built):
    found = chosen().sources([BINDERHUB, DOCKER, BINDERHUB])
    assert [str(one) for one in found] == [f"{BINDERHUB}: stand-in", f"{DOCKER}: stand-in"]
    assert [one.archive.read_text() for one in found] == [
        f"stand-in for {BINDERHUB}", f"stand-in for {DOCKER}",
    ]  # fmt: skip
    assert all(one.is_stand_in for one in found)
    assert sorted(built) == [DOCKER, BINDERHUB]
    assert engine.calls.read_text() == ""


def test_a_real_image_that_is_present_is_used_where_none_answers(chosen, engine, built):
    add(engine.images, DOCKER)
    found = chosen().sources([BINDERHUB, DOCKER])
    assert [str(one) for one in found] == [f"{BINDERHUB}: stand-in", f"{DOCKER}: published"]
    assert built == [BINDERHUB]


def test_who_asks_for_the_air_gapped_supply_gets_nothing_but_stand_ins(chosen, engine):
    add(engine.images, DOCKER)
    add(engine.registry, BINDERHUB)
    found = chosen(Choice.AIRGAP, answers=True).sources([BINDERHUB, DOCKER])
    assert all(one.is_stand_in for one in found)


def test_who_asks_for_published_images_gets_no_stand_in(chosen, engine, built):
    add(engine.registry, DOCKER)
    with pytest.raises(CannotRunError) as caught:
        chosen(Choice.PUBLISHED).sources([DOCKER, BINDERHUB])
    assert str(caught.value) == (
        f"{BINDERHUB} cannot be pulled (Error: manifest unknown); SUPPLY=airgap builds what stands in for it"
    )
    assert built == []


def test_what_the_tests_bring_themselves_is_of_published_images_where_those_are(chosen, engine):
    add(engine.registry, BINDERHUB, PYTHON)
    found = chosen(answers=True).sources([BINDERHUB, supply.GIT_SERVER, supply.BASE])
    assert [str(one) for one in found] == [
        f"{BINDERHUB}: published", f"{supply.GIT_SERVER}: {BINDERHUB}", f"{supply.BASE}: {PYTHON}",
    ]  # fmt: skip


def test_an_image_that_nothing_stands_in_for_is_one_sentence(chosen, built):
    with pytest.raises(CannotRunError) as caught:
        chosen().sources([DOCKER, "example.org/own/cleaner:3"])
    assert str(caught.value) == (
        "example.org/own/cleaner:3 is neither in the engine nor to be pulled, and nothing stands in for it; "
        "let this machine reach its registry, or load it into the engine"
    )
    assert built == []


@pytest.mark.parametrize("answers", [True, False])
def test_an_image_of_the_engine_can_be_binderhub(chosen, engine, monkeypatch, answers):
    add(engine.images, "localhost/binderhub:mine")
    monkeypatch.setenv("BINDERHUB_IMAGE", "localhost/binderhub:mine")
    (found,) = chosen(answers=answers).sources([BINDERHUB])
    assert (found.reference, found.archive, found.local) == (BINDERHUB, None, "localhost/binderhub:mine")
    assert str(found) == f"{BINDERHUB}: localhost/binderhub:mine"
    assert not found.is_stand_in


@pytest.mark.parametrize("name", ["localhost/binderhub:mine", BINDERHUB])
def test_an_archive_can_be_binderhub_and_is_no_stand_in(chosen, monkeypatch, save, built, name):
    archive = save(name)
    monkeypatch.setenv("BINDERHUB_IMAGE", str(archive))
    found, other = chosen(Choice.AIRGAP).sources([BINDERHUB, DOCKER])
    assert (found.reference, found.archive, found.local) == (BINDERHUB, archive, name)
    assert str(found) == f"{BINDERHUB}: {archive}"
    assert not found.is_stand_in
    assert other.is_stand_in
    assert built == [DOCKER]


def test_another_archive_of_the_same_name_is_another_version(chosen, monkeypatch, save):
    monkeypatch.setenv("BINDERHUB_IMAGE", str(save("a:1")))
    (before,) = chosen(Choice.AIRGAP).sources([BINDERHUB])
    first = before.version
    assert before.version == first
    save("a:1").touch()
    assert before.version != first


def test_a_stand_in_that_was_used_again_is_the_same_version(chosen):
    chosen = chosen()
    (before,) = chosen.sources([DOCKER])
    version = before.version
    (after,) = chosen.sources([DOCKER])
    assert after.version == version


@pytest.mark.parametrize("given", ["no-such-image", ".", "/no/such/archive.tar"])
def test_a_binderhub_that_is_nowhere_is_one_sentence(chosen, monkeypatch, built, given):
    monkeypatch.setenv("BINDERHUB_IMAGE", given)
    with pytest.raises(CannotRunError) as caught:
        chosen().sources([BINDERHUB])
    assert str(caught.value) == (
        f"BINDERHUB_IMAGE is {given}, which is neither an image in the engine nor a file; "
        "pull or load it first, or name an archive of docker save"
    )
    assert built == []


def not_an_archive(path):
    path.write_text("FROM scratch\n")


def without_a_manifest(path):
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))


def with_manifest(content):
    def write(path):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        with tarfile.open(path, "w") as tar:
            member = tarfile.TarInfo("manifest.json")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

    return write


def cut(path):
    with_manifest([{"RepoTags": ["a:1"]}])(path)
    path.write_bytes(path.read_bytes()[:700])


@pytest.mark.parametrize(
    "write",
    [
        not_an_archive, without_a_manifest, cut, with_manifest([]), with_manifest({}), with_manifest(b"{"),
        with_manifest([{"RepoTags": None}]), with_manifest([{"RepoTags": []}]), with_manifest([{}]),
    ],
)  # fmt: skip
def test_an_archive_that_names_no_image_is_one_sentence(chosen, monkeypatch, tmp_path, write):
    archive = tmp_path / "given.tar"
    write(archive)
    monkeypatch.setenv("BINDERHUB_IMAGE", str(archive))
    with pytest.raises(CannotRunError) as caught:
        chosen().sources([BINDERHUB])
    assert str(caught.value) == (
        f"BINDERHUB_IMAGE is {archive}, which names no image; make it with `docker save NAME:TAG`"
    )


@pytest.mark.parametrize("choice", list(Choice))
def test_the_supply_is_what_the_environment_says(monkeypatch, choice):
    monkeypatch.setenv("SUPPLY", choice)
    assert Supply.chosen().choice is choice


def test_the_supply_is_chosen_by_itself_where_nobody_says(monkeypatch):
    assert Supply.chosen().choice is Choice.AUTO
    monkeypatch.setenv("SUPPLY", "")
    assert Supply.chosen().choice is Choice.AUTO


def test_a_supply_that_does_not_exist_is_one_sentence(monkeypatch):
    monkeypatch.setenv("SUPPLY", "offline")
    with pytest.raises(CannotRunError) as caught:
        Supply.chosen()
    assert str(caught.value) == "SUPPLY is 'offline'; it may be auto, published, airgap"


@pytest.fixture
def registry():
    """Answer as a registry that wants a token, at an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v2/"
    server.shutdown()
    thread.join()
    server.server_close()


NOBODY = "http://127.0.0.1:9/v2/"


def test_a_registry_that_wants_a_token_answers(monkeypatch, registry):
    monkeypatch.setattr(supply, "_REGISTRIES", (registry, registry))
    assert supply.registries_answer()
    assert Supply().is_published


def test_one_registry_that_does_not_answer_is_enough(monkeypatch, registry):
    monkeypatch.setattr(supply, "_REGISTRIES", (registry, NOBODY))
    assert not supply.registries_answer()
    assert not Supply().is_published


def test_the_node_image_is_built_and_loaded_where_none_can_be_pulled(chosen, engine, built, tmp_path):
    reference = chosen().node_image()
    assert reference == supply.node.node_reference()
    assert reference.startswith(f"{NODE}:{KUBERNETES}-")
    assert built == [NODE]
    archive = next((tmp_path / "cache").glob("node.image.tar-*"))
    assert engine.calls.read_text() == f"load {archive}\n"


def test_a_node_image_that_is_in_the_engine_is_neither_built_nor_loaded(chosen, engine, built):
    chosen = chosen()
    add(engine.images, supply.node.node_reference())
    assert chosen.node_image() == supply.node.node_reference()
    assert built == []
    assert engine.calls.read_text() == ""


def test_node_images_of_other_commits_go_when_a_new_one_comes(chosen, engine):
    add(engine.images, f"{NODE}:v1.33.0-0123456789ab", "localhost/other:1")
    chosen().node_image()
    load, remove = engine.calls.read_text().splitlines()
    assert load.startswith("load ")
    assert remove == f"rm {NODE}:v1.33.0-0123456789ab"
    assert engine.images.read_text() == "localhost/other:1\n"


def test_a_node_image_that_cannot_be_loaded_is_one_sentence(chosen, monkeypatch, tmp_path):
    monkeypatch.setenv("FULL", "write /var/lib/docker: no space left on device")
    with pytest.raises(CannotRunError) as caught:
        chosen().node_image()
    archive = next((tmp_path / "cache").glob("node.image.tar-*"))
    assert str(caught.value) == (
        f"the node image {archive} cannot be loaded into the engine "
        "(write /var/lib/docker: no space left on device); `docker info` says whether it has room and is well"
    )


def test_kind_chooses_where_nobody_says_and_images_can_be_pulled(chosen):
    assert chosen(answers=True).node_image() == ""


@pytest.mark.parametrize("version", ["1.33.4", "v1.33.4"])
def test_a_version_of_kubernetes_can_be_chosen(chosen, monkeypatch, version):
    monkeypatch.setenv("KUBERNETES_VERSION", version)
    assert chosen(answers=True).node_image() == "kindest/node:v1.33.4"


@pytest.mark.parametrize("version", ["banana", "1.33", "1.33.4-rc.1", "latest", "1.33.4@sha256:0"])
def test_a_version_that_is_none_is_one_sentence(chosen, monkeypatch, version):
    monkeypatch.setenv("KUBERNETES_VERSION", version)
    with pytest.raises(CannotRunError) as caught:
        chosen(answers=True).node_image()
    assert str(caught.value) == (
        f"KUBERNETES_VERSION is '{version}', which is no release of Kubernetes as {KUBERNETES[1:]} is one; "
        "https://hub.docker.com/r/kindest/node/tags has those that there are"
    )


@pytest.mark.parametrize("version", [KUBERNETES, KUBERNETES[1:], KUBERNETES[1:].rpartition(".")[0]])
def test_the_version_of_the_air_gapped_supply_may_be_named(chosen, monkeypatch, version):
    monkeypatch.setenv("KUBERNETES_VERSION", version)
    assert chosen().node_image() == supply.node.node_reference()


@pytest.mark.parametrize("version", ["1.33.4", "banana", "1"])
def test_the_air_gapped_supply_has_no_other_version(chosen, monkeypatch, built, version):
    monkeypatch.setenv("KUBERNETES_VERSION", version)
    with pytest.raises(CannotRunError) as caught:
        chosen().node_image()
    assert str(caught.value) == (
        f"the air-gapped supply has Kubernetes {KUBERNETES[1:]}, and KUBERNETES_VERSION is '{version}'; "
        "unset it, or name an image that is in the engine in NODE_IMAGE"
    )
    assert built == []


@pytest.mark.parametrize("answers", [True, False])
def test_a_node_image_that_is_named_is_taken(chosen, monkeypatch, answers):
    monkeypatch.setenv("NODE_IMAGE", "example.org/node:1")
    monkeypatch.setenv("KUBERNETES_VERSION", "1.33.4")
    assert chosen(answers=answers).node_image() == "example.org/node:1"


def test_a_docker_that_says_nothing_is_one_sentence(chosen, command):
    command("docker", '[ "$1" != pull ] || { echo >&2; exit 1; }; exit 1')
    with pytest.raises(CannotRunError, match="cannot be pulled \\(docker pull says nothing\\); "):
        chosen(Choice.PUBLISHED).sources([DOCKER])
