"""Completion for shells: a script asks for the words that may follow, each time somebody presses Tab.

Asking, instead of a list in the script, completes the overlays and rules of the repository one is in.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from validate.commands import COMMANDS
from validate.commands.options import OutputOf, check_parser, command_parser, open_named
from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Callable, Iterable, Sequence

_NAMES = "validate binderhub-service-validate"
_BASH = f"""\
_validate() {{
  local IFS=$'\\n'
  COMPREPLY=($("${{COMP_WORDS[0]}}" --complete "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null))
}}
complete -o default -F _validate {_NAMES}
"""
_ZSH = f"""\
#compdef {_NAMES}
_validate() {{
  local -a found
  found=("${{(@f)$("${{words[1]}}" --complete "${{(@)words[2,CURRENT]}}" 2>/dev/null)}}")
  if [[ -n "${{found[1]}}" ]]; then compadd -a found; else _files; fi
}}
compdef _validate {_NAMES}
"""
_FISH = f"""\
function __validate_complete
  set -l words (commandline -opc)
  set -l found ($words[1] --complete $words[2..] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
for name in {_NAMES}
  complete -c $name -f -a '(__validate_complete)'
end
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def print_script(shell: str) -> None:
    """Print what that shell evaluates to complete the words of ``validate``."""
    sys.stdout.write(SCRIPTS[shell])


def complete(words: Sequence[str]) -> None:
    """Print what may stand for the last of ``words``, which is begun or empty."""
    sys.stdout.write("".join(f"{word}\n" for word in candidates(words)))


def candidates(words: Sequence[str]) -> list[str]:
    """Return what may stand for the last of ``words``; nothing where that is a file of any name."""
    *before, begun = words or [""]
    name = before[0] if before and before[0] in COMMANDS else ""
    parser = command_parser(name) if name else check_parser()
    # argparse has no public way to list the options of a parser.
    actions = parser._actions  # noqa: SLF001
    options = {option: action for action in actions for option in action.option_strings}
    asked = options.get(before[-1]) if before else None
    if asked is not None and asked.nargs != 0:
        return _beginning(begun, _values(asked))
    if begun.startswith("-"):
        return _beginning(begun, options)
    given = _positionals(before[1:] if name else before, options)
    wanted = [action for action in actions if not action.option_strings]
    if not wanted:
        return []
    found = _values(wanted[min(given, len(wanted) - 1)])
    return _beginning(begun, [*found, *([] if before else COMMANDS)])


def _positionals(words: Sequence[str], options: dict[str, Action]) -> int:
    """Return how many of the words are neither options nor their values."""
    number = 0
    taken = False
    for word in words:
        if taken:
            taken = False
        elif word.startswith("-"):
            action = options.get(word)
            taken = action is not None and action.nargs != 0
        else:
            number += 1
    return number


def _values(action: Action) -> Iterable[str]:
    if action.choices is not None:
        return list(action.choices)
    if isinstance(action.type, OutputOf):
        return action.type.formats
    known = _KNOWN.get(action.metavar if isinstance(action.metavar, str) else action.dest)
    return known() if known else ()


def _beginning(begun: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(begun)]


def _overlays() -> list[str]:
    try:
        checkout = open_named(Namespace(root=None))
    except CannotCheckError:
        return []
    return [name.removeprefix("overlays/") for name in checkout.overlays]


def _rules() -> list[str]:
    from validate.rules import RULES  # noqa: PLC0415 - only where a rule is asked for

    return [rule.id for rule in RULES]


# By the word that the help shows for a value.
_KNOWN: dict[str, Callable[[], Iterable[str]]] = {
    "overlay": _overlays,
    "ID": _rules,
    "RULE": _rules,
    "rule": _rules,
}
