"""Whatever some sessions do in whatever order: once all has ended and is settled, the badges are the oracle's.

The oracle knows only what was committed. It recomputes from that in Python, one badge after the other:

- a badge that the changed row alone decides is held if and only if some committed change of a row met its condition;
- a badge that other rows decide, where rows only come and never go, is held if and only if they meet it at the end;
- where rows change and go too, it depends on the order whether a condition was true for a while. It must be held if it
  is true at the end, as each of these conditions can then have become true only by a write that is checked; and it
  must not be held if all that was ever committed, taken together at its best, does not meet it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from conftest import entry
from django.conf import settings as django_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from isolation.harness import LEVELS, READ_COMMITTED, Session, Site, fresh_site
from psycopg import errors

VISITS = "CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY, user_id bigint, stars integer NOT NULL)"


def badge(code: str, condition: str, *events: str, table: str = "dummy_sketch", **keys: Any) -> dict[str, Any]:
    return entry(code, condition=condition, trigger_condition=list(events), trigger_table=table, **keys)


BADGES = (
    badge("loud", "NEW.hit_views >= 60", "insert", "update"),
    badge("risen", "NEW.hit_views - OLD.hit_views >= 30", "update"),
    badge("brave", "OLD.hit_views >= 50", "delete"),
    badge("visitor", "count(*) >= 3 FROM visits WHERE user_id = NEW.user_id", "insert", table="visits"),
    badge("starry", "sum(stars) >= 10 FROM visits WHERE user_id = NEW.user_id", "insert", table="visits"),
    badge("collector", "count(*) >= 3 FROM dummy_sketch WHERE user_id = NEW.user_id", "insert"),
    badge("seen", "sum(hit_views) >= 100 FROM dummy_sketch WHERE user_id = NEW.user_id", "insert", "update"),
    badge("tidy", "count(*) <= 1 FROM dummy_sketch WHERE user_id = OLD.user_id", "delete"),
    badge("owner", "count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id", "insert", revocable=True),
    badge("famed", "sum(hit_views) >= 90 FROM dummy_sketch WHERE user_id = NEW.user_id", "update", revocable=True),
    badge("bright", "hit_views >= 60", "insert", revocable=True),
    badge("gem", "NEW.hit_views >= 50", "insert", "update", revocable=True, per="id"),
)


@dataclasses.dataclass(frozen=True)
class Change:
    """One row of one statement."""

    event: str
    user: int
    row: int = 0
    old: int = 0
    new: int = 0


def must_and_may_hold(user: int, changes: list[Change]) -> tuple[set[str], set[str]]:
    """The badges that the user must hold, and those that it may hold, by what was committed."""
    mine = [change for change in changes if change.user == user]
    stars = [change.new for change in mine if change.event == "visit"]
    best: dict[int, int] = {}
    for change in mine:
        if change.event in ("insert", "update"):
            best[change.row] = max(best.get(change.row, 0), change.new)
    gone = {change.row for change in mine if change.event == "delete"}
    # A row's updates are in the order of their commits, as each waits for the one before.
    views = {change.row: change.new for change in mine if change.event in ("insert", "update")}
    left = {row: views[row] for row in views if row not in gone}
    exact = {
        "loud": any(change.event in ("insert", "update") and change.new >= 60 for change in mine),
        "risen": any(change.event == "update" and change.new - change.old >= 30 for change in mine),
        "brave": any(change.event == "delete" and change.old >= 50 for change in mine),
        "visitor": len(stars) >= 3,
        "starry": sum(stars) >= 10,
    }
    must = exact | {
        "collector": len(left) >= 3,
        "seen": sum(left.values()) >= 100,
        "tidy": bool(gone) and len(left) <= 1,
    }
    # Revocable badges: held if true at the end, and only then.
    exact |= {
        "owner": len(left) >= 2,
        "famed": sum(left.values()) >= 90,
        "bright": any(seen >= 60 for seen in left.values()),
        **{f"gem {row}": left[row] >= 50 for row in left},
    }
    must |= exact
    may = exact | {"collector": len(best) >= 3, "seen": sum(best.values()) >= 100, "tidy": bool(gone)}
    return {code for code in must if must[code]}, {code for code in may if may[code]}


class Writer:
    """A session, and the changes that it has made and not committed."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_open = False
        self.changes: list[Change] = []
        self.savepoint: int | None = None

    def end(self, statement: str) -> list[Change]:
        """End the transaction; gives what it has committed."""
        changes, self.is_open, self.changes, self.savepoint = self.changes, False, [], None
        try:
            self.session._execute(statement, None)
        except errors.SerializationFailure:
            assert self.session.level != READ_COMMITTED
            return []
        return changes if statement == "COMMIT" else []


writers = st.integers(0, 2)
few_users = st.lists(st.integers(0, 2), min_size=1, max_size=4)
hit_views = st.sampled_from([0, 10, 30, 40, 50, 60, 90])


class Sessions(RuleBasedStateMachine):
    """Three sessions, three users. Rows that another session has locked are skipped, so no session waits for rows."""

    def __init__(self, site: Site, sessions: list[Session]) -> None:
        super().__init__()
        self.site = site
        self.users = site.users(3)
        self.writers = [Writer(session) for session in sessions]
        self.committed: list[Change] = []

    @rule(index=writers, level=st.sampled_from(LEVELS))
    def begin(self, index: int, level: str) -> None:
        writer = self.writers[index]
        if not writer.is_open:
            writer.session.begin(level)
            writer.is_open = True

    @rule(index=writers, users=few_users, views=hit_views)
    def insert(self, index: int, users: list[int], views: int) -> None:
        statement = """
            INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT unnest(%s::bigint[]), 'Sketch', %s
            RETURNING 'insert', user_id, id, 0, hit_views
            """
        self._write(index, statement, [self.users[user] for user in users], views)

    @rule(index=writers, users=few_users, views=hit_views, number=st.integers(1, 4))
    def update(self, index: int, users: list[int], views: int, number: int) -> None:
        statement = """
            UPDATE dummy_sketch AS s SET hit_views = %s
            FROM (
                SELECT id, hit_views FROM dummy_sketch WHERE user_id = ANY (%s) ORDER BY id LIMIT %s
                FOR UPDATE SKIP LOCKED
            ) AS before
            WHERE before.id = s.id RETURNING 'update', s.user_id, s.id, before.hit_views, s.hit_views
            """
        self._write(index, statement, views, [self.users[user] for user in users], number)

    @rule(index=writers, users=few_users, number=st.integers(1, 3))
    def delete(self, index: int, users: list[int], number: int) -> None:
        statement = """
            DELETE FROM dummy_sketch WHERE id IN (
                SELECT id FROM dummy_sketch WHERE user_id = ANY (%s) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
            ) RETURNING 'delete', user_id, id, hit_views, 0
            """
        self._write(index, statement, [self.users[user] for user in users], number)

    @rule(index=writers, users=few_users, stars=st.integers(0, 4))
    def visit(self, index: int, users: list[int], stars: int) -> None:
        statement = """
            INSERT INTO visits (user_id, stars) SELECT unnest(%s::bigint[]), %s RETURNING 'visit', user_id, id, 0, stars
            """
        self._write(index, statement, [self.users[user] for user in users], stars)

    @rule(index=writers)
    def savepoint(self, index: int) -> None:
        writer = self.writers[index]
        if writer.is_open:
            writer.session._execute("SAVEPOINT here", None)
            writer.savepoint = len(writer.changes)

    @rule(index=writers)
    def rollback_to_savepoint(self, index: int) -> None:
        writer = self.writers[index]
        if writer.savepoint is not None:
            writer.session._execute("ROLLBACK TO SAVEPOINT here", None)
            del writer.changes[writer.savepoint :]

    @rule(index=writers, statement=st.sampled_from(["COMMIT", "COMMIT", "ROLLBACK"]))
    def end(self, index: int, statement: str) -> None:
        writer = self.writers[index]
        if writer.is_open:
            self.committed += writer.end(statement)

    @precondition(lambda self: self.site.pending() > 0)
    @rule()
    def settle(self) -> None:
        self.site.settle()

    def teardown(self) -> None:
        try:
            for writer in self.writers:
                if writer.is_open:
                    self.committed += writer.end("COMMIT")
            self.site.settled_badges()
            held = self.site.sql("SELECT user_id, trim(code || ' ' || thing) FROM badges_badge")
            for user in self.users:
                codes = [code for holder, code in held if holder == user]
                must, may = must_and_may_hold(user, self.committed)
                assert len(codes) == len(set(codes)), "held twice"
                assert must - set(codes) == set(), "missed"
                assert set(codes) - may == set(), "never earned"
            assert self.site.failures() == []
        finally:
            # Hypothesis continues with other examples.
            for writer in self.writers:
                writer.session._execute("ROLLBACK" if writer.is_open else "SELECT", None)

    def _write(self, index: int, statement: str, *params: Any) -> None:
        writer = self.writers[index]
        try:
            rows = writer.session._execute(statement, params)
        except errors.SerializationFailure:
            assert writer.is_open
            assert writer.session.level != READ_COMMITTED
            writer.end("ROLLBACK")
            return
        changes = [Change(*row) for row in rows]
        if writer.is_open:
            writer.changes += changes
        else:
            self.committed += changes


def explore(site: Site, settings: hypothesis.settings) -> None:
    """Run as many examples as the settings say, on a site with VISITS and BADGES."""
    sessions = [site.session() for _ in range(3)]
    run_state_machine_as_test(lambda: Sessions(site, sessions), settings=settings)


@pytest.fixture
def site(migrated_database: str, django_db_blocker: Any, tmp_path: Path, settings: Any) -> Iterator[Site]:
    settings.BADGES_WAIT = 1  # as no session here ends while another waits
    name = f"{django_settings.DATABASES['default']['NAME'][:40]}_property"
    with django_db_blocker.unblock(), fresh_site(name, tmp_path, migrated_database) as made:
        made.sql(VISITS)
        made.declare(*BADGES)
        yield made


@pytest.mark.parametrize("examples", [40, pytest.param(150, marks=pytest.mark.long)])
def test_badges_are_those_of_the_oracle(site: Site, examples: int) -> None:
    """Sessions, levels, statements, savepoints and ends at random lose no badge, double none and make none up."""
    explore(
        site,
        hypothesis.settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("changes", "must", "may"),
    [
        ([], set(), set()),
        (
            [Change("insert", 1, row, new=40) for row in range(3)],
            {"collector", "seen", "owner", "famed"},
            {"collector", "seen", "owner", "famed"},
        ),
        (
            [*(Change("insert", 1, row, new=40) for row in range(3)), Change("delete", 1, 0, old=40)],
            {"owner"},
            {"collector", "seen", "tidy", "owner"},
        ),
        (
            [*(Change("insert", 1, row, new=90) for row in range(2)), Change("update", 1, 0, old=90, new=0)],
            {"loud", "owner", "famed", "bright", "gem 1"},
            {"loud", "owner", "famed", "bright", "gem 1", "seen"},
        ),
        ([Change("visit", 1, new=4)] * 3, {"visitor", "starry"}, {"visitor", "starry"}),
        ([Change("visit", 2, new=4)] * 3, set(), set()),
    ],
)
def test_oracle(changes: list[Change], must: set[str], may: set[str]) -> None:
    """The oracle itself, by a few hand-computed cases."""
    assert must_and_may_hold(1, changes) == (must, may)
