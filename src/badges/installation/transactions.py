"""Transactions: in which order, and in how many transactions, the steps of a plan are carried out. Pure.

A transaction that held the locks of two tables could deadlock with the writers of a site, so each has one table at
most. Rules still change at one moment, on all tables: new triggers come first, each with a function that does nothing
yet; then one transaction, which locks no table, changes all definitions and functions; triggers that are no longer
needed go afterwards, when their functions do nothing any more. So the plan can be stopped and run again at any point,
and at each of them either the old rules are in force or the new ones.

A few changes that concern one table are made in one transaction. More of them would keep its writers waiting, as each
takes a millisecond or two under the lock of the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from badges.installation.types import Action, Step

#: Steps that lock no table and are carried out under the lock of one, at most.
FEW = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Transaction:
    """Steps that are carried out together."""

    steps: tuple[Step, ...]
    table: str = ""
    """The only table that it locks, as schema.table."""
    switches: bool = False
    """It is the one with which the rules change."""


def split(steps: Sequence[Step]) -> tuple[Transaction, ...]:
    """The transactions that carry out `steps`, in their order."""
    alone = (Transaction((step,), step.table) for step in steps if step.is_alone)
    return (*_of_rules([step for step in steps if not step.is_alone]), *alone)


def _of_rules(steps: Sequence[Step]) -> tuple[Transaction, ...]:
    locking = [step for step in steps if step.table]
    others = [step for step in steps if not step.table]
    if not locking or (len({step.table for step in locking}) == 1 and len(others) <= FEW):
        if not steps:
            return ()
        drops = [step for step in others if step.action is Action.DROP_FUNCTION]
        rest = [step for step in others if step.action is not Action.DROP_FUNCTION]
        # The table comes first: so nothing else is locked while it is waited for.
        before = [step for step in locking if not step.takes_away]
        after = [step for step in locking if step.takes_away]
        made = [step for step in rest if step.makes_trigger_function]
        rest = [step for step in rest if not step.makes_trigger_function]
        table = locking[0].table if locking else ""
        return (Transaction((*made, *before, *rest, *after, *drops), table, switches=True),)
    return tuple(_apart(locking, others))


def _apart(locking: Sequence[Step], others: Sequence[Step]) -> Iterator[Transaction]:
    additions = [step for step in locking if not step.takes_away]
    if additions:
        made = [step for step in others if step.makes_trigger_function]
        if made:
            yield Transaction(tuple(step.inert() if step.inert_statements else step for step in made))
        # The functions that write the history depend on no rule, and are made once.
        others = [step for step in others if not step.makes_trigger_function or step.inert_statements]
    yield from _by_table(additions)
    dropped = [step for step in others if step.action is Action.DROP_FUNCTION]
    removals = [step for step in locking if step.takes_away]
    switched = [step for step in others if step.action is not Action.DROP_FUNCTION]
    if removals:
        switched += [step.inert() for step in dropped if step.inert_statements]
        if switched:
            yield Transaction(tuple(switched), switches=True)
        yield from _by_table(removals)
        if dropped:
            yield Transaction(tuple(dropped))
    else:
        yield Transaction((*switched, *dropped), switches=True)


def _by_table(steps: Iterable[Step]) -> Iterator[Transaction]:
    tables: dict[str, list[Step]] = {}
    for step in steps:
        tables.setdefault(step.table, []).append(step)
    for table in sorted(tables):
        yield Transaction(tuple(tables[table]), table)
