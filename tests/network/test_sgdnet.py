"""The whole network: against its literal re-computation, in numbers, sizes, variants, and on difficult images."""

import collections
import copy
import io
import re

import oracles
import pytest
import torch
from networks import TOY, toy_network
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from custom_networks.losses.sgd_loss import SGDNetLoss
from custom_networks.network.sgdc import SGDC
from custom_networks.network.sgdnet import SGDNet

VARIANTS = [
    {},
    {"in_channels": 1},
    {"out_channels": 3},
    {"edge_operator": "scharr"},
    {"edge_operator": "laplacian"},
    {"edge_operator": "learnable"},
    {"edge_operator": "none"},
    {"edge_reading": "depthwise"},
    {"refinement": "contmix"},
    {"refinement": "contmix_published"},
    {"refinement": "add"},
    {"refinement": "none"},
    {"guidance": "self"},
    {"local_branch": False},
    {"dynamic_branch": False},
    {"local_input": "raw"},
    {"layer_scale_init": None},
    {"stitch_placement": "blocks"},
    {"stitch_vit": False, "refinement": "none"},
]


@pytest.fixture(scope="module")
def built():
    """One network for the module, its running statistics those of random images."""
    torch.manual_seed(0)
    return settled(toy_network())


def settled(network):
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    return network


@pytest.fixture
def network(built):
    """The module's network in `eval()`; what training does to its statistics and gradients is undone."""
    before = {name: buffer.clone() for name, buffer in built.named_buffers()}
    yield built.eval()
    built.zero_grad(set_to_none=True)
    for name, buffer in built.named_buffers():
        buffer.copy_(before[name])


def sizes(maps):
    return [tuple(x.shape) for x in maps]


def equal(maps, others):
    return all(torch.equal(a, b) for a, b in zip(maps, others, strict=True))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="paper", marks=pytest.mark.slow),
        pytest.param({"encoder_width": TOY["encoder_width"]}, id="paper's depths"),
        pytest.param({**TOY, "kernel_size": 7}, id="toy"),
        pytest.param({**TOY, "kernel_size": 7, "stitch_placement": "blocks"}, id="blocks"),
    ],
)
def test_whole_network_equals_its_literal_recomputation(arguments):
    """All five maps and, through them, the gradient of every parameter."""
    torch.manual_seed(0)

    class Maps(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = settled(SGDNet(**arguments))

        def forward(self, image):
            return self.network.maps(image)

    def literal(w, image):
        depths = arguments.get("encoder_depths", (3, 4, 6, 3))
        placement = arguments.get("stitch_placement", "interleaved")
        return oracles.sgdnet(oracles.sub(w, "network"), image, depths, placement)

    oracles.compare(Maps(), literal, torch.rand(1, 3, 64, 64))


def test_number_of_parameters():
    with torch.device("meta"):
        network, toy = SGDNet(), toy_network()
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 74_005_848
    assert sum(p.numel() for p in network.parameters()) == 74_005_848
    assert sum(p.numel() for p in toy.parameters()) < 1_000_000
    named = {"encoder_depths": [3, 4, 6, 3], "encoder_width": 64, "stitch_placement": "interleaved"}
    with torch.device("meta"):
        same = SGDNet(**named)
    assert [(n, p.shape) for n, p in same.named_parameters()] == [(n, p.shape) for n, p in network.named_parameters()]


def test_toy_has_every_block_of_the_paper():
    with torch.device("meta"):
        network, toy = SGDNet(), toy_network()
    assert {type(m) for m in toy.modules()} == {type(m) for m in network.modules()}
    assert {n for n, _ in toy.named_children()} == {n for n, _ in network.named_children()}


def test_multiply_accumulates():
    """36.233 GMACs at 1 x 3 x 256 x 256, counted for one map in `eval()` as

    - convolutions without their biases, and attention products, by PyTorch's own counter, where
    - StitchViT is computed whole, as in training, not just where the resize that follows reads it,
    - SGE's 3x3 reads the deep map upsampled, as the authors' does,
    - each Sobel pair on a channel sum counts as the authors' pair of dense 256 -> 256 convolutions, and
    - the dynamic convolution, which is one operator to the counter, counts its 49 taps;
    - one for each bias added and each value normalised (batch and layer norm).

    The figures for StitchViT and dual attention leave out attention products, as the paper's do.
    """
    with torch.device("meta"):
        network = SGDNet().eval()
        image = torch.empty(1, 3, 256, 256)
    extra, taps = collections.Counter(), 0

    def count(name, module, output):
        nonlocal taps
        if isinstance(module, SGDC):
            taps += 49 * output.numel()
        biased = isinstance(module, nn.Conv2d) and module.bias is not None
        if biased or isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            extra[name] += output.numel()

    def run():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
        return {name: {str(op): n // 2 for op, n in ops.items()} for name, ops in counter.get_flop_counts().items()}

    read_alone = sum(run()["SGDNet"].values())
    for name, child in network.named_children():
        for module in child.modules():
            module.register_forward_hook(lambda m, _, output, name=name: count(name, m, output))
    network.stitch_vit.training = True  # no statistics: its batch norms stay in eval()
    macs = run()

    def convolutions(name):
        return macs[f"SGDNet.{name}"]["aten.convolution"]

    summed = convolutions("sge.deep.1") + convolutions("sge.shallow.1")
    assert summed == 2 * 9 * (8 * 8 + 64 * 64)
    parts = sum(sum(macs[f"SGDNet.sge.{name}"].values()) for name, _ in network.sge.named_children() if name != "fuse")
    joined = 64 * 64 * 9 * 512 * 256 - (sum(macs["SGDNet.sge"].values()) - parts)
    total = sum(macs["SGDNet"].values()) + joined + taps + (256 * 256 - 1) * summed + sum(extra.values())
    stitch_vit = convolutions("stitch_vit") + extra["stitch_vit"]
    dual_attention = convolutions("dual_attention") + extra["dual_attention"]
    for counted, published in ((total, 36.233), (stitch_vit, 8.066), (dual_attention, 2.015)):
        assert counted / 1e9 == pytest.approx(published, rel=1e-3)
    assert (read_alone + taps) / 1e9 == pytest.approx(24.848, rel=1e-4), "what inference executes"


def test_train_gives_a_list_and_eval_a_tensor(network):
    image = torch.rand(2, 3, 64, 128)
    assert sizes(network.train()(image)) == 4 * [(2, 1, 64, 128)]
    assert tuple(network.eval()(image).shape) == (2, 1, 64, 128)


def test_maps_are_what_forward_gives(network):
    image = torch.rand(1, 3, 70, 50)
    maps = network.maps(image)
    assert sizes([*maps.segmentation, maps.edge]) == 4 * [(1, 1, 70, 50)]
    assert tuple(maps.guidance.shape) == (1, 16, 32, 16)
    assert torch.equal(network(image), maps.segmentation[0])
    torch.manual_seed(0)
    maps = network.train().maps(image)
    torch.manual_seed(0)
    assert equal(network(image), [*maps.segmentation, maps.edge])


@pytest.mark.parametrize("size", [(64, 64), (70, 130), (33, 200), (1, 1)])
def test_any_size_is_padded_by_repetition_and_cropped(network, size):
    height, width = size
    image = torch.rand(1, 3, *size)
    rows = torch.arange(-(-height // 64) * 64).clamp(max=height - 1)
    columns = torch.arange(-(-width // 64) * 64).clamp(max=width - 1)
    with torch.no_grad():
        result = network.maps(image)
        expected = network.maps(image[:, :, rows][:, :, :, columns])
    for got, whole in zip([*result.segmentation, result.edge], [*expected.segmentation, expected.edge], strict=True):
        assert got.shape == (1, 1, *size)
        assert torch.equal(got, whole[:, :, :height, :width])


def test_wrapper_leaves_multiples_of_64_alone(network):
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        decoded = network.decode(image)[0][0]
        expected = nn.functional.interpolate(network.heads[0](decoded), (64, 128), mode="bilinear", align_corners=False)
        assert torch.equal(network(image), expected)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_parameter_receives_a_gradient(variant):
    torch.manual_seed(0)
    network = toy_network(**variant).train()
    for attention in (network.dual_attention.position[1], network.dual_attention.channel[1]):
        nn.init.ones_(attention.scale)  # they start at 0, which stops the gradient of query, key and value
    classes = variant.get("out_channels", 1)
    outputs = network(torch.rand(1, variant.get("in_channels", 3), 64, 64))
    edge = [] if variant.get("refinement") == "none" else [(1, 1, 64, 64)]
    assert sizes(outputs) == 3 * [(1, classes, 64, 64)] + edge
    labels = torch.randint(0, max(classes, 2), (1, 1, 8, 8)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    loss = SGDNetLoss(softmax=classes > 1)(outputs, labels)
    loss.backward()
    assert loss.isfinite()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without
    dead = [name for name, p in network.named_parameters() if p.dim() > 1 and not p.grad.any()]
    assert not dead


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"refinement": "sgcd"}, "refinement must be one of sgdc, contmix, contmix_published, add, none, got 'sgcd'"),
        ({"guidance": "selv"}, "guidance must be one of sge, self, got 'selv'; did you mean 'self'"),
        ({"edge_operator": "sobbel"}, "did you mean 'sobel'"),
        ({"edge_reading": "sum"}, "did you mean 'summed'"),
        ({"in_channels": 0}, "in_channels and out_channels must be 1 or more, got 0 and 1"),
        ({"out_channels": 0}, "got 3 and 0"),
        ({"guidance": "self", "refinement": "add"}, "'self' is a variant of refinement 'sgdc', got refinement 'add'"),
        ({"local_branch": False, "dynamic_branch": False}, "needs a branch"),
        ({"local_input": "rough"}, "local_input must be one of normalized, raw"),
        ({"stitch_placement": "blok"}, "must be one of interleaved, blocks, got 'blok'; did you mean 'blocks'"),
        ({"encoder_depths": (3, 4, 6)}, "must be four numbers of 1 or more, got [3, 4, 6]"),
        ({"encoder_depths": (3, 0, 6, 3)}, "must be four numbers of 1 or more, got [3, 0, 6, 3]"),
        ({"kernel_size": 4}, "kernel_size must be odd and 1 or more, got 4"),
        ({"kernel_size": 3.0}, "kernel_size must be odd and 1 or more, got 3.0"),
        ({"kernel_size": -1}, "kernel_size must be odd and 1 or more, got -1"),
        ({"encoder_width": 0}, "encoder_width must be a multiple of 4 above 0, got 0"),
        ({"encoder_width": 30}, "encoder_width must be a multiple of 4 above 0, got 30"),
    ],
)
def test_refused_arguments(arguments, message):
    with torch.device("meta"), pytest.raises(ValueError, match=re.escape(message)):
        SGDNet(**arguments)


def test_misspelt_keyword():
    with pytest.raises(TypeError, match="edge_operater"):
        SGDNet(edge_operater="sobel")


def test_state_dict_round_trip(network):
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = toy_network()
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(other.eval()(image), network(image))


def test_same_seed_same_numbers():
    def run():
        torch.manual_seed(3)
        return toy_network().train()(torch.rand(1, 3, 64, 64))

    assert equal(run(), run())


IMAGES = {"black": 0.0, "white": 1.0, "grey": 0.3, "half black": None}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_flat_images_train(network, image, foreground, autocast):
    """Also where nothing is to be found, or nothing else: loss and gradients stay finite."""
    torch.manual_seed(0)
    if IMAGES[image] is None:
        x = torch.rand(1, 3, 64, 64)
        x[..., :32] = 0
    else:
        x = torch.full((1, 3, 64, 64), IMAGES[image])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = network.train()(x)
    loss = SGDNetLoss()(outputs, torch.full((1, 1, 64, 64), float(foreground)))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ({}, (64, 128)),
        ({"out_channels": 3, "edge_operator": "learnable"}, (70, 50)),
        ({"refinement": "contmix"}, (64, 64)),
        ({"refinement": "contmix_published"}, (64, 64)),
        ({"refinement": "none"}, (70, 50)),
    ],
    ids=str,
)
def test_optimized_for_inference(variant, size):
    network = oracles.shake(toy_network(**variant))
    image = torch.rand(2, 3, *size)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimized = network.optimize_for_inference().train()
    with torch.no_grad():
        expected = network(image)
        assert (optimized(image) - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in optimized.modules())
    assert not any(m.training for m in optimized.modules())
    assert not any(p.requires_grad for p in optimized.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items()), "a copy"


@pytest.fixture(scope="module")
def shaken():
    return oracles.shake(toy_network())


@pytest.mark.parametrize("onednn", [True, False])
def test_optimized_in_bfloat16(shaken, onednn):
    """On any processor, fast or not."""
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=onednn):
        logits, expected = shaken.optimize_for_inference(torch.bfloat16)(image), shaken(image)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() <= 0.05 * expected.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_cuda_agrees_and_trains(shaken, autocast):
    image = torch.rand(1, 3, 64, 64)
    on_gpu = copy.deepcopy(shaken).cuda()
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        logits, expected = on_gpu(image.cuda()).cpu().float(), shaken(image)
    assert (logits - expected).abs().max() <= (0.05 if autocast else 0.01) * expected.abs().max()
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        outputs = on_gpu.train()(image.cuda())
    SGDNetLoss()(outputs, torch.ones(1, 1, 64, 64, device="cuda")).backward()
    assert all(p.grad.isfinite().all() for p in on_gpu.parameters())


@pytest.mark.parametrize("autocast", [False, True])
def test_torch_compile_takes_the_network_whole(shaken, autocast, monkeypatch):
    """Also where it cannot follow the question whether a device has autocast, as in torch 2.11."""
    monkeypatch.setattr(torch.amp, "is_autocast_available", torch.compiler.disable(torch.amp.is_autocast_available))
    image = torch.rand(1, 3, 64, 64)
    torch.compiler.reset()
    compiled = torch.compile(shaken, fullgraph=True, backend="aot_eager", dynamic=False)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits, expected = compiled(image), shaken(image)
    assert (logits - expected).abs().max() <= (0.05 if autocast else 1e-4) * expected.abs().max()


@pytest.mark.parametrize("refinement", ["sgdc", "contmix_published"])  # the second has batch statistics of its own
def test_checkpointing_keeps_outputs_and_gradients(refinement):
    """The refinements are computed twice, nothing else changes: batch statistics are counted once."""
    plain = oracles.shake(toy_network(dropout=0.0, refinement=refinement)).train()
    frugal = toy_network(dropout=0.0, refinement=refinement, checkpointing=True).train()
    frugal.load_state_dict(plain.state_dict())
    image, runs = torch.rand(2, 3, 64, 64), []
    for network in (plain, frugal):
        loss = SGDNetLoss()(network(image), torch.ones(2, 1, 64, 64))
        loss.backward()
        runs.append((loss, [p.grad for p in network.parameters()], list(network.buffers())))
    assert torch.equal(runs[0][0], runs[1][0])
    for ours, expected in zip(runs[1][1] + runs[1][2], runs[0][1] + runs[0][2], strict=True):
        torch.testing.assert_close(ours, expected)
