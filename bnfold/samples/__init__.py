"""What a graph is run on: random samples in the range it implies, edges, or the user's own data."""

from bnfold.samples.batches import Batch, Feeds, Plan, element_type, plan, random_batches
from bnfold.samples.data import Data, batches_of, data_label
from bnfold.samples.ranges import InputRange, input_range

__all__ = [
    "Batch",
    "Data",
    "Feeds",
    "InputRange",
    "Plan",
    "batches_of",
    "data_label",
    "element_type",
    "input_range",
    "plan",
    "random_batches",
]
