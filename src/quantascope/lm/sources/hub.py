"""Text from a Hugging Face data set, streamed, when its package is installed and a hub answers."""

from collections.abc import Iterator

from quantascope.core.errors import DataError
from quantascope.lm.documents import Document, Rejects, cut_stream
from quantascope.lm.sources.files import checked_text

__all__ = ["hub_documents"]


def hub_documents(name: str, *, text_column: str, rejects: Rejects[str]) -> Iterator[Document]:
    """Stream the ``train`` split of a data set.

    Parameters
    ----------
    name
        ``ID``, with ``@REVISION`` if wanted.
    text_column
        Column that holds the text.
    rejects
        Counts what was left out, by cause.

    Raises
    ------
    DataError
        If the package is not installed, or the data set cannot be opened.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(
            f"hf:{name} needs the package datasets; run: pip install datasets"
        ) from error
    identifier, _, revision = name.partition("@")
    try:
        rows = iter(
            load_dataset(identifier, split="train", streaming=True, revision=revision or None)
        )
        for number, row in enumerate(rows):
            if text_column not in row:
                rejects["missing_column"] += 1
                continue
            text = checked_text(row[text_column], rejects)
            for offset, piece in cut_stream([text]):
                yield Document(piece, f"hf:{name}#{number}", offset, "text")
    except Exception as error:  # the hub's clients have no common base of their errors
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"hf:{name} cannot be read from the hub: {reason}") from error
