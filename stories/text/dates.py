"""Dates of feeds: read with their zone, or unknown; never a guess that puts a post on top."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import cast
from zoneinfo import ZoneInfo

from dateutil.parser import parser, parserinfo

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
MAX_DATE = 100  # characters

# Hours east of UTC. Left out are names that different countries use for different zones: IST
# (India, Ireland, Israel), AST (Atlantic, Arabia) and the like; those of RFC 822 are American.
_HOURS = {
    "Z UT UTC GMT WET": 0.0,
    "EST": -5.0,
    "EDT": -4.0,
    "CST": -6.0,
    "CDT": -5.0,
    "MST": -7.0,
    "MDT": -6.0,
    "PST": -8.0,
    "PDT": -7.0,
    "AKST": -9.0,
    "AKDT": -8.0,
    "HST": -10.0,
    "NST": -3.5,
    "NDT": -2.5,
    "ADT BRT ART CLST": -3.0,
    "CLT": -4.0,
    "PET COT": -5.0,
    "BST WEST CET MEZ WAT": 1.0,
    "CEST MESZ EET CAT SAST": 2.0,
    "EEST MSK EAT TRT": 3.0,
    "PKT UZT YEKT": 5.0,
    "NPT": 5.75,
    "ICT WIB": 7.0,
    "HKT SGT MYT PHT AWST": 8.0,
    "JST KST": 9.0,
    "ACST": 9.5,
    "ACDT": 10.5,
    "AEST": 10.0,
    "AEDT": 11.0,
    "NZST": 12.0,
    "NZDT": 13.0,
}
_ZONES = {
    name: timezone(timedelta(hours=hours))
    for names, hours in _HOURS.items()
    for name in names.split()
}
# English, German, French, Spanish, Portuguese, Italian, Dutch.
_MONTHS = """
    jan january januar jänner janvier enero janeiro gennaio januari ene gen janv
    feb february februar février febrero fevereiro febbraio februari fev fév févr
    mar march mär märz mars marzo março maart mrz mrt maerz marco
    apr april avril abril aprile avr abr
    may mai mayo maio maggio mei mag
    jun june juni juin junio junho giugno giu
    jul july juli juillet julio julho luglio juil lug
    aug august août agosto augustus ago aoû aout
    sep sept september septembre septiembre setembro settembre set
    oct october oktober octobre octubre outubro ottobre okt out ott
    nov november novembre noviembre novembro
    dec december dezember décembre diciembre dezembro dicembre dez dic déc
"""
_DAYS = """
    monday montag lundi lunes segunda-feira lunedì maandag mon mo lun seg ma
    tuesday dienstag mardi martes terça-feira martedì dinsdag tue tues di ter
    wednesday mittwoch mercredi miércoles quarta-feira mercoledì woensdag wed mi mer qua wo
    thursday donnerstag jeudi jueves quinta-feira giovedì donderdag thu thur thurs do jeu jue qui gio
    friday freitag vendredi viernes sexta-feira venerdì vrijdag fri fr ven vie sex vr
    saturday samstag samedi sábado sabato zaterdag sat sa sam sáb sab za
    sunday sonntag dimanche domingo domenica zondag sun so dim dom zo
"""
_SLASHED = re.compile(r"\d{4}/\d{1,2}/\d{1,2}")
_WEEKDAY = re.compile(r"^[^\W\d_][\w-]*\.?,\s*(?=\d)")
_OFFSET = re.compile(r"\b(?:GMT|UTC|UT)\s*(?=[+-]\d)", re.IGNORECASE)
_USUAL = re.compile(
    r"(\w{3}, )?\d{1,2} [A-Z][a-z]{2} \d{4} ([01]\d|2[0-3]):\d\d:[0-5]\d (GMT|[+-]\d{4})", re.ASCII
)
_COMMENT = re.compile(r"(?<!\s)\s*(\([^()]*\)|\[[^\[\]]*\])$")
_MILITARY = re.compile(r"\d\s*[A-Y]$")
_MIDNIGHT = re.compile(r"(?<!\d)24:00(:00(\.0+)?)?(?!\d)")
_LEAP = re.compile(r"(?<=:[0-5]\d):60\b")
_REGION = re.compile(r"\s([A-Z][A-Za-z]+/[A-Z][A-Za-z_/-]+)$")
# Two days without a part in common.
_ONE, _OTHER = datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("1999-02-02")


def _pairs(names: str) -> tuple[str, str]:
    # The stubs know English only, where each name has two forms.
    return cast("tuple[str, str]", tuple(names.split()))


class _Names(parserinfo):
    MONTHS = [_pairs(names) for names in _MONTHS.strip().splitlines()]
    WEEKDAYS = [_pairs(names) for names in _DAYS.strip().splitlines()]
    JUMP = [*parserinfo.JUMP, "de", "um", "uhr", "às", "à", "le", "den", "del"]


_parser = parser(_Names())


def read_date(text: str, now: datetime) -> datetime | None:
    """Returns the moment that a feed wrote, in UTC; None when it is unreadable or makes no sense.

    A named zone that is unknown or ambiguous makes the date unknown. A time without a zone is UTC,
    as in other readers, unless that lies in the future. A date up to a day in the future is ``now``;
    one beyond, one before 1990 and a bare number such as epoch seconds are unknown.
    """
    line = " ".join(text.split())
    if not line or len(line) > MAX_DATE or re.fullmatch(r"[+-]?[\d.]+", line):
        return None
    try:
        # The two usual forms first, because dateutil takes ten times as long.
        usual = parsedate_to_datetime(line) if _USUAL.fullmatch(line) else _iso(line)
        date = usual or _parsed(line)
    # Decimal's errors are arithmetic, and dateutil lets some through.
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
        if date > now:
            return None
    return plausible(date, now)


def plausible(date: datetime, now: datetime) -> datetime | None:
    """Returns an aware date in UTC, at most ``now``; None before 1990 or beyond tomorrow."""
    if not EARLIEST <= date <= now + AHEAD:
        return None
    return min(date.astimezone(UTC), now)


def _iso(line: str) -> datetime | None:
    try:
        return datetime.fromisoformat(line)
    except ValueError:
        return None


def _parsed(line: str) -> datetime:
    """Returns a date in any other form; raises an error of dateutil when it is not one date."""
    # The weekday says nothing that the date does not, and "mar" is a month too.
    line = _WEEKDAY.sub("", _OFFSET.sub("", _COMMENT.sub("", line)))
    if _MILITARY.search(line):
        raise ValueError("Zones of one letter were used with both signs.")
    line = _LEAP.sub(":59", line)
    region = _REGION.search(line)
    zone: tzinfo | None = ZoneInfo(region[1]) if region else None
    line = line[: region.start()] if region else line
    line, midnights = _MIDNIGHT.subn("00:00:00", line)
    # What is missing in the text comes from the default, and an ambiguous day and month depend on
    # the option: a date that is complete and clear is the same in both readings.
    first = _parser.parse(line, _ONE, tzinfos=_zone, dayfirst=False)
    other = _parser.parse(line, _OTHER, tzinfos=_zone, dayfirst=True)
    if first != other and not _SLASHED.match(line):
        raise ValueError(line)
    date = first.replace(tzinfo=zone) if zone else first
    return date + timedelta(days=midnights)


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name is None:
        return None
    return _ZONES[name.upper()]
