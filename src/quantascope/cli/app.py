"""The command line's entry: threads, commands, and one line for every error.

Exit codes: 0 done, 1 data (damaged artefact, unusable input), 2 usage (bad argument or config),
130 stopped by Ctrl-C.
"""

import os
import sys
from typing import Any, Final

# One thread a process: two threads on a busy machine are slower than one, and sums then come out
# the same every time. Libraries read these when they are first imported, hence before all else.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("KMP_BLOCKTIME", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")  # a run shows its own progress, not its libraries'

import typer  # noqa: E402  (after the thread settings)

from quantascope.cli import (  # noqa: E402
    allocate,
    decompose,
    explore,
    export,
    families,
    family,
    fit,
    forecast,
    grade,
    inspect,
    labels,
    parity,
    planted,
    probe,
    reproduce,
    run,
    shapes,
    suite,
    tails,
    theory,
)
from quantascope.core.errors import QuantascopeError  # noqa: E402

__all__ = ["app", "main"]

_EXIT_DATA: Final = 1
_EXIT_USAGE: Final = 2
_EXIT_INTERRUPTED: Final = 130
_RESUMING: Final = frozenset({*run.COMMANDS, "suite", "planted", "family", "probe"})

# typer carries its own click; its usage errors are the base of the one that it exports
_USAGE_ERROR: Final[type[Any]] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="quantascope",
    help="Show what a neural network has learned, skill by skill.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
run.register(app)
fit.register(app)
allocate.register(app)
inspect.register(app)
labels.register(app)
suite.register(app)
grade.register(app)
planted.register(app)
reproduce.register(app)
parity.register(app)
theory.register(app)
tails.register(app)
shapes.register(app)
families.register(app)
explore.register(app)
export.register(app)
family.register(app)
probe.register(app)
decompose.register(app)
forecast.register(app)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    del debug  # read from the arguments by main, so that it works for usage errors too


def main() -> None:
    """Run the command line; every error is one line on stderr and an exit code."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = _run(arguments)
    except Exception as error:
        if debug:
            raise
        code = _code_of(error)
    if code == _EXIT_INTERRUPTED:
        resumes = not _RESUMING.isdisjoint(arguments[:1])
        again = "; the same command resumes where it was" if resumes else ""
        print(f"stopped{again}", file=sys.stderr)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run one command; typer's own endings become exit codes, ours go through."""
    try:
        code = app(args=arguments, prog_name="quantascope", standalone_mode=False)
    except typer.Exit as error:
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = _EXIT_INTERRUPTED
    except _USAGE_ERROR as error:
        code = _usage(error.format_message())
    return code if isinstance(code, int) else 0


def _code_of(error: Exception) -> int:
    """Say an error in one line, and give its exit code."""
    if isinstance(error, QuantascopeError | OSError | MemoryError):
        return _fail(str(error) or "out of memory", _EXIT_DATA)
    if isinstance(error, ValueError):
        return _fail(str(error), _EXIT_USAGE)
    kind = type(error).__name__  # a defect of ours: one line, and where to look
    return _fail(f"internal error, {kind}: {error} (--debug shows where)", _EXIT_DATA)


def _usage(message: str) -> int:
    if message.startswith("Usage:"):  # no command was given: the message is the help
        print(message, file=sys.stderr)
        return _EXIT_USAGE
    return _fail(f"{message} (see --help)", _EXIT_USAGE)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    return code
