"""Pages: all badges, one badge, a user's shelf, the leaderboard. Sites can subclass them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import Http404
from django.views.generic import TemplateView

from badges.conf import badges_settings
from badges.queries import pages, timeline
from badges.queries.visibility import key_of

#: Upper bound for OFFSET: larger page numbers are rejected with 404 instead of reaching PostgreSQL.
MOST_ROWS = 2**31
#: A number whose length is known before it is converted: Python rejects very long ones, and zeros may lead.
NUMBER = re.compile(r"0*([1-9][0-9]{0,9})")


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list that is not counted, as counting can cost more than the rows."""

    rows: list[Any]
    number: int
    has_next: bool

    @property
    def previous(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        return self.number + 1 if self.has_next else None


class BadgesPage(TemplateView):
    """Base of the pages: the template that they extend, and the viewer."""

    page_size = 50

    @property
    def viewer(self) -> Any:
        """The user of the request; None on a site without authentication."""
        return getattr(self.request, "user", None)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(base_template=badges_settings.BADGES_BASE_TEMPLATE, **kwargs)

    def page(self, rows: Callable[[int, int], list[Any]]) -> Page:
        """The page in the query string, of a list that gives its rows from one position to another.

        :raises Http404: there is no such page.
        """
        asked = NUMBER.fullmatch(self.request.GET.get("page", "1"))
        if asked is None or (number := int(asked[1])) * self.page_size >= MOST_ROWS:
            raise Http404
        start = (number - 1) * self.page_size
        # One more row shows whether there is a next page.
        found = rows(start, start + self.page_size + 1)
        if not found and number > 1:
            raise Http404
        return Page(found[: self.page_size], number, len(found) > self.page_size)


class AllBadges(BadgesPage):
    """All badges by category, with their rarity."""

    template_name = "badges/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        categories = pages.by_category(pages.everything(self.viewer))
        return super().get_context_data(categories=categories, **kwargs)


class OneBadge(BadgesPage):
    """One badge: how to earn it, its holders, since when, its awards over time, and similar badges."""

    template_name = "badges/badge.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        code = kwargs["code"]
        definition = None if "\0" in code else pages.find(code, self.viewer)
        if definition is None:
            raise Http404
        return super().get_context_data(
            entry=pages.one(definition, self.viewer),
            page=self.page(lambda start, stop: pages.holders(definition, start, stop)),
            chart=timeline.of(definition.code),
            similar=pages.similar(definition, self.viewer),
            **kwargs,
        )


class Shelf(BadgesPage):
    """The badges that a user holds, and the progress towards more."""

    template_name = "badges/shelf.html"

    def get_person(self) -> Any:
        """The user whose shelf it is.

        :raises Http404: there is no such user.
        """
        users = get_user_model()
        try:
            return users._default_manager.get(**{users.USERNAME_FIELD: self.kwargs["username"]})
        # The name of a user may be of any type, and PostgreSQL rejects some texts.
        except (users.DoesNotExist, ValueError, ValidationError, DataError) as error:
            raise Http404 from error

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        person = self.get_person()
        return super().get_context_data(
            person=person,
            is_own=key_of(self.viewer) == person.pk,
            categories=pages.by_category(pages.held_by(person, self.viewer)),
            on_the_way=pages.on_the_way(person, self.viewer),
            **kwargs,
        )


class OwnShelf(LoginRequiredMixin, Shelf):
    """The shelf of the user who is logged in."""

    def get_person(self) -> Any:
        return self.viewer


class Leaderboard(BadgesPage):
    """Users by the points of their badges, and the place of the viewer."""

    template_name = "badges/leaderboard.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        own: pages.Place | None = None

        def rows(start: int, stop: int) -> list[pages.Place]:
            nonlocal own
            found = pages.leaderboard(start, stop, self.viewer)
            own = found.own
            return found.places

        page = self.page(rows)
        # The first three are shown by themselves.
        top = page.rows[:3] if page.number == 1 else []
        return super().get_context_data(page=page, top=top, others=page.rows[len(top) :], own=own, **kwargs)
