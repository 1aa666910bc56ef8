"""Literal reference operators, written from the specification alone: slow, obvious, for any floating type.

A network's parts are functions of its weights: `w` is a state dict, `sub(w, "sge.deep")` the part under that name.
Batch normalisation is the one of `eval()`. Nothing of the package is imported here.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

SOBEL = [[[1, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]]
SCHARR = [[[3, 0, -3], [10, 0, -10], [3, 0, -3]], [[3, 10, 3], [0, 0, 0], [-3, -10, -3]]]
LAPLACIAN = [[[0, 1, 0], [1, -4, 1], [0, 1, 0]]]
KERNELS = {"sobel": SOBEL, "scharr": SCHARR, "laplacian": LAPLACIAN, "learnable": SOBEL}  # learnable: at the start


def shake(module, seed=0):
    """Give every parameter and buffer (scales that start at 0, running statistics) a value that matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + noise)
        elif tensor.dim() > 1 and not name.endswith("_scale"):  # keeps a convolution's output of its input's size
            tensor.copy_((2 * noise - 1) * math.sqrt(3 / tensor[0].numel()))
        else:
            tensor.copy_(noise - 0.3)
    return module.eval()


def close(actual, expected, dtype=torch.float32):
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def state(module):
    """Parameters and buffers by name, through which gradients reach the parameters."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def flat(outputs):
    """All tensors of a nested result, in order."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for one in outputs if one is not None for tensor in flat(one)]


def compare(module, literal, *inputs):
    """Hold a module's outputs and all its gradients against a literal function of its weights, in float64."""
    shake(module.double())
    inputs = [x.double().requires_grad_() for x in inputs]
    leaves = [*inputs, *module.parameters()]
    actual, expected = flat(module(*inputs)), flat(literal(state(module), *inputs))
    close(actual, expected, torch.float64)

    def gradients(outputs):
        total = sum((y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)).sum() for y in outputs)
        return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)

    names = [f"input {i}" for i in range(len(inputs))] + [name for name, _ in module.named_parameters()]
    for name, got, exact in zip(names, gradients(actual), gradients(expected), strict=True):
        scale = max(exact.abs().max().item(), 1.0)
        torch.testing.assert_close(got / scale, exact / scale, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


# ---------------------------------------------------------------- operators


def dynamic_convolution(x, logits, heads, kernel_size):
    """The authors' way: unfold K shifted copies, weigh, sum."""
    b, c, h, w = x.shape
    taps = kernel_size**2
    copies = F.unfold(x, kernel_size, padding=kernel_size // 2).view(b, heads, c // heads, taps, h * w)
    weights = torch.softmax(logits.view(b, heads, 1, taps, h * w), dim=3)
    return (copies * weights).sum(3).view(b, c, h, w)


def finite_root(x):
    """Square root whose gradient at 0 is 0."""
    return torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1)), 0)


def edge_modulation(x, kernels, reading, root=torch.sqrt):
    """Eq. (1) with a plain square root; dense frozen convolutions, or one channel at a time."""
    channels = x.shape[1]
    responses = []
    for kernel in torch.as_tensor(kernels, dtype=x.dtype):
        if reading == "summed":  # every weight of a C -> C convolution holds the kernel
            responses.append(F.conv2d(x, kernel.expand(channels, channels, 3, 3), padding=1))
        else:
            responses.append(
                torch.cat([F.conv2d(x[:, [c]], kernel[None, None], padding=1) for c in range(channels)], 1)
            )
    return x * torch.sigmoid(root(sum(response**2 for response in responses)))


def stitch_attention(q, k, v, stride, placement="interleaved"):
    """Sub-grid (r, c) holds the pixels (i, j) with i mod s = r and j mod s = c; one token per sub-grid.

    Its result goes back to those pixels, or to the block in row r and column c of s x s blocks.
    """
    height, width = v.shape[2] // stride, v.shape[3] // stride
    grids = [(r, c) for r in range(stride) for c in range(stride)]
    result = torch.zeros_like(v)
    for image in range(len(q)):

        def tokens(x, image=image):
            return torch.stack([x[image, :, r::stride, c::stride].flatten() for r, c in grids])

        scores = tokens(q) @ tokens(k).T / math.sqrt(tokens(q).shape[1])
        attended = torch.softmax(scores, 1) @ tokens(v)
        for (r, c), token in zip(grids, attended, strict=True):
            place = result[image, :, r::stride, c::stride]
            if placement == "blocks":
                place = result[image, :, r * height : (r + 1) * height, c * width : (c + 1) * width]
            place.copy_(token.view(place.shape))
    return result


def morphological_gradient(labels, outer=1, inner=2):
    """Dilation minus erosion of one (H, W) label map, pixel by pixel; beyond the border the nearest pixel repeats."""
    height, width = labels.shape
    result = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):

            def around(radius, i=i, j=j):
                steps = range(-radius, radius + 1)
                return [
                    labels[np.clip(i + y, 0, height - 1), np.clip(j + x, 0, width - 1)] for y in steps for x in steps
                ]

            result[i, j] = max(around(outer)) > min(around(inner))
    return result


def edge_pixels(mask):
    """Foreground pixels with one of their four neighbours in the background or outside the image."""
    height, width = mask.shape

    def background(i, j):
        return not (0 <= i < height and 0 <= j < width and mask[i, j])

    return [
        (i, j)
        for i in range(height)
        for j in range(width)
        if mask[i, j] and any(background(i + y, j + x) for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    ]


def hd95(prediction, truth):
    """Larger of the two directed 95th percentiles of the distances between edge pixels; a miss costs the diagonal."""
    a, b = edge_pixels(prediction), edge_pixels(truth)
    if not a and not b:
        return 0.0
    if not a or not b:
        return math.hypot(*truth.shape)
    return max(np.percentile([min(math.dist(p, q) for q in to) for p in from_], 95) for from_, to in ((a, b), (b, a)))


# ---------------------------------------------------------------- layers


def sub(w, name):
    return {key[len(name) + 1 :]: value for key, value in w.items() if key.startswith(f"{name}.")}


def conv(w, x, **options):
    return F.conv2d(x, w["weight"], w.get("bias"), **options)


def bn(w, x):
    def column(name):
        return w[name][:, None, None]

    scaled = (x - column("running_mean")) / torch.sqrt(column("running_var") + 1e-5)
    return scaled * column("weight") + column("bias")


def conv_bn_relu(w, x, padding=0):
    return torch.relu(bn(sub(w, "1"), conv(sub(w, "0"), x, padding=padding)))


def layer_norm(w, x, eps=1e-6):
    mean = x.mean(1, keepdim=True)
    variance = ((x - mean) ** 2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * w["weight"][:, None, None] + w["bias"][:, None, None]


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def resize(x, size):
    """Bilinear, align_corners False, one output pixel after the other along each axis."""
    for dim, target in ((2, size[0]), (3, size[1])):
        length = x.shape[dim]
        columns = []
        for i in range(target):
            position = min(max((i + 0.5) * length / target - 0.5, 0), length - 1)
            low = math.floor(position)
            high = min(low + 1, length - 1)
            part = position - low
            columns.append(x.select(dim, low) * (1 - part) + x.select(dim, high) * part)
        x = torch.stack(columns, dim)
    return x


# ---------------------------------------------------------------- parts of the network


def bottle2neck(w, x, stride, first):
    y = torch.relu(bn(sub(w, "bn1"), conv(sub(w, "conv1"), x)))
    one, two, three, four = y.chunk(4, 1)

    def process(i, split):
        return torch.relu(bn(sub(w, f"bns.{i}"), conv(sub(w, f"convs.{i}"), split, stride=stride, padding=1)))

    one = process(0, one)
    two = process(1, two if first else two + one)
    three = process(2, three if first else three + two)
    if first:
        four = F.avg_pool2d(four, 3, stride, padding=1)
    y = bn(sub(w, "bn3"), conv(sub(w, "conv3"), torch.cat([one, two, three, four], 1)))
    if first:  # the shape changes
        x = F.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False)
        x = bn(sub(w, "downsample.2"), conv(sub(w, "downsample.1"), x))
    return torch.relu(y + x)


def res2net(w, x, depths=(3, 4, 6, 3)):
    """Weights by the names of the published file."""
    x = torch.relu(bn(sub(w, "conv1.1"), conv(sub(w, "conv1.0"), x, stride=2, padding=1)))
    x = torch.relu(bn(sub(w, "conv1.4"), conv(sub(w, "conv1.3"), x, padding=1)))
    x = torch.relu(bn(sub(w, "bn1"), conv(sub(w, "conv1.6"), x, padding=1)))
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            first = block == 0
            stride = 2 if first and stage > 1 else 1
            x = bottle2neck(sub(w, f"layer{stage}.{block}"), x, stride, first)
        outputs.append(x)
    return outputs


def stitch_vit(w, x, strides=(16, 8, 4, 2), placement="interleaved"):
    groups = [conv(sub(w, name), x).chunk(len(strides), 1) for name in ("query", "key", "value")]
    parts = zip(*groups, strides, strict=True)
    attended = torch.cat([stitch_attention(q, k, v, s, placement) for q, k, v, s in parts], 1)
    x = x + leaky(bn(sub(w, "project.1"), conv(sub(w, "project.0"), attended, padding=1)))
    y = leaky(bn(sub(w, "feed_forward.1"), conv(sub(w, "feed_forward.0"), x, padding=2, dilation=2)))
    return x + leaky(bn(sub(w, "feed_forward.4"), conv(sub(w, "feed_forward.3"), y, padding=1)))


def position_attention(w, x):
    q, k, v = (conv(sub(w, name), x).flatten(2) for name in ("query", "key", "value"))
    columns = []
    for n in range(q.shape[2]):
        weights = torch.softmax(torch.einsum("bc,bcm->bm", q[:, :, n], k), 1)
        columns.append(torch.einsum("bm,bcm->bc", weights, v))
    return w["scale"] * torch.stack(columns, 2).view_as(x) + x


def channel_attention(w, x):
    features = x.flatten(2)
    rows = []
    for c in range(x.shape[1]):
        energy = torch.einsum("bn,bdn->bd", features[:, c], features)
        weights = torch.softmax(energy.max(1, keepdim=True).values - energy, 1)
        rows.append(torch.einsum("bd,bdn->bn", weights, features))
    return w["scale"] * torch.stack(rows, 1).view_as(x) + x


def dual_attention(w, x):
    total = 0
    for name, attention in (("position", position_attention), ("channel", channel_attention)):
        branch = attention(sub(w, f"{name}.1"), conv_bn_relu(sub(w, f"{name}.0"), x, padding=1))
        total = total + conv_bn_relu(sub(w, f"{name}.2"), branch, padding=1)
    return conv(sub(w, "project.1"), total)


def refiner(w, x):
    y = conv_bn_relu(sub(w, "body.1"), conv_bn_relu(sub(w, "body.0"), x), padding=1)
    return torch.relu(bn(sub(w, "body.3"), conv(sub(w, "body.2"), y)) + x)


def sge(w, x4, x1, operator="sobel", reading="summed"):
    """Edge map and guidance (None where there is no head for it)."""
    streams = []
    for name, x in (("deep", x4), ("shallow", x1)):
        x = conv_bn_relu(sub(w, f"{name}.0"), x)
        if operator != "none":
            x = edge_modulation(x, KERNELS[operator], reading, finite_root)
        streams.append(refiner(sub(w, f"{name}.2"), x))
    deep, shallow = streams
    fused = conv_bn_relu(sub(w, "fuse"), torch.cat([resize(deep, shallow.shape[2:]), shallow], 1), padding=1)
    return conv(sub(w, "edge"), fused), conv(sub(w, "guidance"), fused) if "guidance.weight" in w else None


def add_guidance(w, x, guidance):
    return x + conv(sub(w, "project"), resize(guidance, x.shape[2:]))


def sgdc(w, x, guidance, heads=4, kernel_size=7, local=True, dynamic=True, raw=False, scaled=True):
    """`guidance` None is self-guidance."""
    c, taps = x.shape[1], heads * kernel_size**2
    fused = x if guidance is None else add_guidance(sub(w, "fuse"), x, guidance)
    parameters = conv(sub(w, "parameterize"), fused)
    normal = layer_norm(sub(w, "norm"), x)
    y = 0
    if local:
        gate1, parameters = parameters[:, :c], parameters[:, c:]
        y = y + conv(sub(w, "local.conv"), (x if raw else normal) * torch.sigmoid(gate1), padding=1, groups=c)
    if dynamic:
        gate2, logits = parameters.split([c, taps], 1)
        y = y + dynamic_convolution(normal, logits, heads, kernel_size) * torch.sigmoid(gate2)
    x = x + (w["mix_scale"] * y if scaled else y)
    y = conv(sub(w, "ffn.2"), gelu(conv(sub(w, "ffn.0"), layer_norm(sub(w, "ffn_norm"), x))))
    return x + (w["ffn_scale"] * y if scaled else y)


def pooled_dynamic_convolution(w, x, guidance, heads=4, kernel_size=7):
    """ContMix-like: a pixel's kernel comes from its affinities with a k x k grid of average-pooled keys."""
    height, width = x.shape[2:]
    fused = add_guidance(sub(w, "fuse"), x, guidance)
    query, key = conv(sub(w, "query"), fused), conv(sub(w, "key"), fused)
    n = query.shape[1] // heads

    def window(length, i):
        return slice(math.floor(i * length / kernel_size), math.ceil((i + 1) * length / kernel_size))

    grid = [(i, j) for i in range(kernel_size) for j in range(kernel_size)]
    logits = []
    for h in range(heads):
        q, k = query[:, h * n : (h + 1) * n], key[:, h * n : (h + 1) * n]
        pooled = [k[:, :, window(height, i), window(width, j)].mean((2, 3), keepdim=True) for i, j in grid]
        affinity = torch.stack([(q * one).sum(1) / math.sqrt(n) for one in pooled], 1)
        bias = w["to_logits.bias"][:, None, None]
        logits.append(torch.einsum("ot,bthw->bohw", w["to_logits.weight"], affinity) + bias)
    mixed = dynamic_convolution(layer_norm(sub(w, "norm"), x), torch.cat(logits, 1), heads, kernel_size)
    return x + conv(sub(w, "project"), mixed)


def neighbourhood(x, weights, kernel_size):
    """Sum the k x k pixels nearest to each one that lie inside the map (repeated at its end where it is smaller)."""
    height, width = x.shape[2:]
    heads, out = weights.shape[1], torch.zeros_like(x)
    n = x.shape[1] // heads

    def start(i, length):
        return min(max(i - kernel_size // 2, 0), max(length - kernel_size, 0))

    for i in range(height):
        for j in range(width):
            top, left = start(i, height), start(j, width)
            for a in range(kernel_size):
                for b in range(kernel_size):
                    pixel = x[:, :, min(top + a, height - 1), min(left + b, width - 1)]
                    out[:, :, i, j] += pixel * weights[:, :, i, j, a, b].repeat_interleave(n, 1)
    return out


def contmix(w, x, context, heads=8, sides=(5, 7), grid=7):
    """Every pixel's kernels, one after the other, from its affinities with the means of the context's regions."""
    height, width = x.shape[2:]
    half, n = x.shape[1] // 2, x.shape[1] // 2 // heads
    query = bn(sub(w, "query.1"), conv(sub(w, "query.0"), x))

    def window(length, i):
        return slice(math.floor(i * length / grid), math.ceil((i + 1) * length / grid))

    cells = [(i, j) for i in range(grid) for j in range(grid)]
    means = [context[:, :, window(context.shape[2], i), window(context.shape[3], j)].mean((2, 3)) for i, j in cells]
    key = bn(sub(w, "key.1"), conv(sub(w, "key.0"), torch.stack(means, 2)[..., None]))[..., 0]
    mixed = []
    for part, side, name in ((x[:, :half], sides[0], "small_bias"), (x[:, half:], sides[1], "large_bias")):
        taps = range(sides[0] ** 2) if name == "small_bias" else range(sides[0] ** 2, sides[0] ** 2 + sides[1] ** 2)
        weights = x.new_zeros(len(x), heads, height, width, side, side)
        for h in range(heads):
            for i in range(height):
                for j in range(width):
                    q, k = query[:, h * n : (h + 1) * n, i, j], key[:, h * n : (h + 1) * n]
                    affinity = (q[:, :, None] * k).sum(1) / math.sqrt(2 * n)
                    logits = affinity @ w["to_logits.weight"][taps].T + w["to_logits.bias"][taps]
                    top = min(max(i - side // 2, 0), max(height - side, 0)) - i + side - 1
                    left = min(max(j - side // 2, 0), max(width - side, 0)) - j + side - 1
                    bias = w[f"{name}.table"][h, top : top + side, left : left + side]
                    weights[:, h, i, j] = torch.softmax(logits + bias.flatten(), 1).unflatten(1, (side, side))
        mixed.append(neighbourhood(part, weights, side))
    return bn(sub(w, "project.1"), conv(sub(w, "project.0"), torch.cat(mixed, 1)))


def contmix_refinement(w, x, guidance):
    together = layer_norm(sub(w, "norm"), torch.cat([x, resize(guidance, x.shape[2:])], 1))
    channels = x.shape[1]
    return x + contmix(sub(w, "mix"), together[:, :channels], together[:, channels:])


def decoder_step(w, deep, shallow):
    up = resize(deep, shallow.shape[2:])
    a = sub(w, "agree")
    y = torch.cat([shallow, up], 1)
    for i in (0, 3):
        y = bn(sub(a, f"{i + 1}"), conv(sub(a, f"{i}"), y, padding=1))
        y = torch.where(y > 0, y, a[f"{i + 2}.weight"] * y)
    agreement = conv(sub(a, "6"), y)
    r = sub(w, "reverse")
    y = conv_bn_relu(sub(r, "0"), (1 - torch.sigmoid(up)) * shallow, padding=1)
    y = conv_bn_relu(sub(r, "1"), y, padding=1)
    return agreement + bn(sub(r, "3"), conv(sub(r, "2"), y, padding=1)) + up


def decoder(w, deep, skips):
    """Skips shallow to deep; decoded maps fine to coarse."""
    outputs = []
    for i, skip in enumerate(skips[::-1]):
        deep = decoder_step(sub(w, f"steps.{i}"), deep, conv_bn_relu(sub(w, f"reduce.{i}"), skip))
        outputs.insert(0, deep)
    return outputs


def sgdnet(w, image, depths=(3, 4, 6, 3), placement="interleaved"):
    """The default network for sizes that are multiples of 64: three segmentation maps, edge map, guidance."""
    x1, x2, x3, x4 = res2net(sub(w, "encoder"), image, depths)
    context = resize(stitch_vit(sub(w, "stitch_vit"), x1, placement=placement), x4.shape[2:])
    deep = conv_bn_relu(sub(w, "reduce"), dual_attention(sub(w, "dual_attention"), torch.cat([context, x4], 1)))
    edge, guidance = sge(sub(w, "sge"), x4, x1)
    refined = [sgdc(sub(w, f"refine.{i}"), x, guidance) for i, x in enumerate((x1, x2, x3))]
    decoded = decoder(sub(w, "decoder"), deep, refined)
    size = image.shape[2:]
    maps = [resize(conv(sub(w, f"heads.{i}"), one), size) for i, one in enumerate(decoded)]
    return maps, resize(edge, size), guidance
