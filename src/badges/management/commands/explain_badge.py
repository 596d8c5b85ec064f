from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from badges.management.commands._base import BadgesCommand
from badges.operations import explain


class Command(BadgesCommand):
    help = "Explain why a user holds a badge, or does not, with hints. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("code", metavar="CODE", help="The badge.")
        parser.add_argument("user", metavar="USER", help="The user: primary key, or else username.")
        parser.add_argument("--thing", metavar="KEY", help="One subject, of a badge that is awarded per subject.")
        parser.add_argument("--json", action="store_true", help="Print all of it as JSON.")
        self.add_trust(parser)

    def run(self, **options: Any) -> None:
        connection, source, definitions = self.load(options["file"], options["database"])
        found = explain.explain(connection, definitions, source, options["code"], options["user"], options["thing"])
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(found.as_text())
