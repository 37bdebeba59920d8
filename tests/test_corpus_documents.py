"""Laws of cutting text into documents and of reducing pages to text."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from quantascope.lm.cleaning import html_to_text, markup_body
from quantascope.lm.documents import (
    REJECT_CAUSES,
    Document,
    cut_stream,
    describe_rejects,
    unique_documents,
)

TEXTS = st.text(st.sampled_from("ab \n\t\u00e9\U0001f600"), max_size=200)


@given(TEXTS, st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(2, 40))
def test_pieces_joined_are_the_text_however_it_arrives(text, sizes, max_chars):
    """Cutting loses nothing, keeps offsets, and does not see the chunk boundaries."""
    chunks, at = [], 0
    while at < len(text):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(text[at : at + size])
        at += size
    pieces = list(cut_stream(chunks, max_chars=max_chars))
    assert "".join(piece for _, piece in pieces) == text
    assert all(text[offset : offset + len(piece)] == piece for offset, piece in pieces)
    assert all(0 < len(piece) <= max_chars for _, piece in pieces)
    assert pieces == list(cut_stream([text], max_chars=max_chars))


def test_a_cut_prefers_paragraphs_then_lines_then_blanks():
    """The best break in the second half of a full window ends the piece."""
    cases = {
        "aaaaaa\n\nbb\ncc dddd": "aaaaaa\n\n",
        "aaaaaa bb\ncc dddddd": "aaaaaa bb\n",
        "aaaaaa bbccddddddddd": "aaaaaa ",
        "aaaaaabbccdddddddddd": "aaaaaabbccdd",
        "a\n\naaabbccdddddddddd": "a\n\naaabbccdd",  # a break in the first half is too early
    }
    for text, first in cases.items():
        assert next(cut_stream([text], max_chars=12)) == (0, first)


def test_a_paragraph_break_leaves_the_indentation_to_the_next_piece():
    """Code keeps its indentation: white space behind the blank line belongs to what follows."""
    _, second = cut_stream(["def f():\n    a\n\n    b = 1\n"], max_chars=20)
    assert second == (16, "    b = 1\n")


def test_documents_equal_up_to_white_space_are_read_once():
    """Of equal documents the first stays; a different one stays too."""
    texts = ["one two", "one\n two ", "one three", " x "]
    rejects = Counter()
    kept = unique_documents((Document(t, "s", 0, "d") for t in texts), rejects=rejects)
    assert [document.text for document in kept] == ["one two", "one three"]
    assert rejects == {"duplicate": 1, "too_short": 1}
    assert set(rejects) <= set(REJECT_CAUSES)
    assert describe_rejects(rejects) == "duplicate 1, too_short 1"


def test_pages_keep_the_shape_of_their_text():
    """Blocks, list items and preformatted lines stay apart; frame and scripts go."""
    page = """<!DOCTYPE html><html><head><title>T</title><style>x</style></head><body>
    <nav><ul><li>Home</ul></nav><div class="navheader"><div>Prev</div></div>
    <h1>Head</h1><p>One
    two <b>three</b>.</p><ul><li><p>first</p></li><li>second</li></ul>
    <pre>def f():\n    return 1 &lt; 2\n</pre><script>alert()</script></body></html>"""
    assert html_to_text(page) == (
        "Head\n\nOne two three.\n\n- first\n\n- second\n\ndef f():\n    return 1 < 2\n"
    )


@given(st.text(st.sampled_from("<>/ab p=\"'&;!-\n"), max_size=80))
def test_broken_markup_is_read_without_an_error(html):
    """Any characters are a page."""
    assert isinstance(html_to_text(html) + markup_body(html), str)


def test_markup_keeps_its_closing_tags():
    """The markup domain is about tags: only the frame around them goes."""
    head = '<?xml version="1.0"?><html><head><meta/></head>'
    page = head + '<body><p id="a">b</p><!-- c --></body></html>'
    assert markup_body(page) == '<html><body><p id="a">b</p></body></html>'
