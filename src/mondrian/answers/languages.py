"""Names of the dimensions and their fields, in English and as a model writes them that answers in
the language of its reader.

That is German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Chinese, Japanese or
Korean. The least ambiguous words of a field come first and take precedence.
"""

import re
import unicodedata

_DIMENSIONS = {
    "Composition": """Komposition, Bildkomposition, Bildaufbau, Bildgestaltung, composición,
        composizione, composição, compositie, kompozycja, композиция, 构图, 構図, 구도""",
    "Lighting": """Beleuchtung, Licht, Lichtführung, éclairage, lumière, iluminación, luz,
        illuminazione, luce, iluminação, belichting, verlichting, oświetlenie, światło, освещение,
        свет, 光线, 光影, 用光, 照明, 光, ライティング, 조명""",
    "Focus & Sharpness": """FocusAndSharpness, Fokus und Schärfe, Schärfe und Fokus, Schärfe,
        mise au point et netteté, netteté, enfoque y nitidez, nitidez, messa a fuoco e nitidezza,
        fuoco e nitidezza, nitidezza, foco e nitidez, scherpstelling en scherpte, focus en scherpte,
        scherpte, 对焦与清晰度, 对焦和清晰度, 焦点与清晰度, 清晰度, フォーカスとシャープネス,
        ピントとシャープネス, ピント, ostrość, ostrość i wyrazistość, резкость, фокус и резкость,
        фокусировка и резкость, 초점과 선명도, 초점 및 선명도, 선명도""",
    "Color Harmony": """Farbharmonie, harmonie des couleurs, armonía de color,
        armonía de los colores, armonía cromática, armonia dei colori, armonia cromatica,
        harmonia de cores, harmonia das cores, kleurharmonie, 色彩和谐, 色彩协调, 色の調和,
        色彩の調和, カラーハーモニー, harmonia kolorów, harmonia barw, гармония цвета,
        цветовая гармония, 색상 조화, 색채 조화""",
    "Subject Isolation": """Motivisolierung, Freistellung, Motivfreistellung, Motivtrennung,
        isolement du sujet, isolation du sujet, aislamiento del sujeto, isolamento del soggetto,
        isolamento do assunto, isolamento do sujeito, onderwerpisolatie, isolatie van het onderwerp,
        主体分离, 主体突出, 主体隔离, 被写体の分離, 主題の分離, izolacja tematu, izolacja obiektu,
        изоляция объекта, выделение объекта, 피사체 분리""",
    "Depth & Perspective": """DepthAndPerspective, Tiefe und Perspektive, profondeur et perspective,
        profundidad y perspectiva, profondità e prospettiva, profundidade e perspectiva,
        diepte en perspectief, 深度与透视, 景深与透视, 纵深与透视, 深度和透视, 奥行きと遠近感,
        głębia i perspektywa, глубина и перспектива, 깊이와 원근감, 깊이와 원근""",
    "Visual Balance": """visuelle Balance, visuelles Gleichgewicht, Bildbalance, équilibre visuel,
        equilibrio visual, equilibrio visivo, equilíbrio visual, visuele balans, 视觉平衡,
        視覚的バランス, 視覚的なバランス, równowaga wizualna, визуальный баланс, 시각적 균형""",
    "Emotional Impact": """emotionale Wirkung, emotionaler Eindruck, impact émotionnel,
        impacto emocional, impatto emotivo, impatto emozionale, emotionele impact, 情感冲击力,
        情感冲击, 情感影响, 感情的インパクト, 感情的な影響, wpływ emocjonalny,
        oddziaływanie emocjonalne, эмоциональное воздействие, эмоциональное влияние, 감정적 영향,
        감정적 임팩트""",
}
_FIELDS = {
    "name": """name, dimension, dimension name, category, aspect, criterion, criteria, metric,
        parameter, title, area, element, Kategorie, Aspekt, catégorie, nom, categoría, aspecto,
        nombre, categoria, aspetto, nome, categorie, naam, kategoria, nazwa, wymiar, категория,
        название, 维度, 名称, 项目, 項目, 名前, 항목""",
    "score": """score, scores, rating, ratings, grade, points, mark, verdict, final score,
        current score, value, Bewertung, Punktzahl, Punkte, Wertung, note, notation, puntuación,
        puntaje, nota, punteggio, voto, pontuação, cijfer, 分数, 评分, 得分, スコア, 点数, 評価,
        ocena, punkty, оценка, балл, баллы, 점수, 평점""",
    "scale": """scale, max score, score max, maximum score, max points, maximum, max, out of,
        score scale, rating scale, score range""",
    "comment": """comment, comments, commentary, feedback, analysis, assessment, observation,
        observations, critique, evaluation, Kommentar, Begründung, Analyse, Beurteilung,
        Einschätzung, análisis, valoración, analisi, osservazione, análise, observação, 分析, 评语,
        理由, 분석, анализ, commentaire, comentario, commento, comentário, opmerking, toelichting,
        commentaar, 评论, 点评, 评价, コメント, 講評, komentarz, uzasadnienie, комментарий,
        обоснование, 코멘트, 평가, explanation, reasoning, rationale, justification, reason,
        reasons, remark, remarks, notes, details, text, description, strengths, strength,
        what works, what works well, weaknesses, weakness""",
    "recommendation": """recommendation, recommendations, suggestion, suggestions, advice, advise,
        improvement, improvements, tip, tips, Empfehlung, Vorschlag, Tipp, Tipps, Verbesserung,
        amélioration, piste d'amélioration, mejora, mejoras, sugerencias, consejos, miglioramento,
        consigli, dica, melhoria, sugestões, verbetering, 改进, 改善建议, 优化建议, 提升建议,
        改善点, 改善案, 개선점, Verbesserungsvorschlag, recommandation, conseil, recomendación,
        sugerencia, consejo, raccomandazione, consiglio, suggerimento, recomendação, sugestão,
        aanbeveling, advies, suggestie, 建议, 改进建议, 提案, アドバイス, 推奨, zalecenie,
        rekomendacja, sugestia, wskazówka, рекомендация, совет, 추천, 제안, 조언, try, what to try,
        action, consider, how to improve, how I would improve it, to improve, what to improve,
        what could be improved, could be improved, next time, area for improvement,
        areas for improvement,
        suggested improvement, next step, next steps""",
}
_JOINTS = frozenset({"and", "amp", "und", "et", "y", "e", "en", "i", "oraz", "и"})


def fold(text: str) -> str:
    """Return ``text`` reduced for comparison in any script: lower case, American spelling, without
    accents and the words for "and". Text longer than 60 characters is not a name: an empty string.
    """
    if len(text) > LONGEST_NAME:
        return ""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("colour", "color")
    return "".join(word for word in re.split(r"[\W\d_]+", plain) if word not in _JOINTS)


LONGEST_NAME = 60

DIMENSION_WORDS = {
    fold(word): name for name, words in _DIMENSIONS.items() for word in [name, *words.split(",")]
}
"""The dimension by its full name, as ``fold`` returns it."""

FIELD_WORDS = {
    fold(word): (field, rank)
    for field, words in _FIELDS.items()
    for rank, word in enumerate(words.split(","))
}
"""The field of a dimension, and how ambiguous the word is, by its name as ``fold`` returns it."""
