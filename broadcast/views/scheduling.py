"""The schedule of a session: its slots."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from broadcast.forms import SlotForm
from broadcast.views import detail
from sessions_app.http import SignedIn, of_session
from sessions_app.models import Session

SECTION = "schedule"


@require_POST
@of_session
def add(request: SignedIn, session: Session) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return detail.show(request, session, status=422, slot_form=form)
    return detail.run(request, session, "slot.add", form.cleaned_data, SECTION)


@require_POST
@of_session
def change(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return detail.show(request, session, status=422, chosen=str(slot_id), slot_form=form)
    data = {"slot": slot_id, **form.cleaned_data}
    return detail.run(request, session, "slot.change", data, SECTION)


@require_POST
@of_session
def switch(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    data = {"slot": slot_id, "enabled": request.POST.get("enabled") == "true"}
    return detail.run(request, session, "slot.change", data, SECTION)


@require_POST
@of_session
def remove(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    return detail.run(request, session, "slot.remove", {"slot": slot_id}, SECTION)
