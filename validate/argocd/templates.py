"""The templates of an ApplicationSet, as far as repositories of overlays use them.

Two languages: ``{{path.basename}}`` (fasttemplate: an unknown tag stays as it is), and with
``goTemplate: true`` the one of Go, of which values, ``index`` and a few functions of Sprig are
understood. Anything else is refused with a reason instead of guessed at.
https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/GoTemplate/
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from validate.place import Json


class TemplateError(Exception):
    """A template that is not understood or that asks for what is not there; the message is a clause."""


class Language(Struct, frozen=True):
    """Which templates an ApplicationSet uses: ``goTemplate``, and ``missingkey=error`` among its options."""

    go: bool
    strict: bool

    def render(self, value: Json, parameters: Mapping[str, Json]) -> Json:
        """Return ``value`` with every template in it filled in, keys of mappings included.

        Raises:
            TemplateError: a template that cannot be filled in.
        """
        match value:
            case str():
                return self._text(value, parameters)
            case list():
                return [self.render(item, parameters) for item in value]
            case dict():
                return {
                    self._text(key, parameters): self.render(item, parameters) for key, item in value.items()
                }
        return value

    def _text(self, text: str, parameters: Mapping[str, Json]) -> str:
        if "{{" not in text:
            return text
        if self.go:
            return _go(text, parameters, strict=self.strict)
        return _tags().sub(lambda tag: _tag(tag, parameters), text)


@cache
def _tags() -> re.Pattern[str]:
    return re.compile(r"\{\{(.*?)\}\}")


def _tag(tag: re.Match[str], parameters: Mapping[str, Json]) -> str:
    found = parameters.get(tag[1].strip())
    return found if isinstance(found, str) else tag[0]


@cache
def _actions() -> re.Pattern[str]:
    # A dash beside a brace eats the white space on its side.
    return re.compile(r"(?:\s*\{\{-\s|\{\{)((?:(?!\}\}).)*?)(?:\s-\}\}\s*|\}\})", re.DOTALL)


@cache
def _words() -> re.Pattern[str]:
    return re.compile(
        r'\s*(?:(?P<field>(?:\.\w+)+|\.)|(?P<text>"[^"\\]*"|`[^`]*`)|(?P<number>-?\d+)|(?P<name>\w+))(?=\s|$)'
    )


def _go(text: str, parameters: Mapping[str, Json], *, strict: bool) -> str:
    def action(found: re.Match[str]) -> str:
        return _printed(_pipeline(found[1], parameters, strict=strict), found[1])

    return _actions().sub(action, text)


def _pipeline(expression: str, parameters: Mapping[str, Json], *, strict: bool) -> Json:
    """Evaluate ``a | f x | g``: each command gets the value before it as its last argument."""
    carried: list[Json] = []
    for command in expression.split("|"):
        words = _split(command, expression)
        kind, word = words[0]
        values = [_operand(kind, word, parameters, strict=strict) for kind, word in words[1:]] + carried
        if kind == "name":
            carried = [_call(word, values, expression)]
        elif values:
            raise TemplateError(f"has {{{{{expression}}}}}, which is not understood here")
        else:
            carried = [_operand(kind, word, parameters, strict=strict)]
    return carried[0]


def _split(command: str, expression: str) -> list[tuple[str, str]]:
    words: list[tuple[str, str]] = []
    position = 0
    while command[position:].strip():
        word = _words().match(command, position)
        if word is None or word.lastgroup is None:
            break
        words.append((word.lastgroup, word[word.lastgroup]))
        position = word.end()
    else:
        if words:
            return words
    raise TemplateError(f"has {{{{{expression}}}}}, which is not understood here")


def _operand(kind: str, word: str, parameters: Mapping[str, Json], *, strict: bool) -> Json:
    match kind:
        case "text":
            return word[1:-1]
        case "number":
            return int(word)
        case "name":
            raise TemplateError(f"calls {word} inside a command, which is not understood here")
    value: Json = dict(parameters)
    for key in word.split(".")[1:]:
        if key and not (isinstance(value, dict) and key in value):
            if strict:
                raise TemplateError(f"asks for {word}, and the generator yields no {key}")
            return None
        if key and isinstance(value, dict):
            value = value[key]
    return value


def _printed(value: Json, expression: str) -> str:
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        # Go prints larger ones as 1e+06.
        case int() if abs(value) < 1_000_000:  # noqa: PLR2004
            return str(value)
    raise TemplateError(f"prints {{{{{expression}}}}}, which is no text; make it a string")


def _call(name: str, values: list[Json], expression: str) -> Json:
    function = _FUNCTIONS.get(name)
    if function is None:
        known = ", ".join(sorted(_FUNCTIONS))
        raise TemplateError(f"calls {name}, which is not understood here; use one of {known}")
    try:
        return function(*values)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise TemplateError(f"cannot evaluate {{{{{expression}}}}} with what the generator yields") from None


def _index(value: Json, *keys: str | int) -> Json:
    """Return what stands at the keys; a key that a mapping lacks is nothing, whatever ``missingkey`` says."""
    for key in keys:
        match value:
            case list() if isinstance(key, int) and key >= 0:
                value = value[key]
            case dict() if isinstance(key, str):
                value = value.get(key)
            case _:
                raise TypeError(key)
    return value


def _join(separator: str, items: list[Json]) -> str:
    return separator.join(_printed(item, "join") for item in items)


def normalized(name: str) -> str:
    """Return a name made fit for a Kubernetes object, as Argo CD's ``SanitizeName`` does."""
    return re.sub(r"[^-a-z0-9.]", "-", name.lower())[:253].strip("-.")


_FUNCTIONS: dict[str, Callable[..., Json]] = {
    "default": lambda fallback, value=None: value or fallback,
    "index": _index,
    "join": _join,
    "lower": str.lower,
    "normalize": normalized,
    "replace": lambda old, new, text: text.replace(old, new),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "upper": str.upper,
}
