"""Every way out of Python gives the numbers of the module itself."""

import copy
import io

import numpy as np
import pytest
import torch
from networks import toy_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = toy_network()
    with torch.no_grad():
        for _ in range(2):
            network.train()(torch.rand(2, 3, 64, 64))
    network.dual_attention.position[1].scale.data.fill_(0.5)
    network.dual_attention.channel[1].scale.data.fill_(0.5)
    for refine in network.refine:  # else the dynamic convolution would count for nothing
        refine.mix_scale.data.fill_(0.5)
        refine.ffn_scale.data.fill_(0.5)
    return network.eval()


def check(form, network, size=(64, 64)):
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(form(image), network(image), rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def scripted(network):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(network), file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.mark.parametrize("size", [(64, 64), (70, 130)])
def test_script(network, scripted, size):
    check(scripted, network, size)


def test_script_of_a_training_network_gives_one_map(scripted, network):
    training = copy.deepcopy(scripted).train()  # a step in training moves the statistics of the batch norms
    assert isinstance(training(torch.rand(1, 3, 64, 64)), torch.Tensor)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param({"refinement": "none"}, marks=pytest.mark.slow),
        {"refinement": "contmix", "edge_reading": "depthwise"},
        pytest.param({"stitch_placement": "blocks"}, marks=pytest.mark.slow),
        pytest.param({"refinement": "contmix_published"}, marks=pytest.mark.slow),
    ],
)
def test_script_of_variants(variant):
    torch.manual_seed(0)
    network = toy_network(**variant).eval()
    check(torch.jit.script(network), network)


@pytest.mark.slow
def test_trace(network):
    check(torch.jit.trace(network, torch.rand(1, 3, 64, 64)), network)


@pytest.mark.slow
def test_export(network):
    check(torch.export.export(network, (torch.rand(1, 3, 50, 64),)).module(), network, (50, 64))


@pytest.mark.slow
def test_onnx(network):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    file = io.BytesIO()
    torch.onnx.export(
        network, (torch.rand(1, 3, 64, 64),), file, dynamo=False, input_names=["image"], output_names=["logits"]
    )
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])

    def run(image):
        (logits,) = session.run(None, {"image": image.numpy()})
        assert logits.dtype == np.float32
        return torch.from_numpy(logits)

    check(run, network)
