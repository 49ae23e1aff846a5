"""The ids of a feed's entries: what tells an entry apart within its document and from poll to poll."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from stories.text.addresses import key_forms, link_key

MAX_ID = 255

_REVISION = re.compile(r"#\d{1,3}$")


@dataclass(frozen=True, slots=True)
class EntryKeys:
    """What a feed says of an entry, as it was parsed; ``url`` is the link, resolved."""

    guid: str
    link: str
    url: str
    title: str
    date: str
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The id of an entry, and the other ids under which an earlier reading may have stored it."""

    id: str
    aliases: frozenset[str]


def identities(entries: Sequence[EntryKeys]) -> list[Identity]:
    """Returns the identity of each entry: its guid, else its link, else its title with its date.

    A guid or link that several different entries of the document share identifies none of them.
    """
    pages = [_without_revision(entry) for entry in entries]
    links = [link_key(entry.url, fragment=True) for entry in entries]
    dated = [(entry.title, entry.date) for entry in entries]
    faces = [*zip(links, dated, strict=True)]
    by_page = _telling([_key(page) for page in pages], faces)
    by_guid = _telling([_key(entry.guid) for entry in entries], faces)
    by_link = _telling(links, dated)
    by_date = _telling(dated, [entry.text for entry in entries])
    result = []
    for at, entry in enumerate(entries):
        own = []
        aliases = {_hashed(entry.link, entry.title, entry.date)}  # the id up to version 1.0
        if by_guid(at):
            guid = pages[at] if by_page(at) else entry.guid
            own.append(_short(guid))
            aliases |= {_short(entry.guid), *map(_short, _forms(guid))}
        if by_link(at):
            own.append(_hashed("link", links[at]))
        # Not the text, which feeds edit, unless nothing else differs.
        dated_id = _hashed("title", *dated[at], "" if by_date(at) else entry.text)
        if entry.date or not own:
            own.append(dated_id)
        result.append(Identity(own[0], frozenset(aliases.union(own) - {own[0]})))
    return result


def _telling(keys: Sequence[Hashable], faces: Sequence[Hashable]) -> Callable[[int], bool]:
    """Returns whether the key of an entry tells it apart: no other entry has it with other faces."""
    seen: dict[Hashable, set[Hashable]] = {}
    for key, face in zip(keys, faces, strict=True):
        seen.setdefault(key, set()).add(face)
    return lambda at: bool(keys[at]) and len(seen[keys[at]]) == 1


def _without_revision(entry: EntryKeys) -> str:
    """Returns the guid; of a link that counts its revisions (``…/story#2``) only the link."""
    page = _REVISION.sub("", entry.guid)
    return page if page != entry.guid and link_key(page) == link_key(entry.link) else entry.guid


def _key(guid: str) -> str:
    return link_key(guid, fragment=True) or guid


def _forms(guid: str) -> list[str]:
    """Returns the guid with both schemes and with and without ``www.`` when it is an address."""
    bare = re.sub(r"^https?://(www\.)?", "", guid, flags=re.IGNORECASE)
    return key_forms(bare) if bare != guid else []


def _short(guid: str) -> str:
    return guid if len(guid) <= MAX_ID else _hashed(guid)


def _hashed(*parts: str) -> str:
    return "sha256:" + hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()
