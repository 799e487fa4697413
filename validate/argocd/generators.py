"""The generators of an ApplicationSet, run against the working tree.

What a generator yields from elsewhere (clusters, pull requests, plugins) only a running Argo CD knows;
such a generator is refused with a sentence. As in ``applicationset/generators`` of Argo CD 3.6.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from validate.argocd.templates import Language, TemplateError, normalized
from validate.errors import SourceError
from validate.place import Json, Writer
from validate.source import read_documents

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator, Mapping

    from validate.place import Place

Parameters: TypeAlias = "dict[str, Json]"

_WAY_OUT = "use git directories, git files, list, matrix or merge"


def parameters_of(root: pathlib.Path, generator: Place, language: Language) -> list[Parameters]:
    """Return what one entry of ``spec.generators`` yields, one set of parameters for each application.

    Raises:
        SourceError: a generator, or a template in it, that is not expanded here.
    """
    return _Expansion(root, generator, language).expand(generator.mapping, {})


class _Expansion:
    """The expansion of one generator; ``at`` is what errors name."""

    def __init__(self, root: pathlib.Path, at: Place, language: Language) -> None:
        self.root = root
        self.at = at
        self.language = language

    def refuse(self, problem: str) -> SourceError:
        return SourceError(self.at.origin.file, self.at.origin.line, problem)

    def expand(self, generator: Mapping[str, Json], given: Parameters) -> list[Parameters]:
        """Return the parameters that ``generator`` yields; ``given`` fill in the templates in it."""
        extra = sorted(generator.keys() - {"git", "list", "matrix", "merge"})
        if len(generator) != 1 or extra:
            named = ", ".join(extra or sorted(generator)) or "without a kind"
            raise self.refuse(f"has a generator {named} that is not expanded here; {_WAY_OUT}")
        ((kind, written),) = generator.items()
        settings = self.render(written, given) if given and kind in ("git", "list") else written
        if not isinstance(settings, dict):
            raise self.refuse(f"has a generator {kind} that is no mapping")
        if settings.get("template"):
            raise self.refuse(f"has a template of its own in generator {kind}, which is not merged here")
        match kind:
            case "git":
                return list(self.from_git(settings))
            case "list":
                return list(self.from_list(settings))
            case "matrix":
                return list(self.from_matrix(settings, given))
        return list(self.from_merge(settings, given))

    def render(self, value: Json, given: Mapping[str, Json]) -> Json:
        try:
            return self.language.render(value, given)
        except TemplateError as error:
            raise self.refuse(str(error)) from None

    def from_git(self, settings: dict[str, Json]) -> Iterator[Parameters]:
        """Yield the parameters of directories or, where none are asked for, of files."""
        prefix = str(settings.get("pathParamPrefix") or "")
        if settings.get("directories"):
            for path in matching(self.root, settings["directories"], files=False):
                yield self.valued(self.of_path(path, "", prefix), settings)
        elif settings.get("files"):
            for file in matching(self.root, settings["files"], files=True):
                for content in self.contents(file):
                    path, name = str(PurePosixPath(file).parent), PurePosixPath(file).name
                    read = content if self.language.go else dict(_flat(content, ""))
                    yield self.valued({**read, **self.of_path(path, name, prefix)}, settings)
        else:
            raise self.refuse("has a generator git with neither directories nor files")

    def contents(self, file: str) -> list[dict[str, Json]]:
        documents = read_documents(self.root, file, Writer.SOURCE)
        value = documents[0].plain() if documents else {}
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in items):
            raise SourceError(
                file, 1, "is read by a git files generator, and must be a mapping or a list of them"
            )
        return [item for item in items if isinstance(item, dict)]

    def of_path(self, path: str, file: str, prefix: str) -> Parameters:
        base = PurePosixPath(path).name or path
        segments: list[Json] = [*path.split("/")]
        named: dict[str, Json] = {"path": path, "basename": base, "basenameNormalized": normalized(base)}
        if file:
            named |= {"filename": file, "filenameNormalized": normalized(file)}
        if self.language.go:
            named["segments"] = segments
            return {prefix: {"path": named}} if prefix else {"path": named}
        name = f"{prefix}.path" if prefix else "path"
        flat: Parameters = {f"{name}.{key}": value for key, value in named.items() if key != "path"}
        numbered = {f"{name}[{index}]": segment for index, segment in enumerate(segments) if segment}
        return {name: path, **flat, **numbered}

    def valued(self, parameters: Parameters, settings: dict[str, Json]) -> Parameters:
        """Return the parameters with the generator's own ``values``, which may use them."""
        values = self.render(settings.get("values") or {}, parameters)
        if not isinstance(values, dict) or not values:
            return parameters
        if self.language.go:
            return {**parameters, "values": values}
        return {**parameters, **{f"values.{key}": value for key, value in values.items()}}

    def from_list(self, settings: dict[str, Json]) -> Iterator[Parameters]:
        if settings.get("elementsYaml"):
            raise self.refuse(
                "has a list generator with elementsYaml, which is not expanded here; use elements"
            )
        elements = settings.get("elements")
        for element in elements if isinstance(elements, list) else []:
            if not isinstance(element, dict):
                raise self.refuse("has an element of a list generator that is no mapping")
            yield dict(element) if self.language.go else dict(_flat(element, ""))

    def from_matrix(self, settings: dict[str, Json], given: Parameters) -> Iterator[Parameters]:
        """Yield each pair; the second generator may use what the first one yields, which wins."""
        first, *others = self.children(settings)
        if len(others) != 1:
            raise self.refuse("has a matrix generator that does not have exactly two generators")
        for outer in self.expand(first, given):
            for inner in self.expand(others[0], {**given, **outer}):
                yield {**inner, **outer} if self.language.go else {**outer, **inner}

    def from_merge(self, settings: dict[str, Json], given: Parameters) -> Iterator[Parameters]:
        """Yield what the first generator yields, overridden by those with the same merge keys."""
        keys = settings.get("mergeKeys")
        base, *others = (self.expand(child, given) for child in self.children(settings))
        if not isinstance(keys, list) or not keys or not others:
            raise self.refuse("has a merge generator that lacks mergeKeys or a second generator")

        def identity(parameters: Parameters) -> str:
            return json.dumps([parameters.get(str(key)) for key in keys])

        for parameters in base:
            merged = parameters
            for more in others:
                for override in more:
                    if identity(override) == identity(parameters):
                        merged = _deep(merged, override) if self.language.go else {**merged, **override}
            yield merged

    def children(self, settings: dict[str, Json]) -> Iterable[dict[str, Json]]:
        children = settings.get("generators")
        if not isinstance(children, list) or not children:
            raise self.refuse("has a generator that combines no others")
        return [child for child in children if isinstance(child, dict)]


def _deep(value: Parameters, override: Parameters) -> Parameters:
    merged = dict(value)
    for key, item in override.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(item, dict)
        merged[key] = _deep(before, item) if both else item  # type: ignore[arg-type]
    return merged


def _flat(value: Json, name: str) -> Iterator[tuple[str, Json]]:
    """Yield ``a.b`` and ``list.0`` with their values as text, as templates without Go see them."""
    pairs = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if pairs is None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
        return
    for key, item in pairs:
        yield from _flat(item, f"{name}.{key}" if name else str(key))


def matching(root: pathlib.Path, patterns: Json, *, files: bool) -> list[str]:
    """Return the files or directories that a pattern includes and none excludes, sorted.

    For files ``*`` matches slashes too, since Argo CD asks ``git ls-files`` unless it runs with its newer
    globbing. For directories it does not, and hidden ones are left out.
    """
    entries = [entry for entry in patterns if isinstance(entry, dict)] if isinstance(patterns, list) else []
    wanted, unwanted = (
        [str(entry.get("path", "")) for entry in entries if (entry.get("exclude") is True) is exclude]
        for exclude in (False, True)
    )
    paths = {path for pattern in wanted for path in _below(root, pattern, files=files)}

    def matches(path: str, globs: list[str]) -> bool:
        return any(re.fullmatch(_expression(glob, files=files), path) for glob in globs)

    return sorted(path for path in paths if matches(path, wanted) and not matches(path, unwanted))


def _below(root: pathlib.Path, pattern: str, *, files: bool) -> Iterator[str]:
    """Yield the files or directories below the part of a pattern that has no wildcard."""
    literal = re.split(r"[*?\[]", pattern)[0].rpartition("/")[0]
    for directory, names, inside in os.walk(root / literal):
        names[:] = [name for name in names if name != ".git" and (files or not name.startswith("."))]
        path = PurePosixPath(directory).relative_to(root.as_posix())
        yield from (str(path / name) for name in (inside if files else names))


@cache
def _expression(glob: str, *, files: bool) -> str:
    """Return the regular expression of a glob; for files, one without wildcards may be their directory."""
    one = "." if files else "[^/]"
    parts = re.split(r"(\*+|\?|\[[^]]+\])", glob)
    wild = {"*": f"{one}*", "?": one}
    expression = "".join(
        wild.get(part[0], part.replace("[!", "[^")) if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    if files and len(parts) == 1:
        return f"{expression}.+" if glob.endswith("/") else f"{expression}(/.*)?"
    return expression
