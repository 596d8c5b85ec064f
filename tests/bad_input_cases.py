"""Badge files that are rejected without a database, each with the errors that are reported, and files that are sound.

Shared by the tests of definitions.py, of the JSON Schema and of the command.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from conftest import entry

ALL_KEYS = "name, code, condition, trigger_condition, trigger_table, user_field"
OPTIONAL_KEYS = (
    "description, category, image, points, position, secret, translations, progress, goal, levels, triggers, per, "
    "revocable, active, expires_after, time_zone, was"
)
EVENTS = 'Allowed are "insert", "update", "delete" and a list of them.'


@dataclasses.dataclass(frozen=True)
class Case:
    """A file's content and what is said about it, below the line that names the file."""

    content: Any
    report: str
    schema_can_tell: bool = True


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in entry("x").items() if name != key}


def renamed(key: str, name: str) -> dict[str, Any]:
    return {name if each == key else each: value for each, value in entry("x").items()}


NOT_JSON = {
    # As the README of version 0.1 had it.
    "missing comma on the same line": Case(
        '[{"name": "Collector", "code": "collector" "condition": "true"}]',
        "line 1, column 44: this is not JSON: Expecting ',' delimiter.\n"
        '    [{"name": "Collector", "code": "collector" "condition": "true"}]\n'
        "                                               ^\n"
        '    Probably a comma is missing on line 1 after "collector".',
    ),
    "missing comma at the end of a line": Case(
        '[\n  {\n    "name": "Collector",\n    "code": "collector"\n    "condition": "true"\n  }\n]',
        "line 5, column 5: this is not JSON: Expecting ',' delimiter.\n"
        '        "condition": "true"\n'
        "        ^\n"
        '    Probably a comma is missing on line 4 after "collector".',
    ),
    "missing comma between badges": Case(
        "[\n  {}\n  {}\n]",
        "line 3, column 3: this is not JSON: Expecting ',' delimiter.\n"
        "      {}\n"
        "      ^\n"
        "    Probably a comma is missing on line 2 after {}.",
    ),
    "missing comma in a long line": Case(
        '[{"description": "' + "x" * 300 + '" "points": 1}]',
        "line 1, column 321: this is not JSON: Expecting ',' delimiter.\n"
        f'    {"x" * 58}" "points": 1}}]\n'
        f"    {' ' * 60}^\n"
        "    Probably a comma is missing on line 1 after the value.",
    ),
    "double quote in a condition": Case(
        '[{"condition": "NEW."title" = 1"}]',
        "line 1, column 22: this is not JSON: Expecting ',' delimiter.\n"
        '    [{"condition": "NEW."title" = 1"}]\n'
        "                         ^\n"
        '    Write a double quote inside a string as \\".',
    ),
    "bracket not closed": Case(
        '[{"name": "x"}',
        "line 1, column 15: this is not JSON: Expecting ',' delimiter.\n"
        '    [{"name": "x"}\n'
        "                  ^\n"
        "    Probably a } or a ] is missing before this place.",
    ),
    "single quotes": Case(
        "[{'name': 'x'}]",
        "line 1, column 3: this is not JSON: Expecting property name enclosed in double quotes.\n"
        "    [{'name': 'x'}]\n"
        "      ^\n"
        '    Put strings between double quotes (").',
    ),
    "comment": Case(
        "[\n  // the first badge\n  {}]",
        "line 2, column 3: this is not JSON: Expecting value.\n"
        "      // the first badge\n"
        "      ^\n"
        "    JSON has no comments.",
    ),
    "condition over two lines": Case(
        '[{"condition": "true\r\n  AND true"}]',
        "line 1, column 21: this is not JSON: Invalid control character at.\n"
        '    [{"condition": "true\n'
        "                        ^\n"
        "    A string is on one line; write a line break as \\n, a tab as \\t.",
    ),
    "backslash in a condition": Case(
        r'[{"condition": "NEW.title ~ ' + r"'\d'" + '"}]',
        "line 1, column 30: this is not JSON: Invalid \\escape.\n"
        '    [{"condition": "NEW.title ~ \'\\d\'"}]\n'
        "                                 ^\n"
        "    Write a backslash in a string as \\\\.",
    ),
    "text not closed": Case(
        '[{"name": "x}]',
        "line 1, column 11: this is not JSON: Unterminated string starting at.\n"
        '    [{"name": "x}]\n'
        "              ^\n"
        '    The double quote (") that ends the string is missing.',
    ),
    "missing colon": Case(
        '[{"name" "x"}]',
        "line 1, column 10: this is not JSON: Expecting ':' delimiter.\n"
        '    [{"name" "x"}]\n'
        "             ^\n"
        "    A key is followed by a colon and its value.",
    ),
    "key without quotes": Case(
        '[{name: "x"}]',
        "line 1, column 3: this is not JSON: Expecting property name enclosed in double quotes.\n"
        '    [{name: "x"}]\n'
        "      ^\n"
        '    A key between double quotes (") is needed here, or the } that ends the badge.',
    ),
    "Python instead of JSON": Case(
        '[{"secret": True}]',
        "line 1, column 13: this is not JSON: Expecting value.\n"
        '    [{"secret": True}]\n'
        "                ^\n"
        '    A value is a string between double quotes ("), a number, true, false, null or a list.',
    ),
    "two lists": Case(
        "[]\n[]",
        "line 2, column 1: this is not JSON: Extra data.\n"
        "    []\n"
        "    ^\n"
        "    A badge file is one list: all badges between one [ and one ].",
    ),
    "empty file": Case(
        "",
        "line 1, column 1: this is not JSON: Expecting value.\n"
        "    \n"
        "    ^\n"
        "    The file is empty; a file without badges is [].",
    ),
}

NOT_A_LIST = {
    "one badge": Case(
        entry("x"), "A badge file is a list of badges; found an object.\n    Put the badges between [ and ]."
    ),
    "null": Case(None, "A badge file is a list of badges; found null.\n    Put the badges between [ and ]."),
    "text": Case("x", 'A badge file is a list of badges; found the string "x".\n    Put the badges between [ and ].'),
}

FAULTY_BADGES = {
    "not an object": Case(
        ["collector"],
        'badge 1 of the file: a badge is an object between { and }; found the string "collector".\n'
        f"    A badge needs {ALL_KEYS}.",
    ),
    **{
        f"{key} missing": Case(
            [without(key)],
            f'badge "x": the key "{key}" is missing.\n    A badge needs {ALL_KEYS}.',
        )
        for key in ALL_KEYS.split(", ")
        if key != "code"
    },
    "code missing": Case(
        [without("code")], f'badge 1 of the file: the key "code" is missing.\n    A badge needs {ALL_KEYS}.'
    ),
    "misspelt as in the README of 0.1": Case(
        [renamed("trigger_condition", "trigger_contition")],
        'badge "x", trigger_contition: there is no such key.\n    Did you mean "trigger_condition"?',
    ),
    "key in capitals": Case(
        [renamed("name", "Name")], 'badge "x", Name: there is no such key.\n    Did you mean "name"?'
    ),
    "unknown key": Case(
        [entry("x", colour="red")],
        f'badge "x", colour: there is no such key.\n    The keys are {ALL_KEYS}, {OPTIONAL_KEYS}.',
    ),
    "unknown key that a terminal would obey": Case(
        [{**entry("x"), "\x1b[2J\n": 1, "": 2, "\ud800": 3}],
        f'badge "x", \\x1b[2J\\n: there is no such key.\n    The keys are {ALL_KEYS}, {OPTIONAL_KEYS}.\n'
        f'badge "x", "": there is no such key.\n    The keys are {ALL_KEYS}, {OPTIONAL_KEYS}.\n'
        f'badge "x", \\ud800: there is no such key.\n    The keys are {ALL_KEYS}, {OPTIONAL_KEYS}.',
    ),
    "texts empty": Case(
        [entry("x", name="", condition="", trigger_table=" ", user_field="\n")],
        'badge "x", name: the string is empty.\n    Write the name that people see.\n'
        'badge "x", condition: the string is empty.\n'
        '    Write what may follow SELECT and gives true or false; "true" awards at once.\n'
        'badge "x", trigger_table: the string is empty.\n    Name the table whose changes cause the check.\n'
        'badge "x", user_field: the string is empty.\n    Name the column of the table that holds the user.',
    ),
    "code empty": Case(
        [{**entry("x"), "code": ""}],
        "badge 1 of the file, code: the string is empty.\n    Write a code that no other badge has.",
    ),
    "texts of another type": Case(
        [entry("x", name=None, condition=True, trigger_table=["dummy_sketch"], user_field={"column": "user_id"})],
        'badge "x", name: a string is needed; found null.\n    Put strings between double quotes (").\n'
        'badge "x", condition: a string is needed; found true.\n    Put strings between double quotes (").\n'
        'badge "x", trigger_table: a string is needed; found a list.\n    Put strings between double quotes (").\n'
        'badge "x", user_field: a string is needed; found an object.\n    Put strings between double quotes (").',
    ),
    "code of another type": Case(
        [{**entry("x"), "code": 5}],
        "badge 1 of the file, code: a string is needed; found the number 5.\n"
        '    Put strings between double quotes (").',
    ),
    "optional texts of another type": Case(
        [entry("x", description=1.5, category=[], image=False)],
        'badge "x", description: a string is needed; found the number 1.5.\n'
        '    Put strings between double quotes (").\n'
        'badge "x", category: a string is needed; found a list.\n    Put strings between double quotes (").\n'
        'badge "x", image: a string is needed; found false.\n    Put strings between double quotes (").',
    ),
    "numbers of another type": Case(
        [entry("x", points="10", position=True), entry("y", points=1.5, position=None)],
        'badge "x", points: a whole number is needed; found the string "10".\n    Write numbers without quotes.\n'
        'badge "x", position: a whole number is needed; found true.\n    Write numbers without quotes.\n'
        'badge "y", points: a whole number is needed; found the number 1.5.\n    Write numbers without quotes.\n'
        'badge "y", position: a whole number is needed; found null.\n    Write numbers without quotes.',
    ),
    "numbers too large": Case(
        [entry("x", points=2**31, position=-(2**31) - 1)],
        'badge "x", points: the number does not fit into a PostgreSQL integer.\n'
        "    Use one from -2147483648 to 2147483647.\n"
        'badge "x", position: the number does not fit into a PostgreSQL integer.\n'
        "    Use one from -2147483648 to 2147483647.",
    ),
    "secret of another type": Case(
        [entry("x", secret="yes"), entry("y", secret=1)],
        'badge "x", secret: true or false is needed; found the string "yes".\n    Write it without quotes.\n'
        'badge "y", secret: true or false is needed; found the number 1.\n    Write it without quotes.',
    ),
    "event misspelt": Case(
        [entry("x", trigger_condition="insrt")],
        f'badge "x", trigger_condition: found the string "insrt".\n    Did you mean "insert"? {EVENTS}',
    ),
    "event unknown": Case(
        [entry("x", trigger_condition="truncate")],
        f'badge "x", trigger_condition: found the string "truncate".\n    {EVENTS}',
    ),
    "events in one text": Case(
        [entry("x", trigger_condition="insert, update")],
        f'badge "x", trigger_condition: found the string "insert, update".\n    {EVENTS}',
    ),
    "event of another type": Case(
        [entry("x", trigger_condition={"event": "insert"})],
        f'badge "x", trigger_condition: found an object.\n    {EVENTS}',
    ),
    "event empty": Case(
        [entry("x", trigger_condition="")], f'badge "x", trigger_condition: found the string "".\n    {EVENTS}'
    ),
    "no events": Case(
        [entry("x", trigger_condition=[])], f'badge "x", trigger_condition: the list is empty.\n    {EVENTS}'
    ),
    "one of the events wrong": Case(
        [entry("x", trigger_condition=["insert", 1, ["update"]])],
        f'badge "x", trigger_condition: found the number 1.\n    {EVENTS}\n'
        f'badge "x", trigger_condition: found a list.\n    {EVENTS}',
    ),
    "code too long": Case(
        [entry("x" * 101)],
        f'badge "{"x" * 100}...", code: the code has 101 characters; 100 are allowed.\n    Shorten it.',
    ),
    "NUL": Case(
        [entry("x", name="a\0b", image="\0")],
        'badge "x", name: PostgreSQL cannot store the character NUL (\\u0000) in a text.\n    Remove it.\n'
        'badge "x", image: PostgreSQL cannot store the character NUL (\\u0000) in a text.\n    Remove it.',
    ),
    "lone surrogate": Case(
        [entry("x\ud83c", name="X", condition="'\udf96' = NEW.title")],
        'badge "x\\ud83c", code: the string has half of a surrogate pair, which is not a character.\n'
        "    Remove it, or write its other half.\n"
        'badge "x\\ud83c", condition: the string has half of a surrogate pair, which is not a character.\n'
        "    Remove it, or write its other half.",
    ),
    "code used twice": Case(
        [entry("x"), entry("y"), entry("x", name="Another")],
        'badge "x", code: the code is used twice, by badge 1 and by badge 3 of the file.\n'
        "    Give each badge a code of its own.",
        schema_can_tell=False,
    ),
}

LEVEL_KEYS = "code, goal, name, description, image, points, position, secret, translations, was"


def rule(code: str | None = "x", *dropped: str, **changes: Any) -> dict[str, Any]:
    """A badge without the keys that are dropped, with those that are given; without a code if that is None."""
    badge = {key: value for key, value in entry("x").items() if key not in dropped}
    return {**badge, **({} if code is None else {"code": code}), **changes}


def counted(**changes: Any) -> dict[str, Any]:
    """A badge with progress and goal."""
    return {**rule("x", "condition", progress="1", goal=5), **changes}


def levelled(*levels: Any, **changes: Any) -> dict[str, Any]:
    return {**rule(None, "code", "condition", progress="1", levels=list(levels)), **changes}


def triggered(*triggers: Any, **changes: Any) -> dict[str, Any]:
    kept = rule("x", "trigger_condition", "trigger_table", "user_field")
    return {**kept, "triggers": list(triggers), **changes}


SKETCHES = {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"}
NO_GOAL = "Write the number that progress is to reach, or levels."
NO_PROGRESS = "Write what may follow SELECT and gives the number that is to reach the goal."
CONDITION_TOO = "Keep the condition, or progress with a goal or levels."
TRANSLATION = 'Write one object for each language: {"de": {"name": "Sammler"}}.'
TRIGGER = "A trigger needs table, on, user_field."

FAULTY_RULES = {
    "progress without a goal": Case(
        [rule("x", "condition", progress="1")], f'badge "x": the key "goal" is missing.\n    {NO_GOAL}'
    ),
    "goal without progress": Case(
        [rule("x", "condition", goal=5)], f'badge "x": the key "progress" is missing.\n    {NO_PROGRESS}'
    ),
    "progress misspelt": Case(
        [rule("x", "condition", progres="1", goal=5)],
        'badge "x", progres: there is no such key.\n    Did you mean "progress"?',
    ),
    "condition and progress": Case(
        [counted(condition="true")],
        'badge "x", condition: it cannot be combined with "progress", from which the condition follows.\n'
        f"    {CONDITION_TOO}",
    ),
    "condition and goal": Case(
        [rule("x", goal=5)],
        f'badge "x", condition: it cannot be combined with "goal", from which the condition follows.\n'
        f"    {CONDITION_TOO}",
    ),
    "goals that are no numbers": Case(
        [counted(goal="5"), counted(code="y", goal=True), counted(code="z", goal=None)],
        'badge "x", goal: a number is needed; found the string "5".\n    Write numbers without quotes.\n'
        'badge "y", goal: a number is needed; found true.\n    Write numbers without quotes.\n'
        'badge "z", goal: a number is needed; found null.\n    Write numbers without quotes.',
    ),
    "goal too large": Case(
        [counted(goal=10**30)],
        f'badge "x", goal: found the number {10**30}.\n'
        "    A goal has at most 30 digits before the point and 10 behind it.",
    ),
    "goal too precise": Case(
        [counted(goal=1e-11)],
        'badge "x", goal: found the number 1E-11.\n    A goal has at most 30 digits before the point and 10 behind it.',
        schema_can_tell=False,
    ),
    "progress empty": Case([counted(progress=" ")], f'badge "x", progress: the string is empty.\n    {NO_PROGRESS}'),
    "levels of another type": Case(
        [{**levelled(), "levels": {}}],
        "badge 1 of the file, levels: a list is needed; found an object.\n    Put the levels between [ and ].",
    ),
    "no levels": Case(
        [levelled()],
        "badge 1 of the file, levels: the list is empty.\n    A badge without levels has a code and a goal.",
    ),
    "levels without progress": Case(
        [rule(None, "code", "condition", levels=[{"code": "p", "goal": 1}])],
        f'badge 1 of the file: the key "progress" is missing.\n    {NO_PROGRESS}',
    ),
    "levels beside a code, a goal and a condition": Case(
        [levelled({"code": "q", "goal": 1}, code="x", goal=5, condition="true")],
        'badge "x", condition: it cannot be combined with "progress", from which the condition follows.\n'
        f"    {CONDITION_TOO}\n"
        'badge "x", code: a badge with levels has no code of its own.\n    Each of its levels has one.\n'
        'badge "x", goal: a badge with levels has no goal of its own.\n    Each of its levels has one.',
    ),
    "faulty levels": Case(
        [
            levelled(
                "a",
                {},
                {"code": "c", "gaol": 5, "goal": "5"},
                {"code": "d", "goal": 5, "condition": "true", "colour": 1},
            )
        ],
        'badge 1 of the file, level 1: a level is an object between { and }; found the string "a".\n'
        "    A level needs code, goal.\n"
        'badge 1 of the file, level 2: the key "code" is missing.\n    A level needs code, goal.\n'
        'badge 1 of the file, level 2: the key "goal" is missing.\n    A level needs code, goal.\n'
        'badge "c", gaol: there is no such key.\n    Did you mean "goal"?\n'
        'badge "c", goal: a number is needed; found the string "5".\n    Write numbers without quotes.\n'
        'badge "d", condition: a level has no such key.\n    Set it in the badge, for all of its levels.\n'
        f'badge "d", colour: there is no such key.\n    The keys are {LEVEL_KEYS}.',
    ),
    "goals that do not rise": Case(
        [levelled({"code": "a", "goal": 5}, {"code": "b", "goal": 5.0}, {"code": "c", "goal": 4.5})],
        'badge "b", goal: the goal is 5, but that of the level before is 5.\n    The goals of the levels rise.\n'
        'badge "c", goal: the goal is 4.5, but that of the level before is 5.\n    The goals of the levels rise.',
        schema_can_tell=False,
    ),
    "level without a name": Case(
        [{key: value for key, value in levelled({"code": "r", "goal": 5}).items() if key != "name"}],
        'badge "r": the key "name" is missing.\n    A level needs code, goal, name.',
    ),
    "code of a level used twice": Case(
        [entry("x"), levelled({"code": "a", "goal": 1}, {"code": "x", "goal": 2}, {"code": "a", "goal": 3})],
        'badge "x", code: the code is used twice, by badge 1 and by level 2 of badge 2 of the file.\n'
        "    Give each badge a code of its own.\n"
        'badge "a", code: the code is used twice, by level 1 of badge 2 and by level 3 of badge 2 of the file.\n'
        "    Give each badge a code of its own.",
        schema_can_tell=False,
    ),
    "triggers beside the keys for one": Case(
        [{**entry("x"), "triggers": [SKETCHES]}],
        "".join(
            f'badge "x", {key}: it cannot be combined with "triggers".\n    Keep one of them.\n'
            for key in ("trigger_condition", "trigger_table", "user_field")
        ).rstrip(),
    ),
    "triggers of another type": Case(
        [{**triggered(), "triggers": SKETCHES}],
        'badge "x", triggers: a list is needed; found an object.\n    Put the triggers between [ and ].',
    ),
    "no triggers": Case([triggered()], f'badge "x", triggers: the list is empty.\n    {TRIGGER}'),
    "faulty triggers": Case(
        [triggered("dummy_sketch", {"tabel": "t", "on": []}, {**SKETCHES, "table": " ", "on": ["insrt"]})],
        'badge "x", triggers 1: a trigger is an object between { and }; found the string "dummy_sketch".\n'
        f"    {TRIGGER}\n"
        'badge "x", triggers 2, tabel: there is no such key.\n    Did you mean "table"?\n'
        f'badge "x", triggers 2: the key "user_field" is missing.\n    {TRIGGER}\n'
        f'badge "x", triggers 2, on: the list is empty.\n    {EVENTS}\n'
        'badge "x", triggers 3, table: the string is empty.\n    Name the table whose changes cause the check.\n'
        f'badge "x", triggers 3, on: found the string "insrt".\n    Did you mean "insert"? {EVENTS}',
    ),
    "translations of another type": Case(
        [entry("x", translations=[]), entry("y", translations={"de": "Sammler"})],
        f'badge "x", translations: an object is needed; found a list.\n    {TRANSLATION}\n'
        f'badge "y", translations de: an object is needed; found the string "Sammler".\n    {TRANSLATION}',
    ),
    "faulty translations": Case(
        [entry("x", translations={"de_DE": {}, "fr": {"nom": "X", "Name": "X", "description": 5}, "nl": {"name": ""}})],
        'badge "x", translations de_DE: this is not a language code.\n'
        '    Write one as Django does, such as "de" or "pt-br".\n'
        'badge "x", translations fr, nom: there is no such key.\n    The keys are name, description.\n'
        'badge "x", translations fr, Name: there is no such key.\n    Did you mean "name"?\n'
        'badge "x", translations fr, description: a string is needed; found the number 5.\n'
        '    Put strings between double quotes (").\n'
        'badge "x", translations nl, name: the string is empty.\n    Write the name that people see.',
    ),
    "language given twice": Case(
        [entry("x", translations={"pt-BR": {"name": "X"}, "pt-br": {"name": "Y"}})],
        'badge "x", translations pt-br: the language is given twice.\n    Keep one of them.',
        schema_can_tell=False,
    ),
    "texts and flags of another type": Case(
        [entry("x", per=1, revocable="yes", active=1, expires_after=90)],
        'badge "x", per: a string is needed; found the number 1.\n    Put strings between double quotes (").\n'
        'badge "x", revocable: true or false is needed; found the string "yes".\n    Write it without quotes.\n'
        'badge "x", active: true or false is needed; found the number 1.\n    Write it without quotes.\n'
        'badge "x", expires_after: a string is needed; found the number 90.\n'
        '    Put strings between double quotes (").',
    ),
}
FAULTY_BADGES |= FAULTY_RULES

KEY_GIVEN_TWICE = (
    '[{"name": "X", "code": "x", "condition": "false", "condition": "true", "condition": "NULL::boolean",'
    ' "trigger_condition": "insert", "trigger_table": "dummy_sketch", "user_field": "user_id"}]'
)
"""As text, as Python's dicts cannot hold it."""

SOUND = {
    "no badges": [],
    "required keys only": [entry("x")],
    "all keys": [
        entry("x", description="D", category="C", image="i.svg", points=10, position=-1, secret=True),
        entry("y", description="", category="", image="", points=0, position=2**31 - 1, secret=False),
    ],
    "whole numbers written with a point": [entry("x", points=10.0)],
    "a list of events": [entry("x", trigger_condition=["delete", "insert", "update", "insert"], condition="true")],
    "events in capitals, as in SQL": [
        entry("x", trigger_condition="INSERT"),
        entry("y", trigger_condition=["Insert "]),
    ],
    "code of 100 characters": [entry("ü" * 100)],
    "line breaks and quotes": [entry("x\n'\"", name="a\nb\\", condition="true\n-- 'done")],
    "progress and goal": [counted(), counted(code="y", goal=0.25), counted(code="z", goal=-(10**30) + 1)],
    "levels": [
        levelled({"code": "a", "goal": 1}, {"code": "b", "goal": 2.5, "name": "B", "points": 3}),
        {key: value for key, value in levelled({"code": "c", "goal": 1, "name": "C"}).items() if key != "name"},
    ],
    "triggers": [triggered(SKETCHES), triggered(SKETCHES, {**SKETCHES, "on": ["update", "DELETE"]}, code="y")],
    "translations": [entry("x", translations={"de": {"name": "X"}, "zh-Hant": {"description": ""}, "fr": {}})],
    "rules": [entry("x", per="id", revocable=True, active=False, expires_after="1 year"), entry("y", per="")],
    "astral characters": [entry("\N{SPORTS MEDAL}")],
}
