"""Any number of headlines that nobody could take for one another, the same ones every time.

Each headline takes one word from each of four lists, by a polynomial over the (prime) length of
the lists: two headlines of one name share two of these words at the most. The town is invented.
"""

from __future__ import annotations

import hashlib

_LISTS = [
    words.split()
    for words in (
        """beekeepers firefighters students bakers sailors librarians farmers nurses engineers
        drummers gardeners divers carpenters judges cyclists welders poets surveyors chemists
        foresters tailors referees pilots plumbers archivists painters climbers dentists potters
        rowers singers actuaries barbers cobblers coders dancers geologists joiners midwives
        novelists opticians""",
        """restore photograph auction repaint translate photocopy dismantle decorate insure measure
        catalogue polish rename inspect sketch transplant weigh salvage borrow relocate illuminate
        vaccinate fence soundproof digitise excavate irrigate varnish test unearth juggle glue
        label map narrate observe patrol quilt rehearse sample tune""",
        """lighthouse orchard tramway windmill glacier aquarium telescope viaduct chapel archive
        greenhouse ferry carousel canal observatory quarry reservoir meadow stadium cannery
        theatre brewery harbour hedgerow tunnel marsh planetarium sundial pier fountain cemetery
        velodrome bakery monastery sawmill pavilion laboratory vineyard causeway clocktower
        dovecote""",
        """festival blizzard election anniversary drought eclipse tournament strike parade referendum
        regatta heatwave wedding census marathon harvest exhibition thunderstorm carnival symposium
        landslide premiere inquiry hurricane concert inspection earthquake auditions fundraiser
        monsoon graduation blackout retreat pilgrimage sabbatical armistice frost rodeo coronation
        reunion derby""",
    )
]
_PRIME = 41
_SYLLABLES = [
    syllables.split()
    for syllables in (
        "Bal Dor Fen Gar Hol Jas Kel Lun Mor Nev Pol Quin Ros Sel Tor Ul Vin Wex Yar Zed",
        "a e i o u an en il or um ath eck ism oll urn ad eb ig os ux",
        """bury combe dale field ford gate ham holt ley marsh mere mouth ness port stead thorpe ton
        wick worth zell""",
    )
]


def distinct(name: str, index: int) -> tuple[str, str]:
    """The headline and the text (three sentences) of story ``index`` of the feed ``name``."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    line, at = divmod(index, _PRIME)
    linear, square = (seed + line) % _PRIME, seed // _PRIME % _PRIME
    who, does, what, when = (
        words[(at + linear * k + square * k * k) % _PRIME] for k, words in enumerate(_LISTS)
    )
    town = _town(name, index)
    body = (
        f"The {who} of {town} set out to {does} the {what} this week. "
        f"Neighbours had asked for it ever since the {when}, and the council of {town} agreed. "
        f"The {what} stays open to visitors while the work goes on."
    )
    return f"{who.capitalize()} {does} {what} after {when} in {town}", body


def _town(name: str, index: int) -> str:
    chosen = hashlib.sha256(f"{name}/{index}".encode()).digest()
    return "".join(
        syllables[byte % len(syllables)]
        for syllables, byte in zip(_SYLLABLES, chosen[:3], strict=True)
    )
