"""Errors: the collector that parsing, validation and analysis hand down, so that each error is added where it is found.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from badges.exceptions import DefinitionError


class Errors:
    """The errors of one place, and of all places within it.

        errors = Errors()
        badge = errors.at('badge "star"', number=1)
        badge.at("points").add("a whole number is needed.", "Write numbers without quotes.")

    The error is now in all three; its place is `badge "star", points`.
    """

    def __init__(self) -> None:
        self._place = ""
        self._number = 0
        self._around: Errors | None = None
        self._found: list[DefinitionError] = []

    def at(self, place: str = "", number: int = 0) -> Errors:
        """A collector for a place within this one, or for this place alone.

        :param number: of the badge; by default that of the place around it.
        """
        within = Errors()
        within._place = f"{self._place}, {place}" if self._place and place else self._place or place
        within._number = number or self._number
        within._around = self
        return within

    def add(self, message: str, hint: str = "") -> None:
        error = DefinitionError(message, hint, place=self._place, number=self._number)
        collector: Errors | None = self
        while collector is not None:
            collector._found.append(error)
            collector = collector._around

    def __iter__(self) -> Iterator[DefinitionError]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
