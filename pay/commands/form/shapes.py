"""Shapes of JSON values, declared once: documents, schemas and the check of answers are made from them.

Types have the names that Core Lightning's own schemas give them (doc/schemas, rpc-schema-draft.json), so that who
reads those reads these. They are named tuples, made in a tenth of the time that dataclasses take: the host waits
for our manifest.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """A value that is no array and no object."""

    STRING = "string"
    BOOLEAN = "boolean"
    NUMBER = "number"
    INTEGER = "integer"
    U32 = "u32"
    U64 = "u64"
    MSAT = "msat"
    HASH = "hash"
    SECRET = "secret"
    HEX = "hex"
    PUBKEY = "pubkey"
    SCID = "short_channel_id"
    SCID_DIR = "short_channel_id_dir"
    NULL = "null"


class Scalar(NamedTuple):
    """One value; `words` are all that it can be, where they are few."""

    kind: Kind
    words: tuple[str, ...] = ()


class Array(NamedTuple):
    items: Shape


class Field(NamedTuple):
    """A field of an object.

    Parameters
    ----------
    always
        It is there in every object of its kind.
    """

    name: str
    shape: Shape
    about: str
    always: bool = True


class Case(NamedTuple):
    """What an object has as well where one of its fields has a certain value."""

    field: str
    value: str
    more: tuple[Field, ...]


class Object(NamedTuple):
    """An object with these fields and no others.

    Parameters
    ----------
    others
        What stands under further names that nobody can list.
    when
        Of one of several, when it is that one.
    """

    fields: tuple[Field, ...]
    cases: tuple[Case, ...] = ()
    others: Shape | None = None
    when: str = ""


class OneOf(NamedTuple):
    """Exactly one of them."""

    shapes: tuple[Shape, ...]


class Anything(NamedTuple):
    """Whatever somebody else wrote."""


Shape = Scalar | Array | Object | OneOf | Anything

STRING, BOOLEAN, NUMBER, INTEGER, U32, U64, MSAT = map(Scalar, tuple(Kind)[:7])
HASH, SECRET, HEX, PUBKEY, SCID, SCID_DIR, NULL = map(Scalar, tuple(Kind)[7:])


def words(*possible: str) -> Scalar:
    """A text that is one of these."""
    return Scalar(Kind.STRING, possible)


def always(name: str, shape: Shape, about: str) -> Field:
    """A field that is always there."""
    return Field(name, shape, about)


def maybe(name: str, shape: Shape, about: str) -> Field:
    """A field that is there where there is something to say."""
    return Field(name, shape, about, always=False)
