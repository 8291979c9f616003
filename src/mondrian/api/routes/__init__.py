"""The routes, by subject."""

from mondrian.api.routes import (
    advisors,
    analyses,
    chat,
    jobs,
    pages,
    reports,
    service,
    uploads,
    workers,
)

ROUTERS = (
    service.router,
    workers.router,
    pages.router,
    advisors.router,
    uploads.router,
    analyses.router,
    chat.router,
    jobs.router,
    reports.router,
)
"""In the order of /openapi.json."""
