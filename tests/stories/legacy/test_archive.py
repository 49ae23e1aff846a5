"""The zip file of an export: its tables, its limits, and files that are not an export."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from sessions_app.errors import Invalid
from stories.legacy import archive
from stories.legacy.archive import LONGEST_LINE, Snapshot
from tests.legacy_exports import export, session, story


def lines(path: Path, table: str = "sessions") -> list[tuple[int, str]]:
    """Returns the lines of a table: number, and text or error."""
    with closing(Snapshot(path)) as snapshot:
        return [(line.number, line.error or line.raw.decode()) for line in snapshot.lines(table)]


def write(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


DOCUMENTS = "sessions/documents.jsonl"


@pytest.fixture
def zip_(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def test_blank_lines_are_skipped_and_counted(zip_: Path) -> None:
    write(zip_, **{DOCUMENTS: b"\xef\xbb\xbf{1}\r\n\n  \n{2}"})
    assert lines(zip_) == [(1, "{1}"), (4, "{2}")]


def test_a_missing_table_has_no_lines(zip_: Path) -> None:
    assert lines(export(zip_, sessions=[session()]), "token_usage") == []


@pytest.mark.parametrize("folder", ["", "snapshot/", "./", "a/b/"])
def test_an_export_in_a_folder_is_found(zip_: Path, folder: str) -> None:
    assert len(lines(export(zip_, folder, sessions=[session()]))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../sessions/documents.jsonl",
        "/sessions/documents.jsonl",
        "sessions/documents.json",
        "_components/waitlist/sessions/documents.jsonl",
        "..\\sessions\\documents.jsonl",
        "_storage/sessions/documents.jsonl",
        "documents.jsonl",
    ],
)
def test_other_files_and_ways_out_of_the_folder_are_not_read(zip_: Path, name: str) -> None:
    with pytest.raises(Invalid, match="none of the tables"):
        lines(write(zip_, **{name: b"{}\n"}))


def test_the_highest_of_nested_tables_is_read(zip_: Path) -> None:
    write(zip_, **{f"old/{DOCUMENTS}": b"nested\n", DOCUMENTS: b"top\n"})
    assert lines(zip_) == [(1, "top")]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([f"a/{DOCUMENTS}", f"b/{DOCUMENTS}"], "more than once"),
        ([f"a/{DOCUMENTS}", "b/token_usage/documents.jsonl"], "different folders"),
    ],
)
def test_two_exports_in_one_zip_are_refused(zip_: Path, names: list[str], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        lines(write(zip_, **dict.fromkeys(names, b"{}")))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_file_that_is_not_a_zip_is_refused(zip_: Path, content: bytes) -> None:
    zip_.write_bytes(content)
    with pytest.raises(Invalid, match="not a zip"):
        lines(zip_)


def test_a_missing_zip_is_refused(zip_: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        lines(zip_)


def test_a_line_that_is_too_long_is_left_out_and_the_next_is_read(zip_: Path) -> None:
    write(zip_, **{DOCUMENTS: b"{1}\n" + b"x" * (LONGEST_LINE * 3) + b"\n{3}\n"})
    found = lines(zip_)
    assert [number for number, _ in found] == [1, 2, 3]
    assert "longer than" in found[1][1]
    assert found[2] == (3, "{3}")


def test_a_zip_bomb_is_not_read_to_its_end(zip_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1_000_000)
    write(zip_, **{DOCUMENTS: b"{1}\n" + b" \n" * 5_000_000})
    found = lines(zip_)
    assert found[0] == (1, "{1}")
    assert "unpacks to far more" in found[-1][1]
    assert found[-1][0] < 1_000_000


def test_lines_before_damaged_data_are_read(zip_: Path) -> None:
    export(zip_, sessions=(session(number) for number in range(40_000)))
    raw = bytearray(zip_.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 64] = bytes(64)
    zip_.write_bytes(bytes(raw))
    found = lines(zip_)
    assert len(found) > 100
    assert "damaged" in found[-1][1]


def test_an_encrypted_table_is_reported(zip_: Path) -> None:
    export(zip_, sessions=[session()])
    raw = bytearray(zip_.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := raw.find(mark, at + 1)) >= 0:
            raw[at + flags] |= 1
    zip_.write_bytes(bytes(raw))
    assert lines(zip_) == [(1, "It is encrypted.")]


def test_the_size_is_that_of_the_tables_alone(zip_: Path) -> None:
    with closing(Snapshot(export(zip_, sessions=[session()], story_history=[story()]))) as snapshot:
        assert snapshot.bytes == sum(each.file_size for each in snapshot.tables.values()) > 900
