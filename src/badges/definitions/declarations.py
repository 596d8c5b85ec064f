"""All badges of the site: those of the badge file, then those of the rules in Python. Pure: no database."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from badges import exceptions
from badges.conf import badges_settings
from badges.definitions import parser, python_rules
from badges.definitions.types import Definition
from badges.exceptions import DefinitionError, InvalidDefinitions


@dataclasses.dataclass(frozen=True, slots=True)
class Declarations:
    """What the site declares, and what is wrong in it."""

    definitions: tuple[Definition, ...]
    errors: tuple[DefinitionError, ...]
    source: str
    """Where it stands, for people: the path of the file and of each module with rules."""


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
    """The badges that can be told, and all that is wrong in any of them.

    :raises NotConfigured: there is neither a file nor a rule.
    :raises InvalidDefinitions: the file cannot be read.
    """
    modules = python_rules.modules()
    sources: list[str] = []
    found: list[Definition] = []
    errors: list[DefinitionError] = []
    try:
        path = file or badges_settings.BADGES_FILE
    except exceptions.NotConfigured:
        if not modules:
            raise
    else:
        of_file = parser.survey(parser.read(path))
        sources.append(str(path))
        found += of_file[0]
        errors += of_file[1]
    for module in modules:
        before = max([each.number for each in found] + [each.number for each in errors], default=0)
        of_module = python_rules.survey(module, before)
        sources.append(python_rules.path(module))
        found += of_module[0]
        errors += of_module[1]
    return Declarations(tuple(found), (*errors, *_used_twice(found)), " + ".join(sources))


def _used_twice(found: list[Definition]) -> list[DefinitionError]:
    """Codes that two sources use; the parser has seen those that one source uses twice."""
    errors = []
    first: dict[str, Definition] = {}
    for each in found:
        other = first.setdefault(each.code, each)
        if other.source != each.source:
            message = f"the code is used twice, in {other.source} and in {each.source}."
            hint, place = "Give each badge a code of its own.", f"{each.place}, code"
            errors.append(DefinitionError(message, hint, place=place, number=each.number))
    return errors
