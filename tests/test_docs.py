"""The documents are complete and true: names exist, everything public is documented, and shown output is real."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import os
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from dummy.models import Sketch

from badges import definitions, exceptions
from badges.conf import SETTINGS
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.functions import compiler, history, runtime
from badges.functions.types import MARKER, ORIGIN
from badges.installation import diff
from badges.models import Badge

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "src" / "badges"
DOCS = REPOSITORY / "docs"
GENERATED = DOCS / "generated.sql"
UPDATE = "BADGES_UPDATE_DOCS"

PAGES = [
    *sorted(REPOSITORY.glob("*.md"), key=lambda page: (page.stem != "README", page)),
    *sorted(DOCS.glob("*.md")),
]
TEXTS = {page.relative_to(REPOSITORY).as_posix(): page.read_text("utf-8") for page in PAGES}
ALL = "\n".join(TEXTS.values())
COMMANDS = [path.stem for path in (PACKAGE / "management" / "commands").glob("[!_]*.py")]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", TEXTS)


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next one of the same level."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", TEXTS[page], re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no section {title}"
    return match[2]


def blocks(page: str, language: str) -> list[str]:
    return [inspect.cleandoc(f"\n{text}") for _, found, text in BLOCK.findall(TEXTS[page]) if found == language]


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub derives from the headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def own_actions(command: str) -> dict[str, argparse.Action]:
    """The options and arguments of a command beyond those of all Django commands, as the documents write them."""
    theirs = {action.dest for action in BaseCommand().create_parser("manage.py", "any")._actions}
    actions = load_command_class("badges", command).create_parser("manage.py", command)._actions
    found = {}
    for action in actions:
        if action.dest not in theirs:
            name = " ".join(filter(None, [*action.option_strings, action.metavar]))
            found[name] = action
    return found


def command_lines() -> list[tuple[str, list[str]]]:
    """Each command line in a document: its page, and its words."""
    lines = []
    for page, text in TEXTS.items():
        for line in re.findall(r"^ *\$ (.+)$|`((?:BADGES\w+=\S+ )?python3? [^`\n]+)`", text, re.MULTILINE):
            words = shlex.split("".join(line))
            while re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            lines.append((page, words))
    return lines


def load_run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_py", REPOSITORY / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Links and files


@every_page
def test_links(page):
    """Every link to another document leads to an existing file and heading."""
    here = REPOSITORY / page
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            file = (here.parent / path).resolve() if path else here
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_every_page_is_reached_from_the_readme():
    """The README links to every document."""
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(re.findall(r"\]\(([^)#]+)\)", TEXTS["README.md"]))


@every_page
def test_files(page):
    """Every file and folder of the repository that a document names exists."""
    pattern = r"(?<![\w/])((?:src|docs|tests|example|tools|bench|\.ci)/[\w./-]*\w|run\.py|noxfile\.py)"
    for name in re.findall(pattern, TEXTS[page]):
        assert (REPOSITORY / name).exists(), name


def test_map():
    """The map in design.md has every folder and every module at the top of the package, and no other."""
    rows = re.findall(r"^\| `[^|]+", section("docs/design.md", "The map"), re.MULTILINE)
    mapped = re.findall(r"`([a-z_]+(?:/|\.py))`", "\n".join(rows))
    modules = {path.name for path in PACKAGE.glob("[!_]*.py")}
    folders = {f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert sorted(mapped) == sorted(modules | folders)


def test_files_of_the_package():
    """Every file that design.md and CONTRIBUTING.md name by its path in the package exists."""
    roots = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    named = re.findall(rf"`((?:{roots})/[\w./]*|\w+\.py|\w+\.sql)`", TEXTS["docs/design.md"] + TEXTS["CONTRIBUTING.md"])
    files = {path.name for path in PACKAGE.rglob("*.sql")} | {path.name for path in PACKAGE.rglob("types.py")}
    files |= {"run.py", "badges.py", *(path.name for path in (PACKAGE / "installation").glob("*.py"))}
    assert named
    assert [name for name in named if not (PACKAGE / name).exists() and name not in files] == []


def test_names_in_python():
    """A function of the package that a document calls by its path can be imported."""
    called = re.findall(r"`(badges(?:\.\w+)+)\.(\w+)\(", ALL)
    assert called
    for module, name in called:
        assert callable(getattr(importlib.import_module(module), name)), (module, name)


# Commands


def test_commands():
    """commands.md has a section for each command, and no document calls one that does not exist."""
    for command in COMMANDS:
        section("docs/commands.md", command)
    called = [words[2] for _, words in command_lines() if words[1:2] == ["manage.py"]]
    # Those of django-tenants run others.
    assert set(called) - {"all_tenants_command"} <= set(get_commands())
    assert set(called) >= set(COMMANDS)


def test_commands_in_configurations():
    """Each command that a unit of systemd, a crontab or a file of Docker Compose calls exists, with its flags."""
    calls = re.findall(r'manage\.py(?:", "| )([a-z_]+)((?:(?:", "| )--[\w-]+)*)', TEXTS["docs/deployment.md"])
    assert len(calls) > 8
    for command, flags in calls:
        app = get_commands()[command]
        parser = load_command_class(app, command).create_parser("manage.py", command)
        assert set(re.findall(r"--[\w-]+", flags)) <= {each for a in parser._actions for each in a.option_strings}
    [composed] = blocks("docs/deployment.md", "yaml")
    services = yaml.safe_load(composed)["services"]
    assert all(set(service.get("depends_on", ())) <= set(services) for service in services.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_flags(command):
    """The table of a command has all its flags and arguments with the text of --help."""
    table = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section("docs/commands.md", command), re.MULTILINE)
    actions = own_actions(command)
    shown = {name: text for name, text in table if name.startswith("-") or name in actions}
    assert shown == {name: action.help for name, action in actions.items()}


def test_flags_in_command_lines():
    """Every flag that a document passes to a command of the package exists."""
    for page, words in command_lines():
        if words[1:2] == ["manage.py"] and words[2] in COMMANDS:
            # Parsing would need the arguments, which sites choose.
            parser = load_command_class("badges", words[2]).create_parser("manage.py", words[2])
            known = {option for action in parser._actions for option in action.option_strings}
            assert {word for word in words if word.startswith("--")} <= known, (page, words)
    mentioned = re.findall(r"`(?:create_badge_triggers|award_badges) (--[\w-]+)", ALL)
    assert mentioned
    assert set(mentioned) <= {name.split()[0] for command in COMMANDS for name in own_actions(command)}


def test_run_py():
    """Every call of run.py in a document is valid; the README begins with `demo` and `test`."""
    run = load_run()
    calls = [words[2:] for _, words in command_lines() if words[:2] == ["python3", "run.py"]]
    for call in calls:
        assert run.parse(call[:1] if call[0] in ("test", "bench") else call).command == call[0]
    assert calls[:2] == [["demo"], ["test"]]
    assert {call[0] for call in calls} == {"demo", "test", "bench", "lint", "matrix"}
    for call in ("python3 run.py demo", "python3 run.py test"):
        assert f"$ {call}\n" in TEXTS["README.md"]


# Settings, checks, exceptions, functions, keys


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting(setting):
    """settings.md has a section for each setting, which begins with its text, its default and what is allowed."""
    default = f'"{setting.default}"' if isinstance(setting.default, str) else repr(setting.default)
    start = f"{setting.text} Default: {default}. Allowed: {setting.allowed.description}."
    text = in_one_line(section("docs/settings.md", setting.name)).replace("`", "")
    assert text.startswith(start.replace("`", ""))


def test_no_other_settings():
    """Each name in the form of a setting is a setting, or an environment variable of the example or of this test."""
    own_settings = {setting.name for setting in SETTINGS}
    table = section("docs/settings.md", "Environment variables")
    variables = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    code = "".join(
        path.read_text("utf-8") for name in ("example", "tools") for path in (REPOSITORY / name).glob("*.py")
    )
    assert variables == set(re.findall(r"BADGES_[A-Z_]+[A-Z]", code)) - own_settings | {UPDATE}
    assert set(re.findall(r"\bBADGES_[A-Z_]+[A-Z]\b", ALL)) == variables | own_settings


def test_check_ids():
    """troubleshooting.md has a section for each check, and no document names another."""
    code = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    ids = set(re.findall(r'"(badges\.[EW]\d{3})"', code))
    assert set(re.findall(r"^### (badges\.\w+)$", TEXTS["docs/troubleshooting.md"], re.MULTILINE)) == ids
    assert set(re.findall(r"badges\.[EW]\d{3}", ALL)) == ids


def test_exceptions():
    """The table in troubleshooting.md has each exception of the package, and no other."""
    own = {value.__name__ for value in vars(exceptions).values() if isinstance(value, type) and _is_error(value)}
    table = section("docs/troubleshooting.md", "Errors")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == own
    assert "`badges.exceptions.BadgesError`" in table


def _is_error(value: type) -> bool:
    return issubclass(value, exceptions.BadgesError) and value is not exceptions.BadgesError


def test_functions_of_the_database():
    """A function that a document calls from SQL is installed."""
    called = set(re.findall(r"\b(badges_[a-z_]+)\(", ALL))
    assert called <= {f"badges_{name}" for name in (*runtime.RUNTIME, "check", "catch_up")}
    assert called >= {"badges_award", "badges_revoke", "badges_settle"}


def test_keys():
    """badge-json.md has each key of a badge."""
    table = section("docs/badge-json.md", "Keys")
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == definitions.KEYS


# Examples


@every_page
def test_json(page):
    """Every JSON block in a document is valid: a badge file, unless it is marked as partial."""
    partial = re.findall(r"<!-- partial -->\n```json\n(.*?)```", TEXTS[page], re.DOTALL)
    for text in blocks(page, "json"):
        if any(text.strip() == each.strip() for each in partial):
            json.loads(text)
        else:
            assert definitions.parse(text)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/badge-json.md", "docs/commands.md"])
def test_badge_files_compile(page, badge_file):
    """PostgreSQL accepts every badge file in a document."""
    for text in blocks(page, "json"):
        if "user_field" in text:
            badge_file().write_text(text, "utf-8")
            call_command("create_badge_triggers", stdout=(output := io.StringIO()))
            assert "Done" in output.getvalue() or "Nothing to do" in output.getvalue()


def test_shapes_are_those_of_the_example():
    """The README shows the first badges of the example site, without descriptions, pictures and points."""
    [text] = blocks("README.md", "json")
    bare = {"description": "", "category": "", "image": "", "points": 0, "translations": {}}
    example = definitions.load(REPOSITORY / "example" / "badge.json")
    assert definitions.parse(text) == tuple(dataclasses.replace(badge, **bare) for badge in example[:3])


@pytest.fixture
def sketches(db, execute, settings):
    """The data of the plan in commands.md: twelve users with 2,015 sketches, and statistics."""
    settings.BADGES_PREVIEW_TIMEOUT = 60_000
    names = "ada bob carol dave erin frank grace heidi ivan judy ken lena"
    get_user_model().objects.bulk_create(
        get_user_model()(pk=number, username=name) for number, name in enumerate(names.split(), 1)
    )
    execute(
        """
        INSERT INTO dummy_sketch (user_id, title)
        SELECT CASE WHEN n <= 1400 THEN 1 ELSE 1 + n % 7 END, 'Sketch ' || n % 400 FROM generate_series(1, 2000) AS n
        UNION ALL
        SELECT 8 + n % 5, 'Untitled' FROM generate_series(1, 15) AS n
        """
    )
    execute("ANALYZE dummy_sketch, auth_user")


@pytest.mark.django_db
def test_plan(badge_file, sketches):
    """The plan in commands.md is the output of the command for the two files above it."""
    [before], [after] = blocks("docs/quickstart.md", "json"), blocks("docs/commands.md", "json")
    path = badge_file()
    path.write_text(before, "utf-8")
    call_command("create_badge_triggers", stdout=io.StringIO())
    for user in (1, 2):
        Badge.objects.award(user, "collector")
    path.write_text(after, "utf-8")
    call_command("create_badge_triggers", "--plan", stdout=(output := io.StringIO()), stderr=io.StringIO())
    shown = f"$ python manage.py create_badge_triggers --plan\n{output.getvalue()}```"
    assert without_costs(shown) in without_costs(TEXTS["docs/commands.md"])


@pytest.mark.django_db
def test_brake(badge_file, execute):
    """The message of the brake in commands.md is the real one, for 100 users of whom 61 have drawn."""
    badge_file().write_text((REPOSITORY / "example" / "badge.json").read_text("utf-8"), "utf-8")
    get_user_model().objects.bulk_create(get_user_model()(pk=n, username=f"u{n}") for n in range(1, 101))
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT n, 'Sketch' FROM generate_series(1, 61) AS n")
    call_command("create_badge_triggers", stdout=io.StringIO())
    with pytest.raises(CommandError) as caught:
        call_command("award_badges")
    assert f"$ python manage.py award_badges\nCommandError: {caught.value}\n```" in TEXTS["docs/commands.md"]


def without_costs(text: str) -> str:
    """The cost differs between versions of PostgreSQL, and so does the estimate of how far a count reads an index."""
    return re.sub(r"about [\d,]+( rows of \S+ by index) ", r"about N\1 ", re.sub(r"\(cost [\d,]+", "(cost N", text))


@pytest.fixture
def documented_site(declare):
    """The site in commands.md: ada has drawn five sketches, one of them with many views; grace has none."""
    declare(*json.loads(blocks("docs/quickstart.md", "json")[0]))
    ada = User.objects.create(pk=1, username="ada")
    User.objects.create(pk=2, username="grace")
    Sketch.objects.bulk_create([Sketch(user=ada, title="x", hit_views=views) for views in (0, 0, 40, 40, 1500)])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # or events could not be changed
        cursor.execute("UPDATE badges_badge SET awarded_at = '2026-11-24 20:15:30Z'")
        cursor.execute("UPDATE badges_badgeevent SET at = '2026-11-24 20:15:30Z'")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize("call", ["list_badges", "explain_badge collector ada", "explain_badge star ada"])
def test_output(documented_site, call):
    """The output of list_badges and explain_badge in commands.md is the real one for its site."""
    command, *arguments = call.split()
    call_command(command, *arguments, stdout=(output := io.StringIO()))
    assert f"$ python manage.py {call}\n{output.getvalue()}```" in TEXTS["docs/commands.md"], output.getvalue()


def test_output_per_subject(execute, badge_file):
    """The output of explain_badge for a revocable badge per subject in commands.md is the real one."""
    execute("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id), sketch_id bigint)")
    [text] = [text for text in blocks("docs/commands.md", "") if '"liked"' in text]
    badge_file().write_text(text, "utf-8")
    call_command("create_badge_triggers", stdout=io.StringIO())
    ada = User.objects.create(pk=1, username="ada")
    Sketch.objects.bulk_create([Sketch(pk=pk, user=ada, title="x") for pk in (7, 8, 9)])
    for second, sketch in enumerate((7, 8, 9), 30):
        execute("INSERT INTO likes VALUES (1, %s), (1, %s)", [sketch, sketch])
        execute("SET LOCAL session_replication_role = replica")
        at = f"2026-11-24 20:15:{second}Z"
        execute("UPDATE badges_badge SET awarded_at = %s WHERE thing = %s", [at, str(sketch)])
        execute("UPDATE badges_badgeevent SET at = %s WHERE thing = %s", [at, str(sketch)])
        execute("SET LOCAL session_replication_role = origin")
    execute("DELETE FROM likes WHERE sketch_id = 8")
    execute("SET LOCAL session_replication_role = replica")
    execute("DELETE FROM likes WHERE sketch_id = 9")
    execute("UPDATE badges_badgeevent SET at = '2026-11-24 20:15:40Z' WHERE kind = 'revoked'")
    execute("SET LOCAL session_replication_role = origin")
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_delete_likes'")
    execute(f"DROP TRIGGER {name} ON likes")
    call_command("explain_badge", "liked", "ada", stdout=(output := io.StringIO()))
    shown = f"$ python manage.py explain_badge liked ada\n{output.getvalue()}```"
    assert shown in TEXTS["docs/commands.md"], output.getvalue()


@pytest.mark.django_db
def test_generated_sql():
    """docs/generated.sql is what the example's badge.json compiles to; BADGES_UPDATE_DOCS=1 renews it."""
    declared = definitions.load(REPOSITORY / "example" / "badge.json")
    here = describe_target(connection)
    compiled = compiler.compile_definitions(here, analysis.analyse(connection, here, declared))
    plan = diff.compare(here, declared, compiled, {}, {})
    script = plan.as_sql([plan.steps])
    text = (
        "-- What `create_badge_triggers --sql` prints for example/badge.json on a database without badges.\n"
        "-- Renewed by: BADGES_UPDATE_DOCS=1 python3 run.py test tests/test_docs.py\n\n"
        f"{re.sub(' +$', '', script, flags=re.MULTILINE)}\n"
    )
    if os.environ.get(UPDATE):
        GENERATED.write_text(text, "utf-8")
    assert GENERATED.read_text("utf-8") == text, "renew it with BADGES_UPDATE_DOCS=1"


def generated_functions() -> dict[str, str]:
    """The statements that create the functions of docs/generated.sql, by name."""
    pattern = r'^CREATE OR REPLACE FUNCTION "public"\."(\w+)"\(.*?^\$badges\$;$'
    text = GENERATED.read_text("utf-8")
    return {match[1]: match[0] for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)}


def test_generated_functions_have_summaries():
    """\\sf and \\df+ of psql show what each function does, who has made it and where to read more."""
    functions = generated_functions()
    assert len(functions) > len(runtime.RUNTIME) + len(history.HISTORY)
    for name, statement in functions.items():
        lines = statement.split("\nAS $badges$\n")[1].split("\n")
        comment = [line.removeprefix("-- ") for line in itertools.takewhile(lambda line: line.startswith("-- "), lines)]
        assert comment[-1] == ORIGIN.removeprefix("-- "), name
        summary = " ".join(comment[:-1])
        assert re.match(r"[A-Z].{20,}\.$", summary), name
        [described] = re.findall(rf'COMMENT ON FUNCTION "public"\."{name}" IS \'(.*)\';', GENERATED.read_text("utf-8"))
        described = json.loads(described.replace("''", "'").removeprefix(MARKER))
        assert summary.startswith(described["summary"]), name
        if name.startswith(("badges_insert", "badges_update", "badges_delete")):
            assert all(code in summary for code in described["badges"]), name


def test_generated_functions_can_be_read():
    """No line of a function is too long, says nothing, or has lost its indentation."""
    for name, statement in generated_functions().items():
        assert not [line for line in statement.split("\n") if len(line) > 120], name
        assert not re.findall(
            r"\b(?:AND|WHERE|OR|ON) true\b(?! OPERATOR)|''::text IS NOT NULL|^\s*;|\S  +(?!--)\S", statement
        ), name
        body = statement.split("\nBEGIN\n")[1].split("\nEND\n")[0]
        assert not [line for line in body.split("\n") if not line.startswith("    ")], name


def test_figures_are_measured():
    """The figures of the README are those of performance.md, where the benchmark has put them."""
    measured = TEXTS["docs/performance.md"]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]*) ?\|$", TEXTS["README.md"], re.MULTILINE)
    assert len(rows) == 7
    for row in rows:
        for contestant, figure in zip(("badges", "by hand", "post_save"), row[1:], strict=True):
            assert not figure or re.search(rf"^\| {contestant} \| .* \| {re.escape(figure)} \(", measured, re.MULTILINE)


def test_shown_sql_is_generated():
    """The SQL in how-it-works.md is part of docs/generated.sql."""
    generated = in_one_line(GENERATED.read_text("utf-8"))
    for text in blocks("docs/how-it-works.md", "sql"):
        assert in_one_line(text) in generated
