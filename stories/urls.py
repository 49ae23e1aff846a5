"""Addresses of what is read, written and learned."""

from __future__ import annotations

from django.urls import path

from stories.views import search

urlpatterns = [
    path("sessions/<uuid:session_id>/search/", search.results, name="search"),
]
