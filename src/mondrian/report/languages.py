"""Names of the dimensions and their fields in other languages than English.

German, French, Spanish, Italian, Portuguese, Dutch, Chinese and Japanese, as a model writes them
that answers in the language of its reader.
"""

import re
import unicodedata

_DIMENSIONS = {
    "Composition": """Komposition, Bildkomposition, Bildaufbau, composición, composizione,
        composição, compositie, 构图, 構図""",
    "Lighting": """Beleuchtung, Licht, Lichtführung, éclairage, lumière, iluminación, luz,
        illuminazione, luce, iluminação, belichting, verlichting, 光线, 光影, 用光, 照明, 光,
        ライティング""",
    "Focus & Sharpness": """Fokus und Schärfe, Schärfe und Fokus, Schärfe, mise au point et netteté,
        netteté, enfoque y nitidez, nitidez, messa a fuoco e nitidezza, fuoco e nitidezza,
        nitidezza, foco e nitidez, scherpstelling en scherpte, focus en scherpte, scherpte,
        对焦与清晰度, 对焦和清晰度, 焦点与清晰度, 清晰度, フォーカスとシャープネス,
        ピントとシャープネス, ピント""",
    "Color Harmony": """Farbharmonie, harmonie des couleurs, armonía de color,
        armonía de los colores, armonía cromática, armonia dei colori, armonia cromatica,
        harmonia de cores, harmonia das cores, kleurharmonie, 色彩和谐, 色彩协调, 色の調和,
        色彩の調和, カラーハーモニー""",
    "Subject Isolation": """Motivisolierung, Freistellung, Motivtrennung, isolement du sujet,
        isolation du sujet, aislamiento del sujeto, isolamento del soggetto, isolamento do assunto,
        isolamento do sujeito, onderwerpisolatie, isolatie van het onderwerp, 主体分离, 主体突出,
        主体隔离, 被写体の分離, 主題の分離""",
    "Depth & Perspective": """Tiefe und Perspektive, profondeur et perspective,
        profundidad y perspectiva, profondità e prospettiva, profundidade e perspectiva,
        diepte en perspectief, 深度与透视, 景深与透视, 纵深与透视, 深度和透视, 奥行きと遠近感""",
    "Visual Balance": """visuelle Balance, visuelles Gleichgewicht, Bildbalance, équilibre visuel,
        equilibrio visual, equilibrio visivo, equilíbrio visual, visuele balans, 视觉平衡,
        視覚的バランス, 視覚的なバランス""",
    "Emotional Impact": """emotionale Wirkung, emotionaler Eindruck, impact émotionnel,
        impacto emocional, impatto emotivo, impatto emozionale, emotionele impact, 情感冲击力,
        情感冲击, 情感影响, 感情的インパクト, 感情的な影響""",
}
_FIELDS = {
    "name": """Kategorie, Aspekt, catégorie, nom, categoría, aspecto, nombre, categoria, aspetto,
        nome, categorie, naam, 维度, 名称, 项目, 項目, 名前""",
    "score": """Bewertung, Punktzahl, Punkte, Wertung, note, notation, puntuación, puntaje, nota,
        punteggio, voto, pontuação, cijfer, 分数, 评分, 得分, スコア, 点数, 評価""",
    "comment": """Kommentar, Begründung, commentaire, comentario, commento, comentário, opmerking,
        toelichting, commentaar, 评论, 点评, 评价, コメント, 講評""",
    "recommendation": """Empfehlung, Vorschlag, Verbesserungsvorschlag, recommandation, conseil,
        recomendación, sugerencia, consejo, raccomandazione, consiglio, suggerimento, recomendação,
        sugestão, aanbeveling, advies, suggestie, 建议, 改进建议, 提案, アドバイス, 推奨""",
}
_JOINTS = frozenset({"und", "et", "y", "e", "en"})


def folded(text: str) -> str:
    """``text`` reduced to what names are compared by in any script: small letters without accents,
    and without the words for "and". Text longer than 60 characters is no name and becomes
    nothing."""
    if len(text) > 60:
        return ""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(word for word in re.split(r"[\W\d_]+", plain) if word not in _JOINTS)


def _index(names: dict[str, str]) -> dict[str, str]:
    return {folded(word): name for name, words in names.items() for word in words.split(",")}


DIMENSIONS_ELSEWHERE = _index(_DIMENSIONS)
"""The dimension by what it is called in other languages, ``folded``."""

FIELDS_ELSEWHERE = _index(_FIELDS)
"""The field of a dimension, likewise."""
