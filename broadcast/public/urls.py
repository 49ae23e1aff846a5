"""URLs of the public pages, feeds and media under /watch/."""

from __future__ import annotations

from django.urls import path

from broadcast.public import media_views, stream_views
from broadcast.public import views as public_views

urlpatterns = [
    path("watch/<str:token>/", public_views.watch, name="watch"),
    path("watch/<str:token>/overlay/", public_views.overlay, name="overlay"),
    path("watch/<str:token>/logo.png", public_views.logo, name="overlay_logo"),
    path("watch/<str:token>/embed/", public_views.embed, name="embed"),
    path(
        "watch/<str:token>/replay/<int:run_number>/", public_views.watch_replay, name="watch_replay"
    ),
    path(
        "watch/<str:token>/replay/<int:run_number>/captions.vtt",
        media_views.captions,
        name="captions",
    ),
    path("watch/<str:token>/errors/", public_views.errors, name="watch_errors"),
    path("watch/<str:token>/feed.atom", public_views.atom, name="feed_atom"),
    path("watch/<str:token>/feed.json", public_views.json_feed, name="feed_json"),
    path("watch/<str:token>/podcast.xml", media_views.podcast_feed, name="podcast"),
    path("watch/<str:token>/sounds/<int:sound_id>", media_views.sound, name="sound"),
    path(
        "watch/<str:token>/sounds/<int:sound_id>.vtt", media_views.sound_captions, name="sound_vtt"
    ),
    path("watch/<str:token>/episodes/<int:run_number>/", media_views.episode, name="episode"),
    path(
        "watch/<str:token>/episodes/<int:run_number>/audio", media_views.audio, name="episode_audio"
    ),
    path(
        "watch/<str:token>/episodes/<int:run_number>/audio.<str:suffix>",
        media_views.audio,
        name="episode_file",
    ),
    path(
        "watch/<str:token>/episodes/<int:run_number>/transcript.vtt",
        media_views.transcript,
        {"suffix": "vtt"},
        name="episode_vtt",
    ),
    path(
        "watch/<str:token>/episodes/<int:run_number>/transcript.srt",
        media_views.transcript,
        {"suffix": "srt"},
        name="episode_srt",
    ),
    path(
        "watch/<str:token>/episodes/<int:run_number>/chapters.json",
        media_views.chapters,
        name="episode_chapters",
    ),
    path("watch/<str:token>/stream.m3u8", stream_views.master, name="stream"),
    path(
        "watch/<str:token>/stream/audio.m3u8",
        stream_views.playlist,
        {"suffix": "mp3"},
        name="stream_audio",
    ),
    path(
        "watch/<str:token>/stream/captions.m3u8",
        stream_views.playlist,
        {"suffix": "vtt"},
        name="stream_captions",
    ),
    path("watch/<str:token>/stream.mp3", stream_views.endless, name="stream_mp3"),
    path(
        "watch/<str:token>/stream/<int:slot>-<slug:digest>.mp3",
        stream_views.segment,
        name="stream_segment",
    ),
    path(
        "watch/<str:token>/stream/<int:slot>-<slug:digest>.vtt",
        stream_views.captions,
        name="stream_vtt",
    ),
    path("watch/<str:token>/identification.mp3", media_views.identification, name="identification"),
    path("watch/<str:token>/card.png", media_views.card, name="card"),
    path("artwork/<slug:name>.svg", media_views.artwork, name="artwork"),
    path("watch/<str:token>/cover.png", media_views.cover, name="cover"),
]
