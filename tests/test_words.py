"""One word for one thing: the words that docs/glossary.md has retired do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent

CHECKED = (
    "*.md",
    "bench/[!c]*.py",
    "bench/c[!h]*.py",
    "docs/*.md",
    "example/**/*.py",
    "example/**/*.html",
    "noxfile.py",
    "run.py",
    "src/badges/**/*.css",
    "src/badges/**/*.html",
    "src/badges/**/*.js",
    "src/badges/**/*.json",
    "src/badges/**/*.py",
    "src/badges/**/*.sql",
    "src/badges/**/*.txt",
    "tests/**/[!t]*.py",
    "tests/**/test_[!w]*.py",
    "tools/*.py",
)
"""Where the words are checked; a further folder is a further line."""

RETIRED = {
    r"look(s|ed|ing)? (at|again)\b": "check, evaluate",
    r"(take|takes|took|taken|taking) ((a badge|it|them|the badge) )?back\b": "revoke",
    r"com(e|es|ing) late\b|late badges?\b": "needs catch-up",
    r"comes? (or|and) goe?s?\b": "awarded or revoked",
    r"goe?s? again\b": "revocable",
    r"in line\b|at odds\b": "in sync, out of date",
    r"faults?\b|complain(s|ts?|ing)?\b|cautions?\b": "error",
    r"remed(y|ies)\b": "hint",
    r"refus(e|es|ed|al|als|ing)\b": "reject",
    r"mend(s|ed|ing)?\b": "fix",
    r"(tell|tells|told|telling)\b": "report, notify, show",
    r"how (a|the|each|every) badge stands\b": "status",
    r"(work|works|worked|working) off\b": "process",
    r"(put|puts|putting) aside\b": "park",
    r"by hand\b": "manual, hand-written",
    r"question mark\b": "query parameter",
    r"still so\b": "cache validation",
    r"uncommitted twins?\b": "unique-key conflict with an uncommitted row",
    r"(go|goes|going|went) on\b": "proceed",
    r"(whoever|nobody|somebody|everybody|anybody|one's)\b": "the user, users",
}
"""Regular expressions, and what to say instead."""

EXEMPT = (
    r"\bby_hand\b",
    r"[\"'](unsafe )?by hand[\"']",
    r"(?m)^(unsafe )?by hand {3,}",
    r"no more than by hand\b",
    r'"remed(y|ies)"',
    r"\bfaults\(self\)",
    r"\bvalue\.faults\b",
    r"\bby hand (by grace|boss|support)\b",
    r'["`]nobody["`]',
    r"\.tell\(",
)
"""Names that sites use already: cut out before the text is searched."""

# Documents show commands, code and output as they are, and figures as they were measured.
NOT_PROSE = (r"(?s)<!-- figures.*?<!-- end of the figures -->", r"(?sm)^( *)```.*?^\1```$", r"`[^`]*`", r"\]\([^)]*\)")


def text_of(path: Path) -> str:
    """What is searched, with as many lines as the file."""
    text = path.read_text("utf-8")
    for cut in (*EXEMPT, *(NOT_PROSE if path.suffix == ".md" else ())):
        text = re.sub(cut, lambda found: "\n" * found[0].count("\n"), text)
    return text


def retired_words(path: Path) -> list[str]:
    """Each place in a file where a retired word stands, also if a line breaks within it, and what to say instead."""
    text = text_of(path)
    found = []
    for retired, better in RETIRED.items():
        spread = retired.replace(" ", r"[\s#-]+")
        for match in re.finditer(rf"\b({spread})", text, re.IGNORECASE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(REPOSITORY)}:{line}: {match[0]!r}; say: {better}")
    return found


@pytest.mark.parametrize("place", CHECKED)
def test_retired_words(place):
    """No file uses a word for which the glossary has another one."""
    files = sorted(REPOSITORY.glob(place))
    assert files
    assert not (found := [each for path in files for each in retired_words(path)]), "\n".join(found)
