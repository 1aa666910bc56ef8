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

picture = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
side = before["size"]
small = picture.resize((side, side), Image.Resampling.BILINEAR)
pixels = (torch.tensor(np.asarray(small)) - torch.tensor(before["mean"])) / torch.tensor(before["std"])

with torch.no_grad():
    logits = network(pixels.permute(2, 1, 0)[None])  # (1, 3, x, y)
probability = torch.sigmoid(logits[0, 0].T)  # (y, x)
large = Image.fromarray(probability.numpy()).resize(picture.size, Image.Resampling.BILINEAR)
mask = np.where(np.asarray(large) >= after["threshold"], 255, 0).astype(np.uint8)
Image.fromarray(mask).save(target)
print(f"{target}: {100 * np.mean(mask > 0):.1f} % of the image is foreground")
