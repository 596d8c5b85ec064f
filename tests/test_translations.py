"""German, French and Spanish are complete, in the package and in the example, and compiled from their files."""

from __future__ import annotations

import ast
import gettext
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.utils.translation.template import templatize
from dummy import drawing

import badges

PACKAGE = Path(badges.__file__).parent
EXAMPLE = Path(drawing.__file__).parent
LANGUAGES = ("de", "es", "fr")
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "npgettext"}
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|</?\w+>")

every_language = pytest.mark.parametrize("language", LANGUAGES)
both = pytest.mark.parametrize("folder", [PACKAGE, EXAMPLE], ids=["package", "example"])


def texts_of_python(path: Path) -> Iterator[str]:
    """The first text of each call of gettext, which is what a catalog knows it by; not that of a context."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if name in CALLS and texts and isinstance(texts[0], str):
                yield texts[1] if "pgettext" in name else texts[0]


def texts_of_template(path: Path) -> Iterator[str]:
    """The same of a template, which Django turns into calls for this purpose."""
    literal = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    code = templatize(path.read_text("utf-8"))
    for name, first, second in re.findall(rf"\b(_|n?p?gettext)\({literal}(?:,\s*{literal})?", code):
        yield ast.literal_eval(second if "pgettext" in name else first)


def texts(folder: Path = PACKAGE) -> set[str]:
    """All texts that are shown to people. Commands speak English, and so do their errors."""
    modules = [path for path in folder.rglob("*.py") if "migrations" not in path.parts]
    templates = [*folder.rglob("*.html"), *folder.rglob("*.txt")]
    found = {text for path in modules for text in texts_of_python(path)} | {
        text for path in templates for text in texts_of_template(path)
    }
    if folder == EXAMPLE:
        declared = json.loads((EXAMPLE.parent / "badge.json").read_text("utf-8"))
        found |= {badge["category"] for badge in declared}
    return found


def catalog(language: str, folder: Path) -> Catalog:
    with (folder / "locale" / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        return read_po(file)


def singular(message_id: str | tuple[str, ...]) -> str:
    return message_id if isinstance(message_id, str) else message_id[0]


def test_texts_are_found():
    """The search for texts finds those of modules and of templates, with context and plural too."""
    assert {"badge definition", "All badges", "since", "%(shown)s holder"} <= texts()


def test_languages():
    """There are these languages and no other."""
    assert sorted(path.name for path in (PACKAGE / "locale").iterdir()) == list(LANGUAGES)


@both
@every_language
def test_complete(language, folder):
    """Each text has a translation; `django-admin makemessages` and an editor add what is missing."""
    messages = {singular(message.id): message for message in catalog(language, folder) if message.id}
    missing = texts(folder) - {text for text, message in messages.items() if all(message.string) and not message.fuzzy}
    assert sorted(missing) == []
    assert sorted(set(messages) - texts(folder)) == []


@both
@every_language
def test_placeholders(language, folder):
    """A translation has the placeholders and tags of its text."""
    for message in catalog(language, folder):
        if message.id:
            strings = [message.string] if isinstance(message.string, str) else message.string
            for string in strings:
                assert sorted(PLACEHOLDER.findall(string)) == sorted(PLACEHOLDER.findall(singular(message.id)))


@both
@every_language
def test_compiled(language, folder):
    """The compiled catalog has the same; `django-admin compilemessages` in src/badges brings it up to date."""
    with (folder / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    found = {key: value for key, value in compiled._catalog.items() if key}
    wanted = {}
    for message in catalog(language, folder):
        if message.id:
            key = "\x04".join(filter(None, [message.context, singular(message.id)]))
            if isinstance(message.id, str):
                wanted[key] = message.string
            else:
                wanted |= {(key, number): string for number, string in enumerate(message.string)}
    assert found == wanted
