"""What photographers say they meant, in twelve languages; and what they did not mean."""

import pytest

from mondrian.findings.intents import read_intent

SAID = {
    "dark": """low-key portrait; Dark on purpose | Absichtlich dunkel gehalten |
        sombre, c'est voulu |
        oscura a propósito | volutamente scura | propositalmente escura | bewust donker |
        celowo ciemne | намеренно тёмный кадр | 故意拍得很暗 |
        わざと暗く撮りました | 일부러 어둡게""",
    "bright": """High-key, on purpose | absichtlich überbelichtet | surexposée, exprès |
        clave alta, muy luminosa | chiave alta | chave alta | opzettelijk overbelicht |
        celowo prześwietlone | светлый, высокий ключ | 高调人像 |
        ハイキーで明るく | 하이키로 밝게""",
    "backlit": """backlit on purpose, for a concert poster | Gegenlicht, bewusst | à contre-jour |
        a contraluz | in controluce | em contraluz | tegenlicht | pod światło |
        силуэт против солнца |
        逆光剪影 | 逆光のシルエット | 역광으로 찍은 실루엣""",
    "blurred": """intentional motion blur | bewusst verwischt | flou volontaire |
        movida a propósito | mosso intenzionale | borrado de propósito | opzettelijk onscherp |
        celowo rozmyte | намеренно размытый | 刻意模糊 |
        流し撮りで意図的にブレ | 의도적으로 흐릿하게""",
    "tilted": """Dutch angle | absichtlich schief | penché exprès | inclinada a propósito |
        inquadratura obliqua | inclinada de propósito | bewust scheef | celowo przechylony |
        голландский угол | 故意倾斜 | わざと傾けた | 일부러 기울인""",
}


@pytest.mark.parametrize(
    ("meant", "text"),
    [(meant, text.strip()) for meant, texts in SAID.items() for text in texts.split("|")],
)
def test_what_was_meant_is_read_in_twelve_languages(meant: str, text: str) -> None:
    assert meant in read_intent(text)
    assert set(read_intent(text)) <= {meant, "dark"} | ({"blurred"} if meant == "bright" else set())


DENIED = """not blurry | Is it too dark? | too dark | isn't this tilted? | nicht unscharf |
    ist es zu dunkel? | kein Gegenlicht | weder dunkel noch verwackelt | ce n'est pas flou |
    trop sombre | sans flou | no está borrosa | demasiado oscura | sin desenfoque | non è mosso |
    troppo scura | senza sfocatura | não está desfocada | escura demais | sem desfoque |
    niet onscherp | te donker | zonder tegenlicht | nie jest rozmyte | zbyt ciemne | bez rozmycia |
    не размыто | слишком тёмное | без размытия | 不模糊 | 太暗了 | 没有倾斜 |
    暗い写真ではありません |
    ぼけていない | 暗すぎますか | 흐릿하지 않게 | 너무 어두운가요? | 흔들림 없이 |
    without any motion blur | sorry that it is blurred | the blur was not intended |
    it is dark, but not on purpose | blurred by accident | unintentionally tilted |
    how do I avoid the blur | it came out dark | a blurred background | versehentlich verwackelt |
    unscharf, leider | mossa per sbaglio | 不小心拍模糊了 | うっかり傾いてしまった | 실수로 흔들림 |
    bright light on the hill, no, neither dark nor tilted please | the dancer in her sharpest pose |
    rather than dark, I wanted | nie chciałem, żeby było ciemno | не хотел, чтобы было темно |
    ich wollte nicht, dass es dunkel wird | forgot the flash, so it is dark | un-blurred |
    Sorry, it is blurred | Clair de lune | my hand shook and it is blurred | dark chocolate |
    why is it dark | a mistake: no | | :;,.?! | tilt-shift lens"""


@pytest.mark.parametrize("text", [each.strip() for each in DENIED.split("|")])
def test_what_is_denied_regretted_or_asked_is_not_meant(text: str) -> None:
    assert set(read_intent(text)) <= {"bright"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("It is too dark on purpose.", {"dark"}),
        ("Does the deliberately dark light work?", {"dark"}),
        ("I know it is dark, it was meant.", {"dark"}),
        ("The blur is no accident.", {"blurred"}),
        ("Unscharf, aber nicht aus Versehen", {"blurred"}),
        ("ブレはミスではなく意図です", {"blurred"}),
        ("not bright but dark", {"dark"}),
        ("No accident: it is dark", {"dark"}),
        ("On purpose: too dark", {"dark"}),
        ("not blurry, dark on purpose", {"dark"}),
        ("dark rather than bright", {"dark"}),
        ("No flash, so it is dark", {"dark"}),
        ("tilted, blurred & grainy", {"tilted", "blurred", "grainy"}),
        ("foggy morning in sepia", {"low in contrast", "tinted"}),
        ("NEON, oversaturated", {"strong in colour"}),
        ("not only dark", {"dark"}),
        ("非常暗", {"dark"}),
        ("ＬＯＷ　ＫＥＹ", {"dark"}),
        ("clair-obscur", {"dark"}),
    ],
)
def test_doubts_are_settled(text: str, meant: set[str]) -> None:
    assert set(read_intent(text)) == meant


@pytest.mark.parametrize("text", ["dark " * 100, "a" * 500, "(" * 500, "no " * 166, "暗" * 500])
def test_any_text_is_read_at_once(text: str) -> None:
    read_intent(text)
