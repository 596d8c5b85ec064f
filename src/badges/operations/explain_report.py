"""Why one user holds a badge or does not, as data and as text. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from badges.installation.types import RecordedFailure
from badges.operations import status
from badges.operations.status import Problem, State
from badges.progress import Progress

SHOWN = 5
"""At most this many rows, subjects and holdings are shown as text."""


@dataclasses.dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event of the history."""

    kind: str
    at: datetime | None
    cause: str
    actor: str
    reason: str
    evidence: Any
    rule: str
    thing: str = ""

    @property
    def origin(self) -> str:
        """The cause, the actor and the reason."""
        by = f" by {self.actor}" if self.actor else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.cause}{by}{why}"

    def __str__(self) -> str:
        thing = f" for {self.thing}" if self.thing else ""
        return f"{_time(self.at)}  {self.kind}{thing}  {self.origin}"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """The value of the condition for a row of the user now, and the columns that it reads."""

    value: bool | None
    columns: Mapping[str, Any]
    thing: str | None = ""
    """The subject of the badge that the row would earn; empty if it is not awarded per subject."""

    def __str__(self) -> str:
        thing = "" if self.thing == "" else f"for {self.thing}" if self.thing else "for no subject, as it is null"
        return "  ".join(filter(None, [_word(self.value), thing, _values(self.columns)]))


@dataclasses.dataclass(frozen=True, slots=True)
class Holding:
    """One badge of the user, which may have expired."""

    thing: str
    since: datetime | None
    expires_at: datetime | None
    by_hand: bool
    award: HistoryEntry | None
    """The event of the award, if there is one."""
    has_same_rule: bool | None
    """Whether the rule of the award is that of today; None if the award has no rule on record."""


@dataclasses.dataclass(frozen=True, slots=True)
class WatchState:
    """The writes to one table after which the badge is checked, for the user in one of its columns."""

    table: str
    column: str
    triggers: Mapping[str, str]
    """By event, the state of its trigger: `enabled`, `disabled`, `missing`, ...; empty if it is not known."""
    reason: str
    """Why, if the badge is not the table's own."""

    def __str__(self) -> str:
        events = (
            f"{event} ({state})" if state and state != State.ENABLED else event
            for event, state in self.triggers.items()
        )
        reason = f" ({self.reason})" if self.reason else ""
        return f"{', '.join(events)} on {self.table}, for {self.column}{reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    code: str
    name: str
    user: Any
    """The key of the user."""
    username: str
    per: str
    """The column that names the subject; empty if the badge is not awarded per subject."""
    thing: str | None
    """The subject that was asked for; None for all of them."""
    holdings: tuple[Holding, ...]
    """What the user holds now, the newest first."""
    ended: tuple[Holding, ...]
    """Badges that have expired, and that no check has deleted yet."""
    condition: str
    place: str
    """Where the badge is declared."""
    is_revocable: bool
    watched: tuple[WatchState, ...]
    unnoticed: tuple[str, ...]
    """Changes that affect the condition without causing a check: sentences, each with its hint."""
    progress: Progress | None
    """Towards the goal, if there is one: for the subject that was asked for, or else the best."""
    rows: tuple[Row, ...]
    """The rows of the user; empty if the user holds the badge, and it is not awarded per subject."""
    as_a_whole: Mapping[str, bool]
    """By subject: whether the condition is true for the user as a whole, where a check covers that."""
    undecided: str
    """Why the condition cannot be evaluated now."""
    error: str
    """The error that it raised."""
    pending: int
    pending_since: datetime | None
    lock_holders: tuple[str, ...]
    """The transactions that keep pending checks from being settled."""
    failures: tuple[RecordedFailure, ...]
    """Those of the badge, for any user."""
    events: tuple[HistoryEntry, ...]
    """The last events of this user and badge, the newest first."""
    last_check: datetime | None
    """The last known check: it changed something, or is pending."""
    rule: str
    """The version of the rule that is in force."""
    problems: tuple[Problem, ...]

    @property
    def is_held(self) -> bool:
        return bool(self.holdings)

    @property
    def since(self) -> datetime | None:
        return self.holdings[0].since if self.holdings else None

    @property
    def award(self) -> HistoryEntry | None:
        return self.holdings[0].award if self.holdings else None

    @property
    def has_same_rule(self) -> bool | None:
        return self.holdings[0].has_same_rule if self.holdings else None

    @property
    def qualifies(self) -> bool:
        """Whether award_badges would award it, or one of it, now."""
        held = {holding.thing for holding in self.holdings}
        by_row = any(row.value and row.thing is not None and row.thing not in held for row in self.rows)
        by_user = not self.rows and not held and len(self.watched) > 1 and self.as_a_whole.get("", False)
        return not self.undecided and (by_row or by_user)

    @property
    def to_be_revoked(self) -> tuple[str, ...]:
        """The subjects for which the next check revokes the badge."""
        return tuple(
            holding.thing
            for holding in self.holdings
            if self.is_revocable and not holding.by_hand and self.as_a_whole.get(holding.thing) is False
        )

    @property
    def hints(self) -> tuple[str, ...]:
        """Commands and statements, to be run in this order; empty if nothing is wrong."""
        found = [problem.hint for problem in self.problems if problem.hint]
        if self.error:
            found.append(f"Fix the condition in {self.place}; then python manage.py create_badge_triggers")
        if self.lock_holders:
            found.append(f"Wait until the open transaction has ended, or end it: {', '.join(self.lock_holders)}")
        if self.pending:
            found.append("python manage.py award_badges --settle")
        is_in_force = all(problem.state not in (State.RETIRED, State.PAUSED) for problem in self.problems)
        if is_in_force and not self.error and (self.qualifies or self.to_be_revoked):
            found.append(f"python manage.py award_badges {self.code}")
        return tuple(dict.fromkeys(found))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: times in ISO 8601, the key of the user as text unless it is a number."""
        found = dataclasses.asdict(self)
        found["user"] = self.user if isinstance(self.user, int) else str(self.user)
        found["is_held"] = self.is_held
        found["progress"] = self.progress and {**found["progress"], "share": self.progress.share}
        found["problems"] = [problem.as_dict() for problem in self.problems]
        found["remedies"] = list(self.hints)
        return dict(_plain(found))

    def as_text(self) -> str:
        """For people."""
        who, what = f"{self.username} (user {self.user})", f'"{self.name}" ({self.code})'
        if self._lists_subjects:
            lines = list(self._subject_lines(f"{who} {{}} {what}"))
        else:
            of_thing = f" for {self.per} {self.thing}" if self.thing else ""
            if self.holdings:
                [holding] = self.holdings
                lines = [f"{who} holds {what}{of_thing} since {_time(holding.since)}.", *self._award_lines(holding)]
            else:
                lines = [f"{who} does not hold {what}{of_thing}.", *self._gone_lines()]
        if self.progress:
            lines.append(
                f"  Progress: {self.progress}"
                + (", the best of all subjects" if self.per and self._lists_subjects else "")
            )
        lines += self._check_lines()
        if self.events:
            lines += ["  History, the newest first:", *(f"    {event}" for event in self.events)]
        for problem in self.problems:
            word = "Note" if problem.state in (State.PAUSED, State.RETIRED) else "Problem"
            # An error has several lines: the caret stands below its place.
            first, *rest = problem.message.split("\n")
            lines += [f"  {word}: {first}", *(f"  {line}" for line in rest)]
        lines += [f"  Hint: {hint}" for hint in self.hints]
        return "\n".join(map(status.in_one_line, lines))

    @property
    def _lists_subjects(self) -> bool:
        """All subjects are shown. Under an earlier rule, the badge may have been awarded per subject."""
        return self.thing is None and (bool(self.per) or len(self.holdings) > 1)

    @property
    def _is_paused(self) -> bool:
        return any(problem.state is State.PAUSED for problem in self.problems)

    def _subject_lines(self, sentence: str) -> Iterator[str]:
        if not self.holdings:
            yield f"{sentence.format('does not hold')} for any {self.per}."
            yield from self._gone_lines()
            return
        number = len(self.holdings)
        values = "value" if number == 1 else "values"
        yield f"{sentence.format('holds')} for {number:,} {values} of {self.per or 'what it was awarded for'}."
        for holding in self.holdings[:SHOWN]:
            did = f": {holding.award.origin}" if holding.award else ""
            values = _values(holding.award.evidence) if holding.award else ""
            stays = "; awarded manually, so no rule revokes it" if holding.by_hand else ""
            ends = f"; ends {_time(holding.expires_at)}" if holding.expires_at else ""
            with_values = f", with {values}" if values else ""
            yield f"    {holding.thing or '(nothing)'} since {_time(holding.since)}{did}{with_values}{ends}{stays}"
        if number > SHOWN:
            yield f"    and {number - SHOWN:,} more; --thing KEY shows one"

    def _award_lines(self, holding: Holding) -> Iterator[str]:
        award = holding.award
        if award:
            yield f"  Awarded: {award.origin}"
            if values := _values(award.evidence):
                yield f"  With: {values}"
            if award.rule:
                today = "as today" if holding.has_same_rule else f"which has changed since; today's is {self.rule}"
                yield f"  Rule: version {award.rule}, {today}"
        else:
            yield "  The history has no record of its award."
        if holding.expires_at:
            yield f"  Ends: {_time(holding.expires_at)}"
        if holding.by_hand:
            yield "  Awarded manually: no rule revokes it."

    def _gone_lines(self) -> Iterator[str]:
        """The end of a badge that the user no longer holds."""
        for holding in self.ended[:SHOWN]:
            of_thing = f"for {holding.thing}, " if holding.thing else ""
            yield f"  Expired: {of_thing}at {_time(holding.expires_at)}; held since {_time(holding.since)}"
        last = self.events[0] if self.events else None
        if last and not self.ended and last.kind != "awarded":
            of_thing = f"for {last.thing}, " if last.thing else ""
            if last.kind == "expired":
                yield f"  Expired: {of_thing}deleted at {_time(last.at)} by the next check ({last.origin})"
            else:
                yield f"  Revoked: {of_thing}at {_time(last.at)}, {last.origin}"

    def _check_lines(self) -> Iterator[str]:
        is_open = not self.is_held or self.is_revocable or self._lists_subjects
        if self.condition and is_open:
            yield f"  Condition: {' '.join(self.condition.split())}"
        if self.condition and is_open and not self._is_paused:
            for number, watching in enumerate(self.watched):
                yield f"  Checked after: {watching}" if not number else f"    and after: {watching}"
            yield from (f"  Not noticed: {sentence}" for sentence in self.unnoticed)
        if self.condition and (not self.is_held or self._lists_subjects):
            yield f"  Now: {self._verdict()}"
            # One line is enough where all rows have the same value for the same reason.
            is_one = len(self.rows) <= 1 and not any(row.columns or row.thing for row in self.rows)
            yield from () if is_one else (f"    {row}" for row in self.rows[:SHOWN])
        if is_open or self.error:
            yield from self._whole_lines()
        if self.pending:
            checks = "1 check" if self.pending == 1 else f"{self.pending:,} checks"
            yield f"  Pending: {checks}, left at {_time(self.pending_since)}"
        if self.condition and is_open and not self._is_paused:
            known = f"at {_time(self.last_check)} or later" if self.last_check else "not known"
            yield f"  Last check: {known}; checks that change nothing leave no trace"
        yield from (f"  Failed: {failure}" for failure in self.failures if is_open or self.error)

    def _whole_lines(self) -> Iterator[str]:
        if self.error and self.is_held and not self._lists_subjects:
            yield f"  Now: it fails: {self.error}"
        shown = self.as_a_whole
        if self._lists_subjects and len(shown) > 1:
            # Subjects for which it is true are not listed.
            shown = {thing: value for thing, value in shown.items() if not value}
            if not shown:
                yield f"  For each {self.per} that is held: true"
        for thing, value in list(shown.items())[:SHOWN]:
            by_hand = any(holding.thing == thing and holding.by_hand for holding in self.holdings)
            then = "; awarded manually, so it stays" if by_hand and not value else ""
            if thing in self.to_be_revoked:
                then = "; it is paused, so it stays" if self._is_paused else "; the next check revokes it"
            yield f"  For {f'{self.per} {thing}' if thing else 'the user as a whole'}: {_word(value)}{then}"
        if len(shown) > SHOWN:
            yield f"    and {len(shown) - SHOWN:,} more that are false"

    def _verdict(self) -> str:
        if self.error:
            return f"it fails: {self.error}"
        if self.undecided:
            return f"it cannot be evaluated: {self.undecided}"
        if not self.rows:
            return "the table has no row of the user" + (f" with this {self.per}" if self.thing else "")
        values = [row.value for row in self.rows]
        if len(set(values)) == 1:
            return _word(values[0]) + (f" for all {len(values):,} rows of the user" if self.per and values[1:] else "")
        counts = (f"{_word(value)} for {values.count(value):,}" for value in (True, False, None) if value in values)
        return f"{', '.join(counts)} of {len(values):,} rows of the user (rows alike counted once)"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "a time that was not recorded"


def _word(value: bool | None) -> str:
    return "null" if value is None else str(value).lower()


def _values(evidence: Any) -> str:
    """The values that a condition read, on one line."""
    if not isinstance(evidence, dict):
        return ""
    sides = [(f"{side}.", evidence[side]) for side in ("new", "old") if isinstance(evidence.get(side), dict)]
    if not sides and "operation" not in evidence:
        sides = [("", evidence)]
    return ", ".join(f"{side}{name} = {value!r}" for side, columns in sides for name, value in columns.items())


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, datetime) else value
