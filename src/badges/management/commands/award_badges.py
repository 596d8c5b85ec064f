from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import awarding, catalog, site
from badges.management.commands._base import BadgesCommand

SECONDS_BETWEEN_LINES = 2.0


class Command(BadgesCommand):
    help = "Award every user who qualifies now, by the rows that exist now. Safe to interrupt and to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("codes", metavar="CODE", nargs="*", help="The badges to award. Default: all of the file.")
        parser.add_argument("--dry-run", action="store_true", help="Only count who would be awarded.")

    def run(self, **options: Any) -> None:
        connection, path, definitions = self.load(options["file"], options["database"])
        if not options["dry_run"]:
            self._settle(connection)
        here = site.describe(connection)
        for failure in catalog.failures(connection, here):
            if not options["codes"] or failure.code in options["codes"]:
                self.stdout.write(self.style.WARNING(f"  {failure}"))
        verb = "would be awarded" if options["dry_run"] else "awarded"
        total, failed = 0, []
        said = time.monotonic()
        try:
            for progress in awarding.award(connection, definitions, path, options["codes"], dry_run=options["dry_run"]):
                if progress.error:
                    failed.append(progress.code)
                    self.stderr.write(self.style.ERROR(f"  {progress.code}: the condition failed: {progress.error}"))
                elif progress.skipped:
                    self.stdout.write(f"  {progress.code}: skipped, {progress.skipped}")
                elif progress.is_done:
                    self.stdout.write(f"  {progress.code}: {progress.awarded:,} {verb}")
                elif time.monotonic() - said > SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    self.stdout.write(
                        f"  {progress.code}: {progress.users_seen:,} of about {progress.users:,} users looked at, "
                        f"{progress.awarded:,} {verb}"
                    )
                if progress.failures_cleared:
                    self.stdout.write(f"  {progress.code}: {progress.failures_cleared:,} recorded failures cleared")
                total += progress.awarded if progress.is_done else 0
        except KeyboardInterrupt:
            raise CommandError("Interrupted. What was awarded stays; run the command again to go on.") from None
        if failed:
            raise CommandError(f"{total:,} {verb}; not all, as the condition of {', '.join(failed)} failed.")
        self.stdout.write(self.style.SUCCESS(f"{total:,} {verb}."))

    def _settle(self, connection: BaseDatabaseWrapper) -> None:
        settled, remaining = awarding.settle(connection)
        if settled:
            self.stdout.write(f"  {settled:,} pending checks settled")
        if remaining:
            self.stdout.write(
                self.style.WARNING(
                    f"  {remaining:,} pending checks remain: a transaction that is still open keeps them."
                )
            )
