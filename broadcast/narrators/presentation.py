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

# Of these the first group opens a report before its lead, the second credits it after the lead. Each
# has so many that none is heard twice within five minutes.
_REPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "formal": (
        (
            "{Source} reports.",
            "We turn to a report from {source}.",
            "The next report comes from {source}.",
            "From {source}, the following report.",
            "This report is from {source}.",
            "Next, {source} reports.",
            "We continue with a report from {source}.",
            "A report now from {source}.",
            "{Source} has this report.",
            "Our next report is from {source}.",
            "We have this report from {source}.",
            "{Source} is the source of our next report.",
            "Now to news from {source}.",
            "This news reaches us from {source}.",
            "The following comes from {source}.",
            "We move to a report from {source}.",
        ),
        (
            "That is the report from {source}.",
            "The report is from {source}.",
            "That is according to {source}.",
            "{Source} has reported this.",
        ),
    ),
    "conversational": (
        (
            "Here's one from {source}.",
            "{Source} has this story.",
            "Next, a story from {source}.",
            "This one comes from {source}.",
            "Let's turn to {source}.",
            "Now, a report from {source}.",
            "Here's what {source} reports.",
            "Our next story comes from {source}.",
            "There's this from {source}.",
            "{Source} has the next one.",
            "Also in the news, this from {source}.",
            "We have a report from {source}.",
            "The next report is from {source}.",
            "Now for some news from {source}.",
            "Here's a story from {source}.",
            "And {source} has this.",
        ),
        (
            "That's according to {source}.",
            "That's from {source}.",
            "That's the word from {source}.",
            "That comes from {source}.",
        ),
    ),
    "analytical": (
        (
            "{Source} has the details.",
            "Here is what {source} reports.",
            "A report from {source}, point by point.",
            "Now to the facts that {source} has gathered.",
            "{Source} sets out the facts.",
            "The facts of this one come from {source}.",
            "{Source} has looked into this.",
            "Here are the details, from {source}.",
            "We take this step by step, with {source}.",
            "What is known comes from {source}.",
            "{Source} has put this together.",
            "The next set of facts is from {source}.",
            "This is what {source} has established.",
            "For the next one, we rely on {source}.",
            "{Source} gives the details of this one.",
            "These are the findings of {source}.",
        ),
        (
            "Those are the facts as {source} reports them.",
            "The details come from {source}.",
            "That is what {source} has found.",
            "{Source} has set out these facts.",
        ),
    ),
    "energetic": (
        (
            "Straight to {source}!",
            "Here's a fresh one from {source}!",
            "Listen to this one from {source}!",
            "Up next, {source}!",
            "Here we go, {source} has this one!",
            "Don't miss this one from {source}!",
            "{Source} has something for us!",
            "And here's {source} with another one!",
            "Let's hear it from {source}!",
            "More news, this time from {source}!",
            "Ready? This is from {source}!",
            "Next, straight from {source}!",
            "On to {source}!",
            "Now this, from {source}!",
            "Time for {source}!",
            "Look what {source} has!",
        ),
        (
            "That one comes from {source}!",
            "Thanks to {source} for that one!",
            "All that from {source}!",
            "{Source} had that one for us!",
        ),
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
        "{Source} tells this story.",
        "A story now, from {source}.",
        "{Source} brings us this one.",
        "Next, a tale from {source}.",
    ),
}
# A follow-up does not read out the headline of the story before: its lead says what it is about.
_LATER = (
    "{Source} has the latest on a story from earlier.",
    "An update now, from {source}.",
    "More on one of our earlier stories, from {source}.",
    "{Source} follows up on a story that you heard earlier.",
    "Now the latest on an earlier story, from {source}.",
    "Back to a story from earlier, with news from {source}.",
    "{Source} has news on one of our earlier stories.",
    "We return to an earlier story, with {source}.",
    "There's more on a story that you heard earlier, from {source}.",
    "{Source} brings us up to date on an earlier story.",
    "Next, a follow-up from {source}.",
    "The latest on an earlier story comes from {source}.",
    "There's a development in an earlier story, from {source}.",
    "{Source} has more on a story from earlier.",
    "News on an earlier story now, from {source}.",
    "Now more on an earlier story, reported by {source}.",
)
_AT_ONCE = (
    "Staying with that story, {source} has an update.",
    "And there's already more on that, from {source}.",
)
_WITHOUT_SOURCE = ("An update on a story from earlier.", "More now on an earlier story.")
_CORRECTIONS = (
    "We have to correct our earlier story, \u201c{title}\u201d.",
    "A correction to our earlier story, \u201c{title}\u201d.",
)
_FOLLOW_UPS = ("new-development", "follow-up")
_NEXT = (
    "Coming up, a report from {upcoming}.",
    "Still to come, news from {upcoming}.",
    "In a moment, we hear from {upcoming}.",
    "And after this, {upcoming}.",
)
_MORE = (
    "More from {upcoming} in a moment.",
    "And there's more from {upcoming} after this.",
    "We stay with {upcoming} for the next one.",
    "The next one is from {upcoming} too.",
)
_NEXT_EVERY = 4  # stories
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
    if not is_english(brief.language):
        return Introduction((f"{brief.source}.",)) if brief.source else Introduction()
    named = not brief.source or brief.source.lower() in lead.lower()
    links = follow_up(brief, named=named)
    kind = _kind_of(brief, tone, kicker, first_person)
    if named or (links and not kind and brief.relation != "correction"):
        return Introduction(links)
    shared = shared_name(brief)
    if shared and not (kind or links):
        return Introduction((f"Staying with {shared}, a report from {source}.",))
    grave = _GRAVE.search(f"{brief.title} {lead}") and brief.personality == "energetic"
    manner = "conversational" if grave else brief.personality
    reports = _REPORTS.get(manner, _REPORTS["conversational"])
    opening, credit = (_KINDS[kind], ()) if kind else reports
    # After a story that named the next outlet, its name does not come again at once.
    announced = brief.number and brief.number % _NEXT_EVERY == 0
    credited_after = bool(credit and announced) and not (flows_on or brief.changes)
    variants = credit if credited_after else opening
    turn = brief.number // _NEXT_EVERY if credited_after else brief.number
    # Every other story may be one of these.
    turn = brief.number // 2 if kind == "human interest" else turn
    sentence = variants[turn % len(variants)].format(
        source=source, Source=_capital(source), author=brief.author
    )
    return Introduction(links, (sentence,)) if credited_after else Introduction((*links, sentence))


def closing(brief: Brief, tone: Tone, kicker: str, *, first_person: bool) -> tuple[str, ...]:
    """Returns the sentence that ends a text in its author's words, so that they are not the host's."""
    kind = _kind_of(brief, tone, kicker, first_person)
    if not is_english(brief.language) or kind not in ("opinion", "opinion by", "first person"):
        return ()
    source = spoken_source(brief.source)
    if kind == "opinion by":
        return (f"That was {brief.author}, in {source}.",)
    return (f"Those were the author's own words, from {source}.",)


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


def follow_up(brief: Brief, *, named: bool) -> tuple[str, ...]:
    """Returns the sentence that ties a story to the earlier one of its thread, if there is one.

    ``named`` says that the lead names the source.
    """
    if not brief.earlier:
        return ()
    title = brief.earlier[-1][0]
    if brief.relation == "correction":
        variants: tuple[str, ...] = _CORRECTIONS
    elif brief.relation not in _FOLLOW_UPS:
        return ()
    elif named:
        variants = _WITHOUT_SOURCE
    else:
        variants = _AT_ONCE if brief.recent_titles[:1] == (title,) else _LATER
    source = spoken_source(brief.source)
    sentence = variants[brief.number % len(variants)]
    return (sentence.format(title=title.rstrip(".!?"), source=source, Source=_capital(source)),)


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
    variants = _MORE if brief.upcoming == brief.source else _NEXT
    variant = variants[brief.number // _NEXT_EVERY % len(variants)]
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
    return f"Here are the headlines of the past hour. {stories}"


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
