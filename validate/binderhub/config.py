"""The configuration that BinderHub runs with, and which line of which fragment decides each trait.

The loader (``base/binderhub/config/binderhub_config.py``) reads fragments from a directory, in the
order of their names. This module reads the same fragments from the ConfigMaps that are mounted
there, refuses what the loader refuses, and keeps the lines.
"""

from __future__ import annotations

from functools import cached_property, lru_cache, reduce
from posixpath import join, normpath, splitext
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.binderhub.precedence import APPLICATION, Settings
from validate.cluster.mounts import MountedFile, mounted_files
from validate.errors import SourceError
from validate.place import Place, Writer
from validate.source import Field, compose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Json, Origin, Path

DIRECTORY = "/etc/binderhub/config.d"
DIRECTORY_VARIABLE = "BINDERHUB_CONFIG_DIRECTORY"
NAMESPACE_VARIABLE = "BUILD_NAMESPACE"
RAISE_VARIABLE = "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR"
_FALLBACK_NAMESPACE = "default"
_CONFIG_OPTIONS = frozenset({"--config", "-f", "--BinderHub.config_file"})


class Namespaces(NamedTuple):
    """Where BinderHub creates build pods, where it cleans them up, and where it counts for its quota."""

    builder: str
    cleaner: str
    quota: str


class BinderHubConfig(Struct, frozen=True, eq=False, dict=True):
    """The effective configuration: class -> trait -> value; a :class:`validate.place.Document`.

    Attributes:
        field: the merged fragments.
        fragments: the entries of ConfigMaps that were read, in that order.
        config_file: the argument that names the file BinderHub is started with, None where none does.
        config_path: that file.
        config_file_mounted: whether a mount puts a file there. Without it BinderHub runs with defaults.
        raises_on_error: whether BinderHub ends where the file fails, instead of running with defaults.
        build_namespace_env: where the environment variable ``BUILD_NAMESPACE`` is set, None if nowhere.
        environment: the environment variables that matter, as the container will see them.
    """

    field: Field
    fragments: tuple[Place, ...]
    config_file: Place | None
    config_path: str
    config_file_mounted: bool
    raises_on_error: bool
    build_namespace_env: Place | None
    environment: Mapping[str, str]

    @property
    def title(self) -> str:
        """``BinderHub configuration``."""
        return "BinderHub configuration"

    @property
    def value(self) -> dict[str, Json]:
        """The whole configuration."""
        plain = self.field.plain()
        return plain if isinstance(plain, dict) else {}

    @property
    def place(self) -> Place:
        """The place of the whole configuration."""
        return Place.root(self)

    def writers(self, path: Path) -> tuple[Origin, ...]:
        """Return the lines of the fragments that wrote the value at ``path``, the last fragment first."""
        return self.field.writers_at(path)

    @cached_property
    def settings(self) -> Settings:
        """The configuration as BinderHub's objects read it."""
        return Settings(self.value)

    def setters(self, class_name: str, trait: str) -> tuple[Place, ...]:
        """Return every place that sets the trait for objects of that class, the one that decides first.

        Nested sections (``BinderHub.<class>``), sections of base classes, and deprecated traits of
        BinderHub that are copied over it are among them.
        """
        return tuple(self.place.at(*setting.path) for setting in self.settings.setters(class_name, trait))

    def trait(self, class_name: str, trait: str) -> Place:
        """Return the place that decides the trait; one that does not exist where nothing sets it."""
        setters = self.settings.setters(class_name, trait)
        return self.place.at(*(setters[0].path if setters else (class_name, trait)))

    def effective(self, class_name: str, trait: str) -> Json:
        """Return the value that the trait will have: what decides it, else its default.

        A refused value is returned as it is written. None for a default that BinderHub computes.
        """
        return self.settings.effective(class_name, trait)

    @cached_property
    def namespaces(self) -> Namespaces:
        """Where BinderHub builds, cleans up and counts."""
        return namespaces(self.settings, self.environment)

    @property
    def namespace_place(self) -> Place | None:
        """The place that decides where build pods are created, None where nothing does."""
        decides = self.trait("KubernetesBuildExecutor", "namespace")
        return decides if decides.exists else self.build_namespace_env


def namespaces(config: Mapping[str, Json] | Settings, environment: Mapping[str, str]) -> Namespaces:
    """Return where BinderHub works: three objects, each with a trait or an argument of its own.

    Builder: ``KubernetesBuildExecutor.namespace``, which ``BinderHub.build_namespace`` is copied over.
    Cleaner: ``BinderHub.build_namespace`` alone. Quota: ``KubernetesLaunchQuota.namespace`` alone. Each
    falls back to ``$BUILD_NAMESPACE``, then to ``default``.
    """
    settings = config if isinstance(config, Settings) else Settings(config)
    fallback = environment.get(NAMESPACE_VARIABLE, _FALLBACK_NAMESPACE)

    def decided(class_name: str, trait: str) -> str:
        setters = settings.setters(class_name, trait)
        return str(setters[0].value) if setters else fallback

    return Namespaces(
        decided("KubernetesBuildExecutor", "namespace"),
        decided(APPLICATION, "build_namespace"),
        decided("KubernetesLaunchQuota", "namespace"),
    )


def find_config(
    objects: Sequence[KubeObject], pod: PodView, container: ContainerView
) -> BinderHubConfig | None:
    """Return the configuration that this container will read, None where nothing is mounted for the loader.

    Raises:
        SourceError: the loader will refuse a fragment; with its file and line.
    """
    files = mounted_files(objects, pod, container)
    environment = _environment(objects, pod, container)
    directory = normpath(environment.get(DIRECTORY_VARIABLE, DIRECTORY)) + "/"
    fragments = sorted(
        (path.removeprefix(directory), file)
        for path, file in files.items()
        if path.startswith(directory) and not path.startswith(directory + "..")
    )
    if not fragments:
        return None
    first, *others = (_read(name, file) for name, file in fragments)
    merged = reduce(merge_fields, others, first)
    argument, config_path = _config_file(container)
    return BinderHubConfig(
        field=merged,
        fragments=tuple(file.place for _, file in fragments),
        config_file=argument,
        config_path=config_path,
        config_file_mounted=_is_mounted(config_path, files),
        raises_on_error=environment.get(RAISE_VARIABLE, "").lower() in {"1", "true"},
        build_namespace_env=container.env(NAMESPACE_VARIABLE),
        environment=environment,
    )


def merge_fields(first: Field, then: Field) -> Field:
    """Return ``first`` with ``then`` merged into it as the loader does; both wrote it, ``then`` last."""
    writers = then.writers + first.writers
    if not isinstance(first.value, dict) or not isinstance(then.value, dict):
        return Field(then.value, writers)
    content = dict(first.value)
    for key, field in then.value.items():
        content[key] = merge_fields(content[key], field) if key in content else field
    return Field(content, writers)


def _read(name: str, file: MountedFile) -> Field:
    origin = file.place.origin
    if not name.endswith(".yaml") or "/" in name:
        problem = f"is {name} in config.d, where BinderHub's loader accepts .yaml files only; rename it"
        raise SourceError(origin.file, origin.line, problem)
    try:
        text = file.content.decode()
    except ValueError:
        problem = f"gives {name} in config.d no UTF-8 text; save the fragment in that encoding"
        raise SourceError(origin.file, origin.line, problem) from None
    return _parse(text, origin.file, origin.text_line or origin.line)


# Overlays share their base's fragments.
@lru_cache(maxsize=256)
def _parse(text: str, file: str, first_line: int) -> Field:
    documents = list(compose(text, file, writer=Writer.FRAGMENT, first_line=first_line, binderhub=True))
    if not documents:
        raise SourceError(
            file, first_line, "is an empty fragment; write a class with its traits, or remove it"
        )
    if len(documents) > 1:
        raise SourceError(file, documents[1].origin.line, "has a second document; a fragment is one mapping")
    (fragment,) = documents
    if not fragment.value or not isinstance(fragment.value, dict):
        line = fragment.origin.line
        raise SourceError(
            file, line, "is a fragment that does not map classes to traits; write `Class: {trait: value}`"
        )
    for name, traits in fragment.value.items():
        if not name[:1].isupper():
            problem = f"has {name!r} where a fragment has a class; the name of a class begins with a capital"
            raise SourceError(file, traits.origin.line, problem)
        if not isinstance(traits.value, dict):
            problem = f"has no mapping of traits under {name}; write one, or remove the class"
            raise SourceError(file, traits.origin.line, problem)
    return fragment


def _environment(objects: Sequence[KubeObject], pod: PodView, container: ContainerView) -> dict[str, str]:
    """Return the variables that matter here; those that come from outside the tree are missing."""
    maps = {
        item.name: item.place / "data"
        for item in objects
        if item.kind == "ConfigMap" and item.namespace == pod.owner.namespace
    }
    found = {}
    for name in (DIRECTORY_VARIABLE, NAMESPACE_VARIABLE, RAISE_VARIABLE):
        for place in _values(name, maps, pod, container):
            found[name] = place
    return found


def _values(name: str, maps: Mapping[str, Place], pod: PodView, container: ContainerView) -> Iterator[str]:
    """Yield the values that a variable is given, the last of which counts."""
    for source in (container.place / "envFrom").each():
        prefix = (source / "prefix").text
        data = maps.get(source.at("configMapRef", "name").text)
        if data is not None and name.startswith(prefix) and (data / name.removeprefix(prefix)).exists:
            yield (data / name.removeprefix(prefix)).text
    entry = container.env(name)
    if entry is None:
        return
    origin = entry / "valueFrom"
    key = origin / "configMapKeyRef"
    if not origin.exists:
        yield (entry / "value").text
    elif origin.at("fieldRef", "fieldPath").value == "metadata.namespace":
        yield pod.owner.namespace
    elif (key / "name").text in maps:
        yield (maps[(key / "name").text] / (key / "key").text).text


def _config_file(container: ContainerView) -> tuple[Place | None, str]:
    """Return the last argument that names a configuration file, and the file (without one, the default)."""
    words = [word for part in ("command", "args") for word in (container.place / part).each()]
    found: tuple[Place | None, str] = (None, "binderhub_config.py")
    for index, word in enumerate(words):
        option, equals, value = word.text.partition("=")
        if option not in _CONFIG_OPTIONS:
            continue
        if equals:
            found = (word, value)
        elif index + 1 < len(words):
            found = (words[index + 1], words[index + 1].text)
    directory = (container.place / "workingDir").text
    return found[0], normpath(join(directory, found[1]))


def _is_mounted(path: str, files: Mapping[str, MountedFile]) -> bool:
    """Whether one of the files is there that traitlets tries for ``path``, whatever its suffix."""
    stem = splitext(path)[0]
    return any(stem + suffix in files for suffix in (".py", ".json"))
