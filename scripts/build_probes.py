"""Write the probe sets that ship with the package: own text, made by rule, the same every time.

Run from the repository's root: ``python scripts/build_probes.py``.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np

from quantascope.core.rng import stream
from quantascope.lm.probes.items import BUNDLED

FOLDER = Path(__file__).parent.parent / "src" / "quantascope" / "data" / "probes"

NUMBERS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]
LETTERS = [
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "K",
    "L",
    "M",
    "N",
    "O",
    "P",
    "Q",
    "R",
    "S",
    "T",
    "U",
    "V",
    "W",
    "X",
    "Y",
    "Z",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WORDS = [
    "apple",
    "river",
    "stone",
    "lamp",
    "paper",
    "horse",
    "garden",
    "window",
    "silver",
    "bread",
    "engine",
    "mirror",
    "cloud",
    "hammer",
    "forest",
    "button",
    "island",
    "candle",
    "rabbit",
    "bridge",
    "winter",
    "basket",
    "doctor",
    "pencil",
]
CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
NOUNS = {
    "key": "keys",
    "dog": "dogs",
    "picture": "pictures",
    "teacher": "teachers",
    "road": "roads",
    "letter": "letters",
    "child": "children",
    "machine": "machines",
}
VERBS = (("is", "are"), ("was", "were"), ("has", "have"))
CAN = (
    ("bird", "fly", "stone"),
    ("fish", "swim", "chair"),
    ("dog", "bark", "table"),
    ("child", "laugh", "door"),
    ("horse", "run", "tree"),
    ("singer", "sing", "bottle"),
    ("student", "read", "spoon"),
    ("lamp", "shine", "sock"),
)

Item = dict[str, str | list[str]]


def item(skill: str, context: str, answer: str, wrong: list[str]) -> Item:
    """Make an item; every option begins with a blank, hence at a token's boundary."""
    others = [f" {text}" for text in dict.fromkeys(wrong) if text != answer]
    return {"skill": skill, "context": context, "answers": [f" {answer}"], "wrong": others}


def counting(rng: np.random.Generator) -> list[Item]:
    """Continue numbers, number words and letters."""
    items = []
    for start, by in product((1, 3, 6, 10, 14, 20, 35, 58, 90), (1, 2, 5, 10)):
        terms = [start + by * i for i in range(5)]
        wrong = [str(terms[4] + off) for off in (1, 2, -1, by + 3)]
        items.append(item("counting", " ".join(map(str, terms[:4])), str(terms[4]), wrong))
    for words in (NUMBERS, LETTERS):
        for start in range(0, min(len(words) - 4, 22), 2):
            wrong = [words[start], words[start + 3], *(words[int(i)] for i in rng.choice(12, 2))]
            items.append(
                item("counting", " ".join(words[start : start + 4]), words[start + 4], wrong)
            )
    return items


def brackets(rng: np.random.Generator) -> list[Item]:
    """Close what was opened last, at depths of 2 to 5."""
    items = []
    for depth in (2, 3, 4, 5):
        for _ in range(14):
            opened = [list(CLOSING)[int(i)] for i in rng.integers(len(CLOSING), size=depth)]
            closed = [CLOSING[each] for each in reversed(opened)]
            n_closed = int(rng.integers(depth))
            context = " ".join([*opened, *closed[:n_closed]])
            items.append(item("brackets", context, closed[n_closed], list(CLOSING.values())))
    return items


def copying(rng: np.random.Generator) -> list[Item]:
    """Say a list of words again."""
    items = []
    for n in (3, 4, 5, 6):
        for _ in range(14):
            words = [WORDS[int(i)] for i in rng.choice(len(WORDS), size=n, replace=False)]
            at = int(rng.integers(1, n))
            context = f"{', '.join(words)}; {', '.join(words[:at])},"
            items.append(item("copying", context, words[at], words))
    return items


def dates(rng: np.random.Generator) -> list[Item]:
    """Say what day or month comes next, and before."""
    items = []
    for names, unit in ((DAYS, "day"), (MONTHS, "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            wrong = [names[int(j)] for j in rng.choice(len(names), 4, replace=False)]
            items.append(item("dates", f"The {unit} after {name} is", after, [before, *wrong]))
            items.append(item("dates", f"The {unit} before {name} is", before, [after, *wrong]))
            items.append(item("dates", f"{before}, {name},", after, wrong))
    return items


def arithmetic(rng: np.random.Generator) -> list[Item]:
    """Add and subtract numbers of one digit and of two."""
    items = []
    for skill, low, high in (("one digit", 1, 10), ("two digits", 10, 100)):
        for i in range(64):
            a, b = (int(v) for v in rng.integers(low, high, size=2))
            a, b, sign = (max(a, b), min(a, b), "-") if i % 2 else (a, b, "+")
            sums = a - b if i % 2 else a + b
            wrong = [str(abs(sums + off)) for off in (1, -1, 2, 10)]
            items.append(item(f"arithmetic, {skill}", f"{a} {sign} {b} =", str(sums), wrong))
    return items


def agreement(rng: np.random.Generator) -> list[Item]:
    """Choose the verb that fits its noun: next to it, and past another number's noun."""
    items = []
    for noun, (one, many) in product(NOUNS, VERBS):
        other = [each for each in NOUNS if each != noun][int(rng.integers(len(NOUNS) - 1))]
        items.append(item("agreement", f"The {noun}", one, [many]))
        items.append(item("agreement", f"The {NOUNS[noun]}", many, [one]))
        skill = "agreement past a noun"
        items.append(item(skill, f"The {noun} near the {NOUNS[other]}", one, [many]))
        items.append(item(skill, f"The {NOUNS[noun]} near the {other}", many, [one]))
    return items


def traps(rng: np.random.Generator) -> list[Item]:
    """Ask for what the text's own habit speaks against: repetition, and a word that says not."""
    items = []
    for n in range(48):
        first, second = (WORDS[int(i)] for i in rng.choice(len(WORDS), size=2, replace=False))
        times = 2 + n % 4
        count = NUMBERS[times - 1]
        context = f"Write {first} {count} times and then {second}: {' '.join([first] * times)}"
        items.append(item("trap: repetition", context, second, [first]))
    for (thing, verb, other), form in product(CAN, range(3)):
        says = f"A {thing} can {verb}. A {other} can not {verb}."
        ask = (
            f"{says} The one that can not {verb} is the",
            f"{says} What will never {verb} is the",
            f"{says} Of the two, what can not {verb} is a",
        )[form]
        items.append(item("trap: negation", ask, other, [thing]))
        turned = f"A {other} can not {verb}. A {thing} can {verb}."
        items.append(item("trap: negation", ask.replace(says, turned), other, [thing]))
    return items


def build() -> dict[str, str]:
    """Give the text of each set by its name."""
    makers = (agreement, arithmetic, brackets, copying, counting, dates, traps)
    sets = {}
    for name, make in zip(BUNDLED, makers, strict=True):
        lines = dict.fromkeys(json.dumps(each) for each in make(stream(0, "probes", name)))
        sets[name] = "\n".join(lines) + "\n"
    return sets


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in build().items():
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {text.count(chr(10))} items")
