"""Streams of servers with OpenAI's chat completions, as bytes."""

import json
from typing import Any


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def wire(*messages: dict[str, Any], end: str = "\n") -> bytes:
    lines = [f"data: {json.dumps(message, ensure_ascii=False)}{end}{end}" for message in messages]
    return "".join([f": keep-alive{end}{end}", *lines, f"data: [DONE]{end}{end}"]).encode()


OLLAMA = wire(
    {"choices": [{"delta": {"role": "assistant", "content": "", "reasoning": "Hm."}}]},
    chunk("Grüße, "),
    chunk("光! "),
    chunk("Zwei Wörter"),
    chunk("", "stop"),
    {"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": 6}},
    end="\r\n",
)
VLLM = wire(
    chunk("", usage={"prompt_tokens": 31, "completion_tokens": 0}),
    chunk("Grüße, 光! ", usage={"prompt_tokens": 31, "completion_tokens": 5}),
    chunk("Zwei Wörter", usage={"prompt_tokens": 31, "completion_tokens": 9}),
    chunk("", "length", usage={"prompt_tokens": 31, "completion_tokens": 9}),
)
