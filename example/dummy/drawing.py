"""Each sketch has a picture, which follows from its number alone."""

from __future__ import annotations

import itertools
import math
import random

PALETTES = (
    ("#fff4d6", "#e4572e", "#17bebb", "#2e282a"),
    ("#eaf4ff", "#3a5bd9", "#f2a541", "#1c2541"),
    ("#fdeef4", "#c2185b", "#5e548e", "#231942"),
    ("#eefbea", "#2d6a4f", "#f4a261", "#1b4332"),
    ("#fbf0e6", "#bc6c25", "#606c38", "#283618"),
)


def svg(number: int) -> str:
    """The picture of that sketch as an SVG document."""
    chance = random.Random(number)
    paper, first, second, ink = chance.choice(PALETTES)
    shapes = [blob(chance, color) for color in (first, second)]
    strokes = [scribble(chance, ink) for _ in range(chance.randint(1, 3))]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120">'
        f'<rect width="160" height="120" fill="{paper}"/>{"".join(shapes)}{"".join(strokes)}</svg>'
    )


def blob(chance: random.Random, color: str) -> str:
    """A round shape."""
    x, y, size = chance.randint(35, 125), chance.randint(30, 90), chance.randint(18, 42)
    corners = chance.choice((3, 4, 5, 40))
    turn = chance.random() * math.tau
    points = " ".join(
        f"{x + size * math.cos(turn + math.tau * each / corners):.0f},"
        f"{y + size * math.sin(turn + math.tau * each / corners):.0f}"
        for each in range(corners)
    )
    return f'<polygon points="{points}" fill="{color}" fill-opacity=".85"/>'


def scribble(chance: random.Random, color: str) -> str:
    """A line as a hand draws it."""
    points = [(chance.randint(8, 152), chance.randint(8, 112)) for _ in range(chance.randint(4, 7))]
    path = f"M{points[0][0]} {points[0][1]}" + "".join(
        f" Q{x} {y} {(x + u) // 2} {(y + v) // 2}" for (x, y), (u, v) in itertools.pairwise(points[1:])
    )
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2.5" stroke-linecap="round"/>'
