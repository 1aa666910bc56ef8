"""Segment one image with an exported TorchScript file.

    python segment_torchscript.py MODEL.ts IMAGE MASK.png

Needs torch, numpy and pillow; not MONAI. How to prepare the image stands in the file itself.
"""

import json
import sys

import numpy as np
import torch
from PIL import Image, ImageOps

model, source, target = sys.argv[1:4]
extra = {"metadata.json": ""}
network = torch.jit.load(model, map_location="cpu", _extra_files=extra).eval()
about = json.loads(extra["metadata.json"])
before, after = about["preprocessing"], about["output"]

picture = ImageOps.exif_transpose(Image.open(source))
if picture.mode[0] in "IF":  # 16 bits or floating point: what is white becomes 255
    values, depths = np.asarray(picture), before["bit_depth"] or (8, 10, 12, 14, 16)
    whites = (1, 255) if picture.mode == "F" else [2**depth - 1 for depth in np.atleast_1d(depths)]
    white = next((white for white in whites if 0 <= values.min() <= values.max() <= white), None)
    if white is None:
        sys.exit(f"{source}: values above white")
    picture = Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
elif picture.has_transparency_data:
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
bands, side = picture.convert("RGB").split(), (before["size"], before["size"])
small = np.stack([band.convert("F").resize(side, Image.Resampling.BILINEAR) for band in bands], -1).round()
pixels = (torch.from_numpy(small) - torch.tensor(before["mean"])) / torch.tensor(before["std"])

with torch.no_grad():
    logits = network(pixels.permute(2, 1, 0)[None])[0].mT  # (class, y, x)
scores = logits if len(logits) > 1 else torch.cat([0 * logits, logits])  # background first
maps = scores.softmax(0)[1:].numpy()
maps = [Image.fromarray(one).resize(picture.size, Image.Resampling.BILINEAR) for one in maps]
classes = np.argmax(maps, 0) + 1 if len(maps) > 1 else 255
mask = np.where(np.sum(maps, 0) >= after["threshold"], classes, 0).astype(np.uint8)
Image.fromarray(mask).save(target)
print(f"{target}: {100 * np.mean(mask > 0):.1f} % of the image is foreground")
