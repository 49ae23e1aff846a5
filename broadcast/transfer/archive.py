"""Reads an import archive, which may be damaged or hostile, within limits of size and content.

Nothing is unpacked to the disk under names from the archive, the bytes are counted while they are
read (not trusted from the directory), and each member must have the SHA-256 of the manifest.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broadcast.transfer.formats.zip_format import HEAD, MANIFEST
from broadcast.transfer.snapshot import NAMES
from broadcast.transfer.tables import BY_NAME
from sessions_app.commands import validation_sentence
from sessions_app.errors import Invalid

_NAME = re.compile(rf"data/({'|'.join(BY_NAME)})-\d{{4}}\.ndjson|{NAMES}|{HEAD}|{MANIFEST}")
# Folders, and what macOS and Windows add when they show or pack a folder.
_ADDED = re.compile(r"/$|(?:^|/)(?:__MACOSX/|\._[^/]*$|(?:\.DS_Store|Thumbs\.db|desktop\.ini)$)")
_MEGABYTE = 1_000_000
_MOST_HEAD, MOST_LINE = _MEGABYTE, 4 * _MEGABYTE
NOT_WHOLE = "This is not a whole ZIP archive."
_LISTED = 250  # bytes of the manifest that a member takes at most
_SYMBOLIC_LINK = 0o120000


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest archive that is accepted: ``packed`` and ``unpacked`` in bytes."""

    packed: int
    unpacked: int
    members: int
    ratio: int = 100


# For uploads through the browser, and for the command import_session.
UPLOADED = Limits(50 * _MEGABYTE, 200 * _MEGABYTE, 500)
BROUGHT = Limits(20_000 * _MEGABYTE, 100_000 * _MEGABYTE, 200_000)


class Member(BaseModel):
    """A member as the manifest lists it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["smnb-archive"]
    version: Literal[1]
    export: UUID
    exported_at: datetime
    session: UUID
    disclosure: str = ""
    members: dict[str, Member]


class Archive:
    """An open archive; ``manifest`` lists its members."""

    def __init__(self, zip_: zipfile.ZipFile, limits: Limits) -> None:
        self._zip, self._limits = zip_, limits
        self._left = limits.unpacked
        self._members = _exported(zip_.infolist(), limits)
        _check_members(self._members, limits)
        if MANIFEST not in self._members:
            raise Invalid(f"This is no archive of a session: it has no {MANIFEST}.")
        most = _MOST_HEAD + limits.members * _LISTED
        with self._member(MANIFEST) as file:
            text = self._read(file, most + 1)
        if len(text) > most:
            raise Invalid(f"{MANIFEST} is too large.")
        try:
            self.manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            problems = {(problem["loc"], problem["type"]) for problem in error.errors()}
            # A newer version may have other fields, so the other problems say nothing.
            if (("version",), "literal_error") in problems:
                raise Invalid(
                    "This archive was made by another version, which is unknown here."
                ) from None
            raise Invalid(f"{MANIFEST}: {validation_sentence(error)}") from None
        if set(self.manifest.members) != set(self._members) - {MANIFEST}:
            raise Invalid("The members of the archive differ from its manifest.")

    def _member(self, name: str) -> IO[bytes]:
        try:
            return self._zip.open(self._members[name])
        # An offset before the file, or a name that is no text: zipfile does not check these.
        except (OSError, ValueError, OverflowError):
            raise Invalid(NOT_WHOLE) from None

    def _read(self, file: IO[bytes], most: int) -> bytes:
        data = file.read(most)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._limits)
        return data

    def head(self) -> bytes:
        """Returns the content of ``session.json``."""
        return b"".join(self.chunks(HEAD))

    def parts(self, table: str) -> list[str]:
        """Returns the names of the members with rows of a table, in order."""
        return sorted(name for name in self.manifest.members if name.startswith(f"data/{table}-"))

    def rows(self, table: str) -> int:
        """Returns the number of rows of a table according to the manifest."""
        return sum(self.manifest.members[part].rows for part in self.parts(table))

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yields the bytes of a member; raises Invalid at the end if the manifest has another hash."""
        digest, left = sha256(), self.manifest.members[name].bytes
        with self._member(name) as file:
            while chunk := self._read(file, 1 << 16):
                left -= len(chunk)
                if left < 0:
                    raise Invalid(f"{name} is longer than the manifest says.")
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != self.manifest.members[name].sha256:
            raise Invalid(f"{name} is not what was exported: its SHA-256 differs.")

    def lines(self, name: str) -> Iterator[bytes]:
        """Yields the lines of a member without their line ends."""
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > MOST_LINE:
                raise Invalid(f"{name}: a line is longer than {MOST_LINE:,} bytes.")
        if rest:
            yield rest


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Archive]:
    """Opens an archive for reading. Raises Invalid if it is damaged or exceeds the limits."""
    if path.stat().st_size > limits.packed:
        raise Invalid(f"The archive is larger than {limits.packed // _MEGABYTE:,} MB.")
    try:
        zip_ = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error):
        raise Invalid(NOT_WHOLE) from None
    try:
        with zip_:
            yield Archive(zip_, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        raise Invalid(NOT_WHOLE) from None


def _exported(members: list[zipfile.ZipInfo], limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """Returns the members by their names in the export, also of an archive that was packed again.

    macOS adds a folder around the files and notes beside them; some Windows programs write
    backslashes, which no name of an export has.
    """
    if len(members) > 3 * limits.members:
        raise _too_many(limits)
    named = [(member.filename.replace("\\", "/"), member) for member in members]
    files = [(name, member) for name, member in named if not _ADDED.search(name)]
    manifests = [name for name, _ in files if f"/{name}".endswith(f"/{MANIFEST}")]
    folder = min(manifests, key=len, default=MANIFEST).removesuffix(MANIFEST)
    exported = {name.removeprefix(folder): member for name, member in files}
    if len(files) > limits.members or len(exported) != len(files):
        raise _too_many(limits)
    return exported


def _check_members(members: Mapping[str, zipfile.ZipInfo], limits: Limits) -> None:
    for name, member in members.items():
        if not _NAME.fullmatch(name):
            raise Invalid("The archive holds a file that no export of a session has.")
        # The upper 16 bits are the Unix mode of the file; bit 0 of the flags is encryption.
        if member.flag_bits & 1 or (member.external_attr >> 16) & 0o170000 == _SYMBOLIC_LINK:
            raise Invalid(f"{name} is encrypted, or a link.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Invalid(f"{name} is packed in a way that no export uses.")
        # Against ZIP bombs; small members, such as a line repeated, may have a higher ratio.
        if member.file_size > max(_MEGABYTE, limits.ratio * member.compress_size):
            raise Invalid(f"{name} would be more than {limits.ratio} times its packed size.")
    if sum(member.file_size for member in members.values()) > limits.unpacked:
        raise _too_large(limits)


def _too_many(limits: Limits) -> Invalid:
    return Invalid(f"The archive has more than {limits.members:,} files, or some twice.")


def _too_large(limits: Limits) -> Invalid:
    most = limits.unpacked // _MEGABYTE
    return Invalid(f"The archive holds more than {most:,} MB. The command line takes larger ones.")
