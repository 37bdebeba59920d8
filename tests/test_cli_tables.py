"""Laws of reading a user's table: numbers come back exactly; every fault is one bounded line."""

import json

import numpy as np
import pandas as pd
import pytest

from quantascope.cli.tables import read_columns, read_numbers
from quantascope.core.errors import DataError

TABLE = {"params": [1.5, 2e9, 0.1], "loss": [3.0, 2.5, 1e-300], "run": ["a", "b", "ü"]}


def write(path, frame):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=15)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_columns(suffix, tmp_path):
    frame = pd.DataFrame(TABLE).assign(loss=[3.0, 2.5, 0.125])
    path = write(tmp_path / f"t{suffix}", frame)
    found = read_columns(path, {"N": "params", "y": "loss", "run": "run"}, text=("run",))
    np.testing.assert_array_equal(found["N"], TABLE["params"])
    np.testing.assert_array_equal(found["y"], [3.0, 2.5, 0.125])
    assert found["run"].tolist() == TABLE["run"]


def test_decimal_text_becomes_the_nearest_double(tmp_path):
    values = np.random.default_rng(1).lognormal(sigma=50, size=2000)
    path = tmp_path / "t.csv"
    path.write_text("x\n" + "\n".join(repr(float(v)) for v in values))
    np.testing.assert_array_equal(read_columns(path, {"x": "x"})["x"], values)


def fault(path, columns=None, **options):
    with pytest.raises(DataError) as caught:
        read_columns(path, columns or {"x": "x"}, **options)
    message = str(caught.value)
    assert len(message.replace(str(path), "")) < 600
    assert message.isprintable()
    return message.replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("\ufeff", ["no column 'x'"]),
        ("y,z\n1,2\n", ["no column 'x'", "'y', 'z'"]),
        ("x,x\n1,2\n", ["2 columns named 'x'"]),
        ("x;y\n1;2\n", ["separated by semicolons", ".csv file has commas", "save it"]),
        ("x\ty\n1\t2\n", ["separated by tabs", ".csv file has commas", "name it .tsv"]),
        ("x|y\n1|2\n", ["separated by bars", "save it with commas"]),
        ("x\n", ["no data rows"]),
        ("x,y\n1,2\ntwo,3\n", ["row 2", "'x'", "'two'", "finite numbers"]),
        ("x,y\n1,2\nnan,3\n", ["row 2", "'nan'"]),
        ("x,y\n1,2\n-inf,3\n", ["row 2", "'-inf'"]),
        ("x,y\n1,2\n1e999,3\n", ["row 2", "'1e999'"]),
        ("x,y\n1,2\n ,3\n", ["row 2", "blank"]),
        ("x,y\n1,2\n0x10,3\n", ["row 2", "'0x10'"]),
        ("x,y\n1,2\n1_0,3\n", ["row 2", "'1_0'"]),
        ("x,y\n1,2\nTrue,3\n", ["row 2", "'True'"]),
        ("x,y\n1,2\n1,5,3\n", ["row 2", "3 cells, not 2"]),
        ('x,y\n1,2\n"1,5', ["row 2", "quotes"]),
        ("x\n1\n\x1b[31m\u202ered\n", ["row 2", "\\x1b[31m\\u202ered"]),
        ("x\n1\n" + "9" * 100 + "z\n", ["row 2", "…"]),
        ("x\n" + "a" * 200_000 + "\n", ["row 1"]),
        (",".join(f"c{i}" for i in range(5000)) + "\n1\n", ["and 4988 more"]),
    ],
)
def test_a_bad_csv_is_one_line_that_says_where(text, words, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    message = fault(path)
    assert all(word in message for word in ["FILE", *words]), message


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ('{"x": "3"}', ["row 2", "'3'"]),
        ('{"x": NaN}', ["row 2", "'nan'"]),
        ('{"x": null}', ["row 2", "blank"]),
        ('{"x": true}', ["row 2", "'True'"]),
        ('{"x": [1]}', ["row 2", "'[1]'"]),
        ('{"x": 1' + "0" * 400 + "}", ["row 2", "100000"]),
        ('{"y": 1}', ["row 2 has no 'x'"]),
        ("[1]", ["row 2 is '[1]'"]),
        ("{", ["row 2 is not JSON"]),
        ("[" * 100_000, ["row 2 is not JSON"]),
    ],
)
def test_a_bad_json_line_says_where(record, words, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"x": 1}) + "\n\n" + record + "\n")
    message = fault(path)
    assert all(word in message for word in words), message


def test_other_files_are_refused_by_what_they_are(tmp_path):
    assert "no such file" in fault(tmp_path / "absent.csv")
    assert "ends in .csv" in fault(tmp_path / "t.xlsx")
    (tmp_path / "d.csv").mkdir()
    assert "not a file" in fault(tmp_path / "d.csv")
    (tmp_path / "b.csv").write_bytes(b"x\n\0\1\2")
    assert "binary" in fault(tmp_path / "b.csv")
    (tmp_path / "u.csv").write_bytes("x\n1".encode("utf-16"))
    assert "UTF-16 text; save it as UTF-8" in fault(tmp_path / "u.csv")
    (tmp_path / "c.tsv").write_text("x,y\n1,2\n")
    assert "separated by commas; a .tsv file has tabs: name it .csv" in fault(tmp_path / "c.tsv")
    (tmp_path / "s.csv").write_text("x;y\n1\n")
    assert read_columns(tmp_path / "s.csv", {"x": "x;y"})["x"].tolist() == [1]
    (tmp_path / "l.csv").write_bytes("x\nü".encode("latin-1"))
    assert "not UTF-8" in fault(tmp_path / "l.csv")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 but not really")
    assert "Parquet" in fault(tmp_path / "p.parquet")
    pd.DataFrame({"x": [1.0, None]}).to_parquet(tmp_path / "n.parquet")
    assert "row 2" in fault(tmp_path / "n.parquet")
    pd.DataFrame({"x": ["1", "2"]}).to_parquet(tmp_path / "s.parquet")
    assert read_columns(tmp_path / "s.parquet", {"x": "x"})["x"].tolist() == [1, 2]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_row_limit_is_stated_and_its_last_row_allowed(suffix, tmp_path):
    path = write(tmp_path / f"t{suffix}", pd.DataFrame({"x": [1.0, 2.0, 3.0]}))
    assert "more than 2 rows" in fault(path, max_rows=2)
    assert len(read_columns(path, {"x": "x"}, max_rows=3)["x"]) == 3


def test_blanks_around_a_name_do_not_count(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(" x ,y\n1,2\n")
    assert read_columns(path, {"x": "x ", "y": " y"})["y"].tolist() == [2]


def test_a_blank_group_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,run\n1,a\n2, \n")
    assert "row 2 of column 'run' is blank" in fault(path, {"x": "x", "g": "run"}, text=("g",))


def test_a_plain_file_is_one_number_a_line(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("3\n\n1.5\n 2e3 \n")
    assert read_numbers(path).tolist() == [3, 1.5, 2000]
    path.write_text("3\nthree\n")
    with pytest.raises(DataError, match=r"row 2 is 'three'"):
        read_numbers(path)
    path.write_text("3\n4\n")
    with pytest.raises(DataError, match="more than 1 rows"):
        read_numbers(path, max_rows=1)
