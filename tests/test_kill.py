"""The law of resumption under real kills: any moment, the same bits, and no process left behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from quantascope.pipeline.config import dump_config
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.schema import WAY
from tests.test_pipeline import small_config

N_KILLS = 10

PROGRAM = "from quantascope.cli.app import main; main()"


def start(run: RunFolder, config_path) -> subprocess.Popen:
    arguments = ["run", str(run.root), "--config", str(config_path), "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def digests(run: RunFolder) -> dict[str, str]:
    return {kind: run.require(kind).digest for kind in WAY}


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_sigkill_at_random_moments_changes_no_bit(tiny_family, text_file, tmp_path):
    """Ten kills of the parent at uniform moments of an uninterrupted run's length."""
    config_path = tmp_path / "config.toml"
    config_path.write_text(dump_config(small_config(tiny_family, text_file)), encoding="utf-8")
    whole = RunFolder(tmp_path / "whole")
    begin = time.monotonic()
    assert start(whole, config_path).wait() == 0
    length = time.monotonic() - begin
    moments = np.random.default_rng(0).uniform(0.0, length, N_KILLS)
    stopped_early, groups = 0, []
    for i, moment in enumerate(moments):
        run = RunFolder(tmp_path / f"killed-{i}")
        process = start(run, config_path)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            stopped_early += 1
            os.kill(process.pid, signal.SIGKILL)  # the parent alone; its workers must notice
            process.wait()
        assert start(run, config_path).wait() == 0
        assert digests(run) == digests(whole), f"killed after {moment:.2f} s of {length:.2f} s"
        assert validate_run(run) == []
        groups.append(process.pid)
    assert all(group_is_empty(group) for group in groups), "a worker outlived its parent"
    assert stopped_early >= N_KILLS // 2
