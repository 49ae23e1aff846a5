"""URLs of the docs."""

from __future__ import annotations

from django.urls import path

from smnb.docs import views

urlpatterns = [
    path("", views.contents, name="docs"),
    path("<slug:slug>/", views.page, name="docs_page"),
]
