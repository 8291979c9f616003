"""Layouts of real replies: arrays, CSV, other marks of scores and labels, and keys with damage."""

import csv
import html
import io
import json
import time
from collections.abc import Callable, Sequence

import pytest

from mondrian.answers import read_answer, read_partial
from mondrian.errors import AnswerError
from support.demo_reports import DEMO

Rows = list[tuple[str, float, str, str]]
HEADS = ("dimension", "score", "comment", "recommendation")
ROWS: Rows = [(d.name, d.score or 0, d.comment, d.recommendation) for d in DEMO]
GERMAN = (
    *("Komposition", "Licht", "Schärfe", "Farbharmonie", "Freistellung"),
    *("Tiefe und Perspektive", "Bildbalance", "Emotionale Wirkung"),
)
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")
CHINESE = (
    *("构图", "光线", "对焦与清晰度", "色彩和谐"),
    *("主体分离", "深度与透视", "视觉平衡", "情感影响"),
)


def write_csv(delimiter: str, rows: Sequence[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return written.getvalue()


def per_row(form: str, join: str = "\n\n", names: Sequence[str] = ()) -> str:
    named = zip(names or [row[0] for row in ROWS], ROWS, strict=True)
    return join.join(
        form.format(n=n, i=i, s=f"{s:g}", p=f"{s * 10:g}", g=f"{s:g}".replace(".", ","), c=c, r=r)
        for i, (n, (_, s, c, r)) in enumerate(named, 1)
    )


LAYOUTS: dict[str, Callable[[], str]] = {
    "arrays": lambda: json.dumps([list(row) for row in ROWS], indent=1),
    "arrays below heads": lambda: json.dumps([HEADS, *ROWS]),
    "columns and rows": lambda: json.dumps({"columns": HEADS, "rows": ROWS}),
    "an array for each column": lambda: json.dumps(
        dict(zip(HEADS, zip(*ROWS, strict=True), strict=True))
    ),
    "arrays by name": lambda: json.dumps({row[0]: row[1:] for row in ROWS}),
    "csv": lambda: write_csv(",", [HEADS, *ROWS]),
    "csv, fenced": lambda: f"```csv\n{write_csv(',', [HEADS, *ROWS])}```",
    "csv without heads": lambda: write_csv(",", ROWS),
    "semicolons": lambda: write_csv(";", [HEADS, *ROWS]),
    "tabs": lambda: "\n".join("\t".join(map(str, row)) for row in [HEADS, *ROWS]),
    "bars": lambda: per_row("{n} | {s}/10 | {c} | {r}", "\n"),
    "a number behind the name": lambda: per_row("**{n}** {s}\n{c}\n\nRecommendation: {r}"),
    "a number below the name": lambda: per_row("### {n}\n\n**{s}**\n\n{c}\n\nRecommendation: {r}"),
    "lines": lambda: per_row("{n}\n{s}\n{c}\nRecommendation: {r}"),
    "LaTeX": lambda: per_row("\\section*{{{n}}}\nScore: {s}/10\n{c}\n\n\\textbf{{Advice:}} {r}"),
    "a list in LaTeX": lambda: per_row(
        "\\item \\textbf{{{n} ({s}/10)}} {c} \\emph{{Tip:}} {r}", "\n"
    ),
    "advice in a list behind a table": lambda: (
        "| Dimension | Score | Comment |\n|--|--|--|\n"
        + per_row("| {n} | {s}/10 | {c} |\n", "")
        + "\n## Recommendations\n\n"
        + per_row("- **{n}:** {r}", "\n")
    ),
    "advice in a list behind sections": lambda: (
        per_row("### {n} ({s}/10)\n{c}")
        + "\n\n**How to improve**\n"
        + per_row("{i}. {n}: {r}", "\n")
    ),
    "percent": lambda: per_row("**{n}** ({p}%)\n\n{c}\n\nRecommendation: {r}"),
    "a word and a score": lambda: per_row("**{n}**: Good ({s}/10)\n{c}\n\nRecommendation: {r}"),
    "a fraction": lambda: per_row("**{n}**: $\\frac{{{p}}}{{100}}$\n\n{c}\n\nRecommendation: {r}"),
    "math": lambda: per_row("**{n}:** $" + "{s}/10$\n{c}\n\nRecommendation: {r}"),
    "a word behind": lambda: per_row("**{n}:** {s}/10 (Quite Good)\n{c}\n\nRecommendation: {r}"),
    "escaped slash": lambda: per_row("**{n}:** {s}\\/10\n{c}\n\nRecommendation: {r}"),
    "details": lambda: per_row(
        "<details>\n<summary>{n}: {s}/10</summary>\n\n{c}\n\nRecommendation: {r}\n</details>"
    ),
    "arrows": lambda: per_row("{n} → {s}/10\n  ↳ {c}\n  ↳ Recommendation: {r}", "\n"),
    "labels in German": lambda: per_row("- **{n}** ({g}/10): {c} **Vorschlag:** {r}", "\n", GERMAN),
    "numbers in Chinese": lambda: per_row("{i}、{n}：{s}/10\n点评：{c}\n建议：{r}", "\n", CHINESE),
    "a wide slash": lambda: per_row("■ {n}：{s}点／10点\nコメント：{c}\nアドバイス：{r}"),
    "dots": lambda: per_row("{n} ........ {s}/10\n{c}\nRecommendation: {r}"),
    "brackets": lambda: per_row("[{n}] {s}/10\n{c}\nRecommendation: {r}"),
    "score for": lambda: per_row("Score for {n}: {s}/10\nComment: {c}\nRecommendation: {r}"),
    "a gloss": lambda: per_row("**{n}** *(what is where & why)*: **{s}/10**\n{c}\nAdvice: {r}"),
    "a weight": lambda: per_row("### {n} (weight 12.5%): {s}/10\n{c}\n\nTo improve: {r}"),
    "what works": lambda: per_row(
        "**{n}: {s}/10**\n*What works:* {c}\n*What could be improved:* {r}"
    ),
    "pictures": lambda: per_row("📷 **{n}** — 🔢 {s}/10\n💬 {c}\n💡 Tip: {r}"),
    "try": lambda: per_row("* **{n}** [{s}/10]: {c} **Try:** {r}", "\n"),
    "Roman numbers": lambda: "\n\n".join(
        f"## {number}. {n} – {s:g}/10\n{c}\n\nRecommendation: {r}"
        for number, (n, s, c, r) in zip(ROMAN, ROWS, strict=True)
    ),
    "Chinese brackets": lambda: per_row("【{n}】{s}/10\n{c}\n建议：{r}", names=CHINESE),
    "a box": lambda: per_row("**{n}:** $\\boxed{{{s}}}$\n{c}\nRecommendation: {r}"),
    "another score": lambda: per_row(
        "### {n}\n**Current score:** {s}/10 | **Potential score:** 9.8/10\n{c}\n**Tip:** {r}"
    ),
    "Markdown in JSON": lambda: json.dumps(
        {"critique": per_row("### {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}")}
    ),
    "dots of one letter": lambda: per_row("### {n} … {s}/10\n{c}\nRecommendation: {r}"),
    "numbers and dashes": lambda: per_row("{i} - {n} ({s}/10)\n{c}\nRecommendation: {r}"),
    "on one line": lambda: per_row("{n}: {s}/10. {c} Recommendation: {r}", " "),
    "a bar": lambda: per_row("**{n}** ████████░░ {s}/10\n{c}\nRecommendation: {r}"),
    "a dot": lambda: per_row("## 📐 {n} · {s}/10\n{c}\n\n**→ Recommendation:** {r}"),
    "two dashes": lambda: per_row("{n} -- {s}/10\n{c}\n-- Recommendation: {r}"),
    "a coloured mark": lambda: per_row("**{n}** 🟢 {s}/10\n{c}\n🔧 Recommendation: {r}"),
    "digits in boxes": lambda: per_row("{i}\ufe0f\u20e3 **{n}**: {s}/10\n{c}\nRecommendation: {r}"),
    "boxes to tick": lambda: per_row("- [x] **{n}** ({s}/10): {c}\n  - Recommendation: {r}", "\n"),
    "one of eight": lambda: per_row("### {i}/8 {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}"),
    "letters": lambda: per_row("{i}. {n}\n  a. Score: {s}/10\n  b. Comment: {c}\n  c. Advice: {r}"),
    "a footnote": lambda: per_row("**{n}**: {s}/10[^1]\n{c}\nRecommendation: {r}"),
    "HTML around the score": lambda: per_row("**{n}** <sup>{s}/10</sup>\n{c}\nRecommendation: {r}"),
    "a verdict": lambda: per_row("## {n}\n**Verdict:** {s}/10\n**Notes:** {c}\n**Tip:** {r}"),
    "the score first": lambda: per_row("**{s}/10 — {n}**\n{c}\n**Recommendation:** {r}"),
    "the score in front": lambda: per_row("{s}/10 – {n}: {c} Recommendation: {r}", "\n"),
    "a possible ten": lambda: per_row("{n}\nScore: {s} out of a possible 10\n{c}\nAdvice: {r}"),
    "ten with a decimal": lambda: per_row("**{n}**: {s}/10.0\n{c}\nRecommendation: {r}"),
    "dashes behind labels": lambda: per_row(
        '{n}: Score - {s}/10, Comment - "{c}", Recommendation - "{r}"', "\n"
    ),
    "advice in brackets": lambda: per_row("**{n}** – {s}/10 – {c} [Recommendation: {r}]"),
    "advice behind an arrow": lambda: per_row("**{n}** – {s}/10 – {c} → Recommendation: {r}"),
    "labels that name it": lambda: per_row(
        "### {n}: {s}/10\nComment on {n}: {c}\nTip for {n}: {r}"
    ),
    "a list of advice that names it": lambda: (
        per_row("### {n} ({s}/10)\n{c}") + "\n\n" + per_row("**Recommendation for {n}:** {r}", "\n")
    ),
    "advice in a list with dashes": lambda: (
        per_row("**{n} ({s}/10)** – {c}")
        + "\n\n### Recommendations\n\n"
        + per_row("{i}. **{n}** – {r}", "\n")
    ),
    "scores on one line": lambda: (
        "Scores: " + per_row("{n}: {s}/10", ", ") + "\n\n" + per_row("### {n}\n{c}\n\nAdvice: {r}")
    ),
    "scores on the last line": lambda: (
        per_row("### {n}\n{c}\n\nAdvice: {r}") + "\n\nScores: " + per_row("{n} {s}/10", ", ")
    ),
    "labels in a row": lambda: per_row("{n} | Score: {s}/10 | Comment: {c} | Advice: {r}", "\n"),
    "a table of two columns in each section": lambda: per_row(
        "### {n}\n\n| | |\n|--|--|\n| **Score** | {s}/10 |\n| Comment | {c} |\n| Tip | {r} |"
    ),
    "a table in each section": lambda: per_row(
        "### {n}\n\n| Score | Comment | Recommendation |\n|--|--|--|\n| {s}/10 | {c} | {r} |"
    ),
    "advice in the comment's cell": lambda: (
        "| Dimension | Score | Comment |\n|--|--|--|\n"
        + per_row("| {n} | {s}/10 | {c}<br>**Recommendation:** {r} |", "\n")
    ),
    "advice in a table of its own": lambda: (
        per_row("### {n} ({s}/10)\n{c}")
        + "\n\n| Dimension | Recommendation |\n|--|--|\n"
        + per_row("| {n} | {r} |", "\n")
    ),
    "a drawn table": lambda: (
        "┌──┬──┐\n│ Dimension │ Score │ Comment │ Recommendation │\n├──┼──┤\n"
        + per_row("│ {n} │ {s}/10 │ {c} │ {r} │", "\n├──┼──┤\n")
        + "\n└──┴──┘"
    ),
    "columns of spaces": lambda: (
        "Dimension            Score  Comment  Recommendation\n"
        + per_row("{n:20} {s:5}  {c}  {r}", "\n")
    ),
    "line breaks as letters": lambda: per_row("**{n}**: {s}/10\\n{c}\\nAdvice: {r}", "\\n\\n"),
    "a page's text": lambda: html.escape(
        per_row("<h3>{n}</h3><p>{s}/10</p><p>{c}</p><p>Recommendation: {r}</p>", "")
    ),
    "a scale beside a score in XML": lambda: per_row(
        '<dimension name="{n}"><score max="10">{s}</score><comment><![CDATA[{c}]]></comment>'
        "<recommendation>{r}</recommendation></dimension>"
    ),
    "an object for the assessment": lambda: json.dumps(
        [
            {"name": n, "assessment": {"score": s, "comment": c}, "recommendation": r}
            for n, s, c, r in ROWS
        ]
    ),
    "numbered objects": lambda: json.dumps(
        {f"dimension_{i}": dict(zip(HEADS, row, strict=True)) for i, row in enumerate(ROWS, 1)}
    ),
    "advice with its urgency": lambda: json.dumps(
        [
            {"name": n, "score": s, "comment": c, "advice": {"action": r, "priority": "high"}}
            for n, s, c, r in ROWS
        ]
    ),
    "an object below each name": lambda: "\n\n".join(
        f"For {n}:\n" + json.dumps(dict(zip(HEADS[1:], row, strict=True))) for n, *row in ROWS
    ),
}


@pytest.mark.parametrize(
    "form",
    [
        "**{n}**: +{s}\n{c}",
        "| {n} | 3/10 | {s}/10 | {c} |",
        "### {n}\n- Placement: 9/10\n- Lines: 6/10\n\n{c}",
        "**{n}**\nTarget: 9.5/10\n{c}",
        "**{n}**\nAnsel: 3/10\nGeorgia: 9/10\n{c}",
        "**{n}**: 3/10 → 9/10\n{c}",
    ],
)
def test_a_number_that_may_be_another_is_no_score(form: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(per_row(form, "\n" if form[0] == "|" else "\n\n"))


@pytest.mark.parametrize(
    "form",
    [
        "### {n} ({s}/10)\nNote this: {c}",
        "### {n} ({s}/10)\n**The mast is thin, 3% of it, and straight.** {c}",
        "**{n}**: {s}/10 (-2 for the tilt)\n{c}",
    ],
)
def test_a_comment_may_begin_with_what_looks_like_a_label(form: str) -> None:
    read = read_answer(per_row(form)).dimensions
    assert [d.score for d in read] == [d.score for d in DEMO]
    assert all(d.comment in said.comment for d, said in zip(DEMO, read, strict=True))


def test_a_paragraph_that_is_not_about_a_dimension_gives_it_no_advice() -> None:
    text = LAYOUTS["letters"]() + "\n\nThe frame, too, could be wider. Recommendation: Buy a wall."
    assert read_answer(text).dimensions == DEMO


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_whole(layout: str) -> None:
    assert read_answer(LAYOUTS[layout]()).dimensions == DEMO


@pytest.mark.parametrize("layout", ["percent", "pictures", "boxes to tick", "scores on one line"])
def test_a_dimension_stays_complete_while_the_next_name_is_written(layout: str) -> None:
    text, complete = LAYOUTS[layout](), set[str]()
    for end in range(len(text)):
        now = {each.name for each in read_partial(text[:end]).dimensions}
        assert now >= complete, text[:end][-40:]
        complete = now


def test_halves_are_written_as_such() -> None:
    text = "\n\n".join(f"**{n} — 7½/10**\n\n{c}\n\nRecommendation: {r}" for n, _, c, r in ROWS)
    assert [each.score for each in read_answer(text).dimensions] == [7.5] * 8


def test_full_and_empty_stars_are_a_score() -> None:
    text = "\n\n".join(f"**{n}** ★★★★☆\n{c}\nRecommendation: {r}" for n, _, c, r in ROWS)
    assert [each.score for each in read_answer(text).dimensions] == [8] * 8
    with_figures = text.replace("☆", "☆ (7/10)")
    assert [each.score for each in read_answer(with_figures).dimensions] == [7] * 8
    with pytest.raises(AnswerError):
        read_answer(text.replace("☆", ""))  # of five, or of ten?


def test_scores_in_json_and_comments_in_sections_make_one_answer() -> None:
    sections = per_row("### {i}. {n}\n{c}\n\n**Recommendation:** {r}")
    scores = json.dumps({"scores": {name: score for name, score, *_ in ROWS}})
    for text in (f"{sections}\n\n```json\n{scores}\n```", f"{scores}\n\n{sections}"):
        assert read_answer(text).dimensions == DEMO


@pytest.mark.parametrize("unit", ["", " points"])
def test_numbers_behind_all_names_are_scores(unit: str) -> None:
    text = " ".join(f"{n}: 7{unit}. {c} Recommendation: {r}" for n, _, c, r in ROWS)
    assert [each.score for each in read_answer(text).dimensions] == [7] * 8
    assert [each.comment for each in read_answer(text).dimensions] == [d.comment for d in DEMO]


def test_a_number_between_dashes_behind_all_names_is_a_score() -> None:
    text = "\n".join(f"- **{n} – 7** – {c} Recommendation: {r}" for n, _, c, r in ROWS)
    read = read_answer(text).dimensions
    assert [(d.score, d.comment) for d in read] == [(7, d.comment) for d in DEMO]


@pytest.mark.parametrize("form", ["{c} ({s}/10)", "{c}\n\n*{s}/10*"])
def test_a_score_may_end_the_answer(form: str) -> None:
    read = read_answer(per_row("**{n}**\n" + form)).dimensions
    assert [(d.name, d.score) for d in read] == [(d.name, d.score) for d in DEMO]


def test_a_label_follows_a_chinese_sentence_without_space() -> None:
    text = "\n".join(
        f"{i}. **{n}（8分）**：光线很柔和。建议：等一等。" for i, n in enumerate(CHINESE, 1)
    )
    read = read_answer(text).dimensions
    assert {(d.comment, d.recommendation) for d in read} == {("光线很柔和。", "等一等。")}
    assert [d.score for d in read] == [8] * 8


@pytest.mark.parametrize(
    "form",
    [
        "In terms of {n}, I'd rate this {s}/10. {c} {r}",
        "The {n} earns a score of {s} out of 10. {c} {r}",
        "For {n}, I give it a {s}/10 because it works here. {c} {r}",
        "{n} is a {s}/10. {c} {r}",
        "The {n} of this photograph: {c} {r} I score it {s}/10.",
    ],
)
def test_paragraphs_that_mention_a_dimension_and_its_score(form: str) -> None:
    text = per_row(form, names=[row[0].lower() for row in ROWS])
    read = read_answer(f"Here is what I see.\n\n{text}").dimensions
    assert [(d.name, d.score) for d in read] == [(d.name, d.score) for d in DEMO]
    assert all(d.comment in said.comment for d, said in zip(DEMO, read, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "A strong composition. I give it 8/10.",
        "The lighting is soft, and the photo as a whole earns 8/10 for its mood.",
        "The composition works.\n\nOverall I give it 7/10.\n\nThe lighting is 8/10, so it is.",
    ],
)
def test_a_score_of_the_photo_is_not_a_dimensions(text: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(text)


def test_a_score_and_a_comment_under_a_name() -> None:
    text = json.dumps({name: f"{score:g}/10 – {comment}" for name, score, comment, _ in ROWS})
    read = read_answer(text).dimensions
    assert [(d.score, d.comment) for d in read] == [(d.score, d.comment) for d in DEMO]


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("I would give this 8 out of 10. The light is soft.", 8),
        ("The light is soft, so it earns 7.5/10 for its mood.", 7.5),
        ("The light is soft: 8/10.", 8),
        ("Das Licht ist weich, dafür 8 von 10 Punkten.", 8),
        ("Das Licht ist weich, könnte aber 9 von 10 Punkten haben.", None),
        ("8 out of 10 viewers would look at the barn first.", None),
        ("The light is soft; with a reflector it could be 9/10.", None),
        ("From 4/10 at noon it went to 8/10 at dusk.", None),
        ("It is not 8/10.", None),
        ("The light is soft, at 1/10 s.", None),
    ],
)
def test_a_score_in_a_sentence(said: str, score: float | None) -> None:
    text = f"### Lighting\n\n{said}\n\nRecommendation: Wait for dusk."
    try:
        [read] = read_answer(text).dimensions
    except AnswerError:
        assert score is None
    else:
        assert (read.score, read.comment) == (score, said)


PLAIN = json.dumps({"dimensions": [dict(zip(HEADS, row, strict=True)) for row in ROWS]}, indent=1)


@pytest.mark.parametrize(
    "damaged",
    [
        ' recommendation": "',
        ' "recommendation: "',
        ' recommendation: "',
        ' "recommendation" "',
        ' "recommendation"": "',
        ' "recommendation:" "',
        ' ""recommendation": "',
        ' "recommendation": ',
    ],
)
def test_a_key_with_quotes_lost_or_doubled(damaged: str) -> None:
    before, key, after = PLAIN.partition(' "recommendation": "')
    assert read_answer(before + damaged + after).dimensions == DEMO
    assert key


@pytest.mark.parametrize("end", ['""', '"}', '."\n'])
def test_a_value_whose_end_is_doubled(end: str) -> None:
    text = PLAIN.replace(f'{DEMO[2].recommendation}"', f"{DEMO[2].recommendation}{end}")
    assert text != PLAIN
    read = read_answer(text).dimensions
    assert [d.score for d in read] == [d.score for d in DEMO]
    assert not any(mark in d.recommendation for d in read for mark in '{}"')


def test_a_row_that_is_cut_off_is_not_believed() -> None:
    text = LAYOUTS["csv"]().partition(DEMO[4].comment[10:])[0]
    assert read_partial(text).dimensions == DEMO[:4]
    arrays = LAYOUTS["arrays"]().partition(DEMO[4].recommendation)[0]
    assert read_partial(arrays).dimensions == DEMO[:4]
    read = read_answer(LAYOUTS["bars"]().partition(DEMO[4].comment)[0])
    assert [d.name for d in read.dimensions] == [d.name for d in DEMO[:4]]


@pytest.mark.parametrize(
    "piece",
    ["|10", '":"> 100', '{"a":1,', '"comment" "', "</think>[", "| ", "<", "Overall 4/5 ", "\r//"],
)
@pytest.mark.parametrize(
    "before", ["", "{", '{"dimensions":[{"name":"Lighting","score":7,"comment":"']
)
def test_a_megabyte_takes_hardly_longer_than_a_quarter(before: str, piece: str) -> None:
    def seconds(size: int) -> float:
        text, began = before + piece * (size // len(piece)), time.process_time()
        read_partial(text)
        return time.process_time() - began

    longer, shorter = (min(seconds(size) for _ in range(2)) for size in (1_000_000, 250_000))
    assert longer < 4 * max(0.02, shorter)
