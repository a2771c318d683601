"""`python -m pay.commands.pages docs`: write what is made from the table of commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pay.commands.pages.files import EXAMPLES, files


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m pay.commands.pages DIRECTORY")
    root = Path(arguments[0])
    examples = json.loads((root / EXAMPLES).read_text(encoding="utf-8"))
    for name, text in files(examples).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
