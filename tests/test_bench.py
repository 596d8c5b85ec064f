"""The suite of measurements runs, and what it yields makes sense. No time decides."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

#: One worker takes the measurements of all of these.
of_suite = pytest.mark.xdist_group("suite")

REPOSITORY = Path(__file__).parent.parent
SUITE = [sys.executable, "-m", "bench.suite"]


def run(*arguments: str) -> str:
    # A server of its own, whose settings it chooses.
    environment = {name: value for name, value in os.environ.items() if name != "BADGES_DSN"}
    done = subprocess.run(
        [*SUITE, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def names() -> list[str]:
    """All measurements."""
    return [line.split("  ")[0] for line in run("--list").splitlines()]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A document with the two marks."""
    path = tmp_path_factory.mktemp("bench") / "page.md"
    marks = re.search(
        r"<!-- figures.*?<!-- end[^>]*>", (REPOSITORY / "docs/performance.md").read_text("utf-8"), re.DOTALL
    )
    path.write_text(f"Before\n\n{marks[0]}\n\nAfter\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def result(page) -> dict:
    """Everything at the smallest sizes."""
    file = page.with_suffix(".json")
    run("--tiny", "--no-fsync", "--json", str(file), "--markdown", str(page))
    return json.loads(file.read_text("utf-8"))


@of_suite
def test_every_measurement_runs(names, result):
    """Each measurement yields figures, of badges or of what they replace."""
    assert list(dict.fromkeys(each["measurement"] for each in result["figures"])) == names
    assert set(result["seconds"]) == set(names)


@of_suite
def test_figures_are_sane(result):
    """Times, ratios and memory are positive, quartiles enclose the median, and every baseline exists."""
    known = {(each["measurement"], each["case"], each["contestant"]) for each in result["figures"]}
    assert len(known) == len(result["figures"])
    for figure in result["figures"]:
        for key in ("cpu", "wall", "ratio"):
            if spread := figure[key]:
                assert 0 < spread["low"] <= spread["median"] <= spread["high"] < 1e9, figure
        assert figure["wall"] or figure["count"] is not None
        assert figure["memory_kb"] is None or 1_000 < figure["memory_kb"] < 1_000_000
        if figure["ratio"]:
            assert (figure["measurement"], figure["case"], figure["baseline"]) in known
        if figure["contestant"] == figure["baseline"]:
            assert figure["ratio"]["median"] == 1


@of_suite
def test_contestants_do_the_same_work(result):
    """No notification without an award, and one for each award."""
    heard = {
        (each["case"], each["contestant"]): each["count"]
        for each in result["figures"]
        if each["measurement"] == "notifications"
    }
    assert heard == {
        ("nothing is awarded", "none"): 0, ("nothing is awarded", "badges"): 0,
        ("each write awards", "none"): 0, ("each write awards", "badges"): 50,
    }  # fmt: skip


@of_suite
def test_targets(result, names):
    """Each target is judged by what was measured, or is said not to have been."""
    assert result["targets"]
    for target in result["targets"]:
        assert target["measurement"] in names
        if target["value"] is None:
            assert target["verdict"] == "not measured"
        else:
            assert target["verdict"] == ("reached" if target["value"] <= target["at_most"] else "missed")


@of_suite
def test_document(result, page):
    """The tables come between the marks, and what stands around them stays."""
    text = page.read_text("utf-8")
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    for target in result["targets"]:
        assert f"| {target['target']} |" in text


def test_only_some(tmp_path):
    """Only the selected measurements run; an unknown name is rejected."""
    file = tmp_path / "figures.json"
    run("--tiny", "--only", "scan", "--json", str(file))
    assert {each["measurement"] for each in json.loads(file.read_text("utf-8"))["figures"]} == {"scan"}
    for option, message in (
        ("--only", "no measurement is called nothing; see --list"),
        ("--contestant", "no contestant is called nothing; there are none; "),
    ):
        rejected = subprocess.run(
            [*SUITE, option, "nothing"], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert rejected.returncode == 1
        assert message in rejected.stderr


def test_options():
    """The options in performance.md are those of --help."""
    table = re.findall(r"^\| `(--\w+)", (REPOSITORY / "docs/performance.md").read_text("utf-8"), re.MULTILINE)
    assert set(table) == set(re.findall(r"(?<!-)--[a-z]+", run("--help"))) - {"--help"}


def test_against(tmp_path):
    """The ratios of an earlier run are shown beside those of this one, and only chosen contestants take part."""
    file = tmp_path / "figures.json"
    chosen = ("--tiny", "--only", "bulk awards", "--contestant", "badges")
    assert "by hand" not in run(*chosen, "--json", str(file))
    assert re.search(r"bulk awards, 50 awards, badges +[\d.]+ +[\d.]+ +[+-]\d", run(*chosen, "--against", str(file)))


def test_soak():
    """The soak explores for as long as asked and loses no badge."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "bench" / "soak.py", "--minutes", "0.1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "examples, no badge lost" in done.stdout


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="NOT TESTED: valgrind is not installed")
def test_instructions(tmp_path):
    """Instructions are counted for the first write of a session and for later ones, which a trigger makes more."""
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.instructions", "--only", "update", "--json", str(file)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    for number in range(2):
        assert figures["none, update"][number] < figures["floor, update"][number] < figures["badges, update"][number]
    assert re.search(r"badges +[\d,]+ +[\d,]+ +[\d,]+ +[\d,]+\n", done.stdout)


CHAOS = [sys.executable, "-m", "bench.chaos", "--writers", "3"]


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CHAOS, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_chaos():
    """Whatever is done to the site, no badge is missed, false or double, no write is lost, and nothing deadlocks."""
    done = chaos("--seconds", "8", "--least", "500")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missed: 0, false: 0, double: 0, deadlocks: 0, host writes lost: 0" in done.stdout
    assert re.search(r"transactions: \d+.*committed", done.stdout)
    assert re.search(r"badges compared: [1-9]", done.stdout)
    for kind in ("crashes", "deploys", "keys changed", "kills of writers", "locks of badges tables", "VACUUM FULL"):
        assert re.search(rf"injected: .*[1-9]\d* {kind}", done.stdout), done.stdout


def test_chaos_finds_what_is_wrong():
    """The oracle finds badges that were deleted and badges that were forged."""
    # Where a write reports that it could record no check of a badge, nothing is claimed about it until award_badges.
    quiet = [f"--without={kind}" for kind in ("crashes", "deploys", "locks", "vacuums")]
    done = chaos("--seconds", "4", "--least", "300", "--sabotage", *quiet)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"missed once settled, for example\n +(loud|owner) ", done.stdout)
    assert re.search(r"false after award_badges, for example\n +risen ", done.stdout)
