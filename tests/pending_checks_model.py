"""Pending checks that are shared instead of repeated, as a model that is searched through: every interleaving.

One user, one badge. Single pending checks are modelled, with the row locks on them, as PostgreSQL has it: FOR SHARE and
FOR UPDATE SKIP LOCKED, a locker that aborts, a row whose deletion is not committed, one deleted after the snapshot (skipped
at READ COMMITTED, an error at REPEATABLE READ), rows that a snapshot does not show. A step is what no transaction sees half of; a
statement that visits several rows takes a step for each. A transaction that does not get something proceeds without it.
"""
# A state is a tuple of numbers and each step an expression over it: dense, as the search makes millions of them.
# ruff: noqa
# fmt: off

from __future__ import annotations

import itertools
from collections import namedtuple

RC, RR = 0, 1
HALF = 8  # ids 0-7: checks of an ordinary row; 8-15: of a "gold" row, whose values only its own checks carry
MASK = {0: (1 << HALF) - 1, 1: ((1 << HALF) - 1) << HALF}

P = namedtuple("P", "condition dedupe settler settler_lock gone_at_rr memory settles_shared write_settles", defaults=(
    "count",          # count | revocable | old (the changed row must be gold, and is gone afterwards)
    "share",          # none | own | share | plain | insert | generation
    "lock, evaluate",  # or "evaluate, lock"
    "update",         # or "no key update"
    "own check",      # or "ignored": what a REPEATABLE READ writer does when the row that it wants to share is deleted
    "transactional",  # or "session": remembering "I have left or shared one" survives ROLLBACK TO SAVEPOINT
    False,            # whether a transaction settles what it shares itself
    "no",             # no | after (settles checks, in a snapshot of its own) | free (locks before it evaluates) | free, late
))

A = namedtuple("A", "kind level change gold todo savepoint at s_rows s_held s_live mask rows badge lock shares left upd dele"
                    " saved needs keep knows gen")
S = namedtuple("S", "rows held live gold gen actors")
SAVED = ("rows", "badge", "lock", "shares", "left", "upd", "dele")


def writer(level=RC, change=1, gold=0, writes=1, savepoint=False):
    return A("w", level, change, gold, writes - 1, savepoint, "begin", 0, 0, 0, 0, 0, 0, False, 0, 0, 0, 0, None, False, False, False, 0)


SETTLER = A("s", RC, 0, 0, 0, False, "begin", 0, 0, 0, 0, 0, 0, False, 0, 0, 0, 0, None, False, False, False, 0)


class Wrong(Exception):
    pass


def ended(a):
    return A(a.kind, a.level, a.change, a.gold, 0, False, "end", 0, 0, 0, 0, 0, 0, False, 0, 0, 0, 0, None, False, False, False, 0)


def fresh(st, gold):
    used = st.live
    for a in st.actors:
        used |= a.left | a.s_live | a.mask | a.upd | a.dele | a.shares
        if a.saved:
            used |= a.saved[3] | a.saved[4] | a.saved[5] | a.saved[6]
    for n in range(HALF * gold, HALF * gold + HALF):
        if not used >> n & 1:
            return 1 << n
    raise AssertionError("too few ids")


def bits(mask):
    while mask:
        low = mask & -mask
        yield low
        mask ^= low


def moves(p, st, a, others, needed):
    """Yields (actor, changes of the state); an actor that yields nothing waits."""
    r = a._replace
    at = a.at
    if at == "begin":
        if a.kind == "s":
            yield ended(a), {}
            if st.live:
                yield r(at="bucket" if p.settler == "evaluate, lock" else "look"), {}
            return
        snap = dict(s_rows=st.rows, s_held=st.held, s_live=st.live) if a.level == RR else {}
        # A writer with savepoints has one from its first write on.
        saved = (0, 0, False, 0, 0, 0, 0) if a.savepoint else None
        yield r(at="lock", rows=a.change, saved=saved, **snap), {}
        return
    if a.kind == "w" and at in W:
        yield from W[at](p, st, a, others, needed)
    elif at in SETTLE:
        yield from SETTLE[at](p, st, a, others, needed)
    elif at == "last":
        if a.todo:
            saved = tuple(getattr(a, f) for f in SAVED) if a.savepoint else None
            yield r(at="lock", todo=a.todo - 1, rows=a.rows + a.change, saved=saved, needs=False, keep=False), {}
        else:
            yield ended(a), dict(
                rows=st.rows + a.rows, held=a.badge > 0 or (st.held and a.badge == 0), live=(st.live & ~a.dele) | a.left,
                gold=st.gold or (bool(a.gold) and a.kind == "w"))
    if a.saved is not None:
        knows = a.knows if p.memory == "session" else False
        yield r(at="last", saved=None, mask=0, needs=False, keep=False, knows=knows, **dict(zip(SAVED, a.saved))), {}
    yield ended(a), {}  # abort


def w_lock(p, st, a, others, needed):
    lock = a.lock or not any(o.lock for o in others)
    ok = lock and a.level == RC
    yield a._replace(lock=lock, at="free look" if ok and p.write_settles == "free" else "evaluate"), {}


def w_free_look(p, st, a, others, needed):
    yield a._replace(at="free lock", mask=st.live & ~a.left & (-1 if p.settles_shared else ~a.shares)), {}


def w_free_lock(p, st, a, others, needed):
    if not a.mask:
        yield a._replace(at="evaluate"), {}
    for b in bits(a.mask):
        got = can_update(p, st, b, others)
        yield a._replace(mask=a.mask & ~b, upd=a.upd | (b if got else 0)), {}


def can_update(p, st, b, others):
    if not st.live & b or any((o.upd | o.dele) & b for o in others):
        return False
    return p.settler_lock == "no key update" or not any(o.shares & b for o in others)


def holds(a, held):
    return a.badge > 0 or (held and a.badge == 0)


def finish(p, st, a):
    ok = a.level == RC and a.lock
    if ok and p.write_settles == "after":
        return a._replace(at="look", mask=0)
    if ok and p.write_settles == "free":
        return a._replace(at="last", dele=a.dele | (0 if a.keep else a.upd))
    if ok and p.write_settles == "free, late":
        return a._replace(at="late look", mask=0)
    return a._replace(at="last", mask=0)


def w_evaluate(p, st, a, others, needed):
    if a.level == RC:
        a = a._replace(s_rows=st.rows, s_held=st.held)
    held = holds(a, a.s_held)
    earned = a.s_rows + a.rows >= needed and (p.condition != "old" or a.gold)
    safe = a.lock and a.level == RC
    a = a._replace(s_rows=a.s_rows if a.level == RR else 0, s_held=a.s_held if a.level == RR else 0)
    if p.condition == "revocable":
        needs = not safe
        if earned and not held:
            yield a._replace(at="award", needs=needs), {}
        elif not earned and held and safe:
            yield a._replace(at="revoke", needs=needs), {}
        else:
            yield (a._replace(at="dedupe") if needs else finish(p, st, a)), {}
    elif held:
        yield finish(p, st, a), {}
    elif earned:
        yield a._replace(at="award"), {}
    elif not safe or (p.condition == "old" and a.gold):
        yield a._replace(at="dedupe"), {}
    else:
        yield finish(p, st, a), {}


def w_award(p, st, a, others, needed):
    want = 1 if a.at == "award" else -1
    needs = a.needs
    if any(o.badge for o in others):
        needs, a = True, a._replace(keep=True)
    elif want > 0:
        a = a._replace(badge=0 if a.badge < 0 else (0 if st.held and a.badge == 0 else 1))
    else:
        a = a._replace(badge=0 if a.badge > 0 else (-1 if st.held else a.badge))
    yield (a._replace(at="dedupe") if needs else finish(p, st, a)), {}


def w_dedupe(p, st, a, others, needed):
    own = a.left & MASK[a.gold]
    visible = (st.live if a.level == RC else a.s_live) & MASK[a.gold]
    new = lambda x: finish(p, st, x._replace(left=x.left | fresh(st, a.gold), knows=True))
    if p.dedupe == "none":
        yield new(a), {}
    elif own or (p.memory == "session" and a.knows):
        yield finish(p, st, a), {}
    elif p.dedupe == "own":
        yield new(a), {}
    elif p.dedupe == "plain":
        yield (finish(p, st, a) if visible else new(a)), {}
    elif p.dedupe == "generation":
        gen = min(st.gen + 1, 9)
        yield (finish(p, st, a) if visible else new(a)), dict(gen=gen)
    elif p.dedupe == "insert":
        twins = MASK[a.gold]
        if any((o.left | o.dele) & twins for o in others):
            STATS["blocked"] += 1
        elif st.live & twins:
            if a.level == RR and not st.live & twins & a.s_live:
                STATS["errors"] += 1
                yield ended(a), {}
            else:
                yield finish(p, st, a), {}
        else:
            yield new(a), {}
    else:
        yield a._replace(at="share", mask=visible), {}


def w_share(p, st, a, others, needed):
    new = lambda x: finish(p, st, x._replace(left=x.left | fresh(st, a.gold), knows=True))
    if not a.mask:
        yield new(a), {}
    for b in bits(a.mask):
        if not st.live & b:
            if a.level == RC:
                yield a._replace(mask=a.mask & ~b), {}
            else:
                STATS["errors"] += 1  # could not serialize access: caught
                yield (finish(p, st, a._replace(mask=0)) if p.gone_at_rr == "ignored" else new(a._replace(mask=0))), {}
        elif a.dele & b:
            yield a._replace(mask=a.mask & ~b), {}  # not visible: it has deleted it itself
        elif any((o.upd | o.dele) & b for o in others):
            yield a._replace(mask=a.mask & ~b), {}
        else:
            STATS["shared"] += 1
            yield finish(p, st, a._replace(mask=0, shares=a.shares | b, knows=True)), {}


def w_late_look(p, st, a, others, needed):
    gone = sum(b for b in bits(st.live & ~a.left) if can_update(p, st, b, others))
    yield a._replace(at="last", upd=a.upd | gone, dele=a.dele | (0 if a.keep else gone)), {}


W = {"lock": w_lock, "free look": w_free_look, "free lock": w_free_lock, "evaluate": w_evaluate, "award": w_award,
     "revoke": w_award, "dedupe": w_dedupe, "share": w_share, "late look": w_late_look}


def s_look(p, st, a, others, needed):
    mask = st.live & ~a.left & ~a.dele & (-1 if p.settles_shared else ~a.shares)
    yield a._replace(at="row lock", mask=mask), {}


def s_row_lock(p, st, a, others, needed):
    # LIMIT: it may stop anywhere.
    if p.settler == "evaluate, lock":
        nxt = "act" if a.upd & ~a.dele else "last"
    else:
        nxt = "bucket" if a.upd & ~a.dele else "last"
    yield a._replace(at=nxt, mask=0), {}
    for b in bits(a.mask):
        got = can_update(p, st, b, others)
        yield a._replace(mask=a.mask & ~b, upd=a.upd | (b if got else 0)), {}


def s_bucket(p, st, a, others, needed):
    if a.lock or not any(o.lock for o in others):
        yield a._replace(at="evaluate", lock=True), {}
    else:
        yield a._replace(at="last"), {}


def s_evaluate(p, st, a, others, needed):
    nxt = "look" if p.settler == "evaluate, lock" else "act"
    yield a._replace(at=nxt, s_rows=st.rows, s_held=st.held, gen=st.gen), {}


def s_act(p, st, a, others, needed):
    held = holds(a, a.s_held)
    enough = a.s_rows + a.rows >= needed
    earned = enough and (p.condition != "old" or bool(a.upd & ~a.dele & MASK[1]))
    want = 1 if earned and not held else -1 if p.condition == "revocable" and not earned and held else 0
    if want and any(o.badge for o in others):
        yield a._replace(at="last", s_rows=0, s_held=0), {}
        return
    if want > 0:
        a = a._replace(badge=0 if a.badge < 0 else (0 if st.held and a.badge == 0 else 1))
    elif want < 0:
        a = a._replace(badge=0 if a.badge > 0 else (-1 if st.held else a.badge))
    yield a._replace(at="delete", s_rows=0, s_held=0), {}


def s_delete(p, st, a, others, needed):
    if p.settler_lock == "no key update" and any(o.shares & a.upd for o in others):
        return  # DELETE waits for who shares it
    if p.dedupe == "generation" and st.gen != a.gen:
        yield a._replace(at="last"), {}
        return
    yield a._replace(at="last", dele=a.dele | a.upd, gen=0), {}


SETTLE = {"look": s_look, "row lock": s_row_lock, "bucket": s_bucket, "evaluate": s_evaluate, "act": s_act,
          "delete": s_delete}


def check(p, st, needed):
    enough = st.rows >= needed
    if p.condition == "revocable":
        good = bool(st.live) or st.held == enough
    elif p.condition == "old":
        good = not (enough and st.gold) or st.held or bool(st.live & MASK[1])
    else:
        good = (st.held or (bool(st.live) and enough)) == enough
    if not good:
        raise Wrong(st, needed)


STATS = dict(blocked=0, errors=0, shared=0, most=0)


def search(p, actors, initial=(0, 1), start=None):
    """The number of states, for each number of rows that may be asked for, with and without a check that is there before."""
    start = (2 if p.condition == "revocable" else 0) if start is None else start
    up = sum(a.change * (a.todo + 1) for a in actors if a.change > 0)
    reached = 0
    for first, needed in itertools.product(initial, range(1, start + up + 1)):
        for before in ((1, 1 << HALF) if p.condition == "old" and first else (first,)):
            # A gold check from before stands for a gold row from before.
            begin = S(start, p.condition == "revocable" and needed <= start, before, before == 1 << HALF, 0,
                      tuple(sorted(actors, key=repr)))
            seen, waiting, parent = {begin}, [begin], {begin: None}
            while waiting:
                st = waiting.pop()
                moved = False
                for i, a in enumerate(st.actors):
                    if a.at == "end":
                        continue
                    others = st.actors[:i] + st.actors[i + 1:]
                    for b, changes in moves(p, st, a, others, needed):
                        moved = True
                        nxt = st._replace(actors=tuple(sorted((*others, b), key=KEY)), **changes)
                        if nxt not in seen:
                            seen.add(nxt)
                            parent[nxt] = st
                            waiting.append(nxt)
                if not moved:
                    assert all(a.at == "end" for a in st.actors), ("stuck", st)
                    STATS["most"] = max(STATS["most"], bin(st.live).count("1"))
                    try:
                        check(p, st, needed)
                    except Wrong as error:
                        path = []
                        while st is not None:
                            path.append(st)
                            st = parent[st]
                        error.path = path[::-1]
                        raise
            reached += len(seen)
    return reached


def KEY(a):
    return tuple((-1,) if x is None else x if isinstance(x, tuple) else (x,) if not isinstance(x, str) else (0, x) for x in a)


def mixtures(number, condition, levels=(RC, RR)):
    changes = (1, -1) if condition == "revocable" else (1,)
    one = [writer(level, change) for level in levels for change in changes]
    for actors in itertools.combinations_with_replacement(one, number):
        if sum(a.change < 0 for a in actors) <= 2:
            yield list(actors)
