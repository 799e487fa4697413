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
_HOUR = 3600
_UNITS = {"h": _HOUR, "m": 60, "s": 1}
_OFTEN = "15m"
# How long what they give is good for.
_LIVES = {"ECRAuthorizationToken": 12 * _HOUR, "ACRAccessToken": 3 * _HOUR, "GCRAccessToken": _HOUR}
_AWS, _AZURE = "eks.amazonaws.com/role-arn", "azure.workload.identity"
# By kind, where it names a ServiceAccount: the annotations that this one has to have, each with the field
# that says it as well.
_IDENTITIES: dict[str, dict[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "ECRAuthorizationToken": {("spec", "auth", "jwt"): {_AWS: ()}},
    "SecretStore": {
        ("spec", "provider", "aws", "auth", "jwt"): {_AWS: ()},
        ("spec", "provider", "azurekv"): {f"{_AZURE}/client-id": (), f"{_AZURE}/tenant-id": ("tenantId",)},
    },
}


class Want(NamedTuple):
    """Something that an ExternalSecret does not get: where it asks for it, a sentence, and what to do."""

    at: Place
    sentence: str
    fix: str


def wants(objects: Iterable[KubeObject]) -> Iterator[Want]:
    """Yield what keeps the operator from making the Secret of an ExternalSecret, or from keeping it valid."""
    together = tuple(objects)
    accounts = {(item.namespace, item.name): item for item in together if item.kind == "ServiceAccount"}
    for item in together:
        if item.group == _GROUP and item.kind == "ExternalSecret":
            yield from _wants(item, item.place / "spec")
            yield from _whole(item)
            yield from _outlived(item)
        for path, needed in _IDENTITIES.get(item.kind, {}).items():
            account = accounts.get((item.namespace, item.place.at(*path, "serviceAccountRef", "name").text))
            for annotation, instead in needed.items() if account else ():
                told = bool(instead) and item.place.at(*path, *instead).exists
                if account and not told and not account.annotations.get(annotation):
                    yield Want(
                        account.place.at("metadata", "annotations"),
                        f"{item.title} acts as {account.title}, which has no {annotation}: it gets nothing",
                        f"annotate it with {annotation}",
                    )


def _whole(item: KubeObject) -> Iterator[Want]:
    """Yield the entries that take all of what another one takes a property of: it is text with structure."""
    remote = [entry / "remoteRef" for entry in item.place.at("spec", "data").each()]
    parts = {(one / "key").text: one / "property" for one in remote if (one / "property").text}
    for one in remote:
        part = parts.get((one / "key").text)
        if part is not None and not (one / "property").text:
            yield Want(
                one / "property",
                f"{item.title} takes all of {(one / 'key').text} for one value, and {part.text} of it for "
                "another: what has properties is no password",
                "name the property",
            )


def _outlived(item: KubeObject) -> Iterator[Want]:
    """Yield the tokens that end before they are fetched again."""
    interval = item.place.at("spec", "refreshInterval")
    seconds = _seconds(interval.text) if interval.exists else _HOUR
    for entry in item.place.at("spec", "dataFrom").each():
        kind = entry.at("sourceRef", "generatorRef", "kind").text
        life = _LIVES.get(kind)
        if life and seconds is not None and not 0 < seconds < life:
            often = f"every {interval.text or 'hour, as it does by default'}" if seconds else "once"
            yield Want(
                interval,
                f"{item.title} fetches a token of {kind} {often}, and it lives for {life // _HOUR} h: "
                "between its end and the next one, every push is refused",
                f"set refreshInterval to {_OFTEN}",
            )


def _seconds(duration: str) -> int | None:
    """Return a duration of Go in whole seconds, None where it is none."""
    if not re.fullmatch(r"0|(\d+[hms])+", duration):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


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
