"""A client of the service: submit photos, watch jobs across reconnects, fetch reports."""

from mondrian.client.client import Client, only_job
from mondrian.client.decoder import SseDecoder, StreamEvent

__all__ = ["Client", "SseDecoder", "StreamEvent", "only_job"]
