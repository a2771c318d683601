"""What stands in the documents, for tests that hold them against what is true: tables and blocks of code."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from tests.support.checkout import ROOT

DOCS = ROOT / "docs"


def section(path: Path, title: str) -> str:
    """The text under a heading, up to the next one of any level."""
    text = path.read_text(encoding="utf-8")
    (_, found) = re.split(rf"^#+ {re.escape(title)}$", text, maxsplit=1, flags=re.MULTILINE)
    return re.split(r"^#+ ", _without_code(found), maxsplit=1, flags=re.MULTILINE)[0].replace("\0", "#")


def table(text: str) -> list[list[str]]:
    """The cells of the first table in `text`, without its head."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
    return rows[2:]


def code(text: str, language: str) -> list[str]:
    """The blocks of code in a language, those of a list as well."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    return [dedent(block) for _, block in found]


def _without_code(text: str) -> str:
    """A line of code may begin as a heading does."""
    return re.sub(
        r"^( *)```.*?^\1```$", lambda block: block[0].replace("#", "\0"), text, flags=re.MULTILINE | re.DOTALL
    )
