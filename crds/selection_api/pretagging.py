"""pretagging_config: settings of the built-in object detector."""

from typing import Annotated

from pydantic import Field

from selection_api.model import CountOrAll, Integer, Model, RelativePath, Share, default_section

MOST_OBJECTS = 100
"""What the detector finds on an image at most."""
LARGEST_INPUT_PX = 2048

ObjectCount = Annotated[Integer, Field(ge=0, le=MOST_OBJECTS)]


class PretaggingCounts(Model):
    """The least number of objects of each category on an image that can be selected."""

    bicycle: ObjectCount = 0
    """How many bicycles an image has at least."""

    bus: ObjectCount = 0
    """How many buses an image has at least."""

    car: ObjectCount = 0
    """How many cars an image has at least."""

    motorcycle: ObjectCount = 0
    """How many motorcycles an image has at least."""

    person: ObjectCount = 0
    """How many persons an image has at least."""

    train: ObjectCount = 0
    """How many trains an image has at least."""

    truck: ObjectCount = 0
    """How many trucks an image has at least."""


PRETAGGING_CATEGORIES: tuple[str, ...] = tuple(PretaggingCounts.model_fields)
"""What the built-in detector finds."""


class PretaggingConfig(Model):
    """Settings of the built-in object detector."""

    checkpoint: RelativePath = ""
    """The detector's weights: a file in the lightly datasource, relative to it, with the state_dict of torchvision's
    fasterrcnn_resnet50_fpn or fasterrcnn_mobilenet_v3_large_320_fpn. Empty for torchvision's ResNet-50, trained on
    COCO, which is downloaded once."""

    input_size: Annotated[CountOrAll, Field(le=LARGEST_INPUT_PX)] = -1
    """The shortest edge, in pixels, that images are resized to for the detector, the aspect kept; -1 and 0 stand for
    the network's own (800 for ResNet-50, 320 for MobileNet). Smaller is faster and misses small objects."""

    min_score: Share = 0.5
    """Objects that the detector is less sure of are left out."""

    min_counts: PretaggingCounts = default_section()
    """Only images with at least so many objects can be selected, for example {person: 1, car: 2}."""
