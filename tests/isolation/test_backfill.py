"""Awarding what exists beside transactions that began under other definitions."""

from __future__ import annotations

from django.db import connections

from badges import definitions
from badges.operations import backfill
from isolation.conftest import LOUD, PAIR
from isolation.harness import ALIAS


def award_pair(site) -> backfill.BackfillProgress:
    """What `award_badges pair` comes to."""
    declared = definitions.load(site.badge_file)
    *_, last = backfill.award(connections[ALIAS], declared, site.badge_file, ["pair"])
    return last


def test_writer_from_before_the_badge(site, s1, monkeypatch):
    """What a transaction wrote before the badge was declared counts once it has ended; until then it is named."""
    monkeypatch.setattr(backfill, "WRITERS_TIMEOUT", 0.2)
    site.declare(LOUD)
    [ada] = site.users(1)
    s1.begin()
    s1.insert(ada)
    s1.insert(ada)
    site.declare(PAIR, LOUD)
    progress = award_pair(site)
    assert (progress.awarded, len(progress.open_writers)) == (0, 1)
    assert f"process {s1.connection.info.backend_pid} " in progress.open_writers[0]
    s1.commit()
    progress = award_pair(site)
    assert (progress.awarded, progress.open_writers) == (1, ())
    assert site.badges() == [(ada, "pair")]
