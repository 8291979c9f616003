"""Answers as models write them: the same dimensions in many shapes, spellings and wrappings."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS, Dimension, read_answer
from mondrian.errors import AnswerError
from support.demo_reports import DEMO


def plain(dimensions: Sequence[Dimension] = DEMO, **more: Any) -> dict[str, Any]:
    said = [d.model_dump(exclude={"evidence"}) for d in dimensions]
    return {"image_description": "Four boats.", "dimensions": said, **more}


PLAIN = json.dumps(plain(key_strengths=["calm"], technical_notes=["f/5.6"]), ensure_ascii=False)


def one(score: object = 7, name: str = "Lighting", **more: object) -> str:
    return json.dumps({"dimensions": [{"name": name, "score": score, "comment": "Soft.", **more}]})


# Writers: the same dimensions in the shapes that models use.

SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda name: name.replace("&", "and"),
    lambda name: name.lower().replace(" ", "_"),
    lambda name: name.replace(" ", "").replace("&", ""),
    lambda name: name.replace("Color", "Colour"),
    lambda name: f"{DIMENSIONS.index(name) + 1}. {name}",
)
SCORES: tuple[Callable[[float], object], ...] = (
    float,
    str,
    lambda score: f"{score:g}/10",
    lambda score: f"{score:g} out of 10",
    lambda score: f"{score * 10:g}/100",
)
KEYS = (
    ("name", "score", "comment", "recommendation"),
    ("dimension", "rating", "feedback", "suggestion"),
    ("category", "Score", "Analysis", "advice"),
    ("name", "score", "critique", "improvements"),
)
NAMED = ("name", "dimension", "category")


SENTENCES = (
    "Soft.",
    "The light isn't soft, but it's even: 80% of the frame ends.",
    "A “golden”, late hour – 7 minutes before dusk ends.",
    "Here {left} and [right] meet <b>a/b</b> ends.",
    "Côté jardin, 光 und Größe; the cat's paws' ends.",
    "3 trees (one bare), 'two' with leaves, comment: none ends.",
    "Raise it to 8/10 of the height, then wait, score nothing ends.",
    "Name, score and comment are words too ends.",
    "A path C:\\new\\table # not a heading * nor a list ends.",
)


@st.composite
def some_dimensions(draw: st.DrawFn) -> tuple[Dimension, ...]:
    names = draw(st.lists(st.sampled_from(DIMENSIONS), min_size=1, max_size=8, unique=True))
    return tuple(
        Dimension(
            name=name,
            score=draw(st.integers(2, 20)) / 2,
            comment=draw(st.sampled_from(SENTENCES)),
            recommendation=draw(st.sampled_from(SENTENCES)),
        )
        for name in names
    )


def in_order(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    return tuple(sorted(dimensions, key=lambda dimension: DIMENSIONS.index(dimension.name)))


@st.composite
def some_items(draw: st.DrawFn, dimensions: Sequence[Dimension]) -> list[dict[str, object]]:
    """The dimensions as objects, in one of many spellings and orders of keys."""
    spell, write = draw(st.sampled_from(SPELLINGS)), draw(st.sampled_from(SCORES))
    keys, order = draw(st.sampled_from(KEYS)), draw(st.permutations(range(4)))
    rows = [(spell(d.name), write(d.score or 0), d.comment, d.recommendation) for d in dimensions]
    return [{keys[n]: row[n] for n in order} for row in rows]


@st.composite
def json_like(draw: st.DrawFn, dimensions: Sequence[Dimension]) -> str:
    said = draw(some_items(dimensions))
    name_key = next(key for key in said[0] if key in NAMED)
    if draw(st.booleans()):
        extra = {name_key: "Storytelling", "score": 2, "comment": "Not asked for."}
        said.insert(draw(st.integers(0, len(said))), extra)
    whole: object = {"image_description": "Four boats.", "dimensions": said}
    if draw(st.booleans()):
        keyed = {
            str(item[name_key]): {key: item[key] for key in item if key != name_key}
            for item in said
        }
        whole = draw(st.sampled_from((keyed, {"dimensions": keyed, "overall_score": 7})))
    return json.dumps(whole, indent=draw(st.sampled_from((None, 2))), ensure_ascii=False)


def single_quoted(text: str) -> str:
    return repr(json.loads(text))


def curly(text: str) -> str:
    """Delimiters made curly, as word processors do."""
    parts = text.split('"')
    return "".join(part + "“”"[n % 2] for n, part in enumerate(parts[:-1])) + parts[-1]


DAMAGE: tuple[Callable[[str], str], ...] = (
    str,
    curly,
    single_quoted,
    lambda text: re.sub(r"(?<=[\"\d])(\s*[}\]])", r",\1", text),
    lambda text: text.replace('"}', '"}}'),
    lambda text: text.replace('"}', '"'),
    lambda text: text + "}]}",
    lambda text: text.replace('",\n', '"\n'),
    lambda text: text.replace("ends.", "ends.\n"),
    lambda text: f"{text}\n{text}",
)
WRAPPING: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: f"Here's the critique:\n```json\n{text}\n```\nI hope it's useful!",
    lambda text: f"```\n{text}\n```",
    lambda text: f"Sure. {text} Note: lighting isn't all.",
    lambda text: f"<think>Lighting: 1/10 {{no}} {one(2)}</think>\n{text}",
    lambda text: f"Let me think. {one(2)} </thinking>{text}",
    lambda text: f"\ufeff  {text}\r\n",
)


def as_table(rows: Sequence[dict[str, object]]) -> str:
    lines = [[*rows[0]], ["---"] * 4, *([*map(str, row.values())] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_sections(rows: Sequence[dict[str, object]]) -> str:
    return "\n\n".join(
        "\n".join(f"**{key}:** {value}" for key, value in row.items()) for row in rows
    )


def as_headings(dimensions: Sequence[Dimension]) -> str:
    return "\n".join(
        f"### {d.name} ({d.score:g}/10)\n{d.comment}\n\n*Recommendation:* {d.recommendation}\n"
        for d in dimensions
    )


def as_list(dimensions: Sequence[Dimension]) -> str:
    return "\n".join(
        f"- **{d.name}** ({d.score:g}/10): {d.comment} **Advice:** {d.recommendation}"
        for d in dimensions
    )


# The shapes that models write without being asked to, by what writes them.


def in_sections(form: str) -> Callable[[Sequence[Dimension]], str]:
    """Sections by a form for each: {n}ame, {s}core, {c}omment, {r}ecommendation."""

    def write(dimensions: Sequence[Dimension]) -> str:
        return "\n\n".join(
            form.format(n=d.name, s=f"{d.score:g}", c=d.comment, r=d.recommendation)
            for d in dimensions
        )

    return write


def in_table(head: str, scale: float = 10) -> Callable[[Sequence[Dimension]], str]:
    def write(dimensions: Sequence[Dimension]) -> str:
        lines = [f"| {head} |", "|---|---|---|---|"]
        for d in dimensions:
            score = f"{(d.score or 0) * scale / 10:g}"
            lines.append(f"| **{d.name}** | {score} | {d.comment} | {d.recommendation} |")
        return "\n".join(lines)

    return write


def in_json(
    form: Callable[[Dimension], Mapping[str, object]],
) -> Callable[[Sequence[Dimension]], str]:
    return lambda dimensions: json.dumps({"dimensions": [form(d) for d in dimensions]}, indent=1)


def by_field(dimensions: Sequence[Dimension]) -> str:
    return json.dumps(
        {
            "scores": {d.name: d.score for d in dimensions},
            "comments": {d.name: d.comment for d in dimensions},
            "recommendations": {d.name: d.recommendation for d in dimensions},
        }
    )


def in_flat_keys(dimensions: Sequence[Dimension]) -> str:
    said: dict[str, object] = {}
    for d in dimensions:
        key = d.name.lower().replace(" & ", "_and_").replace(" ", "_")
        said |= {f"{key}_score": d.score, f"{key}_comment": d.comment}
        said[f"{key}_recommendation"] = d.recommendation
    return json.dumps(said)


def under_headings(dimensions: Sequence[Dimension]) -> str:
    return "\n\n".join(
        f"### {d.name}\n```json\n{d.model_dump_json(exclude={'name', 'evidence'})}\n```"
        for d in dimensions
    )


def with_comments(text: str) -> str:
    return text.replace('"score"', '// of ten\n "score"').replace(",\n", ", // so\n")


def in_html(dimensions: Sequence[Dimension]) -> str:
    rows = [("Dimension", "Score", "Comment", "Recommendation")]
    rows += [(d.name, f"{d.score:g}", d.comment, d.recommendation) for d in dimensions]
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def scores_then_sections(dimensions: Sequence[Dimension]) -> str:
    table = "\n".join(f"| {d.name} | {d.score:g} |" for d in dimensions)
    sections = in_sections("### {n}\n{c}\n\n**Recommendation:** {r}")(dimensions)
    return f"| Dimension | Score |\n|---|---|\n{table}\n\n{sections}"


ITEMS = in_json(lambda d: d.model_dump(exclude={"evidence"}))
JSON_SHAPES: dict[str, Callable[[Sequence[Dimension]], str]] = {
    "fields first": by_field,
    "flat keys": in_flat_keys,
    "under headings": under_headings,
    "comments": lambda dimensions: with_comments(ITEMS(dimensions)),
    "encoded twice": lambda dimensions: json.dumps(ITEMS(dimensions)),
    "in a string": lambda dimensions: json.dumps({"answer": ITEMS(dimensions)}),
    "wide marks": lambda dimensions: ITEMS(dimensions).replace('": ', '"：').replace(",\n", "，\n"),
    "other keys": in_json(
        lambda d: {
            "title": d.name,
            "points": d.score,
            "rationale": d.comment,
            "tip": "None.",
            "score": d.score,
            "advice": d.recommendation,
        }
    ),
    "score with its scale": in_json(
        lambda d: {
            "aspect": d.name,
            "score": {"value": (d.score or 0) / 2, "max": 5},
            "notes": d.comment,
            "suggestions": [d.recommendation],
        }
    ),
    "scale in the key": in_json(
        lambda d: {
            "name": d.name,
            "score_out_of_5": (d.score or 0) / 2,
            "reason": d.comment,
            "recommendation": d.recommendation,
        }
    ),
    "score in a list": in_json(
        lambda d: {"name": d.name, "score": [d.score], "text": d.comment, "tips": d.recommendation}
    ),
    "own objects": in_json(
        lambda d: {
            "dimension": {"name": d.name},
            "rating": f"I would rate this {d.score:g}/10",
            "feedback": {"summary": d.comment, "recommendation": d.recommendation},
        }
    ),
}
TABLE_SHAPES = {
    "table": in_table("Element | Rating (out of 10) | Notes | How to improve"),
    "table of five": in_table("Critique dimension | Score (1-5) | Details | Recommendation(s)", 5),
    "nameless column": in_table(" | Final score | Comments | Suggestions for improvement"),
    "HTML": in_html,
    "scores, then sections": scores_then_sections,
}
SECTION_SHAPES = {
    form: in_sections(form)
    for form in (
        "**{n} (Score: {s}/10)**\n{c}\n*Advice:* {r}",
        "### {n} – Score: {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} — ⭐ {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} -> {s}/10\n{c}\n_Recommendation:_ {r}",
        "### {n}\n_Score: {s}/10_\n\n{c}\n\n_Recommendation: {r}_",
        "### {n}, {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} {s}/10\n{c}\n**Recommendation:** {r}",
        "#### {n}: {s}\n{c}\nRecommendation – {r}",
        "- **{n}** ({s}): {c} **Advice:** {r}",
        "**{n}**\n\n**Score**\n\n{s}\n\n**Comment**\n\n{c}\n\n**Recommendation**\n\n{r}",
        "## {n}: {s}/10\n**Strengths:** {c}\n**To improve:** {r}",
        "### {n}\n{c}\n**Recommendation:** {r}\n**Score:** {s}/10",
        "### {n}\n1. {c}\n\n**Recommendation:** {r}\n**Rating: {s}**",
        "## {n} (2/8)\nScore: {s}/10\n{c}\nRecommendation: {r}",
        "<b>{n}</b>: {s}/10<br>{c}<br>Recommendation: {r}<br>",
        "**{n}**：{s}分\n点评：{c}\n建议：{r}",
        "### {n}（{s}/10）\n{c}\n建议：{r}",
    )
}
SHAPES = JSON_SHAPES | TABLE_SHAPES | SECTION_SHAPES
FACTS = "**Measured facts**\n- Lighting: 3, 4 and 5 stops.\n- Color: 10.4%, warm.\n- Depth: 2 m.\n"
AROUND: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: f"My critique, in 8 parts.\n\n{text}\n\nThank you for showing it!",
    lambda text: f"{FACTS}\n---\n{text}\n\n## Overall score: 6.5/10\n1. Well done.\n",
    lambda text: f"{text}\n\n**Total score:** 54/80\n\n**Storytelling:** 3/10. Not asked for.",
    lambda text: f"◁think▷Lighting: 1/10. {one(2)}◁/think▷{text}",
    lambda text: f"[THINK]{one(2)} [/THINK]\n{text}",
    lambda text: f"<thought>{one(2)}</thought>{text}",
    lambda text: (
        f"<|channel|>analysis<|message|>{one(2)}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{text}"
    ),
    lambda text: f"{text}\n</think>\n",
)


def read(text: str) -> tuple[Dimension, ...]:
    try:
        return read_answer(text).dimensions
    except AnswerError:
        return ()


def facts_of(dimensions: Sequence[Dimension]) -> set[tuple[str, float | None]]:
    return {(d.name, d.score) for d in dimensions}
