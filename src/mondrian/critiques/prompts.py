"""Build the request to an engine: instructions, measured facts, the photo and the advisor."""

from mondrian.advisors import Advisor
from mondrian.critiques.schemas import answer_schema, free_schema
from mondrian.engines.base import Request
from mondrian.findings import Finding, brief, facts
from mondrian.measurements import Measurements
from mondrian.measurements.reading import MeasuredPhoto
from mondrian.photos import Photo


def make_request(
    photo: Photo | MeasuredPhoto,
    advisor: Advisor,
    measurements: Measurements,
    findings: tuple[Finding, ...],
    *,
    sees: bool,
    seed: int | None = None,
) -> Request:
    """Return the request to an engine. One that ``sees`` gets the photo, at most 1320 pixels wide,
    with the measured facts; one that does not may only choose among true sentences.

    The parts that all advisors share come first, system text and photo included, and the advisor's
    own last: an engine can then reuse the prefix from its prompt cache.
    """
    if sees:
        common = f"{_SEEING}\n\nMeasured facts:\n{facts(measurements, findings)}"
        return Request(
            system=_SYSTEM,
            prompt=f"{common}\n\nWho you are: {advisor.name}\n{advisor.prompt}\n\n{_ANSWER}",
            photo=photo.view,
            schema=free_schema(),
            seed=seed,
        )
    common = f"Critique a photograph by its findings: {brief(findings)}"
    return Request(
        system=_SYSTEM,
        prompt=f"{common}\nYou are {advisor.name}. {advisor.voice}",
        schema=answer_schema(measurements, findings, advisor),
        seed=seed,
    )


_SYSTEM = "You critique photographs in the manner of the person named at the end of the question."

_SEEING = (
    "Critique this photograph. Judge each of the eight dimensions with a score from 1 to 10, a "
    "comment on what you see, and a recommendation. Say nothing that the photograph does not show: "
    "if you cannot tell what something is, describe its shape, tone and colour, leave it unnamed, "
    "and invent no person, place, time or story. Score by what you see yourself. The facts below "
    "were measured in it; the figures are right, but a measurement does not know what is meant: "
    "where you see that one does not hold, contradict it and say what you see. Answer in JSON."
)

_ANSWER = "Critique the photograph now, in JSON."
