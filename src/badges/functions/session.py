"""Pins the settings of a session that can change the meaning of conditions, for the functions. Pure.

A function has a SET clause for each setting that one of its badges depends on; each costs a call up to a microsecond.
Where its badges have several time zones, the statements of each begin with its own, which ends with the function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from psycopg import sql

from badges.facts.session import ZONE
from badges.facts.types import Target
from badges.functions.types import Check


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """What a function pins for these checks."""

    target: Target
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, target: Target, checks: Iterable[Check]) -> Session:
        return cls(target, tuple(checks))

    @property
    def clauses(self) -> sql.Composed:
        """The SET clauses of the function."""
        names = sorted({name for check in self.checks for name in check.settings})
        zones = self._zones(self.checks)
        values = {**self.target.settings, **({ZONE: zones[0]} if len(zones) == 1 else {})}
        return sql.SQL("\n").join(
            sql.SQL("SET {} = {}").format(sql.SQL(name), sql.Literal(values[name])) for name in names
        )

    def zone_of(self, *checks: Check) -> sql.Composable:
        """The statement that sets the one zone of these checks, to stand before theirs; empty if none is needed."""
        zones = self._zones(checks)
        if not zones or len(self._zones(self.checks)) == 1:
            return sql.SQL("")
        [zone] = zones
        return sql.SQL("PERFORM pg_catalog.set_config({}, {}, true);").format(sql.Literal(ZONE), sql.Literal(zone))

    def _zones(self, checks: Iterable[Check]) -> list[str]:
        """The time zones of the checks that depend on one."""
        own = {check.zone for check in checks if ZONE in check.settings}
        return sorted({zone or self.target.settings[ZONE] for zone in own})
