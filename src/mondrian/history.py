"""What earlier critiques took: the ground that percent and expected time stand on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One advisor's critique in figures, by the engine's own count; ``None`` where it gave none.

    ``seconds`` is from the request to the last token and holds loading (``load_seconds``, 0 for a
    model that was loaded), prefill with the photo's encoding (``prefill_seconds``) and decoding.
    ``megapixels`` are those of the photo as it was uploaded.
    """

    engine: str
    model: str
    advisor: str
    megapixels: float
    prompt_tokens: int | None = None
    load_seconds: float | None = None
    prefill_seconds: float | None = None
    generation_tokens: int
    tokens_per_second: float | None = None
    seconds: float
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
