"""Claims: the explorer on a run of 1,000,000 predictions and 10,000 clusters.

    python benchmarks/explorer.py [FOLDER OF THE RUN]

The run is made by `scripts/explorer_run.py` unless its folder is given. Limits: a page p95 50 ms,
the same for a literal's search, 1 s for a regular expression; to the next cluster in the browser
p50 100 ms; start 1 s; memory 1 GB; 20 users for 60 s, 1 s of thought between pages, p95 250 ms and
no error. Wall times, over loopback, from a client on the same machine: other work on it shows.
"""

import http.client
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
SERVE = "import sys; from quantascope.cli.app import main; sys.argv[0] = 'quantascope'; main()"
N, USERS, USE_S = 60, 20, 60.0


class Asker:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, path: str) -> tuple[int, float]:
        """Give status and time [ms]."""
        start = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, 1e3 * (time.perf_counter() - start)


def main() -> None:
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else make(Path(folder) / "big")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable,
            "-c",
            SERVE,
            "explore",
            str(run),
            "--no-open",
            "--port",
            f"{port}",
        ]
        begun = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            measure(port, f"/r/{run.name}", begun, server.pid)
        finally:
            server.terminate()
            server.wait()


def make(folder: Path) -> Path:
    subprocess.run([sys.executable, ROOT / "scripts" / "explorer_run.py", folder], check=True)
    return folder


def measure(port: int, base: str, begun: float, pid: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.01)
    report("start: the server listens", 1e3 * (time.perf_counter() - begun), 1_000)
    ask = Asker(port)
    print(f"first page of a cluster, all tables read: {ask(f'{base}/quanta/1')[1]:.0f}", flush=True)
    paths = kinds(base)
    for name, choices in paths.items():
        status, first = ask(choices[0])
        if status != 200:
            print(f"{name}: {status}, left out")
            continue
        times = sorted(ask(random.choice(choices))[1] for _ in range(N))
        limit = 1_000 if "regular" in name else 50
        report(f"{name}: p95 of {N} (first {first:.0f} ms)", times[int(0.95 * N)], limit)
    crowd(port, [path for name, group in paths.items() if "search" not in name for path in group])
    in_browser(port, base)
    peak = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in x)
    report("memory, highest [MB]", int(peak.split()[1]) / 1e3, 1_000)


def kinds(base: str) -> dict[str, list[str]]:
    """Addresses by kind of page; ranks from 1 to 10,000, tokens all over the text."""
    pick = random.Random(0)
    ranks = [1, 2, 5, *(int(10 ** pick.uniform(0, 4)) for _ in range(30))]
    words = [quote(word) for word in ("e", "zzz", " the", "ta1", "nothing of it")]
    return {
        "runs": ["/"],
        "overview": [base],
        "list": [f"{base}/quanta?page={page}" for page in range(1, 200, 7)],
        "list, filtered": [f"{base}/quanta?q=ta{i}&sort=stability" for i in range(20)],
        "cluster": [f"{base}/quanta/{rank}" for rank in ranks],
        "cluster, by loss": [f"{base}/quanta/{rank}?order=loss&align=1" for rank in ranks],
        "cluster, as JSON": [f"{base}/quanta/{rank}.json" for rank in ranks],
        "token": [f"{base}/tokens/{pick.randrange(1_000_000)}" for _ in range(30)],
        "search, literal": [f"{base}/search?q={word}" for word in words],
        "search, token ids": [f"{base}/search?mode=token&q={i}+{i + 5}" for i in range(20)],
        "search, regular expression": [
            f"{base}/search?mode=regex&q={quote(word)}" for word in ("^e.*t$", "(a+)+z", "[0-9]{4}")
        ],
        "timeline": [f"{base}/timeline"],
        "scaling": [f"{base}/scaling"],
        "map": [f"{base}/map"],
        "single tokens": [f"{base}/genicity"],
        "annotations": [f"{base}/annotations"],
        "about": [f"{base}/about"],
    }


def crowd(port: int, paths: list[str]) -> None:
    """20 users who look at a page, think for a second, look at the next."""
    times: list[float] = []
    errors: list[int] = []
    until = time.monotonic() + USE_S

    def use(seed: int) -> None:
        pick, ask = random.Random(seed), Asker(port)
        time.sleep(pick.random())
        while time.monotonic() < until:
            status, taken = ask(pick.choice(paths))
            times.append(taken)
            if status not in (200, 404):  # 404: kinds of pages that this run does not have
                errors.append(status)
            time.sleep(1)

    users = [threading.Thread(target=use, args=(i,)) for i in range(USERS)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    times.sort()
    report(f"{USERS} users, {len(times)} pages: p95", times[int(0.95 * len(times))], 250)
    report(f"{USERS} users: answers that failed", len(errors), 0)


def in_browser(port: int, base: str) -> None:
    """Time from the key to the next cluster's heading."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("to the next cluster in the browser: no Chromium here, not measured")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}{base}/quanta/1")
        times = sorted(page.evaluate(NEXT) for _ in range(20))
        browser.close()
    report("to the next cluster in the browser: p50 of 20", times[10], 100)


NEXT = """() => new Promise(done => setTimeout(() => {
  const before = document.title, start = performance.now();
  const look = () => document.title === before ? setTimeout(look, 1)
    : requestAnimationFrame(() => done(performance.now() - start));
  document.getElementById("following").click();
  look();
}, 200))"""


def report(name: str, found: float, limit: float) -> None:
    print(
        f"{name}: {found:.0f} (limit {limit:.0f}){'' if found <= limit else '  OVER'}", flush=True
    )


if __name__ == "__main__":
    main()
