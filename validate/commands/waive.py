"""``validate waive``: a waiver for one finding, written where the others are."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from validate import engine
from validate.commands.files import write
from validate.commands.options import add_root, open_named
from validate.commands.rules import chosen, find_rule
from validate.discover import select
from validate.errors import CannotCheckError
from validate.finding import CLEAN
from validate.place import Writer, unhashed
from validate.rules.rule import OverlayRule
from validate.source import compose, read_text
from validate.waivers import FILE, read_waivers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from validate.discover import Checkout
    from validate.finding import Finding
    from validate.rules.rule import Rule

# What needs no quotes in YAML, in the middle of a mapping and at its end.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,;.()/_-]*[A-Za-z0-9)]")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Take what a waiver says."""
    add = parser.add_argument
    add("rule", help="id of the rule that has the finding")
    add("overlay", help="name or path of the overlay that it was found in")
    add("object", help="what it was found in, as the report names it: 'Deployment binderhub/binderhub'")
    add("--reason", required=True, metavar="TEXT", help="why it is right as it is")
    add("--owner", required=True, metavar="NAME", help="who answers for it")
    add("--image", default="", metavar="IMAGE", help="which image of it, where the rule finds several")
    add("--expires", required=True, metavar="YYYY-MM-DD", help="the last day on which it counts")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Append the waiver to the file, and say where.

    Raises:
        CannotCheckError: it would not count, would waive nothing, or stands there already.
    """
    rule = find_rule(options.rule)
    checkout = open_named(options)
    (overlay,) = select(checkout, [options.overlay], Path.cwd())
    expires = _day(options.expires)
    told = {"reason": options.reason, "owner": options.owner}
    empty = next((key for key, text in told.items() if not text.strip()), None)
    if empty:
        raise CannotCheckError(f"--{empty} is empty; a waiver without it counts for nothing")
    image = _image(_found(checkout, rule, overlay, options.object), options.image)
    _refuse_second(checkout, (rule.id, overlay, options.object, image))
    named = {"rule": rule.id, "overlay": overlay, "object": unhashed(options.object)}
    entry = {**named, **({"image": image} if image else {}), **told, "expires": expires}
    text = read_text(checkout.root, FILE) if (checkout.root / FILE).exists() else ""
    after = appended(text, entry)
    file = checkout.root / FILE
    file.parent.mkdir(exist_ok=True)
    write(file, after)
    sys.stdout.write(f"{FILE}:{len(after.splitlines()) - len(entry) + 1}: waived until {expires}\n")
    return CLEAN


def appended(text: str, entry: Mapping[str, str]) -> str:
    """Return the text of a file of waivers with one more, whatever was there as it was.

    Raises:
        CannotCheckError: the file is no list to which one can be added at the end.
    """
    before = list(compose(text, FILE, writer=Writer.SOURCE))
    known = before[0].sequence() if before else ()
    indent = " " * (known[-1].origin.column - len("- ") - 1) if known else ""
    first, *others = (f"{key}: {_scalar(key, value)}" for key, value in entry.items())
    lines = [f"{indent}- {first}", *(f"{indent}  {line}" for line in others)]
    after = text + ("" if text.endswith("\n") or not text else "\n") + "\n".join(lines) + "\n"
    try:
        documents = [document.plain() for document in compose(after, FILE, writer=Writer.SOURCE)]
    except CannotCheckError:
        documents = []
    if documents != [[*(field.plain() for field in known), entry]]:
        problem = f"{FILE} is no list with a dash before each waiver, so none can be added at its end"
        raise CannotCheckError(f"{problem}; write it as one")
    return after


def _scalar(key: str, text: str) -> str:
    """Return ``text`` as YAML on one line, in quotes where it needs them."""
    if key == "expires" or (_PLAIN.fullmatch(text) and text.lower() not in _WORDS):
        return text
    # A string of JSON is one of YAML.
    return json.dumps(text, ensure_ascii=False)


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise CannotCheckError(f"--expires {text!r} is no day; write it as 2027-05-31") from None
    if day < date.today():  # noqa: DTZ011 - a day where the person is, as for waivers that expire
        raise CannotCheckError(f"--expires {text} is past; a waiver counts until that day")
    return day.isoformat()


def _found(checkout: Checkout, rule: type[Rule], overlay: str, title: str) -> list[Finding]:
    """Return what the rule finds in the object, waived or not."""
    # A rule about the repository compares the overlays: it needs them all.
    overlays = [overlay] if issubclass(rule, OverlayRule) else checkout.overlays
    report = engine.check(checkout, overlays, rules=chosen([rule.id]))
    for sentence in report.all_obstacles:
        raise CannotCheckError(sentence)
    everything = [*report.findings, *(one.finding for one in report.waived)]
    of_rule = [one for one in everything if (one.rule, one.overlay) == (rule.id, overlay)]
    found = [one for one in of_rule if unhashed(one.at.title) == unhashed(title)]
    if not found:
        objects = sorted({unhashed(one.at.title) for one in of_rule})
        way_out = f"name one of: {', '.join(objects)}" if objects else "there is nothing to waive"
        raise CannotCheckError(f"{rule.id} finds nothing in {title!r} in {overlay}; {way_out}")
    return found


def _image(found: Iterable[Finding], wanted: str) -> str:
    """Return the image that the findings are about, empty where they are about none."""
    images = sorted({finding.image for finding in found})
    if wanted and wanted not in images:
        raise CannotCheckError(f"--image {wanted} is not found there; what is found: {', '.join(images)}")
    if not wanted and len(images) > 1:
        way_out = f"name one with --image: {', '.join(images)}"
        raise CannotCheckError(f"{len(images)} images are found there; {way_out}")
    return wanted or images[0]


def _refuse_second(checkout: Checkout, subject: tuple[str, str, str, str]) -> None:
    for waiver in read_waivers(checkout.root):
        if waiver.covers(*subject):
            raise CannotCheckError(f"{waiver.spot.origin} waives that already; change it there")
