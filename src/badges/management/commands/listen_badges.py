from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from badges import database, exceptions
from badges.conf import badges_settings
from badges.facts.target import describe_target
from badges.management.commands._base import count
from badges.signals import dispatch
from badges.signals.listener import Listener, Tally, health


class Command(BaseCommand):
    help = "Send the signals for awards, revocations and expiries, and settle pending checks, until SIGTERM or Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database", metavar="ALIAS", default=DEFAULT_DB_ALIAS, help='The database. Default: "default".'
        )
        parser.add_argument(
            "--once", action="store_true", help="Process the queue once, then exit; with 1 if an attempt failed."
        )
        parser.add_argument(
            "--check", action="store_true", help="Exit with 1 unless a listener is connected and the queue moves."
        )
        parser.add_argument("--retry", action="store_true", help="Make parked events due again, then exit.")

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        try:
            describe_target(database.connect(alias))
            if options["check"]:
                self._check(alias)
            elif options["retry"]:
                self.stdout.write(f"{count(dispatch.release(alias), 'event')} will be tried again.")
            else:
                self._listen(alias, once=options["once"])
        except exceptions.BadgesError as error:
            raise CommandError(str(error)) from error

    def _check(self, alias: str) -> None:
        found = health(alias)
        if not found.is_healthy:
            raise CommandError(str(found), returncode=1)
        self.stdout.write(str(found))

    def _listen(self, alias: str, *, once: bool) -> None:
        if not badges_settings.BADGES_SIGNALS:
            self.stdout.write("BADGES_SIGNALS is not set: pending checks are settled, no signals are sent.")
        listener = Listener(alias)
        handlers = {number: signal.signal(number, listener.stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            if once:
                listener.run_once()
            else:
                self.stdout.write(f'Listening to the database "{alias}".')
                self.stdout.flush()
                listener.run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            listener.close()
        tally = listener.tally
        if once and (tally.failed or tally.is_unsettled):
            # For cron: the log has the reasons, and a failed event is tried again.
            raise CommandError(_in_words(tally), returncode=1)
        self.stdout.write(_in_words(tally))


def _in_words(tally: Tally) -> str:
    done = [f"{count(tally.sent, 'event')} sent"]
    if tally.failed:
        done.append(f"{count(tally.failed, 'attempt')} failed")
    if tally.settled:
        done.append(f"{count(tally.settled, 'pending check')} settled")
    if tally.is_unsettled:
        done.append("the pending checks could not be settled")
    return f"{', '.join(done)}."
