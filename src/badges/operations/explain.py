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
from badges.database import fetch, from_json, in_transaction, template, trusted
from badges.definitions.types import Definition, TriggerEvent
from badges.facts import analysis, watches
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Table, Target, nearest
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
_NO_CHECK = ("by hand", "loaddata", "merged", "moved", "truncate", "sql", "found")
"""Causes of awards and revocations without a check."""


@in_transaction
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
    declared = {definition.code: definition for definition in definitions}
    stored = rows.stored_definitions(connection)
    if code not in declared and code not in stored:
        near = nearest(code, [*declared, *stored])
        hint = f' Did you mean "{near}"?' if near else ""
        raise exceptions.UnknownBadge(f'Neither {source} nor the database has a badge "{code}".{hint}')
    badge = _inspect(connection, target, code, declared.get(code), stored.get(code), source)
    if thing is not None and not badge.per:
        raise exceptions.UnknownBadge(f'The badge "{code}" has no subjects, as it is declared without "per".')
    with evaluation.read_only(connection, target, STATEMENT_TIMEOUT):
        person = find_user(connection, user)
        return _explain(_Question(connection, target, badge, person, None if thing is None else str(thing)))


@dataclasses.dataclass(frozen=True, slots=True)
class _Badge:
    """A badge as it is declared, and as it is installed."""

    code: str
    definition: Definition | None
    """None if it is not declared."""
    stored: Mapping[str, Any] | None
    """Its row of `BadgeDefinition`; None if there is none."""
    analysed: AnalysedDefinition | None
    """None if it is not declared, or the database rejects its definition."""
    functions: Sequence[InstalledFunction]
    problems: tuple[Problem, ...]

    @property
    def name(self) -> str:
        return self.definition.name if self.definition else str(self.stored["name"]) if self.stored else ""

    @property
    def per(self) -> str:
        return self.definition.per if self.definition else str(self.stored["per"]) if self.stored else ""

    @property
    def rule(self) -> str:
        """The version of the rule that is in force."""
        return str(self.stored["rule"]) if self.stored else ""

    @property
    def place(self) -> str:
        return (self.definition.source.module if self.definition else "") or "the badge file"


def _inspect(
    connection: BaseDatabaseWrapper,
    target: Target,
    code: str,
    definition: Definition | None,
    stored: Mapping[str, Any] | None,
    source: str | Path,
) -> _Badge:
    analysed = None
    rejected: list[Problem] = []
    if definition:
        try:
            [analysed] = analysis.analyse(connection, target, [definition], str(source))
        except exceptions.InvalidDefinitions as error:
            rejected = [
                Problem(f"{each.place}: {each.message}", each.hint, state=State.OUT_OF_DATE) for each in error.shown
            ]
    functions = status.functions_of(code, catalog.installed(connection, target))
    wanted = [
        Wanted(each.event.value, each.table.qualified_name, each.table.oid)
        for each in (checks(analysed) if analysed else ())
    ]
    problems = status.problems(code, definition, stored, functions, wanted)
    return _Badge(code, definition, stored, analysed, functions, (*problems, *rejected))


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    connection: BaseDatabaseWrapper
    target: Target
    badge: _Badge
    person: Any
    thing: str | None
    """The subject that is asked about; None for all of them."""

    def rows_of(self, manager: Any) -> Any:
        """The rows of a model that are about this user, badge and subject."""
        found = manager.using(self.connection.alias).filter(user=self.person, code=self.badge.code)
        return found if self.thing is None else found.filter(thing=self.thing)

    @property
    def user(self) -> sql.Composed:
        """The key of the user in SQL."""
        return sql.SQL("{}::{}").format(sql.Literal(self.person.pk), trusted(self.target.user_key.type))


def _explain(question: _Question) -> Explanation:
    from badges.models import BadgeEvent, PendingCheck  # noqa: PLC0415 - models need loaded apps

    connection, badge, definition = question.connection, question.badge, question.badge.definition
    holdings, ended = _holdings(question)
    found = _Evaluation()
    if definition and not badge.analysed:
        found = _Evaluation(undecided="the database rejects it, as said below")
    if badge.analysed:
        with evaluation.pinned(connection, question.target, badge.analysed.definition):
            found = _evaluate(question, badge.analysed, holdings)
    history = question.rows_of(BadgeEvent.objects).order_by("-at")
    by_checks = history.exclude(cause__in=_NO_CHECK).values_list("at", flat=True)[:1]
    pending = [*question.rows_of(PendingCheck.objects).order_by("noted_at").values_list("noted_at", "bucket")]
    return Explanation(
        code=badge.code,
        name=badge.name,
        user=question.person.pk,
        username=question.person.get_username(),
        per=badge.per,
        thing=question.thing,
        holdings=holdings,
        ended=ended,
        condition=definition.condition if definition else "",
        place=badge.place,
        is_revocable=bool(definition and definition.revocable),
        watched=_watched(badge),
        unnoticed=tuple(watches.unnoticed(badge.analysed)) if badge.analysed else (),
        progress=found.progress,
        rows=found.rows,
        as_a_whole=found.as_a_whole,
        undecided=found.undecided,
        error=found.error,
        pending=len(pending),
        pending_since=pending[0][0] if pending else None,
        lock_holders=locks.holders_of_buckets(connection, [bucket for _, bucket in pending]),
        failures=tuple(each for each in catalog.failures(connection, question.target) if each.code == badge.code),
        events=tuple(HistoryEntry(*event) for event in history.values_list(*_ENTRY)[:EVENTS]),
        last_check=max([at for at in (*by_checks, *(noted_at for noted_at, _ in pending)) if at], default=None),
        rule=badge.rule,
        problems=badge.problems,
    )


def _holdings(question: _Question) -> tuple[tuple[Holding, ...], tuple[Holding, ...]]:
    """The badges that the user holds, and those that have expired and are still there."""
    from badges.models import Badge, BadgeEvent  # noqa: PLC0415 - models need loaded apps

    awards = {
        event[-1]: HistoryEntry(*event)
        for event in question.rows_of(BadgeEvent.objects)
        .filter(kind=BadgeEvent.Kind.AWARDED)
        .order_by("thing", "-at")
        .distinct("thing")
        .values_list(*_ENTRY)
    }
    held = set(question.rows_of(Badge.objects).values_list("pk", flat=True))
    found: tuple[list[Holding], list[Holding]] = ([], [])
    for badge in question.rows_of(Badge.with_expired).order_by("-awarded_at", "thing")[:MOST_ROWS]:
        award = awards.get(badge.thing)
        has_same_rule = award.rule == question.badge.rule if award and award.rule else None
        found[badge.pk not in held].append(
            Holding(badge.thing, badge.awarded_at, badge.expires_at, badge.by_hand, award, has_same_rule)
        )
    return tuple(found[0]), tuple(found[1])


@dataclasses.dataclass(frozen=True, slots=True)
class _Evaluation:
    """The values of the condition now; each as in `Explanation`."""

    rows: tuple[Row, ...] = ()
    as_a_whole: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    progress: Progress | None = None
    undecided: str = ""
    error: str = ""


def _evaluate(question: _Question, analysed: AnalysedDefinition, holdings: Sequence[Holding]) -> _Evaluation:
    found = _Evaluation()
    if not holdings or (question.badge.per and question.thing is None):
        found = _evaluate_rows(question, analysed)
    progress: Progress | None = None
    try:
        with transaction.atomic(using=question.connection.alias):
            progress = _progress(question, analysed)
        with transaction.atomic(using=question.connection.alias):
            as_a_whole = _as_a_whole(question, analysed, [holding.thing for holding in holdings])
    except DatabaseError as failure:
        error = found.error or evaluation.message_of(failure)
        return dataclasses.replace(found, progress=progress, error=error)
    return dataclasses.replace(found, progress=progress, as_a_whole=as_a_whole)


def _evaluate_rows(question: _Question, analysed: AnalysedDefinition) -> _Evaluation:
    """The value of the condition for each row of the user."""
    facts, check = qualifying.facts_of_existing_rows(analysed), Check.of_user(analysed)
    if facts is None or check is None:
        return _Evaluation(undecided="a row that no longer exists (OLD) decides it")
    bounds = sql.SQL("{} = {}").format(sql.Identifier("new", facts.user.name), sql.Literal(question.person.pk))
    per: sql.Composable = expressions.NO_THING
    if facts.per:
        per = expressions.subject(sql.Identifier("new", facts.per.name), facts.per)
        if question.thing is not None:
            bounds += sql.SQL(" AND {} = {}").format(per, sql.Literal(question.thing))
    columns = facts.table.in_order({facts.user.name, *facts.new_columns, *([facts.per.name] if facts.per else [])})
    query = template("operations/explain_rows.sql").format(
        condition=expressions.condition(check),
        evidence=expressions.evidence("", facts),
        thing=per,
        rows=expressions.distinct_rows(facts.table, "new", columns, expressions.rows_of(facts.table), bounds),
        most=sql.Literal(MOST_ROWS),
    )
    try:
        with transaction.atomic(using=question.connection.alias):
            found = fetch(question.connection, query.as_string())
    except DatabaseError as failure:
        return _Evaluation(error=evaluation.message_of(failure))
    return _Evaluation(tuple(Row(value, _evidence(evidence).get("new", {}), of) for value, evidence, of in found))


def _progress(question: _Question, analysed: AnalysedDefinition) -> Progress | None:
    """The progress for the subject that was asked for, or else the best."""
    definition, check = analysed.definition, Check.of_user(analysed)
    if not definition.progress or definition.goal is None or check is None:
        return None
    if question.thing is None:
        check = dataclasses.replace(check, facts=dataclasses.replace(check.facts, per=None))
    thing = sql.SQL("{}::text").format(sql.Literal(question.thing))
    value = expressions.state_of_progress(check, question.user, thing)
    [(reached,)] = fetch(question.connection, sql.SQL("SELECT {}::numeric").format(value).as_string())
    return Progress(None if reached is None else Decimal(reached), definition.goal.normalize())


def _as_a_whole(question: _Question, analysed: AnalysedDefinition, held: Sequence[str]) -> dict[str, bool]:
    """By subject, whether the condition is true for the user as a whole, if a check covers that."""
    check = Check.of_user(analysed)
    if check is None or not (check.is_revocable or analysed.watches or (check.facts.decided_by == "user" and not held)):
        return {}
    things = [*held] if check.facts.per else [""]
    if check.facts.per and question.thing is not None and question.thing not in things:
        things.append(question.thing)
    state = expressions.state(check, question.user, sql.Identifier("asked", "thing"))
    query = sql.SQL("SELECT asked.thing, coalesce({}, false) FROM unnest({}::text[]) AS asked (thing)")
    return dict(fetch(question.connection, query.format(state, sql.Literal(things)).as_string()))


def _watched(badge: _Badge) -> tuple[WatchState, ...]:
    """The writes after which a badge is checked, with the state of their triggers."""
    definition, analysed = badge.definition, badge.analysed
    if definition is None:
        return ()
    if analysed is None:
        declared = [(definition.trigger_table, definition.user_field, definition.events)]
        declared += [(watch.table, watch.user_field, watch.events) for watch in definition.watches]
        return tuple(
            WatchState(table, user, {event.value: "" for event in events}, "") for table, user, events in declared
        )
    triggers = [trigger for function in badge.functions for trigger in function.triggers]

    def state(table: Table, event: TriggerEvent) -> str:
        wanted = Wanted(event.value, table.qualified_name, table.oid)
        return status.state_of(wanted, triggers) if definition.active else ""

    own = analysed.primary
    found = [(own.table, own.user, definition.events, "")]
    found += [(watched.table, watched.user, watched.events, watched.reason) for watched in analysed.watches]
    return tuple(
        WatchState(table.qualified_name, user.name, {event.value: state(table, event) for event in events}, reason)
        for table, user, events, reason in found
    )


def find_user(connection: BaseDatabaseWrapper, user: Any) -> Any:
    """The user with this primary key, or else this username.

    :raises UnknownUser: there is none.
    """
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
