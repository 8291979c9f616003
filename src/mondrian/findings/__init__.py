"""Turn ``Measurements`` into findings with scores, and findings into words for prompts.

A finding is a statement about a photo that the measurements made true. ``find`` picks one for each
dimension of a report; docs/findings.md lists them all, with the curves behind the scores.
"""

from mondrian.findings.facts import (
    describe,
    list_facts,
    write_brief,
)
from mondrian.findings.find import find
from mondrian.findings.kinds import KINDS, Finding, Kind, Severity
from mondrian.findings.words import replace_marks

__all__ = [
    "KINDS",
    "Finding",
    "Kind",
    "Severity",
    "describe",
    "find",
    "list_facts",
    "replace_marks",
    "write_brief",
]
