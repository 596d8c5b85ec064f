"""Measures what badges cost, compared with other ways to award them.

Every figure is compared with the same work without badges; the contestants take turns in one run. Times are processor
time of the backend, as a median with its quartiles, and wall time. The program starts a PostgreSQL of its own, or uses
that of BADGES_DSN (as superuser; without processor time if it runs on another machine).
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402


def main() -> None:
    """Run the measurements that the command line selects."""
    arguments = parse(sys.argv[1:])
    django.setup()
    # They import models.
    from bench import contestants, databases, plan, report  # noqa: PLC0415
    from bench.everything import MEASUREMENTS  # noqa: PLC0415

    if arguments.list:
        for each in MEASUREMENTS:
            print(f"{each.name:36} {each.about}")
        return
    chosen = [each for each in MEASUREMENTS if is_chosen(each.name, arguments.only)]
    if not chosen:
        sys.exit(f"bench: no measurement is called {' or '.join(arguments.only)}; see --list")
    if unknown := set(arguments.contestant) - set(contestants.ALL):
        sys.exit(f"bench: no contestant is called {' or '.join(unknown)}; there are {'; '.join(contestants.ALL)}")
    sizes = {"tiny": plan.TINY, "quick": plan.QUICK, "default": plan.DEFAULT, "full": plan.FULL}[arguments.sizes]
    with databases.run(waits_for_disk=not arguments.no_fsync) as server:
        facts = {"command": command(arguments), "sizes": arguments.sizes, **server.facts()}
        if not server.is_local:
            print("The server runs on another machine: no processor time of the backend, no memory.", file=sys.stderr)
        bench = plan.Bench(server, sizes, arguments.contestant)
        figures: list[plan.Figure] = []
        seconds = {}
        for measurement in chosen:
            began = time.monotonic()
            found = list(measurement.run(bench, measurement.name))
            seconds[measurement.name] = round(time.monotonic() - began, 1)
            print(report.table(found), f"\n  [{seconds[measurement.name]:.0f} s]", flush=True)
            figures += found
    facts |= {
        "load_at_end": [round(each, 2) for each in os.getloadavg()],
        "seconds": seconds,
        "minutes": round(sum(seconds.values()) / 60, 1),
    }
    print(report.targets_table(report.judged(chosen, figures)))
    if arguments.against:
        print(report.comparison(json.loads(Path(arguments.against).read_text("utf-8"))["figures"], figures))
    print(f"\n{report.facts_text(facts)}")
    if arguments.json:
        text = json.dumps(report.as_json(facts, chosen, figures), indent=2, ensure_ascii=False)
        Path(arguments.json).write_text(text, "utf-8")
    if arguments.markdown:
        report.write_into(Path(arguments.markdown), report.markdown(facts, chosen, figures))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run.py bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="only measurements whose name contains this, * for anything; can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--contestant", action="append", default=[], metavar="NAME",
        help="only this contestant beside `none`, where several are compared; can be repeated",
    )  # fmt: skip
    sizes = parser.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "small sizes and few rounds: less than three minutes"),
        ("full", "the largest sizes: more than an hour"),
        ("tiny", "sizes that only verify that everything runs"),
    ):
        sizes.add_argument(f"--{name}", dest="sizes", action="store_const", const=name, help=text)
    parser.set_defaults(sizes="default")
    parser.add_argument(
        "--no-fsync", action="store_true", help="COMMIT does not wait for the disk, so that everything else weighs more"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures and targets into this file")
    parser.add_argument("--against", metavar="FILE", help="compare the ratios with those in such a file")
    parser.add_argument(
        "--markdown", metavar="FILE", help="put the tables between the two marks of this document, docs/performance.md"
    )
    parser.add_argument("--list", action="store_true", help="list the measurements instead of taking them")
    return parser.parse_args(arguments)


def is_chosen(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatch.fnmatch(name, f"*{each}*") for each in only)


def command(arguments: argparse.Namespace) -> str:
    """The command line that reproduces these figures."""
    words = ["python3 run.py bench"]
    words += [f"--{arguments.sizes}"] if arguments.sizes != "default" else []
    words += ["--no-fsync"] if arguments.no_fsync else []
    words += [f'--only "{each}"' for each in arguments.only]
    words += [f'--contestant "{each}"' for each in arguments.contestant]
    return " ".join(words)


if __name__ == "__main__":
    main()
