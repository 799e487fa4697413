"""What an ExternalSecret needs to be made into a Secret, beside the objects that it names.

From https://external-secrets.io/latest/ (api/spec, guides/templating, api/generator), version 0.19.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

_GROUP = "external-secrets.io"
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_STRINGS = re.compile(r"\"[^\"]*\"|`[^`]*`")
_VARIABLE = re.compile(r"(?<![\w)\]}.$])\.([A-Za-z_]\w*)")
# What each generator gives.
_GENERATED = {
    "ACRAccessToken": ("username", "password"),
    "ECRAuthorizationToken": ("username", "password", "proxy_endpoint", "expires_at"),
    "GCRAccessToken": ("username", "password", "expiry"),
    "Password": ("password",),
    "UUID": ("uuid",),
}


class Want(NamedTuple):
    """Something that an ExternalSecret does not get: where it asks for it, a sentence, and what to do."""

    at: Place
    sentence: str
    fix: str


def wants(objects: Iterable[KubeObject]) -> Iterator[Want]:
    """Yield what keeps the operator from making the Secret of an ExternalSecret."""
    for item in objects:
        if item.group == _GROUP and item.kind == "ExternalSecret":
            yield from _wants(item, item.place / "spec")


def _wants(item: KubeObject, spec: Place) -> Iterator[Want]:
    without_store = [
        entry / "remoteRef"
        for entry in (spec / "data").each()
        if not (entry / "sourceRef").exists and not spec.at("secretStoreRef", "name").text
    ]
    if without_store:
        problem = f"{item.title} reads from no store, so it makes no Secret"
        yield Want(spec / "secretStoreRef", problem, "name the store in secretStoreRef")
        return
    given = _given(spec)
    if given is None:
        return
    for key, text in spec.at("target", "template", "data").entries():
        for name in dict.fromkeys(_variables(text.text)):
            if name not in given:
                known = f"only {', '.join(sorted(given))}" if given else "nothing at all"
                problem = f"the template of {item.title} uses .{name} for {key}, and {known} is fetched"
                yield Want(text, f"{problem}: it makes no Secret", f"fetch {name}, or use what is fetched,")


def _given(spec: Place) -> set[str] | None:
    """Return the names of what is fetched, None where only the store knows."""
    given = {(entry / "secretKey").text for entry in (spec / "data").each()}
    for entry in (spec / "dataFrom").each():
        generator = entry.at("sourceRef", "generatorRef", "kind").text
        if generator not in _GENERATED or (entry / "rewrite").exists:
            return None
        given.update(_GENERATED[generator])
    return given


def _variables(text: str) -> Iterator[str]:
    for expression in _EXPRESSION.findall(text):
        yield from _VARIABLE.findall(_STRINGS.sub('""', expression))
