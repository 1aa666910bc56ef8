"""The catalogue of what can be wrong with a data set (errors) or is worth knowing (warnings)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from custom_networks.data.images import MASK_THRESHOLD

TINY_SHARE, TINY_PIXELS = 0.001, 64  # a lesion is tiny below both
IMBALANCE = 50  # times the commonest class (or background) exceeds the rarest


class FindingKind(Enum):
    """A kind of finding: whether it is an error, what it is, and what to do about it."""

    FILE = (True, "unreadable files, or mask values that cannot be read", "replace or correct each file named")
    LIST = (True, "lists that cannot be trained on", "correct the datalist")
    SIZE = (True, "masks of another size than their image", "save the mask at the size of its image")
    VALUES = (True, "label values outside the declared classes", "correct the labels or declare the classes")
    NUMBERS = (
        True,
        f"masks with values, but none above {MASK_THRESHOLD} (they would be read as empty)",
        "set label_kind to classes or instances, or save foreground as 255",
    )
    SAME_ID = (True, "ids that occur twice", "give every item an id of its own")
    LEAK = (True, "the same picture in two splits", "keep it in one of them")
    READ_AS = (False, "images converted as they are read", "nothing, if that is meant")
    DARK = (
        False,
        "16-bit images without a value above 255, beside others that have (read as nearly black)",
        "save 8-bit values as 8-bit",
    )
    TURNED = (
        False,
        "images turned upright by their EXIF orientation (their masks must be upright too)",
        "look at the sheet whether mask and image agree",
    )
    GREY = (
        False,
        f"grey-valued masks (value above {MASK_THRESHOLD} is foreground)",
        "save masks with 0 and 255 alone",
    )
    JPEG = (False, "masks that were JPEG (values near 0 and 255)", "save masks as PNG, from the originals")
    EMPTY = (False, "empty masks (no foreground)", "check that there is nothing to segment")
    FULL = (False, "full masks (no background)", "check that the whole image is meant")
    TINY = (
        False,
        f"tiny lesions (under {TINY_PIXELS} pixels and {TINY_SHARE:.1%} of the image)",
        "look for stray pixels; at 256 x 256 they may vanish",
    )
    CUT = (False, "lesions cut by the image's border", "nothing, if images are crops; boundary measures end there")
    HASH = (False, "images that changed since the datalist was written (sha256)", "prepare the data set again")
    SAME_PICTURE = (False, "the same picture twice within a split", "keep one, or keep both in one fold")
    SAME_FOLDS = (False, "the same picture in two folds", "keep both in one fold")
    TORN_FOLDS = (False, "groups with images in two folds", "give all images of a group one fold")
    TORN_SPLITS = (False, "groups with images in two splits", "keep each group in one split")
    NEAR = (False, "near-duplicates within a split", "keep both in one fold, or remove one")
    NEAR_FOLDS = (False, "near-duplicates in two folds", "keep both in one fold")
    NEAR_SPLITS = (False, "near-duplicates in two splits", "keep both in one split")
    NEAR_SETS = (False, "near-duplicates across data sets", "take them out of the set that tests")
    IMBALANCE = (False, "class imbalance", "weigh the loss, or say it with the results")

    def __init__(self, is_error: bool, what: str, fix: str) -> None:
        self.is_error = is_error
        self.what = what
        self.fix = fix


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: of the catalogue.
        path: the file.
        detail: for an error, the whole sentence; else what the kind leaves open.
        other: the second file of a pair.
        correlation: of near-duplicates, 0 to 1; None for other kinds.
    """

    kind: FindingKind
    path: str
    detail: str = ""
    other: str = ""
    correlation: float | None = None

    @property
    def sentence(self) -> str:
        """An error's sentence, which names the file and the fix; a warning's kind."""
        return self.detail if self.kind.is_error else (self.detail or self.kind.what)
