from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS

from badges import database
from badges.management.commands._base import BadgesCommand, count
from badges.models import Badge
from badges.operations import explain


class Command(BadgesCommand):
    help = "Erase what the badges of a user and their history say: evidence, actors, reasons and subjects."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="The user: primary key, or else username.")
        parser.add_argument(
            "--database", metavar="ALIAS", default=DEFAULT_DB_ALIAS, help='The database. Default: "default".'
        )
        parser.add_argument("--delete", action="store_true", help="Delete the badges and their history as well.")

    def run(self, **options: Any) -> None:
        connection = database.connect(options["database"])
        user = explain.find_user(connection, options["user"])
        number = Badge.objects.db_manager(connection.alias).erase(user, keep=not options["delete"])
        what = count(number, "row")
        self.stdout.write(f"{what} {'deleted' if options['delete'] else 'erased'}.")
