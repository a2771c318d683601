"""What a person at the keyboard gets wrong: argparse types whose error is one line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path


class Unreadable(Exception):
    """Why a file of results cannot be used, in one line."""


def existing(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"no such file: {text}")
    return path


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def positives(text: str) -> tuple[int, ...]:
    """Such numbers with commas between them."""
    try:
        return tuple(positive(part) for part in text.split(","))
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}: {text!r} should be like 1000,10000") from error
