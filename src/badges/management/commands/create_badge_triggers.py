from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.installation import executor, transactions
from badges.installation.types import Action, Plan
from badges.management.commands._base import BadgesCommand, count
from badges.operations import brake, preview
from badges.operations.preview import Preview


class Command(BadgesCommand):
    help = "Bring the database's badge triggers in sync with the badge file."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--plan",
            action="store_true",
            help="Show the steps with their reasons and locks, and a preview of the badges; change nothing.",
        )
        self.add_count(parser, "Show what --plan shows")
        parser.add_argument(
            "--check", action="store_true", help="Exit with 1 if anything would change; change nothing."
        )
        parser.add_argument("--sql", action="store_true", help="Print the SQL of the steps; change nothing.")
        parser.add_argument("--json", action="store_true", help="Print the plan as JSON; change nothing.")
        parser.add_argument(
            "--backfill", action="store_true", help="Then award all users who qualify already, as award_badges does."
        )
        parser.add_argument(
            "--prune-all",
            action="store_true",
            help="Also drop the triggers and functions that other schemas have for the same table of badges.",
        )
        self.add_yes(parser)
        self.add_quiet(parser)
        self.add_trust(parser)

    def run(self, **options: Any) -> None:
        connection, source, definitions = self.load(options["file"], options["database"])
        options["plan"] = options["plan"] or options["count"]
        if options["plan"] or options["check"] or options["sql"] or options["json"]:
            drafted = executor.draft(connection, definitions, source, prune_all=options["prune_all"])
            previews: Sequence[Preview] = ()
            if options["json"] or (options["plan"] and not options["sql"]):
                previews = preview.of_changed(connection, definitions, source)
            if options["count"]:
                previews = self.count_in_batches(connection, definitions, source, previews)
            self._show(drafted, previews, connection, **options)
            if options["check"] and not drafted.is_empty:
                raise CommandError(
                    f"The database is out of date: {_steps(drafted)} to bring it in sync with {source}. "
                    "Run `python manage.py create_badge_triggers`.",
                    returncode=1,
                )
            return
        self.hush(options["verbosity"])
        if not options["yes"]:
            brake.before_install(connection, definitions, source, backfill=options["backfill"])
        done = executor.apply(connection, definitions, source, prune_all=options["prune_all"])
        if options["verbosity"] > 1:
            self.write_steps(done, locks=False)
        else:
            self.summarize_steps(done)
        summary = f"{count(done.badges, 'badge')} on {count(done.triggers, 'trigger')}"
        if done.is_empty:
            self.stdout.write(f"Nothing to do: {summary}, in sync with {source}.")
        else:
            self.stdout.write(self.style.SUCCESS(f"Done: {summary}, in sync with {source}."))
        self._warn(done)
        if options["backfill"]:
            call_command(
                "award_badges",
                file=options["file"],
                database=options["database"],
                yes=True,
                quiet=options["quiet"],
                verbosity=options["verbosity"],
                stdout=self.stdout,
                stderr=self.stderr,
            )
        elif any(step.action in (Action.ADD_DEFINITION, Action.CHANGE_DEFINITION) for step in done.steps):
            self.stdout.write(
                "PostgreSQL awards them from now on. To award users who qualify already: python manage.py award_badges"
            )

    def _show(
        self, drafted: Plan, previews: Sequence[Preview], connection: BaseDatabaseWrapper, **options: Any
    ) -> None:
        if options["json"]:
            found = {**drafted.as_dict(), "previews": [each.as_dict() for each in previews]}
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
        elif options["sql"]:
            self.stdout.write(drafted.as_sql([part.steps for part in transactions.split(drafted.steps)]))
        elif drafted.is_empty:
            summary = f"{count(drafted.badges, 'badge')} on {count(drafted.triggers, 'trigger')}"
            self.stdout.write(f'Nothing to do: {summary}, database "{connection.alias}" in sync.')
        else:
            number = len(transactions.split(drafted.steps))
            parts = "one transaction" if number == 1 else f"{number} transactions"
            self.stdout.write(f'To do in the database "{connection.alias}": {_steps(drafted)}, in {parts}.')
            self.write_steps(drafted, locks=True)
            if previews:
                self.stdout.write("Preview, by the rows that exist now, with award_badges or --backfill:")
                self.write_previews(previews)
        self._warn(drafted)

    def _warn(self, drafted: Plan) -> None:
        for finding in (*drafted.disabled, *drafted.findings):
            self.stderr.write(self.style.WARNING(f"  {finding.message}\n      {finding.hint}"))
        for failure in drafted.failures:
            self.stderr.write(self.style.WARNING(f"  {failure}"))
        if drafted.failures:
            self.stderr.write("  No write was harmed. Fix the conditions, then run: python manage.py award_badges")


def _steps(drafted: Plan) -> str:
    return count(len(drafted.steps), "step")
