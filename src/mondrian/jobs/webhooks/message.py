"""The message of a webhook: its JSON, and its signature."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook

from mondrian import __version__
from mondrian.jobs.job import Job, Status
from mondrian.jobs.store import Answer

_TYPES = {
    Status.DONE: "critique.done",
    Status.ERROR: "critique.failed",
    Status.CANCELLED: "critique.cancelled",
}


def make_message(job: Job, reports: Iterable[Answer], base_url: str) -> bytes:
    """Return the body that tells the end of ``job``: the same at each attempt."""
    base = base_url.rstrip("/")
    ended = job.completed_at or job.created_at
    message = {
        "type": _TYPES[job.status],
        "timestamp": ended.isoformat(),
        "data": {
            "job_id": str(job.id),
            "status": job.status,
            "filename": job.filename,
            "advisors": list(job.advisors),
            "score": job.score,
            "scores": [_summarize(each) for each in reports],
            "error": job.error,
            "created_at": job.created_at.isoformat(),
            "completed_at": ended.isoformat(),
            "links": {
                "job": f"{base}/jobs/{job.id}",
                "status": f"{base}/status/{job.id}",
                "report": f"{base}/report/{job.id}",
                "analysis": f"{base}/analysis/{job.id}",
            },
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _summarize(answer: Answer) -> dict[str, Any]:
    report = answer.report
    return {
        "advisor": answer.advisor,
        "overall_score": report.get("overall_score"),
        "grade": report.get("grade"),
        "dimensions": {
            str(each.get("name")): each.get("score") for each in report.get("dimensions", ())
        },
    }


def make_headers(webhook_id: UUID, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers of a request with ``body``, signed with each of ``secrets`` (Standard
    Webhooks 1.0, https://www.standardwebhooks.com)."""
    now, name = datetime.now(UTC), f"msg_{webhook_id.hex}"
    signatures = [Webhook(secret).sign(name, now, body.decode()) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Mondrian/{__version__}",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
