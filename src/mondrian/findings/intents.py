"""What a photographer meant, read from words in the languages that answers are read in.

1. What is read excuses a fault, so doubt is against it: a clause that denies, regrets or asks means
   nothing, and "too dark" is a complaint.
2. Words that say that it was done on purpose settle a doubt, unless they are denied themselves.
3. A clause ends at punctuation and at conjunctions such as "but" and "because".
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from mondrian.findings import intent_words as words


def read_intent(text: str) -> tuple[str, ...]:
    """Return what the photo was meant to be, of ``words.MEANT``: ``dark``, ``blurred``."""
    sentences = re.findall(r"[^.!?\n]+[.!?\n]?", _fold(text))
    found = (meant for sentence in sentences for meant in _read_sentence(sentence))
    return tuple(dict.fromkeys(found))


def _read_sentence(sentence: str) -> Iterator[str]:
    is_asked = sentence.endswith("?")
    for clause in _split(sentence):
        yield from _read_clause(clause, is_asked or _has(words.ASKING, clause, at_start=True))


def _split(sentence: str) -> list[str]:
    """Return the clauses. One that only says of another whether it was meant is joined to it: to
    the one before, and at the begin to the next."""
    clauses, is_open = list[str](), False
    whole = re.sub(rf",(?= (?:{_join(words.THAT)}))", "", sentence)
    for clause in re.split(rf"[;:,、()/]|{_join(words.BREAKS)}", whole):
        says_why = any(_has(kind, clause) for kind in (words.PURPOSE, words.ACCIDENT, words.REGRET))
        says_what = any(_has(kind, clause) for kind in words.MEANT.values())
        if clauses and (is_open or (says_why and not says_what)):
            clauses[-1] += f" {clause.strip()}"
            is_open = is_open and not says_what
        elif clause.strip():
            clauses.append(clause.strip())
            is_open = says_why and not says_what
    return clauses


def _read_clause(clause: str, is_asked: bool) -> Iterator[str]:
    """Yield what ``clause`` says was meant."""
    is_no_accident = _has(words.ACCIDENT, clause)  # else it is denied
    is_on_purpose = is_no_accident or _has(words.PURPOSE, clause)
    if _is_denied(clause) or (not is_on_purpose and (is_asked or _has(words.REGRET, clause))):
        return
    for meant, listed in words.MEANT.items():
        if meant == "blurred" and _has(words.BACKGROUND, clause):
            continue
        for match in _compile(listed).finditer(clause):
            before, after = clause[: match.start()], clause[match.end() :]
            is_complaint = not is_on_purpose and _is_too_much(before, after)
            is_excluded = not is_no_accident and _has(words.EXCLUSION, before)
            if not (is_complaint or is_excluded):
                yield meant


def _is_denied(clause: str) -> bool:
    """Return whether ``clause`` denies, or tells of an accident; what is no accident is neither."""
    accident = _compile(words.ACCIDENT).search(clause)
    if accident is None:
        return _has(words.DENIAL, clause)
    before, after = clause[: accident.start()], clause[accident.end() :]
    is_accident_denied = _has(words.DENIAL, before) or _has(words.EXCLUSION, before)
    return not (is_accident_denied or re.match(words.DENIED_BEHIND, after))


def _is_too_much(before: str, after: str) -> bool:
    is_before = re.search(rf"(?:{_join(words.TOO)})(?: \w+)? ?$", before)
    return bool(is_before or re.match(words.TOO_BEHIND, after))


def _has(listed: str, clause: str, *, at_start: bool = False) -> bool:
    pattern = _compile(listed)
    return bool(pattern.match(clause) if at_start else pattern.search(clause))


@cache
def _compile(listed: str) -> re.Pattern[str]:
    return re.compile(_join(listed))


@cache
def _join(listed: str) -> str:
    """Return the regular expression of a list with commas. ``*`` stands for any ending; letters of
    alphabets begin at a word's begin, and end at its end."""
    return "|".join(_write(" ".join(word.split())) for word in listed.split(",") if word.strip())


def _write(word: str) -> str:
    if word[0] == "(":
        return word if word[1] == "?" else f"(?:{word[1:]}"
    is_spaced = word[0] < "\u2e80"  # Chinese, Japanese and Korean set no blanks between words
    word = word.replace("*", r"\w*")
    ending = "" if word[-1] == "*" else r"\b"
    return rf"\b{word}{ending}" if is_spaced else word


def _fold(text: str) -> str:
    """Return ``text`` in lower case, without accents on Latin and Cyrillic letters, with plain
    blanks for hyphens."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"\s[-–—]+\s|—", ", ", "".join(map(_strip_accent, plain)).translate(_ALIKE))
    return re.sub(r"[-‐‑–_\s]+", " ", plain)


_ALIKE = str.maketrans(
    {"ł": "l", "ø": "o", "ё": "е", "’": "'", "。": ".", "！": "!", "？": "?", "…": ".", "¿": ""}
)


def _strip_accent(letter: str) -> str:
    base = unicodedata.normalize("NFD", letter)[0]
    return base if base.isascii() and base.isalpha() else letter
