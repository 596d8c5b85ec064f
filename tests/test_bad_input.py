"""What `create_badge_triggers` says about a badge file that it cannot use; the database stays as it was."""

from __future__ import annotations

import io
import json
import os
import textwrap
from contextlib import contextmanager

import psycopg
import pytest
from bad_input_cases import FAULTY_BADGES, KEY_GIVEN_TWICE, NOT_A_LIST, NOT_JSON
from conftest import entry
from django.core.management import CommandError, call_command
from django.db import connection, connections

from badges.management.commands import create_badge_triggers

pytestmark = pytest.mark.django_db

INSTALLED = entry("installed")


@pytest.fixture
def rejected(declare, database_unchanged, settings, tmp_path):
    """Run the command where a badge is installed already; gives what it says below the line that names the file."""
    declare(INSTALLED)
    path = settings.BADGES_FILE = tmp_path / "faulty.json"

    def run(content=None, **options):
        if isinstance(content, str):
            path.write_text(content, "utf-8", newline="")
        elif content is not None:
            path.write_bytes(content)
        with database_unchanged():
            message = failure(**options)
        first, _, report = message.partition("\n")
        assert first.startswith(str(options.get("file") or settings.BADGES_FILE))
        assert first.endswith("; nothing was changed.")
        return report

    return run


@pytest.fixture
def rejected_badges(rejected, badge_file):
    """The same for badges, beside a change to the installed badge and a sound new one, of which nothing must come."""

    def run(*entries):
        badge_file(*entries, {**INSTALLED, "condition": "true"}, entry("sound"))
        return rejected()

    return run


def failure(**options):
    """The message with which the command fails; it must be one that Django shows without a traceback."""
    with pytest.raises(CommandError) as caught:
        call_command("create_badge_triggers", stdout=io.StringIO(), **options)
    return str(caught.value)


def parametrize(arguments, named):
    cases = [pytest.param(*(value if "," in arguments else [value]), id=name) for name, value in named.items()]
    return pytest.mark.parametrize(arguments, cases)


def some(cases, *names):
    return {name: cases[name] for name in names}


def errors(**named):
    """Cases whose names say what is wrong, as `pytest -v` shows them."""
    return {name.replace("_", " "): value for name, value in named.items()}


# The file. What is found in it without a database is tested case by case in test_definitions.py; here stand those whose
# way to the message differs.


@parametrize("case", some(NOT_JSON, "condition over two lines", "missing comma in a long line", "empty file"))
def test_broken_json(rejected, case):
    """The report shows line, column, the line itself with a caret, and the likely cause."""
    assert rejected(case.content) == case.report


@parametrize("case", some(NOT_A_LIST, "one badge"))
def test_not_a_list(rejected, badge_file, tmp_path, settings, case):
    """A file that is no list of badges is rejected as a whole."""
    badge_file()
    settings.BADGES_FILE.write_text(json.dumps(case.content), "utf-8")
    assert rejected() == case.report


@parametrize(
    "case",
    some(FAULTY_BADGES, "not an object", "name missing", "unknown key that a terminal would obey", "texts empty"),
)
def test_faulty_keys_and_values(rejected_badges, case):
    """The report says which badge, which key, what was found and what to do."""
    assert rejected_badges(*case.content) == case.report


def test_key_given_twice(rejected):
    """A key that a JSON parser would silently overwrite is reported."""
    assert rejected(KEY_GIVEN_TWICE) == 'badge "x", condition: the key is given twice.\n    Keep one of them.'


def test_setting_is_missing(database_unchanged, settings):
    """Without BADGES_FILE the command says how to set it."""
    del settings.BADGES_FILE
    with database_unchanged():
        assert failure() == (
            'BADGES_FILE is not set. Add BADGES_FILE = BASE_DIR / "badge.json" to the settings, or pass --file PATH.'
        )


def test_file_is_missing(rejected, tmp_path):
    """A path without a file is answered with how to make one, for the setting and for --file."""
    hint = "Make it, for example with `python manage.py startbadges`, or correct BADGES_FILE or --file."
    expected = f"There is no such file.\n    {hint}"
    assert rejected() == expected
    assert rejected(file=tmp_path / "other.json") == expected


def test_file_is_a_directory(rejected, tmp_path):
    """A directory in the place of the file is distinguished from a missing file."""
    expected = "The file cannot be read: Is a directory.\n    Check BADGES_FILE and its permissions."
    assert rejected(file=tmp_path) == expected


def test_file_is_unreadable(rejected, tmp_path, settings):
    """Missing permissions are distinguished from a missing file."""
    settings.BADGES_FILE.write_text("[]")
    settings.BADGES_FILE.chmod(0)
    expected = "The file cannot be read: Permission denied.\n    Check BADGES_FILE and its permissions."
    with as_ordinary_user():
        assert rejected() == expected


@contextmanager
def as_ordinary_user():
    """Root reads everything, so for a moment it is root no longer."""
    if os.geteuid() != 0:
        yield
        return
    assert create_badge_triggers.Command  # imported while it could be
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@parametrize(
    "content, place",
    {
        "Latin-1": ('[{"name":\n "Künstler"}]'.encode("latin-1"), "line 2: byte 0xfc"),
        "UTF-16": ("[]".encode("utf-16"), "line 1: byte 0xff"),
        "cut in a character": ('[\n\n"ü'.encode()[:-1], "line 3: byte 0xc3"),
    },
)
def test_file_is_not_utf_8(rejected, content, place):
    """Bytes that are not UTF-8 are reported with their line."""
    assert rejected(content) == f"{place} is not UTF-8.\n    Save the file as UTF-8."


def test_byte_order_mark_is_welcome(declare, settings):
    """A file saved by an editor that begins UTF-8 with a BOM is as good as another."""
    declare()
    settings.BADGES_FILE.write_bytes(b"\xef\xbb\xbf" + json.dumps([INSTALLED]).encode())
    output = io.StringIO()
    call_command("create_badge_triggers", stdout=output)
    assert "Done: 1 badge on 1 trigger" in output.getvalue()


# Names


UNKNOWN_FUNCTION = {
    False: "No function matches the given name and argument types. You might need to add explicit type casts.",
    True: "There is no function of that name.",
}
"""What PostgreSQL says of one, before version 19 and from then on."""

NAMES = errors(
    unknown_table=(
        {"trigger_table": "dummy_skech"},
        'trigger_table: there is no table "dummy_skech".\n    Did you mean "dummy_sketch"?',
    ),
    nothing_like_the_table=(
        {"trigger_table": "zzz"},
        'trigger_table: there is no table "zzz".\n    Create the table first (python manage.py migrate).',
    ),
    table_of_another_schema=(
        {"trigger_table": "paintings"},
        'trigger_table: there is no table "paintings".\n    Did you mean "gallery.paintings"?',
    ),
    unknown_schema=(
        {"trigger_table": "galery.paintings"},
        'trigger_table: there is no table "galery.paintings".\n    Did you mean "gallery.paintings"?',
    ),
    model_instead_of_table=(
        {"trigger_table": "dummy.Sketch"},
        'trigger_table: there is no table "dummy.Sketch".\n    Did you mean "dummy_sketch"?',
    ),
    no_name_at_all=(
        {"trigger_table": 'a."'},
        'trigger_table: there is no table "a.\\"".\n    Create the table first (python manage.py migrate).'.replace(
            "\\", ""
        ),
    ),
    unknown_user_field=(
        {"user_field": "userid"},
        'user_field: public.dummy_sketch has no column "userid".\n    Did you mean "user_id"?',
    ),
    Djangos_name_of_the_user_field=(
        {"user_field": "user"},
        'user_field: public.dummy_sketch has no column "user".\n    Did you mean "user_id"?',
    ),
    nothing_like_the_user_field=(
        {"user_field": "painter"},
        (
            'user_field: public.dummy_sketch has no column "painter".\n'
            "    Its columns: id, title, hit_views, created, user_id."
        ),
    ),
    user_field_of_another_type=(
        {"user_field": "title"},
        (
            "user_field: public.dummy_sketch.title is of type character varying, but users are known by "
            "public.auth_user.id, of type integer.\n    Name the column that holds the key of the user."
        ),
    ),
    unknown_column=(
        {"condition": "NEW.hit_view > 5"},
        """\
        condition: column new.hit_view does not exist
            NEW.hit_view > 5
            ^
            Perhaps you meant to reference the column "new.hit_views".""",
    ),
    unknown_column_for_the_server=(
        {"condition": "NEW.user > 5"},
        """\
        condition: column new.user does not exist
            NEW.user > 5
            ^
            Did you mean "user_id"?""",
    ),
    nothing_like_the_column=(
        {"condition": "NEW.colour = 'red'"},
        """\
        condition: column new.colour does not exist
            NEW.colour = 'red'
            ^
            The columns of public.dummy_sketch: id, title, hit_views, created, user_id.""",
    ),
    double_quotes_around_a_text=(
        {"condition": 'title = "Ada"'},
        """\
        condition: column "Ada" does not exist
            title = "Ada"
                    ^
            Put strings between single quotes ('); double quotes are for names.""",
    ),
    unknown_table_in_the_condition=(
        {"condition": "count(*) > 5 FROM dummy_skech"},
        """\
        condition: relation "dummy_skech" does not exist
            count(*) > 5 FROM dummy_skech
                              ^
            Did you mean "dummy_sketch"?""",
    ),
    unknown_function=(
        {"condition": "is_pretty(title)"},
        """\
        condition: function is_pretty(character varying) does not exist
            is_pretty(title)
            ^
            {UNKNOWN_FUNCTION}""",
    ),
)


@parametrize("changes, report", NAMES)
def test_unknown_names(rejected_badges, execute, changes, report):
    """A name that PostgreSQL does not know is reported with its place and the nearest name that it knows."""
    execute("CREATE SCHEMA gallery CREATE TABLE paintings (id int)")
    report = textwrap.dedent(report).replace("{UNKNOWN_FUNCTION}", UNKNOWN_FUNCTION[connection.pg_version >= 190000])
    assert rejected_badges(entry("x", **changes)) == f'badge "x", {report}'


# Conditions


ONLY_READ = "A condition may only read."
PARENTHESIS = "Probably one ) is too many: the condition never opened it."
ONE_EXPRESSION = "Write one expression; AND and OR join several."
ONE_COLUMN = "the condition must give one column: subquery must return only one column."
STATEMENTS = "the condition holds several statements."
FROM = "Say which rows: count(*) >= 5 FROM a_table WHERE user_id = NEW.user_id"
AGGREGATE = "the condition aggregates without FROM, so it sees only the changed row."
PARAMETER = "A condition has no parameters; NEW and OLD hold the changed row."
COMPARE = "Compare it with something."
SAME = "the condition compares a column with itself, which is true for the rows of all users."
WRITE_NEW = "Write NEW.user_id for the user of the changed row; IS NOT NULL, if that is what it asks."
NO_BOOLEAN = "a badge needs true or false."

CONDITIONS = errors(
    syntax_error=("true AND ⌃AND true", 'syntax error at or near "AND"', ""),
    incomplete=("hit_views >⌃", "syntax error at end of input", ""),
    incomplete_with_blanks=("hit_views >⌃ \n ", "syntax error at end of input", ""),
    parenthesis_not_closed=("count(id > 5⌃", "syntax error at end of input", ""),
    begins_with_SELECT=(
        "⌃SELECT true",
        'syntax error at or near "SELECT"',
        "Write the condition without SELECT.",
    ),
    number=("hit_views", f"the condition gives integer; {NO_BOOLEAN}", COMPARE),
    text=("'t'", f"the condition gives text; {NO_BOOLEAN}", COMPARE),
    NULL_alone=("NULL", f"the condition gives text; {NO_BOOLEAN}", COMPARE),
    record=(
        "ROW(true, false)",
        'the condition gives no boolean: column "value" has pseudo-type record.',
        "One value, true or false, is needed.",
    ),
    several_columns=("true, false", ONE_COLUMN, ONE_EXPRESSION),
    all_columns=("* FROM dummy_sketch", ONE_COLUMN, ONE_EXPRESSION),
    no_column=("FROM dummy_sketch", ONE_COLUMN, ONE_EXPRESSION),
    only_a_comment=("-- true", ONE_COLUMN, ONE_EXPRESSION),
    several_statements=("true; DROP TABLE dummy_sketch", STATEMENTS, "Write one expression, without semicolons."),
    semicolon=("true⌃;", 'syntax error at or near ";"', "Leave out the semicolon."),
    statement_behind_a_comment=(
        "true -- done\n; DROP TABLE dummy_sketch --",
        STATEMENTS,
        "Write one expression, without semicolons.",
    ),
    data_modifying_CTE=(
        "(WITH ⌃gone AS (DELETE FROM dummy_sketch RETURNING id) SELECT count(*) > 0 FROM gone)",
        "WITH clause containing a data-modifying statement must be at the top level",
        ONLY_READ,
    ),
    INSERT_in_a_subquery=(
        "EXISTS (⌃INSERT INTO dummy_sketch DEFAULT VALUES RETURNING id)",
        'syntax error at or near "INSERT"',
        ONLY_READ,
    ),
    SELECT_INTO=("true INTO ⌃loot FROM dummy_sketch", "SELECT ... INTO is not allowed here", ONLY_READ),
    closes_the_parenthesis_UNION=("true⌃) IS TRUE UNION SELECT (true", 'syntax error at or near ")"', PARENTHESIS),
    closes_the_parenthesis_DROP=(
        "true⌃); DROP TABLE dummy_sketch; SELECT (true",
        'syntax error at or near ")"',
        PARENTHESIS,
    ),
    closes_the_parenthesis_comment=("true⌃) /*", 'syntax error at or near ")"', PARENTHESIS),
    closes_the_parenthesis_line_comment=("true⌃) --", 'syntax error at or near ")"', PARENTHESIS),
    comment_not_closed=("true ⌃/* NEW", 'unterminated /* comment at or near "/* NEW"', ""),
    quote_not_closed=("title = ⌃'Ada", 'unterminated quoted string at or near "\'Ada"', ""),
    dollar_quote_not_closed=(
        "title = ⌃$badges$Ada",
        'unterminated dollar-quoted string at or near "$badges$Ada"',
        "",
    ),
    identifier_not_closed=('⌃"title = 1', 'unterminated quoted identifier at or near ""title = 1"', ""),
    count_without_FROM=("count(*) >= 5", AGGREGATE, FROM),
    count_of_the_row=("⌃count(id) >= 5", AGGREGATE, FROM),
    aggregate_in_WHERE=(
        "true FROM dummy_sketch WHERE ⌃count(id) > 5",
        "aggregate functions are not allowed in WHERE",
        "",
    ),
    FOR_UPDATE=(
        "true FROM dummy_sketch FOR UPDATE",
        "the condition locks rows (FOR UPDATE or FOR SHARE).",
        "A badge must not block a write.",
    ),
    view_option=("true ⌃WITH CHECK OPTION", 'syntax error at or near "WITH"', ""),
    parameter=(
        "hit_views > ⌃$1",
        "there is no parameter $1",
        PARAMETER,
    ),
    NEW_in_quotes=('⌃"NEW".hit_views > 5', 'missing FROM-clause entry for table "NEW"', "Write NEW without quotes."),
    literal_of_another_type=("hit_views > ⌃'many'", 'invalid input syntax for type integer: "many"', ""),
    third_line=("true\n  AND true\n  AND ⌃AND true\n  AND true", 'syntax error at or near "AND"', ""),
    line_ends_of_Windows=("true\r\n  AND ⌃AND true\r\n", 'syntax error at or near "AND"', ""),
    ends_with_AND=("hit_views > 5 AND", "the condition ends with AND.", "Write what it needs, or leave it out."),
    last_line=("true\n  AND (⌃\n", "syntax error at end of input", ""),
    equals_of_other_languages=(
        "hit_views ⌃== 5",
        "operator does not exist: integer == integer",
        "Write = in place of ==.",
    ),
    arrow=("count(id) ⌃=> 5 from dummy_sketch", 'syntax error at or near "=>"', "Write >= in place of =>."),
    reversed_arrow=("hit_views ⌃=< 5", "operator does not exist: integer =< integer", "Write <= in place of =<."),
    and_of_other_languages=(
        "true ⌃&& true",
        "operator does not exist: boolean && boolean",
        "Write AND in place of &&.",
    ),
    or_of_other_languages=("true ⌃|| true", "operator does not exist: boolean || boolean", "Write OR in place of ||."),
    not_of_other_languages=("⌃! true", "operator does not exist: ! boolean", "Write NOT in place of !."),
    misspelt_function=(
        "⌃coutn(id) >= 5 from dummy_sketch",
        "function coutn(bigint) does not exist",
        'Did you mean "count"?',
    ),
    misspelt_function_of_the_row=(
        "⌃lenght (title) > 5",
        "function lenght(character varying) does not exist",
        'Did you mean "length"?',
    ),
    user_without_NEW=("count(id) >= 5 from dummy_sketch where user_id = user_id", SAME, WRITE_NEW),
    user_without_NEW_in_a_subquery=(
        "NEW.hit_views > 5 and exists (select from dummy_sketch s where s.hit_views > 1 and s.user_id = user_id)",
        SAME,
        WRITE_NEW,
    ),
    title_without_NEW=("count(id) >= 5 from dummy_sketch where title = title", SAME, WRITE_NEW),
    column_behind_multibyte_text=("title = 'Über-Künstler' AND ⌃$1", "there is no parameter $1", PARAMETER),
)


@parametrize("condition, message, hint", CONDITIONS)
def test_condition_is_refused(rejected_badges, condition, message, hint):
    """PostgreSQL's message, or a clearer one, with a caret under the place in the author's text (here: behind ⌃)."""
    before, marker, after = condition.partition("⌃")
    expected = [f'badge "x", condition: {message}']
    if marker:
        line = before.rpartition("\n")[2]
        expected += [f"    {line}{after.partition(chr(10))[0].rstrip()}", f"    {' ' * len(line)}^"]
    if hint:
        expected.append(f"    {hint}")
    assert rejected_badges(entry("x", condition=before + after)) == "\n".join(expected)


def test_caret_below_a_tab_and_in_a_long_line(rejected_badges):
    """The caret stands below its character on a terminal, whatever stands before it."""
    tabbed = entry("tabbed", condition="true AND\n\t\tAND true")
    long = entry("long", condition="title <> '" + "x" * 200 + "' AND AND " + "y" * 200)
    assert rejected_badges(tabbed, long) == (
        'badge "tabbed", condition: syntax error at or near "AND"\n'
        "      AND true\n"
        "      ^\n"
        'badge "long", condition: syntax error at or near "AND"\n'
        f"    {'x' * 54}' AND AND {'y' * 36}\n"
        f"    {' ' * 60}^"
    )


@pytest.mark.parametrize(
    ("condition", "function"),
    [
        ("random() > 0.5", "random()"),
        ("nextval('dummy_sketch_id_seq') > 5", "nextval(regclass)"),
        ("NEW.created < clock_timestamp()", "clock_timestamp()"),
        ("set_config('role', 'postgres', false) = ''", "set_config(text,text,boolean)"),
        ("count(*) > 5 FROM dummy_sketch WHERE random() > 0.5", "random()"),
        ("max(random()) > 0.5 FROM dummy_sketch", "random()"),
        ("count(*) > 5 FROM dummy_sketch TABLESAMPLE bernoulli (50)", "bernoulli(internal)"),
        ("NEW.title OPERATOR(gallery.~~~) 'x'", "gallery.guess(text,text)"),
    ],
)
def test_volatile_function(rejected_badges, execute, condition, function):
    """A function that may change data, or its answer, is named wherever it hides."""
    execute("CREATE SCHEMA gallery")
    execute("CREATE FUNCTION gallery.guess(text, text) RETURNS boolean VOLATILE RETURN random() > 0.5")
    execute("CREATE OPERATOR gallery.~~~ (FUNCTION = gallery.guess, LEFTARG = text, RIGHTARG = text)")
    assert rejected_badges(entry("x", condition=condition)) == (
        f'badge "x", condition: the condition calls {function}; volatile functions may change data or their answer.\n'
        "    Use now() for the time; declare a function of your own STABLE if it only reads."
    )


@pytest.mark.parametrize(
    "condition", ["NEW.ctid = '(0,1)'", "xmin IS NULL", "max(s.ctid) > '(0,9)' FROM dummy_sketch s"]
)
def test_system_column(rejected_badges, condition):
    """What PostgreSQL keeps about a version of a row is no property of the row."""
    assert rejected_badges(entry("x", condition=condition)) == (
        'badge "x", condition: the condition reads a system column such as ctid or xmin.\n'
        "    Those differ in every version of a row."
    )


@pytest.mark.parametrize(
    ("row", "events", "event"),
    [
        ("NEW", "delete", "delete"),
        ("NEW", ["insert", "delete"], "delete"),
        ("OLD", "insert", "insert"),
        ("OLD", ["insert", "update", "delete"], "insert"),
    ],
)
@pytest.mark.parametrize("condition", ["{}.hit_views > 5", "{} IS NOT NULL"])
def test_row_that_does_not_exist(rejected_badges, row, events, event, condition):
    """NEW after a delete and OLD after an insert are reported for that event, in any letter case."""
    other = "OLD" if row == "NEW" else "NEW"
    for written in (row, row.lower(), row.title()):
        text = condition.format(written)
        assert rejected_badges(entry("x", condition=text, trigger_condition=events)) == (
            f'badge "x", condition: {row} does not exist for {event}.\n'
            f"    {text}\n"
            "    ^\n"
            f"    Use {other}, or check the badge after another kind of write."
        )


def test_same_fault_after_several_events_comes_once(rejected_badges):
    """A condition that is wrong after each of its events is reported once."""
    faulty = entry("x", condition="hit_views", trigger_condition=["insert", "update", "delete"])
    expected = 'badge "x", condition: the condition gives integer; a badge needs true or false.\n'
    assert rejected_badges(faulty) == f"{expected}    Compare it with something."


# Tables


WATCH = "Name the table whose rows change; writes through an updatable view reach it too."
ELSEWHERE = "Its rows change on another server, where no trigger of this database fires."

RELATIONS = errors(
    view=("CREATE VIEW x AS SELECT * FROM dummy_sketch", "x", "a view; only a table can be watched", WATCH),
    materialized_view=(
        "CREATE MATERIALIZED VIEW x AS SELECT * FROM dummy_sketch",
        "x",
        "a materialized view; only a table can be watched",
        WATCH,
    ),
    foreign_table=(
        (
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            " CREATE FOREIGN TABLE x (user_id int) SERVER s"
        ),
        "x",
        "a foreign table; only a table can be watched",
        ELSEWHERE,
    ),
    sequence=("SELECT", "dummy_sketch_id_seq", "a sequence; only a table can be watched", WATCH),
    index=("SELECT", "dummy_sketch_pkey", "an index; only a table can be watched", WATCH),
    composite_type=("CREATE TYPE x AS (user_id int)", "x", "no table; only a table can be watched", WATCH),
    temporary_table=(
        "CREATE TEMPORARY TABLE x (user_id int)",
        "x",
        "a temporary table; it cannot be watched",
        "It disappears at the end of the session that created it.",
    ),
    system_table=(
        "SELECT",
        "pg_catalog.pg_class",
        "a system table; it cannot be watched",
        "PostgreSQL fires no triggers for its own tables.",
    ),
    system_view=("SELECT", "information_schema.tables", "a view; only a table can be watched", WATCH),
)


@parametrize("statement, table, kind, hint", RELATIONS)
def test_table_that_cannot_be_watched(rejected_badges, execute, statement, table, kind, hint):
    """A relation without rows of its own for all sessions is rejected, and its kind is named."""
    execute(statement)
    faulty = entry("x", trigger_table=table, condition="true")
    assert rejected_badges(faulty) == f'badge "x", trigger_table: "{table}" is {kind}.\n    {hint}'


def test_virtual_generated_column(rejected_badges, execute):
    """A column that PostgreSQL does not compute for triggers is rejected, also as part of the whole row."""
    if connection.pg_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    execute("CREATE TABLE visits (visitor int, twice int GENERATED ALWAYS AS (visitor * 2) VIRTUAL)")
    common = {"trigger_table": "visits", "user_field": "visitor"}
    reads = (
        "condition: the condition reads twice, a virtual generated column, which triggers do not see.\n"
        "    Write its expression out, or make the column STORED."
    )
    assert rejected_badges(
        entry("bare", condition="twice = 4", **common),
        entry("whole", condition="OLD IS NOT NULL", trigger_condition="delete", **common),
        entry("user", condition="true", **{**common, "user_field": "twice"}),
    ) == (
        f'badge "bare", {reads}\n'
        f'badge "whole", {reads}\n'
        'badge "user", user_field: public.visits.twice is a virtual generated column, which triggers do not see.\n'
        "    Name another column, or make this one STORED."
    )


# Databases


def test_database_is_not_postgresql(monkeypatch, badge_file, database_unchanged):
    """A database of another kind is named, with what to do."""
    other = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    monkeypatch.setitem(connections.settings, "other", other)
    badge_file(INSTALLED)
    try:
        with database_unchanged():
            assert failure(database="other") == (
                'The database "other" is SQLite. Badges are awarded by PostgreSQL\'s triggers: '
                "name a PostgreSQL database with --database."
            )
    finally:
        del connections["other"]


@pytest.mark.parametrize("table", ["badges_badge", "badges_badgedefinition", "auth_user"])
def test_tables_are_missing(badge_file, database_unchanged, execute, table):
    """Before `migrate` the command says so, and which table it misses."""
    badge_file(INSTALLED)
    with database_unchanged():
        execute(f"ALTER TABLE {table} RENAME TO elsewhere")
        message = failure()
        execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert message == (f'The table {table} is missing in the database "default". Run `python manage.py migrate` first.')


def test_tables_are_those_of_an_earlier_version(badge_file, database_unchanged, execute):
    """A table of badges without the columns of this version is distinguished from a usable one."""
    badge_file(INSTALLED)
    execute("ALTER TABLE badges_badge DROP COLUMN thing")
    with database_unchanged():
        assert failure() == (
            "The table badges_badge is still that of an earlier version. Run `python manage.py migrate badges` first."
        )


def test_locked_table_is_no_fault_of_the_file(badge_file, database_unchanged, settings):
    """A table locked by another session is reported as locked, not as a condition that PostgreSQL rejects."""
    settings.BADGES_LOCK_TIMEOUT = 20
    badge_file(INSTALLED)
    options = {name: connection.settings_dict[name.upper()] for name in ("host", "port", "user", "password")}
    with psycopg.connect(**options, dbname=connection.settings_dict["NAME"]) as other, database_unchanged():
        other.execute("LOCK TABLE dummy_sketch IN ACCESS EXCLUSIVE MODE")
        assert failure().startswith("Waited 20 ms (BADGES_LOCK_TIMEOUT) for a transaction that locks a table")
        other.rollback()


# Rights


ROLE_READS = "SELECT ON dummy_sketch TO badges_limited"
ROLE_MAKES_TRIGGERS = "TRIGGER ON dummy_sketch TO badges_limited"
ROLE_MAKES_TEMPORARY_TABLES = "TEMPORARY ON DATABASE {database} TO badges_limited"
ROLE_READS_DEFINITIONS = "SELECT ON badges_badgedefinition TO badges_limited"
ROLE_WRITES_DEFINITIONS = "INSERT, UPDATE ON badges_badgedefinition TO badges_limited"
ROLE_BECOMES_OWNER = "badges_owner TO badges_limited"
ROLE_MAKES_FUNCTIONS = "CREATE ON SCHEMA public TO badges_limited"
OWNER_MAKES_FUNCTIONS = "CREATE ON SCHEMA public TO badges_owner"
OWNER_READS_USERS = "SELECT ON auth_user TO badges_owner"
OWNER_READS_DEFINITIONS = "SELECT ON badges_badgedefinition TO badges_owner"
OWNER_READS_SECRET = "SELECT ON badges_secret TO badges_owner"
OWNER_WRITES_EVENTS = "SELECT, INSERT, TRIGGER ON badges_badgeevent TO badges_owner"
OWNER_WRITES_FORMER_KEYS = "SELECT, INSERT, UPDATE, DELETE ON badges_formerkey TO badges_owner"
OWNER_WRITES_OVERRUNS = "SELECT, INSERT, UPDATE, DELETE ON badges_overrun TO badges_owner"
OWNER_READS = "SELECT ON dummy_sketch TO badges_owner"
GRANTS = {value for name, value in globals().items() if name.startswith(("ROLE_", "OWNER_"))}


@pytest.fixture
def install_as(nothing_installed, execute, badge_file, settings):
    """Run the command as a role that has what it needs, for badges whose owner has too, save for what is lacking."""
    # Autovacuum may be at work on the table of a busy machine.
    settings.BADGES_LOCK_TIMEOUT = 30_000
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    execute("CREATE ROLE badges_limited; CREATE ROLE badges_owner; ALTER TABLE badges_badge OWNER TO badges_owner")
    execute(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")

    def run(*badges, lacking=()):
        for grant in GRANTS.difference(lacking):
            execute(f"GRANT {grant.format(database=database)}")
        badge_file(*badges or [INSTALLED])
        execute("SET LOCAL ROLE badges_limited")
        try:
            call_command("create_badge_triggers", stdout=io.StringIO())
        finally:
            execute("RESET ROLE")

    return run


@pytest.fixture
def refused_to(install_as, database_unchanged):
    """The same where it must fail; gives the message below its first line."""

    def run(*badges, lacking=()):
        with database_unchanged(), pytest.raises(CommandError, match="nothing was changed") as caught:
            install_as(*badges, lacking=lacking)
        return str(caught.value).partition("\n")[2]

    return run


def test_rights_are_enough(install_as, execute):
    """With the rights that the tests below take away one by one, and no others, the command works."""
    install_as()
    assert execute("SELECT code FROM badges_badgedefinition") == [("installed",)]


def test_rights_for_signals(refused_to, settings):
    """With BADGES_SIGNALS the owner of the badges must be able to queue events, and the right is named."""
    settings.BADGES_SIGNALS = True
    assert 'Needed: GRANT INSERT ON "public"."badges_delivery" TO "badges_owner";' in refused_to()


MISSING_RIGHTS = {
    "read the table": (
        [ROLE_READS, OWNER_READS],
        (
            'badge "installed", trigger_table: the role "badges_limited" may not read public.dummy_sketch.\n'
            '    Needed: GRANT SELECT ON "public"."dummy_sketch" TO "badges_limited";'
        ),
    ),
    "read what the condition reads": (
        [OWNER_READS],
        (
            'badge "installed", condition: the condition runs with the rights of the owner of the badges, '
            '"badges_owner", who lacks SELECT ON public.dummy_sketch.\n'
            '    Needed: GRANT SELECT ON public.dummy_sketch TO "badges_owner";'
        ),
    ),
    "read the users": (
        [OWNER_READS_USERS],
        (
            'database "{database}": the owner of the badges, "badges_owner", may not read public.auth_user.\n'
            '    Needed: GRANT SELECT ON "public"."auth_user" TO "badges_owner";'
        ),
    ),
    "read the version of the rule": (
        [OWNER_READS_DEFINITIONS],
        (
            'database "{database}": the owner of the badges, "badges_owner", may not read '
            "public.badges_badgedefinition.\n"
            '    Needed: GRANT SELECT ON "public"."badges_badgedefinition" TO "badges_owner";'
        ),
    ),
    "read the secret": (
        [OWNER_READS_SECRET],
        (
            'database "{database}": the owner of the badges, "badges_owner", may not read public.badges_secret.\n'
            '    Needed: GRANT SELECT ON "public"."badges_secret" TO "badges_owner";'
        ),
    ),
    "write the history": (
        [OWNER_WRITES_EVENTS],
        (
            'database "{database}": the owner of the badges, "badges_owner", may not write public.badges_badgeevent.\n'
            '    Needed: GRANT SELECT, INSERT ON "public"."badges_badgeevent" TO "badges_owner";'
        ),
    ),
    "make temporary tables": (
        [ROLE_MAKES_TEMPORARY_TABLES],
        (
            'database "{database}": the role "badges_limited" may not create the temporary tables on which '
            'conditions are tried.\n    Needed: GRANT TEMPORARY ON DATABASE "{database}" TO "badges_limited";'
        ),
    ),
    "read the definitions": (
        [ROLE_READS_DEFINITIONS, OWNER_READS_DEFINITIONS],
        (
            'database "{database}": the role "badges_limited" may not read public.badges_badgedefinition.\n'
            '    Needed: GRANT SELECT, INSERT, UPDATE ON "public"."badges_badgedefinition" TO "badges_limited";\n'
            'database "{database}": the owner of the badges, "badges_owner", may not read '
            "public.badges_badgedefinition.\n"
            '    Needed: GRANT SELECT ON "public"."badges_badgedefinition" TO "badges_owner";'
        ),
    ),
}


@parametrize("lacking, report", MISSING_RIGHTS)
def test_right_that_is_missing_before_anything_is_done(refused_to, lacking, report):
    """The report says who may not do what, and the GRANT that helps."""
    assert refused_to(lacking=lacking) == report.format(database=connection.settings_dict["NAME"])


@pytest.mark.parametrize(
    ("lacking", "needed"),
    [
        ([ROLE_MAKES_TRIGGERS], "TRIGGER on public.dummy_sketch"),
        ([ROLE_MAKES_FUNCTIONS, OWNER_MAKES_FUNCTIONS], "CREATE on the schema public"),
        ([ROLE_WRITES_DEFINITIONS], "INSERT and UPDATE on public.badges_badgedefinition"),
        ([ROLE_BECOMES_OWNER], "membership in the role badges_owner"),
    ],
)
def test_right_that_is_missing_for_a_step(refused_to, settings, lacking, needed):
    """The report says which right the step takes at which the command stopped."""
    # It may make objects in the schema, and so act with the rights of an owner whose member it is not.
    settings.BADGES_TRUST = ["badges_limited"]
    assert needed in refused_to(lacking=lacking)


def test_schema_that_may_not_be_entered(refused_to, execute):
    """USAGE on a schema is named for the role that tries the condition and for the owner under whom it runs."""
    execute("CREATE SCHEMA gallery CREATE TABLE paintings (user_id int)")
    execute("GRANT SELECT ON gallery.paintings TO badges_limited, badges_owner")
    assert refused_to(entry("x", trigger_table="gallery.paintings", condition="true")) == (
        'badge "x", trigger_table: the condition cannot be tried on a copy of the table: '
        "permission denied for schema gallery.\n"
        '    Needed: GRANT USAGE ON SCHEMA "gallery" TO "badges_limited";'
    )
    in_gallery = entry("x", condition="count(*) > 5 FROM gallery.paintings")
    assert refused_to(in_gallery) == (
        'badge "x", condition: permission denied for schema gallery\n'
        "    count(*) > 5 FROM gallery.paintings\n"
        "                      ^\n"
        '    Needed by the role "badges_limited": USAGE on the schema, EXECUTE on the function.'
    )
    execute("GRANT USAGE ON SCHEMA gallery TO badges_limited")
    assert refused_to(in_gallery) == (
        'badge "x", condition: the condition runs with the rights of the owner of the badges, "badges_owner", '
        "who lacks USAGE ON SCHEMA gallery.\n"
        '    Needed: GRANT USAGE ON SCHEMA gallery TO "badges_owner";'
    )


# All at once


def test_all_errors_that_postgresql_finds_come_at_once(rejected_badges):
    """Ten different errors of ten badges, and two of one badge, make one report in the order of the file."""
    report = rejected_badges(
        entry("a", trigger_table="dummy_skech"),
        entry("b", user_field="user"),
        entry("c", user_field="title"),
        entry("d", condition="true AND"),
        entry("e", condition="hit_views"),
        entry("f", condition="true, false"),
        entry("g", condition="random() > 0.5"),
        entry("h", condition="OLD.hit_views > 5"),
        entry("i", condition="true; true"),
        entry("j", trigger_table="pg_catalog.pg_class", condition="true) OR (true"),
        entry("k", user_field="painter", condition="NEW.colour = 'red'"),
    )
    places = [line.partition(": ")[0] for line in report.splitlines() if line.startswith("badge ")]
    assert places == [
        'badge "a", trigger_table',
        'badge "b", user_field',
        'badge "c", user_field',
        'badge "d", condition',
        'badge "e", condition',
        'badge "f", condition',
        'badge "g", condition',
        'badge "h", condition',
        'badge "i", condition',
        'badge "j", trigger_table',
        'badge "j", condition',
        'badge "k", user_field',
        'badge "k", condition',
    ]


def test_all_errors_of_every_kind_come_at_once(rejected_badges):
    """What is wrong with the structure hides nothing of what PostgreSQL finds, not even in the same badge."""
    misspelt = {"trigger_contition" if key == "trigger_condition" else key: each for key, each in entry("a").items()}
    report = rejected_badges(
        misspelt,
        entry("b", condition="true AND"),
        entry("c", points="10", condition="hit_views"),
        entry("d", trigger_table="dummy_skech"),
        "e",
        entry("f", user_field="title"),
        entry("b", condition="random() > 0.5"),
        entry("g", condition=5),
        entry("h", trigger_condition="delete"),
        entry("i", name=""),
    )
    places = [line.partition(": ")[0] for line in report.splitlines() if line.startswith("badge ")]
    assert places == [
        'badge "a", trigger_contition',
        'badge "b", condition',
        'badge "c", points',
        'badge "c", condition',
        'badge "d", trigger_table',
        "badge 5 of the file",
        'badge "f", user_field',
        'badge "b", code',
        'badge "b", condition',
        'badge "g", condition',
        'badge "h", condition',
        'badge "i", name',
    ]
