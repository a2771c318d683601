"""The page of the documents that names all events of the log: `python -m pay.commands.pages.log_events`."""

from __future__ import annotations

import sys

from pay.log_events import LogEvent


def as_markdown() -> str:
    """The table as a page of the documents."""
    lines = [
        "# Events of the log",
        "",
        "A line is an event's name and `key=value`s; those in brackets are not on each line. `payment_hash`",
        "and `groupid` name a payment, `partid` a part of it. Of level `unusual` is what an operator should look",
        "at, of `broken` what is a bug of the plugin, with a trace of where it happened. What has not changed is",
        "not said again. Lines below the node's `log-level` are not made at all.",
        "",
        "Made from `pay/log_events.py` by `make docs`.",
        "",
        "| event | level | when | fields | what to do |",
        "|---|---|---|---|---|",
    ]
    for event in sorted(LogEvent, key=str):
        about = event.about
        levels, fields = " or ".join(level.value for level in about.levels), about.fields and f"`{about.fields}`"
        lines.append(f"| `{event}` | {levels} | {about.when} | {fields} | {about.do} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
