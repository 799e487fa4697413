"""Label selectors, and the requirements that they and node selectors are made of.

Facts from Kubernetes 1.34, ``apimachinery/pkg/labels/selector.go``, ``.../apis/meta/v1/helpers.go`` and
``.../util/validation/validation.go``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from validate.place import Json, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_INT64 = 2**63 - 1
_LONGEST_NAME = 63
_LONGEST_SUBDOMAIN = 253
_LABEL_SELECTOR_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class Requirement(NamedTuple):
    """What one label has to be: a key, an operator and values.

    The operator is In, NotIn, Exists, DoesNotExist or, in node selectors only, Gt or Lt.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def malformed(self) -> str:
        """Why Kubernetes cannot parse it, the empty string where it can."""
        if not is_label_key(self.key):
            return f"{self.key!r} is no label key"
        wrong = next((value for value in self.values if not is_label_value(value)), None)
        if wrong is not None:
            return f"{wrong!r} is no label value"
        match self.operator:
            case "In" | "NotIn":
                return "" if self.values else f"{self.operator} needs values"
            case "Exists" | "DoesNotExist":
                return f"{self.operator} takes no values" if self.values else ""
            case "Gt" | "Lt":
                integer = len(self.values) == 1 and parse_integer(self.values[0]) is not None
                return "" if integer else f"{self.operator} needs exactly one integer"
        return f"there is no operator {self.operator!r}"

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet it. A label that is not there meets NotIn and DoesNotExist."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        number = parse_integer(value)
        bound = parse_integer(self.values[0]) if len(self.values) == 1 else None
        if number is None or bound is None:
            return False
        return number > bound if self.operator == "Gt" else number < bound

    def __str__(self) -> str:
        """Return it as people say it: ``pool In [a, b]``."""
        if self.operator == "In" and len(self.values) == 1:
            return f"{self.key}={self.values[0]}"
        listed = f" [{', '.join(self.values)}]" if self.values else ""
        return f"{self.key} {self.operator}{listed}"


def read_requirements(entries: Json) -> tuple[Requirement, ...]:
    """Return the requirements of a ``matchExpressions`` list; what is no mapping becomes a malformed one."""
    return tuple(
        Requirement(as_text(entry.get("key")), as_text(entry.get("operator")), _values(entry.get("values")))
        for item in (entries if isinstance(entries, list) else ())
        for entry in (item if isinstance(item, dict) else {},)
    )


def _values(values: Json) -> tuple[str, ...]:
    return tuple(as_text(value) for value in values) if isinstance(values, list) else ()


def selects(selector: Json | Place, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (``matchLabels``, ``matchExpressions``) selects an object with ``labels``.

    An empty selector selects everything, a missing one (None) nothing. One that Kubernetes cannot
    parse, Gt and Lt included, selects nothing: the API server refuses the object that carries it.
    Where a field gives "missing" another meaning (the ``namespaceSelector`` of a network policy
    peer), the caller asks before.
    """
    if isinstance(selector, Place):
        selector = selector.value
    if not isinstance(selector, dict):
        return False
    wanted = selector.get("matchLabels")
    requirements = (
        *(
            Requirement(key, "In", (as_text(value),))
            for key, value in (wanted.items() if isinstance(wanted, dict) else ())
        ),
        *read_requirements(selector.get("matchExpressions")),
    )
    return all(
        item.operator in _LABEL_SELECTOR_OPERATORS and not item.malformed and item.holds(labels)
        for item in requirements
    )


def selects_map(selector: Json | Place, labels: Mapping[str, str]) -> bool:
    """Whether the plain map of a Service or ReplicationController selects pods with ``labels``.

    A Service without a selector (or with an empty one) selects no pods: somebody else makes its
    endpoints (``pkg/controller/endpoint/endpoints_controller.go``, syncService).
    """
    if isinstance(selector, Place):
        selector = selector.value
    if not isinstance(selector, dict) or not selector:
        return False
    return all(labels.get(key) == as_text(value) for key, value in selector.items())


def as_text(value: Json) -> str:
    """Return a scalar as YAML would write it; the schema check reports what should be a string and is not."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def parse_integer(text: str | None) -> int | None:
    """Return what Go's ``strconv.ParseInt(text, 10, 64)`` returns, None for its errors."""
    digits = (text or "").removeprefix("+") if text and text[0] == "+" else (text or "").removeprefix("-")
    if text is None or not digits.isascii() or not digits.isdigit():
        return None
    number = int(text)
    return number if -_LARGEST_INT64 - 1 <= number <= _LARGEST_INT64 else None


@cache
def is_label_value(text: str) -> bool:
    """Whether a label, or a taint, may have this value."""
    return len(text) <= _LONGEST_NAME and (not text or _name().fullmatch(text) is not None)


@cache
def is_label_key(text: str) -> bool:
    """Whether this is a qualified name: ``name`` or ``example.org/name``."""
    prefix, slash, name = text.rpartition("/")
    return (
        0 < len(name) <= _LONGEST_NAME
        and _name().fullmatch(name) is not None
        and (not slash or is_subdomain(prefix))
    )


@cache
def is_subdomain(text: str) -> bool:
    """Whether this is a DNS subdomain, as the names of nodes and of most objects are."""
    return len(text) <= _LONGEST_SUBDOMAIN and _subdomain().fullmatch(text) is not None


@cache
def _name() -> re.Pattern[str]:
    return re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


@cache
def _subdomain() -> re.Pattern[str]:
    return re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
