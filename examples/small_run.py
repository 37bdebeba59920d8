"""A whole run from Python: the shipped suite on 40,000 held-out tokens, and its clusters.

    python examples/small_run.py [RUN]

The same as `quantascope run RUN --n-tokens 40000 --n 400`, in about 40 CPU-seconds.
"""

import sys
import tempfile
from pathlib import Path

import quantascope
from quantascope.pipeline.config import RunConfig, set_values
from quantascope.pipeline.runner import run_stages
from quantascope.store.folder import RunFolder


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "run"
    settings = ["corpus.n_tokens=40000", "selection.n=400", "clusters.spectral=false"]
    run_stages(RunFolder(folder), set_values(RunConfig(), settings))

    run = quantascope.load(folder)
    print(run.models[["name", "n_params", "mean_loss_nats"]].to_string(index=False))
    fit = run.fits.loc["alpha_N"]
    print(f"alpha_N = {fit['estimate']:.3f} [{fit['lo']:.3f}, {fit['hi']:.3f}]")
    for cluster in list(run)[1:4]:
        print(f"\nrank {cluster.rank}, {cluster.size} predictions, {cluster.label}")
        for pred in cluster.contexts(3):
            print(f"    {pred.text[-40:]!r} -> {pred.target!r}")


if __name__ == "__main__":
    main()
