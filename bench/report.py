"""The figures as a table for the terminal, as JSON, and as Markdown."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.measure import Figure, Spread
from bench.plan import Figures, Measurement

BEGIN, END = "<!-- figures: made by run.py bench -->", "<!-- end of the figures -->"

HEADING = ("", "CPU of the backend", "wall", "client's CPU", "ratio", "memory")


def time_of(microseconds: float) -> str:
    """Three digits, in a suitable unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1.0)):
        if abs(microseconds) >= size or unit == "µs":
            return f"{_three(microseconds / size)} {unit}"
    raise AssertionError("unreachable")


def _three(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if spread.low == spread.high:
        return time_of(spread.median)
    return f"{time_of(spread.median)} ({time_of(spread.low)} to {time_of(spread.high)})"


def _ratio(figure: Figure) -> str:
    if figure.ratio is None or figure.baseline == figure.contestant:
        return ""
    low, high = _three(figure.ratio.low), _three(figure.ratio.high)
    text = _three(figure.ratio.median) + (f" ({low} to {high})" if low != high else "")
    return text if figure.baseline == "none" else f"{text} of {figure.baseline}"


def cells(figure: Figure) -> tuple[str, ...]:
    memory = "" if figure.memory_kb is None else f"{figure.memory_kb / 1024:.1f} MB"
    name = figure.contestant + (f": {figure.note}" if figure.note else "")
    client = time_of(figure.client.median) if figure.client and figure.client.median else ""
    return (
        name,
        _spread(figure.cpu),
        time_of(figure.wall.median) if figure.wall else "",
        client,
        _ratio(figure),
        memory,
    )


def groups(figures: Sequence[Figure]) -> Iterator[tuple[str, list[Figure]]]:
    """The figures by measurement and case, with the title of each."""
    for (name, case, unit), group in itertools.groupby(figures, lambda each: (each.measurement, each.case, each.unit)):
        yield f"{name}{f', {case}' if case else ''} (each {unit})", list(group)


def table(figures: Sequence[Figure]) -> str:
    """For the terminal."""
    lines = []
    for title, group in groups(figures):
        rows = [(title, *HEADING[1:]), *map(cells, group)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADING))]
        widths[0] = max(widths[0], 44)
        lines.append("")
        for row in rows:
            first, *others = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def judged(measurements: Sequence[Measurement], figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Each target with the measured value, and whether it is reached."""
    found = Figures(figures)
    targets = []
    for measurement in measurements:
        for target in measurement.targets:
            try:
                value = target.value(found)
            except LookupError:
                value = None
            try:
                floor = target.floor(found) if target.floor else None
            except LookupError:
                floor = None
            verdict = "not measured" if value is None else "reached" if value <= target.at_most else "missed"
            targets.append(
                {
                    "measurement": measurement.name,
                    "target": target.text,
                    "at_most": target.at_most,
                    "value": value,
                    "floor": floor,
                    "verdict": verdict,
                }
            )
    return targets


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if 0 < value < 0.1 else f"{value:.2f}"


def targets_table(targets: Sequence[dict[str, Any]]) -> str:
    """For the terminal."""
    lines = ["", "Targets"]
    for each in targets:
        floor = f", floor {_value(each['floor'])}" if each["floor"] is not None else ""
        value = (
            f": {_value(each['value'])} (at most {_value(each['at_most'])}{floor})" if each["value"] is not None else ""
        )
        lines.append(f"  {each['verdict']:12} {each['target']}{value}")
    return "\n".join(lines)


def comparison(before: Sequence[dict[str, Any]], figures: Sequence[Figure]) -> str:
    """The changes of the ratios since an earlier run, for the terminal."""
    keys = ("measurement", "case", "contestant")
    known = {tuple(each[key] for key in keys): each["ratio"] for each in before}
    lines = ["", "Ratios, before and now"]
    for figure in figures:
        old = known.get((figure.measurement, figure.case, figure.contestant))
        if old and figure.ratio and figure.baseline != figure.contestant:
            name = ", ".join(filter(None, (figure.measurement, figure.case, figure.contestant)))
            change = figure.ratio.median / old["median"] - 1
            is_clear = figure.ratio.high < old["low"] or figure.ratio.low > old["high"]
            shown = f"{_three(old['median']):>7} {_three(figure.ratio.median):>7} {change:+8.1%}"
            lines.append(f"  {name:60} {shown}{'' if is_clear else '  (within the spread)'}")
    return "\n".join(lines)


def as_json(facts: dict[str, Any], measurements: Sequence[Measurement], figures: Sequence[Figure]) -> dict[str, Any]:
    """All figures and targets; times in microseconds."""
    return {
        **facts,
        "figures": [dataclasses.asdict(each) for each in figures],
        "targets": judged(measurements, figures),
    }


def facts_text(facts: dict[str, Any]) -> str:
    """The versions, settings and machine, in a sentence or two."""
    settings = ", ".join(f"{name} = {value}" for name, value in facts["settings"].items())
    before, after = facts["load_at_start"][0], facts["load_at_end"][0]
    return (
        f"PostgreSQL {facts['postgresql']}, Python {facts['python']}, Django {facts['django']}, psycopg"
        f" {facts['psycopg']}; {facts['cpus']} processors ({facts['machine']}), load {before} at the start and {after}"
        f" at the end; sizes: {facts['sizes']}; {facts['minutes']} minutes. {settings}."
    )


def markdown(facts: dict[str, Any], measurements: Sequence[Measurement], figures: Sequence[Figure]) -> str:
    """The tables for docs/performance.md."""
    lines = [f"`{facts['command']}`", "", facts_text(facts), ""]
    lines += ["| target | measured | floor | |", "|---|---|---|---|"]
    for each in judged(measurements, figures):
        lines.append(f"| {each['target']} | {_value(each['value'])} | {_value(each['floor'])} | {each['verdict']} |")
    about = {measurement.name: measurement.about for measurement in measurements}
    for name, own in itertools.groupby(figures, lambda each: each.measurement):
        lines += [
            "",
            f"**{name}**: {about.get(name, '')}",
            "",
            f"| {' | '.join(HEADING)} |",
            "|---" * len(HEADING) + "|",
        ]
        for title, group in groups(list(own)):
            case = title.removeprefix(name).removeprefix(", ").strip()
            lines.append(f"| *{case}* |" + " |" * (len(HEADING) - 1))
            lines += [f"| {' | '.join(cells(each))} |" for each in group]
    return "\n".join(lines)


def write_into(page: Path, text: str) -> None:
    """Replace the text between the two marks of a document."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
