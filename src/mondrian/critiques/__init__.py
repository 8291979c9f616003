"""Critiques: a photo, an advisor and an engine become updates, text and a report."""

from mondrian.critiques.single import critique

__all__ = ["critique"]
