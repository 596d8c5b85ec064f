"""The contestants, and what each of them installs for the same badges.

none             no trigger
floor, row       an empty row trigger: the lower bound for work that is done for each row
floor, statement an empty statement trigger with the rows of the statement
badges           django-pg-badges, with evidence and history
by hand          the row trigger that a careful engineer writes: it skips users who hold the badge; for users who lack
                 it, it takes a lock, counts and awards; all badges of a table in one function
unsafe by hand   the same without the lock, as it is usually written: concurrent transactions lose badges
0.1 style        one row trigger for each badge
orm, post_save   Django's save(), and the same with a receiver that looks up, counts and creates in Python
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from django.db.models.signals import post_save
from dummy.models import Sketch

from badges import definitions
from badges.installation import executor
from badges.models import Badge
from bench.databases import Database, statement

NONE, ROW, STATEMENT, BADGES, BY_HAND, UNSAFE, OLD, ORM, POST_SAVE = ALL = (
    "none", "floor, row", "floor, statement", "badges", "by hand", "unsafe by hand", "0.1 style", "orm", "post_save"
)  # fmt: skip

LOCK = "PERFORM pg_advisory_xact_lock(NEW.user_id);"

#: A threshold that no user reaches.
NEVER = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Rule:
    """A badge that all contestants award, after writes to dummy_sketch."""

    code: str = "collector"
    event: str = "insert"
    condition: str = ""
    progress: str = ""
    """In place of a condition: SQL for a number, shared by several levels."""
    goal: int = NEVER

    @property
    def counts(self) -> bool:
        """Whether the condition is cross-row."""
        return " from " in (self.condition or self.progress)

    @property
    def test(self) -> str:
        """The condition in SQL, to be put after SELECT."""
        return self.condition or f"(SELECT {self.progress}) >= {self.goal}"


COUNT = "count(*) from dummy_sketch where user_id = NEW.user_id"


def count(at_least: int) -> Rule:
    """A badge for a number of rows."""
    return Rule(condition=COUNT.replace("count(*)", f"count(*) >= {at_least}"))


def views(at_least: int) -> Rule:
    """A row-local badge, after an update."""
    return Rule(code="star", event="update", condition=f"NEW.hit_views > {at_least}")


def entries(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The rules as in badge.json."""
    common = {"trigger_table": "dummy_sketch", "user_field": "user_id"}
    found: list[dict[str, Any]] = []
    levels: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        shared = {"name": rule.code.title(), "trigger_condition": rule.event, **common}
        if rule.condition:
            found.append({**shared, "code": rule.code, "condition": rule.condition})
        else:
            if rule.progress not in levels:
                levels[rule.progress] = []
                found.append({**shared, "progress": rule.progress, "levels": levels[rule.progress]})
            levels[rule.progress].append({"code": rule.code, "goal": rule.goal})
    return found


def put_in(database: Database, name: str, rules: Sequence[Rule]) -> None:
    """Install the triggers or receivers by which this contestant awards these badges, in an empty database."""
    if name == BADGES:
        executor.apply(database.django, definitions.parse(json.dumps(entries(rules))), "bench")
        database.django.close()
        return
    if not rules:
        return
    database.prepare(statement("definitions"), [[rule.code for rule in rules]])
    event = rules[0].event
    if name in (ROW, STATEMENT):
        database.prepare(statement("floor_row" if name == ROW else "floor_statement").format(event=event))
    elif name in (BY_HAND, UNSAFE):
        database.prepare(by_hand(rules, LOCK if name == BY_HAND else ""))
    elif name == OLD:
        for rule in rules:
            database.prepare(statement("as_0_1").format(code=rule.code, event=event, condition=rule.test))
    elif name == POST_SAVE:
        receive(database, rules)


def by_hand(rules: Sequence[Rule], lock: str) -> str:
    """The hand-written trigger for these badges."""
    event = rules[0].event
    if not any(rule.counts for rule in rules):
        values = ", ".join(f"('{rule.code}', {rule.test})" for rule in rules)
        return statement("by_hand_row").format(
            values=values, any=" OR ".join(f"{rule.test}" for rule in rules), event=event
        )
    if len(rules) == 1:
        return statement("by_hand_count").format(code=rules[0].code, condition=rules[0].test, lock=lock, event=event)
    counting = ",".join(rule.code for rule in rules if rule.counts)
    return statement("by_hand_many").format(
        counting=f"{{{counting}}}", lock=lock or "NULL;", event=event, arms=_arms(rules)
    )


def _arms(rules: Sequence[Rule]) -> str:
    award = "INSERT INTO badges_badge (user_id, code) VALUES (NEW.user_id, '{}') ON CONFLICT DO NOTHING;"
    arms = []
    for rule in (each for each in rules if each.condition):
        given = award.format(rule.code)
        if rule.counts:
            # Not joined by AND: that would be one expression, whose subquery is always started.
            given = f"IF (SELECT {rule.test}) THEN {given} END IF;"
        also = "" if rule.counts else f" AND {rule.test}"
        arms.append(f"    IF NOT '{rule.code}' = ANY (held){also} THEN {given} END IF;")
    for progress in dict.fromkeys(each.progress for each in rules if each.progress):
        levels = [rule for rule in rules if rule.progress == progress]
        codes = ",".join(rule.code for rule in levels)
        inner = " ".join(
            f"IF reached >= {rule.goal} AND NOT '{rule.code}' = ANY (held) THEN {award.format(rule.code)} END IF;"
            for rule in levels
        )
        arms.append(f"    IF NOT held @> '{{{codes}}}'::text[] THEN reached := (SELECT {progress}); {inner} END IF;")
    return "\n".join(arms)


def receive(database: Database, rules: Sequence[Rule]) -> None:
    """Connect a receiver for saves in this database that works as most badge apps do."""
    [rule] = rules
    alias = database.name
    threshold = int(rule.condition.split(">")[1].lstrip("=").split()[0])

    def award(sender: type[Sketch], instance: Sketch, using: str, **_: Any) -> None:
        if using != alias:
            return
        if not rule.counts and instance.hit_views <= threshold:
            return
        held = Badge.objects.using(alias).filter(user_id=instance.user_id, code=rule.code)
        if held.exists():
            return
        if rule.counts and Sketch.objects.using(alias).filter(user_id=instance.user_id).count() < threshold:
            return
        Badge.objects.using(alias).get_or_create(user_id=instance.user_id, code=rule.code)

    post_save.disconnect(sender=Sketch, dispatch_uid="bench")
    post_save.connect(award, sender=Sketch, weak=False, dispatch_uid="bench")


def hold_another(database: Database) -> None:
    """Award an unrelated badge to all users: on an empty table without statistics, plans are arbitrary."""
    other = Rule("other")
    database.prepare(statement("definitions"), [[other.code]])
    hold(database, [other])


def hold(database: Database, rules: Sequence[Rule]) -> None:
    """Award these badges to all users."""
    database.prepare(statement("held"), [[rule.code for rule in rules]])
    database.prepare("VACUUM ANALYZE badges_badge")
