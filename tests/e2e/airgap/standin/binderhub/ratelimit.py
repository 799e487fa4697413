"""How many builds one address may ask for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from binderhub.configuration import Configuration


class RateLimitExceededError(Exception):
    """An address has used up its requests."""


@dataclass
class Allowance:
    """What an address has left, and when it gets a new one, in seconds since the epoch."""

    remaining: int
    reset: int


class RateLimiter:
    """Counts requests by address. A replica counts its own, from zero at each start."""

    def __init__(self, configuration: Configuration) -> None:
        self.limit: int = configuration.get("RateLimiter", "limit")
        self.period: int = configuration.get("RateLimiter", "period_seconds")
        self._clean_after: int = configuration.get("RateLimiter", "clean_seconds")
        self._allowances: dict[str, Allowance] = {}
        self._cleaned = time.time()

    def use(self, address: str) -> Allowance:
        """Count a request and return what is left.

        Raises:
            RateLimitExceededError: nothing was left.
        """
        now = int(time.time())
        if now - self._cleaned > self._clean_after:
            self._cleaned = now
            self._allowances = {key: each for key, each in self._allowances.items() if each.reset > now}
        allowance = self._allowances.get(address)
        if allowance is None or allowance.reset < now:
            allowance = self._allowances[address] = Allowance(self.limit, now + self.period)
        allowance.remaining -= 1
        if allowance.remaining < 0:
            raise RateLimitExceededError(address)
        return allowance
