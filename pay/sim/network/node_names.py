"""Names of generated nodes, for people's eyes: two words, and a number once the words are used up."""

from __future__ import annotations

_ADJECTIVES = """
amber autumn bold brave bright calm clever copper crimson dusty early fair gentle golden green happy icy
ivory jolly keen kind late lively lucky merry misty noble olive patient proud quick quiet rapid rusty
scarlet silent silver sleepy solar steady sunny swift tidy velvet violet warm wild wise
"""
_NOUNS = """
acorn badger beacon beaver birch bison brook canyon castle cedar cobra comet coral crane delta dolphin eagle
ember falcon fern finch fjord forest fox glacier harbor hawk heron island jackal kestrel lagoon lantern lark
lynx maple meadow meteor otter owl panda pebble pine puma quartz raven river robin salmon sparrow spruce
summit thistle tiger tulip walrus willow wolf
"""
_FIRST, _SECOND = (tuple(words.split()) for words in (_ADJECTIVES, _NOUNS))

_STRIDE = 1_009
"""A prime that divides neither list's length: all pairs come before one comes again, in no order that shows."""


def node_name(seed: int, number: int) -> str:
    """The name of the `number`-th node of a network; different for different numbers."""
    pairs = len(_FIRST) * len(_SECOND)
    pair = (number * _STRIDE + seed * 7_919) % pairs
    name = f"{_FIRST[pair % len(_FIRST)]}-{_SECOND[pair // len(_FIRST)]}"
    return name if number < pairs else f"{name}-{number // pairs + 1}"
