"""The pages for a browser."""

from pathlib import Path

PAGES = Path(__file__).parent / "templates"
"""The folder of the pages' templates."""
