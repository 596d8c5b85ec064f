"""Awards all users who qualify, in a process of its own, and prints the cost.

python3 -m bench.awarding_process award_badges|loop BADGE_FILE USERS IS_LOCAL CONNINFO
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def main() -> None:
    way, file, users, is_local, conninfo = sys.argv[1:]
    options = conninfo_to_dict(conninfo)
    settings.DATABASES["default"].update({name: str(options.get(key, "")) for name, key in NAMES.items()})
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - models can be imported only after the setup
    from django.db import connection  # noqa: PLC0415

    from bench import measure  # noqa: PLC0415

    connection.ensure_connection()
    pid = connection.connection.info.backend_pid if is_local == "1" else None
    if way == "loop":
        sample = measure.timed(pid, lambda: loop(int(users)))
    else:
        sample = measure.timed(pid, lambda: call_command("award_badges", file=Path(file), yes=True, verbosity=0))
    found = {
        "wall": sample.wall / 1e6,
        "cpu": None if sample.cpu is None else sample.cpu / 1e6,
        "client": sample.client / 1e6,
        "process_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "backend_kb": measure.memory_kb(pid),
    }
    print(json.dumps(found))


def loop(users: int) -> None:
    """The job in Python: checks one user after the other."""
    from django.contrib.auth.models import User  # noqa: PLC0415
    from dummy.models import Sketch  # noqa: PLC0415

    from badges.models import Badge  # noqa: PLC0415

    for user in User.objects.order_by("pk")[:users].iterator():
        if Sketch.objects.filter(user=user).count() >= 2:
            Badge.objects.get_or_create(user=user, code="collector")


if __name__ == "__main__":
    main()
