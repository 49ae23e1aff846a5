"""What the page of the AI chain shows: how the chain stands, and one page of its links by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broadcast import chain_drawing, orchestrator
from sessions_app import chain, chain_status, events, workspace
from sessions_app.models import AILink, Session, SessionStats

LINKS_MOST = 20


@dataclass(frozen=True, slots=True)
class Part:
    """Which links are wanted: those before a number, or those up to one that is looked for."""

    before: int | None = None
    named: str = ""


def standing(session: Session) -> dict[str, Any]:
    """The state of the chain with its rate in per cent, and from where its context counts."""
    found = chain_status.status(session)
    row = found.chain
    return {
        "state": found.state,
        "rate": found.rate,
        "links": found.links,
        "seen": found.seen,
        "problems": list(found.problems),
        "head": link_payload(found.head) if found.head else None,
        "base": link_payload(row.base) if row and row.base else None,
        "tokens": row.tokens if row else 0,
        "operations": row.operations if row else 0,
    }


def link_payload(link: AILink) -> dict[str, Any]:
    """A link as page and API show it; ``context`` is the number up to which it knows the chain."""
    return {
        "number": link.number,
        "id": link.provider_id,
        "source": link.source,
        "model": link.model,
        "tokens": link.tokens,
        "run": link.run_number,
        "context": link.context_head.number if link.context_head else None,
        "summary": link.summary,
        "at": events.stamp(link.created_at),
    }


def page(session: Session, part: Part) -> dict[str, Any]:
    """The whole page; ``last_seq`` is read first, so that nothing is missed."""
    stats = SessionStats.objects.get(session=session)
    shared = workspace.current()
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "chain": standing(session),
        "limits": {"tokens": shared.compact_tokens, "operations": shared.reset_operations},
        "run": orchestrator.latest(session),
        **_links(session, part),
    }


def _links(session: Session, part: Part) -> dict[str, Any]:
    found = chain.find(session, part.named) if part.named else None
    rows = AILink.objects.filter(session=session).select_related("context_head").order_by("-number")
    if found is not None and found.link is not None:
        rows = rows.filter(number__lte=found.link.number)
    elif part.before is not None:
        rows = rows.filter(number__lt=part.before)
    links = [link_payload(link) for link in rows[: LINKS_MOST + 1]]
    shown = links[:LINKS_MOST]
    return {
        "links": shown,
        "drawing": chain_drawing.draw(shown),
        "kinds": chain_drawing.KINDS,
        "older": shown[-1]["number"] if len(links) > LINKS_MOST else None,
        "part": part,
        "found": found,
    }
