"""XMP packets: our fields are written, all else stays, and what is hostile is refused."""

import re
from typing import Any

import pytest
from lxml import etree

from mondrian.catalogue.xmp import NAMESPACE, Critique, Fields, Packet
from mondrian.errors import PhotoError
from support.demo_reports import demo_report
from support.sidecars import SHAPES, make_sidecar

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"


def critique(**changed: Any) -> Critique:
    values = {
        "photo": "a.jpg",
        "rating": 4,
        "score": 7.0,
        "grade": "B-",
        "description": "Boats at a jetty.",
        "keywords": ["brown", "crisp subject"],
        "reports": [demo_report()],
        "version": "1",
    }
    return Critique(**values | changed)  # type: ignore[arg-type]


def write(content: bytes, *, overwrite_rating: bool = False, **changed: Any) -> bytes:
    packet = Packet.parse(content)
    packet.update(critique(**changed), overwrite_rating=overwrite_rating)
    return packet.encode()


def others(content: bytes) -> list[tuple[str, dict[str, str], str]]:
    """All that is in a packet but what is Mondrian's to change."""
    found = []
    for element in etree.fromstring(content).iter(etree.Element):
        names = {element.tag, *(each.tag for each in element.iterancestors())}
        is_own = any(name.startswith(f"{{{NAMESPACE}}}") for name in names)
        if is_own or names & {RATING, f"{DC}subject", f"{DC}description"}:
            continue
        attributes = {name: value for name, value in element.attrib.items() if name != RATING}
        if attributes or (element.text or "").strip():
            found.append((element.tag, attributes, (element.text or "").strip()))
    return [each for each in found if set(each[1]) != {f"{RDF}about"}]


@pytest.mark.parametrize("program", SHAPES)
def test_all_but_our_fields_stays_in_the_sidecars_of_others(program: str) -> None:
    old = make_sidecar(program)
    new = write(old)
    assert others(new) == others(old)
    assert len(others(old)) > 3
    fields = Packet.parse(new).fields
    assert fields.rating == 4
    assert {"brown", "crisp subject"} <= {word.casefold() for word in fields.keywords or ()}
    assert new.startswith(b"<?xml ") == old.startswith(b"<?xml ")
    assert new.startswith(b"<?xpacket ") == old.startswith(b"<?xpacket ")
    dates = re.compile(rb"\d{4}[-:]\d\d[-:]\d\d[T ]?[^\"<]*")
    assert dates.findall(new) == dates.findall(old), "no date is written"


@pytest.mark.parametrize("program", SHAPES)
@pytest.mark.parametrize("rating", [3, 5, -1])
def test_a_rating_that_a_person_gave_is_kept(program: str, rating: int) -> None:
    old = make_sidecar(program, rating)
    packet = Packet.parse(old)
    assert packet.update(critique())
    assert Packet.parse(packet.encode()).fields.rating == rating
    again = Packet.parse(packet.encode())
    assert again.update(critique()), "also the next time"
    replaced = Packet.parse(write(old, overwrite_rating=True))
    assert replaced.fields.rating == 4
    assert not replaced.update(critique(rating=2)), "it is ours now"
    assert replaced.fields.rating == 2


@pytest.mark.parametrize("program", SHAPES)
def test_writing_it_again_changes_nothing(program: str) -> None:
    once = write(make_sidecar(program, 3))
    assert write(once) == once


def test_what_a_person_changes_afterwards_is_theirs() -> None:
    once = write(Packet.empty().encode())
    assert Packet.parse(once).fields == Fields(
        rating=4, description="Boats at a jetty.", keywords=["brown", "crisp subject"]
    )
    edited = once.replace(b">4</xmp:Rating>", b">5</xmp:Rating>")
    edited = edited.replace(b">Boats at a jetty.</rdf:li>", b">My boats</rdf:li>")
    edited = edited.replace(b"<rdf:li>brown</rdf:li>", b"<rdf:li>boats</rdf:li>", 1)
    assert edited.count(b"<rdf:li>boats</rdf:li>") == 1
    for _ in range(2):
        edited = write(edited, rating=2, description="New.", keywords=["brown", "flat light"])
        fields = Packet.parse(edited).fields
        assert fields.rating == 5
        assert fields.description == "My boats"
        assert fields.keywords == ["boats", "flat light"], "what was removed does not come back"
    cleared = re.sub(rb"<xmp:Rating[^>]*>4</xmp:Rating>", b"", once)
    assert cleared != once
    assert Packet.parse(write(cleared)).fields.rating is None


def rewrite(content: bytes) -> bytes:
    """The packet as Exiv2 writes it: one description, with what is simple as attributes."""
    root = etree.fromstring(content)
    first, *others = root.iter(f"{RDF}Description")
    for each in [child for description in (first, *others) for child in description]:
        if len(each):
            first.append(each)
        else:
            first.set(each.tag, each.text or "")
            each.getparent().remove(each)
    for description in others:
        description.getparent().remove(description)
    rewritten: bytes = etree.tostring(root)
    return rewritten


def test_what_another_program_rewrote_is_still_known_as_ours() -> None:
    rewritten = rewrite(write(Packet.empty().encode()))
    assert rewritten.count(b'Rating="4"') == 2
    again = Packet.parse(rewritten)
    assert not again.update(critique(rating=2, description="New.", keywords=["red"]))
    assert again.fields == Fields(rating=2, description="New.", keywords=["red"])
    assert again.encode().count(b'Rating="') == 1, "ours is an element again"
    assert again.encode().count(b"Rating>") == 2


def test_a_caption_and_keywords_of_a_person_stay() -> None:
    fields = Packet.parse(write(make_sidecar("lightroom"))).fields
    assert fields.description == "Boats at low tide & a dog"
    assert fields.keywords == ["harbour", "Brown", "crisp subject"]
    new = Packet.parse(write(make_sidecar("lightroom"), keywords=["red"])).fields
    assert new.keywords == ["harbour", "Brown", "red"]


def test_what_is_in_the_photo_itself_counts_for_a_new_sidecar() -> None:
    packet = Packet.empty()
    beside = Fields(rating=5.0, description="Mine", keywords=["anna"])
    assert packet.update(critique(), beside=beside)
    assert packet.fields == Fields(keywords=["anna", "brown", "crisp subject"])


def test_the_critique_is_in_a_namespace_of_its_own() -> None:
    root = etree.fromstring(write(make_sidecar("darktable")))
    names = {"m": NAMESPACE, "rdf": RDF[1:-1]}
    assert root.xpath("string(//m:Score)", namespaces=names) == "7.0"
    [first] = root.xpath("//m:Critiques/rdf:Seq/rdf:li", namespaces=names)
    assert len(first.xpath("m:Dimensions/rdf:Seq/rdf:li[m:Comment]", namespaces=names)) == 8
    packet = Packet.parse(write(write(make_sidecar("darktable")), score=3.0))
    assert packet.encode().count(b"<mondrian:Photo>") == 1


def test_words_that_xml_cannot_hold() -> None:
    hostile = "a\0b\x0b <b>&amp;]]>\ud800\ufffe" + "x" * 5000
    packet = Packet.parse(write(Packet.empty().encode(), description=hostile, keywords=[hostile]))
    text = packet.fields.description or ""
    assert text.startswith("ab  <b>&amp;]]>x")
    assert len(text) == 2000
    assert packet.fields.keywords == [text]


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
REFUSED = {
    "entities": f'<!DOCTYPE x [<!ENTITY e0 "ha">{BOMB}]><x>&e11;</x>'.encode(),
    "a file": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
    "an attribute of entities": b'<!DOCTYPE x [<!ENTITY a "b">]><x y="&a;"/>',
    "UTF-16": "<?xml version='1.0' encoding='utf-16'?><x/>".encode("utf-16"),
    "Latin-1": '<?xml version="1.0" encoding="iso-8859-1"?><x>\xe9</x>'.encode("latin-1"),
    "huge": b"<x>" + b" " * 10_000_000 + b"</x>",
    "deep": b"<x>" * 100_000 + b"</x>" * 100_000,
    "cut off": make_sidecar("darktable")[:900],
    "no XMP": b"<html><body/></html>",
    "no XML": b"\x89PNG\r\n\x1a\n\0\0",
    "nothing": b" ",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_is_hostile_or_damaged_is_refused(content: bytes) -> None:
    with pytest.raises(PhotoError):
        Packet.parse(content)


ODD = {
    "a list that is text": "<dc:description>Old</dc:description><dc:subject>word</dc:subject>",
    "lists that are empty": "<dc:description/><dc:subject/>",
    "structures": "<dc:subject rdf:parseType='Resource'><a:b xmlns:a='urn:a'/></dc:subject>",
    "a rating that is none": "<xmp:Rating>many</xmp:Rating>",
    "nothing": "",
}


@pytest.mark.parametrize("inside", ODD.values(), ids=ODD)
def test_odd_packets_stay_what_they_are(inside: str) -> None:
    spaces = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    rdf = f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}" {spaces}>'
    old = f"{rdf}<rdf:Description>{inside}</rdf:Description></rdf:RDF>".encode()
    new = write(b"\xef\xbb\xbf" + old)
    assert write(new) == new
    assert Packet.parse(new).fields.rating == 4
    for name in ("subject", "description"):
        assert new.count(f"<dc:{name}".encode()) == 1, "no second one"
    if "dc:" in inside:
        assert Packet.parse(new).fields.description in ("Old", "", "Boats at a jetty.")


def test_a_packet_without_a_description_gets_one() -> None:
    new = write(f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}"/>'.encode())
    assert Packet.parse(new).fields.rating == 4
