"""A client of the service: hand in photos, watch jobs through every drop, fetch reports."""

from mondrian.client.client import DEFAULT_SERVER, Client
from mondrian.client.decoder import SseDecoder, StreamEvent

__all__ = ["DEFAULT_SERVER", "Client", "SseDecoder", "StreamEvent"]
