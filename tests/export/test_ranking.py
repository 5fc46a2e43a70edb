"""The largest few, suppression of boxes, greedy decoding."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.int64, np.int8, np.uint8, np.int16])
def test_top_k_is_the_same(dtype):
    x = random(3, 7, dtype=dtype, low=-4, high=4)
    x[:, 5] = x[:, 2]
    assert_lowers(lambda x: tf.math.top_k(x, 3), {"x": x}, opsets=(13, 18))
    assert_lowers(lambda x: raw.TopK(input=x, k=7), {"x": x})


def test_top_k_is_the_same_when_k_is_computed():
    feeds = [{"x": random(2, 3, 7), "k": np.array(k, np.int32)} for k in (0, 1, 7)]
    assert_lowers(lambda x, k: tf.math.top_k(x, k), *feeds, dynamic=True)
    long = lambda x, k: raw.TopKV2(input=x, k=k, Tk=tf.int32, index_type=tf.int64)  # noqa: E731
    assert_lowers(long, feeds[1])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_in_top_k_is_the_same(dtype):
    predictions = random(9, 5)
    predictions[1, 2], predictions[2, 0], predictions[3, 4] = np.nan, np.inf, -np.inf
    predictions[4] = 1
    targets = np.array([0, 1, 0, 4, 2, 3, 1, -1, 5], dtype)
    feeds = {"predictions": predictions, "targets": targets}
    for k in (1, 2, 4):
        assert_lowers(
            lambda predictions, targets, k=k: raw.InTopK(predictions=predictions, targets=targets, k=k), feeds
        )
    computed = lambda predictions, targets, k: raw.InTopKV2(predictions=predictions, targets=targets, k=k)  # noqa: E731
    assert_lowers(computed, {**feeds, "k": np.array(3, dtype)}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_l2_loss_is_the_same(dtype):
    assert_lowers(tf.nn.l2_loss, {"x": random(2, 3, 4, dtype=dtype)}, opsets=(13, 18), rtol=1e-5)


def boxes_and_scores(count=20, seed=0):
    """Boxes that overlap, some with their corners swapped, one empty; scores with a tie."""
    corners = random(count, 2, low=0, high=1, seed=seed)
    boxes = np.concatenate([corners, corners + random(count, 2, low=0.1, high=0.5, seed=seed + 1)], 1)
    boxes[3] = boxes[3][[2, 3, 0, 1]]
    boxes[4] = 0.5
    scores = random(count, low=0, high=1, seed=seed + 2)
    scores[7] = scores[6]
    return boxes.astype(np.float32), scores.astype(np.float32)


BOXES, SCORES = boxes_and_scores()
LIMITS = [np.array(limit, np.int32) for limit in (5, 50, 0)]


def test_non_max_suppression_is_the_same():
    feeds = [{"boxes": BOXES, "scores": SCORES, "limit": limit} for limit in LIMITS]

    def build(boxes, scores, limit):
        given = {"boxes": boxes, "scores": scores, "max_output_size": limit}
        return (
            raw.NonMaxSuppression(**given, iou_threshold=0.3),
            raw.NonMaxSuppressionV2(**given, iou_threshold=0.2),
            raw.NonMaxSuppressionV3(**given, iou_threshold=0.5, score_threshold=0.4),
            *raw.NonMaxSuppressionV4(**given, iou_threshold=0.4, score_threshold=0.1),
            *raw.NonMaxSuppressionV4(**given, iou_threshold=0.3, score_threshold=0.4, pad_to_max_output_size=True),
            *raw.NonMaxSuppressionV5(**given, iou_threshold=0.4, score_threshold=0.3, soft_nms_sigma=0.0),
            *raw.NonMaxSuppressionV5(
                **given, iou_threshold=0.4, score_threshold=0.3, soft_nms_sigma=0.0, pad_to_max_output_size=True
            ),
        )

    assert_lowers(build, *feeds, opsets=(13, 18))
    assert_lowers(build, *feeds, shapes={"boxes": (None, 4), "scores": (None,)})


def test_non_max_suppression_is_the_same_when_half_and_thresholds_are_computed():
    def build(boxes, scores, overlap):
        return raw.NonMaxSuppressionV3(
            boxes=boxes,
            scores=scores,
            max_output_size=6,
            iou_threshold=overlap,
            score_threshold=tf.constant(0.2, tf.float16),
        )

    half = {"boxes": BOXES.astype(np.float16), "scores": SCORES.astype(np.float16)}
    assert_lowers(build, *({**half, "overlap": np.array(t, np.float16)} for t in (0.2, 0.6)))


def test_non_max_suppression_is_refused_when_it_lowers_scores():
    given = {"max_output_size": 5, "iou_threshold": 0.4, "score_threshold": 0.3, "soft_nms_sigma": 0.5}
    build = lambda boxes, scores: raw.NonMaxSuppressionV5(boxes=boxes, scores=scores, **given)[0]  # noqa: E731
    with pytest.raises(ExportError, match="lowers scores"):
        assert_lowers(build, {"boxes": BOXES, "scores": SCORES})


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("pad_per_class", "clip_boxes"), [(False, True), (True, False)])
def test_combined_non_max_suppression_is_the_same(shared, pad_per_class, clip_boxes):
    def build(boxes, scores, total=9):
        return raw.CombinedNonMaxSuppression(
            boxes=boxes, scores=scores, max_output_size_per_class=4, max_total_size=total, iou_threshold=0.3,
            score_threshold=0.25, pad_per_class=pad_per_class, clip_boxes=clip_boxes,
        )  # fmt: skip

    sets = [boxes_and_scores(seed=seed)[0] for seed in range(6)]
    boxes = np.stack(sets).reshape(2, 3, 20, 4).transpose(0, 2, 1, 3)[:, :, : 1 if shared else 3]
    scores = random(2, 20, 3, low=0, high=1)
    scores[1, :, 1] = 0
    feeds = {"boxes": np.ascontiguousarray(boxes), "scores": scores}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(lambda boxes, scores: build(boxes, scores, 70), feeds)
    shapes = {"boxes": (None, None, boxes.shape[2], 4), "scores": (None, None, None)}
    assert_lowers(build, feeds, shapes=shapes)


@pytest.mark.parametrize("merge_repeated", [True, False])
@pytest.mark.parametrize("blank_index", [-1, 0, 2])
def test_greedy_decoder_is_the_same(merge_repeated, blank_index):
    def build(inputs, lengths):
        return raw.CTCGreedyDecoder(
            inputs=inputs, sequence_length=lengths, merge_repeated=merge_repeated, blank_index=blank_index
        )

    inputs = np.repeat(random(6, 3, 4), 2, axis=0)
    feeds = {"inputs": inputs, "lengths": np.array([12, 5, 7], np.int32)}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, {"inputs": inputs[:, :2], "lengths": np.array([1, 12], np.int32)}, dynamic=True)
