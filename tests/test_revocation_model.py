"""The protocol for revocable badges, as a model that is searched exhaustively; see test_protocol_model.py.

Writers add or remove a row; the badge requires a number of rows, and must be held at the end if and only if there are
as many. A writer that does not have the lock, or does not see rows that were committed since it began, leaves a pending
check whatever the result of its evaluation.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import pytest

READ_COMMITTED, REPEATABLE_READ = "read committed", "repeatable read"
START = 2
"""Rows that are there from the beginning."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What may be left out, to see that the search misses it."""

    takes_lock: bool = True
    leaves_check_for_what_is_earned: bool = True
    takes_back_under_the_lock_alone: bool = True
    leaves_checks_above_read_committed: bool = True


@dataclasses.dataclass(frozen=True)
class Actor:
    """A writer or a settler: where it is, and what of it others do not see yet."""

    change: int
    """What it does to the number of rows; 0 for a settler."""
    level: str = READ_COMMITTED
    at: str = "begin"
    snapshot: int = 0
    is_held: bool = False
    has_written: bool = False
    badge: int = 0
    """1 for an award, -1 for a revocation."""
    checks: int = 0
    locks: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    rows: int
    is_held: bool
    pending: int
    actors: tuple[Actor, ...]


class WrongBadgeError(Exception):
    """All has ended and was settled, and the badge is held or not against the rows."""


def search(protocol: Protocol, *actors: Actor) -> int:
    """Try everything that can happen, for each number of rows that may be asked for; gives the number of states.

    :raises WrongBadgeError: some order of steps ends with the wrong badge.
    """
    reached = 0
    for needed in range(1, START + len(actors) + 1):
        start = State(START, needed <= START, 0, actors)
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            followers = list(steps(protocol, state, needed))
            # What is pending at the end is settled by a last settler, alone, and then as the rows say.
            if not followers and not state.pending and state.is_held != (state.rows >= needed):
                raise WrongBadgeError(state, needed)
            fresh = set(followers) - seen
            seen |= fresh
            waiting.extend(fresh)
        reached += len(seen)
    return reached


def steps(protocol: Protocol, state: State, needed: int) -> Iterator[State]:
    for index, actor in enumerate(state.actors):
        if actor.at == "end":
            continue
        others = state.actors[:index] + state.actors[index + 1 :]
        for moved, changes in moves(protocol, state, actor, others, needed):
            everyone = tuple(sorted((*others, moved), key=repr))
            yield dataclasses.replace(state, actors=everyone, **changes)


def moves(
    protocol: Protocol, state: State, actor: Actor, others: tuple[Actor, ...], needed: int
) -> Iterator[tuple[Actor, dict[str, object]]]:
    to = dataclasses.replace
    sees = {"snapshot": state.rows, "is_held": state.is_held}
    is_writer = actor.change != 0
    if actor.at == "begin":
        if is_writer:
            yield to(actor, at="write", **sees), {}
        else:
            yield to(actor, at="end"), {}
            if state.pending:
                yield to(actor, at="lock", checks=1), {"pending": state.pending - 1}
    elif actor.at == "write":
        yield to(actor, at="lock", has_written=True), {}
    elif actor.at == "lock":
        is_free = protocol.takes_lock and not any(other.locks for other in others)
        if is_writer or is_free:
            yield to(actor, at="snapshot", locks=is_free), {}
        else:
            yield ended(actor), {"pending": state.pending + actor.checks}
    elif actor.at == "snapshot":
        yield to(actor, at="evaluate", **(sees if actor.level == READ_COMMITTED else {})), {}
    elif actor.at == "evaluate":
        yield evaluate(protocol, actor, others, needed), {}
    elif actor.at == "last":
        is_held = actor.badge > 0 or (state.is_held and actor.badge == 0)
        rows = state.rows + (actor.change if actor.has_written else 0)
        # A settler's check is gone if it looked, and comes back if it kept it.
        yield ended(actor), {"rows": rows, "is_held": is_held, "pending": state.pending + actor.checks}
    if actor.has_written or (not is_writer and actor.checks and actor.at != "lock"):
        # It aborts: what a settler had taken comes back.
        yield ended(actor), {"pending": state.pending + (0 if is_writer else 1)}


def evaluate(protocol: Protocol, actor: Actor, others: tuple[Actor, ...], needed: int) -> Actor:
    is_writer = actor.change != 0
    is_protected = actor.locks and (actor.level == READ_COMMITTED or not protocol.leaves_checks_above_read_committed)
    is_protected = is_protected or not protocol.takes_lock
    is_earned = actor.snapshot + (actor.change if is_writer else 0) >= needed
    # Another transaction, not yet ended, has the same badge in hand.
    is_in_hand = any(other.badge for other in others)
    badge, checks = 0, 0
    if is_earned and not actor.is_held:
        badge = 0 if is_in_hand else 1
        checks = int(is_in_hand)
    elif not is_earned and actor.is_held and (is_protected or not protocol.takes_back_under_the_lock_alone):
        badge = 0 if is_in_hand else -1
        checks = int(is_in_hand)
    if is_writer and not is_protected and (protocol.leaves_check_for_what_is_earned or not is_earned):
        checks = 1
    return dataclasses.replace(actor, at="last", badge=badge, checks=checks)


def ended(actor: Actor) -> Actor:
    return Actor(actor.change, actor.level, "end")


def adder(level: str = READ_COMMITTED) -> Actor:
    return Actor(1, level)


def remover(level: str = READ_COMMITTED) -> Actor:
    return Actor(-1, level)


SETTLER = Actor(0)

MIXTURES = [
    actors
    for number in (1, 2, 3)
    for actors in itertools.combinations_with_replacement(
        (adder(), remover(), adder(REPEATABLE_READ), remover(REPEATABLE_READ)), number
    )
    # Two rows are there to be taken away.
    if sum(actor.change < 0 for actor in actors) <= START
]


@pytest.mark.parametrize("settlers", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("actors", MIXTURES, ids=lambda actors: " ".join(f"{a.change:+d}{a.level[:4]}" for a in actors))
def test_no_interleaving_ends_with_the_wrong_badge(actors, settlers):
    """In any order of commits and aborts, the badge is held at the end if and only if the rows exist."""
    assert search(Protocol(), *actors, *[SETTLER] * settlers) > 5


@pytest.mark.parametrize(
    ("omission", "actors"),
    [
        ("takes_lock", [adder(), remover()]),
        ("leaves_check_for_what_is_earned", [adder(), remover()]),
        ("leaves_checks_above_read_committed", [adder(REPEATABLE_READ), remover(REPEATABLE_READ)]),
    ],
)
def test_what_is_left_out_is_missed(omission, actors):
    """Without any one part of the protocol, the search finds a wrong badge."""
    with pytest.raises(WrongBadgeError):
        search(dataclasses.replace(Protocol(), **{omission: False}), *actors)


def test_taking_back_without_the_lock_is_settled():
    """A revocation without the lock would be settled as well; it is not done, as the badge would oscillate."""
    assert search(Protocol(takes_back_under_the_lock_alone=False), adder(), remover()) > 5
