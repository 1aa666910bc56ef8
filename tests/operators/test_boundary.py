"""Boundary targets: drawn by hand, and against the pixel-by-pixel oracle."""

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from monai.data import MetaTensor

from custom_networks.operators.boundary import MorphologicalGradient, MorphologicalGradientd, morphological_gradient


def drawn(picture):
    """Rows of a picture: `.` and `0` are background, `#` is 1, digits are labels."""
    return np.array([[int(c.replace(".", "0").replace("#", "1")) for c in row] for row in picture.split()], np.float32)


def boundary(labels, thickness=3):
    return morphological_gradient(torch.as_tensor(labels)[None, None], thickness)[0, 0].numpy()


EDGE = "....#####"
CASES = {
    "edge": (3, 5 * f"{EDGE} ", 5 * "...###... "),
    "edge, thickness 1": (1, 5 * f"{EDGE} ", 5 * "....#.... "),
    "edge, thickness 2": (2, 5 * f"{EDGE} ", 5 * "...##.... "),
    "edge, thickness 5": (5, 5 * f"{EDGE} ", 5 * "..#####.. "),
    "edge along rows": (3, "... ... ... ### ### ### ###", "... ... ### ### ### ... ..."),
    "corner": (
        3,
        "........ ........ ........ ...##### ...##### ...##### ...##### ...#####",
        "........ ........ ..###### ..###### ..###### ..###... ..###... ..###...",
    ),
    "square": (
        3,
        "......... ......... ..#####.. ..#####.. ..#####.. ..#####.. ..#####.. ......... .........",
        "......... .#######. .#######. .#######. .###.###. .#######. .#######. .#######. .........",
    ),
    "one pixel": (3, "....... ....... ...#... ....... .......", "....... ..###.. ..###.. ..###.. ......."),
    "one pixel in a corner": (3, "#.... ..... .....", "##... ##... ....."),
    "touching objects": (3, 4 * "11112222 ", 4 * "...###.. "),
    "touching objects, the other way round": (3, 4 * "22221111 ", 4 * "..###... "),
    "touching objects in a field": (
        3,
        ".......... .......... ..333111.. ..333111.. ..333111.. .......... ..........",
        ".......... .########. .########. .########. .########. .########. ..........",
    ),
    "object cut by the border": (3, 5 * "#####.... ", 5 * "...###... "),
    "object over three borders": (3, 3 * "####.... " + 3 * "####.... ", 6 * "..###... "),
    "empty": (3, 4 * "..... ", 4 * "..... "),
    "full": (3, 4 * "##### ", 4 * "..... "),
    "full of label 7": (3, 4 * "77777 ", 4 * "..... "),
    "hole of one pixel": (1, "##### ##### ##.## ##### #####", "..... .###. .#.#. .###. ....."),
    "one pixel image": (3, "#", "."),
}


@pytest.mark.parametrize(("thickness", "labels", "expected"), CASES.values(), ids=CASES)
def test_drawn(thickness, labels, expected):
    np.testing.assert_array_equal(boundary(drawn(labels), thickness), drawn(expected))
    np.testing.assert_array_equal(boundary(drawn(labels).T.copy(), thickness), drawn(expected).T)


@settings(max_examples=60, deadline=None)
@given(
    labels=arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)),
    thickness=st.integers(1, 6),
)
def test_equals_the_loop(labels, thickness):
    outer = thickness // 2
    expected = oracles.morphological_gradient(labels, outer, thickness - outer)
    np.testing.assert_array_equal(boundary(labels, thickness), expected)


def test_batch_and_channels_do_not_mix():
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 3, 8, 11)))
    expected = [[oracles.morphological_gradient(c.numpy()) for c in image] for image in labels]
    result = morphological_gradient(labels)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result, np.array(expected))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float16, torch.float64])
def test_any_type_of_label(dtype):
    labels = torch.from_numpy(drawn(CASES["square"][1])).to(dtype)
    np.testing.assert_array_equal(boundary(labels), drawn(CASES["square"][2]))


def test_large_instance_numbers():
    labels = torch.tensor([[1000, 1000, 1000, 1001, 1001, 1001]] * 3, dtype=torch.int32)
    np.testing.assert_array_equal(boundary(labels), drawn(3 * "..###. "))


@pytest.mark.parametrize(
    ("shape", "thickness", "message"),
    [((1, 1, 4, 4), 0, "1 pixel or more, got 0"), ((4, 4), 3, r"\(B, C, H, W\), got shape \(4, 4\)")],
)
def test_refused(shape, thickness, message):
    with pytest.raises(ValueError, match=message):
        morphological_gradient(torch.zeros(shape), thickness)


KINDS = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(lambda a: a, id="float array"),
        pytest.param(lambda a: a.astype(np.uint8), id="uint8 array"),
        pytest.param(torch.from_numpy, id="tensor"),
        pytest.param(lambda a: torch.from_numpy(a.astype(bool)), id="bool tensor"),
        pytest.param(lambda a: MetaTensor(torch.from_numpy(a), meta={"name": "x"}), id="MetaTensor"),
    ],
)


@KINDS
def test_array_transform(kind):
    labels = kind(drawn(CASES["square"][1])[None])
    result = MorphologicalGradient()(labels)
    assert type(result) is type(labels)
    assert result.dtype == (np.float32 if isinstance(labels, np.ndarray) else torch.float32)
    np.testing.assert_array_equal(result, drawn(CASES["square"][2])[None])
    np.testing.assert_array_equal(labels, kind(drawn(CASES["square"][1])[None]), "the input is left alone")
    if isinstance(labels, MetaTensor):
        assert result.meta["name"] == "x"


def test_array_transform_of_several_channels():
    """Each channel is a label map of its own; the shape stays."""
    labels = np.stack([drawn(CASES["edge"][1]), np.zeros((5, 9), np.float32)])
    expected = np.stack([drawn(CASES["edge"][2]), np.zeros((5, 9), np.float32)])
    np.testing.assert_array_equal(MorphologicalGradient()(labels), expected)


@KINDS
def test_dictionary_transform(kind):
    labels = kind(drawn(CASES["edge"][1])[None])
    data = {"label": labels, "other": 1}
    result = MorphologicalGradientd()(data)
    assert set(data) == {"label", "other"}
    assert set(result) == {"label", "other", "boundary"}
    assert result["label"] is labels
    assert type(result["boundary"]) is type(labels)
    np.testing.assert_array_equal(result["boundary"], drawn(CASES["edge"][2])[None])


def test_dictionary_transform_with_several_keys():
    data = {"a": drawn(CASES["edge"][1])[None], "b": drawn(CASES["one pixel"][1])[None]}
    result = MorphologicalGradientd(["a", "b"], ["ea", "eb"], thickness=1)(data)
    np.testing.assert_array_equal(result["ea"], drawn(CASES["edge, thickness 1"][2])[None])
    np.testing.assert_array_equal(result["eb"], drawn(CASES["one pixel"][1])[None])
    with pytest.raises(ValueError, match="length"):
        MorphologicalGradientd(["a", "b"], ["ea", "eb", "ec"])


def test_dictionary_transform_with_a_missing_key():
    data = {"image": np.zeros((1, 4, 4), np.float32)}
    with pytest.raises(KeyError, match="label"):
        MorphologicalGradientd()(data)
    assert set(MorphologicalGradientd(allow_missing_keys=True)(data)) == {"image"}
