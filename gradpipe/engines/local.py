"""The engine of one process: the model is here, and so is the accelerator."""

from gradpipe.engines.work import Work
from gradpipe.gradients.examples import extract_examples
from gradpipe.models.load import LoadedModel


def extract_here(loaded: LoadedModel, work: Work) -> None:
    """Every row of the work into its store, batch by batch, on a model that is loaded already."""
    for rows in extract_examples(loaded, work.examples, work.protocol, work.report):
        work.append(rows)
