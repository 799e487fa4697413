"""What of a changed value may be shown: that it changed can always be said, what it is may be a credential.

In doubt it is left out. A value that is hidden for nothing costs a look at the file; one that is shown
stands in a comment for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from validate.binderhub.credentials import is_credential

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.cluster.objects import KubeObject
    from validate.place import Json, Path

HIDDEN = "not shown: it may hold a credential"
_SECRET_FIELDS = ("data", "stringData")
# Keys that name a credential by its place, and hold none.
_REFERENCES = frozenset(
    "push_secret secret secretname secretref secretkeyref secretstoreref secretkey remoteref "
    "imagepullsecrets image_pull_secrets existingsecret tokenreview automountserviceaccounttoken "
    "serviceaccounttoken registry-credentials docker_config_path tokenpath expirationseconds".split()
)
_NAMES = (
    r"passw(?:or)?d|passphrase|secret|token|credentials?|htpasswd|auth|"
    r"(?:api|access|private|auth|signing)[_-]?key"
)
_KEY = re.compile(rf"(?i)(?:.*[^a-z])?(?:{_NAMES})s?(?:[_-]?\d+)?|.*(?:password|token|secret)")
_ASSIGNED = re.compile(r"""^\s*(?:-\s+)?(?:export\s+)?["']?([\w.$/-]+)["']?\s*[:=]\s*(.*)$""")
# From where a name begins: from every letter on, a long word would take the square of its length.
_INLINE = re.compile(rf"""(?i)(?<![\w.-])[\w.-]*(?:{_NAMES})["']?\s*[:=]\s*["']?[^\s"',}}]+""")
_OPTION = re.compile(rf"(?i)--?[\w-]*(?:{_NAMES})(=.*)?")
# A scheme likewise, from where it begins.
_IN_TEXT = re.compile(
    r"(?i)(?<![a-z0-9+.-])[a-z0-9+.-]+://[^/@\s:]*:[^/@\s]+@|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\$2[aby]\$\d|\"auths?\"|"
    r"\b(?:ghp|gho|ghs|github_pat|glpat|xox[abp]|AKIA|ASIA)[-_A-Z0-9]{8,}|\bauthorization\s*[:=]|\bbearer\s+\S{8,}|"
    r"\beyJ[\w-]{8,}\.[\w-]{8,}"
)
_BEGIN_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
# Base64, and the line that ends it, belong to a key; anything else begins something new.
_AFTER_KEY = re.compile(r"(?!\s*(?:[A-Za-z0-9+/=]{1,76}|-----END.*)?$)")
_IN_KEY = -1
# A block scalar, or a value that stands in the lines that follow.
_GOES_ON = re.compile(r"[|>][-+\d]*\s*(?:#.*)?|(?:#.*)?")
_WHOLE = re.compile(r"auths|PRIVATE KEY")
# `name: $VARIABLE`, `{{ template }}`, `true`, `5` and paths are no credentials, whatever the name.
_HARMLESS = re.compile(
    r"""["']?(?:\$[({]?\w+[)}]?|\{\{.*\}\}|true|false|null|none|~|\d{1,6}|/[\w./-]*|)["']?,?\s*(?:\#.*)?""",
    re.IGNORECASE,
)


def is_hidden(item: KubeObject, path: Path, value: Json) -> bool:
    """Whether a scalar of an object may be, or may hold, a credential."""
    if item.kind == "Secret" and path[:1] in {(field,) for field in _SECRET_FIELDS}:
        return True
    if not isinstance(value, str):
        return False
    key = next((key for key in reversed(path) if isinstance(key, str)), "")
    named = _is_name_of_credential(key) and not _HARMLESS.fullmatch(value)
    return named or is_credential(path, value) or bool(_IN_TEXT.search(value) or _WHOLE.search(value))


def redacted(item: KubeObject, path: Path, value: Json) -> tuple[Json, bool]:
    """Return the value without what may be a credential, and whether that leaves something out."""
    if isinstance(value, dict):
        parts = {key: _entry(item, path, value, key) for key in value}
        return {key: part for key, (part, _) in parts.items()}, any(hidden for _, hidden in parts.values())
    if isinstance(value, list):
        items = [
            (HIDDEN, True) if _follows_option(value, index) else redacted(item, (*path, index), below)
            for index, below in enumerate(value)
        ]
        return [part for part, _ in items], any(hidden for _, hidden in items)
    if isinstance(value, str) and "\n" in value and not is_hidden(item, path, value):
        lines = value.split("\n")
        left_out = hidden_lines(lines)
        return "\n".join(HIDDEN if n in left_out else line for n, line in enumerate(lines)), bool(left_out)
    return (HIDDEN, True) if is_hidden(item, path, value) or _is_assignment(value) else (value, False)


def hides_element(item: KubeObject, path: Path, siblings: Json, value: Json) -> bool:
    """Whether a scalar may be a credential by what stands beside it: its name, or an option before it."""
    key = path[-1] if path else ""
    if isinstance(siblings, list) and isinstance(key, int) and _follows_option(siblings, key):
        return True
    if (
        key == "value"
        and isinstance(siblings, dict)
        and _is_name_of_credential(str(siblings.get("name", "")))
    ):
        return isinstance(value, str) and not _HARMLESS.fullmatch(value)
    return is_hidden(item, path, value) or _is_assignment(value)


def hidden_lines(lines: Sequence[str]) -> frozenset[int]:
    """Return which lines of a text may hold a credential: those that assign one, and what belongs to them."""
    return frozenset(_hidden(lines))


def _hidden(lines: Sequence[str]) -> Iterator[int]:
    """Yield the lines to hide; what belongs to a line before them is hidden with it."""
    owner: _Owner | None = None
    for number, line in enumerate(lines):
        if owner is not None and owner.has(line):
            yield number
            continue
        owner = _Owner.of(line)
        if _gives_credential(line):
            yield number


class _Owner(NamedTuple):
    """A line whose value goes on below it: to the right of ``indent``, or up to the end of a key."""

    indent: int

    @classmethod
    def of(cls, line: str) -> _Owner | None:
        """Return the owner that a line is, None where its value ends with it."""
        if _BEGIN_KEY.search(line) and "-----END" not in line:
            return cls(_IN_KEY)
        assigned = _ASSIGNED.match(line)
        if assigned and _is_name_of_credential(assigned[1]) and _GOES_ON.fullmatch(assigned[2]):
            return cls(len(line) - len(line.lstrip()))
        return None

    def has(self, line: str) -> bool:
        """Whether the line belongs to the value."""
        if self.indent == _IN_KEY:
            return not _AFTER_KEY.match(line)
        return not line.strip() or len(line) - len(line.lstrip()) > self.indent


def _gives_credential(line: str) -> bool:
    assigned = _ASSIGNED.match(line)
    if assigned and _is_name_of_credential(assigned[1]):
        return not (_HARMLESS.fullmatch(assigned[2]) or _GOES_ON.fullmatch(assigned[2]))
    return bool(_IN_TEXT.search(line)) or any(_is_assignment(match[0]) for match in _INLINE.finditer(line))


def _entry(item: KubeObject, path: Path, mapping: dict[str, Json], key: str) -> tuple[Json, bool]:
    value = mapping[key]
    if not isinstance(value, dict | list) and "\n" not in str(value):
        hidden = hides_element(item, (*path, key), mapping, value)
        return (HIDDEN, True) if hidden else (value, False)
    return redacted(item, (*path, key), value)


def _is_name_of_credential(key: str) -> bool:
    last = key.rpartition(".")[2]
    return last.lower() not in _REFERENCES and _KEY.fullmatch(last) is not None


def _is_assignment(value: Json) -> bool:
    """Whether a text gives a credential to an option or a variable: ``--password=x``, ``TOKEN=x``."""
    if not isinstance(value, str):
        return False
    for match in _INLINE.finditer(value):
        name, _, given = re.split(r"(\s*[:=]\s*)", match[0], maxsplit=1)
        if _is_name_of_credential(name.strip("\"'-")) and not _HARMLESS.fullmatch(given):
            return True
    return False


def _follows_option(items: Sequence[Json], index: int) -> bool:
    before = items[index - 1] if 0 < index <= len(items) else None
    if not isinstance(before, str) or not before.startswith("-"):
        return False
    found = _OPTION.fullmatch(before)
    return found is not None and found[1] is None
