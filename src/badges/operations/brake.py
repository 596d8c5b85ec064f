"""Stops what would award a badge to many users at once, before anything is changed. Takes a connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from badges import exceptions
from badges.conf import badges_settings
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Target
from badges.operations import backfill, preview
from badges.operations.preview import Count

MIN_USERS = 20
"""A site with fewer users is never braked: three test users are soon all there are."""


def before_award(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str]
) -> None:
    """Let `awarding.award` with the same arguments go on only if it awards no badge to too many users.

    :raises Braked: it would, or that cannot be told in time.
    :raises UnknownBadge, OutOfDate, RowsHidden: as `awarding.award` does.
    """
    target = describe_target(connection)
    users = _users(connection, target)
    if users:
        _, badges = backfill.prepare(connection, definitions, source, codes)
        _check(connection, target, badges, users)


def before_install(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, *, backfill: bool
) -> None:
    """The same for `install.apply`, which itself awards nothing, and for the backfill after it.

    :raises Braked: too many users would be awarded or lose a badge, or that cannot be told in time.
    """
    chosen = [definition for definition in definitions if backfill or definition.revocable]
    if not chosen:
        return
    target = describe_target(connection)
    if not backfill:
        # Under a rule that is installed already, an installation takes nothing back that is not taken back without it.
        chosen = preview.changed(connection, chosen)
    users = _users(connection, target) if chosen else 0
    if users:
        _check(connection, target, analysis.analyse(connection, target, chosen, str(source)), users, awards=backfill)


def _users(connection: BaseDatabaseWrapper, target: Target) -> int:
    """How many users there are to compare with; 0 if nothing is to be braked."""
    if badges_settings.BADGES_BRAKE >= 1:
        return 0
    users = preview.count_users(connection, target)
    if users is None:
        users = max(MIN_USERS, backfill.estimated_users(connection, target))
    return users if users >= MIN_USERS else 0


def _check(
    connection: BaseDatabaseWrapper,
    target: Target,
    badges: Sequence[AnalysedDefinition],
    users: int,
    *,
    awards: bool = True,
) -> None:
    reasons = [
        reason
        for analysed in badges
        for reason in _reasons(preview.count(connection, target, analysed, users, only_new=True), users, awards=awards)
    ]
    if reasons:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise exceptions.Braked(
            f"Stopped before anything was changed: more than {badges_settings.BADGES_BRAKE:.0%} of the users at once "
            f"(BADGES_BRAKE).\n{lines}\n"
            "Look at it with create_badge_triggers --plan or award_badges --dry-run; if it is meant, add --yes."
        )


def _reasons(count: Count, users: int, *, awards: bool) -> Iterator[str]:
    limit = badges_settings.BADGES_BRAKE * users
    for number, what in ((count.new if awards else None, "would be awarded"), (count.losers, "would be revoked")):
        if number is not None and number > limit:
            yield f"{count.code}: {number:,} of {users:,} users, {number / users:.0%}, {what}"
    # A condition that fails awards nobody of its batch, which are all users of a smaller site.
    if count.is_out_of_time or (count.error and users > backfill.BATCH):
        yield f"{count.code}: {count.error}"
