"""Would a LimitRange or a ResourceQuota refuse a pod, and what is a quantity."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from validate.cluster.selectors import as_text

if TYPE_CHECKING:
    from validate.place import Json

_NANO = 10**9
# Kubernetes caps quantities there.
_LARGEST = (2**63 - 1) * _NANO
# Beyond these, every quantity is the largest or (in magnitude) the smallest.
_SENSIBLE_EXPONENT = 400
_SUFFIXES = {
    "n": 1,
    "u": 10**3,
    "m": 10**6,
    **{suffix: _NANO * 1000**power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{
        suffix: _NANO * 1024**power
        for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)
    },
}


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount of a resource: cores of CPU, bytes of memory, objects.

    Attributes:
        nano: the amount in thousand-millionths, the finest that Kubernetes keeps.
        text: how somebody wrote it, the empty string for a sum.
    """

    nano: int
    text: str = field(default="", compare=False)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano)

    def __str__(self) -> str:
        """Return it as it was written, a sum in the largest unit that is exact."""
        if self.text:
            return self.text
        if self.nano % _NANO:
            unit = next(unit for unit in ("m", "u", "n") if self.nano % _SUFFIXES[unit] == 0)
            return f"{self.nano // _SUFFIXES[unit]}{unit}"
        for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if self.nano and self.nano % _SUFFIXES[unit] == 0:
                return f"{self.nano // _SUFFIXES[unit]}{unit}"
        return str(self.nano // _NANO)


def parse_quantity(value: Json) -> Quantity:
    """Return the quantity that Kubernetes reads in a string or number: ``500m``, ``1.5Gi``, ``1e3``.

    What is finer than a thousand-millionth is rounded up in magnitude, what exceeds 2^63-1 is cut to
    it (Kubernetes 1.34, ``apimachinery/pkg/api/resource/quantity.go``, ParseQuantity).

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    text = as_text(value)
    found = None if isinstance(value, (bool, list, dict)) else _quantity().fullmatch(text)
    if found is None or not found["whole"] + found["fraction"]:
        raise ValueError(f"{text!r} is not a number such as 2, 500m, 1.5Gi or 1e3")
    exponent, suffix = found["exponent"], found["suffix"] or ""
    if exponent is None and suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} has the unit {suffix!r}, not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei")
    digits, places = found["whole"] + found["fraction"], len(found["fraction"])
    scale = _SUFFIXES[suffix]
    if exponent is not None:
        power = max(-_SENSIBLE_EXPONENT, min(int(exponent), _SENSIBLE_EXPONENT))
        scale = _NANO * 10 ** max(power, 0)
        places += max(-power, 0)
    nano = min(-(-int(digits) * scale // 10**places), _LARGEST)
    return Quantity(-nano if found["sign"] == "-" else nano, text)


@cache
def _quantity() -> re.Pattern[str]:
    return re.compile(
        r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)"
        r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[A-Za-z]*))"
    )
