from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from badges import database
from badges.installation import executor
from badges.management.commands._base import BadgesCommand, count
from badges.models import Badge, BadgeEvent


class Command(BadgesCommand):
    help = "Drop all triggers and functions of the badges from the database, and say what stays."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_database(parser)
        parser.add_argument("--plan", action="store_true", help="Show the steps; change nothing.")

    def run(self, **options: Any) -> None:
        connection = database.connect(options["database"])
        if options["plan"]:
            self.write_steps(executor.draft_uninstallation(connection), locks=True)
            return
        self.hush(options["verbosity"])
        done = executor.uninstall(connection)
        if options["verbosity"] > 1:
            self.write_steps(done, locks=False)
        else:
            self.summarize_steps(done)
        badges = Badge.with_expired.using(connection.alias).count()
        events = BadgeEvent.objects.using(connection.alias).count()
        stays = f"{count(badges, 'badge')} of users, {count(events, 'event')} of their history, and the definitions"
        self.stdout.write(
            self.style.SUCCESS("No trigger and no function is left." if done.is_empty else "Done: all are dropped.")
        )
        self.stdout.write(
            f"What stays: {stays}. `python manage.py create_badge_triggers` installs the triggers again; "
            "`python manage.py migrate badges zero` removes the tables with all that is in them."
        )
