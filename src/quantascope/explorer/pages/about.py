"""How a run came about: config, versions, hashes, and what its numbers do not mean."""

from typing import Any

from quantascope import __version__
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.store.schema import KINDS

__all__ = ["ABOUT"]


def show(asked: Asked) -> Shown:
    """Give the config as it was run, and each stage's manifest."""
    folder = asked.view.run.folder
    stages: list[dict[str, Any]] = []
    for kind in KINDS:
        manifest = asked.view.manifest(kind)
        if manifest is not None:
            stages.append(
                {
                    "stage": kind,
                    "version": manifest.schema,
                    "digest": manifest.digest,
                    "config": manifest.config,
                    "parents": manifest.parents,
                    "facts": manifest.facts,
                    "made": {k: v for k, v in manifest.made.items() if k != "host"},
                }
            )
    config = folder.config_path.read_text(encoding="utf-8")
    return Shown(
        title="About this run", data={"version": __version__, "config": config, "stages": stages}
    )


ABOUT = Page(name="about", path="/about", show=show)
