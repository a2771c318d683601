"""What a person at the keyboard gets wrong: argparse types whose error is one line."""

from __future__ import annotations

import os
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


def writable(text: str) -> Path:
    """A file that can be written, its directory made: an hour's results must not be lost in the end."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"cannot be written: {text}: {error.strerror}") from error
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"cannot be written: {text}")
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
