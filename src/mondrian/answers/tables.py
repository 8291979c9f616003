"""Read tables as records, whatever they are written in: Markdown, CSV, tabs, or arrays of JSON.

A row is a list of cells. The heads of a table are its keys; in a transposed one they are names of
dimensions. A row without heads is known by what it begins with: a dimension's name and its score.
"""

import csv
import re
from collections.abc import Sequence

from mondrian.answers.field_names import (
    find_column_fields,
    find_dimension,
    find_field,
    is_full_name,
)
from mondrian.answers.records import Record
from mondrian.answers.scores import split_score

_IN_ORDER = ("name", "score", "comment", "recommendation")
_GAP = re.compile("\t| {2,}")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_LONGEST_ROW, _LONGEST_HEAD, _MOST_CELLS = 20_000, 60, 40


class Table:
    """Appends a record to ``records`` for each row."""

    def __init__(self, records: list[Record]) -> None:
        self.heads: list[str] = []
        self._records = records
        self._transposed: list[Record] = []

    def end(self) -> None:
        """Forget the heads: what follows is another table."""
        self.heads, self._transposed = [], []

    def add(self, cells: Sequence[str], *, is_cut: bool = False, section: str = "") -> None:
        """Read the next row, whose last cell ``is_cut`` if the text ends in it. In a table without
        names it is about the dimension whose ``section`` it is in."""
        fields = [None] * len(cells) if _is_long(cells) else find_column_fields(cells)
        names = [cell for cell in cells if find_dimension(cell)]
        is_transposed = len(names) > 1 and not self.heads and not find_dimension(cells[0])
        is_head = "score" in fields or {"name", "recommendation"} <= {*fields}
        if is_transposed or (is_head and not names and not self._transposed):
            pairs = zip(cells, fields, strict=True)
            self.heads = [c if not f or find_field(c) else f"{f} ({c})" for c, f in pairs]
            self._transposed = [Record(label=cell) for cell in cells] if is_transposed else []
            self._records += self._transposed
        elif self._transposed:
            for record, cell in zip(self._transposed, cells, strict=False):
                record.fields.setdefault(cells[0], cell)
                record.growing = cells[0] if is_cut else None
        elif self.heads or begins_as_row(cells):
            self._add_record(
                dict(zip(self.heads or _IN_ORDER, cells, strict=False)), is_cut, section
            )

    def _add_record(self, fields: dict[str, str], is_cut: bool, section: str) -> None:
        may_be = [said for head, said in fields.items() if _may_name(head)] or [section]
        name = next(filter(find_dimension, may_be), "")
        record = Record(label=name, fields=dict(reversed(fields.items())))
        record.growing = next(reversed(fields), None) if is_cut else None
        record.is_closed = not is_cut
        self._records.append(record)


def begins_as_row(cells: Sequence[str]) -> bool:
    """Return whether ``cells`` begin with a dimension's full name and its score, with more behind
    them."""
    if len(cells) < 3 or "(" in cells[0] or not is_full_name(cells[0]):
        return False
    return _is_score(cells[1]) and not _is_score(cells[2])  # of two scores none is sure


def _is_score(cell: str) -> bool:
    score, rest = split_score(cell, is_labelled=True)
    return bool(score) and not rest


def split_row(line: str, heads: Sequence[str]) -> list[str] | None:
    """Return the cells of ``line``, if it is a row of a table with these ``heads``, or begins one.

    It is one with ``|`` at its beginning or twice; with tabs, semicolons or commas only if its
    cells are heads, fit the heads, or begin as a row does.
    """
    cells = _CELL_BORDER.split(line.strip("|"), _MOST_CELLS)
    if line.startswith("|") or len(cells) > (1 if heads else 2):
        return [cell.strip(" \t\r*`").replace("\\|", "|") for cell in cells]
    for mark, row in (("\t", _GAP.sub("\t", line)), (";", line), (",", line)):
        cells = _split_csv(row, mark)
        if len(cells) > 2 and (
            len(cells) == len(heads) or _is_bare_row(line, cells) or _is_head(cells)
        ):
            return cells
    return None


def _is_head(cells: Sequence[str]) -> bool:
    return not _is_long(cells) and {"name", "score"} <= {*find_column_fields(cells)}


def _is_long(cells: Sequence[str]) -> bool:
    return max(map(len, cells), default=0) > _LONGEST_HEAD


def _is_bare_row(line: str, cells: Sequence[str]) -> bool:
    """Return whether cells without heads are a row: commas in a text must not end it."""
    return begins_as_row(cells) and (len(cells) == len(_IN_ORDER) or '"' in line)


def _split_csv(line: str, mark: str) -> list[str]:
    if mark not in line or len(line) > _LONGEST_ROW:
        return []
    try:
        cells = next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip(" *`") for cell in cells]


def _may_name(head: str) -> bool:
    return find_field(head) in (None, "name")
