"""Which paths of the repository Argo CD syncs, and where to: Applications, and what ApplicationSets make."""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from validate.argocd.generators import parameters_of
from validate.argocd.templates import Language, TemplateError
from validate.errors import SourceError
from validate.kustomize.files import FILE_NAMES, find_kustomization
from validate.kustomize.tree import read_tree
from validate.place import Json, Place, Writer, lookup
from validate.source import SourceDocument, read_documents

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from validate.place import Path
    from validate.source import Field

GENERATE_PATHS = "argocd.argoproj.io/manifest-generate-paths"


class SyncedPath(Struct, frozen=True, eq=False):
    """One source of one application.

    Attributes:
        path: what is synced, posix, relative to the repository.
        application: name of the Application.
        place: where the path is written: in the Application, or in the template that makes it.
        repository: ``repoURL`` of the source, which need not be this repository.
        destination: name or URL of the cluster.
        namespace: default namespace there.
        generate_paths: what ``manifest-generate-paths`` names, relative to the repository.
        spec: the whole ``spec`` of the Application, templates filled in.
        generator: the generator of an ApplicationSet that yields it, None for an Application.
        projects: the AppProjects that stand beside it.
    """

    path: str
    application: str
    place: Place
    repository: str
    destination: str
    namespace: str
    generate_paths: tuple[str, ...]
    spec: Json
    generator: Place | None = None
    projects: tuple[Place, ...] = ()

    def spec_text(self, *path: str) -> str:
        """Return a text of its ``spec``, empty where there is none."""
        return _text(self.spec, *path)

    @property
    def source(self) -> Place:
        """The place of the source that ``path`` is a part of."""
        return Place.root(self.place.document).at(*self.place.path[:-1])

    @property
    def written(self) -> Place:
        """The place of the Application, or of the template that makes it."""
        above = self.place.path[::-1].index("spec") + 1
        return Place.root(self.place.document).at(*self.place.path[:-above])


def read_applications(root: pathlib.Path, directory: str = "argocd") -> tuple[SyncedPath, ...]:
    """Return what the Applications and ApplicationSets below ``directory`` sync.

    Where the directory has a kustomization, that is those which it renders.

    Raises:
        SourceError: a file that cannot be read, or an ApplicationSet that is not expanded here.
    """
    known = list(_documents(root, directory))
    projects = tuple(one.place for one in known if one.title.startswith("AppProject "))
    return tuple(replace(synced, projects=projects) for document in known for synced in _read(root, document))


def barren_generators(root: pathlib.Path, directory: str = "argocd") -> tuple[Place, ...]:
    """Return the generators below ``directory`` that yield no application.

    Raises:
        SourceError: as :func:`read_applications`.
    """
    return tuple(
        generator
        for document in _documents(root, directory)
        if document.title.startswith("ApplicationSet ")
        for generator in document.place.at("spec", "generators").each()
        if not parameters_of(root, generator, _language(document.place / "spec"))
    )


def _documents(root: pathlib.Path, directory: str) -> Iterator[SourceDocument]:
    for field in _objects(root, directory):
        if field.text("apiVersion").startswith("argoproj.io/") and field.text("kind"):
            yield SourceDocument(f"{field.text('kind')} {field.text('metadata', 'name')}", field)


def _objects(root: pathlib.Path, directory: str) -> Iterator[Field]:
    if find_kustomization(root, directory):
        yield from (item.field for item in read_tree(root, directory).items)
        return
    for suffix in ("yaml", "yml"):
        for file in sorted((root / directory).rglob(f"*.{suffix}")):
            if file.name not in FILE_NAMES:
                yield from read_documents(root, file.relative_to(root).as_posix(), Writer.SOURCE)


def _read(root: pathlib.Path, document: SourceDocument) -> Iterator[SyncedPath]:
    kind = (document.place / "kind").text
    if kind == "Application":
        yield from _sources(document.value, document.place)
    elif kind == "ApplicationSet":
        yield from _expand(root, document.place)


def _expand(root: pathlib.Path, application_set: Place) -> Iterator[SyncedPath]:
    spec = application_set / "spec"
    patch = spec / "templatePatch"
    if patch.exists:
        raise SourceError(
            patch.origin.file,
            patch.origin.line,
            "has a templatePatch, which is not expanded here; use the template",
        )
    language = _language(spec)
    template = spec / "template"
    for generator in (spec / "generators").each():
        for parameters in parameters_of(root, generator, language):
            for synced in _sources(_filled(template, parameters, language), template):
                yield replace(synced, generator=generator)


def _language(spec: Place) -> Language:
    options = (spec / "goTemplateOptions").items
    return Language(go=(spec / "goTemplate").value is True, strict="missingkey=error" in options)


def _filled(template: Place, parameters: dict[str, Json], language: Language) -> Json:
    """Return the template filled in; what is wrong with it is said of the line it stands on."""
    try:
        return language.render(template.value, parameters)
    except TemplateError as whole:
        for path in _texts(template.value):
            place = template.at(*path)
            try:
                language.render(place.value, parameters)
            except TemplateError as error:
                raise SourceError(place.origin.file, place.origin.line, str(error)) from None
        # Then it is a key of a mapping.
        raise SourceError(template.origin.file, template.origin.line, str(whole)) from None


def _texts(value: Json) -> Iterator[Path]:
    if isinstance(value, str):
        yield ()
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield from ((key, *path) for path in _texts(below))


def _sources(application: Json, written: Place) -> Iterator[SyncedPath]:
    """Yield each source that is a path; charts and sources that only lend their values are none."""
    spec = lookup(application, ("spec",))
    several = lookup(spec, ("sources",))
    paths: list[Path] = [("source",)]
    if isinstance(several, list) and several:
        paths = [("sources", index) for index in range(len(several))]
    for at in paths:
        source = lookup(spec, at)
        path = _text(source, "path")
        if not path:
            continue
        yield SyncedPath(
            path=normpath(path),
            application=_text(application, "metadata", "name"),
            place=written.at("spec", *at, "path"),
            repository=_text(source, "repoURL"),
            destination=_text(spec, "destination", "name") or _text(spec, "destination", "server"),
            namespace=_text(spec, "destination", "namespace"),
            generate_paths=_generate_paths(application, path),
            spec=spec,
        )


def _generate_paths(application: Json, path: str) -> tuple[str, ...]:
    """Return the annotation's paths: relative to the source, from the root with a slash in front."""
    written = _text(application, "metadata", "annotations", GENERATE_PATHS)
    return tuple(
        normpath(item.lstrip("/") or ".") if item.startswith("/") else normpath(join(path, item))
        for item in written.split(";")
        if item
    )


def _text(value: Json, *path: str) -> str:
    found = lookup(value, path)
    return found if isinstance(found, str) else ""
