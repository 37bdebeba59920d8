"""Laws of probe sets: what a line may be, and that bad ones are named by their number."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.core.errors import DataError
from quantascope.lm.probes.items import BUNDLED, digest, open_probes, parse_probes

GOOD = {"skill": "sums", "context": "1 + 1 =", "answers": [" 2"], "wrong": [" 3"]}


def line(**changes) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_lines_become_items_with_their_numbers():
    content = (
        b"\xef\xbb\xbf" + line() + b"\r\n\n" + line(context="2 + 2 =", answers=[" 4", " four"])
    )
    found = parse_probes(content, name="mine")
    assert [item.line for item in found.items] == [1, 3]
    assert found.items[1].answers == (" 4", " four")
    assert found.items[0].wrong == (" 3",)
    without = {key: value for key, value in GOOD.items() if key != "wrong"}
    assert parse_probes(json.dumps(without).encode(), name="mine").items[0].wrong == ()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"not json", "not a JSON object"),
        (b"\xff\xfe{}", "not a JSON object in UTF-8"),
        (b"[" * 100_000, "not a JSON object"),
        (b"3", "int found; give a JSON object"),
        (b"[]", "list found"),
        (b"{}", "skill missing"),
        (line(answer=[" 2"]), "key 'answer' unknown; allowed are skill, context, answers, wrong"),
        (line(skill=3), "skill: 3 found"),
        (line(skill="a\nb"), "printable"),
        (line(skill="\x1b[31mred"), "printable"),
        (line(skill=" sums"), "printable"),
        (line(skill="s" * 81), "81 characters; at most 80"),
        (line(context=""), "context: "),
        (line(context=" \n"), "not blank"),
        (line(context="x" * 40_001), "at most 40,000"),
        (line(answers=[]), "answers: give a list of 1 to 64"),
        (line(answers=" 2"), "answers: give a list"),
        (line(answers=[" 2", " 2"]), "twice"),
        (line(answers=[""]), "not blank"),
        (line(answers=[None]), "None found"),
        (line(answers=["y" * 2001]), "at most 2,000"),
        (line(wrong=[" 2"]), "' 2' is right and wrong"),
        (line(wrong=[str(i) for i in range(65)]), "wrong: give a list of 0 to 64"),
        (b'{"skill": "s", "context": "\\ud800", "answers": ["x"]}', "surrogate"),
        (line(context="z" * 300_000), "longer than 262,144 bytes"),
    ],
)
def test_a_bad_line_is_named_by_its_number_in_one_bounded_line(bad, said):
    with pytest.raises(DataError) as caught:
        parse_probes(line() + b"\n\n" + bad, name="mine.jsonl")
    text = str(caught.value)
    assert text.startswith("mine.jsonl, line 3: ")
    assert said in text
    assert "\n" not in text
    assert len(text) < 300
    assert "\x1b" not in text


def read(content: bytes) -> str:
    """Give what is said of bytes that are no set."""
    try:
        parse_probes(content, name="any")
    except DataError as error:
        return str(error)
    return ""


VALUES = st.recursive(st.none() | st.text(max_size=9) | st.floats(), st.lists, max_leaves=5)


@given(st.binary(max_size=200))
def test_any_bytes_give_items_or_one_line(content):
    assert "\n" not in read(content)


@given(st.dictionaries(st.text(max_size=9), VALUES))
def test_any_object_gives_items_or_one_line(value):
    assert "\n" not in read(json.dumps({**GOOD, **value}).encode())


def test_empty_and_missing_sets_are_refused(tmp_path):
    with pytest.raises(DataError, match="no items"):
        parse_probes(b"\n \n", name="empty")
    with pytest.raises(ValueError, match="neither a file nor one of agreement, arithmetic"):
        open_probes(str(tmp_path / "none.jsonl"))


def test_bundled_sets_are_what_the_script_writes():
    path = Path(__file__).parent.parent / "scripts" / "build_probes.py"
    spec = importlib.util.spec_from_file_location("build_probes", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    built = script.build()
    assert tuple(built) == BUNDLED
    for name, text in built.items():
        assert (script.FOLDER / f"{name}.jsonl").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_have_forty_items_a_skill_and_begin_answers_at_a_blank(name):
    items = open_probes(name).items
    assert min(Counter(item.skill for item in items).values()) >= 40
    for item in items:
        assert len(item.answers) == 1
        assert item.wrong
        for text in (*item.answers, *item.wrong):
            assert text.startswith(" ")
            assert not text[1:].startswith(" ")
        assert item.context == item.context.rstrip()
    right = {(item.context, text) for item in items for text in item.answers}
    assert not right & {(item.context, text) for item in items for text in item.wrong}


def test_the_digest_knows_order_and_content():
    one, two = open_probes("dates"), open_probes("counting")
    assert digest([one, two]) != digest([two, one])
    assert digest([one]) == digest([open_probes("dates")])
