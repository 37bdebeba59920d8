"""Our commands as a user calls them."""

import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app


def call(*arguments) -> str:
    """Run a command of ours in this process; give what it prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def refusal(kind: type[Exception], *arguments) -> str:
    """Give the one line by which a command refuses."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)
