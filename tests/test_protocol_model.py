"""The protocol as a model, searched exhaustively: every interleaving of some transactions and settlers for one user.

The badge requires as many rows as there are writers. A state is the content of the database and the step of each actor;
a turn of an actor is one atomic step. A writer inserts its row, tries the lock, evaluates on a snapshot, awards or
leaves a pending check, ends; a settler takes the lock, evaluates, ends. Waits are bounded in the real protocol, so here
an actor that does not get something at once proceeds without it, which has more outcomes, not fewer.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator

import pytest

READ_COMMITTED, REPEATABLE_READ = "read committed", "repeatable read"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What may be left out, to see that the search misses it."""

    takes_lock: bool = True
    leaves_checks: bool = True
    leaves_checks_above_read_committed: bool = True
    keeps_check_while_twin_is_open: bool = True


@dataclasses.dataclass(frozen=True)
class Actor:
    """A writer or a settler: where it is, and what of it others do not see yet."""

    kind: str
    level: str = READ_COMMITTED
    at: str = "begin"
    snapshot: int = 0
    """Committed rows that it saw when it last took a snapshot."""
    held: bool = False
    """Whether the badge was committed then."""
    row: bool = False
    award: bool = False
    left: int = 0
    """Pending checks that it has left, or, for a settler, taken."""
    locks: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    rows: int
    badges: int
    pending: int
    actors: tuple[Actor, ...]


class LostBadgeError(Exception):
    """The condition held, all has ended and was settled, and the badge is missing."""


def search(protocol: Protocol, *actors: Actor) -> int:
    """Try everything that can happen; gives the number of states.

    :raises LostBadgeError: some order of steps loses the badge.
    """
    writers = sum(actor.kind == "writer" for actor in actors)
    # So many rows, from 1 up, are needed; with fewer than there are writers, some may abort.
    reached = 0
    for needed in range(1, writers + 1):
        start = State(0, 0, 0, actors)
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            followers = list(steps(protocol, state, needed))
            if not followers:
                check(protocol, state, needed)
            fresh = set(followers) - seen
            seen |= fresh
            waiting.extend(fresh)
        reached += len(seen)
    return reached


def check(protocol: Protocol, state: State, needed: int) -> None:
    """After all have ended, a last settler, alone, leaves the badge with the user who earned it, once."""
    assert all(actor.at == "end" for actor in state.actors)
    assert state.badges <= 1
    is_held = state.badges == 1 or (state.pending > 0 and state.rows >= needed)
    if is_held != (state.rows >= needed):
        raise LostBadgeError(state)


def steps(protocol: Protocol, state: State, needed: int) -> Iterator[State]:
    for index, actor in enumerate(state.actors):
        if actor.at == "end":
            continue
        others = state.actors[:index] + state.actors[index + 1 :]
        moves = write(protocol, state, actor, others, needed)
        if actor.kind == "settler":
            moves = settle(protocol, state, actor, others, needed)
        for moved, changes in moves:
            # Actors of one kind are interchangeable.
            everyone = tuple(sorted((*others, moved), key=repr))
            yield dataclasses.replace(state, actors=everyone, **changes)


def write(
    protocol: Protocol, state: State, writer: Actor, others: tuple[Actor, ...], needed: int
) -> Iterator[tuple[Actor, dict[str, int]]]:
    to = dataclasses.replace
    sees = {"snapshot": state.rows, "held": state.badges > 0}
    if writer.at == "begin":
        yield to(writer, at="insert", **sees), {}
    elif writer.at == "insert":
        yield to(writer, at="lock", row=True), {}
    elif writer.at == "lock":
        # A statement of its own: the snapshot of the evaluation is a later step.
        is_free = protocol.takes_lock and not any(other.locks for other in others)
        yield to(writer, at="snapshot", locks=writer.locks or is_free), {}
    elif writer.at == "snapshot":
        yield to(writer, at="evaluate", **(sees if writer.level == READ_COMMITTED else {})), {}
    elif writer.at == "evaluate":
        is_protected = writer.locks or not protocol.takes_lock
        if writer.level == REPEATABLE_READ:
            is_protected = not protocol.leaves_checks_above_read_committed
        if writer.held:
            yield to(writer, at="last"), {}
        elif writer.snapshot + writer.row < needed:
            left = protocol.leaves_checks and not is_protected
            yield to(writer, at="last", left=writer.left + left), {}
        elif any(other.award for other in others):
            yield to(writer, at="last", left=writer.left + protocol.leaves_checks), {}
        else:
            yield to(writer, at="last", award=not state.badges), {}
    elif writer.at == "last":
        yield (
            Actor("writer", writer.level, "end"),
            {
                "rows": state.rows + writer.row,
                "badges": state.badges + writer.award,
                "pending": state.pending + writer.left,
            },
        )
    if writer.row:
        yield Actor("writer", writer.level, "end"), {}


def settle(
    protocol: Protocol, state: State, settler: Actor, others: tuple[Actor, ...], needed: int
) -> Iterator[tuple[Actor, dict[str, int]]]:
    to = dataclasses.replace
    if settler.at == "begin":
        # FOR UPDATE SKIP LOCKED: it takes one that no other settler has, and counts it out until it ends.
        if state.pending:
            yield to(settler, at="lock", left=1), {"pending": state.pending - 1}
        yield to(settler, at="end"), {}
    elif settler.at == "lock":
        is_free = not any(other.locks for other in others)
        if is_free or not protocol.takes_lock:
            yield to(settler, at="snapshot", locks=protocol.takes_lock), {}
        else:
            yield Actor("settler", at="end"), {"pending": state.pending + settler.left}
    elif settler.at == "snapshot":
        yield to(settler, at="evaluate", snapshot=state.rows, held=state.badges > 0), {}
    elif settler.at == "evaluate":
        is_earned = settler.snapshot >= needed and not settler.held
        if is_earned and any(other.award for other in others):
            kept = protocol.keeps_check_while_twin_is_open
            yield Actor("settler", at="end"), {"pending": state.pending + (settler.left if kept else 0)}
        else:
            yield to(settler, at="last", award=is_earned and not state.badges), {}
    elif settler.at == "last":
        yield Actor("settler", at="end"), {"badges": state.badges + settler.award}
    if settler.left:
        yield Actor("settler", at="end"), {"pending": state.pending + settler.left}


def writer(level: str = READ_COMMITTED) -> Actor:
    return Actor("writer", level)


SETTLER = Actor("settler")

MIXTURES = [
    levels
    for number in (1, 2, 3)
    for levels in itertools.combinations_with_replacement((READ_COMMITTED, REPEATABLE_READ), number)
]


@pytest.mark.parametrize("settlers", [0, 1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("levels", MIXTURES, ids=", ".join)
def test_no_interleaving_loses_a_badge(levels, settlers):
    """In any order of commits and aborts, the badge is held at the end if and only if the rows exist, and once."""
    assert search(Protocol(), *map(writer, levels), *[SETTLER] * settlers) > 5


@pytest.mark.skipif(os.environ.get("BADGES_MODEL") != "large", reason="takes minutes: BADGES_MODEL=large runs it")
def test_four_writers():
    """The same for four of them."""
    search(Protocol(), *[writer()] * 4, SETTLER, SETTLER)


@pytest.mark.parametrize(
    ("omission", "actors"),
    [
        ("takes_lock", [writer()] * 2),
        ("leaves_checks", [writer()] * 2),
        ("leaves_checks_above_read_committed", [writer(REPEATABLE_READ)] * 2),
        ("leaves_checks_above_read_committed", [writer(), writer(REPEATABLE_READ)]),
        ("keeps_check_while_twin_is_open", [writer()] * 3 + [SETTLER]),
    ],
)
def test_what_is_left_out_is_missed(omission, actors):
    """Without any one part of the protocol, the search finds a badge that is lost."""
    with pytest.raises(LostBadgeError):
        search(dataclasses.replace(Protocol(), **{omission: False}), *actors)
