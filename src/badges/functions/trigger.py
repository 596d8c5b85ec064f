"""Generates a trigger function and its parts, each of which checks some badges together. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from psycopg import sql

from badges.database import qualified, template, trusted
from badges.definitions.types import TriggerEvent
from badges.facts.types import Table, Target
from badges.functions import expressions, runtime
from badges.functions.expressions import NO_THING
from badges.functions.types import Check, Level, Routine, Trigger, dollar_quoted

NAME_MAX_BYTES = 63
"""PostgreSQL cuts longer names (NAMEDATALEN - 1)."""


def name_for(table: Table, event: TriggerEvent, level: Level) -> str:
    """A readable name within 63 bytes; its hash keeps the names of two long tables apart."""
    key = f"{table.qualified_name}:{event}:{level}"
    suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    row = "_row" if level is Level.ROW else ""
    readable = f"badges_{event}{row}_{table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
    return readable.decode(errors="ignore") + suffix


def compile_trigger(target: Target, event: TriggerEvent, level: Level, badges: Sequence[Check]) -> Trigger:
    table = badges[0].table
    groups: dict[tuple[object, ...], list[Check]] = {}
    for badge in badges:
        groups.setdefault(badge.group, []).append(badge)
    name = name_for(table, event, level)
    alike: dict[tuple[object, ...], list[Check]] = {}
    for badge in badges:
        per = badge.facts.per.name if badge.facts.per else ""
        alike.setdefault(badge.group if badge.is_state else (badge.user.name, per), []).append(badge)
    body = template("functions/body.sql").format(
        codes=expressions.comment(", ".join(dict.fromkeys(badge.code for badge in badges))),
        event=trusted(event),
        table=expressions.comment(table.qualified_name),
        key=trusted(target.user_key.type),
        is_own_table=expressions.is_own_table(table, level),
        awards=sql.SQL("\n").join(award(Group(target, event, level, group), name) for group in groups.values()),
        one_by_one=sql.SQL("").join(one_by_one(target, event, level, group) for group in alike.values()),
    )
    create = template("functions/function.sql").format(
        function=qualified(target.schema, name),
        search_path=trusted(target.function_search_path),
        timeout=sql.Literal(f"{target.wait}ms"),
        body=trusted(dollar_quoted(body.as_string())),
    )
    codes = tuple(dict.fromkeys(badge.code for badge in badges))
    owned = Routine(target.schema, name, target.badges_owner, create.as_string(), codes)
    return Trigger(
        owned, table, event, level, target.is_subscriber, sees_both_rows=any(badge.is_state for badge in badges)
    )


def inert_routine(target: Target, name: str) -> Routine:
    """The function of that name, doing nothing."""
    create = template("functions/inert.sql").format(function=qualified(target.schema, name))
    return Routine(target.schema, name, target.badges_owner, create.as_string())


_THE_USER, _THE_THING = trusted("own.the_user"), trusted("own.the_thing")

_LINE = "\n            "


class Group:
    """Badges that are looked at together after one kind of write: those with the same `CheckedBadge.group`.

    `rows` is what they are looked at for, as an item of FROM; `user` and `thing` are expressions over it.
    """

    def __init__(self, target: Target, event: TriggerEvent, level: Level, badges: Sequence[Check]) -> None:
        self.target, self.event, self.level, self.badges = target, event, level, badges
        self.first = badges[0]
        self.is_state = self.first.is_state
        self.is_cross_row = self.first.is_cross_row
        self.table = self.first.table
        self.new = {column for badge in badges for column in badge.facts.new_columns}
        self.old = {column for badge in badges for column in badge.facts.old_columns}
        read = {self.first.user.name} | ({self.first.facts.per.name} if self.first.facts.per else set())
        (self.new if event.has_new else self.old).update(read)
        self.shared = self._shared()
        self.answers = {
            badge.code: (number, place)
            for number, badges in enumerate(self.shared, start=1)
            for place, badge in enumerate(badges, start=1)
        }
        self.rows: sql.Composable
        self.distinct_rows: sql.Composable
        self.user: sql.Composable
        self.thing: sql.Composable = NO_THING
        if self.is_state:
            self.rows = self.distinct_rows = self._users()
            self.user = sql.Identifier("looked", "user_id")
            if self.first.facts.per:
                self.thing = sql.Identifier("looked", "thing")
            return
        self.user = sql.Identifier(event.changed_row, self.first.user.name)
        if self.first.facts.per:
            self.thing = sql.SQL("{}::text").format(sql.Identifier(event.changed_row, self.first.facts.per.name))
        self.rows = self.distinct_rows = expressions.source(event)
        if level is Level.ROW:
            self.rows = self.distinct_rows = expressions.records(
                self.table.in_order(self.new), self.table.in_order(self.old)
            )
        elif self.is_cross_row:
            self.distinct_rows = expressions.distinct_rows(
                self.table,
                event.changed_row,
                self.table.in_order(self.new if event.has_new else self.old),
                sql.Identifier(f"badges_{event.changed_row}"),
                self.user + sql.SQL(" IS NOT NULL"),
            )

    def _users(self) -> sql.Composed:
        """The users whom the changed rows name, before and after; with the things, if there is a badge for each."""
        per, user = self.first.facts.per, self.first.user.name
        is_own = self.table.oid == self.first.facts.table.oid and user == self.first.facts.user.name
        selects = []
        for row in ("new", "old"):
            if not (self.event.has_new if row == "new" else self.event.has_old):
                continue
            columns = [sql.SQL("{} AS user_id").format(sql.Identifier(row, user))]
            record = trusted(row.upper()) + sql.SQL(".")
            if self.level is Level.ROW:
                columns = [sql.SQL("{}{} AS user_id").format(record, sql.Identifier(user))]
            if per and is_own:
                name = sql.Identifier(per.name)
                source = record if self.level is Level.ROW else sql.Identifier(row) + sql.SQL(".")
                columns.append(sql.SQL("{}{}::text AS thing").format(source, name))
            origin: sql.Composable = sql.SQL("")
            if self.level is Level.STATEMENT:
                origin = sql.SQL(" FROM {} AS {}").format(sql.Identifier(f"badges_{row}"), sql.Identifier(row))
            selects.append(sql.SQL("SELECT DISTINCT {}{}").format(sql.SQL(", ").join(columns), origin))
        users = sql.SQL(" UNION ").join(selects)
        if not per or is_own:
            return sql.SQL("({}) AS looked").format(users)
        return template("functions/things_of_users.sql").format(
            users=users,
            per=sql.Identifier(per.name),
            table=self.first.facts.table.identifier,
            user=sql.Identifier(self.first.facts.user.name),
            badges=self.target.badges.identifier,
            code=sql.Literal(self.first.code),
        )

    @property
    def is_scoped(self) -> bool:
        """Where more names than the changed row's are in sight, a bare column must still mean the changed row's."""
        return self.is_cross_row or bool(self.new and self.old)

    @property
    def known_user(self) -> sql.Composable:
        if self.first.user.type == self.target.user_key.type:
            return self.user
        return expressions.known_user(self.target, self.user)

    @property
    def evidence(self) -> sql.Composed:
        return expressions.occasion(self.first) if self.is_state else expressions.evidence_of_all(self.badges)

    def held(self, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
        return expressions.held(self.target, user, thing, self.badges)

    def lacks_any(self, held: sql.Composable) -> sql.Composable:
        """Whether a user who holds these of the badges is to be looked at."""
        if any(badge.is_revocable for badge in self.badges):
            return sql.SQL("true")
        return sql.SQL("cardinality({}) < {}").format(held, sql.Literal(len(self.badges)))

    def _shared(self) -> list[list[Check]]:
        """Badges that are asked about by one query: levels of a progress, and what is counted over the same rows."""
        found: dict[tuple[object, ...], list[Check]] = {}
        for badge in self.badges:
            if badge.shared:
                found.setdefault(badge.shared, []).append(badge)
        return [badges for badges in found.values() if len(badges) > 1 or badges[0].definition.progress]

    def join_shared(self, held: sql.Composable) -> sql.Composed:
        """Items of FROM with the answers of these queries, each asked only if one of its badges is lacked."""
        joined = []
        for number, badges in enumerate(self.shared, start=1):
            value = self._asked(badges, held)
            if not any(badge.is_revocable for badge in badges):
                value = sql.SQL("CASE WHEN NOT {} <@ {} THEN {} END").format(
                    expressions.array_of_codes(badges), held, value
                )
            joined.append(
                sql.SQL("{}CROSS JOIN LATERAL (SELECT {} AS value OFFSET 0) AS {}").format(
                    sql.SQL(_LINE), value, _name_of_shared(number)
                )
            )
        return sql.Composed(joined)

    def _asked(self, badges: Sequence[Check], held: sql.Composable) -> sql.Composed:
        if badges[0].definition.progress:
            if self.is_state:
                return expressions.state_of_progress(badges[0], self.user, self.thing)
            return expressions.progress_of(badges[0], self.is_scoped)
        if self.is_state:
            return expressions.state_of_answers(badges, held, self.user, self.thing)
        return expressions.answers_of(badges, held, self.is_scoped)

    def earned(self, badge: Check, held: sql.Composable, is_scoped: bool) -> sql.Composed:
        """Whether one of the badges is earned, as `if_lacked` tells; the answers of the shared queries are in sight."""
        answer: sql.Composed
        if badge.code in self.answers:
            number, place = self.answers[badge.code]
            answer = sql.SQL("{}.value").format(_name_of_shared(number))
            if badge.definition.progress:
                answer = sql.SQL("{} >= {}").format(answer, trusted(f"{badge.definition.goal:f}"))
            else:
                answer = sql.SQL("{}[{}]").format(answer, sql.Literal(place))
                if not badge.is_revocable:
                    return answer
        elif self.is_state:
            answer = expressions.state(badge, self.user, self.thing)
        else:
            answer = expressions.condition_of(badge, is_scoped)
        return expressions.if_lacked(badge, answer, held)


def _name_of_shared(number: int) -> sql.Identifier:
    return sql.Identifier(f"shared_{number}")


def award(group: Group, function: str) -> sql.Composed:
    """What the trigger function of that name does about a group."""
    target, badges = group.target, group.badges
    shared: dict[str, sql.Composable] = {
        "is_own_table": expressions.is_own_table(group.table, group.level, function),
        "rows": group.rows,
        "distinct_rows": group.distinct_rows,
        "user": group.user,
        "known_user": group.known_user,
        "thing": group.thing,
        "evidence": group.evidence,
        "badges": target.badges.identifier,
        "pending": target.pending.identifier,
        "lock": sql.Literal(runtime.ADVISORY_LOCK_CLASS),
        "deepest": sql.Literal(runtime.DEEPEST),
        **{name: qualified(target.schema, f"badges_{name}") for name in ("wait", "record", "settle")},
    }
    if not group.is_cross_row:
        return _row_local(group, shared)
    held = group.held(group.user, group.thing)
    bucket = runtime.bucket(target, group.user)
    first = {
        "bucket": bucket,
        "held": held,
        "one_is_wanted": sql.SQL("own.the_user IS NOT NULL AND own.the_thing IS NOT NULL AND {}").format(
            group.lacks_any(trusted("own.held"))
        ),
        "one": _one(group, shared),
    }
    if group.level is Level.ROW and not group.is_state:
        return template("functions/award_cross_row_record.sql").format(**first, **shared)
    each_user, each_thing = trusted("each.user_id"), trusted("each.thing")
    many = template("functions/award_cross_row_many.sql").format(
        bucket=bucket,
        bucket_of_each=runtime.bucket(target, each_user),
        is_wanted=group.lacks_any(group.held(each_user, each_thing)),
        held=held,
        shared=group.join_shared(trusted("badges_held.codes")),
        conditions=sql.SQL(",\n").join(
            expressions.named(
                badge,
                sql.SQL("({}, {}, {}, {})").format(
                    sql.Literal(badge.code),
                    group.earned(badge, trusted("badges_held.codes"), group.is_scoped),
                    sql.Literal(badge.leaves_check),
                    sql.Literal(badge.is_revocable),
                ),
            )
            for badge in badges
        ),
        **shared,
    )
    return template("functions/award_cross_row.sql").format(many=many, **first, **shared)


def _one(group: Group, shared: dict[str, sql.Composable]) -> sql.Composed:
    target, badges = group.target, group.badges
    any_revocable = any(badge.is_revocable for badge in badges)
    # Common to all is the reason to look for what is not an award; the rest is for those that need it.
    others = "own.is_busy AND false = ANY ({earned})"
    if any(badge.leaves_check for badge in badges):
        others = "false = ANY ({earned})"
    elif any_revocable:
        others = "own.is_busy OR false = ANY ({earned}) AND cardinality(own.held) > 0"
    is_scoped = bool(group.shared or (group.new and group.old))
    held = group.held(_THE_USER, _THE_THING)
    held_by_now: sql.Composable = sql.SQL("")
    if any_revocable:
        held_by_now = template("functions/held_by_now.sql").format(held=held)
    forget_expired: sql.Composable = sql.SQL("")
    expiring = [badge for badge in badges if badge.definition.expires_after]
    if expiring:
        forget_expired = template("functions/forget_expired.sql").format(
            badges=target.badges.identifier, codes=expressions.codes(expiring)
        )
    return template("functions/award_cross_row_one.sql").format(
        held=held,
        held_by_now=held_by_now,
        exists=sql.SQL("{} IS NOT NULL").format(expressions.known_user(target, _THE_USER)),
        shared=group.join_shared(trusted("own.held")),
        conditions=sql.SQL(",\n").join(
            expressions.named(badge, group.earned(badge, trusted("own.held"), is_scoped)) for badge in badges
        ),
        follows=trusted(f"true = ANY (found.earned) OR {others.format(earned='found.earned')}"),
        others_are_wanted=trusted(others.format(earned="own.earned")),
        earned=sql.SQL(", ").join(
            sql.SQL("({}, own.earned[{}])").format(sql.Literal(badge.code), sql.Literal(number))
            for number, badge in enumerate(badges, start=1)
        ),
        forget_expired=forget_expired,
        expires_at=expressions.expires_at(badges),
        codes=expressions.array_of_codes(badges),
        leave_checks=sql.Literal([badge.leaves_check for badge in badges]),
        revocable=sql.Literal([badge.is_revocable for badge in badges]),
        **shared,
    )


def _row_local(group: Group, shared: dict[str, sql.Composable]) -> sql.Composed:
    # A condition over the row alone is too cheap to be worked out once for several goals.
    conditions = [expressions.condition_of(badge, group.is_scoped) for badge in group.badges]
    found = [trusted(f"found.{name}") for name in ("known_user", "thing")]
    return template("functions/award_row_local.sql").format(
        any_condition=sql.SQL("\n           OR ").join(conditions),
        conditions=sql.SQL(",\n").join(
            expressions.named(badge, sql.SQL("({}, {})").format(sql.Literal(badge.code), condition))
            for badge, condition in zip(group.badges, conditions, strict=True)
        ),
        lacks_found=sql.SQL("found.code <> ALL ({})").format(group.held(*found)),
        **shared,
    )


def one_by_one(target: Target, event: TriggerEvent, level: Level, badges: Sequence[Check]) -> sql.Composed:
    """What a trigger function does about badges of one group after an error: each by itself.

    Whole rows are handed over, as a condition may have failed because one of their columns is gone.
    """
    group = Group(target, event, level, badges)
    new: sql.Composable = sql.SQL("NULL::jsonb")
    old: sql.Composable = new
    rows, user, thing = group.rows, group.user, group.thing
    evidence: sql.Composable = sql.SQL("NULL::jsonb")
    if group.is_state:
        evidence = expressions.occasion(group.first)
    else:
        is_row_level = level is Level.ROW
        if event.has_new:
            new = sql.SQL("to_jsonb({})").format(trusted("NEW" if is_row_level else "new.*"))
        if event is TriggerEvent.DELETE or (event.has_old and is_row_level):
            old = sql.SQL("to_jsonb({})").format(trusted("OLD" if is_row_level else "old.*"))
        rows = expressions.source(event)
        if is_row_level:
            # Not under the record's name, which must go on meaning the whole record.
            record, per = event.changed_row.upper(), group.first.facts.per
            things = sql.SQL("{}::text").format(expressions.columns_of(record, [per.name])) if per else NO_THING
            rows = sql.SQL("(SELECT {} AS user_id, {} AS thing) AS changed").format(
                expressions.columns_of(record, [group.first.user.name]), things
            )
            user, thing = trusted("changed.user_id"), trusted("changed.thing")
    return template("functions/one_by_one.sql").format(
        function=qualified(target.schema, "badges_one_by_one"),
        note_failure=qualified(target.schema, "badges_note_failure"),
        asks=sql.Literal(group.first.asks),
        evidence=evidence,
        user=user,
        known_user=expressions.known_user(target, user),
        thing=thing,
        new=new,
        old=old,
        codes=expressions.array_of_codes(badges),
        cross_row=sql.Literal([badge.is_cross_row for badge in badges]),
        revocable=sql.Literal([badge.is_revocable for badge in badges]),
        reads=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(expressions.reads, badges))),
        rows=rows,
    )
