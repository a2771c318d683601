"""A page as a manual page, for man(1): the macros of man(7), with nothing that only groff has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pay.commands.pages.page import Block, Code, Heading, Item, Paragraph, SeeAlso

_EMPHASIS = re.compile(r"\*\*(.+?)\*\*|\*(.+?)\*")


def roff(name: str, title: str, blocks: Iterable[Block], pages: Mapping[str, str]) -> str:
    """The text of a file; `pages` are our own, by command."""
    text = [f'.TH "{name.upper()}" "7" "" "clnpay" ""', ".SH NAME", f"{_plain(name)} \\- {_plain(title)}"]
    depth = -1
    for block in blocks:
        wanted = block.depth if isinstance(block, Item) else -1
        text += _indented(depth, wanted)
        depth = wanted
        match block:
            case Heading(words):
                text.append(f".SH {words.upper()}")
            case Paragraph(words):
                text += [".PP", _line(words)]
            case Item(_, words):
                text += [".IP \\(bu 2", _line(words)]
            case Code(lines):
                text += [".PP", ".RS 4", ".nf", *(_line(line, False) for line in lines.split("\n")), ".fi", ".RE"]
            case SeeAlso(others):
                named = [f"{pages[other]}(7)" if other in pages else other for other in others]
                text += [".PP", _line(", ".join(named))]
    return "\n".join(text) + "\n"


def _indented(was: int, wanted: int) -> list[str]:
    """From one depth of lists to another; -1 is none."""
    was, wanted = max(was, 0), max(wanted, 0)
    return [".RS 2"] * (wanted - was) + [".RE"] * (was - wanted)


def _line(words: str, emphasis: bool = True) -> str:
    """A line of text, whatever it begins with."""
    if not emphasis:
        shown = _plain(words)
    else:
        shown, at = "", 0
        for match in _EMPHASIS.finditer(words):
            font, inner = ("B", match[1]) if match[1] is not None else ("I", match[2])
            shown += _plain(words[at : match.start()]) + f"\\f{font}{_plain(inner)}\\fP"
            at = match.end()
        shown += _plain(words[at:])
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def _plain(words: str) -> str:
    """Text without meaning to roff."""
    return words.replace("\\", "\\e").replace("-", "\\-")
