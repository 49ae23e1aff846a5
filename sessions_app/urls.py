"""Addresses of the account and of the log, which need nothing but this app."""

from __future__ import annotations

from django.urls import path

from sessions_app.views import account, log

urlpatterns = [
    path("broadcast/<uuid:session_id>/log/", log.log, name="log"),
    path("broadcast/<uuid:session_id>/log/browser/", log.browser, name="browser_errors"),
    path("account/theme/", account.theme, name="account_theme"),
    path("account/keys/<str:service>/remove/", account.drop_key, name="key_remove"),
    path("account/tokens/<int:bearer_id>/revoke/", account.revoke_token, name="token_revoke"),
]
