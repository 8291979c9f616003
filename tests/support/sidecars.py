"""Sidecars in the shapes in which programs write them, made up by us, and what exiftool reads."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_HEAD = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
_DC, _XMP = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/xap/1.0/"

LIGHTROOM = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF {_HEAD}>
  <rdf:Description rdf:about=""
    xmlns:xmp="{_XMP}"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="{_DC}"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
   xmp:ModifyDate="2026-03-01T09:00:00+01:00"
   xmp:MetadataDate="2026-03-02T10:00:00+01:00"
   xmp:Rating="{{rating}}"
   xmp:Label="Red"
   crs:Exposure2012="+0.35"
   crs:HasSettings="True">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>harbour</rdf:li>
     <rdf:li>Brown</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>places|harbour</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">Boats at low tide &amp; a dog</rdf:li>
     <rdf:li xml:lang="de-DE">Boote bei Ebbe</rdf:li>
    </rdf:Alt>
   </dc:description>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
"""One description, with what is simple as attributes; keywords and a caption are given."""

DARKTABLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF {_HEAD}>
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="{_XMP}"
    xmlns:darktable="http://darktable.sf.net/"
   exif:DateTimeOriginal="2026:03:01 09:00:00.000"
   xmp:Rating="{{rating}}"
   darktable:xmp_version="5"
   darktable:raw_params="0"
   darktable:auto_presets_applied="1"
   darktable:history_end="2">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="exposure"
      darktable:enabled="1"
      darktable:modversion="7"
      darktable:params="gz02eJxjYGBgYAFiCQYYOOEEAA"/>
     <rdf:li
      darktable:num="1"
      darktable:operation="flip"
      darktable:enabled="1"
      darktable:modversion="2"
      darktable:params="ffffffff"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
"""A history of development, neither keywords nor a caption."""

DIGIKAM = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF {_HEAD}>
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
   digiKam:PickLabel="3"
   digiKam:ColorLabel="0">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>People/Anna</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
  </rdf:Description>
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
    xmlns:xmp="{_XMP}">
   <xmp:Rating>{{rating}}</xmp:Rating>
  </rdf:Description>
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
    xmlns:dc="{_DC}">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Anna</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
   MicrosoftPhoto:Rating="{{percent}}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
"""A description for each namespace, the rating as an element and once more in percent."""

SHAPES = {"lightroom": LIGHTROOM, "darktable": DARKTABLE, "digikam": DIGIKAM}


def make_sidecar(program: str, rating: int = 0) -> bytes:
    """A sidecar as ``program`` writes it."""
    percent = {0: 0, 1: 1, 2: 25, 3: 50, 4: 75, 5: 99}[max(0, rating)]
    return (
        SHAPES[program].replace("{rating}", str(rating)).replace("{percent}", str(percent)).encode()
    )


def read_with_exiftool(path: Path) -> dict[str, Any]:
    """What exiftool reads: the names with their groups."""
    program = shutil.which("exiftool")
    if program is None:
        assert not os.environ.get("CI"), "CI installs exiftool"
        pytest.skip("there is no exiftool: Debian's libimage-exiftool-perl, Homebrew's exiftool")
    command = [program, "-j", "-G1", "-struct", "-validate", "-warning", "-a", "-all", str(path)]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    [found] = json.loads(read.stdout)
    assert isinstance(found, dict)
    return found
