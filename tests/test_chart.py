"""The chart of awards over time: what is counted, and what is drawn."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from badges.models import BadgeEvent
from badges.queries import chart, timeline
from badges.queries.timeline import Unit

COLUMNS = [chart.Column("1 May", 3), chart.Column("<2 May>", 0), chart.Column("3 May", 1234)]
WORDS = {"key": "awards", "title": "Awards of <Star>", "description": "1,237 awards", "headings": ("Day", "Awards")}
DATE = datetime.date


def parsed(markup):
    return ET.fromstring(markup)


@pytest.fixture
def awarded(db, user):
    """Write events of awards at these times."""

    def write(*times, code="star", kind="awarded"):
        for at in times:
            BadgeEvent.objects.create(user=user, code=code, kind=kind, cause="sql", at=at)

    return write


def ago(**time):
    return timezone.now() - datetime.timedelta(**time)


def test_table_says_what_the_chart_shows():
    """The table has each column with its number, headed; it is there for those who do not see the chart."""
    found = parsed(chart.figure(COLUMNS, **WORDS, table="Show as table"))
    assert [" ".join(row.itertext()) for row in found.iter("tr")] == [
        "Day Awards",
        "1 May 3",
        "<2 May> 0",
        "3 May 1,234",
    ]
    assert [heading.get("scope") for heading in found.iter("th")] == ["col", "col", "row", "row", "row"]


def test_chart_has_a_name():
    """The chart is an image with a title and a description; each column tells its number."""
    words = {key: value for key, value in WORDS.items() if key != "headings"}
    found = parsed(chart.svg(COLUMNS, **words))
    assert found.get("role") == "img"
    assert [found.find(f".//*[@id='{name}']").text for name in found.get("aria-labelledby").split()] == [
        "Awards of <Star>",
        "1,237 awards",
    ]
    assert [column.find("title").text for column in found.iter("rect")] == ["1 May: 3", "<2 May>: 0", "3 May: 1,234"]


def test_columns_are_as_high_as_their_numbers():
    """A column is as high as its share of the scale, stands on the base line, and lies within the picture."""
    words = {key: value for key, value in WORDS.items() if key != "headings"}
    columns = list(
        parsed(chart.svg([chart.Column("a", 5), chart.Column("b", 10), chart.Column("c", 0)], **words)).iter("rect")
    )
    heights = [float(column.get("height")) for column in columns]
    assert heights[0] * 2 == heights[1] == chart.HEIGHT - chart.TOP - chart.BOTTOM
    assert heights[2] == 0
    assert {float(column.get("y")) + float(column.get("height")) for column in columns} == {chart.HEIGHT - chart.BOTTOM}
    assert all(chart.LEFT <= float(column.get("x")) <= chart.WIDTH - float(column.get("width")) for column in columns)


def test_numbers_in_coordinates_are_not_localized():
    """Numbers for people follow the language; those for the browser do not."""
    with translation.override("de"):
        found = chart.figure(COLUMNS, **WORDS, table="Tabelle")
    assert "1.234" in found
    for column in parsed(found).iter("rect"):
        float(column.get("x"))


def test_strict_csp():
    """There is no style, script or handler that a strict Content-Security-Policy would refuse."""
    for element in parsed(chart.figure(COLUMNS, **WORDS, table="Show")).iter():
        assert element.tag not in {"style", "script"}
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (21, 40), (99, 100), (1234, 2000)]
)
def test_scale(highest, top):
    """The scale ends at a round number that has a whole half."""
    assert chart.nice_top(highest) == top


def test_nothing_to_draw():
    """Without columns there is still a chart."""
    assert not list(parsed(chart.figure([], **WORDS, table="Show")).iter("rect"))


def test_days(awarded):
    """A young badge is counted by the day, from its first award to today; days without awards are there."""
    awarded(ago(days=3), ago(days=3), ago(days=1), None)
    awarded(ago(days=9), code="other")
    awarded(ago(days=2), kind="revoked")
    with CaptureQueriesContext(connection) as queries:
        found = timeline.of("star")
    assert (found.unit, [awards for _, awards in found.steps], found.awards) == (Unit.DAY, [2, 0, 1, 0], 3)
    assert found.steps[-1][0] == timezone.localdate()
    assert len(queries) == 2


def test_never_awarded(db):
    """A badge that was never awarded has no steps."""
    assert timeline.of("star").steps == ()


def test_time_zone(awarded, monkeypatch):
    """Days are those of the time zone that is active."""
    evening = datetime.datetime(2026, 5, 1, 23, 30, tzinfo=datetime.UTC)
    awarded(evening)
    monkeypatch.setattr(timezone, "now", lambda: evening)
    assert timeline.of("star").steps == ((DATE(2026, 5, 1), 1),)
    with timezone.override("Asia/Tokyo"):
        assert timeline.of("star").steps == ((DATE(2026, 5, 2), 1),)


@pytest.mark.parametrize("days", [0, 45, 46, 366, 367, 1830, 1831, 9000])
def test_number_of_steps(awarded, days):
    """However old a badge is, no award is lost, and the steps follow one upon another and are not too many."""
    awarded(ago(days=days), ago(days=days / 2), timezone.now())
    found = timeline.of("star")
    assert found.awards == 3
    assert len(found.steps) <= 62
    days = [day for day, _ in found.steps]
    assert [timeline.following(day, found.unit) for day in days[:-1]] == days[1:]


@pytest.mark.parametrize(
    ("unit", "first", "second"),
    [
        (Unit.DAY, DATE(2027, 12, 31), DATE(2028, 1, 1)),
        (Unit.WEEK, DATE(2027, 12, 27), DATE(2028, 1, 3)),
        (Unit.MONTH, DATE(2027, 12, 1), DATE(2028, 1, 1)),
        (Unit.YEAR, DATE(2027, 1, 1), DATE(2028, 1, 1)),
    ],
)
def test_steps(unit, first, second):
    """Days, weeks from Monday, months and years end where the calendar says."""
    assert timeline.floor(DATE(2027, 12, 31), unit) == first
    assert timeline.following(first, unit) == second
