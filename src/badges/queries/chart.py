"""Columns over time as SVG, with a table that says the same. Pure: numbers in, markup out.

Fit for a strict Content-Security-Policy: no script, no style sheet, no style attribute. The columns have the colour of
the text around them, or the one that a site gives to `.badges-chart-column`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 640, 180
LEFT, TOP, BOTTOM = 56, 12, 22
"""Room for the numbers, above the columns, and for the labels."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    label: str
    value: int


def figure(
    columns: Sequence[Column], *, key: str, title: str, description: str, headings: tuple[str, str], table: str
) -> SafeString:
    """The chart, and below it the same numbers in a table that opens on request.

    :param key: an id for the chart, of which there is no other on the page.
    :param title: what the chart shows; :param description: what one would say of it on the telephone.
    :param headings: of the labels and of the numbers in the table; :param table: what opens it.
    """
    return format_html(
        '<div class="badges-chart">{}<details><summary>{}</summary><table><thead><tr><th scope="col">{}</th>'
        '<th scope="col">{}</th></tr></thead><tbody>{}</tbody></table></details></div>',
        svg(columns, key=key, title=title, description=description),
        table,
        *headings,
        format_html_join(
            "", '<tr><th scope="row">{}</th><td>{}</td></tr>', ((each.label, number(each.value)) for each in columns)
        ),
    )


def svg(columns: Sequence[Column], *, key: str, title: str, description: str) -> SafeString:
    """The chart alone; see `figure`."""
    top = nice_top(max((each.value for each in columns), default=0))
    width, height = (WIDTH - LEFT) / max(len(columns), 1), HEIGHT - TOP - BOTTOM
    return format_html(
        '<svg class="badges-chart-svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-labelledby="{key}-title {key}-desc" fill="currentColor" font-size="12" '
        'preserveAspectRatio="xMinYMin meet"><title id="{key}-title">{title}</title>'
        '<desc id="{key}-desc">{description}</desc>{lines}{columns}{labels}</svg>',
        width=WIDTH,
        height=HEIGHT,
        key=key,
        title=title,
        description=description,
        lines=format_html_join(
            "",
            '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="currentColor" stroke-opacity="0.25"/>'
            '<text x="{}" y="{}" text-anchor="end" dominant-baseline="middle">{}</text>',
            (
                (LEFT, WIDTH, y, y, LEFT - 8, y, number(value))
                for value, y in ((0, TOP + height), (top // 2, TOP + height // 2), (top, TOP))
                if value or y > TOP + height // 2
            ),
        ),
        columns=format_html_join(
            "",
            '<rect class="badges-chart-column" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>',
            (
                (
                    f"{LEFT + place * width + width * 0.1:.1f}",
                    f"{TOP + height - height * each.value / top:.1f}",
                    f"{width * 0.8:.1f}",
                    f"{height * each.value / top:.1f}",
                    each.label,
                    number(each.value),
                )
                for place, each in enumerate(columns)
            ),
        ),
        labels=format_html_join(
            "",
            '<text x="{}" y="{}" text-anchor="{}">{}</text>',
            (
                (f"{LEFT + (WIDTH - LEFT) * share:.1f}", HEIGHT - 6, anchor, columns[place].label)
                for place, share, anchor in _labelled(len(columns))
            ),
        ),
    )


def nice_top(highest: int) -> int:
    """The number at the upper end of the scale: 2, 4, 10, 20, 40, 100, ..., so that its half is whole, too."""
    top = 2
    while top < highest:
        top = top * 2 if str(top)[0] in "12" else top * 10 // 4
    return top


def number(value: int) -> str:
    """A number as the active language writes it."""
    return str(number_format(value, force_grouping=True))


def _labelled(count: int) -> list[tuple[int, float, str]]:
    """Which columns have a label below them: the first and the last. And where, and how it is anchored."""
    if not count:
        return []
    if count == 1:
        return [(0, 0.5, "middle")]
    return [(0, 0.0, "start"), (count - 1, 1.0, "end")]
