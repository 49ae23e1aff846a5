"""A small project with a channel layer, for ``peers``: the server, and run as a script the sender.

It runs in an environment of its own, with channels and channels-redis.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    CHANNEL_LAYERS={
        "default": {
            # The other one, core, opens a connection for each viewer and refuses some of 1,000.
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS"]]},
        }
    },
)
import django  # noqa: E402

django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402

TEXT = "It is so. " * 45 * 2


class Viewer(AsyncWebsocketConsumer):  # type: ignore[misc]
    groups = ("viewers",)

    async def news(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter({"websocket": Viewer.as_asgi()})


async def send() -> None:
    """Sends events to the group as each line of the standard input orders."""
    layer = get_channel_layer()
    seq = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        count, together, pause = line.split()
        for _ in range(int(count)):
            at = time.time()
            for _ in range(int(together)):
                seq += 1
                text = json.dumps({"seq": seq, "data": TEXT})
                await layer.group_send("viewers", {"type": "news", "text": text})
            print(seq, at, flush=True)
            await asyncio.sleep(float(pause))
        print(flush=True)


if __name__ == "__main__":
    asyncio.run(send())
