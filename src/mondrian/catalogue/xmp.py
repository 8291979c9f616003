"""XMP packets: the metadata that programs for photographs read, in sidecar files and in photos.

A packet is RDF (Adobe, "XMP Specification Part 1", ISO 16684-1). Of one that is there, all stays
but these fields, each only where a person has not had a hand in it:

1. ``xmp:Rating``, ``dc:description`` (in the language ``x-default``) and words in ``dc:subject``.
2. All of our own namespace. It also holds what we wrote into those three. What differs from that
   is a person's, and so is what was there before.

No date is written. The packet is hostile until it is parsed: it is small, UTF-8, and has no DTD.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lxml import etree

from mondrian.errors import PhotoError, printable
from mondrian.reports import Report

NAMESPACE: Final = "urn:mondrian-critique:xmp:1.0/"
MAX_BYTES: Final = 10_000_000
_MAX_TEXT = 2000

_X = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_DC = "http://purl.org/dc/elements/1.1/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ABOUT, _LI = f"{{{_RDF}}}about", f"{{{_RDF}}}li"
_RATING, _DESCRIPTION, _SUBJECT = f"{{{_XMP}}}Rating", f"{{{_DC}}}description", f"{{{_DC}}}subject"
_OTHER_RATINGS = (
    "{http://ns.microsoft.com/photo/1.0/}Rating",
    "{http://ns.microsoft.com/photo/1.0}Rating",
    "{http://ns.acdsee.com/iptc/1.0/}rating",
)
_PREFIXES = {_XMP: "xmp", _DC: "dc", NAMESPACE: "mondrian"}
_EMPTY = (
    f'<x:xmpmeta xmlns:x="{_X}" x:xmptk="Mondrian"><rdf:RDF xmlns:rdf="{_RDF}">\n'
    '<rdf:Description rdf:about=""/>\n</rdf:RDF></x:xmpmeta>'
)

Element = Any
"""An ``lxml.etree._Element``: lxml tells no types."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Critique:
    """What is written of a photo, whose file's name is ``photo``. ``rating`` is 1 to 5, ``score``
    the mean of the overall scores of ``reports``."""

    photo: str
    rating: int
    score: float
    grade: str
    description: str
    keywords: Sequence[str]
    reports: Sequence[Report]
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """Values of the three fields that people fill in; ``None`` for one that is not there."""

    rating: float | None = None
    description: str | None = None
    keywords: Sequence[str] | None = None


class Packet:
    """A packet, to be changed and encoded again."""

    def __init__(self, tree: Any, rdf: Element, *, has_declaration: bool = False) -> None:
        self._tree = tree
        self._rdf = rdf
        self._has_declaration = has_declaration

    @classmethod
    def empty(cls) -> "Packet":
        """Return a packet that says nothing."""
        return cls.parse(_EMPTY.encode())

    @classmethod
    def parse(cls, content: bytes) -> "Packet":
        """Return the packet in ``content``. Raise ``PhotoError`` that says what is wrong with it,
        as the end of a sentence."""
        tree = _parse(content)
        root = tree.getroot()
        rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")
        if rdf is None:
            raise PhotoError("it is no XMP")
        return cls(tree, rdf, has_declaration=content.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml "))

    @property
    def fields(self) -> Fields:
        """What the packet says now."""
        ratings = (_number(self._read(name)) for name in (_RATING, *_OTHER_RATINGS))
        alternatives, bag = self._list(_DESCRIPTION), self._list(_SUBJECT)
        texts = {each.get(_LANGUAGE): each.text or "" for each in _items(alternatives)}
        text = self._read(_DESCRIPTION) if alternatives is None else texts.get("x-default")
        words = [each.text or "" for each in _items(bag)]
        return Fields(
            rating=next(filter(None, ratings), None),
            description=text,
            keywords=None if self._find(_SUBJECT) is None else words,
        )

    @property
    def written(self) -> Fields:
        """What Mondrian wrote into the packet the last time."""
        bag = self._list(_ours("Keywords"))
        return Fields(
            rating=_number(self._read(_ours("Rating"))),
            description=self._read(_ours("Description")),
            keywords=[each.text or "" for each in _items(bag)],
        )

    @property
    def photo(self) -> str | None:
        """The name of the photo whose critique is in the packet."""
        return self._read(_ours("Photo"))

    @property
    def given(self) -> Fields:
        """What a person gave."""
        there, ours = self.fields, self.written
        known = {word.casefold() for word in ours.keywords or ()}
        words = [word for word in there.keywords or () if word.casefold() not in known]
        return Fields(
            rating=None if there.rating == ours.rating else there.rating,
            description=None if there.description == ours.description else there.description,
            keywords=words or None,
        )

    def update(
        self, critique: Critique, *, beside: Fields | None = None, overwrite_rating: bool = False
    ) -> bool:
        """Write ``critique``. Return whether a rating that a person gave was kept.

        ``beside`` is what a person wrote into the photo itself, which the packet hides from
        programs that read both.
        """
        there, ours, beside = self.fields, self.written, beside or Fields()
        keeps_rating = not overwrite_rating and bool(
            _is_given(there.rating, ours.rating) or beside.rating
        )
        if not keeps_rating:
            self._write_text(_RATING, str(critique.rating))
            ours = replace(ours, rating=critique.rating)
        is_given = _is_given(there.description, ours.description) or beside.description
        if critique.description and not is_given and self._write_default(critique.description):
            ours = replace(ours, description=_clean(critique.description))
        ours = replace(ours, keywords=self._write_keywords(critique.keywords, beside))
        self._write_own(critique, ours)
        return keeps_rating

    def encode(self) -> bytes:
        """Return the packet as the content of a sidecar."""
        encoded: bytes = etree.tostring(
            self._tree, encoding="UTF-8", xml_declaration=self._has_declaration
        )
        return encoded.rstrip(b"\n") + b"\n"

    def encode_embedded(self, room: int = 0, padding: int = 2048) -> bytes:
        """Return the packet for a photo, between its two marks, with ``padding`` for programs that
        edit it in place. With ``room`` it takes as many bytes as that, if it can."""
        root = etree.tostring(self._tree.getroot(), encoding="UTF-8")
        begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
        end = b'<?xpacket end="w"?>'
        used = len(begin) + len(root) + len(end) + 1
        blanks = max(0, room - used) if room else padding
        return b"".join((begin, root, b"\n", b" " * blanks, end))

    def canonical(self) -> bytes:
        """Return the packet in a form that is the same for the same metadata."""
        encoded: bytes = etree.tostring(self._tree.getroot(), method="c14n", with_comments=True)
        return encoded

    def _descriptions(self) -> list[Element]:
        return list(self._rdf.iterchildren(f"{{{_RDF}}}Description"))

    def _find(self, name: str) -> Element | None:
        """Return the element of a property, if it has one."""
        found = (each.find(name) for each in self._descriptions())
        return next((each for each in found if each is not None), None)

    def _read(self, name: str) -> str | None:
        """Return the text of a simple property, which is an attribute or an element."""
        for each in self._descriptions():
            if (value := each.get(name)) is not None:
                return str(value)
        element = self._find(name)
        return None if element is None or len(element) else element.text or ""

    def _has(self, name: str) -> bool:
        return self._find(name) is not None or self._read(name) is not None

    def _list(self, name: str) -> Element | None:
        """Return the list that is the value of a property, if it is one."""
        if (element := self._find(name)) is None:
            return None
        lists = (element.find(f"{{{_RDF}}}{kind}") for kind in ("Bag", "Seq", "Alt"))
        return next((each for each in lists if each is not None), None)

    def _write_text(self, name: str, text: str) -> None:
        for each in self._descriptions():
            if name in each.attrib:
                each.set(name, text)
                return
        element = self._find(name)
        if element is None:
            element = self._add(name)
        for child in list(element):
            element.remove(child)
        element.text = text

    def _write_default(self, text: str) -> bool:
        """Write the description. Return whether it could be: it is no list in some files."""
        alternatives = self._list(_DESCRIPTION)
        if alternatives is None:
            if self._has(_DESCRIPTION):
                return False
            alternatives = etree.SubElement(self._add(_DESCRIPTION), f"{{{_RDF}}}Alt")
        for item in _items(alternatives):
            if item.get(_LANGUAGE) == "x-default":
                item.text = _clean(text)
                return True
        item = etree.Element(_LI, {_LANGUAGE: "x-default"})
        item.text = _clean(text)
        alternatives.insert(0, item)  # where the default belongs
        return True

    def _write_keywords(self, keywords: Sequence[str], beside: Fields) -> list[str]:
        """Write the keywords. Return those that count as ours: also such as a person removed, which
        do not come back."""
        ours, is_new = self.written.keywords or [], self._list(_SUBJECT) is None
        if is_new and self._has(_SUBJECT):
            return list(ours)
        there = (beside.keywords if is_new else self.fields.keywords) or ()
        removed = [word for word in ours if not _holds(there, word)]
        theirs = [word for word in there if not _holds(ours, word)]
        wanted = [word for word in map(_clean, keywords) if not _holds([*removed, *theirs], word)]
        if is_new and (theirs or wanted):
            _append(etree.SubElement(self._add(_SUBJECT), f"{{{_RDF}}}Bag"), there)
        bag: Element = self._list(_SUBJECT)
        for item in _items(bag):
            if _holds(ours, item.text or "") and not _holds(wanted, item.text or ""):
                bag.remove(item)
        _append(bag, [word for word in wanted if not _holds(there, word)])
        return [*wanted, *removed]

    def _write_own(self, critique: Critique, ours: Fields) -> None:
        """Write our namespace anew, in a description of its own."""
        descriptions = self._descriptions()
        about = descriptions[0].get(_ABOUT, "") if descriptions else ""
        for each in descriptions:
            _remove_own(each)
        own = etree.SubElement(
            self._rdf, f"{{{_RDF}}}Description", {_ABOUT: about}, nsmap={"mondrian": NAMESPACE}
        )
        own.tail = "\n"
        _fill(own, _describe(critique, ours))
        etree.indent(own, " ", level=1)

    def _add(self, name: str) -> Element:
        """Add an element for a property."""
        descriptions = self._descriptions()
        if not descriptions:
            descriptions = [etree.SubElement(self._rdf, f"{{{_RDF}}}Description", {_ABOUT: ""})]
        space = etree.QName(name).namespace
        added = etree.SubElement(descriptions[0], name, nsmap={_PREFIXES[space]: space})
        added.tail = "\n"
        return added


def _parse(content: bytes) -> Any:
    """Return the tree of XML that is not trusted."""
    if len(content) > MAX_BYTES:
        raise PhotoError(f"it has over {MAX_BYTES // 1_000_000} MB")
    try:
        is_declared = "<!DOCTYPE" in content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise PhotoError("it is not UTF-8") from exc
    if is_declared:
        raise PhotoError("it declares a document type or entities, which no XMP has")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, strip_cdata=False
    )
    try:
        return etree.fromstring(content, parser).getroottree()
    except etree.LxmlError as exc:
        raise PhotoError(f"it is no XML ({printable(str(exc), 200)})") from exc


def _describe(critique: Critique, ours: Fields) -> Iterable[tuple[str, Any]]:
    """Yield the properties of our namespace: text, lists of words, and lists of structures."""
    yield "Photo", critique.photo
    yield "Score", f"{critique.score:.1f}"
    yield "Grade", critique.grade
    yield "Version", critique.version
    if ours.rating is not None:
        yield "Rating", f"{ours.rating:g}"
    if ours.description is not None:
        yield "Description", ours.description
    yield "Keywords", list(ours.keywords or ())
    yield "Critiques", [list(_describe_report(report)) for report in critique.reports]


def _describe_report(report: Report) -> Iterable[tuple[str, Any]]:
    yield "Advisor", report.shown_name
    yield "Score", f"{report.overall_score:.1f}"
    yield "Grade", report.grade
    yield "Engine", report.engine.model
    yield "Description", report.image_description
    yield "Strengths", list(report.key_strengths)
    yield "Improvements", list(report.priority_improvements)
    dimensions = []
    for each in report.dimensions:
        score = [("Score", f"{each.score:.1f}")] if each.score is not None else []
        words = [("Comment", each.comment), ("Recommendation", each.recommendation)]
        dimensions.append([("Name", each.name), *score, *words])
    yield "Dimensions", dimensions


def _fill(element: Element, properties: Iterable[tuple[str, Any]]) -> None:
    """Write properties of our namespace into ``element``; empty ones are left out."""
    for name, value in properties:
        if not value:
            continue
        child = etree.SubElement(element, _ours(name))
        if isinstance(value, str):
            child.text = _clean(value)
        elif isinstance(value[0], str):
            _append(etree.SubElement(child, f"{{{_RDF}}}Bag"), value)
        else:
            sequence = etree.SubElement(child, f"{{{_RDF}}}Seq")
            for each in value:
                _fill(etree.SubElement(sequence, _LI, {f"{{{_RDF}}}parseType": "Resource"}), each)


def _append(container: Element, words: Iterable[str]) -> None:
    for word in words:
        etree.SubElement(container, _LI).text = _clean(word)


def _remove_own(description: Element) -> None:
    """Remove our namespace from a description, and the description if nothing is left of it."""
    attributes = [name for name in description.attrib if name.startswith(f"{{{NAMESPACE}}}")]
    elements = list(description.iterchildren(f"{{{NAMESPACE}}}*"))
    for name in attributes:
        del description.attrib[name]
    for element in elements:
        description.remove(element)
    is_empty = not len(description) and set(description.attrib) <= {_ABOUT}
    if is_empty and (attributes or elements):
        description.getparent().remove(description)


def _items(container: Element | None) -> list[Element]:
    return [] if container is None else list(container.iterchildren(_LI))


def _is_given(there: object, ours: object) -> bool:
    """Return whether a person gave a value, or took ours away. An empty one is none, a rating of 0
    too."""
    return bool(there) if ours is None else there != ours


def _holds(words: Iterable[str], word: str) -> bool:
    return word.casefold() in (each.casefold() for each in words)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _clean(text: str) -> str:
    """Return ``text`` as what XML can hold, on one line."""
    return printable(text, _MAX_TEXT).strip()


def _ours(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
