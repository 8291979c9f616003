"""Engines: turn a prompt into tokens; opened by URL."""

from mondrian.engines.base import Basis, Engine, Output, Phase, Progress, Request, Token
from mondrian.engines.open import open_engine

__all__ = [
    "Basis",
    "Engine",
    "Output",
    "Phase",
    "Progress",
    "Request",
    "Token",
    "open_engine",
]
