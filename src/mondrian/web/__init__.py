"""The pages for a browser: templates, scripts and styles."""

from pathlib import Path

from mondrian.web.assets import STATIC, Asset, asset_url, find_asset, list_assets

TEMPLATES = Path(__file__).parent / "templates"
"""The folder of the pages' templates."""

__all__ = ["STATIC", "TEMPLATES", "Asset", "asset_url", "find_asset", "list_assets"]
