"""Laws of the renderer: nothing unescaped, nothing lost, nothing unbounded."""

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.reader.tokens import (
    decode_tokens,
    render_context,
    render_text,
    render_words,
    visible,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></section><img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "{{ 7*7 }}{% raw %}",
    "\u202eevil\u2066",
    "a\u0301" + "\u0301" * 500,
    "\x00\x1b[31mred\x07",
    "&amp;&#60;script&#62;",
    "]]><!--",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_leaves_no_markup_but_the_mark(text):
    pieces = [text.encode(), b"target", text.encode()]
    rendered = str(render_context(pieces, 1))
    assert rendered.count("<mark>") == rendered.count("</mark>") == 1
    rest = rendered.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in rest
    assert ">" not in rest
    assert '"' not in rest


@given(st.text())
def test_escaped_text_reads_back_as_the_visible_text(text):
    assert html.unescape(str(render_text(text, max_chars=50))) == visible(
        text, max_chars=50
    ).replace("\n", "")


@given(st.text())
def test_no_control_or_direction_character_survives(text):
    shown = visible(text).replace("\n", "")
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@given(st.text(max_size=40), st.integers(1, 5))
def test_tokens_cut_inside_characters_decode_to_the_whole_text(text, size):
    data = text.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert "".join(decode_tokens(pieces)) == text


def test_bytes_that_are_no_text_become_replacement_characters():
    assert "".join(decode_tokens([b"\xff", b"a", b"\xe2\x82"])) == "\ufffda\ufffd"


def test_length_is_bounded_on_both_sides():
    pieces = [b"x" * 10_000, b"t", b"y" * 10_000]
    assert len(render_context(pieces, 1, max_chars=100)) < 250
    assert len(visible("x" * 10_000, max_chars=100)) == 101


def test_white_space_is_visible():
    assert visible(" \t\n") == "·→⏎\n"


@given(st.text(alphabet=st.sampled_from("ab <&'\"\n\t\u00a0\u202e\u2066\x00e\u0301")))
def test_words_have_plain_spaces_and_nothing_else_that_text_may_not_have(text):
    shown = html.unescape(str(render_words(text)))
    assert shown == " ".join(visible(word) for word in text.split())
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in shown)
    assert "<" not in str(render_words(text))


def test_words_are_bounded():
    assert len(render_words("ab " * 10_000, max_chars=200)) <= 201
