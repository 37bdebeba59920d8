"""Annotations: replay goes by time, merges are unions, undo takes back, no line is lost."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.explorer.annotate import append, make_annotation
from quantascope.explorer.query import BadQueryError
from quantascope.reader.annotations import Annotation, member_sketch, read_log, replay

MEMBERS = {f"c{i:08x}": np.arange(100 * i, 100 * i + 40 + i) for i in range(6)}
A, B, C = list(MEMBERS)[:3]


def note(number: int, op: str, *clusters: str, **more) -> Annotation:
    return Annotation(
        id=f"{number:016x}", time=f"2026-01-01T00:00:{number:02d}+00:00", author="x", op=op,
        clusters=clusters, sketches=tuple(member_sketch(MEMBERS[c]) for c in clusters), **more,
    )  # fmt: skip


def test_the_last_name_holds_whatever_the_order_of_lines(tmp_path):
    lines = [note(2, "rename", A, text="late"), note(1, "rename", A, text="early")]
    for one in lines:
        append(tmp_path / "log", one)
    log, n_bad = read_log(tmp_path / "log")
    assert n_bad == 0
    assert replay(log, MEMBERS)[0][A].name == "late"
    assert replay(reversed(log), MEMBERS)[0][A].name == "early"  # the order does decide


def test_two_files_joined_line_by_line_are_one_log(tmp_path):
    mine = [note(1, "rename", A, text="mine"), note(3, "tag", B, text="seen")]
    theirs = [note(2, "rename", A, text="theirs")]
    path = tmp_path / "log"
    for one in (*theirs, *mine, *theirs):
        append(path, one)
    log, _ = read_log(path)
    assert [one.id for one in log] == [one.id for one in (mine[0], theirs[0], mine[1])]
    groups, _ = replay(log, MEMBERS)
    assert (groups[A].name, groups[B].tags) == ("theirs", ("seen",))


def test_a_merge_is_the_union_and_its_undo_gives_the_parts_back():
    merge, undo = note(1, "merge", A, B), note(2, "undo", of=f"{1:016x}")
    groups, lost = replay([merge], MEMBERS)
    assert not lost
    assert {A, B}.isdisjoint(groups)
    (made,) = [group for group in groups.values() if group.parents]
    assert made.parents == (A, B)
    np.testing.assert_array_equal(made.preds, np.union1d(MEMBERS[A], MEMBERS[B]))
    assert replay([merge, undo], MEMBERS)[0].keys() == MEMBERS.keys()
    redone = replay([merge, undo, note(3, "undo", of=undo.id)], MEMBERS)[0]
    assert redone.keys() == groups.keys()


def test_a_split_parts_members_and_loses_none():
    chosen = tuple(MEMBERS[C][:7].tolist())
    groups, lost = replay([note(1, "split", C, preds=chosen)], MEMBERS)
    parts = [group.preds for group in groups.values() if group.parents == (C,)]
    assert not lost
    assert sorted(map(len, parts)) == [7, len(MEMBERS[C]) - 7]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), MEMBERS[C])
    everything = tuple(MEMBERS[C].tolist())
    assert replay([note(1, "split", C, preds=everything)], MEMBERS)[1]


@given(st.integers(0, 40), st.integers(0, 40))
def test_after_new_clustering_a_name_goes_to_who_has_most_of_the_members(lost, gained):
    """Carried over from an overlap of one half on.

    64 hashes of a union of up to 80 err by sqrt(.25 / 64) = .0625 or less, 4.8 of which are .3; up
    to 64 the overlap is exact.
    """
    old = MEMBERS[A][:40]
    kept = np.concatenate([old[: len(old) - lost], np.arange(5000, 5000 + gained)])
    one = replace(note(1, "rename", A, text="name"), sketches=(member_sketch(old),))
    if not len(kept):
        return
    groups, orphans = replay([one], {"cnew": kept, "cother": np.arange(900, 930)})
    jaccard = (len(old) - lost) / (len(old) + gained)
    estimate = groups["cnew"].overlap
    exact = len(old) + gained <= 64
    slack = 1e-9 if exact else 0.3
    if orphans:
        assert jaccard < 0.5 + slack
    else:
        assert groups["cnew"].name == "name"
        assert abs(estimate - jaccard) < slack
        assert estimate >= 0.5


def test_what_is_near_nothing_is_kept_and_said():
    groups, lost = replay([note(1, "rename", A, text="name")], {"cnew": np.arange(7000, 7100)})
    assert [one.text for one in lost] == ["name"]
    assert not groups["cnew"].name


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path):
    path = tmp_path / "log"
    append(path, note(1, "rename", A, text="first"))
    whole = json.dumps(asdict(note(2, "rename", A, text="cut")))
    with path.open("a") as file:
        file.write(whole[: len(whole) // 2])
    append(path, note(3, "tag", A, text="after"))
    log, n_bad = read_log(path)
    assert [one.op for one in log] == ["rename", "tag"]
    assert n_bad == 1


def test_hostile_lines_are_counted_and_left_out(tmp_path):
    path = tmp_path / "log"
    good = json.dumps(asdict(note(1, "note", A, text="<script>alert(1)</script>")))
    bad = [
        "<<<<<<< ours",
        "[" * 90_000,
        '{"id": 3}',
        '{"id":"x","time":"now","op":"rename"}',
        "\0\0",
    ]
    path.write_text("\n".join([*bad, good, good]), encoding="utf-8")
    log, n_bad = read_log(path)
    assert n_bad == len(bad)
    assert [one.text for one in log] == ["<script>alert(1)</script>"]


GROUPS, _ = replay([], MEMBERS)
REFUSED = {
    "op": ({"op": "drop"}, "op: 'drop' found"),
    "empty": ({"op": "rename", "clusters": A, "text": " "}, "text: 0 characters"),
    "long": ({"op": "tag", "clusters": A, "text": "x" * 61}, "text: 61 characters"),
    "unknown": ({"op": "hide", "clusters": "../etc"}, "no cluster '../etc'"),
    "one": ({"op": "merge", "clusters": A}, "clusters: 1 found"),
    "twice": ({"op": "merge", "clusters": f"{A},{A}"}, "clusters: 2 found"),
    "all": ({"op": "split", "clusters": A, "preds": " ".join(map(str, range(40)))}, "not all"),
    "words": ({"op": "split", "clusters": A, "preds": "1;drop"}, "preds: give at most"),
    "undo": ({"op": "undo", "of": "nothing"}, "of: no annotation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_form_that_makes_no_sense_is_refused_by_field(case):
    form, said = REFUSED[case]
    with pytest.raises(BadQueryError, match=said.replace(".", r"\.")):
        make_annotation(form, GROUPS, known=frozenset())


def test_a_form_becomes_a_line_that_replays_to_what_was_asked(tmp_path):
    form = {"op": "merge", "clusters": f"{A},{B}", "author": "ann", "text": "left out"}
    append(tmp_path / "log", make_annotation(form, GROUPS, known=frozenset()))
    groups, lost = replay(read_log(tmp_path / "log")[0], MEMBERS)
    assert not lost
    assert len(groups) == len(MEMBERS) - 1
