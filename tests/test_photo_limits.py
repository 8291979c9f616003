import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mondrian.errors import DamagedPhoto, TooManyPixels
from mondrian.photos import prepare_photo, read_photo
from support.pictures import CAT, display_p3, saved
from support.pngs import png


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_100_megapixels_fit_in_a_gigabyte() -> None:
    code = """if True:
        import io, warnings
        from pathlib import Path
        from PIL import Image
        from mondrian.photos import read_photo
        warnings.simplefilter("error")
        file = io.BytesIO()
        Image.new("RGB", (11648, 8736), "navy").save(file, "JPEG")
        photo = read_photo(file.getvalue())
        assert (photo.width, photo.height) == (11648, 8736)
        assert read_photo(photo.jpeg()).width == 1320
        print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(ran.stdout) * 1024 < 1e9
    assert ran.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_200_megapixels_are_read_at_half_their_size() -> None:
    code = """if True:
        import io, warnings
        from pathlib import Path
        from PIL import Image
        from mondrian.photos import prepare_photo, read_photo
        warnings.simplefilter("error")
        Image.MAX_IMAGE_PIXELS = None
        row = Image.linear_gradient("L").resize((16320, 16)).convert("RGB")
        large = Image.new("RGB", (16320, 12240))
        for top in range(0, 12240, 16):
            large.paste(row, (0, top))
        file = io.BytesIO()
        large.save(file, "JPEG")
        del large
        Path("/proc/self/clear_refs").write_text("5")
        prepared = prepare_photo(file.getvalue())
        assert (prepared.width, prepared.height) == (8160, 6120)
        photo = read_photo(prepared.encoded)
        assert (photo.width, photo.height) == (8160, 6120)
        print(*photo.notes)
        print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    note, kilobytes = ran.stdout.splitlines()
    assert note == "Read at half its size: it has over 102 megapixels."
    assert int(kilobytes) * 1024 < 1e9


def test_what_cannot_be_halved_is_refused() -> None:
    row = Image.new("L", (12_000, 9_000))
    for content in (saved(row, "JPEG", progressive=True), png(12_000, 9_000, 8, 0)):
        with pytest.raises(TooManyPixels, match="108 megapixels, and 102 is the most, or 204"):
            read_photo(content)
    with pytest.raises(TooManyPixels, match="220 megapixels"):
        read_photo(saved(Image.new("L", (20_000, 11_000)), "JPEG"))


def test_photos_are_read_in_many_threads() -> None:
    contents = [saved(CAT.rotate(10 * n), "JPEG", icc_profile=display_p3()) for n in range(8)]
    alone = [read_photo(content) for content in contents]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(read_photo, contents * 4))
    for photo, expected in zip(together, alone * 4, strict=True):
        assert photo == expected
        np.testing.assert_array_equal(photo.pixels, expected.pixels)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The codec and the bytes of each step that Pillow decodes in."""
    steps = list[tuple[str, int]]()

    class Counted:
        def __init__(self, decoder: Any, codec: str) -> None:
            self._decoder, self._codec = decoder, codec

        def __getattr__(self, name: str) -> Any:
            return getattr(self._decoder, name)

        def decode(self, content: bytes) -> Any:
            steps.append((self._codec, len(content)))
            return self._decoder.decode(content)

    get_decoder = Image._getdecoder
    monkeypatch.setattr(
        Image, "_getdecoder", lambda mode, codec, *a: Counted(get_decoder(mode, codec, *a), codec)
    )
    return steps


@pytest.mark.parametrize(("format_", "codec"), [("JPEG", "jpeg"), ("PNG", "zip")])
def test_a_photo_is_decoded_in_one_go(
    format_: str, codec: str, decoded: list[tuple[str, int]]
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (600, 800, 3), np.uint8)
    prepare_photo(saved(Image.fromarray(noise), format_))
    [size] = [size for used, size in decoded if used == codec]
    assert size > 200_000


def test_strips_at_one_place_do_not_read_the_whole_file_each(
    decoded: list[tuple[str, int]],
) -> None:
    rows, width, size = 500, 1000, 5_000_000
    begin = 8 + 2 + 12 * 9 + 4
    tags = {256: width, 257: rows, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries.insert(5, struct.pack("<HHII", 273, 4, rows, begin))  # where the strips are
    entries.append(struct.pack("<HHII", 279, 4, rows, begin + 4 * rows))  # how long they are
    header = b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(entries) + bytes(4)
    strips = struct.pack("<I", begin + 8 * rows) * rows + struct.pack("<I", width) * rows
    photo = prepare_photo((header + strips).ljust(size, b"\0"))
    assert (photo.width, photo.height) == (width, rows)
    assert sum(size for _, size in decoded) < 100_000 * rows


@pytest.mark.parametrize("missing", range(1, 17))
def test_a_png_whose_picture_is_whole_is_read(missing: int) -> None:
    whole = saved(CAT, "PNG")
    assert read_photo(whole[:-missing]).sha256
    with pytest.raises(DamagedPhoto, match="cut off"):
        read_photo(whole[:-50])
