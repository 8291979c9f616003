"""A critique as the text of a chat, which only ever grows.

1. What was sent cannot be taken back. So a section is sent as far as it is sure not to change
   (whole words), with its score, which comes last, at its end; what did change after all is said
   once more.
2. The text of a stream is the text of an answer that was waited for, unless a section changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mondrian.answers import show_name
from mondrian.reports import Report, describe_provenance
from mondrian.reports.markdown import escape_markdown
from mondrian.reports.shared import format_score

_Key = tuple[str, str]
"""An advisor's id, and the name of a dimension, or nothing for the description."""


class ChatText:
    """Makes the text from a job's ``report_partial`` events, and its reports. ``names`` are the
    advisors' by id, with a heading for each if there are several."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._sent: dict[_Key, str] = {}
        self._open: _Key | None = None
        self._advisor = "" if len(names) > 1 else next(iter(names), "")
        self._is_begun = False

    def add_part(self, fields: Mapping[str, Any]) -> str:
        """Return the text that a ``report_partial`` adds."""
        dimension = fields.get("dimension")
        if dimension is None:
            name, section, is_whole = "", escape_markdown(fields["image_description"]), True
        else:
            name, is_whole = dimension["name"], "evidence" in dimension
            section = _write_dimension(dimension, is_whole=is_whole)
        return self._add((fields["advisor"], name), section, is_whole=is_whole)

    def begin_again(self) -> str:
        """Return what is said when an attempt was lost."""
        self._sent.clear()
        self._open = None
        return self._separate("*The work was lost and begins again.*") if self._is_begun else ""

    def finish(self, reports: Sequence[Report]) -> str:
        """Return the rest: sections that are missing or have changed, and what sums up."""
        added = "".join(
            self._add((report.advisor, name), section, is_whole=True)
            for report in reports
            for name, section in _list_sections(report)
            if self._sent.get((report.advisor, name)) != section
        )
        return added + "".join(self._separate(_sum_up(each, self._names)) for each in reports)

    def _add(self, key: _Key, section: str, *, is_whole: bool) -> str:
        before = self._sent.get(key, "") if self._open == key else None
        if before is None:
            added = self._begin_section(key) + self._separate(section) if section else ""
        elif section.startswith(before):
            added = section[len(before) :]
        else:  # it has changed: the rest waits for the end
            return ""
        self._sent[key] = section
        self._open = None if is_whole else key
        return added

    def _begin_section(self, key: _Key) -> str:
        advisor = key[0]
        if advisor == self._advisor:
            return ""
        self._advisor = advisor
        return self._separate(f"## {escape_markdown(self._names.get(advisor, advisor))}")

    def _separate(self, section: str) -> str:
        added = f"\n\n{section}" if self._is_begun else section
        self._is_begun = True
        return added


def _list_sections(report: Report) -> Iterable[tuple[str, str]]:
    if report.image_description:
        yield "", escape_markdown(report.image_description)
    for dimension in report.dimensions:
        yield dimension.name, _write_dimension(dimension.model_dump(), is_whole=True)


def _write_dimension(dimension: Mapping[str, Any], *, is_whole: bool) -> str:
    """Return a dimension as Markdown; of one that still grows, the whole words."""
    parts = [f"### {escape_markdown(show_name(dimension['name']))}"]
    for mark, name in (("", "comment"), ("**Try:** ", "recommendation")):
        words = str(dimension[name])
        if not is_whole and not (name == "comment" and dimension["recommendation"]):
            words = words.rpartition(" ")[0]
        if words.strip():
            parts.append(mark + escape_markdown(words))
    if is_whole:
        score = dimension["score"]
        parts.append(f"*{format_score(score)}{'' if score is None else ' / 10'}*")
    return "\n\n".join(parts)


def _sum_up(report: Report, names: Mapping[str, str]) -> str:
    by = f" ({escape_markdown(report.shown_name)})" if len(names) > 1 else ""
    parts = [f"**Overall{by}: {report.overall_score:.1f} / 10, grade {report.grade}**"]
    for title, lines in (
        ("What works", report.key_strengths),
        ("What to improve first", report.priority_improvements),
        ("Technical notes", report.technical_notes),
    ):
        if lines:
            listed = "\n".join(f"- {escape_markdown(line)}" for line in lines)
            parts.append(f"**{title}**\n\n{listed}")
    parts += [f"*{escape_markdown(sentence)}*" for sentence in describe_provenance(report)]
    return "\n\n".join(parts)
