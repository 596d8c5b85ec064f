"""The base of the commands: the options that name the file and the database, and the output of errors."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import database, exceptions
from badges.conf import as_path
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import trusting
from badges.installation.types import NO_LOCK, Action, Plan, Step
from badges.operations import preview
from badges.operations.preview import Preview

_ORDER = list(Action)
_OF_DEFINITIONS = (Action.ADD_DEFINITION, Action.CHANGE_DEFINITION, Action.RETIRE_DEFINITION)
SECONDS_BETWEEN_LINES = 2.0
"""Of the progress of a command."""

_MOST_DEFINITIONS = 10
"""More changed definitions than these are only counted, unless the command is verbose."""


class BadgesCommand(BaseCommand):
    requires_system_checks = ()  # the command reports what is wrong, and fixes it

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--file", metavar="PATH", type=as_path, help="The badge file. Default: the setting BADGES_FILE."
        )
        self.add_database(parser)

    def add_database(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database", metavar="ALIAS", default=DEFAULT_DB_ALIAS, help='The database. Default: "default".'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # call_command hands on what it is given.
        if options.get("file"):
            options["file"] = as_path(options["file"])
        try:
            with trusting(options.get("trust") or ()):
                self.run(**options)
        except exceptions.BadgesError as error:
            raise CommandError(str(error)) from error

    def run(self, **options: Any) -> None:
        raise NotImplementedError

    def load(self, file: Path | None, alias: str) -> tuple[BaseDatabaseWrapper, str, tuple[Definition, ...]]:
        """The open connection, the files that declare badges, and the declared badges."""
        connection = database.connect(alias)
        declared = analysis.load(connection, file)
        return connection, declared.source, declared.definitions

    def hush(self, verbosity: int) -> None:
        """Print nothing of what is done with `-v 0`; errors and warnings go to stderr as always."""
        if not verbosity:
            self.stdout = OutputWrapper(io.StringIO())

    def add_yes(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--yes",
            action="store_true",
            help="Proceed even if a badge would be awarded to more users than BADGES_BRAKE allows.",
        )

    def add_trust(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--trust",
            metavar="ROLE",
            action="append",
            help="A role that may act with the rights of the owner of the badges, like those in BADGES_TRUST; "
            "may be repeated.",
        )

    def add_quiet(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--quiet", action="store_true", help="Send no signals and no toasts; the events are in the history."
        )

    def add_count(self, parser: CommandParser, preview: str) -> None:
        parser.add_argument(
            "--count",
            action="store_true",
            help=f"{preview}, and count in batches without a limit of time where BADGES_PREVIEW_TIMEOUT is too short. "
            "Ctrl-C leaves an estimate.",
        )

    def count_in_batches(
        self,
        connection: BaseDatabaseWrapper,
        definitions: Sequence[Definition],
        source: str,
        previews: Sequence[Preview],
    ) -> list[Preview]:
        """The previews, with the numbers of badges whose users could not be counted in time. Shows the progress."""
        found = {each.code: each for each in previews}
        code, said = "", 0.0
        try:
            for each in preview.in_batches(connection, definitions, source, previews):
                found[each.code] = each
                if each.code != code:
                    self._note(f"  {each.code}: {each.count.error}; counting in batches, until Ctrl-C")
                elif time.monotonic() - said <= SECONDS_BETWEEN_LINES:
                    continue
                elif each.count.new is None:
                    self._note(f"  {each.code}: {each.count.sampled:,} of {each.count.users or 0:,} users counted")
                code, said = each.code, time.monotonic()
        except (KeyboardInterrupt, DatabaseError) as error:
            # At the wrong moment, an interruption leaves the session busy: what comes next fails, and Django ends it.
            if not _is_interruption(error):
                raise
            self._note("  Interrupted: the users counted so far give an estimate.")
        return list(found.values())

    def _note(self, text: str) -> None:
        """Progress, apart from the output and not in the colour of an error."""
        self.stderr.write(text, str)

    def write_previews(self, previews: Sequence[Preview]) -> None:
        for each in previews:
            for line in each.lines():
                self.stdout.write(f"  {line}")
            for warning, following in zip_longest(each.warnings, each.warnings[1:]):
                self.stdout.write(self.style.WARNING(f"      ! {warning.message}"))
                if following is None or following.hint != warning.hint:
                    self.stdout.write(f"        {warning.hint}")

    def write_steps(self, drafted: Plan, *, locks: bool) -> None:
        for step in drafted.steps:
            self._write_step(step)
            if locks and step.lock != NO_LOCK:
                self.stdout.write(f"      locks: {step.lock}")

    def _write_step(self, step: Step) -> None:
        self.stdout.write(f"  {self.style.MIGRATE_LABEL(step.action)} {step.target}  ({step.reason})")

    def summarize_steps(self, done: Plan) -> None:
        """The changed definitions, and one line for each other action."""
        for action, steps in itertools.groupby(sorted(done.steps, key=lambda step: _ORDER.index(step.action)), _action):
            same = list(steps)
            if len(same) == 1 or (action in _OF_DEFINITIONS and len(same) <= _MOST_DEFINITIONS):
                for step in same:
                    self._write_step(step)
            else:
                verb, noun = action.split(maxsplit=1) if " " in action else (action, "object")
                tables = sorted({step.table for step in same if step.table})
                on = f" on {', '.join(tables)}" if 0 < len(tables) <= _MOST_DEFINITIONS else ""
                self.stdout.write(f"  {self.style.MIGRATE_LABEL(verb)} {count(len(same), noun)}{on}")


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _action(step: Step) -> Action:
    return step.action


def _is_interruption(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or came while that was handled."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
