"""Figures of the installation in the format of Prometheus, for GET /metrics.

Most are read from the database when they are asked for, so they are those of all processes. The
sockets and deliveries are those of the web process that answers: scrape each of them.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Min, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broadcast.models import Broadcast
from sessions_app import audit_reports, money
from sessions_app.background import isolation, steps, sweeper
from sessions_app.models import FailedWork, Session, SessionStats, Step, Tally
from sessions_app.realtime import hub

LOOPBACK = frozenset({"127.0.0.1", "::1"})
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")
HOUR = timedelta(hours=1)


def allowed(request: HttpRequest) -> bool:
    """Whether the request has the token, or comes from this machine itself."""
    token = settings.SMNB.metrics_token.get_secret_value()
    given = request.headers.get("Authorization", "")
    if token and hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    # A proxy on this machine passes on what strangers ask, and says so in one of these headers.
    forwarded = any(name in request.META for name in FORWARDED)
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not forwarded


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Returns the figures; 404 for anyone else, so that strangers do not learn of the page."""
    if not allowed(request):
        return HttpResponse(status=404)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"smnb_{name}", meaning, value=value)


class Figures(Collector):
    """Reads the figures whenever they are asked for."""

    def collect(self) -> Iterator[Metric]:
        yield from work()
        yield from sessions()
        yield from usage()
        yield from deliveries()
        yield from audits()


def work() -> Iterator[Metric]:
    """Yields the figures of steps, leases and the sweeper."""
    now = steps.now()
    pending, leased = Q(state=Step.State.PENDING), Q(state=Step.State.LEASED)
    rows = Step.objects.filter(state__in=Step.OPEN).values("kind").order_by("kind")
    open_steps = GaugeMetricFamily(
        "smnb_steps", "Steps that wait (pending) or run (leased).", labels=("kind", "state")
    )
    age = GaugeMetricFamily(
        "smnb_queue_age_seconds", "Since when the oldest due step waits.", labels=("queue",)
    )
    ages = dict.fromkeys(sorted(steps.queues()), 0.0)
    for row in rows.annotate(
        pending=Count("pk", filter=pending),
        leased=Count("pk", filter=leased),
        due=Min("due_at", filter=pending & Q(due_at__lte=now)),
    ):
        open_steps.add_metric((row["kind"], "pending"), row["pending"])
        open_steps.add_metric((row["kind"], "leased"), row["leased"])
        if row["due"] and row["kind"] in steps.kinds():
            queue = steps.queue_of(row["kind"])
            ages[queue] = max(ages[queue], (now - row["due"]).total_seconds())
    for queue, seconds in ages.items():
        age.add_metric((queue,), seconds)
    yield open_steps
    yield age
    oldest = Step.objects.filter(leased).aggregate(until=Min("lease_until"))["until"]
    beat = (now - (oldest - steps.LEASE)).total_seconds() if oldest else 0.0
    yield gauge("lease_age_seconds", "Since the oldest lease was last renewed.", max(0.0, beat))
    swept = sweeper.last_round()
    if swept is not None:
        lag = max(0.0, time.time() - swept)
        yield gauge("sweeper_lag_seconds", "Since a sweeper last ended a round.", lag)
    failing, aside = FailedWork.objects.count(), isolation.set_aside().count()
    yield gauge("failed_work", "Units of work whose last try failed.", failing)
    yield gauge("work_set_aside", "Units of work that are set aside.", aside)


def sessions() -> Iterator[Metric]:
    """Yields the figures of sessions, runs and waiting posts."""
    since = timezone.now() - HOUR
    made = Session.objects.filter(created_at__gte=since).count()
    ended = Broadcast.objects.filter(stopped_at__gte=since).values("session").distinct().count()
    yield gauge("sessions_created_last_hour", "Sessions created in the past hour.", made)
    yield gauge("sessions_completed_last_hour", "Sessions whose run ended in the past hour.", ended)
    runs = GaugeMetricFamily("smnb_runs", "Runs that are not idle.", labels=("state",))
    open_runs = Broadcast.objects.exclude(state="idle").order_by()
    for state, number in open_runs.values_list("state").annotate(n=Count("pk")):
        runs.add_metric((state,), number)
    yield runs
    holds = GaugeMetricFamily("smnb_runs_on_hold", "Runs that wait.", labels=("reason",))
    reasons = open_runs.exclude(hold=None).values_list("hold__code")
    for reason, number in reasons.annotate(n=Count("pk")):
        holds.add_metric((str(reason),), number)
    yield holds
    totals = SessionStats.objects.aggregate(posts=Sum("queue"), stories=Sum("story_count"))
    yield gauge("posts_waiting", "Posts queued or held in all sessions.", totals["posts"] or 0)
    stories = CounterMetricFamily("smnb_stories", "Stories written in all sessions.")
    stories.add_metric((), totals["stories"] or 0)
    yield stories


def usage() -> Iterator[Metric]:
    """Yields the figures of model calls: how many, how many known by bounds only, tokens, money."""
    calls = CounterMetricFamily("smnb_model_calls", "Model calls that ended.", labels=("model",))
    bounded = CounterMetricFamily(
        "smnb_model_calls_bounded", "Of them, known by bounds only.", labels=("model",)
    )
    tokens = CounterMetricFamily(
        "smnb_model_tokens", "Tokens of model calls.", labels=("model", "direction")
    )
    cost = CounterMetricFamily(
        "smnb_model_cost_usd", "Cost of model calls in USD.", labels=("model", "bound")
    )
    names = ("count", "bounded", "input_tokens", "output_tokens", "cost_lower", "cost_upper")
    rows = Tally.objects.filter(dimension=Tally.Dimension.MODEL).order_by("key").values_list("key")
    sums = rows.annotate(**{f"sum_{name}": Sum(name) for name in names})
    for model, number, uncertain, read, written, lower, upper in sums:
        calls.add_metric((model,), number)
        bounded.add_metric((model,), uncertain)
        tokens.add_metric((model, "input"), read)
        tokens.add_metric((model, "output"), written)
        cost.add_metric((model, "lower"), float(money.to_usd(lower)))
        cost.add_metric((model, "upper"), float(money.to_usd(upper)))
    yield from (calls, bounded, tokens, cost)


def deliveries() -> Iterator[Metric]:
    """Yields the sockets of this process, and the frames that it sent to them."""
    sockets = GaugeMetricFamily(
        "smnb_sockets", "Open sockets of this web process.", labels=("audience",)
    )
    for audience, number in hub.open_sockets().items():
        sockets.add_metric((audience,), number)
    yield sockets
    sent = CounterMetricFamily("smnb_frames_sent", "Frames that this web process sent.")
    sent.add_metric((), hub.frames_sent())
    yield sent


def audits() -> Iterator[Metric]:
    """Yields the result of the latest daily audits."""
    latest = audit_reports.latest()
    if latest is not None:
        age = (timezone.now() - latest.started_at).total_seconds()
        yield gauge("audit_findings", "Findings of the latest daily audits.", latest.findings)
        yield gauge("audit_age_seconds", "Since the latest daily audits began.", age)
