"""An app with a receiver that writes down what it is given, in the file that the environment names."""

import os
import time
from pathlib import Path

from django.apps import AppConfig


class ListeningConfig(AppConfig):
    name = "sites.listening"

    def ready(self):
        from badges.signals import badge_awarded, badge_revoked  # noqa: PLC0415

        badge_awarded.connect(write_down)
        badge_revoked.connect(write_down)


def write_down(sender, event, user, definition, **kwargs):
    """One line for each event; then wait as long as there is a file that says so."""
    log = Path(os.environ["BADGES_TEST_LOG"])
    with log.open("a") as file:
        file.write(f"{os.getpid()} {user.pk} {event.kind} {event.code} {event.pk}\n")
    while log.with_suffix(".wait").exists():
        time.sleep(0.02)
