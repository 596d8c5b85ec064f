"""The settings of a session that can change the meaning of a condition, and the values that are pinned. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence

CONSTANT = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "array_nulls": "on",
    "backslash_quote": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "xmlbinary": "base64",
    "xmloption": "content",
}
"""Settings that are pinned to a value of PostgreSQL's own."""

OF_DATABASE = ("default_text_search_config", "lc_monetary", "lc_numeric", "lc_time")
"""Settings that are pinned to the value with which a session of the installing role begins."""

ZONE = "TimeZone"

ALL = tuple(sorted((ZONE, *CONSTANT, *OF_DATABASE)))
"""All settings that may be pinned, by PostgreSQL's names."""

_AT_TEXT = frozenset({"array_nulls", "backslash_quote", "standard_conforming_strings", "transform_null_equals"})
"""Those that matter only where the text says so."""

_ZONED = frozenset({"timestamp with time zone", "time with time zone"})
_DATED = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})

_BY_TYPE = {
    **dict.fromkeys(_ZONED, (ZONE,)),
    "interval": ("IntervalStyle",),
    "real": ("extra_float_digits",),
    "double precision": ("extra_float_digits",),
    "bytea": ("bytea_output",),
    "money": ("lc_monetary",),
    "xml": ("xmloption", "xmlbinary"),
}
"""The settings by which a value becomes text, or text a value."""

_RANGES = {
    "daterange": "date",
    "tsrange": "timestamp without time zone",
    "tstzrange": "timestamp with time zone",
    "datemultirange": "date",
    "tsmultirange": "timestamp without time zone",
    "tstzmultirange": "timestamp with time zone",
}

_INSTANTS = frozenset({"now", "transaction_timestamp", "statement_timestamp"})
"""Functions that depend on the time, and on no time zone."""

_STRING = re.compile(r"'((?:[^']|'')*)'")
_ISO_DATE = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}")
_NULL_EQUALS = re.compile(r"=[\s(]*null\b|\bnull[\s)]*=", re.IGNORECASE)
_QUOTED_QUOTE = re.compile(r"(?<!\\)(?:\\\\)*\\'")
_NULL = re.compile(r"\bnull\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class SessionReads:
    """What PostgreSQL has recorded of a probe view that may depend on the session: names of types and functions."""

    types: Sequence[str]
    constants: Sequence[str]
    """The types of its constants, which are read from the text when a session first uses the condition."""
    functions: Sequence[tuple[str, Sequence[str]]]
    """The stable functions of PostgreSQL and of extensions, each with the types of its result and its arguments."""
    sources: Sequence[tuple[bool, str]]
    """The functions of the site's own: whether each is immutable, and its text."""
    converts: bool
    """A value becomes text, or text a value."""
    local_time: bool


def settings(question: str, reads: SessionReads) -> tuple[str, ...]:
    """The settings that can change the meaning of a question."""
    found = {*_by_text(question), *_by_constants(question, reads.constants), *_by_functions(reads)}
    if reads.local_time:
        found.add(ZONE)
    for is_immutable, source in reads.sources:
        found.update(_by_text(source))
        if not is_immutable:
            # It is not known what it calls.
            found.update(set(ALL) - _AT_TEXT)
    return tuple(sorted(found))


def by_stored_columns(types: Collection[str]) -> set[str]:
    """The settings under which the values of a row are stored in a pending check: as JSON, whose dates are ISO."""
    return set(_by_types(set(types) & {"interval", "real", "double precision", "money"}))


def by_interval(text: str) -> set[str]:
    """The settings that decide when an interval ends."""
    if not text:
        return set()
    return {ZONE, "IntervalStyle"} if "-" in text else {ZONE}


def _by_text(text: str) -> Iterator[str]:
    """Settings that matter when the text itself is read."""
    if "\\" in text:
        yield "standard_conforming_strings"
    if _QUOTED_QUOTE.search(text):
        yield "backslash_quote"
    has_comment = "--" in text or "/*" in text
    if _NULL_EQUALS.search(text) or (has_comment and "=" in text and _NULL.search(text)):
        yield "transform_null_equals"


def _by_constants(text: str, constants: Collection[str]) -> Iterator[str]:
    types = {_RANGES.get(base, base) for each in constants for base in [each.removesuffix("[]")]}
    strings = _STRING.findall(text)
    if "$" in text or "\\" in text:
        # Strings may be written in other ways, too.
        strings.append(text)
    if types & _ZONED:
        yield ZONE
    if types & _DATED and any(map(_is_ambiguous_date, strings)):
        yield "DateStyle"
    if "interval" in types and any("-" in string for string in strings):
        yield "IntervalStyle"
    if "money" in types:
        yield "lc_monetary"
    if "xml" in types:
        yield "xmloption"
    if any(each.endswith("[]") for each in constants) and _NULL.search(text):
        yield "array_nulls"


def _is_ambiguous_date(string: str) -> bool:
    """Whether day, month and year may change places in it."""
    return len(re.findall(r"\d+", string)) > 1 and not _ISO_DATE.match(string)


def _by_functions(reads: SessionReads) -> Iterator[str]:
    converts = reads.converts
    for name, named in reads.functions:
        types = {_RANGES.get(each, each) for each in named}
        if (name not in _INSTANTS and types & _ZONED) or re.fullmatch(r"jsonb_path_\w+_tz", name):
            yield ZONE
        if (types & {"tsvector", "tsquery"} or name.startswith("ts_")) and "regconfig" not in types:
            yield "default_text_search_config"
        if "money" in types:
            yield "lc_monetary"
        if "xml" in types:
            yield from ("xmloption", "xmlbinary")
        if name in ("to_char", "to_date", "to_timestamp", "to_number"):
            is_number = name == "to_number" or not types & {*_DATED, "interval"}
            yield from ("lc_monetary", "lc_numeric") if is_number else ("lc_time",)
        converts = converts or any(each in ("record", '"any"') or each.startswith("any") for each in types)
        converts = converts or name.startswith("hstore")
    if converts:
        yield from _by_types({_RANGES.get(each, each) for each in reads.types})
    if converts and any(each.endswith("[]") for each in reads.types):
        yield "array_nulls"


def _by_types(types: Collection[str]) -> Iterator[str]:
    for each in types:
        yield from _BY_TYPE.get(each, ())
        if each in _DATED:
            yield "DateStyle"
