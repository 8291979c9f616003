"""Answers that broke a reader, each of a kind: what was written is read, and nothing else."""

import html
import json
import re
from collections.abc import Callable

import pytest

from mondrian.answers import DIMENSIONS, Dimension, read_answer, read_partial
from support.answers import in_sections, in_table, read

SCORES = (8, 7, 9, 6, 5, 7, 8, 4)
EIGHT = tuple(
    Dimension(
        name=name,
        score=score,
        comment=f"The {name.lower()} is calm and clear here.",
        recommendation=f"Try a change of {name.lower()} next time.",
    )
    for name, score in zip(DIMENSIONS, SCORES, strict=True)
)
ROWS = [each.model_dump(exclude={"evidence"}) for each in EIGHT]
JSON = json.dumps({"image_description": "A boat.", "dimensions": ROWS})
INDENTED = json.dumps({"image_description": "A boat.", "dimensions": ROWS}, indent=2)
DRAFT = '{"dimensions":[{"name":"Lighting","score":2,"comment":"Draft.","recommendation":"No."}]}'


def html_rows(cell: Callable[[str], str], between: str) -> str:
    rows = [("Dimension", "Score", "Comment", "Recommendation")]
    rows += [(d.name, f"{d.score:g}", d.comment, d.recommendation) for d in EIGHT]
    cells = ["".join(f"<td>{cell(each)}</td>" for each in row) for row in rows]
    body = between.join(f"<tr>{row}</tr>" for row in cells[1:])
    return f"<table><thead><tr>{cells[0]}</tr></thead>{between}<tbody>{body}</tbody></table>"


def lying_table() -> str:
    rows = [(d.name, f"{d.score:g}", d.comment, d.recommendation) for d in EIGHT]
    columns = zip(*rows, strict=True)
    heads = ("", "Score", "Comment", "Recommendation")
    lines = [f"| {head} | {' | '.join(row)} |" for head, row in zip(heads, columns, strict=True)]
    return "\n".join([lines[0], "|---" * 9 + "|", *lines[1:]])


def renamed(**keys: str) -> str:
    return json.dumps([{keys.get(key, key): row[key] for key in row} for row in ROWS])


def camel(name: str) -> str:
    plain = re.sub(r"\W", "", name)
    return plain[0].lower() + plain[1:]


WHOLE = {
    "bare keys on lines": re.sub(r'"(\w+)":', r"\1:", INDENTED),
    "bare keys on one line": re.sub(r'"(\w+)":', r"\1:", JSON),
    "comment behind a score": INDENTED.replace('"score": 7,', '"score": 7, // a "good" one'),
    "two opening quotes": JSON.replace('"comment": "', '"comment": ""'),
    "no closing quote": JSON.replace('here.", "rec', 'here., "rec'),
    "no quote before a key": JSON.replace('here.", "rec', 'here."rec'),
    "no colon": JSON.replace('"comment": "', '"comment ""'),
    "wide braces": JSON.translate(str.maketrans("{}[]:,", "｛｝［］：，")).replace("8，", "8,"),
    "quoted lines": re.sub("^", "> ", INDENTED, flags=re.MULTILINE),
    "numbered lines": "\n".join(f"{n:3}  {x}" for n, x in enumerate(INDENTED.split("\n"), 1)),
    "encoded twice": json.dumps({"answer": JSON}),
    "encoded three times": json.dumps({"answer": json.dumps({"text": INDENTED})}),
    "escaped from the middle": JSON.replace('7, "', "7, Q")
    .replace("Q", '"', 1)
    .replace(
        '"comment": "The lighting is calm and clear here."',
        '\\"comment\\": \\"The lighting is calm and clear here.\\"',
    ),
    "by position": json.dumps({d.name: [d.score, d.comment, d.recommendation] for d in EIGHT}),
    "flat camel keys": json.dumps(
        {f"{camel(d.name)}{key.title()}": getattr(d, key) for d in EIGHT for key in [*ROWS[0]][1:]}
    ),
    "a letter wrong": renamed(comment="coment", recommendation="recomendation"),
    "other words": renamed(name="criteria", score="grade", comment="commentary"),
    "last word": renamed(comment="critical_analysis", recommendation="actionable_advice"),
    "a name under any key": renamed(name="what"),
    "quoted YAML": "dimensions:\n"
    + "".join(
        f'  - name: "{d.name}"\n    score: {d.score:g}\n    comment: "{d.comment}"\n'
        f"    recommendation: '{d.recommendation}'\n"
        for d in EIGHT
    ),
    "TOML": in_sections(
        '[[dimensions]]\nname = "{n}"\nscore = {s}\ncomment = "{c}"\nrecommendation = "{r}"'
    )(EIGHT),
    "XML": in_sections(
        "<dimension>\n<name>{n}</name>\n<score>{s}</score>\n<comment>{c}</comment>\n"
        "<recommendation>{r}</recommendation>\n</dimension>"
    )(EIGHT),
    "XML on one line": "<critique>"
    + in_sections(
        '<dimension name="{n}" score="{s}"><comment>{c}</comment>'
        "<recommendation>{r}</recommendation></dimension>"
    )(EIGHT).replace("\n", "")
    + "</critique>",
    "HTML sections": in_sections(
        "<h3>{n} ({s}/10)</h3>\n<p>{c}</p>\n<p><strong>Recommendation:</strong> {r}</p>"
    )(EIGHT),
    "an HTML list": "<ul>"
    + in_sections("<li><b>{n}</b>: {s}/10 - {c} <i>Recommendation:</i> {r}</li>")(EIGHT)
    + "</ul>",
    "HTML cards": in_sections(
        '<h3>{n} <span class="score">({s}/10)</span></h3>\n<p class="c">{c}</p>\n'
        "<div><strong>Recommendation:</strong> {r}</div>"
    )(EIGHT),
    "HTML table": html_rows(str, ""),
    "HTML table on lines": html_rows(str, "\n"),
    "HTML table with entities": html_rows(html.escape, "\n"),
    "table on its side": lying_table(),
    "rating as a word": in_table("Dimension | Rating | Score | Comment | Recommendation")(EIGHT)
    .replace("|---|---|---|---|", "|---|---|---|---|---|")
    .replace("** |", "** | Good |"),
}
THINKING = {
    "Gemma 4": "<|channel>thought\n{}\n<channel|>",
    "Seed": "<seed:think>{}</seed:think>",
    "Cohere": "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>",
    "Gemma 3": "<unused94>thought\n{}<unused95>",
    "Ollama": "Thinking...\n{}\n...done thinking.\n\n",
    "gpt-oss without its marks": "analysisDraft. {}assistantfinal",
    "scratchpad": "<scratchpad>{}</scratchpad>",
    "marks of next year": "<|ponder|>{}<|answer|>",
    "no marks": "Draft:\n```json\n{}\n```\nFinal:\n",
}


@pytest.mark.parametrize("kind", WHOLE)
def test_all_of_an_answer_is_read_as_it_was_written(kind: str) -> None:
    assert read(WHOLE[kind]) == EIGHT


@pytest.mark.parametrize("kind", ["bare keys on one line", "encoded three times", "wide braces"])
def test_the_description_is_read_too(kind: str) -> None:
    assert read_answer(WHOLE[kind]).image_description == "A boat."


@pytest.mark.parametrize("kind", THINKING)
def test_a_draft_is_not_the_answer(kind: str) -> None:
    for draft in (DRAFT, re.sub(r'"score": \d', '"score": 1', JSON)):
        answer = read_answer(THINKING[kind].format(draft) + JSON)
        assert (answer.dimensions, answer.image_description) == (EIGHT, "A boat.")


def test_a_later_answer_counts_only_when_it_is_whole() -> None:
    assert read(f"{JSON}\n\nPS: {DRAFT}") == EIGHT
    sections = in_sections("### {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}")
    drafted = [each.model_copy(update={"score": 1}) for each in EIGHT]
    assert read(f"{sections(drafted)}\n\n# Final\n\n{sections(EIGHT)}") == EIGHT
    for draft in (DRAFT, re.sub(r'"score": \d', '"score": 1', JSON)):
        assert read(f"```json\n{draft}\n```\n\n# Final\n\n{sections(EIGHT)}") == EIGHT
    assert read(f"{sections(drafted)}\n\n# Final\n\n{JSON}") == EIGHT


def test_a_later_answer_that_is_cut_off_corrects_what_it_reached() -> None:
    sections = in_sections("### {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}")
    drafted = [each.model_copy(update={"score": 1}) for each in EIGHT]
    for draft, final in (
        (re.sub(r'"score": \d', '"score": 1', JSON), JSON),
        (sections(drafted), sections(EIGHT)),
    ):
        cut = final.index("Subject Isolation")
        for end in range(cut, cut + 65):
            text = f"{draft}\n\n# Final\n\n{final[:end]}"
            if not final[:end].rstrip().endswith((".", "*")):  # it may be the end
                assert read(text) == (*EIGHT[:4], *drafted[4:])
            assert read(f"{final}\n\n{final[:end]}") == EIGHT


def test_an_answer_behind_many_lines_is_read() -> None:
    sections = in_sections("### {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}")(EIGHT)
    thoughts = "\n".join(f"Let me look at part {number} of it." for number in range(2000))
    assert read(f"{thoughts}\n\n{sections}") == read(f"{sections}\n\n{thoughts}") == EIGHT


def test_of_two_answers_with_the_same_scores_the_longer_counts() -> None:
    table = in_table("Dimension | Score | Comment | Recommendation")
    short = [each.model_copy(update={"comment": "Fine.", "recommendation": "-"}) for each in EIGHT]
    sections = in_sections("### {n} ({s}/10)\n{c}\n\n**Recommendation:** {r}")(EIGHT)
    assert read(f"{sections}\n\n{table(short)}") == read(f"{table(short)}\n\n{sections}") == EIGHT
    assert read(f"{JSON}\n\n{table(short)}") == EIGHT


def test_entities_are_no_text() -> None:
    text = JSON.replace("calm and", "calm &amp; very").replace(
        "Try a", "Try &#97; &quot;real&quot;"
    )
    (first, *_) = read_answer(text).dimensions
    assert first.comment == "The composition is calm & very clear here."
    assert first.recommendation.startswith('Try a "real" change')


def test_a_cut_inside_a_text_ends_no_text() -> None:
    begun = '{"name": "Lighting", "score": 7, "comment": "A '
    assert not read_partial(begun + '"').dimensions
    assert not read(begun + '"')
    assert read(begun + 'soft light."')
