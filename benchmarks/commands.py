"""Claims: CPU time and memory of whole commands, process tree included.

    python benchmarks/commands.py [demo] [train] [ten-thousand]

`demo`: at most 4 CPU-minutes and 4 GB; `train` (demo --train): at most 12; `ten-thousand` (10,000
predictions with the 0.92 M model, Leiden and the spectral family): at most 20 and 6 GB. There is no
plain baseline for a whole run: these are absolute limits. Without arguments: demo alone.
"""

import platform
import resource
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "demo": ["demo", "--dir"],
    "train": ["demo", "--train", "--dir"],
    "ten-thousand": ["run", "--n", "10000"],
}
LIMITS = {"demo": (4, 4), "train": (12, 4), "ten-thousand": (20, 6)}


def main() -> None:
    print(
        f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}"
    )
    for name in sys.argv[1:] or ["demo"]:
        measure(name)


def measure(name: str) -> None:
    program = "from quantascope.cli.app import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-c", program, *COMMANDS[name], f"{folder}/run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    minutes, gigabytes = LIMITS[name]
    print(
        f"{name}: {cpu / 60:.1f} CPU-minutes (limit {minutes}), {wall / 60:.1f} minutes of wall "
        f"time, largest process {after.ru_maxrss / 1e6:.2f} GB (limit {gigabytes} for all)"
    )


if __name__ == "__main__":
    main()
