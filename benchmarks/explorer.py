"""Claims: the explorer on a run of 1,000,000 predictions and 10,000 clusters.

    python benchmarks/explorer.py [FOLDER OF THE RUN]

The run is made by `scripts/explorer_run.py` unless its folder is given. Limits: a page p95 50 ms,
the same for a literal's search, 1 s for a regular expression; to the next cluster in the browser
p50 100 ms; start 1 s; memory 1 GB; 20 users for 60 s, 1 s of thought between pages, p95 250 ms and
no error. Two times a line: CPU time of the server, all its threads, and the wall's, over loopback
from a client on the same machine, which other work on it lengthens. The limit is held against the
CPU time, but for the users, of whom only the wall tells.
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
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
SERVE = "import sys; from quantascope.cli.app import main; sys.argv[0] = 'quantascope'; main()"
N, USERS, USE_S = 60, 20, 60.0
IDLE_S, MOST_WAIT_S = 1.0, 300.0


class Asker:
    """One connection that stays open, and the CPU time of the process that answers, if wanted."""

    def __init__(self, port: int, pid: int | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._pid = pid

    def __call__(self, path: str) -> tuple[int, float, float]:
        """Give status, CPU time and wall time [ms]."""
        cpu, start = cpu_ms(self._pid), time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        wall = 1e3 * (time.perf_counter() - start)
        return answer.status, cpu_ms(self._pid) - cpu, wall


def cpu_ms(pid: int | None) -> float:
    """Give the CPU time of the threads of a process that live, to the nanosecond."""
    taken = 0
    for task in Path(f"/proc/{pid}/task").iterdir() if pid else ():
        with suppress(OSError):  # it has just ended
            taken += int((task / "schedstat").read_text().split()[0])
    return taken / 1e6


def all_cpu_ms(pid: int) -> float:
    """Give the CPU time of a process, of threads that ended too, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}")
    print(f"load: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else make(Path(folder) / "big")
        for again in ("first", "again"):
            server, port = serve(run, again)
            try:
                if again == "again":
                    measure(port, f"/r/{run.name}", server.pid)
            finally:
                server.terminate()
                server.wait()


def make(folder: Path) -> Path:
    subprocess.run([sys.executable, ROOT / "scripts" / "explorer_run.py", folder], check=True)
    return folder


def serve(run: Path, again: str) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a server, see when it answers, and wait until it has read the run behind that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = ["explore", str(run), "--no-open", "--port", f"{port}"]
    begun = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-c", SERVE, *asked], stdout=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.01)
    cpu, wall = all_cpu_ms(server.pid), 1e3 * (time.perf_counter() - begun)
    report(f"start ({again}): the server listens", cpu, wall, 1_000)
    _, _, wall = Asker(port)("/")
    report(f"start ({again}): the list of runs is there", all_cpu_ms(server.pid), wall, 1_000)
    _, _, wall = Asker(port)(f"/r/{run.name}/quanta/1")
    print(f"  first page of a cluster, asked for at once, {again}: {wall:.0f} ms wall", flush=True)
    before, until = -1.0, time.monotonic() + MOST_WAIT_S
    while all_cpu_ms(server.pid) - before > 20 and time.monotonic() < until:
        before = all_cpu_ms(server.pid)
        time.sleep(IDLE_S)
    print(f"  CPU time until all is read, {again}: {all_cpu_ms(server.pid):.0f} ms", flush=True)
    return server, port


def measure(port: int, base: str, pid: int) -> None:
    ask = Asker(port, pid)
    paths = kinds(base)
    for name, choices in paths.items():
        status, *first = ask(choices[0])
        if status != 200:
            print(f"{name}: {status}, left out")
            continue
        taken = [ask(random.choice(choices))[1:] for _ in range(N)]
        cpu, wall = (sorted(each)[int(0.95 * N)] for each in zip(*taken, strict=True))
        limit = 1_000 if "regular" in name else 50
        report(f"{name} (first {first[0]:.0f})", cpu, wall, limit)
    peak = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in x)
    print(f"  memory, highest, before the users: {int(peak.split()[1]) / 1e3:.0f} MB")
    crowd(port, pid, [p for name, group in paths.items() if "search" not in name for p in group])
    in_browser(port, base, pid)
    peak = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in x)
    held = int(peak.split()[1]) / 1e3
    print(f"memory, highest: {held:.0f} MB (limit 1000){'' if held <= 1_000 else '  OVER'}")


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
        "timeline": [f"{base}/timeline", f"{base}/timeline?from=1e5&to=1e6"],
        "scaling": [f"{base}/scaling"],
        "map": [f"{base}/map", f"{base}/map?color=auc", f"{base}/map?page=7"],
        "map, points of 10,000 clusters": [f"{base}/map/points.json?color=auc"],
        "single tokens": [f"{base}/genicity"],
        "annotations": [f"{base}/annotations"],
        "about": [f"{base}/about"],
    }


def crowd(port: int, pid: int, paths: list[str]) -> None:
    """20 users who look at a page, think for a second, look at the next."""
    times: list[float] = []
    errors: list[int] = []
    begun, until = all_cpu_ms(pid), time.monotonic() + USE_S

    def use(seed: int) -> None:
        pick, ask = random.Random(seed), Asker(port)
        time.sleep(pick.random())
        while time.monotonic() < until:
            status, _, taken = ask(pick.choice(paths))
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
    p95, mean = times[int(0.95 * len(times))], (all_cpu_ms(pid) - begun) / len(times)
    print(f"{USERS} users, {len(times)} pages, {len(errors)} failed: mean {mean:.0f} ms CPU a page")
    report(f"{USERS} users: p95", p95, p95, 250)


def in_browser(port: int, base: str, pid: int) -> None:
    """Time from the key to the next cluster's heading; CPU: of the page's thread and the server."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("to the next cluster in the browser: no Chromium here, not measured")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def used() -> float:
            found = session.send("Performance.getMetrics")["metrics"]
            return cpu_ms(pid) + 1e3 * sum(m["value"] for m in found if m["name"] == "TaskDuration")

        page.goto(f"http://127.0.0.1:{port}{base}/quanta/1")
        for rest, words in ((1_500, "after a look of 1.5 s"), (0, "at once")):
            taken = []
            for _ in range(21):
                page.wait_for_timeout(rest)
                before = used()
                wall = page.evaluate(NEXT)
                taken.append((used() - before, wall))
            cpu, wall = (sorted(each)[10] for each in zip(*taken, strict=True))
            report(f"to the next cluster in the browser, {words}: p50", cpu, wall, 100)
        browser.close()


NEXT = """() => new Promise(done => {
  const before = document.title, start = performance.now();
  const look = () => document.title === before ? setTimeout(look, 1)
    : requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
  document.getElementById("following").click();
  look();
})"""


def report(name: str, cpu: float, wall: float, limit: float) -> None:
    over = "" if cpu <= limit else "  OVER"
    print(f"{name}: {cpu:.0f} ms CPU, {wall:.0f} wall (limit {limit:.0f}){over}", flush=True)


if __name__ == "__main__":
    main()
