"""What TensorFlow's ops are for, as tables: variables, layers, pipelines, random numbers, updates, gradients."""

from __future__ import annotations

import re

from bnfold.graph import Node

VARIABLES = frozenset({"VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable", "TemporaryVariable"})

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

LINEAR = frozenset(
    {
        "Conv2D", "Conv3D", "Conv", "DepthwiseConv2dNative", "DepthwiseConv2dNativeV2", "Conv2DBackpropInput",
        "Conv2DBackpropInputV2", "Conv3DBackpropInput", "Conv3DBackpropInputV2", "MatMul", "BatchMatMul",
        "BatchMatMulV2", "BatchMatMulV3", "SparseMatMul", "SparseTensorDenseMatMul", "Einsum", "XlaConv", "XlaDot",
        "XlaConvV2", "XlaDotV2", "Conv2DTranspose", "LSTMBlockCell", "BlockLSTM", "BlockLSTMV2", "GRUBlockCell",
        "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3", "Dilation2D", "QuantizedConv2D", "QuantizedMatMul",
        "FusedResizeAndPadConv2D", "FusedPadConv2D", "BiasedConv2D",
    }
)  # fmt: skip
"""Ops that multiply data by weights: where a network begins."""

READS = frozenset(
    {"Identity", "ReadVariableOp", "Enter", "RefEnter", "Switch", "RefSwitch", "Cast", "Reshape", "Transpose"}
)
"""Ops between a variable or constant and the layer that uses it."""

EMBEDDING = frozenset({"Gather", "GatherV2", "ResourceGather"})
"""Look-ups in a table of weights, their first input."""

PIPELINE = re.compile(
    r"(Resource)?Queue(Dequeue|Peek)\w*|Iterator\w*GetNext\w*|OptionalGetValue|DatasetToSingleElement|Batch|Unbatch"
    r"|BatchFunction|Parse(Single)?(Sequence)?Example\w*|ParseTensor|Decode\w+|ExtractJpegShape|AudioSpectrogram|Mfcc"
    r"|Reader(Read|ReadUpTo)(V2)?|ReadFile|PyFunc\w*|EagerPyFunc|LookupTable(Find|Export)\w*|(OrderedMap|Map)?(Unstage|Peek)"
    r"(NoKey)?|StagePeek|Barrier\w+|Infeed\w+|RecvTPU\w+|RemoteCall|StringToHash\w+|UnicodeDecode\w*|UnicodeTranscode|MatchingFiles|GetSessionTensor\w*"
)
"""Ops that bring data in and have no place in a model file; what they give is where the graph is cut."""

COMBINERS = re.compile(r"(Sparse|Unsorted)?Segment(Sum|Mean|SqrtN|Prod|Min|Max)(WithNumSegments)?")
"""Ops that put rows together: what says which of them, or how much each weighs, is data, not a label."""

RANDOM = frozenset(
    {
        "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal",
        "Multinomial", "RandomGamma", "RandomPoisson", "RandomPoissonV2", "RandomShuffle", "RandomCrop",
        "StatelessRandomUniform", "StatelessRandomUniformV2", "StatelessRandomNormal", "StatelessRandomNormalV2",
        "StatelessTruncatedNormal", "StatelessTruncatedNormalV2", "StatelessRandomUniformInt",
        "StatelessRandomUniformIntV2", "StatelessRandomUniformFullInt", "StatelessRandomUniformFullIntV2",
        "StatelessRandomBinomial", "StatelessMultinomial", "StatelessParameterizedTruncatedNormal",
        "StatefulUniform", "StatefulUniformInt", "StatefulUniformFullInt", "StatefulStandardNormal",
        "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulRandomBinomial",
        "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2", "StatelessSampleDistortedBoundingBox",
    }
)  # fmt: skip

UPDATE = re.compile(
    r"Assign\w*|(Resource|Sparse|ResourceSparse)?Apply\w+|(Resource)?Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)"
    r"|ResourceStridedSliceAssign|StridedSliceAssign|CountUpTo|ResourceCountUpTo|Accumulator\w+|\w+Accumulator\w*"
    r"|DestroyResourceOp|DestroyTemporaryVariable|LookupTable(Import|Insert|Remove)\w*|InitializeTable\w*"
)
"""Ops that write state. ``ScatterNd…`` of a plain tensor is not among them: its op is ``TensorScatter…``."""

OPTIMIZER = re.compile(r"(Resource)?(Sparse)?Apply\w+")
"""Ops with a trainable variable as first input."""

SUMMARY = re.compile(
    r"\w*Summary(V2)?|Write\w*Summary|MergeSummary|SummaryWriter|Print(V2)?|Assert|CheckNumericsV2|DebugIdentity\w*"
)
"""Ops that watch: reading a tensor makes it no output."""

SINK = re.compile(
    r"Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename|Queue(Enqueue|EnqueueMany|Close|Size|IsClosed)(V2)?"
    r"|NoOp|Stack(Push|Pop|Close)?(V2)?|Is\w*VariableInitialized|VarIsInitializedOp|Stage|OutfeedEnqueue\w*|TensorArrayClose(V\d)?|ControlTrigger"
)
"""Ops that end the graph and yield no value of the model."""

SHAPE_ONLY = frozenset(
    {
        "LoopCond",
        "TensorArraySizeV3",
        "Shape",
        "ShapeN",
        "Size",
        "Rank",
        "ZerosLike",
        "OnesLike",
        "BroadcastGradientArgs",
    }
)
"""Ops that read what surrounds a tensor's values, not the values."""

METRIC = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Equal",
        "NotEqual",
        "InTopK",
        "InTopKV2",
        "TopK",
        "TopKV2",
        "Unique",
        "Where",
        "ConfusionMatrix",
    }
)

_GRADIENT = re.compile(
    r"\w+Grad(V\d+)?|\w+GradGrad\w*|\w+Backprop(Filter)?(V\d)?|\w+BackpropFilter\w*|BroadcastGradientArgs"
    r"|\w+VarsGradient|\w+PerChannelGradient|\w+Backprop\w*Filter\w*|\w+GradWithArgmax"
)

SCALARS_ARE_TOLD_APART = 24
"""Graphs of earlier producers write a Placeholder of unknown shape like a scalar."""


def is_gradient_op(op: str) -> bool:
    """Whether ``op`` exists to differentiate. ``Conv2DBackpropInput`` is not one: it is also transposed convolution."""
    return _GRADIENT.fullmatch(op) is not None


def is_source(node: Node) -> bool:
    """Whether data enters the graph at ``node``."""
    return node.op in PLACEHOLDERS or PIPELINE.fullmatch(node.op) is not None
