"""The local engine: the model and the accelerator are in this process."""

from gradpipe.engines.work import Work
from gradpipe.gradients.examples import extract_examples
from gradpipe.models.load import LoadedModel


def extract_here(loaded: LoadedModel, work: Work) -> None:
    """Compute and store every row of the work, batch by batch, on a loaded model."""
    budget = work.batch_tokens
    for rows in extract_examples(loaded, work.examples, work.protocol, work.report, budget):
        work.append(rows)
