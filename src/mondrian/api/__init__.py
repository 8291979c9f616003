"""The HTTP API: the routes of docs/http.md, errors as statuses, keys, bounded uploads.

``app.py`` builds the app. A request passes ``middleware.py`` (authenticated by ``auth.py``), then
one of ``routes/``; a photo is received by ``uploads/multipart.py`` and becomes a job in
``uploads/intake.py``.
"""

from mondrian.api.app import create_app
from mondrian.api.uploads.multipart import Limits

__all__ = ["Limits", "create_app"]
