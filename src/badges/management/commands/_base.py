"""What the commands share: the options that name the file and the database, and how errors are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from badges import definitions, exceptions
from badges.conf import badges_settings


class BadgesCommand(BaseCommand):
    requires_system_checks = ()  # the command itself says what is wrong, and is what mends it

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--file", metavar="PATH", type=Path, help="The badge file. Default: the setting BADGES_FILE."
        )
        parser.add_argument(
            "--database", metavar="ALIAS", default=DEFAULT_DB_ALIAS, help='The database. Default: "default".'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run(**options)
        except exceptions.BadgesError as error:
            raise CommandError(str(error)) from error

    def run(self, **options: Any) -> None:
        raise NotImplementedError

    def load(self, file: Path | None) -> tuple[Path, tuple[definitions.Definition, ...]]:
        path = file or badges_settings.BADGES_FILE
        return path, definitions.load(path)
