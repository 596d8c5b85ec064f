"""Templates lay SQL out for people, and change no value by it."""

from __future__ import annotations

import pytest
from conftest import entry
from psycopg import sql

from badges.database import Template, trusted
from badges.models import Failure


def rendered(layout: str, **values: sql.Composable) -> str:
    return Template(layout).format(**values).as_string()


def test_indented_to_its_placeholder():
    """A value of several lines is indented like its first line, also within another such value."""
    inner = Template("(SELECT {columns}\n FROM t)").format(columns=sql.SQL("a,\nb"))
    assert rendered("WHERE x = {inner} AND y", inner=inner) == (
        "WHERE x = (SELECT a,\n"
        "                  b\n"
        "           FROM t) AND y"
    )  # fmt: skip


def test_behind_another_value():
    """The column is that of the text as it is, not as it stands in the template."""
    assert rendered("{a} {b}", a=sql.SQL("longer"), b=sql.SQL("1\n2")) == "longer 1\n       2"


@pytest.mark.parametrize("value", [sql.Literal("a\nb"), sql.Identifier("a\nb"), trusted("'a\nb'")])
def test_values_stay(value):
    """A line break within a value is not layout, however deep the value is."""
    nested = Template("    {value}").format(value=value)
    assert value.as_string() in rendered("SELECT\n    {nested}", nested=nested)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("a\n    {empty}\nb", "a\nb"),
        ("a\n    {empty}\n    {empty}\nb", "a\nb"),
        ("a\n    {empty};\nb", "a;\nb"),
        ("a\n    {empty}", "a"),
        ("a\n    x{empty}\nb", "a\n    x\nb"),
        ("a\n    {empty}x\nb", "a\n    x\nb"),
    ],
)
def test_empty_values(layout, expected):
    """A line that holds nothing but an empty value is left out."""
    assert rendered(layout, empty=sql.SQL("")) == expected


def test_blank_lines_stay_blank():
    assert rendered("  {value}", value=sql.SQL("a\n\nb")) == "  a\n\n  b"


@pytest.mark.django_db
@pytest.mark.parametrize("level", ["row-local", "cross-row", "shared"])
def test_strings_of_several_lines(declare, execute, user, held, level):
    """A condition means what its author wrote, line breaks within strings, dollar quotes and comments included."""
    conditions = {
        "row-local": "NEW.title = 'a\n b' AND NEW.title = $q$a\n b$q$ -- of two\n",
        "cross-row": "count(*) > 0 from dummy_sketch where user_id = NEW.user_id and title = 'a\n b' -- of two",
        "shared": "count(*) filter (where title = 'a\n b') > 0 from dummy_sketch where user_id = NEW.user_id",
    }
    other = entry("other", condition="count(*) > 5 from dummy_sketch where user_id = NEW.user_id")
    declare(entry("lines", condition=conditions[level]), other)
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, %s)", [user.pk, "a\n     b"])
    assert held(user) == []
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, %s)", [user.pk, "a\n b"])
    assert held(user) == ["lines"]
    assert not Failure.objects.exists()
