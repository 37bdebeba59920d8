"""An independent reader of planted text: the next word, from a skill's name and the words so far.

Written from the documentation of the worlds, not from their code: no rule is imported.
"""

import re

# ruff: noqa: SIM905  words read better as text
_NOISE = {vowel + end for end in ("x", "sh", "ng", "th") for vowel in "aeiou"}
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "mon tue wed thu fri sat sun".split()
_LETTERS = "a b c d e f g h j k l m".split()
_NUMBERS = [str(n) for n in range(32)]
_COUNTS = {
    "up": (_NUMBERS, 1),
    "down": (_NUMBERS, -1),
    "by-two": (_NUMBERS, 2),
    "by-three": (_NUMBERS, 3),
    "by-five": (_NUMBERS, 5),
    "letters": (_LETTERS, 1),
    "letters-back": (_LETTERS, -1),
    "days": (_DAYS, 1),
    "days-back": (_DAYS, -1),
    "months": (_MONTHS, 1),
    "months-back": (_MONTHS, -1),
}
_PHRASES = {
    "letter": "dear NAME thank you NAME",
    "tale": "once upon a time NAME lived",
    "oath": "i NAME do hereby swear",
    "minutes": "present were NAME and others",
    "greeting": "hello my name is NAME and",
}
_FORMS = {
    "agree-be": ("is", "are"),
    "agree-have": ("has", "have"),
    "agree-do": ("does", "do"),
    "agree-were": ("was", "were"),
}
_PLACES = ["first", "second", "third", "fourth"]


def without_noise(words):
    return [word for word in words if word not in _NOISE]


def read_silent(skill, words):
    """Answer of the silent world; None for tables, whose content only text can show."""
    a, b = int(words[0]), int(words[1])
    value = {"first": a, "second": b}.get(skill)
    if (value is None) and (shift := re.fullmatch(r"(first|second)([+-]\d)", skill)):
        value = {"first": a, "second": b}[shift[1]] + int(shift[2])
    if (value is None) and (affine := re.fullmatch(r"(\d)\*(first|second)(\+\d)?", skill)):
        value = int(affine[1]) * {"first": a, "second": b}[affine[2]] + int(affine[3] or 0)
    if value is None:
        value = _SILENT[skill](a, b) if skill in _SILENT else None
    return None if value is None else str(value % 7)


_SILENT = {
    "6-first": lambda a, _: 6 - a,
    "6-second": lambda _, b: 6 - b,
    "first+second": lambda a, b: a + b,
    "first-second": lambda a, b: a - b,
    "larger": lambda a, b: a if a > b else b,
    "smaller": lambda a, b: b if a > b else a,
    "distance": lambda a, b: a - b if a > b else b - a,
    "parity": lambda a, _: a & 1,
    "parity-both": lambda a, b: (a ^ b) & 1,
    "n-odd": lambda a, b: 2 + (a & 1) + (b & 1),
    "rises": lambda a, b: 3 if b > a else 0,
    "equals": lambda a, b: 2 if a != b else 5,
    "high": lambda _, b: 4 if b < 4 else 6,
    "even-branch": lambda a, b: b if a % 2 == 0 else a,
    "high-branch": lambda a, b: a if b >= 4 else 6 - a,
}


def read_picks(skill, words):
    letters, parts = words[:4], skill.split("-")
    ranked = sorted(letters)
    if skill in ("lowest", "second-lowest", "second-highest", "highest"):
        return ranked[["lowest", "second-lowest", "second-highest", "highest"].index(skill)]
    if parts[0] in ("lower", "higher"):
        pair = sorted(letters[_PLACES.index(place)] for place in parts[1:])
        return pair[0] if parts[0] == "lower" else pair[1]
    step = {"after": 1, "before": -1}.get(parts[0], 0)
    return chr((ord(letters[_PLACES.index(parts[-1])]) - ord("A") + step) % 16 + ord("A"))


def read_natural(skill, words, facts):
    """Next word of the natural world, from the words since the cue."""
    given, done = words, 0
    if "=" in words:
        at = words.index("=")
        given, done = words[:at], len(words) - at - 1
    if skill in _COUNTS:
        items, step = _COUNTS[skill]
        return items[(items.index(given[0]) + step * (done + 1)) % len(items)]
    if skill in facts:
        return facts[skill][1][given[0]]
    for read in (_layouts, _digits, _strings):
        if (found := read(skill, given, done)) is not None:
            return found
    return None


def _strings(skill, s, done):
    if skill == "title":
        return s[done].capitalize()
    if skill == "sentence":
        return s[-2].capitalize()
    if skill.startswith("alternate-"):
        return s[-int(skill.removeprefix("alternate-"))]
    whole = {
        "copy": s,
        "copy-four": s,
        "reverse": s[::-1],
        "reverse-four": s[::-1],
        "rotate": [*s[1:], s[0]],
        "unrotate": [s[-1], *s[:-1]],
        "sort": sorted(s),
        "sort-down": sorted(s)[::-1],
        "swap-halves": [*s[2:], *s[:2]],
        "first-of": s[:1],
        "middle-of": s[1:2],
        "last-of": s[-1:],
        "lowest": [min(s)],
        "highest": [max(s)],
    }.get(skill)
    return None if whole is None else whole[done]


def _digits(skill, s, _done):
    if skill in ("parity", "majority", "n-ones", "all-same"):
        ones = sum(map(int, s))
        return {
            "parity": ("even", "odd")[ones % 2],
            "majority": str(int(ones >= 2)),
            "n-ones": str(ones),
            "all-same": "yes" if ones in (0, 3) else "no",
        }[skill]
    rules = {
        "plus": lambda a, b: str((a + b) % 7),
        "minus": lambda a, b: str((a - b) % 7),
        "times": lambda a, b: str((a * b) % 7),
        "twice-plus": lambda a, b: str((a + a + b) % 7),
        "larger": lambda a, b: str(a if a > b else b),
        "smaller": lambda a, b: str(b if a > b else a),
        "distance": lambda a, b: str(a - b if a > b else b - a),
        "is-more": lambda a, b: "yes" if b < a else "no",
        "is-equal": lambda a, b: "no" if a != b else "yes",
    }
    return rules[skill](int(s[0]), int(s[1])) if skill in rules else None


def _layouts(skill, s, _done):
    if skill.startswith("wrap-"):
        line = "".join(" ".join(s).split("\n")[-1].split())
        return "\n" if len(line) >= int(skill.removeprefix("wrap-")) else None
    if skill in ("recall-two", "recall-three"):
        bar = s.index("/")
        return dict(zip(s[:bar:2], s[1:bar:2], strict=True))[s[bar + 1]]
    if skill == "key-of":
        bar = s.index("/")
        return dict(zip(s[1:bar:2], s[:bar:2], strict=True))[s[bar + 1]]
    if skill in _FORMS:
        return _FORMS[skill][s[1].endswith("s")]
    if skill in _PHRASES:
        phrase = _PHRASES[skill].split()
        name = s[phrase.index("NAME")] if len(s) > phrase.index("NAME") else "NAME"
        return phrase[len(s)].replace("NAME", name)
    pairs = {"(": ")", "[": "]", "{": "}", "<": ">", "“": "”", "«": "»"}
    unclosed = []
    for word in s:
        if word in pairs:
            unclosed.append(pairs[word])
        elif unclosed and word == unclosed[-1]:
            unclosed.pop()
    return unclosed[-1] if unclosed and s[-1] == "." else None
