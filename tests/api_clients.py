"""The JSON API as a program sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from sessions_app import api_tokens


class Api:
    """The API as a program of this person sees it."""

    def __init__(self, user: User) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {api_tokens.make(user)}"})

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        data = "" if body is None else json.dumps(body)
        found: Any = self.client.generic(
            method, f"/api{path}", data, content_type="application/json", headers=headers
        )
        return found  # type: ignore[no-any-return]

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = self.call("POST", path, body if body is not None else {}, **headers)
        return answer.status_code, json.loads(answer.content)

    def walk(self, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(f"{path}?limit={limit}&cursor={cursor}")
            yield page["items"]
            cursor = page["next"]
