"""Generates a trigger function: groups the badges of one trigger, and checks each group together. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from psycopg import sql

from badges.database import Template, qualified, template, trusted
from badges.definitions.types import TriggerEvent
from badges.facts.types import Target
from badges.functions import answers, expressions, runtime
from badges.functions.answers import SharedQuery
from badges.functions.expressions import NO_THING
from badges.functions.session import Session
from badges.functions.subjects import Subjects, known_user, subjects_of, unresolved
from badges.functions.types import Check, Firing, Level, Routine, Trigger

_THE_USER, _THE_THING = trusted("own.the_user"), trusted("own.the_thing")
_DEFERRED = trusted("own.deferred")
_HELD_BY_ONE, _HELD_BY_EACH = trusted("own.held"), trusted("badges_held.codes")


def compile_trigger(target: Target, event: TriggerEvent, level: Level, checks: Sequence[Check]) -> Trigger:
    """The trigger for one kind of write to one table, with its function.

    Each step gives a value for the next: the badges in groups, the subjects of each group, the queries that its badges
    share, and the SQL that awards them.
    """
    firing = Firing(target, checks[0].table, event, level)
    groups = [
        Group(firing, of_group, subjects_of(firing, of_group), answers.shared_queries(of_group))
        for of_group in grouped(checks, lambda check: check.group)
    ]
    codes = tuple(dict.fromkeys(check.code for check in checks))
    session = Session.of(target, checks)
    awards: list[sql.Composable] = []
    for group in groups:
        zone = session.zone_of(*group.checks)
        awards += [zone, award(group)] if zone.as_string() else [award(group)]
    summary = (
        f"Trigger function: checks badges after {event} on {firing.table.qualified_name}, {level}-level. "
        f"Badges: {', '.join(codes)}."
    )
    if level is Level.ROW:
        summary += f" It reads {_columns(checks)}."
    routine = runtime.generated_routine(
        target,
        firing.function,
        "functions/function.sql",
        "functions/body.sql",
        codes=codes,
        settings=session.clauses,
        summary=expressions.comment_lines(summary),
        is_own_table=expressions.is_own_table(firing.table, level),
        misplaced=_misplaced(firing, codes),
        seal=qualified(target.schema, "badges_seal"),
        awards=sql.SQL("\n").join(awards),
        one_by_one=sql.SQL("\n").join(one_by_one(firing, alike) for alike in grouped(checks, _after_an_error)),
    )
    return Trigger(
        routine,
        firing.table,
        event,
        level,
        target.is_subscriber,
        sees_both_rows=any(check.is_state for check in checks),
    )


def _columns(checks: Sequence[Check]) -> str:
    """The columns that a row-level trigger reads of the changed row, with their types.

    A session keeps the types of NEW and OLD for as long as it keeps the function. So the function is made anew where
    one of them changes.
    """
    facts = [check.facts for check in checks if not check.is_state]
    names = {name for each in facts for name in each.new_columns + each.old_columns}
    names |= {check.user.name for check in checks} | {each.per.name for each in facts if each.per}
    names |= {
        each.name for check in checks for each in (check.link, check.table.path and check.table.path.first) if each
    }
    columns = {each.name: each for check in checks for each in check.table.columns if each.name in names}
    return ", ".join(f"{each.name} {each.type}" for each in columns.values())


def inert_routine(target: Target, schema: str, name: str) -> Routine:
    """The function of that name, doing nothing."""
    return runtime.routine(target, name, "functions/inert.sql", schema)


def grouped(checks: Sequence[Check], key: Callable[[Check], tuple[object, ...]]) -> list[tuple[Check, ...]]:
    """The checks with the same key together, in the order of the first of each."""
    groups: dict[tuple[object, ...], list[Check]] = {}
    for check in checks:
        groups.setdefault(key(check), []).append(check)
    return [tuple(group) for group in groups.values()]


def _after_an_error(check: Check) -> tuple[object, ...]:
    """Badges with the same are checked by one call of badges_one_by_one()."""
    facts = check.facts
    if check.is_state:
        return check.group
    # Where columns are named, badges with others are apart: one whose column is gone fails alone.
    read = (facts.new_columns, facts.old_columns) if check.table.has_own_types else ()
    return (check.user.name, facts.per.name if facts.per else "", *read)


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Badges with the same `Check.group`: those that a trigger checks together."""

    firing: Firing
    checks: tuple[Check, ...]
    subjects: Subjects
    queries: tuple[SharedQuery, ...]

    @property
    def first(self) -> Check:
        return self.checks[0]

    @property
    def any_revocable(self) -> bool:
        return any(check.is_revocable for check in self.checks)

    @property
    def evidence(self) -> sql.Composed:
        if self.first.is_state:
            return expressions.occasion(self.first, self.firing.target)
        return expressions.evidence_of_all(self.checks, self.firing.target)

    def held(self, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
        """The codes of its badges that a user holds."""
        return expressions.held(self.firing.target, user, thing, self.checks)

    def is_wanted(self, held: sql.Composable) -> sql.Composable | None:
        """Whether a user who holds these of its badges is checked; None if all users are."""
        if self.any_revocable:
            return None
        return Template("pg_catalog.cardinality({held})\n    OPERATOR(pg_catalog.<) {all}").format(
            held=held, all=sql.Literal(len(self.checks))
        )

    def earned(self, check: Check, held: sql.Composable, *, is_scoped: bool) -> sql.Composed:
        found = answers.earned(check, self.queries, self.subjects, held, is_scoped=is_scoped)
        if self.deferred is None or not check.is_revocable:
            return found  # what is deferred counts as held
        layout = "CASE WHEN ({code} OPERATOR(pg_catalog.=) ANY ({deferred})) IS NOT TRUE THEN\n    {found}\nEND"
        return Template(layout).format(code=sql.Literal(check.code), deferred=self.deferred, found=found)

    @property
    def deferred(self) -> sql.Composable | None:
        """The variable with its badges that no write evaluates; None if BADGES_BUDGET sets no limit."""
        return _DEFERRED if self.firing.target.budget else None


def _shortened(group: Group) -> sql.Composed:
    """The evidence of an award; what reads only numbers and the like is short anyway."""
    facts = group.first.facts
    if group.first.is_state or not expressions.may_be_long(facts, facts.new_columns + facts.old_columns):
        return group.evidence
    function = qualified(group.firing.target.schema, "badges_shortened")
    return Template("{function}({evidence})").format(function=function, evidence=group.evidence)


def award(group: Group) -> sql.Composed:
    """The statements of a trigger function that award the badges of one group."""
    if group.first.table.path is None:
        return _award(group)
    return sql.SQL("\n").join([_unresolved(group.firing, group.checks, only_uncertain=True), _award(group)])


def _award(group: Group) -> sql.Composed:
    if not group.first.is_cross_row:
        return _row_local(group)
    if group.first.link:
        return template("functions/award_changed_link.sql").format(
            defer=_defer(group), many=_many(group), **_placeholders(group)
        )
    checks_one = group.firing.level is Level.ROW and not group.first.is_state
    file = "functions/award_cross_row_record.sql" if checks_one else "functions/award_cross_row.sql"
    return template(file).format(
        bucket=runtime.bucket(group.firing.target, group.subjects.user),
        held=group.held(group.subjects.user, group.subjects.thing),
        one_is_wanted=expressions.all_of(
            sql.SQL("own.the_user IS NOT NULL"),
            sql.SQL("own.the_thing IS NOT NULL") if group.subjects.has_thing else None,
            group.is_wanted(_HELD_BY_ONE),
        ),
        one=_one(group),
        many=sql.SQL("") if checks_one else _many(group),
        defer=_defer(group),
        **_placeholders(group),
    )


def _defer(group: Group) -> sql.Composable:
    """The statements that leave pending checks of the badges that are deferred."""
    if not group.firing.target.budget:
        return sql.SQL("")
    return template("functions/defer.sql").format(
        deferred=qualified(group.firing.target.schema, "badges_deferred"),
        held=group.held(group.subjects.user, group.subjects.thing),
        revocable=sql.Literal([check.is_revocable for check in group.checks]),
        subject_exists=group.subjects.exists,
        **_placeholders(group),
    )


def _measuring(group: Group, held: sql.Composable | None, evaluations: sql.Composable) -> dict[str, sql.Composable]:
    """What is around the evaluation of its conditions.

    :param held: the badges that one user holds, and those that are deferred; None where there are many users.
    """
    target = group.firing.target
    if not target.budget:
        return {"begin": sql.SQL(""), "measure": sql.SQL("")}
    is_deferred = sql.SQL("(each.code OPERATOR(pg_catalog.=) ANY ({})) IS TRUE").format(_DEFERRED)
    was_evaluated: sql.Composable = sql.SQL("NOT {}").format(is_deferred)
    if held is not None:
        was_evaluated = sql.SQL("({} OR each.is_revocable)\nAND {}").format(
            sql.SQL("each.code OPERATOR(pg_catalog.<>) ALL ({})").format(held), was_evaluated
        )
    return {
        "begin": sql.SQL("own.due := {};").format(runtime.due(target)),
        "measure": template("functions/measure.sql").format(
            note_overrun=qualified(target.schema, "badges_note_overrun"),
            codes=expressions.array_of_codes(group.checks),
            revocable=sql.Literal([check.is_revocable for check in group.checks]),
            was_evaluated=was_evaluated,
            evaluations=evaluations,
        ),
    }


def _held_or_deferred(group: Group, held: sql.Composable) -> sql.Composable:
    if group.deferred is None:
        return held
    return Template("{held}\nOPERATOR(pg_catalog.||) {deferred}").format(held=held, deferred=group.deferred)


def _placeholders(group: Group) -> dict[str, sql.Composable]:
    """What all templates for a group may name."""
    target, subjects = group.firing.target, group.subjects
    return {
        "is_own_table": expressions.is_own_table(group.firing.table, group.firing.level, group.firing.function),
        "misplaced": _misplaced(group.firing, [check.code for check in group.checks]),
        "rows": subjects.rows,
        "distinct_rows": subjects.distinct_rows,
        "user": subjects.user,
        "known_user": subjects.known_user,
        "equals": expressions.equals(target.user_key),
        "thing": subjects.thing,
        "evidence": group.evidence,
        "badges": target.badges.identifier,
        "pending": target.pending.identifier,
        "codes": expressions.array_of_codes(group.checks),
        "check_keys": runtime.check_keys(target),
        "lock": sql.Literal(runtime.ADVISORY_LOCK_CLASS),
        "deepest": sql.Literal(runtime.DEEPEST),
        "is_impatient": runtime.is_impatient(target),
        **{name: qualified(target.schema, f"badges_{name}") for name in ("wait", "record", "settle_locked")},
    }


def _misplaced(firing: Firing, codes: Sequence[str]) -> sql.Composed:
    """What the function does on another table than its own."""
    return Template(
        "PERFORM {note_misplaced}(\n    {codes}::text[],\n    {table}, TG_TABLE_SCHEMA, TG_TABLE_NAME{tenant});"
    ).format(
        note_misplaced=qualified(firing.target.schema, "badges_note_misplaced"),
        codes=sql.Literal([*codes]),
        table=sql.Literal(firing.table.qualified_name),
        tenant=_last_argument(firing.target),
    )


def _last_argument(target: Target) -> sql.Composable:
    """The tenant as a last argument, which other installations leave out."""
    return sql.SQL(", {}").format(runtime.tenant(target)) if target.tenant else sql.SQL("")


def _row_local(group: Group) -> sql.Composed:
    """Badges that the changed row alone decides. Their conditions are too cheap to share queries."""
    conditions = [expressions.condition_of(check, group.subjects.has_both_rows) for check in group.checks]
    return template("functions/award_row_local.sql").format(
        any_condition=sql.SQL("\n   OR ").join(conditions),
        conditions=sql.SQL(",\n").join(
            expressions.named(check, sql.SQL("({}, {})").format(sql.Literal(check.code), condition))
            for check, condition in zip(group.checks, conditions, strict=True)
        ),
        each_award=group.subjects.each_award + sql.SQL(", badge.code"),
        subject_exists=group.subjects.exists,
        held_by_found=group.held(trusted("found.known_user"), trusted("found.thing")),
        **_placeholders(group),
    )


def _many(group: Group) -> sql.Composed:
    """Badges that other rows decide, for any number of users."""
    target, subjects = group.firing.target, group.subjects
    each_user, each_thing = trusted("each.user_id"), trusted("each.thing")
    return template("functions/award_cross_row_many.sql").format(
        bucket=runtime.bucket(target, subjects.user),
        bucket_of_each=runtime.bucket(target, each_user),
        where_wanted=expressions.where(group.is_wanted(group.held(each_user, each_thing))),
        held_or_deferred=_held_or_deferred(group, group.held(subjects.user, subjects.thing)),
        **_measuring(
            group, None, Template("(SELECT pg_catalog.count(*)\n FROM {rows})").format(rows=subjects.distinct_rows)
        ),
        shared=answers.join(group.queries, subjects, _HELD_BY_EACH, group.deferred),
        conditions=sql.SQL(",\n").join(
            expressions.named(
                check,
                Template("({code},\n {earned},\n {leaves_check}, {is_revocable})").format(
                    code=sql.Literal(check.code),
                    earned=group.earned(check, _HELD_BY_EACH, is_scoped=True),
                    leaves_check=sql.Literal(check.leaves_check),
                    is_revocable=sql.Literal(check.is_revocable),
                ),
            )
            for check in group.checks
        ),
        where_thing=expressions.where(subjects.thing_exists),
        is_uncertain=sql.SQL("(lock.is_busy OR {})").format(subjects.is_new)
        if subjects.is_new
        else sql.SQL("lock.is_busy"),
        **_placeholders(group),
    )


def _one(group: Group) -> sql.Composed:
    """The same for a single user, who is in variables."""
    target, checks = group.firing.target, group.checks
    # A row of one badge needs no scope of its own: only the names of shared queries or of the other row would intrude.
    is_scoped = bool(group.queries or group.subjects.has_both_rows)
    held = _held_or_deferred(group, group.held(_THE_USER, _THE_THING))
    expiring = [check for check in checks if check.definition.expires_after]
    return template("functions/award_cross_row_one.sql").format(
        held_or_deferred=held,
        not_deferred=sql.SQL("AND (p.code OPERATOR(pg_catalog.=) ANY ({})) IS NOT TRUE").format(_DEFERRED)
        if target.budget
        else sql.SQL(""),
        **_measuring(group, _HELD_BY_ONE, sql.Literal(1)),
        held_by_now=template("functions/held_by_now.sql").format(held=held) if group.any_revocable else sql.SQL(""),
        exists=expressions.is_kept(target, _THE_USER, runtime.key_share(target)),
        shared=answers.join(group.queries, group.subjects, _HELD_BY_ONE, group.deferred),
        conditions=sql.SQL(",\n").join(
            expressions.named(check, group.earned(check, _HELD_BY_ONE, is_scoped=is_scoped)) for check in checks
        ),
        follows=sql.SQL("true OPERATOR(pg_catalog.=) ANY (found.earned)\nOR {}").format(
            _other_verdicts(group, "found.earned")
        ),
        others_are_wanted=_other_verdicts(group, "own.earned"),
        earned=expressions.listed(
            sql.SQL("({}, own.earned[{}])").format(sql.Literal(check.code), sql.Literal(number))
            for number, check in enumerate(checks, start=1)
        ),
        forget_expired=template("functions/forget_expired.sql").format(
            badges=target.badges.identifier,
            equals=expressions.equals(target.user_key),
            any_code=expressions.any_code(expiring),
        )
        if expiring
        else sql.SQL(""),
        shortened=_shortened(group),
        expires_at=expressions.expires_at(checks),
        leave_checks=sql.Literal([check.leaves_check for check in checks]),
        revocable=sql.Literal([check.is_revocable for check in checks]),
        **(_placeholders(group) | {"rows": group.subjects.rows_of_one or group.subjects.rows}),
    )


def _other_verdicts(group: Group, earned: str) -> sql.Composed:
    """Whether anything but an award may follow: for all badges at once, so that it costs little."""
    some_false = sql.SQL("false OPERATOR(pg_catalog.=) ANY ({})").format(trusted(earned))
    if any(check.leaves_check for check in group.checks):
        return some_false
    if group.any_revocable:
        some_held = sql.SQL("pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0")
        return sql.SQL("own.is_busy\nOR {}\n   AND {}").format(some_false, some_held)
    return sql.SQL("own.is_busy AND {}").format(some_false)


def one_by_one(firing: Firing, checks: Sequence[Check]) -> sql.Composed:
    """The statements of a trigger function that check badges one by one, after checking them together has failed."""
    arguments = _affected(firing, checks) if checks[0].is_state else _whole_rows(firing, checks[0])
    user = arguments["user"]
    asks, codes = sql.Literal(checks[0].asks), expressions.array_of_codes(checks)
    reads = expressions.listed(map(expressions.reads, checks))
    # The type that the functions take; the user's column may have another one since.
    key = trusted(firing.target.user_key.type)
    unresolved_first: sql.Composable = sql.SQL("")
    if checks[0].table.path:
        unresolved_first = _unresolved(firing, checks, only_uncertain=True)
        postponed = _unresolved(firing, checks, only_uncertain=False)
    else:
        postponed = template("functions/one_by_one_postpone.sql").format(
            postpone=qualified(firing.target.schema, "badges_postpone"),
            asks=asks,
            key=key,
            key_of_user=expressions.as_key(firing.target, checks[0].user, user),
            codes=codes,
            reads=reads,
            tenant=_last_argument(firing.target),
            **arguments,
        )
    return template("functions/one_by_one.sql").format(
        function=qualified(firing.target.schema, "badges_one_by_one"),
        note_failure=qualified(firing.target.schema, "badges_note_failure"),
        asks=asks,
        key=key,
        unresolved=unresolved_first,
        postponed=postponed,
        known_user=known_user(firing.target, checks[0], user),
        codes=codes,
        cross_row=sql.Literal([check.is_cross_row for check in checks]),
        revocable=sql.Literal([check.is_revocable for check in checks]),
        reads=reads,
        tenant=_last_argument(firing.target),
        failed_once=sql.SQL(", 1") + _last_argument(firing.target) if firing.target.tenant else sql.SQL(""),
        **arguments,
    )


def _unresolved(firing: Firing, checks: Sequence[Check], *, only_uncertain: bool) -> sql.Composed:
    """The statements that leave pending checks for rows whose users are found when these are settled.

    :param only_uncertain: for the rows alone of which this snapshot may not show the user; otherwise for all.
    """
    target = firing.target
    return template("functions/unresolved.sql").format(
        key=trusted(target.user_key.type),
        found=unresolved(firing, checks, only_uncertain=only_uncertain),
        is_own_table=expressions.is_own_table(firing.table, firing.level, firing.function),
        record=qualified(target.schema, "badges_record"),
    )


_NULL = sql.SQL("NULL::jsonb")


def _affected(firing: Firing, checks: Sequence[Check]) -> dict[str, sql.Composable]:
    subjects = subjects_of(firing, checks)
    return {
        "evidence": expressions.occasion(checks[0], firing.target),
        "rows": subjects.rows,
        "user": subjects.user,
        "thing": subjects.thing,
        "new": _NULL,
        "old": _NULL,
    }


def _whole_rows(firing: Firing, check: Check) -> dict[str, sql.Composable]:
    """Whole rows are passed, as a condition may have failed because one of the columns is gone."""
    event, per, row = firing.event, check.facts.per, firing.event.changed_row
    if firing.level is Level.STATEMENT:
        return {
            "evidence": _NULL,
            "rows": expressions.source(check.table, row),
            "user": sql.Identifier(row, check.user.name),
            "thing": expressions.subject(sql.Identifier(row, per.name), per) if per else NO_THING,
            "new": _stored(firing, check, "new") if event.has_new else _NULL,
            "old": _stored(firing, check, "old") if event is TriggerEvent.DELETE else _NULL,
        }
    # Not under the record's name, which must keep meaning the whole record.
    record = row.upper()
    thing = expressions.subject(expressions.columns_of(record, [per.name]), per) if per else NO_THING
    return {
        "evidence": _NULL,
        "rows": sql.SQL("(SELECT {} AS user_id, {} AS thing) AS changed").format(
            expressions.value_of_user(check.table, record, check.user), thing
        ),
        "user": trusted("changed.user_id"),
        "thing": trusted("changed.thing"),
        "new": _stored(firing, check, "NEW") if event.has_new else _NULL,
        "old": _stored(firing, check, "OLD") if event.has_old else _NULL,
    }


def _stored(firing: Firing, check: Check, row: str) -> sql.Composed:
    """A changed row as JSON: whole, or what the badge reads where the whole row would call casts of its types."""
    names, path = check.facts.new_columns if row.lower() == "new" else check.facts.old_columns, check.table.path
    # A record lacks the user at the end of a path, which a transition table was given.
    is_added = path is not None and row.isupper()
    json: sql.Composable = sql.SQL("pg_catalog.to_json({})").format(trusted(row if row.isupper() else f"{row}.*"))
    if check.table.has_own_types:
        own = [name for name in names if not (is_added and name == check.user.name)]
        json = expressions.row_as_json(row, own, check.table, "json")
    stored = sql.SQL("{}({})").format(qualified(firing.target.schema, "badges_stored"), json)
    if not is_added:
        return stored
    return sql.SQL("{} OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object({}, {})").format(
        stored, sql.Literal(check.user.name), expressions.value_of_user(check.table, row, check.user)
    )
