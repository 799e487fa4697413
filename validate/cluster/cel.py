"""The Common Expression Language as the API server runs it in admission policies.

Google's implementation (cel-cpp) does the work. Its extensions take 0.15 s to load, so they are
loaded for expressions that do not compile without them. Libraries that only Kubernetes has are
added here where they are simple (``find``, ``findAll``, ``sets``); an expression that needs another
one is not judged at all.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validate.place import Json

# https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
_KUBERNETES_ONLY = frozenset(
    {
        "allocatesTo",
        "asApproximateFloat",
        "asInteger",
        "authorizer",
        "cidr",
        "compareTo",
        "indexOf",
        "ip",
        "isCIDR",
        "isIP",
        "isQuantity",
        "isSemver",
        "isSorted",
        "isURL",
        "jsonpatch",
        "lastIndexOf",
        "max",
        "min",
        "quantity",
        "semver",
        "sum",
        "url",
    }
)
_UNDECLARED = re.compile(r"undeclared reference to '(?:[\w.]*\.)?(\w+)'")
_VARIABLES = ("object", "oldObject", "request", "namespaceObject", "variables")


class ExpressionError(Exception):
    """An expression that does not compile; the message is the compiler's, in one line."""


class UnknownLibraryError(Exception):
    """An expression that uses a library of Kubernetes which is not here; the message is its name."""


class Outcome(Struct, frozen=True):
    """What an expression yields: a plain value, or the reason why it has none."""

    value: Json
    error: str = ""


class Expression(Struct, frozen=True):
    """A compiled expression; ``result`` is the type that it yields: ``BOOL``, ``STRING``, ``DYN`` ..."""

    program: Any
    result: str

    def evaluate(self, values: Mapping[str, Json]) -> Outcome:
        """Return what the expression yields with these variables."""
        found = self.program.eval(data=values)
        if found.type().name() == "ERROR":
            return Outcome(None, str(found.value()))
        return Outcome(found.plain_value())


@cache
def compile_expression(text: str, *, with_params: bool) -> Expression:
    """Return the compiled expression, once per process.

    ``with_params``: whether ``params`` is declared, as it is for policies with a ``paramKind``.

    Raises:
        ExpressionError: the API server would refuse it too.
        UnknownLibraryError: it needs a library that only Kubernetes has.
    """
    try:
        program = _environment(with_params=with_params).compile(text)
    except RuntimeError:
        try:
            program = _extended_environment(with_params=with_params).compile(text)
        except RuntimeError as error:
            missing = _UNDECLARED.search(str(error))
            if missing and missing[1] in _KUBERNETES_ONLY:
                raise UnknownLibraryError(missing[1]) from None
            raise ExpressionError(_in_one_line(str(error))) from None
    return Expression(program, program.return_type().name())


def _in_one_line(message: str) -> str:
    first = message.removeprefix("INVALID_ARGUMENT: ERROR: <input>:").splitlines()[0]
    place, _, said = first.partition(": ")
    line, _, column = place.partition(":")
    return f"line {line}, column {column}: {said}" if said else first


@cache
def _environment(*, with_params: bool) -> Any:
    from cel_expr_python import cel  # noqa: PLC0415 - 8 ms, and only where there are policies

    return cel.NewEnv(variables=_variables(cel, with_params=with_params))


@cache
def _extended_environment(*, with_params: bool) -> Any:
    from cel_expr_python import cel  # noqa: PLC0415 - as above
    from cel_expr_python.ext import (  # noqa: PLC0415 - 0.15 s, and only where an expression needs them
        ext_bindings,
        ext_encoders,
        ext_math,
        ext_optional,
        ext_strings,
    )

    return cel.NewEnv(
        variables=_variables(cel, with_params=with_params),
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_bindings.ExtBindings(),
            ext_encoders.ExtEncoders(),
            ext_math.ExtMath(),
            _kubernetes_library(cel),
        ],
    )


def _variables(cel: Any, *, with_params: bool) -> dict[str, Any]:
    names = (*_VARIABLES, "params") if with_params else _VARIABLES
    return dict.fromkeys(names, cel.Type.DYN)


def _kubernetes_library(cel: Any) -> Any:
    """Return ``find`` and ``findAll`` of the regex library, and the sets library."""
    text, whole, anything = cel.Type.STRING, cel.Type.INT, cel.Type.List(cel.Type.DYN)
    texts = cel.Type.List(text)

    def method(name: str, result: Any, *overloads: tuple[list[Any], Any]) -> Any:
        made = [
            cel.Overload(
                f"{name}_{len(parameters)}",
                return_type=result,
                parameters=parameters,
                is_member=True,
                impl=impl,
            )
            for parameters, impl in overloads
        ]
        return cel.FunctionDecl(name, made)

    def compare(name: str, impl: Any) -> Any:
        overload = cel.Overload(name, return_type=cel.Type.BOOL, parameters=[anything, anything], impl=impl)
        return cel.FunctionDecl(name, [overload])

    return cel.CelExtension(
        "kubernetes",
        [
            method("find", text, ([text, text], _find)),
            method("findAll", texts, ([text, text], _find_all), ([text, text, whole], _find_all)),
            compare("sets.contains", lambda items, others: all(item in items for item in others)),
            compare("sets.intersects", lambda items, others: any(item in items for item in others)),
            compare(
                "sets.equivalent",
                lambda items, others: (
                    all(item in items for item in others) and all(item in others for item in items)
                ),
            ),
        ],
    )


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]
