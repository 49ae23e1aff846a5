"""The mark of synthetic speech in MP3 files, read by the rules of ID3v2.3."""

from __future__ import annotations

import pytest

from broadcast.speech import engines

MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def frames(data: bytes) -> dict[str, bytes]:
    assert data[:3] == b"ID3"
    assert data[3:6] == b"\x03\x00\x00"
    assert all(byte < 0x80 for byte in data[6:10])
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    found, at = {}, 10
    while at < 10 + size:
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        found[data[at : at + 4].decode()] = data[at + 10 : at + 10 + length]
        at += 10 + length
    assert at == 10 + size
    return found


def text(content: bytes) -> str:
    assert content[0] == 1
    return content[1:].decode("utf-16")


def test_the_tag_says_how_the_sound_was_made() -> None:
    found = frames(engines.id3_tag("Gezeiten “jetzt” 🛶", "Harbour news", "Written by m.", MODEL))
    assert list(found) == ["TIT2", "TPE1", "TCON", "COMM", "TXXX"]
    assert text(found["TIT2"]) == "Gezeiten “jetzt” 🛶"
    assert text(found["TPE1"]) == "Harbour news"
    assert text(found["TCON"]) == "Speech"
    comment = found["COMM"]
    assert comment[:4] == b"\x01eng"
    assert comment[4:].split(b"\x00\x00", 1)[1].decode("utf-16") == "Written by m."
    name, value = found["TXXX"][1:].split(b"\x00\x00\xff\xfe")
    assert name.decode("utf-16") == "DigitalSourceType"
    assert value.decode("utf-16-le") == MODEL


@pytest.mark.parametrize("size", [0, 1, 63, 64, 8000, 20_000])
def test_the_audio_after_the_tag_is_found(size: int) -> None:
    tag = engines.id3_tag("a" * size, "", "", "")
    assert engines.without_tag(tag + b"\xff\xfbaudio") == b"\xff\xfbaudio"
    assert frames(tag)


@pytest.mark.parametrize("data", [b"", b"ID3", b"\xff\xfbaudio", b"not ID3"])
def test_audio_without_a_tag_is_whole(data: bytes) -> None:
    assert engines.without_tag(data) == data


def test_only_the_first_tag_is_skipped() -> None:
    tag = engines.id3_tag("a", "b", "c", "d")
    assert engines.without_tag(tag + tag) == tag
