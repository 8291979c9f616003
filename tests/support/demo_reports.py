"""Answers and reports to test with."""

from dataclasses import replace

from mondrian.answers import DIMENSIONS, Answer, Dimension
from mondrian.reports import EngineFigures, Report, build_report

_SAID = (
    (
        6.5,
        "The jetty leads in from the lower left and lets the eye rest where the boats begin.",
        "Take one step to the right, so that the last post no longer touches the frame.",
    ),
    (
        4.0,
        "The sky has lost its texture: a tenth of the frame is pure white, just above the masts.",
        "Expose for the clouds and lift the shadows afterwards, or come back at dusk.",
    ),
    (
        8.5,
        "The rigging is crisp against the soft hills, and nothing in front of it is sharper.",
        "Keep this aperture, and focus a hand's breadth closer for the near rope.",
    ),
    (
        7.0,
        "Rust and sea-green answer each other; the one red buoy is enough.",
        "Hold back the saturation of the buoy a little when you print.",
    ),
    (
        7.5,
        "The nearest boat stands free of the others by its tone.",
        "Wait until the gap between the two sterns is a little wider.",
    ),
    (
        6.0,
        "Three planes are there, but the middle one is flat in the haze.",
        "Walk lower, so that the jetty covers the empty water in the middle.",
    ),
    (
        5.5,
        "The weight lies to the left; the right third is only water.",
        "Let the second boat drift in, or crop to a square.",
    ),
    (
        7.0,
        "It is a quiet morning and one believes it.",
        "Stay longer: the first person on the jetty would give it a beginning.",
    ),
)

DEMO = tuple(
    Dimension(name=name, score=score, comment=comment, recommendation=recommendation)
    for name, (score, comment, recommendation) in zip(DIMENSIONS, _SAID, strict=True)
)

FIGURES = EngineFigures(
    url="llamacpp:smollm2-135m",
    model="SmolLM2-135M-Instruct.Q4_1",
    sees=False,
    tokens=1304,
    prompt_tokens=212,
    tokens_per_second=80.24,
    seconds=17.312,
)


def demo_report(*said: str, sees: bool = False, advisor: str = "ansel") -> Report:
    """A report; ``said`` are words that replace the model's, over and over."""
    words = (said * 17)[:17] if said else None
    dimensions = tuple(
        dimension.model_copy(update={"comment": words[2 * n], "recommendation": words[2 * n + 1]})
        if words
        else dimension
        for n, dimension in enumerate(DEMO)
    )
    description = words[16] if words else "Four fishing boats beside a wooden jetty, hills behind."
    return build_report(
        Answer(image_description=description, dimensions=dimensions),
        advisor=advisor,
        advisor_name="Ansel Adams" if advisor == "ansel" else "",
        evidence={
            "Lighting": (words[:2] if words else ("10.4 % of the frame is pure white",)),
            "Composition": ("horizon 0.4° off level", "subject near the lower left third"),
        },
        measurements={
            "width": 4032,
            "height": 3024,
            "exposure": {"mean": 0.61},
            "sharpness": {"map": [[0.9, 0.4], [0.5, 0.1]]},
        },
        engine=replace(FIGURES, sees=sees),
        technical_notes=("1/250 s at f/5.6, ISO 100, 35 mm",),
    )
