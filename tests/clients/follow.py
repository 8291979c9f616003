"""``python follow.py LIBRARY URL``: follow a stream with a library of PyPI as its users do.

Prints each event as a line of JSON: type, id and data. Ends at ``done``.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable

library, url = sys.argv[1:]
last = ""


def take(type_: str, id_: str, data: str) -> bool:
    """Print an event. Returns whether it is the last."""
    global last
    last = id_ or last
    print(json.dumps({"type": type_, "id": id_, "data": data}), flush=True)
    return type_ == "done"


def headers() -> dict[str, str]:
    return {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}


def follow_httpx_sse() -> bool:
    import httpx
    from httpx_sse import connect_sse

    with (
        httpx.Client(timeout=30) as client,
        connect_sse(client, "GET", url, headers=headers()) as source,
    ):
        if source.response.status_code == 204:
            return True
        return any(take(each.event, each.id, each.data) for each in source.iter_sse() if each.data)


def follow_sseclient_py() -> bool:
    import requests
    import sseclient

    with requests.get(url, stream=True, headers=headers(), timeout=30) as answer:
        if answer.status_code == 204:
            return True
        events = sseclient.SSEClient(answer).events()
        return any(take(each.event, each.id or "", each.data) for each in events if each.data)


async def follow_aiohttp() -> bool:
    from aiohttp_sse_client2.client import EventSource

    async with EventSource(url, headers=headers(), max_connect_retry=0) as source:
        async for each in source:
            if each.data and take(each.type, each.last_event_id or "", each.data):
                return True
    return False


followers: dict[str, Callable[[], bool]] = {
    "httpx-sse": follow_httpx_sse,
    "sseclient-py": follow_sseclient_py,
    "aiohttp-sse-client2": lambda: asyncio.run(follow_aiohttp()),
}
while True:
    try:
        if followers[library]():
            break
    except Exception as exc:  # a line that was cut: come back with the last id
        print(type(exc).__name__, exc, file=sys.stderr)
    time.sleep(0.2)
