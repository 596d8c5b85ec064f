#!/usr/bin/env python3
"""Django's command line for the example site; while `run.py demo` runs, it works on the demo's database."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError, connection

HINT = "Does the demo run? Start it in another terminal: python3 run.py demo"


def is_reachable() -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        sys.exit(f"manage.py: {error}\n{HINT}")
    except SystemExit as stopped:
        # Commands show their errors themselves.
        if stopped.code and not is_reachable():
            print(HINT, file=sys.stderr)
        raise
