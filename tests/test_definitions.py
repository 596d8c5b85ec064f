"""badge.json -> definitions, without a database."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from bad_input_cases import (
    FAULTY_BADGES,
    KEY_GIVEN_TWICE,
    NOT_A_LIST,
    NOT_JSON,
    SKETCHES,
    SOUND,
    Case,
    counted,
    levelled,
    triggered,
)
from conftest import entry
from hypothesis import given, settings
from hypothesis import strategies as st

from badges import definitions, exceptions
from badges.definitions import validation
from badges.definitions.errors import Errors
from badges.definitions.types import Definition, TriggerEvent, Watch
from badges.exceptions import DefinitionError, InvalidDefinitions


def cases(*groups: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name) for group in groups for name, case in group.items()]
    )


def errors(text: str) -> tuple[DefinitionError, ...]:
    with pytest.raises(InvalidDefinitions) as caught:
        definitions.parse(text)
    return caught.value.errors


def report(text: str) -> str:
    return "\n".join(map(str, errors(text)))


@cases(NOT_JSON)
def test_broken_json_is_reported_with_place_and_likely_cause(case):
    """The report shows line, column, the line itself with a caret, and the hint."""
    assert report(case.content) == case.report


def test_names_before_1_0():
    """What sites call the errors and the exception goes by both names."""
    with pytest.raises(InvalidDefinitions) as caught:
        definitions.parse("[{}]")
    assert caught.value.faults == caught.value.errors
    assert exceptions.NotInLine is exceptions.OutOfDate


def test_errors_count_for_the_places_around_them():
    """An error that is added at a place within another one is in both, with the whole path and the badge's number."""
    errors = Errors()
    badge, other = errors.at('badge "x"', number=2), errors.at('badge "y"', number=1)
    badge.at("triggers 1").at("table").add("it is missing.", "Create it.")
    [error] = badge
    assert error == DefinitionError("it is missing.", "Create it.", place='badge "x", triggers 1, table', number=2)
    assert (list(errors), list(other), list(badge.at())) == ([error], [], [])


@pytest.mark.parametrize("text", ["[{},]", "[{},\n]", '[{"a": 1,}]', '[{"a": 1, }]', "[{},"])
def test_comma_too_many_is_named(text):
    """A comma before a closing bracket is named as such; where Python's parser sees it depends on its version."""
    assert report(text).endswith("    Probably the last comma before this place is one too many.")


@cases(NOT_A_LIST, FAULTY_BADGES)
def test_faulty_badge_is_reported_with_badge_key_and_hint(case):
    """The report says which badge, which key, what was found and what to do."""
    assert report(json.dumps(case.content)) == case.report


def test_key_given_twice_is_refused():
    """Where JSON parsers silently take the last value, the file is rejected."""
    assert report(KEY_GIVEN_TWICE) == 'badge "x", condition: the key is given twice.\n    Keep one of them.'


def test_all_errors_come_at_once_in_the_order_of_the_file():
    """No error hides another one, be it in the same badge or in the next."""
    contents = [badge for case in FAULTY_BADGES.values() if case.schema_can_tell for badge in case.content]
    for number, badge in enumerate(contents):
        if isinstance(badge, dict) and badge.get("code") in ("x", "y"):
            contents[number] = {**badge, "code": f"x{number}"}
    found = errors(json.dumps(contents))
    numbers = [error.number for error in found]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, len(contents) + 1))
    assert len(found) == sum(case.report.count("\n    ") for case in FAULTY_BADGES.values() if case.schema_can_tell)


def test_many_errors_are_counted_and_the_first_are_shown():
    """However many errors a file has, the report names the first hundred and the number of the others."""
    with pytest.raises(InvalidDefinitions) as caught:
        definitions.parse(json.dumps([{"code": f"c{number}"} for number in range(2000)]))
    lines = str(caught.value).splitlines()
    assert lines[0] == "badge.json has 10,000 errors; nothing was changed."
    assert lines[-1] == "... and 9,900 more errors."
    assert len([line for line in lines if line.startswith("badge ")]) == 100
    for number, last in ((100, "B99"), (101, "... and 1 more error.")):
        error = InvalidDefinitions("x", [DefinitionError(f"B{each}", place="y") for each in range(number)])
        assert len(error.errors) == number
        assert str(error).splitlines()[-1].endswith(last)


@pytest.mark.parametrize("content", SOUND.values(), ids=SOUND.keys())
def test_sound_file_becomes_one_definition_for_each_badge(content):
    """What is allowed is taken, with the texts as they stand; each level is a badge."""
    parsed = definitions.parse(json.dumps(content))
    badges = [badge | level for badge in content for level in badge.get("levels", [{}])]
    assert [(each.code, each.name, each.question) for each in parsed] == [
        (badge["code"], badge["name"], badge.get("condition", badge.get("progress"))) for badge in badges
    ]


def test_definition_holds_what_the_file_says():
    """Every key ends in the field of its name; the position is the place in the file unless the file says otherwise."""
    first = entry("x", trigger_condition=["update", "INSERT"], description="D", category="C", image="I", points=3.0)
    second = entry("y", position=-5, secret=True)
    assert definitions.parse(json.dumps([first, second])) == (
        Definition(
            code="x",
            name="X",
            condition=first["condition"],
            events=(TriggerEvent.INSERT, TriggerEvent.UPDATE),
            trigger_table="dummy_sketch",
            user_field="user_id",
            description="D",
            category="C",
            image="I",
            points=3,
            position=1,
            secret=False,
            number=1,
        ),
        Definition(
            code="y",
            name="Y",
            condition=second["condition"],
            events=(TriggerEvent.INSERT,),
            trigger_table="dummy_sketch",
            user_field="user_id",
            position=-5,
            secret=True,
            number=2,
        ),
    )


def test_progress_and_goal_become_a_condition():
    """The condition follows from both, with the goal as exact as it was written."""
    text = json.dumps([counted(progress="NEW.hit_views -- all", goal=5)])
    for written, goal in {"5": "5", "5.0": "5", "0.1": "0.1", "2e3": "2000", "1.50": "1.50", "-3": "-3"}.items():
        [definition] = definitions.parse(text.replace('"goal": 5', f'"goal": {written}'))
        assert definition.goal == Decimal(goal)
        assert definition.condition == f"(SELECT NEW.hit_views -- all\n) >= {goal}"
        assert (definition.question, definition.question_key) == ("NEW.hit_views -- all", "progress")


def test_levels_become_definitions():
    """Each level is a badge that takes from the entry what it does not say itself; the next entry is the next badge."""
    badge = levelled(
        {"code": "a", "goal": 1},
        {"code": "b", "goal": 2, "name": "B", "description": "2", "image": "b.svg", "points": 2, "position": 7,
         "secret": True, "translations": {"DE": {"name": "Be"}}},
        description="D", category="C", points=1, translations={"fr": {"name": "X"}}, per="id", revocable=True,
        expires_after="1 day",
    )  # fmt: skip
    first, second, other = definitions.parse(json.dumps([badge, entry("x")]))
    common = {"category": "C", "per": "id", "revocable": True, "expires_after": "1 day", "progress": "1"}
    for level in (first, second):
        assert {name: getattr(level, name) for name in common} == common
        assert (level.number, level.trigger_table, level.events) == (1, "dummy_sketch", (TriggerEvent.INSERT,))
    shown = ("code", "goal", "name", "description", "image", "points", "position", "secret", "translations")
    assert [getattr(first, name) for name in shown] == [
        "a", 1, "X", "D", "", 1, 1, False, {"fr": {"name": "X"}}
    ]  # fmt: skip
    assert [getattr(second, name) for name in shown] == [
        "b", 2, "B", "2", "b.svg", 2, 7, True, {"de": {"name": "Be"}}
    ]  # fmt: skip
    assert (other.number, other.position) == (2, 2)
    assert len({first, second, other}) == 3


def test_triggers_become_the_first_and_the_watches():
    """The first trigger is the badge's own; the others are watched, with their events in order."""
    likes = {"table": "likes", "on": ["update", "INSERT"], "user_field": "liker"}
    [definition] = definitions.parse(json.dumps([triggered(SKETCHES, likes)]))
    assert (definition.trigger_table, definition.events, definition.user_field) == (
        "dummy_sketch", (TriggerEvent.INSERT,), "user_id"
    )  # fmt: skip
    assert definition.watches == (Watch("likes", (TriggerEvent.INSERT, TriggerEvent.UPDATE), "liker"),)
    [alone] = definitions.parse(json.dumps([triggered(SKETCHES)]))
    assert alone.watches == ()
    [same] = definitions.parse(json.dumps([entry("x")]))
    assert alone.rule == same.rule, "another way to write the same rule"


def test_rule_is_the_digest_of_what_decides():
    """What decides the badge changes its rule; what it is called, worth or shown as does not."""
    [before] = definitions.parse(json.dumps([entry("x")]))
    changes = {
        "condition": "true", "trigger_condition": "update", "trigger_table": "t", "user_field": "id", "per": "id",
        "expires_after": "1 day", "time_zone": "Asia/Tokyo",
    }  # fmt: skip
    rules = {definitions.parse(json.dumps([entry("x", **{key: value})]))[0].rule for key, value in changes.items()}
    assert len(rules | {before.rule}) == len(changes) + 1
    [after] = definitions.parse(
        json.dumps([entry("x", name="Y", points=5, active=False, translations={"de": {"name": "Z"}})])
    )
    assert after.rule == before.rule


def test_survey_keeps_badges_whose_condition_can_be_judged():
    """An error that PostgreSQL does not care about leaves the definition; one in what it must read does not."""
    entries = [entry("a", points="1"), entry("b", condition=5), {**entry("c"), "colour": "red"}, "d"]
    found = definitions.survey(wrong := Errors(), json.dumps(entries))
    assert [each.code for each in found] == ["a", "c"]
    assert [error.number for error in wrong] == [1, 2, 3, 4]


def test_number_of_thousands_of_digits_is_too_large():
    """Python does not convert such a number; the file gets an ordinary error."""
    text = json.dumps([entry("x", points=0)]).replace('"points": 0', f'"points": {"9" * 5000}')
    assert report(text).startswith('badge "x", points: the number does not fit into a PostgreSQL integer.')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_number_that_is_none_is_refused(number):
    """What Python reads as a float without a value is no number of points."""
    text = json.dumps([entry("x", points=0)]).replace('"points": 0', f'"points": {number}')
    assert report(text).startswith('badge "x", points: a whole number is needed; found the number ')


def test_deep_nesting_is_refused():
    """A file that would exhaust Python's stack gets an ordinary error."""
    assert report("[" * 200_000) == "The JSON is nested too deeply.\n    A badge file is a list of flat objects."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(st.characters()), children, max_size=4),
    max_leaves=12,
)
VALUES = JSON | st.sampled_from(["insert", "x", "true", ["update", "delete"], "", 5, True])
BADGES = st.dictionaries(st.sampled_from([*definitions.KEYS, "trigger_contition"]), VALUES) | st.fixed_dictionaries(
    {key: st.text(st.characters(), min_size=1) for key in definitions.REQUIRED_KEYS}
    | {"trigger_condition": st.sampled_from(["insert", "UPDATE", ["delete"]])},
    optional=dict.fromkeys(definitions.OPTIONAL_KEYS, VALUES),
)
PARTS = {
    key: st.dictionaries(st.sampled_from([*allowed, "gaol"]), VALUES | st.decimals().map(str) | st.integers(1, 9))
    for key, allowed in {
        "levels": validation.LEVEL_KEYS, "triggers": validation.TRIGGER_KEYS,
        "translations": validation.TRANSLATION_KEYS,
    }.items()
}  # fmt: skip
RULES = st.fixed_dictionaries(
    {"progress": VALUES, "user_field": VALUES},
    optional={
        "levels": st.lists(PARTS["levels"]),
        "triggers": st.lists(PARTS["triggers"]),
        "translations": st.dictionaries(st.sampled_from(["de", "DE", "pt-br", "", "\ud800"]), PARTS["translations"]),
        "goal": VALUES | st.floats(),
        "condition": VALUES,
        "code": VALUES,
        "name": VALUES,
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(BADGES | RULES | JSON, max_size=4) | JSON)
def test_any_json_gives_definitions_or_errors(content):
    """Whatever JSON a file holds, parsing gives definitions or InvalidDefinitions with at least one error."""
    check_anything(json.dumps(content))


@pytest.mark.long
@settings(max_examples=1000, deadline=None)
@given(st.lists(BADGES | RULES | JSON, max_size=4) | JSON)
def test_far_more_json(content):
    """The same with ten times as many examples."""
    check_anything(json.dumps(content))


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters()) | st.text('[]{}",:\\\n 1eau-"'))
def test_any_text_gives_definitions_or_errors(text):
    """Whatever text a file holds, parsing gives definitions or InvalidDefinitions with at least one error."""
    check_anything(text)


def check_anything(text: str) -> None:
    parsed, wrong = (), ()
    try:
        parsed = definitions.parse(text)
    except InvalidDefinitions as error:
        wrong, message = error.errors, str(error)
        # It can be printed.
        message.encode()
    numbers = sorted({each.number for each in parsed})
    assert wrong or (text.strip() and numbers == list(range(1, len(numbers) + 1)))
    assert len({each.code for each in parsed}) == len(parsed)


def test_keys_are_the_fields_of_a_definition():
    """What the file may declare is what a definition holds, but for levels, of which each is one, and for triggers."""
    fields = {field.name for field in Definition.__dataclass_fields__.values()}
    assert fields - {"number", "source", "has_triggers", "events", "watches", "user_path"} == set(definitions.KEYS) - {
        "trigger_condition", "triggers", "levels"
    }  # fmt: skip
