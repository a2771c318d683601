"""What documents say that can be tried without a node: links, paths, commands, formats, the example world."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pay.app.neighbour import KEY as NEIGHBOUR
from pay.commands.table import COMMANDS
from pay.engine.records.entry import Entry, decode, encode
from pay.engine.records.journal import _EARLIER, _KEY, _TOTALS
from pay.errors import Code
from pay.liquidity.portable import from_json
from pay.router.liquidity_store import KEY
from pay.units import parse_node_id
from tests.support.checkout import ROOT
from tests.support.documents import DOCS, code, section, table
from tests.support.lightningd.who_answers import COLUMNS, ROWS, SHOWN, lines

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
STORAGE = DOCS / "storage.md"
KEYS = (_KEY, _TOTALS, _EARLIER, NEIGHBOUR, KEY)
US = parse_node_id("02" + "bb" * 32)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(path: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Of its headings, as forges make them: small letters, hyphens for spaces, nothing else."""
    headings = re.findall(r"^#+ (.+)$", without_code(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_paths_are_there(page: Path) -> None:
    """Whatever is named as a file or folder of the checkout."""
    for path in re.findall(r"`((?:pay|tests|docs|\.ci)/[\w./-]*|[\w-]+\.py)`", without_code(page)):
        # Keys of the node's datastore look the same.
        if not any(path.startswith("/".join(key)) for key in KEYS):
            assert (ROOT / path).exists() or ("/" not in path and list((ROOT / "pay").rglob(path))), path


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_there(page: Path) -> None:
    """Targets of make, modules that are run, measurements."""
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z]+)", text, flags=re.MULTILINE)) <= targets
    for module in re.findall(r"python -m ((?:tests|pay)[\w.]*\w)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    for names in re.findall(r"python -m tests\.bench ([a-z ]+)`", text):
        assert all((ROOT / "tests" / "bench" / f"{name}.py").exists() for name in names.split()), names


def test_every_room_has_its_sentence() -> None:
    """In the table of docs/architecture.md, and none that is not there."""
    rows = table(section(DOCS / "architecture.md", "Rooms"))
    written = {name.strip("`").rstrip("/") for row in rows for name in row[0].split(", ")}
    rooms = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "pay").glob("*/__init__.py")}
    assert rooms <= written and all((ROOT / name).exists() for name in written)


# --- README.md ----------------------------------------------------------------------------------------------


def test_readme_has_every_command() -> None:
    """Each by a link to its page."""
    cells = [row[0] for row in table(section(ROOT / "README.md", "Commands"))]
    assert sorted(cells) == sorted(f"[`{each.name}`](docs/commands/{each.name}.md)" for each in COMMANDS)


def test_readme_has_every_error_of_pay() -> None:
    cells = [row[0] for row in table(section(ROOT / "README.md", "Errors"))]
    codes = [int(code) for cell in cells for code in cell.split(", ")]
    assert sorted(codes) == sorted(Code)


# --- docs/storage.md ----------------------------------------------------------------------------------------


def examples(title: str) -> list[str]:
    return code(section(STORAGE, title), "json")


def test_the_keys_are_those_of_the_code() -> None:
    keys = [
        row[0].strip("`").removesuffix("/<n>-<i>").removesuffix("/<payment_hash>")
        for row in table(section(STORAGE, "What is kept, and where"))
    ]
    assert keys == ["/".join(key) for key in KEYS]


def test_the_entry_of_the_journal_can_be_read_and_has_all_fields() -> None:
    (text,) = examples("The journal")
    written = json.loads(text)
    entry = decode(written["order"]["payment_hash"], text, US)
    assert isinstance(entry, Entry)
    assert keys_of(json.loads(encode(entry))) == keys_of(written)


def keys_of(value: Any) -> Any:
    """Names of fields, at every depth, in their order."""
    if isinstance(value, dict):
        return [(name, keys_of(inner)) for name, inner in value.items()]
    return [keys_of(inner) for inner in value if isinstance(inner, dict)] if isinstance(value, list) else None


def test_the_piece_of_beliefs_can_be_read() -> None:
    (text,) = examples("Beliefs")
    believed = from_json(json.loads(text), now_s=2e9)
    assert (len(believed.channels.scid), len(believed.nodes), believed.priors.outcomes) == (1, 1, 41.5)


# --- CONTRIBUTING.md ----------------------------------------------------------------------------------------


def test_the_example_world() -> None:
    """It runs as it is written."""
    (text,) = code(section(ROOT / "CONTRIBUTING.md", "How to add a world"), "python")
    names: dict[str, Any] = {}
    exec(compile(text, "CONTRIBUTING.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()


def test_who_answers() -> None:
    """The table that real nodes are asked for."""
    assert "\n".join(lines()) in section(DOCS / "front-door.md", "Who answers")
    for rows in SHOWN.values():
        for column in COLUMNS:
            assert len({who for row, who in zip(ROWS, column.who, strict=True) if row in rows}) == 1
