"""The HTTP API: routes of docs/http.md, errors as statuses, keys, bounded uploads.

``app.py`` puts it together. A request passes ``guard.py`` (who may ask, by ``access.py``), then one
of ``routes/``; a photo arrives by ``forms.py`` and becomes a job in ``intake.py``.
"""

from mondrian.api.app import create_app
from mondrian.api.uploads.multipart import Limits

__all__ = ["Limits", "create_app"]
