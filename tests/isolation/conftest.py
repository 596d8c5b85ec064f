"""A committed database for each test, as a template has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import entry
from django.conf import settings as django_settings

from isolation.harness import Session, Site, drop_database, fresh_site, recycled_site

PAIR = entry("pair", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")
LOUD = entry("loud", condition="NEW.hit_views >= 100")


@pytest.fixture(scope="session")
def badges_template(migrated_database, django_db_blocker, tmp_path_factory) -> Iterator[str]:
    """The name of a migrated database with the badges of PAIR and LOUD."""
    name = f"{django_settings.DATABASES['default']['NAME'][:40]}_isolation"
    with fresh_site(name, tmp_path_factory.mktemp("badges"), migrated_database) as site:
        with django_db_blocker.unblock():
            # Without a test that needs the default database there is no migrated one to copy.
            site.migrate()
            site.declare(PAIR, LOUD)
            site.close()  # a database in use cannot be copied
        yield name
        drop_database(_copy_of(name))


def _copy_of(template: str) -> str:
    return f"{template}_1"


@pytest.fixture
def site(badges_template: str, django_db_blocker, tmp_path: Path) -> Iterator[Site]:
    """A site with the badges of PAIR and LOUD, until the test declares others."""
    with django_db_blocker.unblock(), recycled_site(_copy_of(badges_template), tmp_path, badges_template) as made:
        yield made


@pytest.fixture
def s1(site: Site) -> Session:
    return site.session()


@pytest.fixture
def s2(site: Site) -> Session:
    return site.session()


@pytest.fixture
def s3(site: Site) -> Session:
    return site.session()
