"""Advisors: the built-in files are complete, a user's files work or say what is wrong."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from mondrian.advisors import (
    BUILT_IN,
    Advisor,
    choose_advisors,
    find_advisor,
    load_advisors,
)
from mondrian.errors import InvalidAdvisor, UnknownAdvisor
from mondrian.findings import KINDS

DOCS = Path(__file__).parents[1] / "docs" / "advisors.md"
ADVISORS = load_advisors()
IDS = ["ansel", "cunningham", "gehry", "gilpin", "gogh", "mondrian", "okeefe", "watkins", "weston"]


# What may stand for each placeholder.
SAMPLES: dict[str, list[str]] = {
    "tilt": ["1", "3.5", "12"],
    "side": ["left", "right"],
    "third": ["upper left", "lower right"],
    "edge": ["left", "right", "top", "bottom"],
    "percent": ["2.5", "12"],
    "highlights": ["2.5", "12"],
    "shadows": ["5", "31"],
    "where": ["upper left", "centre", "lower centre", "centre right"],
    "first": ["brown", "sky blue"],
    "second": ["orange", "pale pink"],
    "by": ["tone", "colour", "focus"],
    "direction": ["left", "right", "top", "bottom"],
    "choice": ["dark on purpose, as you said", "the noise is no fault in a night photograph"],
    "fault": [
        "the blur",
        "the lost highlights",
        "the lost shadows",
        "the tilt",
        "the colour cast",
    ],
}


def said(advisor: Advisor) -> dict[str, list[str]]:
    """All sentences of ``advisor``, by the kind of finding."""
    return {
        kind: [*phrasing.comments, *phrasing.recommendations]
        for kind, phrasing in advisor.phrasings.items()
    }


def test_all_nine_are_there() -> None:
    assert list(ADVISORS) == IDS


@pytest.mark.parametrize("advisor", ADVISORS.values(), ids=IDS)
def test_every_field_is_filled(advisor: Advisor) -> None:
    assert all([advisor.name, advisor.specialty, advisor.bio, advisor.voice.endswith(".")])
    assert re.fullmatch(r"\d{4}–\d{4}", advisor.years)
    assert 4 <= len(advisor.focus_areas) <= 6
    assert all(area.title and area.description for area in advisor.focus_areas)
    assert 3 <= len(advisor.artworks) <= 5
    assert all(re.fullmatch(r"\d{4}(–\d\d)?", artwork.year) for artwork in advisor.artworks)
    assert 200 <= len(advisor.prompt.split()) <= 250


@pytest.mark.parametrize("advisor", ADVISORS.values(), ids=IDS)
def test_phrasings_cover_every_finding(advisor: Advisor) -> None:
    assert set(advisor.phrasings) == set(KINDS)
    for sentence in chain.from_iterable(said(advisor).values()):
        assert len(sentence.split()) <= 24, sentence
        assert sentence[0].isupper(), sentence
        assert sentence[-1] in ".?!", sentence
    for phrasing in advisor.phrasings.values():
        assert len(set(phrasing.comments)) >= 3
        assert len(set(phrasing.recommendations)) >= 3


@pytest.mark.parametrize("advisor", ADVISORS.values(), ids=IDS)
def test_no_brace_is_left_when_filled(advisor: Advisor) -> None:
    for kind, sentences in said(advisor).items():
        for i in range(5):
            values = {n: SAMPLES[n][i % len(SAMPLES[n])] for n in KINDS[kind].placeholders}
            assert not any({"{", "}"} & set(s.format_map(values)) for s in sentences)


def test_no_sentence_is_shared() -> None:
    own = [tomllib.loads(path.read_text("utf-8")) for path in BUILT_IN.glob("*/phrases.toml")]
    kinds = chain.from_iterable(each.values() for each in own)
    everything = [sentence for kind in kinds for said in kind.values() for sentence in said]
    assert len(everything) > 1000
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ansel", "ansel"),
        (" ANSEL ", "ansel"),
        ("Ansel Adams", "ansel"),
        ("adams", "ansel"),
        ("okeeffe", "okeefe"),
        ("Georgia O’Keeffe", "okeefe"),
        ("vangogh", "gogh"),
        ("van Gogh", "gogh"),
        ("FRANK GEHRY", "gehry"),
    ],
)
def test_find_takes_ids_and_names(name: str, found: str) -> None:
    assert find_advisor(name, ADVISORS).id == found


def test_unknown_advisor_gets_a_suggestion() -> None:
    with pytest.raises(UnknownAdvisor, match=r"Did you mean watkins\?.* ansel, cunningham, gehry"):
        find_advisor("watkin", ADVISORS)
    with pytest.raises(UnknownAdvisor, match="There are: ansel"):
        find_advisor("", ADVISORS)


def test_choose() -> None:
    def ids(spec: str) -> list[str]:
        return [advisor.id for advisor in choose_advisors(spec, ADVISORS)]

    assert ids("weston") == ["weston"]
    assert ids("weston, ansel,Edward Weston,") == ["weston", "ansel"]
    assert ids(" All ") == IDS
    assert len({ids("random")[0] for _ in range(200)}) > 1
    with pytest.raises(UnknownAdvisor):
        ids("ansel,nobody")
    with pytest.raises(UnknownAdvisor):
        ids(" , ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "advisors"
    folder.mkdir()
    return folder


def test_a_users_advisor_is_added(folder: Path) -> None:
    (folder / "tina.md").write_text("---\nname: Tina Modotti\nyears: 1896\n---\nLook closely.")
    tina = load_advisors(folder.parent)["tina"]
    assert (tina.name, tina.years, tina.prompt) == ("Tina Modotti", "1896", "Look closely.")
    built_in = [advisor.phrasings["soft"] for advisor in ADVISORS.values()]
    assert tina.phrasings["soft"] not in built_in
    assert list(load_advisors(folder.parent)) == [*IDS, "tina"]


def test_a_users_advisor_replaces_and_speaks(folder: Path) -> None:
    (folder / "mine.md").write_text("---\nid: ansel\nname: Mine\n---\nPrompt.")
    three = '["Sharp is {where} one.", "b.", "c."]'
    (folder / "mine.toml").write_text(
        f"[focus_missed]\ncomments = {three}\nrecommendations = {three}"
    )
    ansel = load_advisors(folder.parent)["ansel"]
    assert ansel.name == "Mine"
    assert ansel.phrasings["focus_missed"].comments[1] == "b."
    assert set(ansel.phrasings) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Just a prompt.", "`name` is wrong"),
        ("---\nname: X\n---\n", "has no prompt"),
        ("---\nname: [\n---\nPrompt.", "cannot be read"),
        ("---\nname: X\nid: A B\n---\nPrompt.", "`id` is wrong"),
        ("---\nname: X\nbios: Y\n---\nPrompt.", "`bios` is wrong"),
        ("---\nname: X\nfocus_areas: [{title: T}]\n---\nPrompt.", "description` is wrong"),
        ("---\nname: \xff".encode("latin-1"), "cannot be read"),
    ],
)
def test_a_broken_file_is_named(folder: Path, text: str | bytes, complaint: str) -> None:
    path = folder / "broken.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidAdvisor, match=complaint) as caught:
        load_advisors(folder.parent)
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("[", "cannot be read"),
        ("[sofd]\n", "no finding `sofd`"),
        ("soft = 3", "must have `comments`"),
        ("[soft]\ncomments = ['a', 'b', 'c']", "must have `comments`"),
        ("[soft]\ncomments = ['a', 'b', 'b']\nrecommendations = ['a', 'b', 'c']", "at least 3"),
        ("[soft]\ncomments = ['a', 'b', '']\nrecommendations = ['a', 'b', 'c']", "empty"),
        (
            "[soft]\ncomments = ['a', 'b', 3]\nrecommendations = ['a', 'b', 'c']",
            "list of sentences",
        ),
        ("[soft]\ncomments = 'abc'\nrecommendations = ['a', 'b', 'c']", "list of sentences"),
        ("[soft]\ncomments = ['a', 'b', '{tilt}']\nrecommendations = ['a', 'b', 'c']", "{tilt}"),
        ("[soft]\ncomments = ['a', 'b', '{']\nrecommendations = ['a', 'b', 'c']", "stray brace"),
        (
            "[marred]\ncomments = ['a', 'b', '{fault.x}']\nrecommendations = ['a', 'b', 'c']",
            r"placeholders there are: \{fault\}",
        ),
        (
            "[marred]\ncomments = ['a', 'b', '{fault:>99}']\nrecommendations = ['a', 'b', 'c']",
            r"placeholders there are: \{fault\}",
        ),
    ],
)
def test_broken_phrasings_are_named(folder: Path, table: str, complaint: str) -> None:
    (folder / "x.md").write_text("---\nname: X\n---\nPrompt.")
    path = folder / "x.toml"
    path.write_text(table)
    with pytest.raises(InvalidAdvisor, match=complaint) as caught:
        load_advisors(folder.parent)
    assert str(path) in caught.value.message


def test_the_docs_example_works(folder: Path) -> None:
    markdown, toml = re.findall(r"```(?:markdown|toml)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (folder / "grandma.md").write_text(markdown)
    (folder / "grandma.toml").write_text(toml)
    grandma = load_advisors(folder.parent)["grandma"]
    assert "dear" in grandma.phrasings["horizon_tilted"].comments[0]


def test_the_docs_list_every_built_in_advisor() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \((.+)\) \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(rows) == [(one.id, one.name, one.years) for one in ADVISORS.values()]


def test_the_docs_list_the_built_in_advisors() -> None:
    rows = [
        f"| `{a.id}` | {a.name} ({a.years}) | {a.specialty} |" for a in load_advisors().values()
    ]
    assert "\n".join(rows) in DOCS.read_text(encoding="utf-8")
