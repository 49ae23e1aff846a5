"""The page of one session in the Session Manager, and how its forms come back to it."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

from django.forms import BaseForm
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from broadcast import pages, schedule
from broadcast.forms import (
    BudgetForm,
    ExpiryForm,
    SettingsForm,
    SlotForm,
    SourceForm,
)
from broadcast.transfer_forms import (
    ExportForm,
)
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, of_session, refused
from sessions_app.lifecycle import PICO
from sessions_app.models import Session
from stories import groups


@require_safe
@of_session
def detail(request: SignedIn, session: Session) -> HttpResponse:
    """With ``?slot=<id>`` the form of the schedule is that of this slot."""
    return show(request, session, chosen=request.GET.get("slot", ""))


def show(
    request: SignedIn,
    session: Session,
    *,
    status: int = 200,
    chosen: str = "",
    probe: Any = None,
    **forms: BaseForm,
) -> HttpResponse:
    """The whole page; ``forms`` replace those that come empty or with what is stored."""
    page = pages.manager_page(session)
    editing = next((slot for slot in page["slots"] if str(slot["id"]) == chosen), None)
    usd = None if session.budget is None else Decimal(session.budget) / PICO
    stored = {
        "settings_form": SettingsForm(instance=session),
        "budget_form": BudgetForm(initial={"budget_usd": usd}),
        "expiry_form": expiry_form(session),
        "source_form": SourceForm(),
        "slot_form": SlotForm(initial=editing or _fresh(page["slots"])),
        "export_form": ExportForm(),
    }
    more = {"groups": groups.every(), "zones": schedule.zones(), "probe": probe}
    found = {**page, **stored, **forms, **more, "editing": editing}
    return render(request, "sessions_app/detail.html", found, status=status)


def expiry_form(session: Session, data: Any = None) -> ExpiryForm:
    day = session.expires_at.astimezone(UTC).date() if session.expires_at else None
    return ExpiryForm(data, initial={"expires_on": day})


def _fresh(slots: list[dict[str, Any]]) -> dict[str, Any]:
    """A new slot is likely to be in the time zone of the last one."""
    return {"zone": slots[-1]["zone"]} if slots else {}


def back_to(session: Session, section: str = "") -> HttpResponse:
    anchor = f"#{section}" if section else ""
    return HttpResponseRedirect(reverse("session_detail", args=[session.pk]) + anchor)


def run(
    request: SignedIn, session: Session, name: str, data: dict[str, Any], section: str = ""
) -> HttpResponse:
    """Run a command and come back to a section of the page, or say why it was refused."""
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return back_to(session, section)
