from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from badges.management.commands._base import BadgesCommand
from badges.operations import status

TITLES = (
    "code",
    "name",
    "after",
    "level",
    "trigger",
    "holders",
    "share",
    "badges",
    "last award",
    "failures",
    "pending",
)
NUMBERS = ("holders", "share", "badges", "failures", "pending")


class Command(BadgesCommand):
    help = "Show the status of each badge: triggers, holders, failures, pending checks."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="Print the list as JSON, with problems and hints.")

    def run(self, **options: Any) -> None:
        connection, _, definitions = self.load(options["file"], options["database"])
        badges = status.survey(connection, definitions)
        if options["json"]:
            self.stdout.write(json.dumps([badge.as_dict() for badge in badges], indent=2, ensure_ascii=False))
            return
        lines = [TITLES, *map(cells, badges)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            aligned = (
                cell.rjust(width) if title in NUMBERS else cell.ljust(width)
                for title, cell, width in zip(TITLES, line, widths, strict=True)
            )
            self.stdout.write("  ".join(aligned).rstrip())


def cells(badge: status.BadgeStatus) -> tuple[str, ...]:
    """One badge as a line of the table."""
    percent, is_less = badge.percent
    return (
        status.in_one_line(badge.code),
        status.in_one_line(badge.name),
        status.in_one_line("; ".join(map(str, badge.writes))),
        ", ".join(badge.levels),
        badge.state.value,
        f"{badge.holders:,}",
        f"{'<' if is_less else ''}{percent:g}%",
        f"{badge.badges:,}" if badge.badges != badge.holders else "",
        f"{badge.last_award:%Y-%m-%d %H:%M %Z}" if badge.last_award else "",
        f"{badge.failures:,}",
        f"{badge.pending:,}",
    )
