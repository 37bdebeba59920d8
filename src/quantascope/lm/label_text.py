"""What a language model is shown when it labels a cluster, and what is kept of its answer.

Text from corpora is hostile. It enters a prompt as one line, its control characters named or gone,
its marks broken up, cut to a length; the answer leaves as one line of plain characters, cut too.
So a text can make a label bad, and nothing else.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = [
    "MOST_CHARS",
    "MOST_LABEL_CHARS",
    "PROMPTS",
    "label_prompt",
    "likelihood_prompt",
    "marked_line",
    "one_label",
    "yes_no_prompt",
]

MOST_CHARS: Final = 160
"""Characters of text shown before a target."""
_MOST_TARGET: Final = 40
MOST_LABEL_CHARS: Final = 100
_OPEN, _CLOSE = "<<", ">>"
_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_DOUBLED: Final = re.compile(r"<(?=<)|>(?=>)")
_NOT_SHOWN: Final = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")

PROMPTS: Final = {
    "label": (
        "Each list shows short texts. The piece between << and >> is what comes next in its text. "
        "One line says what these pieces, or the words before them, have in common.\n\n"
        "Texts:\n- The treaty was signed in Paris in<< 1763>>\n- He was born here in<< 1802>>\n"
        "- It burned down in<< 1666>>\nIn common: a year after the word in\n\n"
        "Texts:\n- while (i < n) { i++;<< }>>\n- int f(int x) { return x;<< }>>\n"
        "In common: the brace that closes a block of code\n\n"
        "Texts:\n{texts}\nIn common:"
    ),
    "likelihood": "Texts:\n- {text}\nIn common:",
    "yes-no": (
        'Text: {text}\nIs "{label}" a good description of the piece between << and >>, or of the '
        "words before it?\nAnswer:"
    ),
}
"""The prompts, word by word: those of a score are followed by the label, or by yes and no."""


def marked_line(before: str, target: str) -> str:
    r"""Write a text and its target as one line, the target between marks.

    Parameters
    ----------
    before
        Text before the target; its last `MOST_CHARS` characters are kept.
    target
        What comes next.

    Examples
    --------
    >>> print(marked_line("a <<b>>\n", " c\u202e"))
    a < <b> >\n<< c>>
    """
    start = _DOUBLED.sub(lambda found: f"{found[0]} ", _shown(before[-MOST_CHARS:]))
    end = _DOUBLED.sub(lambda found: f"{found[0]} ", _shown(target[:_MOST_TARGET]))
    return f"{start[-MOST_CHARS:]}{_OPEN}{end[: 2 * _MOST_TARGET]}{_CLOSE}"


def one_label(answer: str) -> str:
    r"""Keep the first line of a model's answer: plain characters, single spaces, cut.

    Examples
    --------
    >>> one_label(' "A closing\tbrace".\nTexts: - x')
    'A closing brace'
    """
    lines = answer.strip().splitlines()
    line = " ".join(_shown((lines or [""])[0].replace("\t", " ")).split())
    return line[:MOST_LABEL_CHARS].strip(" \"'`.")


def label_prompt(lines: Sequence[str]) -> str:
    """Ask what texts, as `marked_line` writes them, have in common."""
    return PROMPTS["label"].replace("{texts}", "\n".join(f"- {line}" for line in lines))


def likelihood_prompt(line: str) -> str:
    """Ask what is common to one text; a label's likelihood behind it says how well it fits."""
    return PROMPTS["likelihood"].replace("{text}", line)


def yes_no_prompt(line: str, label: str) -> str:
    """Ask whether a label fits a text."""
    before, _, after = PROMPTS["yes-no"].partition("{text}")
    return before + line + after.replace("{label}", label.replace('"', "'"))


def _shown(text: str) -> str:
    """Name line ends and tabs, drop other control and direction characters."""
    return "".join(_NAMED.get(c, "" if unicodedata.category(c) in _NOT_SHOWN else c) for c in text)
