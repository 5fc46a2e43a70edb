"""Non-maximum suppression against TensorFlow: overlapping boxes of random sizes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


def boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.7, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0.1, 0.6, (count, 2))], -1).astype(np.float32)


def scores(*shape, seed=1):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


FEEDS = {"boxes": boxes(40), "scores": scores(40)}


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.8])
def test_suppression_is_the_same(overlap):
    for limit in (5, 100):
        assert_lowers(lambda b, s, k=limit: tf.raw_ops.NonMaxSuppression(
            boxes=b, scores=s, max_output_size=k, iou_threshold=overlap), FEEDS)  # fmt: skip
        assert_lowers(lambda b, s, k=limit: tf.raw_ops.NonMaxSuppressionV2(
            boxes=b, scores=s, max_output_size=k, iou_threshold=overlap), FEEDS, dynamic=True)  # fmt: skip


@pytest.mark.parametrize("least", [0.0, 0.5, float("-inf")])
def test_suppression_is_the_same_when_scores_have_a_least(least):
    def build(b, s):
        return tf.image.non_max_suppression(b, s, 20, 0.4, least)

    assert_lowers(build, FEEDS, {"boxes": boxes(7, 3), "scores": scores(7, seed=4)}, dynamic=True)


def test_suppression_is_the_same_when_its_thresholds_are_computed():
    def build(b, s, k, overlap):
        return tf.image.non_max_suppression(b, s, k, overlap, 0.2)

    assert_lowers(build, {**FEEDS, "k": np.int32(6), "overlap": np.float32(0.4)})


@pytest.mark.parametrize("padded", [True, False])
def test_suppression_says_how_many_when_padded(padded):
    def build(b, s):
        four = tf.raw_ops.NonMaxSuppressionV4(boxes=b, scores=s, max_output_size=30, iou_threshold=0.4,
            score_threshold=0.3, pad_to_max_output_size=padded)  # fmt: skip
        five = tf.raw_ops.NonMaxSuppressionV5(boxes=b, scores=s, max_output_size=30, iou_threshold=0.4,
            score_threshold=0.3, soft_nms_sigma=0.0, pad_to_max_output_size=padded)  # fmt: skip
        return [*four, *five]

    assert_lowers(build, FEEDS)


@pytest.mark.parametrize("sigma", [0.2, 0.5])
@pytest.mark.parametrize(("overlap", "least"), [(0.3, 0.1), (0.7, 0.4), (0.5, 0.0)])
@pytest.mark.parametrize("padded", [True, False])
def test_suppression_is_the_same_when_it_lowers_scores(sigma, overlap, least, padded):
    """The second set of boxes names their corners the other way round; the third has no box of a large enough score."""

    def build(b, s):
        return tf.raw_ops.NonMaxSuppressionV5(boxes=b, scores=s, max_output_size=12, iou_threshold=overlap,
            score_threshold=least, soft_nms_sigma=sigma, pad_to_max_output_size=padded)  # fmt: skip

    few = {"boxes": boxes(7, 3)[:, [2, 3, 0, 1]], "scores": scores(7, seed=4)}
    none = {"boxes": boxes(3, 5), "scores": scores(3, seed=6) * np.float32(-1)}
    assert_lowers(build, FEEDS, few, none, dynamic=True, opsets=(13, 18))


def test_suppression_is_the_same_when_sigma_is_computed():
    def build(b, s, k, sigma):
        return tf.raw_ops.NonMaxSuppressionV5(
            boxes=b, scores=s, max_output_size=k, iou_threshold=0.4, score_threshold=0.2, soft_nms_sigma=sigma
        )

    assert_lowers(build, *({**FEEDS, "k": np.int32(9), "sigma": np.float32(value)} for value in (0, 0.3)))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_suppression_is_the_same_when_overlaps_are_given(threshold):
    """What is compared is the column of what is taken: the overlaps need not be symmetric."""

    def build(overlaps, s, k):
        return tf.image.non_max_suppression_overlaps(overlaps, s, k, threshold, 0.25)

    feeds = [{"overlaps": scores(n, n, seed=n), "s": scores(n, seed=n + 1), "k": np.int32(8)} for n in (20, 3)]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18))


def test_combined_suppression_is_the_same_when_it_is_not_known_who_shares_boxes():
    def build(b, s):
        return tf.image.combined_non_max_suppression(b, s, 5, 9, 0.4, 0.2)

    feeds = [{"boxes": boxes(10 * own).reshape(1, 10, own, 4), "scores": scores(1, 10, 3)} for own in (1, 3)]
    assert_lowers(build, *feeds, dynamic=True)


@pytest.mark.parametrize("own", [1, 3])
@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("limits", [(4, 8), (4, 40), (20, 10)])
def test_combined_suppression_is_the_same(own, per_class, limits):
    each, total = limits
    several = np.stack([[boxes(12, seed=10 * b + c) for c in range(own)] for b in range(2)]).transpose(0, 2, 1, 3)

    def build(b, s):
        return list(tf.image.combined_non_max_suppression(
            b * 1.3, s, each, total, 0.4, 0.25, pad_per_class=per_class, clip_boxes=True))  # fmt: skip

    feeds = {"b": np.ascontiguousarray(several), "s": scores(2, 12, 3)}
    assert_lowers(build, feeds, shapes={"b": (None, 12, own, 4), "s": (None, 12, 3)})


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
