"""Killed while annotating: what was acknowledged is there, and the log still takes more."""

import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from scripts.explorer_run import World, make_run, plain_words

from quantascope.core.rng import stream
from quantascope.reader.annotations import read_log

KILLS = 10
ROUND_S = 30.0
SERVE = "import sys; from quantascope.cli.app import main; sys.argv[0] = 'quantascope'; main()"


def serve(root, port):
    command = [sys.executable, "-c", SERVE, "explore", str(root), "--no-open", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + ROUND_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/r/made/quanta.json").status_code == 200:
                return server
        except httpx.TransportError:
            threading.Event().wait(0.05)
    server.kill()
    raise AssertionError("the explorer did not start")


def write(port, kind, *, clusters, acknowledged, stop):
    """Annotate without a pause until the server is gone; remember what it acknowledged."""
    address = f"http://127.0.0.1:{port}"
    number = 0
    with httpx.Client(base_url=address, headers={"origin": address}) as client:
        while not stop.is_set():
            number += 1
            text = f"{kind}-{number}-" + "x" * (number % 7 * 600)
            form = {"op": "note", "clusters": clusters[number % len(clusters)], "text": text}
            try:
                answer = client.post("/r/made/annotations", data=form)
            except httpx.TransportError:
                return
            if answer.status_code == 303:
                acknowledged.append(text)


@pytest.mark.slow
def test_killed_at_ten_moments_no_acknowledged_annotation_is_lost(tmp_path):
    """Two writers at once; every kill after 0.05 to 1 s of writing, drawn."""
    world = World(2_000, 20, plain_words(50))
    run = make_run(tmp_path / "made", world)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moments = stream(0, "kill").uniform(0.05, 1.0, KILLS)
    acknowledged: list[str] = []
    for turn, moment in enumerate(moments):
        server = serve(tmp_path, port)
        stop, before = threading.Event(), len(acknowledged)
        writers = [
            threading.Thread(
                target=write,
                args=(port, f"{turn}{name}"),
                kwargs={"clusters": world.names, "acknowledged": acknowledged, "stop": stop},
            )
            for name in "ab"
        ]
        for writer in writers:
            writer.start()
        while len(acknowledged) == before:  # the first may wait for the run to be read
            stop.wait(0.01)
        stop.wait(moment)
        server.send_signal(signal.SIGKILL)
        server.wait()
        for writer in writers:
            writer.join()
        stop.set()
    log, n_cut = read_log(run.root / "annotations.jsonl")
    kept = [one.text for one in log]
    assert set(acknowledged) <= set(kept)
    assert len(acknowledged) == len(set(acknowledged)) >= KILLS
    assert len(kept) <= len(acknowledged) + 2 * KILLS  # those written but not yet acknowledged
    assert n_cut <= KILLS  # at most one line cut short a kill
