"""Explains why one user holds a badge, or does not. Takes a connection; reads only."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import exceptions
from badges.database import fetch, from_json, template, trusted
from badges.definitions.types import Definition
from badges.facts import analysis, watches
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Target, nearest
from badges.functions import expressions, qualifying
from badges.functions.types import Check, checks
from badges.installation import catalog, locks, rows
from badges.installation.types import InstalledFunction
from badges.operations import evaluation, status
from badges.operations.explain_report import Explanation, HistoryEntry, Holding, Row, WatchState
from badges.operations.status import Problem, State, Wanted
from badges.progress import Progress

STATEMENT_TIMEOUT = 5_000
"""Milliseconds that one statement may take."""

MOST_ROWS = 1_000
"""At most this many distinct rows of the user are evaluated, and at most this many subjects are listed."""

EVENTS = 5
"""The number of events that are shown."""

_ENTRY = ("kind", "at", "cause", "actor", "reason", "evidence", "rule", "thing")
_NO_CHECK = ("by hand", "loaddata", "moved", "truncate", "sql", "found")
"""Causes of awards and revocations without a check."""


def explain(
    connection: BaseDatabaseWrapper,
    definitions: Sequence[Definition],
    source: str | Path,
    code: str,
    user: Any,
    thing: Any = None,
) -> Explanation:
    """Say why a user holds a badge or does not.

    :param user: the primary key of a user, or else the username.
    :param thing: the subject, of a badge that is awarded per subject; by default all of them.
    :raises UnknownBadge: nothing declares the code and the database does not know it, or it has no subjects.
    :raises UnknownUser: there is no such user.
    :raises NotMigrated: the tables of the app are missing.
    """
    target = describe_target(connection)
    stored = rows.stored_definitions(connection)
    definition = next((each for each in definitions if each.code == code), None)
    if definition is None and code not in stored:
        near = nearest(code, [*(each.code for each in definitions), *stored])
        hint = f' Did you mean "{near}"?' if near else ""
        raise exceptions.UnknownBadge(f'Neither {source} nor the database has a badge "{code}".{hint}')
    if thing is not None and not (definition.per if definition else stored[code]["per"]):
        raise exceptions.UnknownBadge(f'The badge "{code}" has no subjects, as it is declared without "per".')
    problems: list[Problem] = []
    analysed = None
    if definition:
        try:
            [analysed] = analysis.analyse(connection, target, [definition], str(source))
        except exceptions.InvalidDefinitions as error:
            problems = [
                Problem(f"{each.place}: {each.message}", each.hint, state=State.OUT_OF_DATE) for each in error.errors
            ]
    functions = status.functions_of(code, catalog.installed(connection, target))
    wanted = [
        Wanted(each.event.value, each.table.qualified_name, each.table.oid)
        for each in (checks(analysed) if analysed else ())
    ]
    problems = [*status.problems(code, definition, stored.get(code), functions, wanted), *problems]
    with evaluation.read_only(connection, target, STATEMENT_TIMEOUT):
        person = _find_user(connection, user)
        look = _Look(connection, target, person, None if thing is None else str(thing))
        return look.explain(code, definition, stored.get(code), analysed, functions, problems)


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    connection: BaseDatabaseWrapper
    target: Target
    person: Any
    thing: str | None

    def explain(
        self,
        code: str,
        definition: Definition | None,
        stored: Mapping[str, Any] | None,
        analysed: AnalysedDefinition | None,
        functions: Sequence[InstalledFunction],
        problems: Sequence[Problem],
    ) -> Explanation:
        from badges.models import BadgeEvent, PendingCheck  # noqa: PLC0415 - models need loaded apps

        rule = str(stored["rule"]) if stored else ""
        per = definition.per if definition else str(stored["per"]) if stored else ""
        holdings, ended = self._holdings(code, rule)
        history = self._mine(BadgeEvent.objects, code).order_by("-at")
        checks = list(self._mine(PendingCheck.objects, code).order_by("noted_at").values_list("noted_at", "bucket"))
        changes = history.exclude(cause__in=_NO_CHECK).values_list("at", flat=True)[:1]
        rows: tuple[Row, ...] = ()
        wholes: dict[str, bool] = {}
        undecided = error = ""
        reached = None
        if analysed:
            if not holdings or (per and self.thing is None):
                rows, undecided, error = self._rows(analysed)
            try:
                with transaction.atomic(using=self.connection.alias):
                    reached = self._progress(analysed)
                with transaction.atomic(using=self.connection.alias):
                    wholes = self._as_a_whole(analysed, [holding.thing for holding in holdings])
            except DatabaseError as failure:
                error = error or evaluation.message_of(failure)
        return Explanation(
            code=code,
            name=definition.name if definition else stored["name"] if stored else "",
            user=self.person.pk,
            username=self.person.get_username(),
            per=per,
            thing=self.thing,
            holdings=holdings,
            ended=ended,
            condition=definition.condition if definition else "",
            place=(definition.source.module if definition else "") or "the badge file",
            is_revocable=bool(definition and definition.revocable),
            watched=_watched(definition, analysed, functions),
            unnoticed=tuple(watches.unnoticed(analysed)) if analysed else (),
            progress=reached,
            rows=rows,
            as_a_whole=wholes,
            undecided=undecided,
            error=error,
            pending=len(checks),
            pending_since=checks[0][0] if checks else None,
            lock_holders=locks.holders_of_buckets(self.connection, [bucket for _, bucket in checks]),
            failures=tuple(each for each in catalog.failures(self.connection, self.target) if each.code == code),
            events=tuple(HistoryEntry(*event) for event in history.values_list(*_ENTRY)[:EVENTS]),
            last_check=max([at for at in (*changes, *(at for at, _ in checks)) if at], default=None),
            rule=rule,
            problems=tuple(problems),
        )

    def _mine(self, manager: Any, code: str) -> Any:
        """The rows about this user, this badge and the subject that was asked for."""
        found = manager.using(self.connection.alias).filter(user=self.person, code=code)
        return found if self.thing is None else found.filter(thing=self.thing)

    def _holdings(self, code: str, rule: str) -> tuple[tuple[Holding, ...], tuple[Holding, ...]]:
        """The badges that the user holds, and those that have expired and are still there."""
        from badges.models import Badge, BadgeEvent  # noqa: PLC0415 - models need loaded apps

        awards = {
            event[-1]: HistoryEntry(*event)
            for event in self._mine(BadgeEvent.objects, code)
            .filter(kind=BadgeEvent.Kind.AWARDED)
            .order_by("thing", "-at")
            .distinct("thing")
            .values_list(*_ENTRY)
        }
        held = set(self._mine(Badge.objects, code).values_list("pk", flat=True))
        found: tuple[list[Holding], list[Holding]] = ([], [])
        for badge in self._mine(Badge.with_expired, code).order_by("-awarded_at", "thing")[:MOST_ROWS]:
            award = awards.get(badge.thing)
            has_same_rule = award.rule == rule if award and award.rule else None
            found[badge.pk not in held].append(
                Holding(badge.thing, badge.awarded_at, badge.expires_at, badge.by_hand, award, has_same_rule)
            )
        return tuple(found[0]), tuple(found[1])

    def _rows(self, analysed: AnalysedDefinition) -> tuple[tuple[Row, ...], str, str]:
        """The rows of the user with what the condition gives for each; or why that cannot be said; or how it failed."""
        facts = qualifying.facts_of_existing_rows(analysed)
        if facts is None:
            return (), "a row that no longer exists (OLD) decides it", ""
        bounds = sql.SQL("{} = {}").format(sql.Identifier("new", facts.user.name), sql.Literal(self.person.pk))
        per: sql.Composable = expressions.NO_THING
        if facts.per:
            per = sql.SQL("{}::text").format(sql.Identifier("new", facts.per.name))
            if self.thing is not None:
                bounds += sql.SQL(" AND {} = {}").format(per, sql.Literal(self.thing))
        columns = facts.table.in_order({facts.user.name, *facts.new_columns, *([facts.per.name] if facts.per else [])})
        query = template("operations/explain_rows.sql").format(
            condition=trusted(analysed.definition.condition),
            evidence=expressions.evidence("", facts),
            thing=per,
            rows=expressions.distinct_rows(facts.table, "new", columns, facts.table.identifier, bounds),
            most=sql.Literal(MOST_ROWS),
        )
        try:
            with transaction.atomic(using=self.connection.alias):
                found = fetch(self.connection, query.as_string())
        except DatabaseError as failure:
            return (), "", evaluation.message_of(failure)
        return tuple(Row(value, _evidence(evidence).get("new", {}), of) for value, evidence, of in found), "", ""

    def _progress(self, analysed: AnalysedDefinition) -> Progress | None:
        """The progress for the subject that was asked for, or else the best."""
        definition, badge = analysed.definition, Check.of_user(analysed)
        if not definition.progress or definition.goal is None or badge is None:
            return None
        if self.thing is None:
            badge = dataclasses.replace(badge, facts=dataclasses.replace(badge.facts, per=None))
        value = expressions.state_of_progress(badge, self._user, sql.SQL("{}::text").format(sql.Literal(self.thing)))
        [(reached,)] = fetch(self.connection, sql.SQL("SELECT {}::numeric").format(value).as_string())
        return Progress(None if reached is None else Decimal(reached), definition.goal.normalize())

    def _as_a_whole(self, analysed: AnalysedDefinition, held: Sequence[str]) -> dict[str, bool]:
        """By subject, whether the condition is true for the user as a whole, if a check covers that."""
        badge = Check.of_user(analysed)
        if badge is None or not (
            badge.is_revocable or analysed.watches or (badge.facts.decided_by == "user" and not held)
        ):
            return {}
        things = [*held] if badge.facts.per else [""]
        if badge.facts.per and self.thing is not None and self.thing not in things:
            things.append(self.thing)
        state = expressions.state(badge, self._user, sql.Identifier("asked", "thing"))
        query = sql.SQL("SELECT asked.thing, coalesce({}, false) FROM unnest({}::text[]) AS asked (thing)")
        return dict(fetch(self.connection, query.format(state, sql.Literal(things)).as_string()))

    @property
    def _user(self) -> sql.Composed:
        return sql.SQL("{}::{}").format(sql.Literal(self.person.pk), trusted(self.target.user_key.type))


def _watched(
    definition: Definition | None, analysed: AnalysedDefinition | None, functions: Sequence[InstalledFunction]
) -> tuple[WatchState, ...]:
    """The writes after which a badge is checked, with the state of their triggers."""
    if definition is None:
        return ()
    if analysed is None:
        tables = [(definition.trigger_table, definition.user_field, definition.events)]
        tables += [(watch.table, watch.user_field, watch.events) for watch in definition.watches]
        return tuple(
            WatchState(table, user, {event.value: "" for event in events}, "") for table, user, events in tables
        )
    triggers = [trigger for function in functions for trigger in function.triggers]
    own = next(iter(analysed.facts.values()))
    found = [(own.table, own.user, definition.events, "")]
    found += [(watched.table, watched.user, watched.events, watched.reason) for watched in analysed.watches]
    return tuple(
        WatchState(
            table.qualified_name,
            user.name,
            {
                event.value: status.state_of(Wanted(event.value, table.qualified_name, table.oid), triggers)
                if definition.active
                else ""
                for event in events
            },
            reason,
        )
        for table, user, events, reason in found
    )


def _find_user(connection: BaseDatabaseWrapper, user: Any) -> Any:
    model = get_user_model()
    users = model._base_manager.using(connection.alias)
    for field in ("pk", model.USERNAME_FIELD):
        # What is no key of this type may still be a name.
        with contextlib.suppress(ValueError, TypeError, ValidationError, OverflowError):
            if found := users.filter(**{field: getattr(user, "pk", user)}).first():
                return found
    raise exceptions.UnknownUser(f'There is no user with the key or the {model.USERNAME_FIELD} "{user}".')


def _evidence(value: Any) -> dict[str, Any]:
    found = from_json(value)
    return found if isinstance(found, dict) else {}
