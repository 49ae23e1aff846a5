"""The public addresses that a session offers."""

from __future__ import annotations

from broadcast import public_links


def test_addresses_of_sound_are_offered_where_there_is_a_speech_engine() -> None:
    offered = {
        sound: [address.name for address in public_links.below("http://a/", sound=sound)]
        for sound in (True, False)
    }
    streams = ["Audio stream", "Radio address"]
    assert [name for name in offered[True] if name not in offered[False]] == streams
    assert offered[False] == [
        "Watch page",
        "Player",
        "Overlay",
        "Atom feed",
        "JSON feed",
        "Podcast",
    ]
    assert public_links.below(None, sound=True) == []
