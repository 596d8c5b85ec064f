from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.definitions.types import Definition
from badges.facts.target import describe_target
from badges.installation import catalog
from badges.management.commands._base import SECONDS_BETWEEN_LINES, BadgesCommand, count
from badges.operations import backfill, brake, preview
from badges.operations.settle import defer, resume, settle


class Command(BadgesCommand):
    help = "Award every user who qualifies now, by the rows that exist now. Safe to interrupt and to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("codes", metavar="CODE", nargs="*", help="The badges to award. Default: all of the file.")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Only show the users who would be awarded, with warnings; change nothing.",
        )
        self.add_count(parser, "Preview as --dry-run does")
        parser.add_argument(
            "--late",
            action="store_true",
            help="Only badges that need catch-up: by the time, or by changes that no trigger watches.",
        )
        parser.add_argument("--settle", action="store_true", help="Only settle the pending checks.")
        parser.add_argument(
            "--defer", action="store_true", help="Only have writes leave pending checks of these badges from now on."
        )
        parser.add_argument(
            "--resume", action="store_true", help="Have writes evaluate these badges again, and award them."
        )
        self.add_yes(parser)
        self.add_quiet(parser)
        self.add_trust(parser)

    def run(self, **options: Any) -> None:
        connection, source, definitions = self.load(options["file"], options["database"])
        codes = options["codes"]
        options["dry_run"] = options["dry_run"] or options["count"]
        if options["defer"] or options["resume"]:
            self._defer_or_resume(connection, definitions, source, codes, is_deferring=options["defer"])
            if options["defer"]:
                return
        if options["late"] and not options["settle"]:
            codes = backfill.needing_catch_up(connection, definitions, source, codes)
        is_empty = options["late"] and not codes
        if not (options["yes"] or options["dry_run"] or options["settle"] or is_empty):
            brake.before_award(connection, definitions, source, codes)
        if not options["dry_run"]:
            self.hush(options["verbosity"])
            self._settle(connection)
        if options["settle"]:
            return
        if is_empty:
            self.stdout.write(self.style.SUCCESS("No badge needs catch-up."))
            return
        self._warn(connection, codes)
        if options["dry_run"]:
            previews: Sequence[preview.Preview] = preview.of_chosen(connection, definitions, source, codes)
            if options["count"]:
                previews = self.count_in_batches(connection, definitions, source, previews)
            self._preview(previews)
        else:
            self._award(connection, backfill.award(connection, definitions, source, codes, quiet=options["quiet"]))

    def _warn(self, connection: BaseDatabaseWrapper, codes: Sequence[str]) -> None:
        for failure in catalog.failures(connection, describe_target(connection)):
            if not codes or failure.code in codes:
                self.stdout.write(self.style.WARNING(f"  {failure}"))

    def _award(self, connection: BaseDatabaseWrapper, backfilling: Iterator[backfill.BackfillProgress]) -> None:
        self.said = time.monotonic()
        self.tenant = describe_target(connection).tenant
        total, left, failed = 0, 0, []
        try:
            for progress in backfilling:
                self._show(progress)
                if progress.is_done:
                    total += progress.awarded
                    left += progress.left
                    failed += [progress.code] if progress.error else []
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. The awards so far stay; run the command again to award the rest."
            ) from None
        if left:
            self._settle(connection)
        if failed:
            raise CommandError(f"{total:,} awarded; not all, as the condition of {', '.join(failed)} failed.")
        self.stdout.write(self.style.SUCCESS(f"{total:,} awarded."))

    def _show(self, progress: backfill.BackfillProgress) -> None:
        code = progress.code
        if progress.error:
            self.stderr.write(self.style.ERROR(f"  {code}: the condition failed: {progress.error}"))
        elif progress.skipped:
            self.stdout.write(f"  {code}: skipped, {progress.skipped}")
        elif progress.is_done:
            revoked = f", {progress.revoked:,} revoked" if progress.revoked else ""
            left = f", {count(progress.left, 'pending check')} left for locked users" if progress.left else ""
            self.stdout.write(f"  {code}: {progress.awarded:,} awarded{revoked}{left}")
        elif time.monotonic() - self.said > SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            seen = f"{progress.users_seen:,} of about {progress.users:,} users processed"
            self.stdout.write(f"  {code}: {seen}, {progress.awarded:,} awarded")
        if progress.failures_cleared:
            self.stdout.write(f"  {code}: {count(progress.failures_cleared, 'recorded failure')} cleared")
        if progress.failures_kept:
            kept = f"{count(progress.failures_kept, 'recorded failure')} kept"
            if progress.skipped != backfill.PAUSED:
                delete = (
                    sql.SQL("DELETE FROM badges_failure WHERE code = {}{};")
                    .format(
                        sql.Literal(code),
                        sql.SQL(" AND tenant = {}").format(sql.Literal(self.tenant)) if self.tenant else sql.SQL(""),
                    )
                    .as_string()
                )
                kept += f", as what they missed may not be found. Award it manually where it is due, then: {delete}"
            self.stdout.write(self.style.WARNING(f"  {code}: {kept}"))
        for writer in progress.open_writers:
            warning = f"  {code}: {writer} still writes. If it began before the badge was installed, run this again."
            self.stdout.write(self.style.WARNING(warning))

    def _preview(self, previews: Sequence[preview.Preview]) -> None:
        self.write_previews(previews)
        total = f"{sum(each.count.awards or 0 for each in previews):,} would be awarded"
        if uncounted := [each.code for each in previews if each.count.error]:
            raise CommandError(f"{total}; not all, as {', '.join(uncounted)} could not be counted.")
        self.stdout.write(self.style.SUCCESS(f"{total}."))

    def _defer_or_resume(
        self,
        connection: BaseDatabaseWrapper,
        definitions: Sequence[Definition],
        source: str,
        codes: Sequence[str],
        *,
        is_deferring: bool,
    ) -> None:
        if not codes:
            raise CommandError(f"Name the badges: award_badges CODE {'--defer' if is_deferring else '--resume'}.")
        for definition in backfill.choose(definitions, codes, source):
            if is_deferring:
                defer(connection, definition.code)
                self.stdout.write(f"  {definition.code}: deferred, until award_badges {definition.code} --resume")
            elif resume(connection, definition.code):
                self.stdout.write(f"  {definition.code}: resumed")

    def _settle(self, connection: BaseDatabaseWrapper) -> None:
        settled, remaining = settle(connection)
        if settled:
            self.stdout.write(f"  {count(settled, 'pending check')} settled")
        if remaining:
            remain = f"{count(remaining, 'pending check')} left"
            self.stdout.write(
                self.style.WARNING(
                    f"  {remain}: an open transaction holds their lock, their condition fails, or the type of a column "
                    "has changed since the last create_badge_triggers."
                )
            )
