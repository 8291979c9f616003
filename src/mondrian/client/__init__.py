"""A client of the service: hand in photos, watch jobs through every drop, fetch reports."""

from mondrian.client.client import Client, only_job
from mondrian.client.decoder import SseDecoder, StreamEvent

__all__ = ["Client", "SseDecoder", "StreamEvent", "only_job"]
