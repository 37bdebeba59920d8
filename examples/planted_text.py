"""Planted text: documents whose skills are known, and a model that learns the commonest first.

    python examples/planted_text.py [FOLDER]

Prints a document with the skill behind each answer, trains a model on the silent world with four
skills (20 CPU-seconds), and shows how the loss of each skill falls with training.
"""

import sys
import tempfile
from pathlib import Path

from quantascope.lm.planted.config import parse_source
from quantascope.lm.planted.emergence import measure_emergence
from quantascope.lm.planted.language import Language
from quantascope.lm.planted.suites import planted_suite, planted_suite_text
from quantascope.lm.suite_training import train_suite

SOURCE = "planted:silent,n_skills=4,alpha=1.5"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "model"
    source = parse_source(SOURCE)
    document = Language(source.config).document(0, 0, split="test")
    print(document.text)
    for word in document.words:
        if (label := word.labels[0]).skill not in ("noise", "syntax"):
            print(f"    {word.text}: {label.skill}, entry {label.entry}")

    suite = planted_suite(source, n_tokens=150_000, n_chars=400_000)
    train_suite(suite, planted_suite_text, out=folder, workers=1)
    found = measure_emergence(folder, n_documents=100, steps=[1, 16, 64, 128, suite.n_steps])
    print("\nloss of each skill's answers [nat] at steps", *found.steps)
    for name, share, losses in zip(found.skills, found.frequencies, found.loss_nats, strict=True):
        print(f"{name:<12} {share:.3f} ", *(f"{loss:6.3f}" for loss in losses))


if __name__ == "__main__":
    main()
