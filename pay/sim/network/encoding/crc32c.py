"""CRC-32C, the checksum of a record in a gossip_store: of one record, or of many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in table]
    return table


_TABLE = _crc_table()
_ROWS = np.array(_TABLE, np.uint32)


def crc32c(data: bytes, start: int = 0) -> int:
    """The CRC-32C (Castagnoli) of `data`, continued from `start`."""
    crc = start ^ 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc32c_of_rows(rows: npt.NDArray[np.uint8], start: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The checksums of many messages of one length: uint8[n, length] and uint32[n] give uint32[n]."""
    crc = start ^ np.uint32(0xFFFFFFFF)
    for column in np.ascontiguousarray(rows.T):
        crc = crc >> np.uint32(8) ^ _ROWS[(crc ^ column) & np.uint32(0xFF)]
    return crc ^ np.uint32(0xFFFFFFFF)


def checksums(records: Sequence[tuple[bytes, int]]) -> list[int]:
    """The checksum of every (message, timestamp): the CRC-32C of the message that starts from the timestamp."""
    by_length: dict[int, list[int]] = {}
    for at, (message, _) in enumerate(records):
        by_length.setdefault(len(message), []).append(at)
    result = [0] * len(records)
    for length, members in by_length.items():
        data = b"".join(records[at][0] for at in members)
        rows = np.frombuffer(data, np.uint8).reshape(len(members), length)
        start = np.array([records[at][1] for at in members], np.uint32)
        for at, crc in zip(members, crc32c_of_rows(rows, start).tolist(), strict=True):
            result[at] = crc
    return result
