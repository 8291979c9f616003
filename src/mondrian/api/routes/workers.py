"""The workers of the fleet, for its operator."""

from typing import Any

from fastapi import APIRouter

from mondrian.api.auth import Right
from mondrian.api.dependencies import ServicesDep, VisitorDep
from mondrian.api.openapi import describe_errors
from mondrian.errors import NotAllowed

router = APIRouter(tags=["service"])


@router.get("/workers", summary="The workers and their engines", responses=describe_errors(401))
def list_workers(services: ServicesDep, visitor: VisitorDep) -> dict[str, Any]:
    """Return the workers of the last day, and whether the queue is paused. Requires access to all
    jobs."""
    if visitor.right is not Right.ALL:
        raise NotAllowed("This needs the admin's key. Send it as `Authorization: Bearer KEY`.")
    workers = [
        {
            "name": each.name,
            "engine": each.engine,
            "model": each.model,
            "slots": each.slots,
            "busy": each.busy,
            "state": each.state if each.is_living else "gone",
            "reason": each.reason or None,
            "started_at": each.started_at.isoformat(),
            "seen_seconds_ago": round(each.seen_seconds_ago, 1),
        }
        for each in services.store.list_workers()
    ]
    return {
        "workers": workers,
        "count": len(workers),
        "queue": {
            "is_paused": services.store.is_queue_paused(),
            "oldest_seconds": round(services.store.read_queue_age_seconds(), 1),
        },
    }
