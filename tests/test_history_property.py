"""Whatever writes badges in whatever order, rolled back or not: the fold of the events is the badges that are held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.db import connection
from dummy.models import Sketch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from badges.models import Badge, BadgeDefinition, BadgeEvent

BADGES = (
    entry("first", condition="true"),
    entry("pair", condition="count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id"),
    entry("tidy", condition="true", trigger_condition="delete"),
    entry("holder", condition="true", trigger_table="badges_badge"),
    entry("phoenix", condition="true", trigger_condition="delete", trigger_table="badges_badge"),
)
CODES = [badge["code"] for badge in BADGES]

users = st.integers(0, 2)
codes = st.sampled_from(CODES)


def fold() -> set[tuple[Any, ...]]:
    """The badges that are held by the events alone, in Python: the last event of each user, code and thing decides."""
    last = {}
    for user, code, thing, kind in BadgeEvent.objects.order_by("at").values_list("user_id", "code", "thing", "kind"):
        last[user, code, thing] = kind
    return {(user, code) for (user, code, _), kind in last.items() if kind == "awarded"}


class Writes(RuleBasedStateMachine):
    """Three users in one transaction, of which nothing stays."""

    def __init__(self) -> None:
        super().__init__()
        self.outermost = connection.savepoint()
        self.savepoints: list[tuple[str, list[User]]] = []
        self.names = 0
        self.users = [self._user() for _ in range(3)]

    def _user(self) -> User:
        self.names += 1
        return User.objects.create(username=f"user-{self.names}")

    def _sql(self, statement: str, *params: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)

    @rule(index=users, number=st.integers(0, 2))
    def draw(self, index: int, number: int) -> None:
        Sketch.objects.bulk_create([Sketch(user=self.users[index], title="x")] * number)

    @rule(index=users)
    def throw_away(self, index: int) -> None:
        self._sql("DELETE FROM dummy_sketch WHERE user_id = %s", self.users[index].pk)

    @rule(index=users, code=codes)
    def award(self, index: int, code: str) -> None:
        Badge.objects.award(self.users[index], code, by="grace")

    @rule(index=users, code=codes)
    def revoke(self, index: int, code: str) -> None:
        Badge.objects.revoke(self.users[index], code, by="grace")

    @rule(code=codes)
    def insert(self, code: str) -> None:
        statement = "INSERT INTO badges_badge (user_id, code) SELECT id, %s FROM auth_user ON CONFLICT DO NOTHING"
        self._sql(statement, code)

    @rule(given=st.lists(codes, max_size=3))
    def delete(self, given: list[str]) -> None:
        self._sql("DELETE FROM badges_badge WHERE code = ANY (%s)", given)

    @rule(code=codes)
    def delete_and_insert(self, code: str) -> None:
        statement = """
            WITH gone AS (DELETE FROM badges_badge WHERE code = %s RETURNING user_id, code)
            INSERT INTO badges_badge (user_id, code) SELECT * FROM gone
            """
        self._sql(statement, code)

    @rule(old=users, new=users)
    def merge(self, old: int, new: int) -> None:
        statement = """
            UPDATE badges_badge AS b SET user_id = %s WHERE user_id = %s
            AND NOT EXISTS (SELECT FROM badges_badge AS n WHERE n.user_id = %s AND n.code = b.code)
            """
        self._sql(statement, self.users[new].pk, self.users[old].pk, self.users[new].pk)

    @rule(index=users, old=codes, new=codes)
    def change_code(self, index: int, old: str, new: str) -> None:
        statement = """
            UPDATE badges_badge SET code = %s WHERE user_id = %s AND code = %s
            AND NOT EXISTS (SELECT FROM badges_badge AS n WHERE n.user_id = %s AND n.code = %s)
            """
        user = self.users[index].pk
        self._sql(statement, new, user, old, user, new)

    @rule()
    def touch(self) -> None:
        self._sql("UPDATE badges_badge SET evidence = '{}'")

    @rule()
    def truncate(self) -> None:
        # What is deferred would forbid it.
        self._sql("SET CONSTRAINTS ALL IMMEDIATE")
        self._sql("TRUNCATE badges_badge")

    @rule(index=users, by_orm=st.booleans())
    def delete_user(self, index: int, by_orm: bool) -> None:
        if by_orm:
            User.objects.get(pk=self.users[index].pk).delete()
        else:
            self._sql("DELETE FROM dummy_sketch WHERE user_id = %s", self.users[index].pk)
            self._sql("DELETE FROM auth_user WHERE id = %s", self.users[index].pk)
        self.users[index] = self._user()

    @rule()
    def savepoint(self) -> None:
        self.savepoints.append((connection.savepoint(), list(self.users)))

    @rule()
    def roll_back(self) -> None:
        if self.savepoints:
            savepoint, self.users = self.savepoints.pop()
            connection.savepoint_rollback(savepoint)

    @invariant()
    def fold_is_what_is_held(self) -> None:
        assert fold() == set(Badge.objects.values_list("user_id", "code"))

    def teardown(self) -> None:
        connection.savepoint_rollback(self.outermost)


@pytest.mark.django_db
@pytest.mark.parametrize("examples", [10, pytest.param(60, marks=pytest.mark.long)])
def test_events_and_badges_never_disagree(declare: Callable[..., Any], examples: int) -> None:
    """Awards, revocations, SQL of any kind, merges, deleted users, savepoints at random leave both the same."""
    declare(*BADGES)
    assert BadgeDefinition.objects.count() == len(BADGES)
    run_state_machine_as_test(
        Writes,
        settings=hypothesis.settings(
            max_examples=examples,
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
