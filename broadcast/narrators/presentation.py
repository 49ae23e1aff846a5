"""The offline host's own sentences around a post: openings, credits, links, and what is next.

They state nothing about the news, so they need no source. Each story takes the next variant of its
list, so that no two stories in a row begin alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from broadcast.narrators.base import BREAKING_KICKERS
from stories.text.sentences import names_in, word_set
from stories.types import Brief, Tone

# Of these the first group opens a report before its lead, the second credits it after the lead.
_REPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "formal": (
        (
            "{Source} reports.",
            "We turn to a report from {source}.",
            "The next report comes from {source}.",
            "From {source}, the following report.",
            "This report is from {source}.",
            "Next, {source} reports.",
        ),
        ("That is the report from {source}.", "The report is from {source}."),
    ),
    "conversational": (
        (
            "Here's one from {source}.",
            "{Source} has this story.",
            "Next, we go to {source}.",
            "And this one comes from {source}.",
            "Let's turn to {source}.",
            "Now, a report from {source}.",
            "Over to {source}.",
            "Here's what {source} reports.",
        ),
        ("That's according to {source}.", "{Source} has the full report."),
    ),
    "analytical": (
        (
            "{Source} has the details.",
            "Here is what {source} reports.",
            "A report from {source}, point by point.",
            "Now to the facts that {source} has gathered.",
            "{Source} sets out the facts.",
        ),
        ("Those are the facts as {source} reports them.", "The details come from {source}."),
    ),
    "energetic": (
        (
            "Straight to {source}!",
            "Here's a fresh one from {source}!",
            "Listen to this one from {source}!",
            "Up next, {source}!",
            "Here we go, {source} has this one!",
            "Don't miss this one from {source}!",
        ),
        ("That one comes from {source}!", "Thanks to {source} for that one!"),
    ),
}
# Kinds of text that are announced as what they are, in every manner.
_KINDS: dict[str, tuple[str, ...]] = {
    "breaking": ("Breaking news from {source}.", "This just in from {source}."),
    "correction": ("{Source} has corrected a report.", "A correction, from {source}."),
    "update": ("An update from {source}.", "{Source} has an update."),
    "opinion": ("An opinion piece from {source}.", "{Source} has published an opinion."),
    "opinion by": (
        "Now an opinion piece by {author}, in {source}.",
        "{author} has written an opinion piece for {source}.",
    ),
    "analysis": ("An analysis from {source}.", "{Source} takes a closer look."),
    "analysis by": (
        "An analysis by {author}, for {source}.",
        "{author} takes a closer look, for {source}.",
    ),
    "first person": (
        "Next, a post in its author's own words, from {source}.",
        "From {source}, a post in its author's own words.",
    ),
    "human interest": (
        "Here's a story from {source}.",
        "{Source} tells this story.",
    ),
}
_FOLLOW_UPS = {
    "correction": (
        "We have to correct our earlier story, “{title}”.",
        "A correction to our earlier story, “{title}”.",
    ),
    "clarification": (
        "More on our earlier story, “{title}”.",
        "Our earlier story, “{title}”, explained further.",
    ),
    "new-development": (
        "There's news on our earlier story, “{title}”.",
        "A new development in our earlier story, “{title}”.",
    ),
    "follow-up": (
        "Back to our earlier story, “{title}”.",
        "An update on our earlier story, “{title}”.",
    ),
}
_NEXT = ("Coming up, {upcoming}.", "Still to come, a report from {upcoming}.")
_NEXT_EVERY, _CREDIT_EVERY = 4, 3  # stories
_ADDS = ("{Source} adds a detail.", "There is more from {source}.", "{Source} has more on this.")
# After such news "Don't miss this one!" would offend.
_GRAVE = re.compile(
    r"\b(?:kill(?:s|ed|ing)?|dead|deadly|die[sd]?|deaths?|fatal(?:ly)?|hurt|injur\w+|wounded|missing"
    r"|victims?|murder\w*|attack(?:s|ed)?|shooting|suicide|abuse[sd]?|rape[sd]?|war|funeral|cancer)\b",
    re.IGNORECASE,
)
# Names of outlets with such a last word are spoken with an article: "the Elowen Courier".
_WITH_ARTICLE = word_set("""
    advertiser agency argus bulletin chronicle courier desk dispatch echo examiner express forum
    gazette globe guardian herald independent institute journal ledger mail mercury mirror monitor
    observatory observer post press register review sentinel standard star sun survey telegraph
    times tribune university
""")


@dataclass(frozen=True, slots=True)
class Introduction:
    """Sentences before the lead, and those between the lead and the rest."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def introduction(
    brief: Brief, tone: Tone, kicker: str, lead: str, *, first_person: bool, flows_on: bool
) -> Introduction:
    """Returns the sentences that tie a story to the one before it and credit its source.

    ``flows_on`` says that the sentence after the lead refers to it, so that nothing may part them.
    """
    source = spoken_source(brief.source)
    links = follow_up(brief)
    if not is_english(brief.language):
        return Introduction((*links, f"{brief.source}.") if brief.source else links)
    if brief.source and brief.source.lower() in lead.lower():
        return Introduction(links)
    kind = _kind_of(brief, tone, kicker, first_person)
    shared = shared_name(brief)
    if shared and not (kind or links):
        return Introduction((f"Staying with {shared}, a report from {source}.",))
    grave = _GRAVE.search(f"{brief.title} {lead}") and brief.personality == "energetic"
    manner = "conversational" if grave else brief.personality
    reports = _REPORTS.get(manner, _REPORTS["conversational"])
    opening, credit = (_KINDS[kind], ()) if kind else reports
    credited_after = bool(credit) and not flows_on and brief.number % _CREDIT_EVERY == 2
    variants = credit if credited_after else opening
    sentence = variants[brief.number % len(variants)].format(
        source=source, Source=_capital(source), author=brief.author
    )
    return Introduction(links, (sentence,)) if credited_after else Introduction((*links, sentence))


def _kind_of(brief: Brief, tone: Tone, kicker: str, first_person: bool) -> str:
    """Returns a key of ``_KINDS``, or an empty string for a plain report."""
    if kicker in ("correction", "update"):
        return kicker
    if tone in ("opinion", "analysis") and (kicker or tone == "opinion"):
        named = brief.author and brief.author != brief.source
        return f"{tone} by" if named and kicker else tone
    if first_person:
        return "first person"
    if kicker in BREAKING_KICKERS:
        return "breaking"
    return "human interest" if tone == "human-interest" and brief.number % 2 else ""


def follow_up(brief: Brief) -> tuple[str, ...]:
    """Returns the sentence that ties a story to the earlier one of its thread, if there is one."""
    variants = _FOLLOW_UPS.get(brief.relation, ())
    if not (variants and brief.earlier and is_english(brief.language)):
        return ()
    title = brief.earlier[-1][0].rstrip(".!?")
    return (variants[brief.number % len(variants)].format(title=title),)


def shared_name(brief: Brief) -> str:
    """Returns a name that the headline has in common with that of the story before, or ""."""
    if not brief.recent_titles:
        return ""
    before = {name for name, _ in names_in(brief.recent_titles[0])}
    names = (name for name, certain in names_in(brief.title) if certain and name in before)
    return next(names, "")


def coming_up(brief: Brief) -> tuple[str, ...]:
    """Returns a sentence about the next outlet, after every fourth story.

    It names no headline: what is next may change before it airs.
    """
    due = brief.number % _NEXT_EVERY == _NEXT_EVERY - 1
    if not (due and brief.upcoming and is_english(brief.language)):
        return ()
    if brief.upcoming == brief.source:
        return (f"More from {spoken_source(brief.source)} in a moment.",)
    variant = _NEXT[brief.number // _NEXT_EVERY % len(_NEXT)]
    return (variant.format(upcoming=spoken_source(brief.upcoming)),)


def of_another(brief: Brief, source: str, what: str, number: int) -> str:
    """Returns what announces a detail of another outlet ("adds"), or the figure that it gives."""
    name = spoken_source(source)
    if not is_english(brief.language):
        return f"{source}." if what == "adds" else f"{source}: {what}."
    if what != "adds":
        return f"{_capital(name)} puts it at {what}."
    return _ADDS[(brief.number + number) % len(_ADDS)].format(source=name, Source=_capital(name))


def according_to(brief: Brief, source: str) -> str:
    """Returns the sentence that credits an outlet for the sentence before."""
    name = spoken_source(source)
    return f"That is according to {name}." if is_english(brief.language) else f"{source}."


def also_report(brief: Brief, sources: Sequence[str]) -> str:
    """Returns the sentence that credits other outlets for reports of the same event."""
    spoken = [spoken_source(source) for source in dict.fromkeys(sources)]
    names = _capital(" and ".join(filter(None, [", ".join(spoken[:-1]), spoken[-1]])))
    if not is_english(brief.language):
        return f"{', '.join(dict.fromkeys(sources))}."
    return f"{names} also {'reports' if len(spoken) == 1 else 'report'} this."


def hourly_recap(titles: Sequence[str]) -> str:
    """Returns the text that sums up the last hour by the headlines of its stories."""
    stories = " ".join(title if title[-1:] in ".!?…" else f"{title}." for title in titles)
    return f"The main stories of the past hour. {stories}"


def spoken_source(source: str) -> str:
    """Returns the name of a source as it is spoken: "the Elowen Courier", "r/science"."""
    if not source:
        return "our sources"
    words = re.findall(r"\w+", source.lower())
    proper = source[0].isupper() and len(words) > 1 and words[0] != "the"
    return f"the {source}" if proper and words[-1] in _WITH_ARTICLE else source


def _capital(source: str) -> str:
    """Returns the name for the beginning of a sentence; "r/science" and "bbc.co.uk" stay as they are."""
    return source[0].upper() + source[1:] if source.startswith(("the ", "our ")) else source


def is_english(language: str) -> bool:
    return not language or language.lower().startswith("en")
