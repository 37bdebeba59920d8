"""Facts of the natural world: small tables in which each word has one answer."""
# ruff: noqa: SIM905  tables of words read better as text

from typing import Final

__all__ = ["FACTS", "MONTHS", "NAMES", "NUMBERS", "WEEKDAYS"]

MONTHS: Final = tuple("jan feb mar apr may jun jul aug sep oct nov dec".split())
WEEKDAYS: Final = tuple("mon tue wed thu fri sat sun".split())
NAMES: Final = tuple("ada ben cleo dan eve finn gus hana".split())
NUMBERS: Final = tuple(map(str, range(32)))
_SPELLED: Final = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ROMAN: Final = "i ii iii iv v vi vii viii ix x xi xii".split()


def _pairs(text: str) -> dict[str, str]:
    """Read ``word:answer word:answer ...``."""
    return dict((pair.split(":")[0], pair.split(":")[1]) for pair in text.split())


def _aligned(words: tuple[str, ...], answers: str) -> dict[str, str]:
    return dict(zip(words, answers.split(), strict=True))


_UNITS: Final = _pairs(
    "metre:m gram:g second:s ampere:A kelvin:K candela:cd hertz:Hz newton:N joule:J watt:W volt:V "
    "pascal:Pa"
)

FACTS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "month-number": ("month", dict(zip(MONTHS, NUMBERS[1:13], strict=True))),
    "month-season": (
        "month",
        _aligned(
            MONTHS, "winter winter " + 3 * "spring " + 3 * "summer " + 3 * "autumn " + "winter"
        ),
    ),
    "month-days": ("month", _aligned(MONTHS, "31 28 31 30 31 30 31 31 30 31 30 31")),
    "month-half": ("month", _aligned(MONTHS, 6 * "early " + 6 * "late ")),
    "month-opposite": ("month", dict(zip(MONTHS, MONTHS[6:] + MONTHS[:6], strict=True))),
    "day-number": ("weekday", dict(zip(WEEKDAYS, NUMBERS[1:8], strict=True))),
    "day-kind": ("weekday", _aligned(WEEKDAYS, 5 * "work " + "rest rest")),
    "day-after-next": ("weekday", dict(zip(WEEKDAYS, WEEKDAYS[2:] + WEEKDAYS[:2], strict=True))),
    "spell": ("number", dict(zip(NUMBERS[1:13], _SPELLED[1:], strict=True))),
    "roman": ("number", dict(zip(NUMBERS[1:13], _ROMAN, strict=True))),
    "to-month": ("number", dict(zip(NUMBERS[1:13], MONTHS, strict=True))),
    "digits": ("spelled", dict(zip(_SPELLED, NUMBERS, strict=False))),
    "unit-short": ("unit", _UNITS),
    "unit-kind": (
        "unit",
        _aligned(
            tuple(_UNITS),
            "length mass time current heat light rate force energy power tension press",
        ),
    ),
    "short-unit": ("symbol", {short: unit for unit, short in _UNITS.items()}),
    "young": (
        "animal",
        _pairs(
            "cat:kitten dog:puppy cow:calf horse:foal sheep:lamb goat:kid pig:piglet duck:chick"
        ),
    ),
    "sound": (
        "animal",
        _pairs("cat:mew dog:bark cow:moo horse:neigh sheep:bleat goat:bray pig:oink duck:quack"),
    ),
    "animals": (
        "animal",
        _pairs(
            "cat:cats dog:dogs cow:cows horse:horses sheep:sheep goat:goats pig:pigs duck:ducks"
        ),
    ),
    "capital": (
        "country",
        _pairs(
            "france:paris spain:madrid italy:rome japan:tokyo egypt:cairo peru:lima kenya:nairobi "
            "cuba:havana"
        ),
    ),
    "continent": (
        "country",
        _pairs(
            "france:europe spain:europe italy:europe japan:asia egypt:africa peru:america "
            "kenya:africa cuba:america"
        ),
    ),
    "tongue": (
        "country",
        _pairs(
            "france:french spain:spanish italy:italian japan:japanese egypt:arabic peru:spanish "
            "kenya:swahili cuba:spanish"
        ),
    ),
    "opposite": (
        "adjective",
        _pairs("big:small hot:cold fast:slow old:new wet:dry high:low full:empty rich:poor"),
    ),
    "more": (
        "adjective",
        _pairs(
            "big:bigger hot:hotter fast:faster old:older wet:wetter high:higher full:fuller "
            "rich:richer"
        ),
    ),
    "past": (
        "verb",
        _pairs("go:went see:saw eat:ate give:gave take:took write:wrote sing:sang know:knew"),
    ),
    "done": (
        "verb",
        _pairs(
            "go:gone see:seen eat:eaten give:given take:taken write:written sing:sung know:known"
        ),
    ),
    "rhyme": (
        "rhyme",
        _pairs(
            "moon:june light:night tree:sea rain:again day:away fire:desire cloud:loud rose:nose"
        ),
    ),
    "article": (
        "noun",
        _pairs("apple:an pear:a egg:an onion:an bean:a orange:an plum:a olive:an leek:a"),
    ),
}
"""Name of the skill: kind of word asked for (skills of one kind share their words), the table."""
