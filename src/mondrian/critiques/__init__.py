"""Critique a photo by an advisor on an engine: yield updates, text and a report."""

from mondrian.critiques.single import critique

__all__ = ["critique"]
