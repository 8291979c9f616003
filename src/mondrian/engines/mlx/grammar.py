"""Constrained decoding to a JSON schema: mlx-vlm's own, by llguidance."""

import logging
from functools import partial
from typing import Any

log = logging.getLogger(__name__)


def make_guide(processor: Any, schema: dict[str, Any]) -> Any:
    """Return a logits processor that enforces ``schema`` for one request, ``None`` if llguidance
    cannot.

    The first call reads the tokenizer's whole vocabulary, which is cached.
    """
    import mlx.core as mx

    tokenizer = getattr(processor, "tokenizer", processor)
    try:
        from llguidance import LLMatcher
        from mlx_vlm.structured import build_json_schema_logits_processor

        guide = build_json_schema_logits_processor(tokenizer, schema)
        problem = LLMatcher.validate_grammar(guide.grammar, guide.llg_tokenizer)
    except (ImportError, TypeError, ValueError) as exc:
        problem = str(exc)
    if problem:
        log.warning("the answer's schema cannot be enforced: %s", problem)
        return None
    if not mx.metal.is_available():  # the library's mask is a Metal kernel
        guide._apply_bitmask = partial(_mask, guide)
    return guide


def _mask(guide: Any, logits: Any) -> Any:
    """Return ``logits``, shape (batch, vocabulary), with minus infinity for excluded tokens."""
    import mlx.core as mx
    import numpy as np

    guide._fill_next_token_mask()
    bits = np.unpackbits(guide.bitmask.view(np.uint8), axis=-1, bitorder="little")
    allowed = np.zeros(logits.shape, dtype=bool)  # models have more rows than tokens
    width = min(bits.shape[-1], logits.shape[-1])
    allowed[:, :width] = bits[:, :width]
    return mx.where(mx.array(allowed), logits, -mx.inf)
