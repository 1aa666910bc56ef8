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

picture = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
side = before["size"]
small = picture.resize((side, side), Image.Resampling.BILINEAR)
pixels = (np.asarray(small, np.float32) - np.float32(before["mean"])) / np.float32(before["std"])
image = pixels.transpose(2, 1, 0)[None]  # (1, 3, x, y)

logits = session.run([after["name"]], {about["input"]["name"]: image})[0]
probability = 1 / (1 + np.exp(-logits[0, 0].T))  # (y, x)
large = Image.fromarray(probability).resize(picture.size, Image.Resampling.BILINEAR)
mask = np.where(np.asarray(large) >= after["threshold"], 255, 0).astype(np.uint8)
Image.fromarray(mask).save(target)
print(f"{target}: {100 * np.mean(mask > 0):.1f} % of the image is foreground")
