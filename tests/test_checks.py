"""The system checks: each id, with its message and hint, and silence where all is well."""

from __future__ import annotations

import pytest
from conftest import entry
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps

from badges import exceptions
from badges.conf import SETTINGS, badges_settings
from badges.fields import HolderField

pytestmark = pytest.mark.django_db


@pytest.fixture
def found():
    """What `manage.py check --database default` says about badges, as (id, message, hint)."""

    def run(databases=("default",)):
        messages = checks.run_checks(databases=list(databases) or None)
        return [(each.id, each.msg, each.hint) for each in messages if each.id.startswith("badges.")]

    return run


def test_database_in_sync(declare, found):
    """Where the database is in sync with the file, the checks report nothing."""
    declare(entry())
    assert found() == []


@override_settings()
def test_w001_without_a_badge_file(settings, found):
    """badges.W001: a site that has the app and no file is pointed to the setting, and nothing else is reported."""
    if hasattr(settings, "BADGES_FILE"):
        del settings.BADGES_FILE
    [(id_, message, hint)] = found()
    assert id_ == "badges.W001"
    assert message == "BADGES_FILE is not set, so no badge is awarded."
    assert "BADGES_FILE = BASE_DIR" in hint


def test_a_missing_file(declare, settings, tmp_path, found, execute):
    """Before anything is installed, badges.W001 says so and `migrate` runs; afterwards it is badges.E001."""
    settings.BADGES_FILE = tmp_path / "missing.json"
    for databases in (["default"], []):
        [(id_, message, hint)] = found(databases)
        assert (id_, message) == ("badges.W001", f"There is no {settings.BADGES_FILE}, so no badge is awarded.")
        assert "startbadges" in hint
    declare(entry())
    settings.BADGES_FILE = tmp_path / "missing.json"
    messages = {id_: message for id_, message, _ in found()}
    assert messages.keys() == {"badges.W001", "badges.E001"}
    assert messages["badges.E001"].endswith('but 1 badge is installed in the database "default".')
    with pytest.raises(SystemCheckError, match=r"badges\.E001"):
        call_command("check", databases=["default"])


def test_e001_invalid_file(badge_file, found):
    """badges.E001: every error of the file is reported by itself, also when no database is checked."""
    path = badge_file(entry(trigger_contition="insert"), entry("star", name=""))
    for databases in (["default"], []):
        messages = found(databases)
        assert [id_ for id_, _, _ in messages] == ["badges.E001"] * len(messages)
        assert any("trigger_contition" in message for _, message, _ in messages)
        assert any('Did you mean "trigger_condition"?' in (hint or "") for _, _, hint in messages)
        assert all(message.startswith(str(path)) for _, message, _ in messages)
        assert any('badge "star", name' in message for _, message, _ in messages)


def test_e001_many_errors(badge_file, found):
    """badges.E001: of very many errors the first hundred are reported, and how many more there are."""
    badge_file(*(entry(f"b{number}", name="") for number in range(300)))
    messages = [message for _, message, _ in found([])]
    assert len(messages) == 101
    assert messages[-1].endswith("... and 200 more errors.")


def test_e001_stops_check(badge_file):
    """`manage.py check` fails on an invalid file."""
    badge_file(entry(code=""))
    with pytest.raises(SystemCheckError, match=r"badges\.E001"):
        call_command("check")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE dummy_sketch DROP COLUMN hit_views",
        "ALTER TABLE dummy_sketch RENAME COLUMN hit_views TO views",
        "ALTER TABLE dummy_sketch RENAME TO drawings",
    ],
)
def test_w002_what_a_condition_needs_is_gone(declare, execute, found, change):
    """badges.W002: a table or a column that went since the installation is named, with the badge that needs it."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update"))
    execute(change)
    [(id_, message, hint)] = found()
    assert id_ == "badges.W002"
    assert 'badge "star"' in message
    assert hint


def test_w003_out_of_date(declare, badge_file, found):
    """badges.W003: a changed file that was not installed is reported, with the command that installs it."""
    declare(entry("collector"))
    badge_file(
        entry("collector", condition="count(id) >= 6 from dummy_sketch where user_id = NEW.user_id"), entry("star")
    )
    [(id_, message, hint)] = found()
    assert id_ == "badges.W003"
    assert "is out of date with" in message
    assert "star" in message
    assert "create_badge_triggers" in hint


def test_w004_edited_function(declare, execute, found):
    """badges.W004: a function that was edited in the database is named."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update"))
    [(source, name)] = execute(
        "SELECT pg_get_functiondef(oid), proname FROM pg_proc WHERE proname LIKE 'badges\\_update\\_%'"
    )
    execute(source.replace("hit_views > 1000", "hit_views > 1"))
    [(id_, message, hint)] = found()
    assert id_ == "badges.W004"
    assert name in message
    assert "create_badge_triggers" in hint


def test_w005_disabled_trigger(declare, execute, found):
    """badges.W005: a disabled trigger is named, with the statement that enables it."""
    declare(entry())
    execute("ALTER TABLE dummy_sketch DISABLE TRIGGER USER")
    [(id_, message, hint)] = found()
    assert id_ == "badges.W005"
    assert "public.dummy_sketch is disabled" in message
    [statement] = [part for part in hint.split(";") if part.startswith("ALTER TABLE")]
    execute(statement)
    assert found() == []


def test_w006_failed_condition(declare, execute, user, found):
    """badges.W006: a failed condition is reported with its error and count, until award_badges succeeds."""
    declare(entry("ratio", condition="1 / hit_views > 5", trigger_condition="insert"))
    for _ in range(3):
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])
    [(id_, message, hint)] = found()
    assert id_ == "badges.W006"
    assert 'badge "ratio" failed 3 times' in message
    assert "division by zero" in message
    assert "award_badges ratio" in hint
    execute("UPDATE dummy_sketch SET hit_views = 1")
    call_command("award_badges", verbosity=0)
    assert found() == []


def test_w014_right_on_the_secret(declare, execute, found):
    """badges.W014: a right on the secret is reported with the statement that revokes it."""
    declare(entry())
    execute("GRANT SELECT ON badges_secret TO PUBLIC")
    [(id_, message, hint)] = found()
    assert id_ == "badges.W014"
    assert message.startswith('In the database "default": Every role has a right on public.badges_secret')
    execute(hint)
    assert found() == []


def test_without_tables_the_checks_are_silent(declare, execute, found):
    """Before `migrate` nothing is reported: that command itself runs the checks."""
    declare(entry())
    execute("ALTER TABLE badges_pendingcheck RENAME TO elsewhere")
    assert found() == []


INVALID = {
    "BADGES_FILE": 7,
    "BADGES_INSTALL": "always",
    "BADGES_LOCK_TIMEOUT": "2s",
    "BADGES_LOCK_RETRIES": True,
    "BADGES_WAIT": 5000,
    "BADGES_BUDGET": -1,
    "BADGES_BUCKETS": 1000,
    "BADGES_TIME_ZONE": "Europe/Atlantis",
    "BADGES_PREVIEW_TIMEOUT": 0,
    "BADGES_BRAKE": 20,
    "BADGES_SIGNALS": "yes",
    "BADGES_SIGNAL_ATTEMPTS": 2.5,
    "BADGES_NOTIFY": 1,
    "BADGES_POLL": 0,
    "BADGES_DIRECT": "direct",
    "BADGES_LIVE_ALL": "staff",
    "BADGES_LIVE_STREAMS": -1,
    "BADGES_LIVE_STREAMS_OF_USER": None,
    "BADGES_SUBSCRIBERS": "default",
    "BADGES_TRUST": "app_owner",
    "BADGES_API_OTHERS": "friends",
    "BADGES_API_USER_SERIALIZER": None,
    "BADGES_PG_CRON": "hourly",
    "BADGES_RELATED_NAME": "my badges",
    "BADGES_BASE_TEMPLATE": "",
}


def test_e002_invalid_setting(declare, settings, found):
    """badges.E002: each invalid setting, with its value and what is allowed; the database is then not queried."""
    declare(entry())
    for name, value in INVALID.items():
        setattr(settings, name, value)
    assert [(id_, message) for id_, message, _ in found()] == [
        ("badges.E002", f"{each.name} is {INVALID[each.name]!r}; {each.allowed.description} is needed.")
        for each in SETTINGS
    ]


@isolate_apps("badges")
def test_e003_the_user_model_has_badges(db):
    """badges.E003: a field, a property or a relation `badges` of the user model is reported with the setting."""

    def model(name, **attributes):
        meta = type("Meta", (), {"app_label": "badges"})
        return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **attributes})

    def held_by(person, related_name):
        field = HolderField(person, on_delete=models.CASCADE, related_name=related_name)
        assert field.deconstruct()[1] == "django.db.models.ForeignKey"
        return model(f"Of{person.__name__}By{related_name.title()}", user=field).check()

    related = model("Related")
    model("Other", user=models.ForeignKey(related, on_delete=models.CASCADE, related_name="badges"))
    for person in (
        model("WithField", badges=models.TextField()),
        model("WithProperty", badges=property(str)),
        related,
    ):
        [found] = held_by(person, "badges")
        assert (found.id, found.msg) == (
            "badges.E003",
            f"badges.{person.__name__}.badges is there already, and would be the badges of a user.",
        )
        assert 'BADGES_RELATED_NAME = "earned_badges"' in found.hint
        assert held_by(person, "earned") == []


def test_e002_what_a_setting_names_is_loaded(declare, settings, found):
    """badges.E002: a template that is not there, and a serializer that cannot be imported or is none."""
    declare(entry())
    settings.BADGES_BASE_TEMPLATE = "no/such.html"
    for path, said in (
        ("nowhere.Person", "cannot be imported: No module"),
        ("badges.models.Badge", "is no serializer"),
    ):
        settings.BADGES_API_USER_SERIALIZER = path
        [of_serializer, of_template] = found()
        assert said in of_serializer[1]
        assert of_template[:2] == (
            "badges.E002",
            "BADGES_BASE_TEMPLATE is 'no/such.html'; there is no such template.",
        )
    settings.BADGES_BASE_TEMPLATE, settings.BADGES_API_USER_SERIALIZER = "admin/base.html", "test_api.Initial"
    assert found() == []


def test_w016_names_that_mean_nothing(declare, settings, found):
    """badges.W016: a setting that the package does not have, and an alias that is not in DATABASES."""
    declare(entry())
    settings.BADGES_BREAK, settings.BADGES_OF_OUR_OWN = 0.5, True
    settings.BADGES_DIRECT, settings.BADGES_SUBSCRIBERS = {"default": "straight"}, ["defualt"]
    assert found() == [
        ("badges.W016", 'BADGES_DIRECT names "straight", which is not in DATABASES.', "Name an alias of DATABASES."),
        ("badges.W016", 'BADGES_SUBSCRIBERS names "defualt", which is not in DATABASES.', 'Did you mean "default"?'),
        ("badges.W016", "There is no setting BADGES_BREAK.", "Did you mean BADGES_BRAKE?"),
        ("badges.W016", "There is no setting BADGES_OF_OUR_OWN.", "docs/settings.md lists the settings."),
    ]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_default_of_setting(settings, setting):
    """The default of each setting is allowed; only the badge file has none."""
    delattr(settings, setting.name)
    if setting.name == "BADGES_FILE":
        with pytest.raises(exceptions.NotConfigured):
            _ = badges_settings.BADGES_FILE
    else:
        value = getattr(badges_settings, setting.name)
        assert value == (frozenset() if setting.default == [] else setting.default)
