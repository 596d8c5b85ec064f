"""Stops what would award a badge to many users at once, before anything is changed. Takes a connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from badges import exceptions
from badges.conf import badges_settings
from badges.database import in_transaction
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Target
from badges.operations import backfill, preview
from badges.operations.preview import Count

MIN_USERS = 20
"""A site with fewer users is never braked: three test users are soon all there are."""


@in_transaction
def before_award(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str]
) -> None:
    """Stop before a `backfill.award` with the same arguments that would award a badge to too many users.

    :raises Braked: it would, or its users cannot be counted in time.
    :raises UnknownBadge, OutOfDate, RowsHidden: as `backfill.award` does.
    """
    target = describe_target(connection)
    users = _users(connection, target)
    if users:
        _, badges = backfill.prepare(connection, definitions, source, codes)
        _check(connection, target, badges, users)


@in_transaction
def before_install(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, *, backfill: bool
) -> None:
    """The same for `executor.apply`, which itself awards nothing, and for the backfill after it.

    :raises Braked: too many users would be awarded or lose a badge, or they cannot be counted in time.
    """
    chosen = [definition for definition in definitions if backfill or definition.revocable]
    if not chosen:
        return
    target = describe_target(connection)
    if not backfill:
        # An installation revokes nothing by itself; a rule that is installed already revokes the same without it.
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
        for reason in _reasons(
            preview.count(connection, target, analysed, users, only_new=True),
            users,
            awards=awards,
        )
    ]
    if reasons:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise exceptions.Braked(
            "Stopped before anything was changed: a badge may be awarded to, or revoked from, at most "
            f"{badges_settings.BADGES_BRAKE:.0%} of the users at once (BADGES_BRAKE).\n{lines}\n"
            "Preview it with create_badge_triggers --plan or award_badges --dry-run, without a limit "
            "of time with --count; pass --yes to proceed."
        )


def _reasons(count: Count, users: int, *, awards: bool) -> Iterator[str]:
    """Why to stop."""
    limit = badges_settings.BADGES_BRAKE * users
    for number, what in ((count.new if awards else None, "would be awarded"), (count.losers, "would be revoked")):
        if number is not None and number > limit:
            yield f"{count.code}: {number:,} of {users:,} users, {number / users:.0%}, {what}"
    if count.is_out_of_time and count.sampled:
        for about, most, what in (
            (count.estimated, count.at_most if awards else None, "would be awarded"),
            (count.losers_estimated, count.losers_at_most, "would be revoked"),
        ):
            if most is not None and most > limit:
                share = f"about {about:,} of {users:,} users, up to {most / users:.0%}"
                yield f"{count.code}: {share}, {what}: an estimate from {count.sampled:,} users"
        return
    # A condition that fails awards no user of its batch, and a smaller site has a single batch.
    if count.is_out_of_time or (count.error and users > backfill.BATCH):
        yield f"{count.code}: {count.error}"
