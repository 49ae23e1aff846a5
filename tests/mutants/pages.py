"""Mutants of the scripts of the pages."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, mutants_of

FRAMES = "tests/browser/test_frames.py"
LOST = "tests/browser/test_lost_connection.py"
DESK = "tests/browser/test_desk.py"
CHAT = "tests/browser/test_chat.py"
HEARD = "tests/browser/test_seen_and_heard.py"
STATS = "tests/browser/test_live_stats.py"


def live(test: str, original: str, replacement: str, meaning: str) -> Mutant:
    return Mutant("static/js/live.js", original, replacement, (f"{FRAMES}::{test}",), meaning)


PAGES = [
    live(
        "test_a_gap_is_asked_for_and_closed_in_order",
        "if (Number(mark.dataset.prev || 0) > current) {\n      askForGap();",
        "if (Number(mark.dataset.prev || 0) > current) {",
        "a gap is not asked for",
    ),
    live(
        "test_a_gap_is_asked_for_and_closed_in_order",
        "if (Number(mark.dataset.prev || 0) > current) {",
        "if (false) {",
        "a frame after a gap is applied",
    ),
    live(
        "test_a_frame_that_was_applied_is_not_applied_again",
        "    if (seq <= current) return;\n",
        "",
        "an old frame is applied again",
    ),
    live(
        "test_what_is_still_missing_is_asked_for_once_more",
        "if (highest > current && socket?.readyState === WebSocket.OPEN) askForGap();",
        "",
        "a gap is asked for only once",
    ),
    live(
        "test_a_gap_of_several_frames_is_asked_for_once",
        "    if (asking) return;\n",
        "",
        "each frame after a gap asks for it",
    ),
    live(
        "test_a_page_that_missed_too_much_is_loaded_again",
        "      location.reload(); //",
        "      //",
        "a page that missed too much is not loaded again",
    ),
    live(
        "test_a_part_of_which_the_page_has_no_place_is_dropped",
        "if (!target) part.remove();\n      else {",
        "{",
        "a part without a place stops the frame",
    ),
    live(
        "test_an_item_that_the_page_shows_already_is_replaced_where_it_is",
        "      fragment.append(item);\n",
        "",
        "an item that is there already is not replaced",
    ),
    live(
        "test_a_list_keeps_only_as_many_items_as_it_may",
        "    trim();\n",
        "",
        "lists grow without end",
    ),
    live(
        "test_a_page_that_may_not_follow_any_more_says_so_and_does_not_come_back",
        "    if (FINAL[code]) {",
        "    if (false) {",
        "a page that may not follow comes back",
    ),
    live(
        "test_an_answer_that_is_older_than_a_frame_does_not_overwrite_it",
        "(touched.get(target.id) ?? -1) > xhr.appliedAtStart",
        "false",
        "an old answer overwrites a newer frame",
    ),
    live(
        "test_a_page_that_missed_too_much_is_loaded_again",
        '      say("");\n      ask();\n',
        '      say("");\n',
        "what was missed is not asked for",
    ),
    *mutants_of(
        "static/js/live.js",
        (f"{LOST}::test_a_desk_comes_back_by_itself_and_has_missed_nothing",),
        ("    timer = setTimeout(open, wait());\n", "", "a lost connection is not opened again"),
    ),
    *mutants_of(
        "static/js/live.js",
        (f"{LOST}::test_a_click_without_a_connection_says_that_nothing_happened",),
        (
            '      say("");\n      ask();\n',
            "      ask();\n",
            "a page that is back says that it is lost",
        ),
        (
            '  document.addEventListener("htmx:sendError", failed);\n',
            "",
            "a click without a connection says nothing",
        ),
        (
            'if (refusal && event.detail.requestConfig.verb === "post") refusal.textContent = "";',
            "",
            "an earlier failure stays on the page",
        ),
    ),
    *mutants_of(
        "static/js/rundown.js",
        (f"{FRAMES}::test_plain_arrow_keys_move_no_post",),
        ("!event.altKey || !way", "!way", "plain arrow keys move a post"),
    ),
    *mutants_of(
        "static/js/rundown.js",
        (f"{DESK}::test_a_post_is_moved_by_key_and_keeps_the_focus",),
        (
            '{ ArrowUp: "up", ArrowDown: "down" }',
            '{ ArrowUp: "down", ArrowDown: "up" }',
            "arrow keys move the other way",
        ),
        (
            "    document.querySelector(`#post-${moved} .tools > button:enabled`)?.focus();\n",
            "",
            "a moved post loses the focus",
        ),
    ),
    *mutants_of(
        "static/js/rundown.js",
        (f"{DESK}::test_a_post_is_moved_by_dragging_it",),
        (
            '? "before" : "after"',
            '? "after" : "before"',
            "a post is dropped on the other side",
        ),
        ("item.draggable = true", "item.draggable = false", "a post cannot be dragged"),
    ),
    *mutants_of(
        "static/js/rundown.js",
        (f"{FRAMES}::test_a_new_story_takes_none_away_from_who_reads_older_ones",),
        ('?.removeAttribute("data-max")', "", "older stories are taken away again"),
    ),
    *mutants_of(
        "static/js/overlay.js",
        (f"{HEARD}::test_words_brighten_and_captions_follow_at_the_pace_of_speech",),
        ("const ENOUGH = 6;", "const ENOUGH = 11;", "captions end within sentences"),
        ("Math.min(words.length - 1, at * words.length)", "0", "captions stay at the beginning"),
    ),
    *mutants_of(
        "static/js/overlay.js",
        (f"{HEARD}::test_an_overlay_that_hears_no_more_clears_the_picture",),
        (
            'root.toggleAttribute("data-lost", over && now - heard > PATIENCE_MS);',
            'root.toggleAttribute("data-lost", false);',
            "a lost overlay leaves its last story in the picture",
        ),
    ),
    *mutants_of(
        "static/js/reveal.js",
        (f"{HEARD}::test_words_brighten_and_captions_follow_at_the_pace_of_speech",),
        (
            "all[Math.floor(share(element) * all.length)]",
            "all[Math.floor(share(element) * all.length) + 1]",
            "a word brightens too early",
        ),
        (
            "Math.max(0, (present() - from)",
            "Math.max(0.2, (present() - from)",
            "words brighten before",
        ),
        ("    highlight.clear();\n", "", "words never brighten"),
    ),
    *mutants_of(
        "static/js/reveal.js",
        (f"{HEARD}::test_words_brighten_and_captions_follow_at_the_pace_of_speech",),
        ("    if (still.matches) return;\n", "", "words brighten for who wants no motion"),
    ),
    *mutants_of(
        "static/js/refresh.js",
        (f"{FRAMES}::test_a_page_that_is_hidden_after_a_frame_fetches_no_figure_until_it_is_seen",),
        (
            "    if (!wanted || document.hidden) return;",
            "    if (!wanted) return;",
            "a hidden page fetches figures",
        ),
        (
            'document.addEventListener("visibilitychange", () => { if (wanted) plan(); });',
            "",
            "a page that is seen again stays behind",
        ),
    ),
    *mutants_of(
        "static/js/refresh.js",
        (f"{STATS}::test_figures_follow_the_broadcast_and_what_is_open_stays_open",),
        (
            'for (const id of kept.open) document.getElementById(id)?.setAttribute("open", "");',
            "",
            "what is open closes",
        ),
        ("    if (kept.focus) refocus(kept.focus);\n", "", "the focus is lost"),
    ),
    *mutants_of(
        "static/js/refresh.js",
        (f"{FRAMES}::test_words_that_stream_in_change_no_figure",),
        (
            "    if (event.detail.seq === null) return;",
            "",
            "words that stream in fetch the figures",
        ),
    ),
    *mutants_of(
        "static/js/refresh.js",
        (f"{FRAMES}::test_figures_are_fetched_at_most_once_a_second",),
        ("const EVERY_MS = 1000;", "const EVERY_MS = 0;", "figures are fetched with every frame"),
    ),
    *mutants_of(
        "static/js/chat.js",
        (f"{CHAT}::test_a_question_is_asked_and_answered_by_keyboard_alone",),
        (
            'event.key !== "Enter" || event.shiftKey ||',
            'event.key !== "Enter" ||',
            "a new line sends the question",
        ),
        ('    if (text.value === sent) text.value = "";\n', "", "what was sent stays in the field"),
        ("    text.focus();\n", "    text.blur();\n", "the focus leaves the field"),
    ),
    *mutants_of(
        "static/js/chat.js",
        (f"{CHAT}::test_a_plan_is_applied_by_one_click_and_keeps_the_focus",),
        ("decided.focus({ preventScroll: true })", "decided.blur()", "a plan's focus is lost"),
    ),
]
