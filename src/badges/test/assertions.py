"""Assertions about what earns a badge, whose messages explain why it does not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections, router

from badges import exceptions
from badges.definitions import declarations
from badges.models import Badge
from badges.operations import explain
from badges.test import triggers


@contextlib.contextmanager
def assert_earns(user: Any, code: str, thing: Any = "", *, using: str | None = None) -> Iterator[None]:
    """A block in which the user must earn the badge.

    :param user: the user, or the key of one.
    :param thing: the subject, of a badge that is awarded once per subject.
    :param using: the database alias; by default that of the badges.
    :raises AssertionError: the user holds it before, or not afterwards, with the answer of `explain_badge`.
    """
    alias, key = _begin(user, code, using)
    if _held(alias, key, code, thing):
        raise AssertionError(f'User {key} holds the badge "{code}" already.')
    yield
    if not _held(alias, key, code, thing):
        raise AssertionError(f'User {key} has not earned the badge "{code}".\n{_explanation(alias, key, code, thing)}')


@contextlib.contextmanager
def assert_not_earns(user: Any, code: str, thing: Any = "", *, using: str | None = None) -> Iterator[None]:
    """A block in which the user must not earn the badge; otherwise as `assert_earns`."""
    alias, key = _begin(user, code, using)
    before = _held(alias, key, code, thing)
    yield
    if not before and _held(alias, key, code, thing):
        raise AssertionError(f'User {key} has earned the badge "{code}".\n{_explanation(alias, key, code, thing)}')


def _begin(user: Any, code: str, using: str | None) -> tuple[str, Any]:
    alias = using or router.db_for_write(Badge)
    if not triggers.are_enabled(alias):
        raise AssertionError(
            f'No trigger awards badges in the database "{alias}". Use badges.test.BadgesTestMixin, or the fixture '
            "badge_triggers of pytest."
        )
    if code not in [each.code for each in declarations.load().definitions]:
        raise exceptions.UnknownBadge(f'No badge has the code "{code}".')
    return alias, getattr(user, "pk", user)


def _held(alias: str, key: Any, code: str, thing: Any) -> bool:
    return Badge.objects.using(alias).filter(user=key, code=code, thing=str(getattr(thing, "pk", thing))).exists()


def _explanation(alias: str, key: Any, code: str, thing: Any) -> str:
    declared = declarations.load()
    subject = str(getattr(thing, "pk", thing)) or None
    try:
        found = explain.explain(connections[alias], declared.definitions, declared.source, code, key, subject)
    except exceptions.BadgesError as error:
        return str(error)
    return found.as_text()
