"""The statements in docs/coming-from.md: awards of other apps are brought along, with their time, and quietly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from other_databases import alias_for

from badges.models import BadgeEvent

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from.md").read_text("utf-8")

#: The tables of the other apps, with the columns that the statements read, and the badges of ada and grace.
TABLES = {
    "django-badgify": """
        CREATE TABLE badgify_badge (id serial PRIMARY KEY, slug text);
        CREATE TABLE badgify_award (user_id integer, badge_id integer, awarded_at timestamptz);
        INSERT INTO badgify_badge VALUES (7, 'first-post');
        INSERT INTO badgify_award VALUES (1, 7, '2020-02-02 00:00Z');
    """,
    "pinax-badges": """
        CREATE TABLE pinax_badges_badgeaward (user_id integer, slug text, level integer, awarded_at timestamptz);
        INSERT INTO pinax_badges_badgeaward VALUES
        (1, 'points', 0, '2020-02-02 00:00Z'), (1, 'points', 0, '2020-02-03 00:00Z'),
        (1, 'points', 1, '2021-01-01 00:00Z');
    """,
    "django-gamification": """
        CREATE TABLE django_gamification_badge (interface_id integer, name text, acquired boolean, revoked boolean);
        ALTER TABLE auth_user ADD COLUMN game_tracking_id integer;
        UPDATE auth_user SET game_tracking_id = 10 + id;
        INSERT INTO django_gamification_badge VALUES
        (11, 'First post', true, false), (12, 'First post', true, true), (12, 'First post', false, false);
    """,
}
OLD_BADGES = """
    CREATE TABLE badges_badge (id varchar(255) PRIMARY KEY, level varchar(1), icon varchar(100));
    CREATE TABLE badges_badgetouser (
        id serial PRIMARY KEY, created timestamptz,
        badge_id varchar(255) REFERENCES badges_badge (id), user_id integer REFERENCES auth_user (id));
    INSERT INTO badges_badge VALUES ('first-post', '1', 'x.png');
    INSERT INTO badges_badgetouser (created, badge_id, user_id)
    VALUES ('2020-02-02 00:00Z', 'first-post', 1), ('2020-02-03 00:00Z', 'first-post', 1);
    INSERT INTO django_migrations (app, name, applied)
    VALUES ('badges', '0001_initial', now()), ('badges', '0002_auto_20150513_0429', now());
"""
CODES = ("first-post", "points-bronze", "points-silver")


def statements(title: str) -> list[str]:
    [section] = re.findall(rf"^### From {title}\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("app", TABLES)
def test_awards(app, declare, execute):
    """Holders hold the badge since the first time, no other user does, and the history names a quiet import."""
    User.objects.bulk_create(User(pk=pk, username=name) for pk, name in ((1, "ada"), (2, "grace")))
    execute(TABLES[app])
    declare(*(entry(code) for code in CODES))
    [beginning] = re.findall(r"SELECT set_config.*;", PAGE)
    execute(beginning)
    for _ in range(2):
        execute(statements(app)[-1])
    since = {"django-gamification": None}.get(app, "2020-02-02")
    held = execute("SELECT user_id, to_char(awarded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM badges_badge ORDER BY 2")
    assert held == [(1, since), *([(1, "2021-01-01")] if app == "pinax-badges" else [])]
    assert set(BadgeEvent.objects.values_list("kind", "cause", "quiet")) == {("awarded", "import", True)}


@pytest.mark.django_db
def test_an_app_with_the_same_label(empty_database, tmp_path):
    """django-badges has the same label and table: its tables make room, and its awards are brought along."""
    with alias_for("old", empty_database) as database:
        for app in ("contenttypes", "auth", "dummy"):
            call_command("migrate", app, database="old", verbosity=0)
        database.users(2)
        make_room, bring_along = statements("django-badges")
        database.execute(OLD_BADGES)
        database.execute(make_room)
        call_command("migrate", database="old", verbosity=0)
        database.declare(tmp_path, entry("first-post"))
        database.execute(bring_along)
        assert database.held() == [(1, "first-post")]
        assert database.execute("SELECT awarded_at = '2020-02-02 00:00Z' FROM badges_badge") == [(True,)]
        assert database.run("create_badge_triggers", file=tmp_path / "old.json").startswith("Nothing to do")
