"""badge.schema.json says the same as definitions.py, as far as a JSON Schema can."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from bad_input_cases import FAULTY_BADGES, NOT_A_LIST, SOUND
from conftest import entry

from badges import definitions
from badges.definitions import validation
from badges.definitions.types import TriggerEvent

SCHEMA = json.loads(resources.files("badges").joinpath("badge.schema.json").read_text("utf-8"))
BADGE = SCHEMA["$defs"]["badge"]
EXAMPLE = Path(__file__).parent.parent / "example" / "badge.json"

validator = jsonschema.Draft202012Validator(SCHEMA)


def test_schema_is_valid():
    """The schema keeps the rules of its own draft."""
    assert SCHEMA["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_keys_are_those_of_the_parser():
    """An editor offers exactly the keys that the command takes, in the same order, also within levels and triggers."""
    assert tuple(BADGE["properties"]) == validation.KEYS
    assert tuple(SCHEMA["$defs"]["level"]["properties"]) == validation.LEVEL_KEYS
    assert tuple(SCHEMA["$defs"]["trigger"]["properties"]) == validation.TRIGGER_KEYS
    assert tuple(SCHEMA["$defs"]["translations"]["additionalProperties"]["properties"]) == validation.TRANSLATION_KEYS
    for kind in (BADGE, *(SCHEMA["$defs"][name] for name in ("level", "trigger"))):
        assert kind["additionalProperties"] is False


def test_events_are_those_of_the_parser():
    """An editor offers exactly the events that the command takes."""
    assert SCHEMA["$defs"]["event"]["anyOf"][0]["enum"] == list(TriggerEvent)


def fitting_entry(key):
    """A badge to which the key can be added."""
    replaced = {
        "progress": {"condition"},
        "goal": {"condition"},
        "levels": {"condition", "code"},
        "triggers": set(validation.ONE_TRIGGER_KEYS),
    }
    badge = {name: value for name, value in entry("x").items() if name not in replaced.get(key, ())}
    added = {"progress": {"goal": 5}, "goal": {"progress": "1"}, "levels": {"progress": "1"}}
    return badge | added.get(key, {})


@pytest.mark.parametrize("key", definitions.KEYS)
def test_key_is_explained(key):
    """Authors of a badge file see the meaning of each key, with examples that the schema and the command accept."""
    about = BADGE["properties"][key]
    assert about["title"]
    assert about["description"].endswith(".")
    for example in about["examples"]:
        badge = {**fitting_entry(key), key: example}
        validator.validate([badge])
        assert definitions.parse(json.dumps([badge]))


@pytest.mark.parametrize(
    ("key", "default"), [(k, v["default"]) for k, v in BADGE["properties"].items() if "default" in v]
)
def test_default_is_that_of_the_definition(key, default):
    """What an editor shows as the default is what the command takes when the key is left out."""
    [definition] = definitions.parse(json.dumps([entry("x")]))
    value = getattr(definition, key)
    assert (list(value) if isinstance(value, tuple) else value) == default


def test_example_is_accepted():
    """The badge file of the example site, and the schema's own example, are accepted by schema and command."""
    for content in (json.loads(EXAMPLE.read_text("utf-8")), *SCHEMA["examples"]):
        validator.validate(content)
        assert definitions.parse(json.dumps(content))


@pytest.mark.parametrize("content", SOUND.values(), ids=SOUND.keys())
def test_sound_file_is_accepted(content):
    """No editor underlines what the command takes."""
    validator.validate(content)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name) for name, case in {**NOT_A_LIST, **FAULTY_BADGES}.items() if case.schema_can_tell],
)
def test_faulty_file_is_refused(case):
    """An editor underlines each badge that the command rejects for its structure."""
    errors = list(validator.iter_errors(case.content))
    assert errors
    if isinstance(case.content, list):
        assert {error.absolute_path[0] for error in errors} == set(range(len(case.content)))
