"""Declarations: all badges of the site, first those of the badge file, then those of the rules in Python. Pure."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from badges import exceptions
from badges.conf import badges_settings
from badges.definitions import parser, python_rules
from badges.definitions.errors import Errors
from badges.definitions.types import Definition
from badges.exceptions import DefinitionError, InvalidDefinitions


@dataclasses.dataclass(frozen=True, slots=True)
class Declarations:
    """The definitions of the site, as far as they can be understood, and the errors in them."""

    definitions: tuple[Definition, ...]
    errors: tuple[DefinitionError, ...]
    source: str
    """For messages: the path of the file and of each module with rules."""


def load(file: Path | None = None) -> Declarations:
    """All badges of the site.

    :param file: the badge file; by default that of BADGES_FILE, which a site with rules in Python can do without.
    :raises NotConfigured: there is neither a file nor a rule.
    :raises InvalidDefinitions: with all errors at once.
    """
    declared = survey(file)
    if declared.errors:
        raise InvalidDefinitions(declared.source, declared.errors)
    return declared


def survey(file: Path | None = None) -> Declarations:
    """The badges of the site, and all errors in them.

    :raises NotConfigured: there is neither a file nor a rule.
    :raises InvalidDefinitions: the file cannot be read.
    """
    modules = python_rules.modules()
    sources: list[str] = []
    found: list[Definition] = []
    errors = Errors()
    try:
        path = file or badges_settings.BADGES_FILE
    except exceptions.NotConfigured:
        if not modules:
            raise
    else:
        found += parser.survey(errors, parser.read(path))
        sources.append(str(path))
    for module in modules:
        before = max([each.number for each in found] + [each.number for each in errors], default=0)
        found += python_rules.survey(errors, module, before)
        sources.append(python_rules.path(module))
    _check_codes(errors, found)
    return Declarations(tuple(found), tuple(errors), " + ".join(sources))


def _check_codes(errors: Errors, found: list[Definition]) -> None:
    """Check that no two sources use the same code; the parser has done so within each."""
    first: dict[str, Definition] = {}
    for each in found:
        other = first.setdefault(each.code, each)
        if other.source != each.source:
            message = f"the code is used twice, in {other.source} and in {each.source}."
            errors.at(each.place, each.number).at("code").add(message, "Give each badge a code of its own.")
    claimed: dict[str, str] = {}
    for each in found:
        for code in each.was:
            if code in first:
                message = f'"{code}" is the code of a badge that is declared.'
                hint = "Take it out of the list, or declare only the badge with the new code."
                errors.at(each.place, each.number).at("was").add(message, hint)
            elif claimed.setdefault(code, each.code) != each.code:
                message = f'"{code}" is claimed by the badge "{claimed[code]}" as well.'
                errors.at(each.place, each.number).at("was").add(message, "An earlier code belongs to one badge.")
