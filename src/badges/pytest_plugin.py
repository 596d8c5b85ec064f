"""The plugin for pytest, beside pytest-django: the fixture `badge_triggers` and the marker of the same name.

Nothing of Django is imported before a test needs it, as pytest loads the plugin for every project of the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "badge_triggers: the triggers of django-pg-badges award badges in this test")


@pytest.fixture(scope="session")
def _badge_triggers_of_session(django_db_setup: None, django_db_blocker: Any) -> None:
    """Install the triggers in the test databases, once, and disable them."""
    from badges.test import triggers  # noqa: PLC0415

    with django_db_blocker.unblock():
        for alias in triggers.aliases():
            triggers.install(alias)


@pytest.fixture
def badge_triggers(_badge_triggers_of_session: None, db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """The triggers award badges in this test, in the databases that it may use."""
    from badges.test import triggers  # noqa: PLC0415

    marker = request.node.get_closest_marker("django_db")
    chosen = (marker and marker.kwargs.get("databases")) or ["default"]
    with triggers.enabled(None if chosen == "__all__" else chosen):
        yield


@pytest.fixture(autouse=True)
def _badge_triggers_by_marker(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("badge_triggers"):
        request.getfixturevalue("badge_triggers")
