"""A page as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Set

from pay.commands.pages.page import Block, Code, Heading, Item, Paragraph, SeeAlso


def markdown(name: str, title: str, blocks: Iterable[Block], ours: Set[str]) -> str:
    """The text of a file; `ours` are the commands that have a page beside it."""
    text, in_list = [f"# {name}: {title}", ""], False
    for block in blocks:
        if in_list and not isinstance(block, Item):
            text.append("")
        in_list = isinstance(block, Item)
        match block:
            case Heading(words):
                text += [f"## {words}", ""]
            case Paragraph(words):
                text += [words, ""]
            case Item(depth, words):
                text.append(f"{'  ' * depth}- {words}")
            case Code(lines):
                text += ["```", lines, "```", ""]
            case SeeAlso(pages):
                text += [", ".join(f"[{page}]({page}.md)" if page in ours else page for page in pages), ""]
    return "\n".join(text).rstrip() + "\n"
