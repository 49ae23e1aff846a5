"""A worker that is about to be killed: it has its model's answer, but not everything of it is kept.

``python -m tests.dying_worker STEP WHERE`` claims the step, asks (as far as the ledger knows), says
so on its output and hangs: at "answered" before the answer is booked, at "linked" inside the
transaction that books it, when its link stands already.
"""

from __future__ import annotations

import sys
import time

import django


def main(step_id: int, where: str) -> None:
    django.setup()
    from sessions_app.ai_chain import chain
    from sessions_app.background import steps
    from stories.usage.ledger import Purpose, SessionLedger
    from stories.usage.types import Close, Counts

    def hang(*_: object) -> None:
        print(where, flush=True)
        time.sleep(60)

    claim = steps.claim(step_id)
    assert claim is not None
    ledger = SessionLedger(claim, Purpose(source="narration"))
    attempt = ledger.reserve(
        model="claude-haiku-4-5", operation="narrate", max_tokens=800, input_upper=900
    )
    attempt.started("claude-haiku-4-5", "msg_lost", "req_lost", Counts(input=700, output=1))
    if where == "answered":
        hang()
    chain.on_append.subscribe(hang)
    counts = Counts(input=700, output=120)
    attempt.close(
        Close(state="final", counts=counts, model="claude-haiku-4-5", stop_reason="end_turn")
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
