"""Writes a ZIP file front to back, so that it can go to a pipe and be resumed after an interruption.

``zipfile`` of the standard library writes the central directory from memory when the file is
closed. Here the directory's entries are plain JSON, which one step can leave to the next. As in
all streamed ZIP files, the sizes and checksum of a member follow its data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from typing_extensions import TypedDict

# The records of the ZIP specification (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16).
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_STREAMED_UTF8, _DEFLATED, _VERSION, _UNIX = 0x0808, 8, 45, 3 << 8
_MODE = 0o100600 << 16
_MOST_32, _MOST_16 = 0xFFFFFFFF, 0xFFFF
_LARGE = 1 << 30  # bytes; the sizes of a member from this size on are written in 64 bits


@dataclass(slots=True)
class Entry:
    """A member as the central directory lists it; ``sha256`` and ``rows`` are for the manifest."""

    name: str
    offset: int
    crc: int = 0
    packed: int = 0
    size: int = 0
    sha256: str = ""
    rows: int = 0


class ZipState(TypedDict):
    """The JSON from which a later step resumes writing: bytes written, and members as ``Entry``."""

    offset: int
    entries: list[dict[str, Any]]


class Zipper:
    """Writes one ZIP file; given the ``state`` of an earlier one, resumes where that stopped."""

    def __init__(self, at: datetime, state: ZipState | None = None) -> None:
        self.offset = state["offset"] if state else 0
        self.entries = [Entry(**entry) for entry in state["entries"]] if state else []
        # MS-DOS format: two-second precision, years since 1980.
        self._time = at.hour << 11 | at.minute << 5 | at.second // 2
        self._date = (at.year - 1980) << 9 | at.month << 5 | at.day

    @property
    def state(self) -> ZipState:
        return {"offset": self.offset, "entries": [asdict(entry) for entry in self.entries]}

    def member(self, name: str, chunks: Iterable[bytes], size: int = 0) -> Iterator[bytes]:
        """Yields the bytes of a member and adds its entry; ``size`` is its approximate size."""
        entry = Entry(name, self.offset)
        # The header must say now whether the sizes that follow the data have 32 or 64 bits.
        large = size >= _LARGE
        yield self._count(self._local_header(name, large))
        digest, compressor = sha256(), zlib.compressobj(6, zlib.DEFLATED, -15)
        for chunk in chunks:
            digest.update(chunk)
            entry.crc = zlib.crc32(chunk, entry.crc)
            entry.size += len(chunk)
            packed = compressor.compress(chunk)
            entry.packed += len(packed)
            yield self._count(packed)
        rest = compressor.flush()
        entry.packed += len(rest)
        sizes = "<4sLQQ" if large else "<4s3L"
        descriptor = struct.pack(sizes, b"PK\x07\x08", entry.crc, entry.packed, entry.size)
        yield self._count(rest + descriptor)
        entry.sha256 = digest.hexdigest()
        self.entries.append(entry)

    def _count(self, data: bytes) -> bytes:
        self.offset += len(data)
        return data

    def _local_header(self, name: str, large: bool) -> bytes:
        # Readers expect 64-bit sizes after the data only if the header has a zip64 field.
        extra = struct.pack("<2H2Q", 1, 16, 0, 0) if large else b""
        unknown = _MOST_32 if large else 0
        encoded = name.encode()
        header = _LOCAL.pack(
            b"PK\x03\x04",
            _VERSION,
            _STREAMED_UTF8,
            _DEFLATED,
            self._time,
            self._date,
            0,  # checksum: follows the data
            unknown,
            unknown,
            len(encoded),
            len(extra),
        )
        return header + encoded + extra

    def end(self) -> bytes:
        """Returns the central directory and the records after it, which complete the file."""
        directory = b"".join(map(self._central_header, self.entries))
        number, size, start = len(self.entries), len(directory), self.offset
        zip64 = b""
        # The old record has 16 bits for the number of members and 32 for the position.
        if number >= _MOST_16 or start >= _MOST_32:
            zip64 = _END_64.pack(
                b"PK\x06\x06",
                _END_64.size - 12,  # the record's size without this field and the signature
                _VERSION | _UNIX,
                _VERSION,
                0,
                0,
                number,
                number,
                size,
                start,
            )
            zip64 += _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)
        number_16, start_32 = min(number, _MOST_16), min(start, _MOST_32)
        end = _END.pack(b"PK\x05\x06", 0, 0, number_16, number_16, size, start_32, 0)
        return directory + zip64 + end

    def _central_header(self, entry: Entry) -> bytes:
        # The zip64 field has only the numbers that do not fit into 32 bits, in this order.
        numbers = (entry.size, entry.packed, entry.offset)
        beyond = [number for number in numbers if number >= _MOST_32]
        extra = struct.pack(f"<2H{len(beyond)}Q", 1, 8 * len(beyond), *beyond) if beyond else b""
        size, packed, offset = (min(number, _MOST_32) for number in numbers)
        encoded = entry.name.encode()
        header = _CENTRAL.pack(
            b"PK\x01\x02",
            _VERSION | _UNIX,
            _VERSION,
            _STREAMED_UTF8,
            _DEFLATED,
            self._time,
            self._date,
            entry.crc,
            packed,
            size,
            len(encoded),
            len(extra),
            0,  # length of the comment
            0,  # number of the disk
            0,  # internal attributes
            _MODE,
            offset,
        )
        return header + encoded + extra
