"""What an inference graph is run on (random samples, edges, the user's data), and TensorFlow running it."""

from bnfold.samples.batches import Batch, Feeds, Plan, element_type, plan, random_batches
from bnfold.samples.choose import Chosen, choose_samples
from bnfold.samples.data import Data, batches_of, data_label
from bnfold.samples.ranges import InputRange, input_range

__all__ = [
    "Batch",
    "Chosen",
    "Data",
    "Feeds",
    "InputRange",
    "Plan",
    "batches_of",
    "choose_samples",
    "data_label",
    "element_type",
    "input_range",
    "plan",
    "random_batches",
]
