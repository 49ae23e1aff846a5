"""The root URLs: pages, API, admin, sign-in and health."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import include, path
from django.views import defaults
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from broadcast.studio.account.views import SignIn
from sessions_app.web.http import SignedIn, signed_in
from smnb import health, metrics
from smnb.api import api
from smnb.docs import views as docs_views

admin.site.site_header = admin.site.site_title = "SMNB"
admin.site.index_title = "Records"

# Without Django's check of the CSRF token, which they do not need: it would parse a body that no view
# has accepted, and answer 500 where that fails.
handler400, handler403, handler404, handler500 = (
    view.__wrapped__  # type: ignore[union-attr]
    for view in (
        defaults.bad_request,
        defaults.permission_denied,
        defaults.page_not_found,
        defaults.server_error,
    )
)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Returns 200 once all components are ready, else 503, with their states but no details."""
    report = health.components()
    states = {name: component["state"] for name, component in report["components"].items()}
    ready = report["status"] == health.OK
    # No details, because this address needs no login.
    return JsonResponse({"status": report["status"], **states}, status=200 if ready else 503)


@require_safe
@signed_in
def processes(request: SignedIn) -> HttpResponse:
    """The notice of what is down, which pages of the studio read again every few seconds."""
    return render(request, "_down.html")


urlpatterns = [
    # What is asked for most comes first: each pattern before it is tried.
    path("api/", api.urls),
    path("", include("broadcast.public.urls")),
    path("", login_required(RedirectView.as_view(pattern_name="sessions")), name="home"),
    path("", include("broadcast.studio.urls")),
    path("docs/", docs_views.contents, name="docs"),
    path("docs/<slug:slug>/", docs_views.page, name="docs_page"),
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("processes/", processes, name="processes"),
]
