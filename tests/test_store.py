"""Laws of the store: round trips, sealing, staleness, damage."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.core.errors import ArtefactError
from quantascope.store.arrays import create_array, open_array, write_array, write_npy
from quantascope.store.check import validate_run
from quantascope.store.digest import digest_json
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import MANIFEST, read_manifest
from quantascope.store.schema import KINDS
from quantascope.store.status import stage_status
from quantascope.store.tables import read_table, write_table

CORPUS_CONFIG = {"source": ["x"], "seed": 3}


def _make_corpus(run: RunFolder, n_docs: int = 4, config=None, fill: int = 1):
    work = run.open_workspace("corpus", config or CORPUS_CONFIG)
    tokens = np.full(5 * n_docs, fill, dtype=np.int32)
    write_npy(work.path, "corpus", name="tokens.npy", values=tokens)
    write_npy(work.path, "corpus", name="offsets.npy", values=np.arange(n_docs + 1) * 5)
    docs = {
        "doc": np.arange(n_docs),
        "source": ["a"] * n_docs,
        "domain": ["prose"] * n_docs,
        "source_offset": np.arange(n_docs),
        "n_tokens": np.full(n_docs, 5),
        "document_hash": np.arange(n_docs, dtype=np.uint64),
    }
    write_table(work.path, "corpus", name="docs.parquet", table=pa.table(docs))
    vocab = {"id": [0, 1, 2], "bytes": [b"a", b"b", b"c"], "special": [True, False, False]}
    write_table(work.path, "corpus", name="vocab.parquet", table=pa.table(vocab))
    return work.finish({"n_tokens": 5 * n_docs, "max_length": 5})


def _make_losses(run: RunFolder):
    work = run.open_workspace("losses", {})
    values = np.ones((20, 1), dtype=np.float32)
    values[::5] = np.nan
    write_array(work.path, "losses", name="losses.zarr", values=values)
    row = dict.fromkeys(KINDS["losses"].tables["models.parquet"].columns, 0)
    row |= {"name": "m", "weights_sha256": "0", "mean_loss_nats": 1.0}
    write_table(work.path, "losses", name="models.parquet", table=pa.Table.from_pylist([row]))
    return work.finish({})


def _write_sealed(path, content):
    inside = {key: value for key, value in content.items() if key not in ("digest", "made")}
    path.write_text(json.dumps(content | {"digest": digest_json(inside)}))


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_an_artefact_reads_back_as_written(run):
    _make_corpus(run)
    tokens = open_array(run.stage("corpus"), "corpus", name="tokens.npy")
    assert tokens.tolist() == [1] * 20
    assert read_table(run.stage("corpus"), "docs.parquet").column("doc").to_pylist() == [0, 1, 2, 3]


@given(rows=st.integers(1, 300), dim=st.integers(1, 9), chunk=st.integers(1, 64))
def test_zarr_arrays_read_back_for_any_shape_and_chunk(tmp_path_factory, rows, dim, chunk):
    folder = tmp_path_factory.mktemp("zarr")
    values = np.arange(rows * dim, dtype=np.float16).reshape(rows, dim)
    create_array(folder, "sketch", name="sketch.zarr", shape=values.shape, chunk_rows=chunk)[
        ...
    ] = values
    assert np.array_equal(open_array(folder, "sketch", name="sketch.zarr")[...], values)


def test_equal_content_gives_equal_bytes_and_digests(tmp_path):
    digests = []
    for name in ("a", "b"):
        run = RunFolder(tmp_path / name)
        _make_corpus(run)
        digests.append((_make_losses(run).digest, run.require("corpus").digest))
    assert digests[0] == digests[1]
    other = RunFolder(tmp_path / "c")
    assert _make_corpus(other, fill=2).digest != digests[0][1]


def test_time_and_host_are_outside_the_digest(run):
    manifest = _make_corpus(run)
    path = run.stage("corpus") / MANIFEST
    content = json.loads(path.read_text())
    content["made"] = {"time": 0.0, "host": "elsewhere", "device": "cuda"}  # no other key
    path.write_text(json.dumps(content))
    assert read_manifest(run.stage("corpus")).digest == manifest.digest


def test_digest_of_json_ignores_key_order():
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})


def test_a_changed_config_makes_a_stage_stale_and_names_the_key(run):
    _make_corpus(run)
    assert stage_status(run, "corpus", {"corpus": CORPUS_CONFIG}).state == "done"
    status = stage_status(run, "corpus", {"corpus": CORPUS_CONFIG | {"seed": 4}})
    assert (status.state, status.why) == ("stale", "config changed: seed")


def test_a_changed_parent_makes_a_stage_stale(run):
    _make_corpus(run)
    _make_losses(run)
    assert stage_status(run, "losses", {}).state == "done"
    _make_corpus(run, fill=2)
    assert stage_status(run, "losses", {}).why == "parent corpus changed"


def test_an_unfinished_stage_is_partial_and_the_old_artefact_stays(run):
    _make_corpus(run)
    run.open_workspace("losses", {})
    assert stage_status(run, "losses", {}).state == "partial"
    run.open_workspace("corpus", {"other": 1})
    assert stage_status(run, "corpus", {"corpus": CORPUS_CONFIG}).state == "done"


def test_shards_are_kept_for_the_same_key_and_dropped_for_another(run):
    work = run.open_workspace("corpus", {"a": 1})
    work.shards.save("s", np.arange(3))
    (work.path / "half-written.parquet").write_bytes(b"x")
    again = run.open_workspace("corpus", {"a": 1})
    assert again.shards.load("s").tolist() == [0, 1, 2]
    assert not (again.path / "half-written.parquet").exists()
    assert not run.open_workspace("corpus", {"a": 2}).shards.has("s")


@pytest.mark.parametrize("moment", ["sealed", "old moved away"])
def test_recovery_finishes_a_swap_that_a_kill_interrupted(run, moment):
    first = _make_corpus(run)
    second = _make_corpus(run, fill=2)
    work = run.root / ".work" / "corpus"
    shutil.copytree(run.stage("corpus"), work)
    if moment == "old moved away":
        run.stage("corpus").rename(run.root / ".work" / "corpus.old")
    run.recover()
    assert run.require("corpus").digest == second.digest != first.digest
    assert validate_run(run) == []


def test_a_second_writer_is_refused(run):
    with run.lock(), pytest.raises(ArtefactError, match="another process"), run.lock():
        pass
    with run.lock():
        pass


def test_a_sound_run_validates(run):
    _make_corpus(run)
    _make_losses(run)
    assert validate_run(run) == []


def test_every_flipped_byte_is_found_and_its_file_named(run):
    _make_corpus(run)
    _make_losses(run)
    files = [
        run.stage(kind) / name for kind in ("corpus", "losses") for name in run.require(kind).files
    ]
    assert len(files) >= 7
    for path in files:
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[at] ^= 0x10
            path.write_bytes(bytes(damaged))
            assert any(line.startswith(str(path)) for line in validate_run(run)), (path, at)
        path.write_bytes(whole)
    assert validate_run(run) == []


def test_an_edited_manifest_is_found(run):
    _make_corpus(run)
    _make_losses(run)
    path = run.stage("corpus") / MANIFEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"facts": {"n_tokens": 21, "max_length": 5}}))
    assert any(line.startswith(str(path)) for line in validate_run(run))
    assert stage_status(run, "corpus", {}).state == "damaged"
    assert stage_status(run, "losses", {}).why == "parent corpus is damaged"


def test_a_stage_behind_a_stale_parent_is_stale_too(run):
    _make_corpus(run)
    _make_losses(run)
    why = stage_status(run, "losses", {"corpus": CORPUS_CONFIG | {"seed": 9}}).why
    assert why == "parent corpus is stale (config changed: seed)"


def test_missing_and_unlisted_files_are_named(run):
    _make_corpus(run)
    (run.stage("corpus") / "docs.parquet").unlink()
    (run.stage("corpus") / "stray").write_text("")
    damage = validate_run(run)
    assert any("docs.parquet: missing" in line for line in damage)
    assert any("stray: not listed" in line for line in damage)


def test_an_invariant_between_stages_is_checked(run):
    _make_corpus(run)
    work = run.open_workspace("losses", {})
    write_array(work.path, "losses", name="losses.zarr", values=np.ones((19, 1), dtype=np.float32))
    row = dict.fromkeys(KINDS["losses"].tables["models.parquet"].columns, 0)
    row |= {"name": "m", "weights_sha256": "0", "mean_loss_nats": 1.0}
    write_table(work.path, "losses", name="models.parquet", table=pa.Table.from_pylist([row]))
    work.finish({})
    assert any("losses.zarr: shape (19, 1)" in line for line in validate_run(run))


def test_an_unknown_major_schema_is_refused_and_a_minor_one_read(run):
    _make_corpus(run)
    path = run.stage("corpus") / MANIFEST
    content = json.loads(path.read_text())
    _write_sealed(path, content | {"schema": "1.9"})
    assert run.manifest("corpus") is not None
    _write_sealed(path, content | {"schema": "2.0"})
    with pytest.raises(ArtefactError, match=r"schema 2\.0 of corpus"):
        run.manifest("corpus")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"kind": "corpus", "files": {}}'])
def test_a_damaged_manifest_is_a_clear_error(run, text):
    _make_corpus(run)
    (run.stage("corpus") / MANIFEST).write_text(text)
    with pytest.raises(ArtefactError, match="damaged manifest"):
        run.manifest("corpus")
    assert validate_run(run)


def test_a_table_with_other_columns_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="missing or unknown"):
        write_table(tmp_path, "corpus", name="vocab.parquet", table=pa.table({"id": [1]}))


def test_columns_carry_their_units(run):
    _make_losses_parent = _make_corpus(run)
    assert _make_losses_parent.axes["arrays"]["tokens.npy"]["unit"] == "vocabulary id"
    schema = read_table(run.stage("corpus"), "docs.parquet").schema
    assert schema.field("n_tokens").metadata[b"unit"] == b"token"
