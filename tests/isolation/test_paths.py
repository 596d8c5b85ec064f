"""Whose a row is may change while others write such rows: both users have what is right in the end."""

from __future__ import annotations

import pytest
from conftest import entry

from isolation.harness import LEVELS, READ_COMMITTED, REPEATABLE_READ, Site

LIKED = (
    "count(*) >= 2 from dummy_like l join dummy_sketch s on s.id = l.sketch_id where s.user_id = NEW.sketch_id__user_id"
)

levels = pytest.mark.parametrize("level", LEVELS)


def liked(code: str = "liked", condition: str = LIKED, **changes):
    where = {"trigger_table": "dummy_like", "user_field": ["sketch_id", "user_id"]}
    return entry(code, **{**where, "condition": condition, **changes})


BOTH = (liked(), liked("kept", revocable=True))


class Gallery:
    """A sketch of Ada's with one like, which two sessions write about."""

    def __init__(self, site: Site, *badges: dict) -> None:
        site.declare(*badges)
        self.ada, self.bob, *self.fans = site.users(6)
        [(self.sketch,)] = site.sql(
            "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, '') RETURNING id", [self.ada]
        )
        self.site = site
        self.like(site, self.fans[0])

    def like(self, session, fan, sketch=None) -> None:
        getattr(session, "run", getattr(session, "sql", None))(
            "INSERT INTO dummy_like (user_id, sketch_id, artist_id) VALUES (%s, %s, %s)",
            [fan, sketch or self.sketch, fan],
        )

    def give(self, session, user) -> None:
        session.run("UPDATE dummy_sketch SET user_id = %s WHERE id = %s", [user, self.sketch])

    def outcome(self, code: str = "") -> set[str]:
        held = {user for user, of in self.site.settled_badges() if code in ("", of)}
        return {name for name, user in (("ada", self.ada), ("bob", self.bob)) if user in held}


@levels
@pytest.mark.parametrize("first", ["like", "gift"])
@pytest.mark.parametrize("ends", ["like", "gift"])
def test_like_beside_a_change_of_the_author(site, s1, s2, level, first, ends):
    """Neither sees the other; the check of the new author waits for the like, also if it is settled in between."""
    gallery = Gallery(site, *BOTH)
    s1.begin(level)
    s2.begin()
    for step in (first, "gift" if first == "like" else "like"):
        if step == "like":
            gallery.like(s1, gallery.fans[1])
        else:
            gallery.give(s2, gallery.bob)
    for end in (ends, "gift" if ends == "like" else "like"):
        (s1 if end == "like" else s2).commit()
        site.settle()
    assert "bob" in gallery.outcome("liked")
    assert gallery.outcome("kept") == {"bob"}
    assert site.failures() == []


@pytest.mark.parametrize(
    "others", [[], [liked("broken", "1 / (user_id - user_id) > 0")]], ids=["together", "one by one"]
)
def test_like_in_an_older_snapshot(site, s1, s2, others):
    """A like whose snapshot is older than the change finds the author when its check is settled."""
    gallery = Gallery(site, *BOTH, liked("fan", "true"), liked("fan-kept", "true", revocable=True), *others)
    s1.begin(REPEATABLE_READ)
    gallery.give(s2, gallery.bob)
    site.settle()
    gallery.like(s1, gallery.fans[1])
    assert (gallery.bob, "liked") not in site.badges()
    s1.commit()
    site.settle()
    assert [code for user, code in site.badges() if user == gallery.bob] == ["fan", "fan-kept", "kept", "liked"]
    assert {code for code, _ in site.failures()} == {each["code"] for each in others}


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_change_of_the_author_while_a_like_waits(site, s1, s2, end):
    """After it has waited for the lock of the author whom it saw, a like decides by the rows of that author."""
    gallery = Gallery(site, *BOTH)
    gallery.like(site, gallery.fans[0], site.sql(
        "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, '') RETURNING id", [gallery.bob])[0][0])  # fmt: skip
    site.make_patient()
    s2.begin()
    gallery.give(s2, gallery.bob)
    s2.run("DELETE FROM dummy_like WHERE sketch_id <> %s", [gallery.sketch])
    step = s1.start(
        "INSERT INTO dummy_like (user_id, sketch_id, artist_id) VALUES (%s, %s, %s)",
        [gallery.fans[1], gallery.sketch, gallery.fans[1]],
    )
    getattr(s2, end)()
    step.result()
    assert (gallery.ada, "liked") in site.badges() or end == "commit"
    for code in ("liked", "kept"):
        assert gallery.outcome(code) == ({"bob"} if end == "commit" else {"ada"})


@levels
def test_like_that_is_gone_beside_a_change_of_the_author(site, s1, s2, level):
    """The new author keeps no badge for a like that another transaction was deleting."""
    gallery = Gallery(site, liked(revocable=True))
    gallery.like(site, gallery.fans[1])
    assert gallery.outcome() == {"ada"}
    s1.begin(level)
    s1.run("DELETE FROM dummy_like WHERE user_id = %s", [gallery.fans[1]])
    gallery.give(s2, gallery.bob)
    assert (gallery.bob, "liked") in site.badges()
    site.settle()
    s1.commit()
    assert gallery.outcome() == set()


def test_check_waits_for_no_later_transaction(site, s1, s2, s3):
    """A check that waits is settled as soon as the transactions have ended that were open at its first settlement."""
    gallery = Gallery(site, liked())
    s1.begin()
    gallery.like(s1, gallery.fans[1])
    gallery.give(s2, gallery.bob)
    assert site.settle() == (0, 2)
    s3.begin()
    s3.insert(gallery.fans[2])
    s1.commit()
    assert s2.settle() == (2, 0)
    assert (gallery.bob, "liked") in site.badges()
    s3.rollback()


@pytest.mark.parametrize(
    ("where", "level"), [("same", READ_COMMITTED), ("same", REPEATABLE_READ), ("other", READ_COMMITTED)]
)
def test_like_before_its_sketch(site, s1, s2, where, level):
    """A row on the way may come later where the foreign key is deferred: the author is found at the settlement."""
    gallery = Gallery(site, liked(), liked("fan", "true", per="user_id"))
    sketch = "INSERT INTO dummy_sketch (id, user_id, title) VALUES (777, %s, '')"
    s1.begin(level)
    gallery.like(s1, gallery.fans[0], 777)
    gallery.like(s1, gallery.fans[1], 777)
    assert site.settle() == (0, 0)
    (s1 if where == "same" else s2).run(sketch, [gallery.bob])
    s1.commit()
    assert gallery.outcome() == {"ada", "bob"}
    assert site.sql("SELECT thing FROM badges_badge WHERE user_id = %s ORDER BY 1", [gallery.bob]) == [
        ("",), *((str(fan),) for fan in sorted(gallery.fans[:2]))
    ]  # fmt: skip


def test_locked_table_on_the_way(site, s1, s2):
    """A write waits for it no longer than for other badge work; its checks find the author later."""
    gallery = Gallery(site, liked(), liked("fan", "true"), liked("kept", revocable=True))
    s2.begin()
    s2.run("LOCK dummy_sketch")
    s1.begin()
    s1.run("DELETE FROM dummy_like WHERE user_id = %s", [gallery.fans[0]])
    s1.run(
        "INSERT INTO dummy_like (user_id, sketch_id, artist_id) SELECT n, %s, n FROM unnest(%s::integer[]) AS n",
        [gallery.sketch, gallery.fans[1:3]],
    )
    s2.commit()
    s1.commit()
    assert site.failures() == []
    assert site.settled_badges() == [(gallery.ada, code) for code in ("fan", "kept", "liked")]


def test_deferred_badges(site, s1, s2):
    """A change of the way leaves the check that waits, also of a badge that no write evaluates."""
    gallery = Gallery(site, *BOTH)
    for code in ("liked", "kept"):
        site.sql("SELECT badges_defer(%s)", [code])
    s1.begin()
    gallery.like(s1, gallery.fans[1])
    gallery.give(s2, gallery.bob)
    assert [*site.sql("SELECT DISTINCT code FROM badges_pendingcheck WHERE what = 'waits' ORDER BY 1")] == [
        ("kept",), ("liked",)
    ]  # fmt: skip
    site.settle()
    s1.commit()
    assert gallery.outcome("liked") == gallery.outcome("kept") == {"bob"}


@levels
def test_two_changes_on_the_way(site, s1, s2, level):
    """One transaction moves a row to a way whose end another one is changing."""
    site.sql(
        "CREATE TABLE note (id integer PRIMARY KEY, sketch_id bigint REFERENCES dummy_sketch);"
        "CREATE TABLE star (note_id integer REFERENCES note)"
    )
    condition = (
        "count(*) >= 2 from star t join note n on n.id = t.note_id join dummy_sketch s on s.id = n.sketch_id"
        " where s.user_id = NEW.note_id__sketch_id__user_id"
    )
    path = ["note_id", "sketch_id", "user_id"]
    gallery = Gallery(site, liked("noted", condition, trigger_table="star", user_field=path, revocable=True))
    [(other,)] = site.sql("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, '') RETURNING id", [gallery.fans[0]])
    site.sql("INSERT INTO note VALUES (1, %s)", [other])
    site.sql("INSERT INTO star VALUES (1), (1)")
    s1.begin(level)
    s2.begin(level)
    gallery.give(s2, gallery.bob)
    s1.run("UPDATE note SET sketch_id = %s WHERE id = 1", [gallery.sketch])
    s2.commit()
    site.settle()
    s1.commit()
    assert gallery.outcome() == {"bob"}
