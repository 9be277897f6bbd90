"""The replacement of attributes that tf2onnx writes although the ONNX standard does not have them."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper


def to_standard(model: onnx.ModelProto) -> None:
    """Replaces such attributes by standard ones: those of nearest-neighbour resizing, and negative padding."""
    for node in model.graph.node:
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "Resize" and attributes.get("coordinate_transformation_mode") == b"tf_half_pixel_for_nn":
            # both are floor((i + 1/2) / scale)
            _set(node, coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_ceil")
        if node.op_type == "ConvTranspose" and min(attributes.get("pads", [0])) < 0:
            _set(node, **_without_negative_pads(attributes))


def _without_negative_pads(attributes: dict[str, Any]) -> dict[str, list[int]]:
    """The attributes that say the same: a negative padding at the end is an output padding."""
    pads = attributes["pads"]
    axes = len(pads) // 2
    added = attributes.get("output_padding", [0] * axes)
    more = [extra + max(-pad, 0) for extra, pad in zip(added, pads[axes:], strict=True)]
    return {"pads": [*pads[:axes], *(max(pad, 0) for pad in pads[axes:])], "output_padding": more}


def _set(node: onnx.NodeProto, **values: Any) -> None:
    kept = [entry for entry in node.attribute if entry.name not in values]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in values.items())])
