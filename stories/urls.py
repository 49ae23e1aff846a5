"""Addresses of what is read, written and learned."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
