from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import awarding, catalog, site
from badges.management.commands._base import BadgesCommand, count

SECONDS_BETWEEN_LINES = 2.0


class Command(BadgesCommand):
    help = "Award every user who qualifies now, by the rows that exist now. Safe to interrupt and to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("codes", metavar="CODE", nargs="*", help="The badges to award. Default: all of the file.")
        parser.add_argument("--dry-run", action="store_true", help="Only count who would be awarded.")
        parser.add_argument("--settle", action="store_true", help="Only settle the pending checks.")

    def run(self, **options: Any) -> None:
        connection, source, definitions = self.load(options["file"], options["database"])
        if not options["dry_run"]:
            self._settle(connection)
        if options["settle"]:
            return
        here = site.describe(connection)
        for failure in catalog.failures(connection, here):
            if not options["codes"] or failure.code in options["codes"]:
                self.stdout.write(self.style.WARNING(f"  {failure}"))
        verb = "would be awarded" if options["dry_run"] else "awarded"
        self.said = time.monotonic()
        total, failed = 0, []
        try:
            for progress in awarding.award(
                connection, definitions, source, options["codes"], dry_run=options["dry_run"]
            ):
                self._show(progress, verb)
                if progress.is_done:
                    total += progress.awarded
                    failed += [progress.code] if progress.error else []
        except KeyboardInterrupt:
            raise CommandError("Interrupted. What was awarded stays; run the command again to go on.") from None
        if failed:
            raise CommandError(f"{total:,} {verb}; not all, as the condition of {', '.join(failed)} failed.")
        self.stdout.write(self.style.SUCCESS(f"{total:,} {verb}."))

    def _show(self, progress: awarding.Progress, verb: str) -> None:
        code = progress.code
        if progress.error:
            self.stderr.write(self.style.ERROR(f"  {code}: the condition failed: {progress.error}"))
        elif progress.skipped:
            self.stdout.write(f"  {code}: skipped, {progress.skipped}")
        elif progress.is_done:
            self.stdout.write(f"  {code}: {progress.awarded:,} {verb}")
        elif time.monotonic() - self.said > SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            seen = f"{progress.users_seen:,} of about {progress.users:,} users looked at"
            self.stdout.write(f"  {code}: {seen}, {progress.awarded:,} {verb}")
        if progress.failures_cleared:
            self.stdout.write(f"  {code}: {count(progress.failures_cleared, 'recorded failure')} cleared")
        for writer in progress.open_writers:
            warning = f"  {code}: {writer} still writes. If it began before the badge was installed, run this again."
            self.stdout.write(self.style.WARNING(warning))

    def _settle(self, connection: BaseDatabaseWrapper) -> None:
        settled, remaining = awarding.settle(connection)
        if settled:
            self.stdout.write(f"  {count(settled, 'pending check')} settled")
        if remaining:
            remain = f"{count(remaining, 'pending check')} left"
            self.stdout.write(
                self.style.WARNING(f"  {remain}: an open transaction keeps them, or their condition fails.")
            )
