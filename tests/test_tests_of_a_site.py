"""The tests of a site that uses the package: with pytest and with Django's runner, however they make their database."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from conftest import entry
from django.db import connection, transaction
from dummy.models import Sketch
from processes import environment

from badges import exceptions
from badges.test import assert_earns, assert_not_earns, triggers

pytestmark = pytest.mark.django_db

COLLECTOR = entry("collector", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")

SETTINGS = """
from settings_of_a_process import *
DATABASES["default"]["TEST"] = {"NAME": "test_of_a_site", **TEST}
ROOT_URLCONF = "no_urls"
"""

WITH_PYTEST = """
import pytest
from django.contrib.auth.models import User
from badges.models import Badge
from badges.test import assert_earns
from dummy.models import Sketch

def draw(user):
    for title in ("One", "Two"):
        Sketch.objects.create(user=user, title=title)

@pytest.fixture
def ada(db):
    user = User.objects.create(username="ada")
    # Its foreign key is checked at COMMIT.
    Sketch.objects.create(user=user, title="Zero")
    Sketch.objects.all().delete()
    return user

@pytest.mark.django_db
def test_without(ada):
    draw(ada)
    assert not Badge.objects.exists()
    with pytest.raises(AssertionError, match="No trigger awards badges"), assert_earns(ada, "collector"):
        draw(ada)

def test_fixture(ada, badge_triggers):
    with assert_earns(ada, "collector"):
        draw(ada)

@pytest.mark.badge_triggers
def test_marker(ada):
    with assert_earns(ada, "collector"):
        draw(ada)

@pytest.mark.badge_triggers
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_committed(ada):
    with assert_earns(ada, "collector"):
        draw(ada)

@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_without_again(ada):
    draw(ada)
    assert not Badge.objects.exists()
"""

WITH_UNITTEST = """
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from badges.models import Badge
from badges.test import BadgesTestMixin, assert_earns
from dummy.models import Sketch

def draw(user):
    for title in ("One", "Two"):
        Sketch.objects.create(user=user, title=title)

class Earning(BadgesTestMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada, cls.bob = (User.objects.create(username=name) for name in ("ada", "bob"))
        draw(cls.bob)

    def test_earned(self):
        with assert_earns(self.ada, "collector"):
            draw(self.ada)

    def test_earned_by_the_data_of_the_class(self):
        assert Badge.objects.get().user == self.bob

class Committed(BadgesTestMixin, TransactionTestCase):
    serialized_rollback = True

    def test_earned(self):
        ada = User.objects.create(username="ada")
        with assert_earns(ada, "collector"):
            draw(ada)

    test_earned_again = test_earned

class Without(TestCase):
    def test_nothing(self):
        draw(User.objects.create(username="ada"))
        assert not Badge.objects.exists()

class WithoutCommitted(TransactionTestCase):
    def test_nothing(self):
        draw(User.objects.create(username="ada"))
        assert not Badge.objects.exists()
"""


@pytest.fixture
def run(badge_file, tmp_path):
    """Run the tests of a site in a process; gives what it prints."""
    path = badge_file(COLLECTOR)
    (tmp_path / "tests_by_pytest.py").write_text(WITH_PYTEST)
    (tmp_path / "tests_by_unittest.py").write_text(WITH_UNITTEST)

    def run_tests(*command, fails=False, **settings):
        (tmp_path / "settings_of_a_site.py").write_text(f"TEST = {settings.pop('TEST', {})!r}\n{SETTINGS}")
        env = environment(tmp_path / "log", BADGES_FILE=str(path), **settings)
        env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(tmp_path)])
        env["DJANGO_SETTINGS_MODULE"] = "settings_of_a_site"
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        printed = done.stdout + done.stderr
        assert bool(done.returncode) == fails, printed
        return printed

    yield run_tests
    with connection._nodb_cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^test_of_a_site'",
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


PYTEST = ("pytest", "tests_by_pytest.py", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error")
UNITTEST = ("django", "test", "tests_by_unittest")


@pytest.mark.parametrize(
    ("options", "test"),
    [
        ([], {}),
        (["--nomigrations"], {}),
        pytest.param(["-n", "2"], {}, marks=pytest.mark.long),
        pytest.param([], {"MIGRATE": False}, marks=pytest.mark.long),
    ],
)
def test_pytest(run, options, test):
    """The fixture and the marker, in a database that is made with migrations, without, and for several workers."""
    assert "5 passed" in run(*PYTEST, *options, TEST=test)


@pytest.mark.long
def test_pytest_reuses_a_database(run):
    """--reuse-db finds the triggers of the run before, and no test has them that does not ask for them."""
    for _ in range(2):
        assert "5 passed" in run(*PYTEST, "--reuse-db")


@pytest.mark.parametrize(
    ("options", "test"),
    [
        ([], {}),
        pytest.param(["--parallel", "2"], {}, marks=pytest.mark.long),
        pytest.param([], {"MIGRATE": False}, marks=pytest.mark.long),
    ],
)
def test_unittest(run, options, test):
    """The mixin, with Django's runner; no check reports that the test database has no triggers."""
    printed = run(*UNITTEST, *options, TEST=test)
    assert re.search(r"Ran 6 tests in .*\n\nOK", printed)
    assert "badges.W" not in printed


@pytest.mark.long
def test_unittest_keeps_a_database(run):
    """--keepdb finds the triggers of the run before."""
    for _ in range(2):
        assert "OK" in run(*UNITTEST, "--keepdb")


@pytest.mark.parametrize("test", [{}, pytest.param({"MIGRATE": False}, marks=pytest.mark.long)])
def test_installed_by_migrate(run, tmp_path, test):
    """With BADGES_INSTALL every test has the triggers, and a flush takes none of them away."""
    text = WITH_UNITTEST.replace("assert not Badge.objects.exists()", "assert Badge.objects.exists()")
    (tmp_path / "tests_by_unittest.py").write_text(text)
    printed = run(*UNITTEST, BADGES_INSTALL="migrate", TEST=test)
    assert re.search(r"Ran 6 tests in .*\n\nOK", printed)


def test_says_why(badge_file, user):
    """The message of a failed assertion is the answer of explain_badge."""
    badge_file(COLLECTOR)
    with triggers.enabled():
        with pytest.raises(AssertionError) as caught, assert_earns(user, "collector"):
            Sketch.objects.create(user=user, title="One")
        assert f'User {user.pk} has not earned the badge "collector".' in str(caught.value)
        assert "count(*) >= 2" in str(caught.value)
        with assert_not_earns(user, "collector"):
            Sketch.objects.filter(title="One").update(title="First")
        with pytest.raises(AssertionError, match="has earned"), assert_not_earns(user.pk, "collector"):
            Sketch.objects.create(user=user, title="Two")
        with pytest.raises(AssertionError, match="holds the badge"), assert_earns(user.pk, "collector"):
            pass
        with pytest.raises(exceptions.UnknownBadge), assert_earns(user, "colector"):
            pass


def test_other_badges_for_one_test(badge_file, user):
    """A test that declares other badges has these, and the next one has its own again."""
    for code in ("one", "two", "one"):
        badge_file(entry(code, condition="true"))
        with transaction.atomic(), triggers.enabled():
            with assert_earns(user, code):
                Sketch.objects.create(user=user, title="One")
            transaction.set_rollback(True)
        assert not triggers.are_enabled("default")
