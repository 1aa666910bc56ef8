"""Segment one image with an exported ONNX file.

    python segment_onnx.py MODEL.onnx IMAGE MASK.png

Needs numpy, pillow and onnxruntime; neither PyTorch nor MONAI. How to prepare the image stands in the file itself.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, source, target = sys.argv[1:4]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["metadata"])
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
image = ((small - np.float32(before["mean"])) / np.float32(before["std"])).transpose(2, 1, 0)[None]  # (1, 3, x, y)

logits = session.run([after["name"]], {about["input"]["name"]: image})[0][0].transpose(0, 2, 1)  # (class, y, x)
scores = logits if len(logits) > 1 else np.concatenate([0 * logits, logits])  # background first
odds = np.exp(scores - scores.max(0))
maps = [Image.fromarray(p).resize(picture.size, Image.Resampling.BILINEAR) for p in (odds / odds.sum(0))[1:]]
classes = np.argmax(maps, 0) + 1 if len(maps) > 1 else 255
mask = np.where(np.sum(maps, 0) >= after["threshold"], classes, 0).astype(np.uint8)
Image.fromarray(mask).save(target)
print(f"{target}: {100 * np.mean(mask > 0):.1f} % of the image is foreground")
