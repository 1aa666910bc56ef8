"""Eq. (5) worked out by hand on small maps."""

import math

import oracles
import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, TverskyLoss

from custom_networks.losses.sgd_loss import SGDNetLoss

LN2, LN3 = math.log(2), math.log(3)
HALF_PLANE = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]] * 8).view(1, 1, 8, 8)  # its boundary is 3 columns of 8
EDGE_OF_ZEROS = 1 - 2 * 12 / (32 + 24)  # probability 1/2 on 64 pixels against 24


def close(actual, expected):
    assert float(actual) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)  # Dice is smoothed by 1e-5


def logits(probability, *shape):
    return torch.full(shape, math.log(probability / (1 - probability)))


@pytest.mark.parametrize(
    ("probability", "mask", "cross_entropy", "dice"),
    [
        (0.5, [[1, 0], [0, 0]], LN2, 1 - 2 * 0.5 / (2 + 1)),
        (0.75, [[1, 1], [1, 1]], -math.log(0.75), 1 - 2 * 3 / (3 + 4)),
        (0.75, [[1, 1], [0, 0]], -(math.log(0.75) + math.log(0.25)) / 2, 1 - 2 * 1.5 / (3 + 2)),
        (0.5, [[0, 0], [0, 0]], LN2, 1),
        (1e-6, [[0, 0], [0, 0]], 0, 1 - 1e-5 / (4e-6 + 1e-5)),
        (1 - 1e-6, [[1, 1], [1, 1]], 0, 0),
    ],
)
def test_binary_cross_entropy_and_dice_by_hand(probability, mask, cross_entropy, dice):
    loss = SGDNetLoss()(logits(probability, 1, 1, 2, 2), torch.tensor(mask).view(1, 1, 2, 2))
    close(loss, cross_entropy + dice)


def test_several_classes_by_hand():
    """Labels 0, 0, 1, 2 at probability 1/3 each; Dice is the mean over the classes, background among them."""
    labels = torch.tensor([[0, 0], [1, 2]]).view(1, 1, 2, 2)
    dice = (1 - 2 * (2 / 3) / (4 / 3 + 2) + 2 * (1 - 2 * (1 / 3) / (4 / 3 + 1))) / 3
    close(SGDNetLoss(softmax=True)(torch.zeros(1, 3, 2, 2), labels), LN3 + dice)
    close(SGDNetLoss(softmax=True)(torch.zeros(1, 3, 2, 2), labels.float()), LN3 + dice)


def test_dice_is_the_mean_over_images():
    labels = torch.tensor([[[[1, 1, 1, 1]]], [[[1, 0, 0, 0]]]])
    close(SGDNetLoss()(torch.zeros(2, 1, 1, 4), labels), LN2 + ((1 - 4 / 6) + (1 - 1 / 3)) / 2)
    criterion = SGDNetLoss()
    criterion([torch.zeros(2, 1, 8, 8)] * 4, torch.cat([HALF_PLANE, torch.zeros_like(HALF_PLANE)]))
    close(criterion.terms["edge"], (EDGE_OF_ZEROS + 1) / 2)


@pytest.mark.parametrize("edge_weight", [0, 1, 3, 5])
def test_edge_weight(edge_weight):
    segmentation = 3 * (LN2 + 1 - 2 * 16 / (32 + 32))
    maps = [torch.zeros(1, 1, 8, 8) for _ in range(4)]
    close(SGDNetLoss(edge_weight)(maps, HALF_PLANE), segmentation + edge_weight * EDGE_OF_ZEROS)


def test_three_is_the_default():
    assert SGDNetLoss().edge_weight == 3
    assert SGDNetLoss().boundary_thickness == 3


@pytest.mark.parametrize("softmax", [False, True])
def test_terms_sum_to_the_loss(softmax):
    torch.manual_seed(0)
    classes = 3 if softmax else 1
    maps = [torch.randn(2, classes, 8, 8, requires_grad=True) for _ in range(3)]
    maps.append(torch.randn(2, 1, 8, 8, requires_grad=True))
    labels = torch.randint(0, 3, (2, 1, 8, 8))
    criterion = SGDNetLoss(softmax=softmax)
    loss = criterion(maps, labels)
    terms = criterion.terms
    assert list(terms) == ["segmentation_fine", "segmentation_middle", "segmentation_coarse", "edge"]
    torch.testing.assert_close(loss.detach(), sum(list(terms.values())[:3]) + 3 * terms["edge"])
    assert not any(term.requires_grad for term in terms.values())
    for i, name in enumerate(list(terms)[:3]):
        torch.testing.assert_close(SGDNetLoss(softmax=softmax)(maps[i], labels).detach(), terms[name])


def test_values_and_gradients_of_the_formula():
    torch.manual_seed(0)
    maps = [torch.randn(2, 1, 9, 7, requires_grad=True) for _ in range(4)]
    labels = torch.randint(0, 3, (2, 1, 9, 7))
    mask = (labels > 0).float()
    boundary = torch.stack([torch.from_numpy(oracles.morphological_gradient(x[0].numpy())) for x in labels])[:, None]

    def dice(x, target):
        p = torch.sigmoid(x)
        each = 1 - (2 * (p * target).sum((1, 2, 3)) + 1e-5) / (p.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1e-5)
        return each.mean()

    expected = sum(F.binary_cross_entropy(torch.sigmoid(x), mask) + dice(x, mask) for x in maps[:3])
    expected = expected + 3 * dice(maps[3], boundary)
    actual = SGDNetLoss()(maps, labels)
    oracles.close(actual, expected)
    oracles.close(torch.autograd.grad(actual, maps), torch.autograd.grad(expected, maps))


def test_instances_are_foreground_and_keep_the_border_between_them():
    """Labels 1 and 2 touch along columns 3 and 4: all is foreground, and the border is a target."""
    instances = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 2]] * 8).view(1, 1, 8, 8)
    maps = [logits(0.75, 1, 1, 8, 8)] * 3 + [torch.zeros(1, 1, 8, 8)]
    criterion = SGDNetLoss()
    criterion(maps, instances)
    close(criterion.terms["segmentation_fine"], -math.log(0.75) + 1 - 2 * 48 / (48 + 64))
    close(criterion.terms["edge"], EDGE_OF_ZEROS)
    criterion(maps, (instances > 0).long())
    close(criterion.terms["edge"], 1)


@pytest.mark.parametrize(("thickness", "columns"), [(1, 1), (3, 3), (5, 5)])
def test_boundary_thickness(thickness, columns):
    maps = [torch.zeros(1, 1, 8, 8)] * 4
    criterion = SGDNetLoss(boundary_thickness=thickness)
    criterion(maps, HALF_PLANE)
    close(criterion.terms["edge"], 1 - 2 * 4 * columns / (32 + 8 * columns))


def test_perfect_maps_cost_nothing():
    boundary = torch.zeros(1, 1, 8, 8)
    boundary[..., 3:6] = 1
    perfect = [40.0 * HALF_PLANE - 20] * 3 + [40 * boundary - 20]
    close(SGDNetLoss()(perfect, HALF_PLANE), 0)


@pytest.mark.parametrize("number", [1, 3])
def test_without_an_edge_map(number):
    maps = [torch.zeros(1, 1, 8, 8)] * number
    criterion = SGDNetLoss()
    close(criterion(maps, HALF_PLANE), number * (LN2 + 0.5))
    assert "edge" not in criterion.terms
    close(criterion(maps[0], HALF_PLANE), LN2 + 0.5)
    assert list(criterion.terms) == ["segmentation_fine"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_sums_are_float32(dtype):
    maps = [torch.zeros(1, 1, 8, 8, dtype=dtype)] * 4
    loss = SGDNetLoss()(maps, HALF_PLANE.to(torch.uint8))
    assert loss.dtype == torch.float32
    close(loss, 3 * (LN2 + 0.5) + 3 * EDGE_OF_ZEROS)


def test_sizes_that_differ():
    maps = [torch.zeros(1, 1, 8, 8)] * 3 + [torch.zeros(1, 1, 2, 2)]
    with pytest.raises(ValueError, match=r"differ in size: .*\(1, 1, 2, 2\) against \(1, 1, 8, 8\)"):
        SGDNetLoss()(maps, HALF_PLANE)


def test_weights_of_the_scales():
    torch.manual_seed(0)
    maps = [torch.randn(2, 1, 8, 8) for _ in range(4)]
    labels = torch.cat([HALF_PLANE, 1 - HALF_PLANE])
    criterion = SGDNetLoss(edge_weight=2, scale_weights=[1, 0.5, 0])
    loss, terms = criterion(maps, labels), criterion.terms
    assert len(terms) == 4
    close(loss, terms["segmentation_fine"] + terms["segmentation_middle"] / 2 + 2 * terms["edge"])
    maps[2].fill_(math.nan)
    close(criterion(maps, labels), loss)


@pytest.mark.parametrize(
    "weights", [[1, 1], [0, 1, 1], [1, -1, 1], [1, 1, math.inf], [math.nan, 1, 1], [1, 1, math.nan], 1]
)
def test_weights_that_are_refused(weights):
    with pytest.raises(ValueError, match="scale_weights must be three numbers of 0 or more"):
        SGDNetLoss(scale_weights=weights)


@pytest.mark.parametrize(
    ("segmentation", "by_hand"),
    [
        (torch.nn.BCEWithLogitsLoss(), -(math.log(0.75) + math.log(0.25)) / 2),
        (DiceLoss(sigmoid=True), 1 - 2 * 1.5 / (3 + 2)),
        (TverskyLoss(sigmoid=True, alpha=0.7, beta=0.3), 1 - 1.5 / (1.5 + 0.7 * 1.5 + 0.3 * 0.5)),
    ],
)
def test_another_loss_of_the_maps_by_hand(segmentation, by_hand):
    mask = torch.tensor([[1, 1], [0, 0]]).view(1, 1, 2, 2)
    close(SGDNetLoss(segmentation=segmentation)(logits(0.75, 1, 1, 2, 2), mask), by_hand)


def test_a_loss_that_is_none_is_refused():
    with pytest.raises(ValueError, match="segmentation must be a loss with a _target_, got 'dice'"):
        SGDNetLoss(segmentation="dice")


@pytest.mark.parametrize(("channels", "classes", "softmax"), [(3, 3, True), (3, 1, False), (1, 1, True)])
def test_labels_that_do_not_fit_the_logits(channels, classes, softmax):
    with pytest.raises(ValueError, match=f"got {channels} channels of labels and {classes} of logits"):
        SGDNetLoss(softmax=softmax)(torch.zeros(1, classes, 4, 4), torch.zeros(1, channels, 4, 4))


def test_negative_edge_weight():
    with pytest.raises(ValueError, match="edge_weight must be 0 or more, got -1"):
        SGDNetLoss(-1)


def test_two_channels_are_instances_and_their_classes():
    """The second channel is segmented, the first draws the boundary: instances of one class keep their border."""
    torch.manual_seed(0)
    instances = torch.tensor([[1000, 1000, 1001, 1001, 0, 0, 0, 0]] * 8).view(1, 1, 8, 8)
    types = torch.tensor([[2, 2, 2, 2, 0, 0, 0, 0]] * 8).view(1, 1, 8, 8)
    maps = [torch.randn(1, 3, 8, 8) for _ in range(3)] + [torch.randn(1, 1, 8, 8)]
    criterion, by_class = SGDNetLoss(softmax=True), SGDNetLoss(softmax=True)
    criterion(maps, torch.cat([instances, types], dim=1).float())
    by_class(maps, types)
    for name in list(criterion.terms)[:3]:
        assert torch.equal(criterion.terms[name], by_class.terms[name])
    by_instance = SGDNetLoss()
    by_instance([torch.zeros(1, 1, 8, 8)] * 3 + maps[3:], instances)
    assert torch.equal(criterion.terms["edge"], by_instance.terms["edge"])
    assert not torch.equal(criterion.terms["edge"], by_class.terms["edge"])


@pytest.mark.parametrize("number", [1, 7, 255, 40000])
def test_one_instance_costs_what_its_mask_costs(number):
    torch.manual_seed(0)
    maps = [torch.randn(2, 1, 16, 16, requires_grad=True) for _ in range(4)]
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, 3:9, 4:12] = 1
    as_mask, as_instance = SGDNetLoss()(maps, mask), SGDNetLoss()(maps, number * mask)
    assert torch.equal(as_mask, as_instance)
    for ours, theirs in zip(torch.autograd.grad(as_mask, maps), torch.autograd.grad(as_instance, maps), strict=True):
        assert torch.equal(ours, theirs)
