"""Critique and rank folders of photos.

``folder`` finds the photos, ``judgements`` remembers what was said of them, ``judge`` critiques
what is left, ``duplicates`` groups bursts, and ``ranking``, ``sheet`` show the outcome;
``sidecars`` writes it as ``xmp`` beside the photos, or by ``embedding`` into them.
"""

from mondrian.catalogue.folder import PhotoFile, find_files
from mondrian.catalogue.judge import Failed, Judge, Judged, Skipped, Working
from mondrian.catalogue.judgements import Judgement, Judgements
from mondrian.catalogue.ranking import Row, rank
from mondrian.catalogue.sheet import encode_row, make_csv, make_sheet
from mondrian.catalogue.sidecars import Place, Sidecars, Written

__all__ = [
    "Failed",
    "Judge",
    "Judged",
    "Judgement",
    "Judgements",
    "PhotoFile",
    "Place",
    "Row",
    "Sidecars",
    "Skipped",
    "Working",
    "Written",
    "encode_row",
    "find_files",
    "make_csv",
    "make_sheet",
    "rank",
]
