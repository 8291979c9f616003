"""Files on disk are private to their user, and no other permissions are changed."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from mondrian.database import embedded
from mondrian.database.embedded import EmbeddedServer, is_root, make_private
from mondrian.errors import SettingsError
from mondrian.photos import PhotoStore
from support.processes import run, started
from support.uploads import jpeg
from support.working import recording

HOME_MODE = 0o711 if is_root() else 0o700


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A home in folders that only their owner can pass."""
    home = tmp_path / "priv" / "sub" / "home"
    home.parent.mkdir(parents=True)
    for folder in (home.parent, home.parent.parent):
        folder.chmod(0o700)
    before = os.umask(0o022)
    yield home
    os.umask(before)


def test_photos_are_for_their_user_alone(closed: Path) -> None:
    folder = closed / "photos"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    PhotoStore.open(folder.as_uri()).put("a.jpg", b"photo")
    assert (mode(folder), mode(folder / "a.jpg")) == (0o700, 0o600)


def test_a_home_is_for_its_user_alone_and_folders_above_stay(closed: Path) -> None:
    engine = recording(closed.parent, pause=0.001)
    with started("serve", "--port", 0, "--home", closed, "--engine", engine) as (_, address):
        photo = closed.parent / "p.jpg"
        photo.write_bytes(jpeg())
        done = run("submit", photo, "--server", address)
        assert done.returncode == 0, done.stderr
        assert mode(closed) == HOME_MODE
        assert mode(closed.parent) == mode(closed.parent.parent) == 0o700
        photos = list((closed / "photos").iterdir())
        assert photos
        for path in closed.rglob("*"):
            if "postgres" not in path.relative_to(closed).parts[0]:
                assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(closed.parent) == mode(closed.parent.parent) == 0o700


def test_what_is_more_than_a_home_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, shared = tmp_path / "person", tmp_path / "shared"
    person.mkdir()
    person.chmod(0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("HOME", str(person))
    for folder, before in ((person, 0o755), (shared, 0o1777)):
        make_private(folder)
        assert mode(folder) == before


only_root = pytest.mark.skipif(not is_root(), reason="only root's server works as another user")


@only_root
def test_roots_data_lies_in_a_folder_of_its_own(closed: Path, tmp_path: Path) -> None:
    clusters = Path(os.environ["MONDRIAN_POSTGRES"])
    server = EmbeddedServer(closed)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    link = closed / "postgres"
    assert link.is_symlink()
    assert link.resolve().parent == clusters.resolve()
    assert mode(link) == 0o700
    assert (mode(clusters), mode(closed)) == (0o711, 0o711)
    assert mode(closed.parent) == 0o700
    server.close()
    again = EmbeddedServer(closed, tmp_path / "elsewhere")  # the link is followed
    with psycopg.connect(again.url) as connection:
        connection.execute("SELECT n FROM kept")
    again.close()
    assert not (tmp_path / "elsewhere").exists()


@only_root
def test_a_home_that_was_removed_begins_anew(closed: Path) -> None:
    EmbeddedServer(closed).close()
    first = (closed / "postgres").resolve()
    (closed / "postgres").unlink()
    EmbeddedServer(closed).close()
    assert (closed / "postgres").resolve() != first


@only_root
def test_a_folder_that_cannot_be_passed_is_named_and_left_as_it_is(closed: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"cannot pass through .*/sub to .*chmod o\+x"
    ) as caught:
        EmbeddedServer(closed, closed.parent / "clusters")
    assert "MONDRIAN_POSTGRES" in caught.value.message
    assert mode(closed.parent) == mode(closed.parent.parent) == 0o700


@only_root
def test_programs_that_cannot_be_reached_are_copied_beside_the_data(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = embedded._import_pgserver().utils.POSTGRES_VERSIONS
    package = programs[18].parents[1]
    for found in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(found, closed.parent / "venv" / found.name, symlinks=True)
    monkeypatch.setitem(programs, 18, closed.parent / "venv" / package.name / "pginstall18/bin")
    monkeypatch.delitem(programs, 16)
    os.umask(0o077)  # as a server's
    with TemporaryDirectory() as clusters:
        Path(clusters).chmod(0o711)
        server = EmbeddedServer(closed, Path(clusters))
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT 1")
        server.close()
        [copy] = Path(clusters).glob("postgresql-18-*")
        assert programs == {18: copy / package.name / "pginstall18/bin"}
    assert mode(closed.parent) == 0o700


@only_root
def test_data_that_lies_in_the_home_already_stays_there(
    server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_home.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(embedded, "is_root", lambda: False)  # as older versions did
        patched.setattr(embedded, "make_private", lambda home: None)
        EmbeddedServer(server_home).close()
    assert not (server_home / "postgres").is_symlink()
    server = EmbeddedServer(server_home)
    assert server.folder == server_home.resolve() / "postgres"
    assert mode(server_home) == 0o711
    server.close()
