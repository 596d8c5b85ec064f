"""The writers of bench/chaos.py, which know nothing of badges, and the record of what is done to them.

Their transactions cannot deadlock with each other: rows that another transaction has locked are skipped, and users are
locked before they are deleted or get another key. So each deadlock, each lost write, and each wait for anything but a
table that the statement itself needs, is caused by badges.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

WRITER = "chaos writer"
LOCKER = "chaos locker"

READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")

STATEMENT_TIMEOUT = "20s"
"""A write that takes this long is lost, as it might wait for ever."""

REPETITIONS = 10
"""Attempts of a transaction that fails with 40001."""

FIRST_USER = 1_000_000
ALL = 6
"""How many times as many users the writers choose from now and then."""

CHILDREN = ("dummy_sketch", "chaos_post", "chaos_team", "chaos_visit")

BADGES_TABLES = ("badges_badge", "badges_pendingcheck", "badges_failure", "badges_badgeevent", "badges_badgedefinition")
TABLES = ("auth_user", "dummy_sketch", "dummy_like", "chaos_visit", "chaos_post", "chaos_team")


@dataclasses.dataclass(frozen=True)
class Step:
    """A statement of a transaction; with rows, a COPY."""

    text: str
    params: tuple[Any, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def run(self, session: psycopg.Connection[Any]) -> None:
        with session.cursor() as cursor:
            if not self.rows:
                cursor.execute(self.text, self.params or None)
                return
            with cursor.copy(self.text) as copy:
                for row in self.rows:
                    copy.write_row(row)


@dataclasses.dataclass(frozen=True)
class Transaction:
    """The plan of a writer, which it repeats if that fails with 40001."""

    level: str
    steps: tuple[Step, ...]
    end: str
    """COMMIT, ROLLBACK, PREPARE, or nothing for statements that commit by themselves."""
    births: tuple[int, ...] = ()


class Users:
    """The users that the writers choose from; only committed ones."""

    def __init__(self, young: int) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(FIRST_USER)
        self._young = young
        self._known: deque[int] = deque(maxlen=ALL * young)

    def new_id(self) -> int:
        return next(self._ids)

    def add(self, *users: int) -> None:
        with self._lock:
            self._known.extend(users)

    def remove(self, user: int) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._known.remove(user)

    def any(self, choice: random.Random, most: int = 1) -> list[int]:
        """Some users, mostly young ones, perhaps one of them twice."""
        with self._lock:
            known = list(self._known)
        young = known[-self._young :] if choice.random() < 0.9 else known
        return [choice.choice(young) for _ in range(choice.randint(1, most))]


class Faults:
    """The errors that are injected, counted by kind, and the processes that they hit."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.killed: set[int] = set()
        self.cancelled: set[int] = set()
        self.crashes = 0
        self.is_down = False
        self._lock = threading.Lock()

    def add(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] += 1

    def is_to_blame(self, error: BaseException | None, pid: int | None, crashes: int) -> bool:
        """Whether an error of a session is one that was injected; `crashes` are those before it began."""
        while error is not None and not isinstance(error, psycopg.Error):
            error = error.__cause__
        if error is None:
            return False
        if error.sqlstate == "57014":
            return pid in self.cancelled
        is_lost = error.sqlstate is None or error.sqlstate.startswith(("57P", "08"))
        return is_lost and (pid in self.killed or self.is_down or self.crashes > crashes)

    @contextlib.contextmanager
    def crash(self) -> Iterator[None]:
        """A block in which the server is down."""
        self.crashes += 1
        self.is_down = True
        yield
        # Sessions that begin in between know it by the number, the others by the state.
        self.crashes += 1
        self.is_down = False
        self.add("crashes")


@dataclasses.dataclass
class Outcome:
    """The outcome of the transactions of the writers."""

    ended: Counter[str] = dataclasses.field(default_factory=Counter)
    own: Counter[str] = dataclasses.field(default_factory=Counter)
    """Conflicts that the writers have without badges, by SQLSTATE."""
    lost: list[str] = dataclasses.field(default_factory=list)
    longest_ms: float = 0
    """The longest statement, with all that was injected."""
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, kind: str) -> None:
        with self._lock:
            self.ended[kind] += 1

    def add_own(self, state: str) -> None:
        with self._lock:
            self.own[state] += 1

    def lose(self, text: str) -> None:
        with self._lock:
            self.lost.append(text)

    def time(self, seconds: float) -> None:
        with self._lock:
            self.longest_ms = max(self.longest_ms, 1000 * seconds)

    @property
    def transactions(self) -> int:
        return sum(self.ended.values())


@dataclasses.dataclass
class Host:
    """What all threads of a round share."""

    conninfo: Callable[[str], str]
    """The way to the database, for an application of this name."""
    without: frozenset[str]
    seed: int
    most: int
    """Transactions after which the writers stop."""
    least: int
    """Transactions before which the round does not end."""
    faults: Faults
    outcome: Outcome
    users: Users
    alone: set[int] = dataclasses.field(default_factory=set)
    """The processes of writers that run a statement without BEGIN."""
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    prepared: deque[tuple[str, tuple[int, ...]]] = dataclasses.field(default_factory=deque)
    names: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def does(self, kind: str) -> bool:
        return kind not in self.without

    @property
    def is_over(self) -> bool:
        return self.stop.is_set() or self.outcome.transactions >= self.most

    def connect(self, name: str, *options: str) -> psycopg.Connection[Any] | None:
        """A session, as soon as the server takes one; None if the time is over before."""
        while not self.stop.is_set():
            try:
                return psycopg.connect(
                    self.conninfo(name), autocommit=True, options=" ".join(f"-c {option}" for option in options)
                )
            except psycopg.OperationalError:
                time.sleep(0.05)
        return None

    def pause(self, seconds: float) -> None:
        self.stop.wait(seconds)


class Writer:
    """A session that writes until the time is over."""

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self.choice = random.Random(f"{host.seed} writer {number}")
        self.session: psycopg.Connection[Any] | None = None
        self.crashes = 0
        """Those before the session began."""
        self.done: list[str] = []
        drawn = [write for write in _CHOICES if host.does("merges") or write not in MERGES]
        self.writes, self.odds = drawn, [_CHOICES[write] for write in drawn]

    def run(self) -> None:
        while not self.host.is_over:
            self.crashes = self.host.faults.crashes
            self.session = self.host.connect(WRITER, f"statement_timeout={STATEMENT_TIMEOUT}")
            if self.session is None:
                return
            with contextlib.closing(self.session):
                while not self.host.is_over and not self.session.closed:
                    self._do_something()

    def _do_something(self) -> None:
        odds = self.choice.random()
        if self.host.prepared and (odds > 0.8 or len(self.host.prepared) > 4):
            self._guard(self._end_prepared)
        elif odds < 0.03 and self.host.does("deletions"):
            self._guard(self._delete_user)
        elif odds < 0.05 and self.host.does("rekeys"):
            self._guard(self._change_key)
        else:
            self._carry_out(self._draft())

    def _guard(self, work: Callable[[], str]) -> str:
        """Do this; gives the outcome: what `work` returns, or `injected`, `repeated`, `conflict` or `lost`."""
        self.done = []
        pid = self.session.info.backend_pid
        try:
            ended = work()
        except psycopg.Error as error:
            ended = self._judge(error, pid)
            if not self.session.closed:
                with contextlib.suppress(psycopg.Error):
                    self.session.execute("ROLLBACK")
        self.host.outcome.add(ended)
        return ended

    def _judge(self, error: psycopg.Error, pid: int) -> str:
        state, constraint = error.sqlstate, error.diag.constraint_name or ""
        if self.host.faults.is_to_blame(error, pid, self.crashes):
            return "injected"
        is_above = any("REPEATABLE READ" in step or "SERIALIZABLE" in step for step in self.done[:1])
        if (state == "40001" and is_above) or (state == "23503" and not constraint.startswith("badges")):
            self.host.outcome.add_own(state)
            return "repeated" if state == "40001" else "conflict"
        steps = "; ".join(self.done)
        text = str(error).strip().partition("\n")[0]
        context = (error.diag.context or "").partition("\n")[0]
        self.host.outcome.lose(f"{state}: {text} {context}\n        after {steps}")
        return "lost"

    def _run(self, step: Step) -> None:
        self.done.append(f"{step.text} {list(step.params or step.rows)[:4] or ''}".strip())
        began, crashes = time.monotonic(), self.host.faults.crashes
        try:
            step.run(self.session)
        finally:
            if crashes == self.host.faults.crashes:
                self.host.outcome.time(time.monotonic() - began)

    def _execute(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        """A statement whose rows are wanted."""
        self.done.append(f"{text} {list(params) or ''}".strip())
        cursor = self.session.execute(text, params or None)
        return cursor.fetchall() if cursor.description else []

    # Transactions drawn by lot

    def _draft(self) -> Transaction:
        choice, steps, births = self.choice, [], []
        if choice.random() < 0.12:
            user = self.host.users.new_id()
            births.append(user)
            person = Step(
                "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
                " is_active, date_joined) VALUES (%s, %s, '', '', '', '', false, false, true, now())",
                (user, str(user)),
            )
            # Foreign keys are deferred, so a user may come after the rows.
            first = self._steps([user], 4) if self.host.does("early") and choice.random() < 0.4 else []
            steps += [*first, person, *self._steps([user], 2)]
        is_single = not steps and choice.random() < 0.2
        steps += self._steps(None, 1 if is_single else 5)
        if is_single:
            return Transaction(READ_COMMITTED, tuple(steps), "")
        if choice.random() < 0.2:
            steps.insert(choice.randint(0, len(steps)), Step("SELECT pg_sleep(%s)", (choice.uniform(0, 0.02),)))
        if choice.random() < 0.1 and self.host.does("deferred"):
            steps.insert(0, Step("SET CONSTRAINTS ALL DEFERRED"))
            steps.append(Step("SELECT pg_sleep(%s)", (choice.uniform(0, 0.05),)))
        end = choice.choices(
            ["COMMIT", "ROLLBACK", "PREPARE"], [80, 10, 10 if self.host.does("prepared") else 0]
        )[0]  # fmt: skip
        level = choice.choices(LEVELS, [60, 20, 20])[0] if self.host.does("isolation") else READ_COMMITTED
        return Transaction(level, tuple(steps), end, tuple(births))

    def _steps(self, users: list[int] | None, most: int) -> list[Step]:
        """Some writes for these users or for any; a part of them may be rolled back to a savepoint."""
        steps = [
            self.choice.choices(self.writes, self.odds)[0](self.choice, users or self.host.users.any(self.choice, 4))
            for _ in range(self.choice.randint(1, most))
        ]
        if most > 1 and self.choice.random() < 0.15:
            begin = self.choice.randint(0, len(steps))
            end = self.choice.randint(begin, len(steps))
            last = self.choice.choice(["ROLLBACK TO SAVEPOINT here", "RELEASE SAVEPOINT here"])
            steps[begin:end] = [Step("SAVEPOINT here"), *steps[begin:end], Step(last)]
        return steps

    def _carry_out(self, drafted: Transaction) -> None:
        for _ in range(REPETITIONS):
            ended = self._guard(lambda: self._once(drafted))
            if ended in ("committed", "single"):
                self.host.users.add(*drafted.births)
            if ended != "repeated" or self.session.closed or self.host.stop.is_set():
                return

    def _once(self, drafted: Transaction) -> str:
        if not drafted.end:
            pid = self.session.info.backend_pid
            self.host.alone.add(pid)
            try:
                for step in drafted.steps:
                    self._run(step)
            finally:
                self.host.alone.discard(pid)
            return "single"
        self._run(Step(f"BEGIN ISOLATION LEVEL {drafted.level}"))
        for step in drafted.steps:
            self._run(step)
        if drafted.end == "PREPARE":
            name = f"chaos_{next(self.host.names)}"
            self._run(Step(f"PREPARE TRANSACTION '{name}'"))
            self.host.prepared.append((name, drafted.births))
            return "prepared"
        self._run(Step(drafted.end))
        return "committed" if drafted.end == "COMMIT" else "rolled back"

    def _end_prepared(self) -> str:
        try:
            name, births = self.host.prepared.popleft()
        except IndexError:
            return "nothing"
        is_committed = self.choice.random() < 0.8
        self._run(Step(f"{'COMMIT' if is_committed else 'ROLLBACK'} PREPARED '{name}'"))
        if is_committed:
            self.host.users.add(*births)
        return "second phase"

    # Users who go, or change their key

    def _delete_user(self) -> str:
        """Delete a user with all rows, unless another transaction has locked one of them."""
        [user] = self.host.users.any(self.choice)
        self._execute("BEGIN")
        if not self._lock(user):
            return "nothing"
        self._execute(
            "DELETE FROM dummy_like WHERE id IN (SELECT id FROM dummy_like WHERE user_id = %s OR artist_id = %s"
            " OR sketch_id IN (SELECT id FROM dummy_sketch WHERE user_id = %s) FOR UPDATE SKIP LOCKED)",
            user, user, user,
        )  # fmt: skip
        if self._has_likes(user):
            return "nothing"
        for table in ("dummy_sketch", "chaos_post", "chaos_team"):
            self._execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE user_id = %s FOR UPDATE SKIP LOCKED)",
                user,
            )
        if self._has_rows(user):
            return "nothing"
        self._execute("DELETE FROM auth_user WHERE id = %s", user)
        self._execute("COMMIT")
        self.host.users.remove(user)
        self.host.faults.add("users deleted")
        return "committed"

    def _change_key(self) -> str:
        """Give a user another key, unless another transaction has locked one of its rows."""
        [user] = self.host.users.any(self.choice)
        new = self.host.users.new_id()
        self._execute("BEGIN")
        if not self._lock(user):
            return "nothing"
        # The key before the rows: the foreign keys of the site are deferred.
        self._execute("UPDATE auth_user SET id = %s WHERE id = %s", new, user)
        for table in CHILDREN:
            self._execute(
                f"UPDATE {table} SET user_id = %s"
                f" WHERE id IN (SELECT id FROM {table} WHERE user_id = %s FOR UPDATE SKIP LOCKED)",
                new, user,
            )  # fmt: skip
        # Both columns at once: a second update of a row would check all of its foreign keys.
        self._execute(
            "UPDATE dummy_like SET user_id = CASE user_id WHEN %s THEN %s ELSE user_id END,"
            " artist_id = CASE artist_id WHEN %s THEN %s ELSE artist_id END"
            " WHERE id IN (SELECT id FROM dummy_like WHERE %s IN (user_id, artist_id) FOR UPDATE SKIP LOCKED)",
            user, new, user, new, user,
        )  # fmt: skip
        if self._has_rows(user):
            return "nothing"
        self._execute("INSERT INTO chaos_rekey (old_id, new_id) VALUES (%s, %s)", user, new)
        self._execute("COMMIT")
        self.host.users.remove(user)
        self.host.users.add(new)
        self.host.faults.add("keys changed")
        return "committed"

    def _lock(self, user: int) -> bool:
        is_ours = bool(self._execute("SELECT id FROM auth_user WHERE id = %s FOR UPDATE SKIP LOCKED", user))
        if not is_ours:
            self._execute("ROLLBACK")
        return is_ours

    def _has_rows(self, user: int) -> bool:
        """Whether a row of the user was skipped, as another transaction has locked it; if so, roll back."""
        rows = " OR ".join(f"EXISTS (SELECT FROM {table} WHERE user_id = %s)" for table in CHILDREN[:3])
        return self._has(rows, *[user] * 3) or self._has_likes(user)

    def _has_likes(self, user: int) -> bool:
        """The same for likes, with those of the sketches of the user."""
        likes = "SELECT FROM dummy_like AS l LEFT JOIN dummy_sketch AS s ON s.id = l.sketch_id"
        return self._has(f"EXISTS ({likes} WHERE %s IN (l.user_id, l.artist_id, s.user_id))", user)

    def _has(self, condition: str, *params: Any) -> bool:
        [(is_true,)] = self._execute(f"SELECT {condition}", *params)
        if is_true:
            self._execute("ROLLBACK")
        return bool(is_true)


DRAFT = "Draft"
"""The title of sketches that may be deleted, and are never liked: deleted with their likes, they could deadlock."""

_TITLES = ("Sketch", DRAFT)

_VIEWS = (0, 5, 20, 40, 55, 60, 75, 95)


def _free(table: str) -> str:
    """Rows of some users that no other transaction has locked."""
    return f"SELECT id FROM {table} WHERE user_id = ANY (%s) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"


def _insert_sketches(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT unnest(%s::integer[]), %s, %s",
        (users, choice.choice(_TITLES), choice.choice(_VIEWS)),
    )


def _insert_one_sketch(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, %s, %s)",
        (users[0], choice.choice(_TITLES), choice.choice(_VIEWS)),
    )


def _copy_sketches(choice: random.Random, users: list[int]) -> Step:
    rows = tuple((user, DRAFT, choice.choice(_VIEWS)) for user in users * choice.choice([1, 1, 1, 10]))
    return Step("COPY dummy_sketch (user_id, title, hit_views) FROM STDIN", rows=rows)


def _update_sketches(choice: random.Random, users: list[int]) -> Step:
    return Step(
        f"UPDATE dummy_sketch SET hit_views = %s WHERE id IN ({_free('dummy_sketch')})",
        (choice.choice(_VIEWS), users, choice.randint(1, 4)),
    )


def _add_views(choice: random.Random, users: list[int]) -> Step:
    return Step(
        f"UPDATE dummy_sketch SET hit_views = hit_views + %s WHERE id IN ({_free('dummy_sketch')})",
        (choice.choice([-20, 10, 30, 60]), users, choice.randint(1, 2)),
    )


def _delete_sketches(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "DELETE FROM dummy_sketch WHERE id IN (SELECT id FROM dummy_sketch WHERE user_id = ANY (%s) AND title = %s"
        " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)",
        (users, DRAFT, choice.randint(1, 3)),
    )


def _merge_accounts(choice: random.Random, users: list[int]) -> Step:
    return Step(
        f"UPDATE dummy_sketch SET user_id = %s WHERE id IN ({_free('dummy_sketch')})",
        (users[-1], users[:1], 10),
    )


def _merge_artists(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "UPDATE dummy_like SET artist_id = %s WHERE id IN"
        " (SELECT id FROM dummy_like WHERE artist_id = %s ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED)",
        (users[-1], users[0]),
    )


def _insert_likes(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "WITH liked AS MATERIALIZED (SELECT id, user_id FROM dummy_sketch WHERE user_id = ANY (%s) AND title <> %s"
        " ORDER BY id DESC LIMIT %s FOR KEY SHARE SKIP LOCKED)"
        " INSERT INTO dummy_like (user_id, sketch_id, artist_id) SELECT %s, id, user_id FROM liked",
        (users, DRAFT, choice.randint(1, 2), users[-1]),
    )


def _delete_likes(choice: random.Random, users: list[int]) -> Step:
    return Step(f"DELETE FROM dummy_like WHERE id IN ({_free('dummy_like')})", (users, 2))


def _insert_visits(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "INSERT INTO chaos_visit (user_id, stars) SELECT unnest(%s::integer[]), %s", (users, choice.randint(0, 4))
    )


def _copy_visits(choice: random.Random, users: list[int]) -> Step:
    rows = tuple((user, choice.randint(0, 4)) for user in users * choice.choice([1, 1, 1, 5]))
    return Step("COPY chaos_visit (user_id, stars) FROM STDIN", rows=rows)


def _insert_posts(choice: random.Random, users: list[int]) -> Step:
    title = choice.choice(["gold", "silver", "silver"])
    return Step(
        "INSERT INTO chaos_post (user_id, title, score) SELECT unnest(%s::integer[]), %s, %s",
        (users, title, choice.randint(0, 9)),
    )


def _update_posts(choice: random.Random, users: list[int]) -> Step:
    return Step(
        f"UPDATE chaos_post SET title = %s WHERE id IN ({_free('chaos_post')})",
        (choice.choice(["gold", "silver"]), users, 1),
    )


def _delete_posts(choice: random.Random, users: list[int]) -> Step:
    return Step(f"DELETE FROM chaos_post WHERE id IN ({_free('chaos_post')})", (users, choice.randint(1, 3)))


def _insert_points(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "INSERT INTO chaos_team (user_id, points) SELECT unnest(%s::integer[]), %s", (users, choice.randint(1, 6))
    )


def _update_points(choice: random.Random, users: list[int]) -> Step:
    return Step(
        f"UPDATE chaos_team SET points = %s WHERE id IN ({_free('chaos_team')})", (choice.randint(0, 9), users, 2)
    )


def _delete_points(choice: random.Random, users: list[int]) -> Step:
    return Step(f"DELETE FROM chaos_team WHERE id IN ({_free('chaos_team')})", (users, 1))


def _update_users(choice: random.Random, users: list[int]) -> Step:
    return Step(
        "UPDATE auth_user SET is_active = %s, last_login = now() WHERE id IN"
        " (SELECT id FROM auth_user WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)",
        (choice.random() < 0.7, users),
    )


_CHOICES: dict[Callable[[random.Random, list[int]], Step], int] = {
    _insert_sketches: 8, _insert_one_sketch: 10, _copy_sketches: 3, _update_sketches: 8, _add_views: 6,
    _delete_sketches: 6, _merge_accounts: 2, _merge_artists: 1, _insert_likes: 8, _delete_likes: 3,
    _insert_visits: 8, _copy_visits: 3, _insert_posts: 8, _update_posts: 4, _delete_posts: 6,
    _insert_points: 5, _update_points: 4, _delete_points: 2, _update_users: 5,
}  # fmt: skip
MERGES = (_merge_accounts, _merge_artists)
