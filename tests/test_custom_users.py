"""Sites with other user models and odd names: each as a site of its own, in a process and a database of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

MODELS = [
    "UuidKey",
    "OtherSchema",
    "OneToOneKey",
    *(pytest.param(name, marks=pytest.mark.long) for name in ("TextKey", "OtherTable", "MixedCase", "LongNames")),
]


@pytest.mark.parametrize("model", MODELS)
def test_the_whole_way(empty_database, tmp_path, model):
    """migrate, create_badge_triggers, a write, a badge: whatever key, table, schema and names the users have."""
    with psycopg.connect(empty_database) as database:
        database.execute("CREATE SCHEMA people")
    walk = Path(__file__).parent / "sites" / "walk.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", walk, model, empty_database, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {
        "models in sync": True,
        "first run": f"Done: 5 badges on 6 triggers, in sync with {tmp_path / 'badge.json'}.",
        "second run": f"Nothing to do: 5 badges on 6 triggers, in sync with {tmp_path / 'badge.json'}.\n",
        "after one": ["one"],
        "after all": ["Longer", "One", "Renamed", "Two", "Two-Badges"],
        "of the other": 0,
        "award again": "0 awarded.",
        "preview": [True, False, False],
        "caught up": [[1, 1, 0]],
        "award anew": "2 awarded.",
        "values": [True],
        "api BadgeList": [200, 5, 304],
        "api BadgeDetail": [200, None, 304],
        "api HolderList": [200, 1, 304],
        "api OwnBadgeList": [200, 4, 304],
        "api RecentAwardList": [200, 4, 304],
        "api UserBadgeList": [200, 4, 304],
        "api users": True,
        "after the user": 0,
    }
