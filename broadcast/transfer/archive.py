"""An archive that somebody brings: opened within limits, and believed only as far as its hashes go.

Nothing of it is unpacked to the disk by its own names, and everything is counted while it is read.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broadcast.transfer.archive_files import NAMES
from broadcast.transfer.formats.zip_format import HEAD, MANIFEST
from broadcast.transfer.tables import BY_NAME
from sessions_app.commands import validation_sentence
from sessions_app.errors import Invalid

_NAME = re.compile(rf"data/({'|'.join(BY_NAME)})-\d{{4}}\.ndjson|{NAMES}|{HEAD}|{MANIFEST}")
_MEGABYTE = 1_000_000
_MOST_HEAD, MOST_LINE = _MEGABYTE, 4 * _MEGABYTE
_LISTED = 250  # bytes of the manifest that a member takes at most
_LINK = 0o120000


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may be: ``packed`` and ``unpacked`` in bytes."""

    packed: int
    unpacked: int
    members: int
    ratio: int = 100


# For what people upload, and for what an operator brings at the command line.
UPLOADED = Limits(50 * _MEGABYTE, 200 * _MEGABYTE, 500)
BROUGHT = Limits(20_000 * _MEGABYTE, 100_000 * _MEGABYTE, 200_000)


class Member(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal["smnb-archive"]
    version: Literal[1]
    export: UUID
    exported_at: datetime
    session: UUID
    members: dict[str, Member]


class Archive:
    """An open archive; ``manifest`` lists what is in it."""

    def __init__(self, zip_: zipfile.ZipFile, limits: Limits) -> None:
        self._zip, self._limits = zip_, limits
        self._left = limits.unpacked
        _check_members(zip_.infolist(), limits)
        try:
            listed = self._small(MANIFEST, _MOST_HEAD + limits.members * _LISTED)
            self.manifest = Manifest.model_validate_json(listed)
        except ValidationError as error:
            if _is_newer(error):
                raise Invalid(
                    "This archive was made by another version, which is unknown here."
                ) from None
            raise Invalid(f"{MANIFEST}: {validation_sentence(error)}") from None
        if set(self.manifest.members) != set(zip_.namelist()) - {MANIFEST}:
            raise Invalid("The archive does not hold what its manifest lists.")

    def _small(self, name: str, most: int) -> bytes:
        if name not in self._zip.namelist():
            raise Invalid(f"This is no archive of a session: it has no {name}.")
        with self._zip.open(name) as file:
            found = self._read(file, most + 1)
        if len(found) > most:
            raise Invalid(f"{name} is too large.")
        return found

    def _read(self, file: IO[bytes], most: int) -> bytes:
        found = file.read(most)
        self._left -= len(found)
        if self._left < 0:
            raise _too_large(self._limits)
        return found

    def head(self) -> bytes:
        """The text of ``session.json``, as its hash says."""
        return b"".join(self.chunks(HEAD))

    def parts(self, table: str) -> list[str]:
        """The members that hold a table, in order."""
        return sorted(each for each in self.manifest.members if each.startswith(f"data/{table}-"))

    def rows(self, table: str) -> int:
        return sum(self.manifest.members[part].rows for part in self.parts(table))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member; Invalid at their end when they are not those of the manifest."""
        digest, left = sha256(), self.manifest.members[name].bytes
        with self._zip.open(name) as file:
            while chunk := self._read(file, 1 << 16):
                left -= len(chunk)
                if left < 0:
                    raise Invalid(f"{name} is longer than the manifest says.")
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != self.manifest.members[name].sha256:
            raise Invalid(f"{name} is not what was exported: its SHA-256 differs.")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member."""
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > MOST_LINE:
                raise Invalid(f"{name}: a line is longer than {MOST_LINE:,} bytes.")
        if rest:
            yield rest


def _is_newer(error: ValidationError) -> bool:
    found = {(each["loc"], each["type"]) for each in error.errors(include_url=False)}
    return (("version",), "literal_error") in found


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Archive]:
    """Open the archive; Invalid with one sentence for whatever is wrong with it."""
    if path.stat().st_size > limits.packed:
        raise Invalid(f"The archive is larger than {limits.packed // _MEGABYTE:,} MB.")
    try:
        with zipfile.ZipFile(path) as found:
            yield Archive(found, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        raise Invalid("This is not a whole ZIP archive.") from None


def _check_members(found: list[zipfile.ZipInfo], limits: Limits) -> None:
    names = {each.filename for each in found}
    if len(found) > limits.members or len(names) != len(found):
        raise Invalid(f"The archive has more than {limits.members:,} files, or some twice.")
    for each in found:
        _check_member(each, limits)
    if sum(each.file_size for each in found) > limits.unpacked:
        raise _too_large(limits)


def _check_member(each: zipfile.ZipInfo, limits: Limits) -> None:
    if not _NAME.fullmatch(each.filename):
        raise Invalid("The archive holds a file that no export of a session has.")
    if each.flag_bits & 1 or (each.external_attr >> 16) & 0o170000 == _LINK:
        raise Invalid(f"{each.filename} is encrypted, or a link.")
    if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Invalid(f"{each.filename} is packed in a way that no export uses.")
    if each.file_size > _MEGABYTE and each.file_size > limits.ratio * each.compress_size:
        raise Invalid(f"{each.filename} would be more than {limits.ratio} times its packed size.")


def _too_large(limits: Limits) -> Invalid:
    most = limits.unpacked // _MEGABYTE
    return Invalid(f"The archive holds more than {most:,} MB. The command line takes larger ones.")
