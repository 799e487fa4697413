"""What a page of the documentation asks its reader to do, so that a test can do it.

A fenced block says so behind its language, where no reader sees it:

- ```` ```bash run ````: a command, from the top of the repository.
- ```` ```yaml write=overlays/mine/cluster.yaml ````: a file; the text before the block names it.
- ```` ```diff ````: an edit, as ``git apply`` takes it.

Other blocks are to be read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Action(StrEnum):
    """What is to be done with a block."""

    RUN = "run"
    WRITE = "write"
    EDIT = "edit"


class Step(NamedTuple):
    """A block to do something with.

    Attributes:
        action: what.
        text: the block itself, with a newline at the end.
        file: what ``WRITE`` writes, posix, relative to the repository; empty for other actions.
        line: where the block begins, 1-based.
        before: the text of the paragraph before the block, empty where there is none.
    """

    action: Action
    text: str
    file: str
    line: int
    before: str


def steps(page: Path) -> Iterator[Step]:
    """Yield the steps of a page in their order.

    Raises:
        ValueError: a block says something else behind its language.
    """
    before = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "inline":
            before = token.content
        if token.type != "fence":
            continue
        language, _, what = token.info.strip().partition(" ")
        line = (token.map or [0])[0] + 1
        action, file = _action(language, what, f"{page}:{line}")
        if action:
            yield Step(action, token.content, file, line, before)
        before = ""


def _action(language: str, what: str, where: str) -> tuple[Action | None, str]:
    match language, what.partition("="):
        case "diff", ("", "", ""):
            return Action.EDIT, ""
        case _, ("", "", ""):
            return None, ""
        case "bash", ("run", "", ""):
            return Action.RUN, ""
        case _, ("write", "=", file) if file:
            return Action.WRITE, file
    raise ValueError(f"{where}: a {language} block says {what!r}, which is no step")
