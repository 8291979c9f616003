from pathlib import Path

import pytest

from mondrian.errors import SettingsError
from mondrian.settings import Settings


def test_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONDRIAN_ADVISOR", "weston")
    monkeypatch.setenv("MONDRIAN_UPDATE_INTERVAL", "2.5")
    settings = Settings.read(advisor="gilpin", engine=None)
    assert settings.advisor == "gilpin"
    assert settings.update_interval == 2.5
    assert settings.engine == "auto"


def test_home_is_a_folder_of_the_user() -> None:
    assert Settings.read(home=Path("~/photos and more")).home == Path.home() / "photos and more"


@pytest.mark.parametrize("value", ["0.05", "61", "often", "nan"])
def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MONDRIAN_UPDATE_INTERVAL", value)
    with pytest.raises(SettingsError, match=rf"MONDRIAN_UPDATE_INTERVAL\) cannot be '{value}': "):
        Settings.read()


@pytest.mark.parametrize("stars", ["5,6,7", "8,7,6,5", "0,1,2,3", "many"])
def test_stars_are_four_scores_each_higher_than_the_last(stars: str) -> None:
    assert Settings.read(stars=["2,3", "4,5"]).stars == (2.0, 3.0, 4.0, 5.0)
    with pytest.raises(SettingsError, match="--stars"):
        Settings.read(stars=[stars])
