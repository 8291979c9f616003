"""Photos to upload, and what an error looks like."""

import io
from typing import Any

import httpx
from PIL import Image


def jpeg(width: int = 64, height: int = 48, colour: str = "#1d4fa3", **saved: Any) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(encoded, "JPEG", **saved)
    return encoded.getvalue()


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set(answer.json()) == {"error", "code"}
    assert answer.json()["error"].endswith(".")
