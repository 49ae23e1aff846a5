"""Mutants of the code that must not fail: claims, money, events, delivery, and what is refused."""

from __future__ import annotations

from tests.mutants.mutant import mutants_of

HUB = "tests/sessions_app/realtime/test_hub.py"

CORE = [
    # Steps: claims, leases, pokes, attempts and backoff.
    *mutants_of(
        "sessions_app/background/steps.py",
        ("tests/sessions_app/background/test_steps.py",),
        (
            "LEASE = timedelta(seconds=20)",
            "LEASE = timedelta(seconds=60)",
            "a lease lasts too long",
        ),
        ('epoch=F("epoch") + 1,', 'epoch=F("epoch"),', "a claim does not raise the epoch"),
        (
            "filter(pk=self.step.pk, epoch=self.epoch, state=Step.State.LEASED)",
            "filter(pk=self.step.pk, state=Step.State.LEASED)",
            "a worker that lost the step settles it",
        ),
        (
            "(2, 5, 15, 30, 60, 120, 300)",
            "(2, 5, 15, 30, 60, 120, 600)",
            "the longest wait between attempts is doubled",
        ),
        (
            "BACKOFF[min(attempts, len(BACKOFF)) - 1]",
            "BACKOFF[min(attempts, len(BACKOFF) - 1)]",
            "the wait is that of the next attempt",
        ),
        ("MAX_ATTEMPTS = 3", "MAX_ATTEMPTS = 2", "a step is given up after two attempts"),
        (
            "if step.attempts > MAX_ATTEMPTS and",
            "if step.attempts >= MAX_ATTEMPTS and",
            "the third attempt after two deaths is not made",
        ),
        (
            'attempts=F("attempts") if error else 0,',
            'attempts=F("attempts"),',
            "a round that went well keeps the count of attempts",
        ),
        (
            "return pending.exclude(kind__in=outliving_kinds()).update(",
            "return pending.update(",
            "a run that ends cancels steps that outlive it",
        ),
        (
            "lost = not (claim.extend_lease() and claim.still_needed())",
            "lost = not claim.extend_lease()",
            "a worker goes on though its result is not needed",
        ),
        (
            "_postpone(claim, error.until, error)",
            "_postpone(claim, now(), error)",
            "a wait until a time ends at once",
        ),
        (
            "if kind.gave_up is not None:\n            kind.gave_up(claim)",
            "pass",
            "giving up a step calls nobody",
        ),
    ),
    # Sending of steps, and the sweeper that sends them again.
    *mutants_of(
        "sessions_app/background/sending.py",
        ("tests/sessions_app/background/test_steps.py",),
        (
            "lease_until__lt=Now())",
            "lease_until__lt=Now() + timedelta(seconds=5))",
            "a lease is taken over early",
        ),
        (
            "DUE = Q(state=Step.State.PENDING, due_at__lte=Now())",
            "DUE = Q(state=Step.State.PENDING)",
            "a step is claimed before it is due",
        ),
        (
            "POKE_PAUSE = timedelta(seconds=10)",
            "POKE_PAUSE = timedelta(seconds=0)",
            "a step is poked again at once",
        ),
        (
            "transaction.on_commit(send, robust=True)",
            "send()",
            "a step is poked before its transaction is committed",
        ),
    ),
    *mutants_of(
        "sessions_app/background/sweeper.py",
        ("tests/sessions_app/test_audits.py",),
        ("timedelta(seconds=60)", "timedelta(seconds=600)", "an overdue step is found late"),
    ),
    *mutants_of(
        "sessions_app/background/sweeper.py",
        ("tests/sessions_app/background/test_steps.py",),
        (
            "Step.objects.filter(DUE | LEASE_EXPIRED, NOT_JUST_POKED)",
            "Step.objects.filter(DUE, NOT_JUST_POKED)",
            "the step of a dead worker is never poked",
        ),
    ),
    # The state machine of a run, its orchestrator, and the reaper.
    *mutants_of(
        "broadcast/states.py",
        ("tests/broadcast/test_orchestrator.py", "tests/broadcast/test_stopping.py"),
        (
            "    (State.ERROR, Cause.STOP): State.IDLE,\n",
            "",
            "a run that ended in an error cannot be stopped",
        ),
        (
            "(State.LIVE, Cause.STOP): State.STOPPING",
            "(State.LIVE, Cause.STOP): State.IDLE",
            "a live run skips stopping",
        ),
        (
            "(State.ERROR, Cause.RECOVER): State.INITIALIZING",
            "(State.ERROR, Cause.RECOVER): State.READY",
            "recovering skips a state",
        ),
        (
            "    (State.STARTING, Cause.OPENED): State.LIVE,\n",
            "    (State.STARTING, Cause.OPENED): State.LIVE,\n"
            "    (State.READY, Cause.OPENED): State.LIVE,\n",
            "a run goes live before it starts",
        ),
        ("timedelta(seconds=30), Cause", "timedelta(seconds=300), Cause", "the reaper is late"),
        ("timedelta(minutes=30)", "timedelta(minutes=29)", "a ready run is reaped early"),
        (
            "timedelta(seconds=60),\n        Cause.FAIL",
            "timedelta(seconds=60),\n        Cause.STOP",
            "a run that no worker takes up ends without an error",
        ),
        ("timedelta(seconds=120), Cause", "timedelta(seconds=60), Cause", "stopping is cut short"),
    ),
    *mutants_of(
        "broadcast/reaper.py",
        ("tests/broadcast/test_stopping.py", "tests/broadcast/test_orchestrator.py"),
        ("min(age, up) <", "age <", "a sweeper that just started reaps at once"),
        (
            "            if run.state == State.LIVE:\n                restore_steps(run)\n",
            "",
            "a live run without a step stays without one",
        ),
    ),
    *mutants_of(
        "broadcast/orchestrator.py",
        ("tests/broadcast/test_orchestrator.py", "tests/broadcast/test_stopping.py"),
        (
            "filter(pk=run.pk, state=before, epoch=run.epoch).update(",
            "filter(pk=run.pk).update(",
            "a transition does not check state and epoch",
        ),
        (
            "round((at - run.live_at).total_seconds()) if run.live_at else 0",
            "0",
            "time on air is not counted",
        ),
        (
            "run.state != State.STOPPING or steps.leased(run.session_id).exists()",
            "run.state != State.STOPPING",
            "a stopping run does not wait for its leased step",
        ),
        (
            "if of_run.exists() or any(function(run) for function in _last_work):",
            "if any(function(run) for function in _last_work):",
            "a stopping run does not wait for open model calls",
        ),
        (
            "stopped_at=steps.now(), hold=None)",
            "stopped_at=steps.now())",
            "stopping leaves the hold",
        ),
        (
            "filter(pk=run.pk, epoch=run.epoch, state=State.LIVE)\n        if not",
            "filter(pk=run.pk, state=State.LIVE)\n        if not",
            "a worker of an earlier epoch writes to the run",
        ),
        (
            'lambda session: reason if active(session) else ""',
            'lambda session: ""',
            "a session on air is archived",
        ),
        (
            "        steps.enqueue(run.session, NARRATE, run.pk)\n",
            "",
            "going live enqueues no narration",
        ),
        ("    if run.hold == hold:\n        return\n", "", "the same hold is recorded twice"),
    ),
    *mutants_of(
        "broadcast/orchestrator.py",
        ("tests/broadcast/test_recaps.py", "tests/sessions_app/background/test_isolation.py"),
        (
            "if of_run.exists() or any(function(run) for function in _last_work):",
            "if of_run.exists():",
            "a run is idle before its recap",
        ),
        (
            "pk__in=isolation.units_aside(ledger.LEFT_OPEN_RULE)",
            "pk__in=()",
            "a call that cannot be closed keeps its run from ending",
        ),
    ),
    # Posts: the queue, duplicates, priority and interests.
    *mutants_of(
        "stories/posts/queue.py",
        ("tests/stories/posts/test_queue.py",),
        ("timedelta(hours=48)", "timedelta(hours=24)", "duplicates are looked for in one day"),
        ("LIKENESS_MOST = 2000", "LIKENESS_MOST = 200", "duplicates are looked for in few posts"),
        ("MAX_ATTEMPTS = 3", "MAX_ATTEMPTS = 4", "a post fails after four attempts"),
        ("AGEING_PER_DAY = 0.5", "AGEING_PER_DAY = 0.05", "old posts starve"),
        (
            'order_by("-pinned", "-rank", "id")',
            'order_by("-rank", "-pinned", "id")',
            "a pinned post waits for better ones",
        ),
        (
            "rows = SourcePost.objects.filter(pk=post.pk, state=State.QUEUED)",
            "rows = SourcePost.objects.filter(pk=post.pk)",
            "two workers claim the same post",
        ),
        (
            "pk=post.pk, state=State.CLAIMED, step=claim.step, epoch=claim.epoch\n",
            "pk=post.pk, state=State.CLAIMED, step=claim.step\n",
            "a worker of an earlier epoch settles a post",
        ),
        ("epoch__lt=claim.epoch, attempts__gte", "attempts__gte", "a post at work is worn out"),
        (
            'rows.order_by("id")[:SAME_PAGES]',
            'rows.order_by("-id")[:SAME_PAGES]',
            "a repeated address is credited to the latest post",
        ),
        (
            "    if original is None:\n        earlier.add(row.pk, report_of(row))\n",
            "",
            "one batch may repeat a headline",
        ),
        ('"above": keys[at], "below"', '"above": keys[at + 1], "below"', "a post is above itself"),
        (
            "if external_id in stored or not",
            "if not",
            "a post that was read before is inserted again",
        ),
        (
            "in stored or not post.aliases.isdisjoint(stored)",
            "in stored",
            "a post with a new id is inserted again",
        ),
        ("if post.title == row.title and (", "if (", "two posts of one page are one"),
        (
            "tells = not own and sources[page.source_id] < 2",
            "tells = True",
            "an address that several posts of a source share tells them apart",
        ),
        (
            "own = row.source_id in (page.source_id, first.source_id)",
            "own = row.source_id == page.source_id",
            "a repetition in between makes a source's second post a duplicate",
        ),
        (
            "filter(session_id=row.session_id, url_digest__in",
            "filter(url_digest__in",
            "addresses are compared with those of other sessions",
        ),
        (
            "session_id=session_id, duplicate_of=None, created_at__gte",
            "duplicate_of=None, created_at__gte",
            "headlines are compared with those of other sessions",
        ),
    ),
    *mutants_of(
        "stories/posts/comparison.py",
        (
            "tests/stories/posts/test_duplicates.py",
            "tests/stories/posts/test_events.py",
            "tests/stories/posts/test_queue.py",
            "tests/stories/posts/test_labelled_reports.py",
        ),
        ("SAME_EVENT = 1.0", "SAME_EVENT = -1.0", "unlike reports are the same event"),
        ("SAME_EVENT = 1.0", "SAME_EVENT = 9.0", "similar reports are two events"),
    ),
    *mutants_of(
        "stories/posts/events.py",
        (
            "tests/stories/posts/test_duplicates.py",
            "tests/stories/posts/test_events.py",
            "tests/stories/posts/test_queue.py",
            "tests/stories/posts/test_labelled_reports.py",
        ),
        (
            'reversed_ = kind in ("duplicate", "same event") and (',
            "reversed_ = False and (",
            "hostages freed are hostages taken",
        ),
        ("SAME_HEADLINE = 0.9", "SAME_HEADLINE = 0.5", "half a headline is the same headline"),
        (
            "_FEW_WORDS = 3",
            "_FEW_WORDS = 1",
            "two words are enough for a duplicate",
        ),
        (
            "if both.turn or both.other_numbers:",
            "if both.turn:",
            "other figures are taken for the same news",
        ),
        (
            "if both.turn or both.other_numbers:",
            "if both.other_numbers:",
            "the opposite is taken for the same news",
        ),
        ("timedelta(hours=72)", "timedelta(hours=96)", "tomorrow's weather is a duplicate"),
        ("timedelta(hours=72)", "timedelta(hours=70)", "a repeated headline is news too soon"),
        (
            "        and new.source != earlier.source\n    )",
            "    )",
            "entries of one source with one link are one page",
        ),
        (
            'if kind == "duplicate" and own and',
            'if kind == "related" and own and',
            "one text under all entries of a source makes duplicates",
        ),
        (
            "if agree < (0.6 if differ or standing else 0.25) or (figures and elsewhere) or other_values:",
            "if False:",
            "one headline over other texts is a duplicate",
        ),
        (
            "ranked.append((order, -judgement.score",
            "ranked.append((0, -judgement.score",
            "a higher score comes before a closer kind",
        ),
    ),
    *mutants_of(
        "stories/posts/events.py",
        ("tests/stories/test_threads.py", "tests/stories/posts/test_labelled_reports.py"),
        (
            'if kind == "development" and not same_subject(both, weigh):',
            "if False:",
            "unrelated stories become a thread",
        ),
    ),
    *mutants_of(
        "stories/posts/changes.py",
        ("tests/stories/posts/test_changes.py",),
        ('"up" if self.now.value > self', '"up" if self.now.value < self', "up is called down"),
        (
            " or not (now.in_title or before.in_title):",
            ":",
            "figures deep in two texts are compared",
        ),
        ("not (doubtful or known", "not (known", "a bridge that is to reopen is called open"),
    ),
    # The order of a thread: what is newer replaces what is older.
    *mutants_of(
        "stories/posts/selection.py",
        ("tests/stories/posts/test_selection.py",),
        (
            "if is_newer(story, post) and not",
            "if is_newer(post, story) and not",
            "an older story overtakes a newer post",
        ),
        (
            "choice.skipped.append(skipped)",
            "pass",
            "an overtaken post is not skipped",
        ),
        (
            "choice.post = order.first_of_its_thread(post)",
            "choice.post = post",
            "a report that was replaced airs before the newer one",
        ),
        (
            "match.judgement.kind in SAME and same and not",
            "match.judgement.kind in SAME and not",
            "a later report with other facts is skipped",
        ),
        (
            "            if kind in SAME:\n",
            "            if kind == 'same':\n",
            "reports of one event become several stories",
        ),
        (
            "return is_newer(newer, older) and relation in CHANGES",
            "return is_newer(newer, older)",
            "a newer post replaces an older one without a change",
        ),
        (
            "return at - before > (timedelta() if dated and before_dated else SAME_READING)",
            "return at > before",
            "posts that were read at once have an order",
        ),
        (
            "return post.pinned or post.chosen",
            "return False",
            "a post that a person placed is overtaken",
        ),
    ),
    *mutants_of(
        "stories/posts/scoring.py",
        ("tests/stories/posts/test_scoring.py",),
        (
            '"engagement": 0.4, "recency": 0.3',
            '"engagement": 0.3, "recency": 0.4',
            "the weights of engagement and recency are swapped",
        ),
        ('"recency": 0.3, "quality": 0.3', '"recency": 0.3, "quality": 0.2', "quality weighs less"),
        ("INTEREST = 0.15", "INTEREST = 0.3", "an interest weighs twice as much"),
        ("HIGH_SHARE = 0.18", "HIGH_SHARE = 0.16", "fewer posts are of high priority"),
        ("LOW_SHARE = 0.35", "LOW_SHARE = 0.30", "fewer posts are of low priority"),
        (' and parts.get("recency", 1.0) >= OLD:', ":", "a post of yesterday is of high priority"),
        ('"low" if better and', '"low" if', "equal posts are all of low priority"),
        (
            'priority_of({**parts, "recency": 0.0})',
            "priority_of(parts)",
            "a new post ranks above those that were read before",
        ),
        ("HALF_LIFE_HOURS = 6.0", "HALF_LIFE_HOURS = 12.0", "posts stay recent for longer"),
        ("_DECAY_PER_HOUR = 0.1", "_DECAY_PER_HOUR = 0.0", "votes do not fade"),
        ("NEUTRAL_ENGAGEMENT = 0.15", "NEUTRAL_ENGAGEMENT = 0.0", "feeds without votes come last"),
        ("NEUTRAL_RECENCY = 0.5", "NEUTRAL_RECENCY = 1.0", "a post without a date is new"),
        (
            "post.score + 2 * post.comments, 0)",
            "post.score + post.comments, 0)",
            "a comment counts like a vote",
        ),
        ("0.10 * (not shouts)", "0.10 * shouts", "capitals are preferred"),
    ),
    *mutants_of(
        "stories/posts/scoring.py",
        ("tests/stories/posts/test_interests.py",),
        ('padded = f" {whole} "', "padded = whole", "the first word of a text is not found"),
        ('" | ".join', '" ".join', "words of two texts are read as one"),
        ("max(-1, min(total, 1))", "total", "two interests count twice"),
    ),
    # The market: weights, momentum, phases and tiers.
    *mutants_of(
        "stories/market/quotes.py",
        ("tests/stories/market/test_scores.py",),
        ('"volume": 0.30', '"volume": 0.25', "volume weighs less"),
        ('"momentum": 0.25', '"momentum": 0.30', "momentum weighs more"),
        ('"engagement": 0.15', '"engagement": 0.20', "engagement weighs more"),
        ('"told": 0.10', '"told": 0.05', "published posts weigh less"),
        ("STEADY = 0.1", "STEADY = 0.15", "slow trends are steady"),
        ("FAST = 0.4", "FAST = 0.5", "fast trends look slow"),
        ("HALF_LIFE_BUCKETS = 6", "HALF_LIFE_BUCKETS = 12", "quiet trends stay fresh"),
        ('(50.0, "Strong")', '(55.0, "Strong")', "the tier of strong trends begins later"),
        ("history < 1", "history < 0", "a trend without history has a momentum"),
        ('"peak" if earlier >= STEADY', '"peak" if earlier > 1', "no trend is at its peak"),
    ),
    # Usage: the ledger, prices, the budget and the figures.
    *mutants_of(
        "stories/usage/budget.py",
        ("tests/stories/usage/test_ledger.py", "tests/stories/usage/test_budget.py"),
        ("WARN_AT = 80", "WARN_AT = 81", "the budget warning comes later"),
        ("if before < WARN_AT <= after:", "if WARN_AT <= after:", "the warning comes each time"),
        (
            "return spent >= session.budget",
            "return spent > session.budget",
            "a spent budget goes on",
        ),
        (
            'values_list("cost_upper", flat=True).get(',
            'values_list("cost_lower", flat=True).get(',
            "what is uncertain does not count as spent",
        ),
    ),
    *mutants_of(
        "stories/usage/budget.py",
        ("tests/stories/usage/test_reservations.py",),
        (
            "if spent + reserved + upper <= limit",
            "if spent + upper <= limit",
            "calls under way are not reserved",
        ),
        (
            "spent + reserved + upper",
            "spent + reserved",
            "a call is not reserved before it is made",
        ),
        ("row.cost_upper = upper or 0", "row.cost_upper = 0", "a reservation holds nothing"),
        (
            "filter(IS_OPEN, session=row.session_id)",
            "filter(IS_OPEN)",
            "the calls of other sessions are reserved, too",
        ),
        ("if upper is None:", "if False:", "a call without a price passes the budget"),
    ),
    # What the API reports: cumulative, and exact only without a doubt.
    *mutants_of(
        "stories/llm/attempt.py",
        ("tests/stories/llm/test_reported_usage.py", "tests/stories/llm/test_recordings.py"),
        ("return not falls", "return True", "a count that falls is no doubt"),
        (" and not isinstance(value, bool)", "", "a truth value is a count"),
        ("hour = min(hour, written)", "pass", "the split of cache writes wins over their total"),
        ("if kind in _IN_TOP_LEVEL else", "if True else", "a pass of an advisor costs nothing"),
        ("c.least if doubtful else c.latest", "c.latest", "a contradiction counts its latest"),
    ),
    *mutants_of(
        "stories/usage/ledger.py",
        ("tests/stories/usage/test_ledger.py", "tests/stories/usage/test_budget.py"),
        (
            "            if row.state == TokenUsage.State.FINAL:\n                return\n",
            "",
            "a second close is booked",
        ),
        (
            "epoch__lt=claim.epoch, state__in=TokenUsage.OPEN\n",
            "state__in=()\n",
            "what a dead worker left open stays open",
        ),
        (
            "LEFT_OPEN = steps.LEASE + timedelta(seconds=10)",
            "LEFT_OPEN = timedelta(0)",
            "an open row is closed early",
        ),
        (
            "return old.exclude(step__state=Step.State.LEASED)",
            "return old",
            "the row of a step at work is closed",
        ),
        ("output_upper=row.max_tokens", "output_upper=1", "a lost answer costs its least"),
        (
            '"upper": None if row.unpriced else row.cost_upper',
            '"upper": row.cost_upper',
            "an unknown price is shown as zero",
        ),
    ),
    *mutants_of(
        "stories/usage/pricing.py",
        ("tests/stories/usage/test_ledger.py",),
        ("return Cost(unpriced=True, ", "return Cost(", "an unknown price is booked as zero"),
    ),
    *mutants_of(
        "stories/usage/pricing.py",
        ("tests/stories/usage/test_pricing.py",),
        (
            'tokens // 2 if service_tier == "batch" else tokens',
            "tokens",
            "a batch costs the whole price",
        ),
        (
            'if service_tier not in (None, "standard", "batch"):',
            'if service_tier not in (None, "standard", "batch", "fast"):',
            "fast mode is cheap",
        ),
        (
            "Counts(input=close.input_upper, output=close.output_upper)",
            "Counts(output=close.output_upper)",
            "no bound of the input",
        ),
        (
            "Counts(input=close.input_upper, output=close.output_upper)",
            "Counts(input=close.input_upper)",
            "no bound of the output",
        ),
        (
            'if close.state == "bounded" and not close.inference_geo:',
            "if False:",
            "an answer that broke off is priced at the cheapest region",
        ),
        (
            'rates = OVERRIDES.get(model) or OVERRIDES.get(_DATE.sub("", model))',
            "rates = OVERRIDES.get(model)",
            "an override does not price a dated name",
        ),
        (
            '"cache_creation_input_tokens": counts.cache_write_5m + counts.cache_write_1h',
            '"cache_creation_input_tokens": counts.cache_write_5m',
            "cache writes of an hour are not all counted",
        ),
        (
            "rest = sum((Counts() - extra.counts for extra in close.passes), counts)",
            "rest = counts",
            "an extra pass is paid for twice",
        ),
    ),
    *mutants_of(
        "stories/usage/accounting.py",
        ("tests/stories/usage/test_series.py", "tests/stories/usage/test_ledger.py"),
        (
            "row.cache_write_5m_tokens + row.cache_write_1h_tokens",
            "row.cache_write_5m_tokens",
            "cache writes of an hour are not counted",
        ),
        ("bounded=int(not row.exact)", "bounded=int(row.exact)", "exact calls are called bounded"),
        (
            "if row.model != old_model and earlier != NOTHING:",
            "if False:",
            "a late answer of another model leaves the old model its cost",
        ),
    ),
    *mutants_of(
        "sessions_app/sessions.py",
        ("tests/stories/usage/test_budget.py",),
        (
            "spent * 100 // budget if budget else 100",
            "spent * 100 // budget if budget else 0",
            "a budget of nothing is not spent",
        ),
    ),
    # Events, counters and buckets.
    *mutants_of(
        "sessions_app/events/recorder.py",
        (
            "tests/sessions_app/events/test_recorder.py",
            "tests/sessions_app/events/test_statistics.py",
            "tests/stories/legacy/test_importer.py",
        ),
        ("list[Any]([events])", "list[Any]([events + 1])", "seqs have gaps"),
        (
            "CASE WHEN last_story_at > %s THEN last_story_at ELSE %s END",
            "CASE WHEN last_story_at < %s THEN last_story_at ELSE %s END",
            "an import sets the last story back",
        ),
        (
            "transaction.on_commit(_Committed(session, events).announce, robust=True)",
            "_Committed(session, events).announce()",
            "an event that is rolled back is published",
        ),
        (
            '    if type_ not in _types:\n        raise ValueError(f"undeclared event type: {type_}")\n'
            "    if type_ in _topics:",
            "    if type_ in _topics:",
            "an undeclared event is recorded",
        ),
    ),
    *mutants_of(
        "sessions_app/events/statistics.py",
        (
            "tests/sessions_app/events/test_recorder.py",
            "tests/sessions_app/events/test_statistics.py",
        ),
        (
            '"total_tokens": stats.input_tokens + stats.output_tokens',
            '"total_tokens": stats.input_tokens',
            "the total leaves out the output",
        ),
        ("SIZES = (1, 5, 15, 60)", "SIZES = (1, 5, 60)", "buckets of 15 minutes are missing"),
        ("seconds - seconds % (size * 60)", "seconds", "a bucket starts at any second"),
    ),
    # Live delivery: the hub, frames, addresses and grants.
    *mutants_of(
        "sessions_app/realtime/hub.py",
        (f"{HUB}::test_what_a_viewer_caught_up_with_is_not_handed_out_again",),
        (
            "if viewer.sent < last and not viewer.catching_up:",
            "if not viewer.catching_up:",
            "what a viewer has got is forgotten",
        ),
        (
            "for seq, text in shown if seq > sent]",
            "for _, text in shown]",
            "a viewer gets a frame twice",
        ),
    ),
    *mutants_of(
        "sessions_app/realtime/hub.py",
        (HUB,),
        (
            "if viewer.sent < last and not viewer.catching_up:",
            "if viewer.sent < last:",
            "live frames come in between while a viewer catches up",
        ),
        ("while read_to != room.last:", "if read_to != room.last:", "catching up stops too early"),
        (
            "        room.last = news[-1].seq\n",
            "",
            "an event that cannot be shown is read for ever",
        ),
        (
            "        if viewer.anonymous:\n            self._addresses[viewer.address] += 1",
            "        if viewer:\n            self._addresses[viewer.address] += 1",
            "the owner's sockets count against the public limit",
        ),
        ("self._addresses[viewer.address] -= 1", "pass", "closed sockets count against the limit"),
        ("elif viewer.until < time.monotonic():", "elif viewer.until < 0:", "sockets never expire"),
        ("if viewer.grant not in valid:", "if False:", "a socket without a grant stays open"),
        (
            "if time.monotonic() - read_all_at >= LOOK_EVERY:",
            "if not session_ids:",
            "a busy session delays the others",
        ),
    ),
    *mutants_of(
        "sessions_app/web/middleware.py",
        ("tests/sessions_app/realtime/test_consumers.py",),
        (
            "if forwarded is not None and _is_trusted(peer):",
            "if forwarded is not None:",
            "any peer says where it comes from",
        ),
        ("for each in reversed(named)", "for each in named", "the client sets its address"),
    ),
    *mutants_of(
        "sessions_app/realtime/consumers.py",
        ("tests/sessions_app/realtime/test_consumers.py",),
        (
            "and self.hub.open_from(address) >= limit",
            "and self.hub.open_from(address) > limit",
            "an address opens one socket too many",
        ),
    ),
    *mutants_of(
        "sessions_app/realtime/frames.py",
        ("tests/sessions_app/realtime/test_frames.py",),
        (
            'event.payload if audience == recorder.OWNER else event.payload["public"]',
            "event.payload",
            "the audience gets the private part",
        ),
        (
            "return audience == recorder.OWNER or type_ in recorder.public_types()",
            "return True",
            "the audience sees private events",
        ),
    ),
    *mutants_of(
        "sessions_app/realtime/grants.py",
        ("tests/sessions_app/realtime/test_grants.py",),
        ("revoked_at=None", "", "a revoked token keeps its sockets"),
        (
            'if g.kind == "watch"}, visible=True',
            'if g.kind == "watch"}',
            "a hidden page keeps its sockets",
        ),
        (
            "watch_token__in=names, visible=True",
            "watch_token__in=names",
            "a hidden page opens a socket",
        ),
        (
            "for grant in checked}, owner__is_active=True",
            "for grant in checked}",
            "a disabled user keeps sockets",
        ),
        (", expire_date__gt=timezone.now()", "", "an expired login keeps its sockets"),
        (
            "return visible.get(grant.key) == grant.session_id",
            "return grant.key in visible",
            "a public address opens another session",
        ),
    ),
    # The database's own constraints, and the audits.
    *mutants_of(
        "sessions_app/constraints.py",
        ("tests/sessions_app/test_constraints.py",),
        (
            'f"WHEN NEW.session_id IS NOT OLD.session_id "',
            'f"WHEN 0 "',
            "the session of a row can be changed",
        ),
        (
            'f"AND p.session_id = NEW.session_id) "\n            ',
            'f") "\n            ',
            "a row may point into another session",
        ),
        (
            "if definition.name in absent and definition.tables <= tables:",
            "if False:",
            "a lost trigger is not restored",
        ),
        changes_schema=True,
    ),
    *mutants_of(
        "sessions_app/audits.py",
        ("tests/sessions_app/test_audits.py",),
        ("gapless &= first == reached + 1 and", "gapless &=", "a gap in the events is not found"),
        ("or reached != last_seq:", ":", "a lost last event is not found"),
        (
            "if number != max(",
            "if number < max(",
            "a counter that is too high is not found",
        ),
    ),
    *mutants_of(
        "stories/figure_audits.py",
        ("tests/stories/test_audits.py",),
        (
            '"cost_upper",\n        "cache_saved",\n    )\n    written',
            '"cache_saved",\n    )\n    written',
            "the ledger's upper bound is not compared",
        ),
        (
            "state__in=SourcePost.WAITING)",
            "state=SourcePost.State.HELD)",
            "the queue is not compared",
        ),
        (
            '"priority", "source", "model", "operation"):',
            '"priority", "source", "model"):',
            "the figures by operation are not compared",
        ),
        (
            'F("cache_write_5m_tokens") + F("cache_write_1h_tokens")',
            'F("cache_write_5m_tokens")',
            "cache writes of an hour are not compared",
        ),
    ),
    # Threads, search and imports.
    *mutants_of(
        "stories/threads.py",
        ("tests/stories/test_threads.py",),
        ("timedelta(hours=72)", "timedelta(hours=96)", "old stories are followed up"),
        ("timedelta(hours=72)", "timedelta(hours=48)", "stories are followed up for two days"),
        (
            "session=session, state__in=Story.OPEN, created_at",
            "state__in=Story.OPEN, created_at",
            "the stories of another session are followed up",
        ),
        (
            "session=session, state__in=Story.OPEN, created_at",
            "session=session, created_at",
            "a vetoed story gets a follow-up",
        ),
        (
            "    if first.state not in Story.OPEN:\n        return None\n",
            "",
            "a story that was pulled gets a follow-up",
        ),
        ('F("story_count") + 1', 'F("story_count")', "a thread does not count its stories"),
    ),
    *mutants_of(
        "stories/search/query.py",
        ("tests/stories/search/test_query.py", "tests/stories/legacy/test_importer.py"),
        (
            "session.type == Session.Type.IMPORTED or adopted.exists()",
            "adopted.exists()",
            "days of an import are looked for by id",
        ),
        (
            "session.type == Session.Type.IMPORTED or adopted.exists()",
            "session.type == Session.Type.IMPORTED",
            "days with adopted rows are looked for by id",
        ),
        (
            "_midnight(query.until + timedelta(days=1))",
            "_midnight(query.until)",
            "the last day is left out",
        ),
        (
            "return rows.filter(created_at__lt=end)",
            "return rows.filter(created_at__lte=end)",
            "a day of an import has the next midnight",
        ),
        (
            "rows.filter(created_at__gte=begin)",
            "rows.filter(created_at__gt=begin)",
            "midnight is left out of an import's search",
        ),
        ("begin - SLACK", "begin + SLACK", "a row that was stored late is not found"),
        ("SHORTEST_BEGINNING = 3", "SHORTEST_BEGINNING = 30", "beginnings of words are not found"),
        ("found[most - 1].pk", "found[most].pk", "a page leaves out a row"),
    ),
    *mutants_of(
        "stories/legacy/mapping.py",
        ("tests/stories/legacy/test_importer.py",),
        (
            "        return HOST_FORM\n",
            "        return TAB_FORM\n",
            "the reason of an orphan is that of another kind",
        ),
        (
            "return UNKNOWN if _ID_FORM.fullmatch(named) else NO_ID",
            "return UNKNOWN",
            "a name that no session can have is called deleted",
        ),
        ("{20,40}", "{20,60}", "long names are taken for ids"),
    ),
    *mutants_of(
        "stories/quarantine/records.py",
        ("tests/stories/quarantine/test_records.py", "tests/stories/legacy/test_importer.py"),
        ("reason=orphan.reason", 'reason=""', "an imported orphan has no reason"),
        ("[:200]", "[:2000]", "names do not fit into their columns"),
    ),
    # What is refused: private networks, too many requests, unsafe output and formulas.
    *mutants_of(
        "stories/sources/ssrf.py",
        ("tests/stories/sources/test_ssrf.py",),
        (
            "return not address.is_global or any(",
            "return any(",
            "only our list refuses private addresses",
        ),
        (
            " or any(address in network for network in _DENIED)",
            "",
            "only Python refuses private addresses",
        ),
        ('"169.254.0.0/16",\n', "\n", "our list leaves out the metadata service"),
        ('    "10.0.0.0/8",\n', "", "our list leaves out a private network"),
        ('    "fc00::/7",\n', "", "our list leaves out private IPv6 addresses"),
        (
            'for network in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")',
            'for network in ("::ffff:0:0:0/96", "64:ff9b::/96")',
            "IPv4 inside IPv6 is not unpacked",
        ),
        (
            "if not allow_private and any(",
            "if not allow_private and all(",
            "one public address will do",
        ),
        ('if "@" in parts.netloc:', 'if "@@" in parts.netloc:', "a password is sent along"),
        ("port not in (None, 80, 443)", "port == 22", "any port is read"),
        ("if address.scope_id:", "if False:", "a zone makes an address public"),
    ),
    # What arrives is read by its bytes, and redirects are followed as browsers do.
    *mutants_of(
        "stories/sources/http_answers.py",
        ("tests/stories/sources/test_http_client.py",),
        (
            "if _DOCUMENT.match(_without_marks(content)):\n            return content\n",
            "if False:\n            return content\n",
            "a label of deflate is believed",
        ),
        (
            "    for _ in range(LAYERS):",
            "    for _ in range(1):",
            "a file packed twice stays packed",
        ),
        ("limit + 1 - len(content)", "0", "a few bytes unpack without bound"),
        ("if len(content) > limit:", "if False:", "unpacked content has no limit"),
        ("(zlib.MAX_WBITS, -zlib.MAX_WBITS)", "(zlib.MAX_WBITS,)", "raw deflate is not read"),
    ),
    *mutants_of(
        "stories/sources/ssrf.py",
        ("tests/stories/sources/test_http_client.py",),
        ('.encode("latin-1")', '.encode("utf-8")', "UTF-8 in a Location is encoded twice"),
        ('path.replace("\\\\", "/")', "path", "a backslash is no separator"),
        (
            "strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain",
            "strict_ns_domain=DefaultCookiePolicy.DomainLiberal",
            "a cookie of one host goes to its subdomains",
        ),
    ),
    *mutants_of(
        "stories/sources/feed_document.py",
        ("tests/stories/sources/test_feed_parser.py", "tests/stories/sources/test_rss.py"),
        ("if growth > GROWTH:", "if False:", "an entity used thousands of times is expanded"),
        (
            'return labels[::-1] if labels and labels[0] == "cp1252" else labels',
            "return labels",
            "the default charset of a server counts",
        ),
        ("0 < len(beyond_ascii) < 12", "False", "two Chinese characters are taken for UTF-8"),
        ("    parts[::2] = [", "    parts[:] = [", "references in CDATA are replaced"),
    ),
    *mutants_of(
        "stories/sources/feed_document.py",
        ("tests/stories/sources/test_rss.py",),
        ("if len(inner) > VALUE:", "if False:", "the value of an entity has no bound"),
        ("        if depth > DEPTH:", "        if depth > 50 * DEPTH:", "entities nest deeply"),
    ),
    *mutants_of(
        "stories/sources/http_client.py",
        ("tests/stories/sources/test_http_client.py", "tests/stories/sources/test_ssrf.py"),
        (
            "self._allow_private or (trusted and same_origin)",
            "self._allow_private or trusted",
            "a trusted page redirects into the private network",
        ),
        (
            "self._exchange(target, fields, deadline, unrestricted, cookies)",
            "self._exchange(target, fields, deadline, len(seen) > 1, cookies)",
            "only the first address is guarded",
        ),
        (
            "if not same_origin:\n",
            "if False:\n",
            "a key is sent on to another origin",
        ),
    ),
    # The identity of an entry, and what of an address and of a text counts.
    *mutants_of(
        "stories/sources/identity.py",
        ("tests/stories/sources/test_identity.py", "tests/stories/sources/test_rss.py"),
        ("if by_guid(at):", "if entry.guid:", "a guid that several entries share is an id"),
        ("if by_link(at):", "if links[at]:", "a link that several entries share is an id"),
        (
            '"" if by_date(at) else entry.text',
            '""',
            "entries that only their texts tell apart are one",
        ),
    ),
    *mutants_of(
        "stories/text/addresses.py",
        ("tests/stories/test_text.py",),
        ("gclid gclsrc dclid", "ref gclid gclsrc dclid", "an address loses its parameter ref"),
        (" and name not in _TRACKING", "", "an address keeps its click id"),
    ),
    *mutants_of(
        "stories/text/furniture.py",
        ("tests/stories/text/test_furniture.py",),
        ('"" if is_furniture(line) else line', "line", "buttons and notices are read aloud"),
        (
            "if left or (title and not is_placeholder(title)):",
            "if left or title:",
            "a title that a platform made is a story",
        ),
    ),
    *mutants_of(
        "stories/sources/reddit.py",
        ("tests/stories/sources/test_pasted.py",),
        ("len(segments) == (3 if", "len(segments) >= (2 if", "r/new is an order without a name"),
        (
            ' and name.lower() != "me" else ""\n        case [str(u), name, *_]',
            ' else ""\n        case [str(u), name, *_]',
            "a private multireddit is accepted",
        ),
    ),
    *mutants_of(
        "stories/sources/discovery.py",
        ("tests/stories/sources/test_discovery.py",),
        ("key=_is_of_comments", "key=lambda feed: feed.url", "comments come before news"),
        ("_NO_FEED.search(url) or ", "", "the API of WordPress is a feed"),
        ("    page = first + ", "    page = whole + ", "a feed in a comment is announced"),
    ),
    *mutants_of(
        "sessions_app/rate_limits.py",
        ("tests/sessions_app/test_rate_limits.py",),
        ("if used > limit:", "if used > limit + 1:", "one request too many is allowed"),
        ("if used > limit:", "if used >= limit:", "the last allowed request is refused"),
        (":{who}:{slot}", ":{slot}", "users share their limit"),
        ("if not limit or time", "if time", "a limit of zero refuses everything"),
    ),
    *mutants_of(
        "broadcast/transfer/formats/base.py",
        ("tests/broadcast/transfer/test_exporter.py",),
        (r"]*[=+\-@|%", r"]*[=+\-|%", "a cell may begin with @"),
        (r"[\s\u200b-\u200f\u2060\ufeff]*", r"\s*", "an invisible character hides a formula"),
        (
            "\uff1d\uff0b\uff0d\uff20\uff5c\uff05]",
            "\uff1d]",
            "most full-width formulas are not escaped",
        ),
        ('"{": "(", "}": ")", ', "", "captions may hold marks of players"),
    ),
    *mutants_of(
        "broadcast/transfer/formats/markdown_format.py",
        ("tests/broadcast/transfer/test_markdown_text.py",),
        ('for kind in "*_~":', 'for kind in "*_":', "Markdown may strike text out"),
        ("|=+|-+)$", ")$", "a line may underline the one before"),
        ('parts.scheme not in {"http", "https"}', "not parts.scheme", "any scheme becomes a link"),
        ('r"|<(?=[A-Za-z/!?])"', 'r""', "Markdown may hold tags of HTML"),
    ),
    *mutants_of(
        "broadcast/narrators/anthropic.py",
        ("tests/broadcast/narrators/test_anthropic.py",),
        (
            "without_addresses(unlinked, self._outlets, self._names)",
            "unlinked",
            "any address is read on air",
        ),
        (
            "without_addresses(unlinked, self._outlets, self._names)",
            "without_addresses(unlinked, names=self._names)",
            "the outlet of an address is not named",
        ),
        ('_UNFINISHED.sub("", text)', "text", "half an address is shown"),
        (
            "self._secret = runs(self._rules) - runs(self._said)",
            "self._secret: set[str] = set()",
            "the rules are read on air within another sentence",
        ),
        (
            "self._secret = runs(self._rules) - runs(self._said)",
            "self._secret = runs(self._rules)",
            "what the post says like the rules is not read",
        ),
        ('"detailed": 2400', '"detailed": 24000', "a narration is not cut to its length"),
        ("[:MAX_TOPICS]", "", "a story has any number of topics"),
        (
            "cut(self._safe(shown, self._limit * 2)",
            "cut(clean_text(shown, self._limit * 2)",
            "what still grows is not checked",
        ),
    ),
    # What airs rests on its source: numbers, times, names, quotations, speakers and negations.
    *mutants_of(
        "broadcast/narrators/statements.py",
        ("tests/broadcast/narrators/test_grounding.py",),
        ("        *_numbers(spoken, source, context, around),\n", "", "numbers are not checked"),
        ("        *_moments(spoken, source, context),\n", "", "times and dates are not checked"),
        (
            "        *_names(spoken, source, around, translated=not same_language),\n",
            "",
            "names are not checked",
        ),
        (
            "problems += _quotations(spoken, quoted, translated=not same_language)",
            "pass",
            "quotations are not checked",
        ),
        ("            *negations(spoken, source),\n", "", "negations are not checked"),
        (
            '            *relations(spoken, source, context.report or ""),\n',
            "",
            "what belongs to what is not checked",
        ),
        ("*reversals(spoken, source), ", "", "who does what is not checked"),
        (
            '            *attributions(spoken, source, around, f"{context.title} {context.credits}"),\n',
            "",
            "speakers are not checked",
        ),
    ),
    *mutants_of(
        "broadcast/narrators/grounding.py",
        ("tests/broadcast/narrators/test_grounding.py",),
        (
            '2 * stated.count("none") <= len(stated)',
            'stated.count("none") < len(stated)',
            "a story airs though most of it failed",
        ),
        ("if may_wait and failed:", "if failed:", "a hands-free story waits for an editor"),
        ('"link" if not reason else "none"', '"link"', "a link may state something of its own"),
        (
            "if problem(narration.title, sources, context):",
            "if False:",
            "the title is not checked",
        ),
    ),
    # What is kept small, and what is deleted.
    *mutants_of(
        "broadcast/host/memory.py",
        ("tests/broadcast/host/test_memory.py",),
        (
            "if row.operations >= reset_operations:",
            "if row.operations > reset_operations:",
            "the context is reset one operation late",
        ),
        (
            "elif row.tokens >= compact_tokens:",
            "elif row.tokens > compact_tokens:",
            "the context is summed up one token late",
        ),
    ),
    *mutants_of(
        "sessions_app/background/retention.py",
        ("tests/sessions_app/background/test_retention.py",),
        ("FINE = (1, 5)", "FINE = (1, 5, 15)", "buckets of 15 minutes are deleted"),
        (
            "days=settings.keep_answers_days",
            "days=settings.keep_fine_days",
            "answers are kept for another setting's days",
        ),
        ('order_by().values("pk")[:CHUNK]', 'order_by().values("pk")', "all is deleted at once"),
        (
            "self._due = time.monotonic() + EVERY",
            "self._due = time.monotonic()",
            "the rules never pause",
        ),
    ),
    # One unit that fails stops no other.
    *mutants_of(
        "sessions_app/background/isolation.py",
        ("tests/sessions_app/background/test_isolation.py",),
        (
            "# noqa: BLE001\n        note(rule, unit, session_id, error, aside=aside)\n",
            "# noqa: BLE001\n        note(rule, unit, session_id, error, aside=aside)\n"
            "        raise\n",
            "a unit that fails stops the others",
        ),
        ("TRIES = 3", "TRIES = 4", "a unit is set aside after four failures"),
        (
            "row.next_try_at = timezone.now() + pause",
            "row.next_try_at = timezone.now()",
            "a unit that failed is tried in every round",
        ),
    ),
    *mutants_of(
        "broadcast/recaps.py",
        ("tests/broadcast/host/test_hourly_recap.py",),
        (
            "if recaps.filter(created_at__gte=hour).exists():",
            "if False:",
            "an hour has two recaps",
        ),
        ("return live and now < hour + LATE and", "return live and", "a recap comes at half past"),
        ("        state=Story.State.AIRED,\n", "", "a pulled story is read again"),
        (
            "filter(run=run, aired_at__gte=hour - HOUR)",
            "filter(run=run)",
            "a recap holds the hour before",
        ),
    ),
    *mutants_of(
        "sessions_app/background/retention.py",
        ("tests/sessions_app/test_session_expiry.py",),
        (".exclude(Exists(leased))", "", "a session expires while a step is at work"),
        ("expires_at__lte=Now()", "expires_at__isnull=False", "a session expires early"),
    ),
    *mutants_of(
        "sessions_app/commands.py",
        ("tests/sessions_app/test_commands.py",),
        ("if first.digest != digest:", "if False:", "a key answers another request"),
        ("create(owner=actor, key=key", "create(owner_id=1, key=key", "users share their keys"),
    ),
    *mutants_of(
        "broadcast/host/claims.py",
        ("tests/broadcast/host/test_claims.py", "tests/broadcast/host/test_worker.py"),
        (
            "if post.attempts < posts_queue.MAX_ATTEMPTS:",
            "if False:",
            "a fresh post fails with its step",
        ),
        (
            "worn_out = post.attempts >= posts_queue.MAX_ATTEMPTS",
            "worn_out = False",
            "a worn-out post is tried for ever",
        ),
        (
            'update(\n        attempts=F("attempts") - 1',
            'update(\n        attempts=F("attempts")',
            "a hold counts as an attempt",
        ),
    ),
    *mutants_of(
        "stories/corrections.py",
        ("tests/broadcast/test_editorial.py",),
        (
            "lambda found: found[1] or _MARK, text",
            "lambda found: _MARK, text",
            "a withdrawn headline takes a longer one along",
        ),
        (
            'if each["text"] in text and not self.is_in(each["text"])',
            'if each["text"] in text',
            "the check of a withdrawn headline stays",
        ),
        (
            "state__in=Story.OPEN)\n        rows =",
            'state="none")\n        rows =',
            "no other headline is known",
        ),
    ),
    *mutants_of(
        "stories/drafting/versions.py",
        ("tests/broadcast/studio/drafting/test_views.py",),
        (
            "and where in base_text and edited",
            "and edited",
            "a comment that misquotes the text counts as accepted",
        ),
        (
            " and not _follows(base_text, comment)",
            "",
            "a text follows a comment from the beginning",
        ),
    ),
    *mutants_of(
        "broadcast/public/stream_views.py",
        ("tests/broadcast/stream/test_listeners.py",),
        (
            "settings.SMNB.limit_public_sockets):\n        return\n",
            "0):\n        return\n",
            "listeners of one moment pass the limit",
        ),
        (
            "watch_token__in=list(found), visible=True",
            "watch_token__in=list(found)",
            "a hidden stream has a live edge",
        ),
    ),
    *mutants_of(
        "sessions_app/realtime/batching.py",
        ("tests/broadcast/public/test_watch_page.py",),
        ("if asked is not own:", "if False:", "a card that many ask for is counted for each"),
    ),
    *mutants_of(
        "broadcast/public/share_card.py",
        ("tests/broadcast/public/test_watch_page.py",),
        (
            'rate_limits.count("share cards", session, A_MINUTE)\n        with _drawing:\n',
            'with _drawing:\n            rate_limits.count("share cards", session, A_MINUTE)\n',
            "a card is counted while another one is drawn",
        ),
    ),
]
