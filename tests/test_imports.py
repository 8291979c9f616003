"""Imports point one way: values, steps, edges, and at the end the API and the command line."""

import ast
from pathlib import Path

import pytest

import mondrian

PACKAGE = Path(mondrian.__file__).parent
LAYERS: list[set[str]] = [
    {"errors", "settings", "process", "purpose"},
    {"photos", "database", "models", "answers"},
    {"engines", "measurements", "reports"},
    {"findings"},
    {"advisors"},
    {"critiques"},
    {"jobs"},
    {"worker", "stream", "client", "catalogue"},
    {"api", "web"},
    {"server"},
    {"cli"},
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def imports(path: Path) -> set[str]:
    """The rooms that the file at ``path`` imports, type checking aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    modules = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    return {module.split(".")[1] for module in modules if module.startswith("mondrian.")}


def files() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    higher = {other for other in imports(path) if LAYER[other] > LAYER[room]}
    assert not higher
