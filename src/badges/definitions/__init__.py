"""Definitions: `badge.json` and the `badges.py` of the apps, parsed and validated."""

from badges.definitions.parser import load, parse, read, survey
from badges.definitions.types import BADGE_FILE, CODE_MAX_LENGTH, Definition, Source, TriggerEvent, Watch
from badges.definitions.validation import KEYS, LEVEL_KEYS, OPTIONAL_KEYS, REQUIRED_KEYS

__all__ = [
    "BADGE_FILE", "CODE_MAX_LENGTH", "KEYS", "LEVEL_KEYS", "OPTIONAL_KEYS", "REQUIRED_KEYS",
    "Definition", "Source", "TriggerEvent", "Watch", "load", "parse", "read", "survey",
]  # fmt: skip
