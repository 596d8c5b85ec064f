"""The chart of awards over time: what is counted, and what is drawn."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from badges.models import BadgeEvent
from badges.queries import timeline
from badges.queries.timeline import Unit

DATE = datetime.date
TODAY = DATE(2026, 5, 3)
AWARDS = {DATE(2026, 5, 1): 3, TODAY: 1234}


def chart(awards=AWARDS):
    """The elements of the chart of awards by day."""
    return parsed(render_to_string("badges/chart.html", {"chart": timeline.drawn(awards, TODAY)}))


def by_id(found, element):
    return " ".join("".join(found.find(f".//*[@id='{name}']").itertext()) for name in element.split())


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
    """The table has each day of awards with its number, headed; it is there for those who do not see the chart."""
    found = chart()
    assert [" ".join(row.itertext()) for row in found.iter("tr")] == [
        "Day Awards",
        "05/01/2026 3",
        "05/03/2026 1,234",
    ]
    assert [heading.get("scope") for heading in found.iter("th")] == ["col", "col", "row", "row"]


def test_chart_has_a_name():
    """The chart is an image with a name and a description; each bar shows its number."""
    found = chart()
    image = found.find("svg")
    assert image.get("role") == "img"
    assert by_id(found, image.get("aria-labelledby")) == (
        "1,237 awards over time From 04/27/2026 to 05/03/2026; peak: 05/03/2026 (1,234)."
    )
    assert [bar.find("title").text for bar in found.iter("rect")] == ["05/01/2026: 3", "05/03/2026: 1,234"]


def test_bars_are_as_high_as_their_numbers():
    """A bar is as high as its share of the scale, stands on the base line, and lies within the picture."""
    found = chart({DATE(2026, 4, 20): 5, DATE(2026, 5, 1): 10, TODAY: 0})
    _, _, width, height = map(int, found.find("svg/svg").get("viewBox").split())
    bars = [{name: int(bar.get(name)) for name in ("x", "y", "width", "height")} for bar in found.iter("rect")]
    assert [bar["height"] for bar in bars] == [height / 2, height]
    assert {bar["y"] + bar["height"] for bar in bars} == {height}
    assert all(0 <= bar["x"] <= width - bar["width"] for bar in bars)


def test_every_award_is_seen():
    """A bar of one award is visible beside one of many thousands."""
    [low, high] = chart({DATE(2026, 5, 1): 1, TODAY: 10_000}).iter("rect")
    assert (low.get("height"), high.get("height")) == ("2", "100")


def test_scale_of_the_chart():
    """The lines of the chart show the number at the end of the scale, and its half."""
    assert [text.text for text in chart().iter("text")][:3] == ["2,000", "1,000", "0"]


def test_numbers_in_coordinates_are_not_localized():
    """Numbers for people follow the language; those for the browser do not, however many bars there are."""
    with translation.override("de"):
        found = chart({TODAY - datetime.timedelta(days=days): 1000 for days in range(5 * 366)})
    assert " ".join(found.find("figcaption").itertext()) == "1.830.000 Verleihungen im Lauf der Zeit"
    for bar in found.iter("rect"):
        int(bar.get("x"))
    int(found.find("svg/svg").get("viewBox").split()[2])


def test_strict_csp():
    """There is no style, script or handler that a strict Content-Security-Policy would reject."""
    for element in chart().iter():
        assert element.tag not in {"style", "script"}
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (21, 40), (99, 100), (1234, 2000)]
)
def test_scale(highest, top):
    """The scale ends at a round number that has a whole half."""
    assert timeline.scale_for(highest) == top


def counts(found):
    return [bar.awards for bar in found.bars]


def test_days(awarded):
    """A young badge is counted by the day until today; days without awards are there, and a week at least."""
    awarded(ago(days=3), ago(days=3), ago(days=1), None)
    awarded(ago(days=9), code="other")
    awarded(ago(days=2), kind="revoked")
    with CaptureQueriesContext(connection) as queries:
        found = timeline.of("star")
    assert (found.unit, counts(found), found.awards) == (Unit.DAY, [0, 0, 0, 2, 0, 1, 0], 3)
    assert found.last.start == timezone.localdate()
    assert len(queries) == 2


def test_never_awarded(db):
    """A badge that was never awarded has no chart."""
    assert timeline.of("star") is None


def test_time_zone(awarded, monkeypatch):
    """Days are those of the time zone that is active."""
    evening = datetime.datetime(2026, 5, 1, 23, 30, tzinfo=datetime.UTC)
    awarded(evening)
    monkeypatch.setattr(timezone, "now", lambda: evening)
    for zone, day in (("UTC", DATE(2026, 5, 1)), ("Asia/Tokyo", DATE(2026, 5, 2))):
        with timezone.override(zone):
            found = timeline.of("star")
        assert ((found.last.start, found.last.awards), found.awards) == ((day, 1), 1)


@pytest.mark.parametrize("days", [0, 45, 46, 366, 367, 1830, 1831, 9000])
def test_number_of_bars(awarded, days):
    """However old a badge is, no award is lost, and the bars follow one upon another and are not too many."""
    awarded(ago(days=days), ago(days=days / 2), timezone.now())
    found = timeline.of("star")
    assert found.awards == 3
    assert 7 <= len(found.bars) <= 62
    starts = [bar.start for bar in found.bars]
    assert [timeline.floor(day - datetime.timedelta(days=1), found.unit) for day in starts[1:]] == starts[:-1]
    assert [bar.x for bar in found.bars] == list(range(1, found.width, 10))
    assert found.last.start == timeline.floor(timezone.localdate(), found.unit)


@pytest.mark.parametrize(
    ("ago", "unit", "count"),
    [(1, "day", 7), (30, "day", 31), (90, "week", 14), (700, "month", None), (4000, "year", None)],
)
def test_units(ago, unit, count):
    """The longer ago the first award, the wider the bars; all awards are in them, the last bar is today's."""
    today = DATE(2026, 3, 31)
    found = timeline.drawn({today - datetime.timedelta(days=ago): 3, today: 4}, today)
    assert found.unit == unit
    assert count is None or len(found.bars) == count
    assert found.awards == 7
    assert found.last.awards >= 4
    assert found.peak.height == max(bar.height for bar in found.bars) == 100


@pytest.mark.parametrize(
    ("unit", "first"),
    [
        (Unit.DAY, DATE(2027, 12, 31)),
        (Unit.WEEK, DATE(2027, 12, 27)),
        (Unit.MONTH, DATE(2027, 12, 1)),
        (Unit.YEAR, DATE(2027, 1, 1)),
    ],
)
def test_calendar(unit, first):
    """Days, weeks from Monday, months and years begin where the calendar says."""
    assert timeline.floor(DATE(2027, 12, 31), unit) == first
