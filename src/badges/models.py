"""The tables: badges that users hold, their history, the definitions, and the queues of checks and deliveries."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.functions import RandomUUID
from django.core import serializers
from django.db import DatabaseError, ProgrammingError, connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Collate, Now
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from badges import arguments, exceptions, progress
from badges.conf import related_name
from badges.database import calling, fetch, fetch_file, template
from badges.definitions.types import CODE_MAX_LENGTH, GOAL_DECIMAL_PLACES, GOAL_MAX_DIGITS
from badges.fields import (
    CurrentTransaction,
    DefinitionField,
    HolderField,
    ShownName,
    active_languages,
    from_the_queue,
    with_the_user,
)
from badges.progress import Progress

__all__ = ["Badge", "BadgeDefinition", "BadgeEvent", "Delivery", "Failure", "PendingCheck"]


_MISSING: Any = object()


class BadgeDefinition(models.Model):
    """A badge as the badge file declares it; written by `create_badge_triggers`, in the transaction of the triggers.

    The table is not managed, as its rows belong to the installed triggers: `manage.py flush` empties managed tables,
    and the triggers would then award badges without a definition.
    """

    code = models.CharField(_("code"), primary_key=True, max_length=CODE_MAX_LENGTH)
    name = models.TextField(_("name"))
    description = models.TextField(_("description"), blank=True, default="")
    category = models.TextField(_("category"), blank=True, default="")
    image = models.TextField(_("image"), blank=True, default="")
    points = models.IntegerField(_("points"), default=0)
    position = models.IntegerField(_("position"), default=0)
    secret = models.BooleanField(_("secret"), default=False)
    condition = models.TextField(_("condition"), blank=True, default="")
    trigger_condition = models.JSONField(_("trigger condition"), default=list)
    trigger_table = models.TextField(_("trigger table"), blank=True, default="")
    user_field = models.TextField(_("user field"), blank=True, default="")
    translations = models.JSONField(_("translations"), blank=True, default=dict)
    progress = models.TextField(_("progress"), blank=True, default="")
    goal = models.DecimalField(
        _("goal"), null=True, blank=True, max_digits=GOAL_MAX_DIGITS, decimal_places=GOAL_DECIMAL_PLACES
    )
    triggers = models.JSONField(
        _("triggers"), blank=True, default=list, help_text=_("Tables watched in addition to the trigger table.")
    )
    per = models.TextField(_("per"), blank=True, default="")
    revocable = models.BooleanField(_("revocable"), default=False)
    active = models.BooleanField(_("active"), default=True)
    expires_after = models.TextField(_("expires after"), blank=True, default="")
    time_zone = models.TextField(_("time zone"), blank=True, default="", db_default="")
    rule = models.TextField(
        _("rule"),
        blank=True,
        default="",
        help_text=_("Version of the rule: a digest of the keys that decide the badge."),
    )
    retired_at = models.DateTimeField(
        _("retired at"), null=True, blank=True, help_text=_("When the badge was removed from the badge file.")
    )

    class Meta:
        managed = False
        verbose_name = _("badge definition")
        verbose_name_plural = _("badge definitions")
        ordering = ("position", "goal", "code")

    def __str__(self) -> str:
        return self.shown_name

    @property
    def shown_name(self) -> str:
        """The name in the active language."""
        return self._shown("name")

    @property
    def shown_description(self) -> str:
        """The description in the active language."""
        return self._shown("description")

    def _shown(self, field: str) -> str:
        texts = (self.translations.get(language, {}).get(field) for language in active_languages())
        return str(next((text for text in texts if text), getattr(self, field)))


class PendingCheck(models.Model):
    """A badge to be checked again, as a concurrent transaction was changing rows that its condition reads.

    Written and settled by the database; see docs/concurrency.md.
    """

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    bucket = models.IntegerField(_("bucket"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.DO_NOTHING,  # settling drops the checks of a user who is gone; a write may share their lock
        related_name="+",
        null=True,  # a row whose user is found when the check is settled
        blank=True,
        db_index=False,
        db_constraint=False,  # checking it would be another lock that a write could wait for
    )
    code = models.CharField(_("code"), max_length=CODE_MAX_LENGTH)
    thing = models.TextField(_("subject"), blank=True, default="", db_default="")
    evidence = models.JSONField(_("evidence"))
    noted_at = models.DateTimeField(_("noted at"), db_default=Now())
    noted_by = models.BigIntegerField(
        _("noted by"),
        db_default=CurrentTransaction(),
        help_text=_("Transaction that left the check."),
    )
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)
    what = models.TextField(
        _("what"),
        default="",
        db_default="",
        db_collation="C",
        help_text=_("Digest of the changed row; checks that agree in it are decided by one evaluation."),
    )

    class Meta:
        verbose_name = _("pending check")
        verbose_name_plural = _("pending checks")
        constraints = (
            # With the transaction in it, so that no transaction conflicts with another, or waits for one.
            models.UniqueConstraint(
                fields=["user", "code", "thing", "what", "noted_by"], name="badges_pendingcheck_key"
            ),
        )
        indexes = (
            models.Index(
                fields=["bucket", "noted_by"], condition=models.Q(failed_at=None), name="badges_pendingcheck_bucket"
            ),
            models.Index(fields=["bucket"], condition=~models.Q(failed_at=None), name="badges_pendingcheck_failed"),
        )

    def __str__(self) -> str:
        return f"{self.code}, {self.user_id}"


class Failure(models.Model):
    """A condition that failed: the write succeeded, without the badge. Several rows may count the same failure."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    code = models.CharField(_("code"), max_length=CODE_MAX_LENGTH)
    sqlstate = models.CharField(_("SQLSTATE"), max_length=5)
    message = models.TextField(_("message"))
    occurrences = models.IntegerField(_("occurrences"), db_default=1)
    first_at = models.DateTimeField(_("first at"), db_default=Now())
    last_at = models.DateTimeField(_("last at"), db_default=Now())
    tenant = models.TextField(_("tenant"), blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("failure")
        verbose_name_plural = _("failures")
        indexes = (models.Index(fields=["code", "sqlstate"], name="badges_failure_code"),)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class BadgeManager(models.Manager["Badge"]):
    """Badges that have not expired, with the current name of their definition in the active language."""

    shows_expired = False

    def get_queryset(self) -> models.QuerySet[Badge]:
        # The property of the same name serves badges that were loaded without this manager.
        badges = super().get_queryset().annotate(name=ShownName())  # type: ignore[no-redef]
        if self.shows_expired:
            return badges
        return badges.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=Now()))

    def award(
        self,
        user: Any,
        code: Any = _MISSING,
        thing: Any = "",
        *,
        by: Any = None,
        reason: str = "",
        using: str | None = None,
    ) -> Badge:
        """Award a badge manually, under the lock that the triggers use; a badge that is held already stays as it is.

        The rule never revokes a badge that was awarded manually. `user.badges.award(code)` is the same.

        :param user: the user, or the key of one.
        :param code: the code of the badge, or its definition.
        :param thing: the subject or its key, for a badge that is awarded once per subject (the key `per` of the badge
            file): one for which the user has a row in the trigger table.
        :param by: the author of the award: a user, whose username the history keeps, or any text.
        :param reason: the reason, which the history keeps.
        :param using: the database alias; by default that of the manager, or else the router's.
        :raises UnknownBadge: no definition has this code.
        :raises UnknownUser: there is no such user.
        :raises UnknownSubject: the user has no row with this subject, or the badge has no subjects.
        :raises OutOfDate: `create_badge_triggers` has not run yet.
        :raises InsufficientRights: the database role may not award badges.
        """
        alias = using or self._alias()
        key, badge, subject = self._arguments(user, code, thing)
        self._check_subject(alias, key, badge, subject)
        query = "SELECT badges_award(%s, %s, actor => %s, reason => %s, awarded_thing => %s)"
        self._call(alias, query, [key, badge, _actor(by), str(reason), subject], badge)
        # A replica does not have it yet.
        return self.model._default_manager.using(alias).get(user=key, code=badge, thing=subject)

    def revoke(
        self,
        user: Any,
        code: Any = _MISSING,
        thing: Any = "",
        *,
        by: Any = None,
        reason: str = "",
        using: str | None = None,
    ) -> bool:
        """Revoke a badge manually. The next write that satisfies its condition awards it again.

        The parameters are those of `award`.

        :returns: whether the user held it.
        :raises UnknownBadge: no definition has this code.
        :raises OutOfDate: `create_badge_triggers` has not run yet.
        :raises InsufficientRights: the database role may not revoke badges.
        """
        alias = using or self._alias()
        key, badge, subject = self._arguments(user, code, thing)
        query = "SELECT badges_revoke(%s, %s, actor => %s, reason => %s, revoked_thing => %s)"
        was_held = self._call(alias, query, [key, badge, _actor(by), str(reason), subject], badge)
        if not was_held and not BadgeDefinition.objects.using(alias).filter(code=badge).exists():
            raise _unknown_badge(alias, badge)
        return was_held

    async def aaward(self, *args: Any, **options: Any) -> Badge:
        """The asynchronous version of `award`."""
        return await sync_to_async(self.award)(*args, **options)

    async def arevoke(self, *args: Any, **options: Any) -> bool:
        """The asynchronous version of `revoke`."""
        return await sync_to_async(self.revoke)(*args, **options)

    async def aprogress(self, *args: Any, **options: Any) -> dict[str, Progress]:
        """The asynchronous version of `progress`."""
        return await sync_to_async(self.progress)(*args, **options)

    def erase(self, user: Any, *, keep: bool = True, using: str | None = None) -> int:
        """Blank what the badges and events of a user say about that user: evidence, actor, reason and subject.

        Pending checks of the user are deleted. As long as the rows that a badge was awarded for exist, later writes and
        `award_badges` record their values again.

        :param user: the user, or the key of one.
        :param keep: the facts remain: which badge was awarded or revoked, and when. False deletes badges and events.
        :returns: the number of badges and events.
        :raises OutOfDate: `create_badge_triggers` has not run yet.
        """
        alias = using or self._alias()
        key = arguments.user_key(user)
        with _in_words(alias), transaction.atomic(using=alias):
            [(number,)] = fetch(connections[alias], "SELECT badges_erase(%s, %s)", [key, keep])
        return int(number)

    def merge(self, from_user: Any, to_user: Any, *, by: Any = None, reason: str = "", using: str | None = None) -> int:
        """Give the badges of one user, with their history and pending checks, to another, for accounts that are merged.

        Of a badge that both hold, the earlier award is kept. The site itself changes the rows that badges are about.
        Waits for the transactions that award a badge to either user.

        :param by: the author, and :param reason: the reason, as for `award`; by default the key of the first user.
        :param using: the database alias; by default that of the manager, or else the router's.
        :returns: the number of badges.
        :raises UnknownUser: there is no user to give them to.
        :raises OutOfDate: `create_badge_triggers` has not run yet.
        :raises InsufficientRights: the database role may not merge users.
        """
        alias = using or self._alias()
        former, key = arguments.user_key(from_user), arguments.user_key(to_user)
        if former == key:
            raise ValueError(f"User {key!r} cannot be merged with itself.")
        query = "SELECT badges_merge(%s, %s, actor => %s, reason => %s)"
        with _in_words(alias, user=key), transaction.atomic(using=alias):
            [(number,)] = fetch(connections[alias], query, [former, key, _actor(by), str(reason)])
        return int(number)

    def progress(self, user: Any = _MISSING, *, using: str | None = None) -> dict[str, Progress]:
        """The progress of a user towards each badge that has a goal, by code, in the order of the badges.

        :param user: the user, or the key of one; without it, `user.badges.progress()` is that of the user.
        :param using: the database alias; by default that of the manager, or else the router's.
        :raises UnknownUser: there is no such user.
        :raises OutOfDate: `create_badge_triggers` has not run yet.
        """
        alias = using or self._alias(for_write=False)
        key = arguments.user_key(getattr(self, "instance", None) if user is _MISSING else user)
        # A user who was loaded is there.
        if not isinstance(user, models.Model) and user is not _MISSING and not _exists(alias, key):
            raise exceptions.UnknownUser(f"There is no user with the key {key!r}.")
        return self.progress_of([key], using=alias)[key]

    def progress_of(
        self, users: Iterable[Any], among: models.Q | None = None, *, using: str | None = None
    ) -> dict[Any, dict[str, Progress]]:
        """The same for several users, by their keys, in one query; a user who does not exist has no progress.

        :param among: a condition on definitions: only these badges. None: all.
        """
        keys = [arguments.user_key(user) for user in users]
        alias = using or self._alias(for_write=False)
        with_goal = BadgeDefinition.objects.using(alias).filter(
            among or models.Q(), active=True, retired_at=None, goal__isnull=False
        )
        goals = {code: goal for code, goal in with_goal.values_list("code", "goal") if goal is not None}
        return progress.of(connections[alias], keys, goals)

    def _alias(self, *, for_write: bool = True) -> str:
        """The database of the manager (`db_manager`), or else that of the router."""
        if self._db:
            return self._db
        hints = {"instance": self.instance} if hasattr(self, "instance") else {}
        choose = router.db_for_write if for_write else router.db_for_read
        return str(choose(self.model, **hints))

    def _arguments(self, user: Any, code: Any, thing: Any) -> tuple[Any, str, str]:
        """The keys of what a call was given; the manager of `user.badges` can do without the user."""
        if code is _MISSING and hasattr(self, "instance"):
            user, code = self.instance, user
        if code is _MISSING:
            raise TypeError("The code of the badge is missing: award(user, code).")
        return arguments.user_key(user), arguments.code_of(code), arguments.subject_of(thing)

    def _check_subject(self, alias: str, user: Any, code: str, thing: str) -> None:
        """Check that the badge has subjects if one is named, and that the user has a row with it."""
        definition = BadgeDefinition.objects.using(alias).filter(code=code).first()
        if definition is None:
            if BadgeDefinition.objects.using(alias).exists():
                raise _unknown_badge(alias, code)
            return  # nothing is installed, as the call finds
        if bool(definition.per) != bool(thing):
            raise exceptions.UnknownSubject(
                f'The badge "{code}" is awarded once for each {definition.per}: name the subject (thing).'
                if definition.per
                else f'The badge "{code}" has no subjects, and cannot be awarded for "{thing}".'
            )
        names = definition.trigger_table.split(".")
        if not thing or not all(map(str.isidentifier, [*names, definition.per, definition.user_field])):
            return
        try:
            with transaction.atomic(using=alias):
                exists = _has_row(connections[alias], definition, user, thing)
        except DatabaseError as error:
            # The role may award badges and not read the rows, or follow the path.
            if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege | psycopg.errors.UndefinedFunction):
                raise
            return
        if not exists:
            raise exceptions.UnknownSubject(
                f'User {user} has no row in {definition.trigger_table} whose {definition.per} is "{thing}".'
            )

    def _call(self, alias: str, query: str, values: list[Any], code: str) -> bool:
        with _in_words(alias, code, values[0]), transaction.atomic(using=alias):
            [(was_changed,)] = fetch(connections[alias], query, values)
        return bool(was_changed)


def _has_row(connection: BaseDatabaseWrapper, definition: BadgeDefinition, user: Any, thing: str) -> bool:
    """Whether a row of the trigger table has this user and this subject; True as well if that cannot be determined."""
    table = psycopg.sql.Identifier(*definition.trigger_table.split("."))
    per, path = psycopg.sql.Identifier(definition.per), definition.user_field
    query = psycopg.sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} = %s AND {}::text = %s)").format(
        table, psycopg.sql.Identifier(path), per
    )
    try:
        with transaction.atomic(using=connection.alias):
            return bool(fetch(connection, query.as_string(), [user, thing])[0][0])
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.errors.UndefinedColumn):
            raise
    # The user is at the end of a path, of which the definition has the name: that of its columns, the first in front.
    starts = fetch_file(connection, "api/path_from.sql", table=table.as_string(), path=path)
    if len(starts) != 1:
        return True
    [(name, first)] = starts
    subject = template("api/subject_by_path.sql").format(
        table=table,
        per=per,
        thing=psycopg.sql.Literal(thing),
        name=psycopg.sql.Literal(name),
        path=psycopg.sql.Literal(path),
        first=psycopg.sql.Identifier(first),
        user=psycopg.sql.Literal(user),
    )
    try:
        with transaction.atomic(using=connection.alias):
            return bool(fetch(connection, subject.as_string())[0][0])
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.errors.DataError):
            raise
        return False  # The column cannot have such a value.


@contextlib.contextmanager
def _in_words(alias: str, code: str = "", user: Any = None) -> Iterator[None]:
    """A block in which what PostgreSQL rejects becomes an error of this package."""
    try:
        with calling(connections[alias]):
            yield
    except DatabaseError as error:
        match error.__cause__:
            case psycopg.errors.ForeignKeyViolation(diag=diag) if diag.constraint_name == "badges_badge_code_fk":
                raise _unknown_badge(alias, code) from error
            case psycopg.errors.StringDataRightTruncation():
                raise _unknown_badge(alias, code) from error
            case psycopg.errors.ForeignKeyViolation(diag=diag) if diag.constraint_name == "badges_badge_user_id_fk":
                raise exceptions.UnknownUser(f"There is no user with the key {user!r}.") from error
        raise


def _unknown_badge(alias: str, code: str) -> exceptions.UnknownBadge:
    codes = list(BadgeDefinition.objects.using(alias).values_list("code", flat=True))
    near = difflib.get_close_matches(code, codes, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return exceptions.UnknownBadge(f'No badge definition has the code "{code}".{hint}')


def _exists(alias: str, key: Any) -> bool:
    return get_user_model()._default_manager.using(alias).filter(pk=key).exists()


class BadgeWithExpiredManager(BadgeManager):
    """All badges, including expired ones."""

    shows_expired = True


def _actor(by: Any) -> str:
    """The author of a manual award or revocation, as the history keeps it."""
    return "" if by is None else str(by.get_username() if isinstance(by, AbstractBaseUser) else by)


class Badge(models.Model):
    """One badge that one user holds; `thing` is the subject of a badge that is awarded once per subject.

    `awarded_at` is empty for badges that were awarded by version 0.1, which did not record it. `evidence` is what the
    condition was evaluated on: the table, the operation and the columns of the changed row that it reads.
    """

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    user = HolderField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=with_the_user,
        related_name=related_name(),
        db_index=False,  # the unique constraint begins with the user
        db_constraint=False,  # the migration adds one that is checked at once and cascades in the database
    )
    definition = DefinitionField(
        BadgeDefinition,
        verbose_name=_("badge"),
        on_delete=models.PROTECT,
        related_name="badges",
        db_column="code",
        db_index=False,  # with one, Django adds a second index for LIKE
        db_constraint=False,  # as for the user
    )
    awarded_at = models.DateTimeField(_("awarded at"), db_default=Now(), null=True, editable=False)
    evidence = models.JSONField(_("evidence"), null=True, blank=True, editable=False)
    thing = models.TextField(
        _("subject"),
        blank=True,
        default="",
        db_default="",
        help_text=_("Key of the subject that the badge was awarded for."),
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    by_hand = models.BooleanField(
        _("manual"), default=False, db_default=False, help_text=_("Awarded manually: the rule never revokes it.")
    )

    code: str

    objects = BadgeManager()
    with_expired = BadgeWithExpiredManager()

    class Meta:
        verbose_name = _("badge")
        verbose_name_plural = _("badges")
        constraints = (
            # The lookups of the generated functions use the same collation, which rules out the index on the code
            # alone: on a table without statistics the planner rates both indexes equally, and with the other one it
            # would read all holders of a badge for each user.
            models.UniqueConstraint("user", Collate("definition", "C"), "thing", name="badges_badge_user_code"),
        )
        indexes = (
            # Read backwards: the holders as the page of a badge lists them, latest first, those without a time last.
            models.Index(
                models.F("definition"),
                models.F("awarded_at").asc(nulls_first=True),
                models.F("user").desc(),
                name="badges_badge_code",
            ),
        )

    def __str__(self) -> str:
        return str(self.name)

    @cached_property
    def name(self) -> Any:
        """The current name of the badge. Badges from `Badge.objects` have it already, without a query."""
        return self.definition.shown_name

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        self.__dict__.pop("name", None)


class BadgeEvent(models.Model):
    """An award, revocation or expiry of a badge. Written by the database, whichever client causes it.

    Events are added, never changed, and deleted with their user. A user holds a badge if the last event of that user,
    code and thing is `awarded`.
    """

    class Kind(models.TextChoices):
        AWARDED = "awarded", _("awarded")
        REVOKED = "revoked", _("revoked")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.DO_NOTHING,  # the constraint in the database cascades
        related_name="badge_events",
        db_index=False,  # the index on user and time begins with it
        db_constraint=False,  # as for badges
    )
    definition = DefinitionField(
        BadgeDefinition,
        verbose_name=_("badge"),
        on_delete=models.DO_NOTHING,  # the history outlives the definition
        related_name="events",
        db_column="code",
        db_index=False,
        db_constraint=False,
    )
    thing = models.TextField(
        _("subject"),
        blank=True,
        default="",
        db_default="",
        help_text=_("Subject of a badge that is awarded once per subject."),
    )
    kind = models.TextField(_("kind"), choices=Kind)
    at = models.DateTimeField(
        _("at"),
        null=True,
        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField()),
        help_text=_("Empty for badges awarded by version 0.1, which did not record it."),
    )
    cause = models.TextField(_("cause"), help_text=_("A write to a table, a command, or a manual award or revocation."))
    evidence = models.JSONField(_("evidence"), null=True, blank=True)
    rule = models.TextField(
        _("rule"), blank=True, default="", db_default="", help_text=_("Version of the rule at that time.")
    )
    actor = models.TextField(
        _("actor"), blank=True, default="", db_default="", help_text=_("Author of a manual award or revocation.")
    )
    reason = models.TextField(
        _("reason"), blank=True, default="", db_default="", help_text=_("Reason for a manual award or revocation.")
    )
    transaction = models.BigIntegerField(
        _("transaction"),
        db_default=CurrentTransaction(),
        help_text=_("Id of the writing transaction; one that commits later may have a lower id."),
    )
    quiet = models.BooleanField(
        _("quiet"), default=False, db_default=False, help_text=_("No signal is sent and no toast is shown.")
    )

    code: str

    class Meta:
        verbose_name = _("badge event")
        verbose_name_plural = _("badge events")
        indexes = (
            models.Index(fields=["user", "at"], name="badges_badgeevent_user_at"),
            models.Index(fields=["definition", "at"], name="badges_badgeevent_code_at"),
            models.Index(fields=["transaction", "at"], name="badges_badgeevent_order"),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.get_kind_display()}"


class Delivery(models.Model):
    """An event that is still to be sent to the receivers of the signals; deleted once all of them have returned.

    Written by the database with the event, if BADGES_SIGNALS is on; processed by `listen_badges`.
    """

    # Without constraints, so that deleting a user or an event does not wait for the listener.
    event = models.OneToOneField(
        "badges.BadgeEvent",
        verbose_name=_("event"),
        primary_key=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=from_the_queue,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    at = models.DateTimeField(_("at"), help_text=_("Time of the event; the events of a user are sent in this order."))
    attempts = models.IntegerField(_("attempts"), default=0, db_default=0)
    next_at = models.DateTimeField(_("next at"), db_default=Now(), help_text=_("Not sent before this time."))
    done = models.JSONField(_("done"), default=list, db_default=[], help_text=_("Receivers that have returned."))
    error = models.TextField(_("error"), blank=True, default="", db_default="")
    parked_at = models.DateTimeField(
        _("parked at"), null=True, blank=True, help_text=_("When it was parked, after too many attempts.")
    )

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = (
            models.Index(
                fields=["user", "at", "event"], condition=models.Q(parked_at=None), name="badges_delivery_of_user"
            ),
            models.Index(fields=["at", "event"], condition=models.Q(parked_at=None), name="badges_delivery_order"),
            models.Index(fields=["parked_at"], condition=~models.Q(parked_at=None), name="badges_delivery_parked"),
        )

    def __str__(self) -> str:
        return str(self.event_id)


def prepare_for_a_loaded_row(instance: models.Model, raw: bool, using: str, **_: Any) -> None:
    """Let loaddata load what dumpdata has written, into the same database as well."""
    if raw:
        if isinstance(instance, Badge):
            _prepare_for_a_loaded_badge(instance, using)
        _keep_what_is_loaded_again(instance, using)


for _model in (Badge, BadgeDefinition, BadgeEvent, Delivery, Failure, PendingCheck):
    pre_save.connect(prepare_for_a_loaded_row, sender=_model)


def _prepare_for_a_loaded_badge(badge: Badge, using: str) -> None:
    """Let it come before its user, or after a trigger has awarded it for a row loaded earlier."""
    # Without the constraints, which create_badge_triggers restores, there is nothing to defer.
    with contextlib.suppress(ProgrammingError), transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SET CONSTRAINTS badges_badge_user_id_fk, badges_badgeevent_user_id_fk DEFERRED")
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT set_config('badges.cause', 'loaddata', true)")
    others = Badge._base_manager.using(using).filter(user=badge.user_id, code=badge.code, thing=badge.thing)
    others.exclude(pk=badge.pk).delete()


def _keep_what_is_loaded_again(loaded: models.Model, using: str) -> None:
    """Change nothing of a row that is as it was dumped.

    Django's JSON cuts times to milliseconds, and numbers to floats: what is loaded differs from what was dumped.
    """
    stored = type(loaded)._base_manager.using(using).filter(pk=loaded.pk).first()
    if stored and serializers.serialize("json", [stored]) == serializers.serialize("json", [loaded]):
        for field in loaded._meta.concrete_fields:
            if not field.primary_key:
                setattr(loaded, field.attname, models.F(field.name))


@receiver(post_save, sender=Badge)
def reset_the_cause(raw: bool, using: str, **_: Any) -> None:
    """Reset the cause: the next write in the transaction of loaddata is not a loaded badge."""
    if raw:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('badges.cause', '', true)")
