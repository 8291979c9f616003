import subprocess
import sys
from importlib.util import find_spec

import mondrian

EXPORTED = [
    "Advisor",
    "Engine",
    "Measurements",
    "MondrianError",
    "Photo",
    "Progress",
    "Report",
    "Request",
    "Text",
    "Token",
    "Update",
    "critique",
    "load_advisors",
    "measure",
    "open_engine",
    "read_photo",
]


def test_all_is_exact_and_sorted() -> None:
    assert mondrian.__all__ == EXPORTED
    assert sorted(mondrian.__all__) == mondrian.__all__
    assert list(mondrian._ROOMS) == mondrian.__all__


def test_every_name_can_be_imported_and_is_documented() -> None:
    for name in mondrian.__all__:
        assert getattr(mondrian, name).__doc__, name


def test_no_module_bears_an_exported_name() -> None:
    """It would take the name's place in the package when it is imported."""
    for name in mondrian.__all__:
        assert find_spec(f"mondrian.{name}") is None


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, mondrian, mondrian.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    heavy = {"numpy", "PIL", "skimage", "xllamacpp", "fastapi", "psycopg", "jinja2", "typst"}
    assert heavy.isdisjoint(loaded.decode().split())
