"""Pending checks that transactions share: every interleaving of two writers and a settler ends with the right badge."""

from __future__ import annotations

import pytest
from pending_checks_model import RC, RR, SETTLER, P, Wrong, mixtures, search, writer


@pytest.mark.parametrize("condition", ["count", pytest.param("revocable", marks=pytest.mark.long)])
@pytest.mark.parametrize("write_settles", ["no", "after"])
def test_right_in_every_interleaving(condition, write_settles):
    """As it is: checks are shared, a write settles after its evaluation, also what it shares itself."""
    protocol = P(condition=condition, write_settles=write_settles, settles_shared=write_settles == "after")
    for size in (1, 2):
        for actors in mixtures(size, condition):
            for settlers in (0, 1):
                assert search(protocol, actors + [SETTLER] * settlers)


TWO = {"count": [writer(), writer(), SETTLER], "revocable": [writer(), writer(change=-1), SETTLER]}
WRONG = {
    "a look without the row lock": ({"dedupe": "plain"}, TWO),
    "ON CONFLICT DO NOTHING by user, code and subject": ({"dedupe": "insert"}, TWO),
    "a counter of generations": ({"dedupe": "generation"}, TWO),
    "the settler evaluates before it locks": ({"settler": "evaluate, lock"}, TWO),
    "a key-share lock against a lock that spares keys": ({"settler_lock": "no key update"}, TWO),
    "a deleted check counts as shared": (
        {"gone_at_rr": "ignored"},
        {"count": [writer(), writer(RR), SETTLER], "revocable": [writer(), writer(RR, -1), SETTLER]},
    ),
    "a share is remembered beyond ROLLBACK TO SAVEPOINT": (
        {"memory": "session"},
        {
            "count": [writer(writes=2, savepoint=True), writer()],
            "revocable": [writer(RR, writes=2, savepoint=True), writer(change=-1)],
        },
    ),
}


@pytest.mark.parametrize("condition", ["count", "revocable"])
@pytest.mark.parametrize("variant", WRONG)
def test_wrong_variants_are_found(condition, variant):
    """What the protocol avoids is wrong in some interleaving."""
    changes, actors = WRONG[variant]
    with pytest.raises(Wrong):
        search(P(condition=condition)._replace(**changes), actors[condition])


@pytest.mark.parametrize(("first", "second"), [(RC, RC), (RC, RR), (RR, RC), (RR, RR)])
def test_deleted_rows_do_not_share(first, second):
    """A condition that reads OLD leaves a check of its own, and no badge is lost without a settler between."""
    assert search(P(condition="old", dedupe="none"), [writer(first, 0, 1), writer(second)], initial=(0,))
