"""One image: from the file to 8-bit or deeper pixels of the size and the channels that were asked for."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vae_tf import _checks

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BROKEN", "SUFFIXES", "Preparation", "decode", "scaled"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""The formats that are opened, whatever a file is called: others can run programs (PostScript) or fetch files."""
MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is decoded; a camera of 61 megapixels stays below."""
_OF_PYTHON = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, RuntimeError)
BROKEN = (*_OF_PYTHON, MemoryError, ArithmeticError, struct.error, zlib.error)
"""The errors that Pillow raises for files that are damaged."""
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262  # numbers of tags in EXIF and TIFF
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow's convert("L")


@dataclass(frozen=True)
class Preparation:
    """The way from an image as stored to an example.

    Attributes:
        size: Height and width of the result; None leaves the image as it is.
        crop: Height and width of the part in the middle that is taken first; None takes all.
        stretch: Whether `size` may change the aspect ratio; otherwise the image is made to cover it, and what hangs
            over is cut off on both sides alike.
        channels: 1 for grey, 3 for colour; None leaves the image as it is.
        background: Colour behind transparent pixels, red, green and blue from 0 to 255.
    """

    size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    stretch: bool = False
    channels: int | None = None
    background: tuple[int, int, int] = (255, 255, 255)

    @classmethod
    def of(cls, *, size: Any, crop: Any, stretch: bool, channels: Any, background: Any) -> Preparation:
        """The preparation that these arguments of `load` ask for, or a ValueError that names one of them."""
        if channels not in (None, 1, 3):
            raise ValueError(
                _checks.problem("channels", expected="1 or 3", received=repr(channels), remedy="Choose one of them.")
            )
        if stretch and size is None:
            remedy = "Pass size=64, say, or leave stretch out."
            raise ValueError(_checks.problem("stretch", expected="a size beside it", received="none", remedy=remedy))
        return cls(_pair("size", size), _pair("crop", crop), bool(stretch), channels, _colour(background))

    def asked(self) -> list[str]:
        """The names of the arguments that are not as by default."""
        default = Preparation()
        names = ("size", "crop", "stretch", "channels", "background")
        return [name for name in names if getattr(self, name) != getattr(default, name)]


def _pair(name: str, value: Any) -> tuple[int, int] | None:
    """Height and width, from a number or a pair of them."""
    if value is None:
        return None
    parts = tuple(value) if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(part, int | np.integer) and not isinstance(part, bool) and part > 0 for part in parts)
    if len(parts) != 2 or not whole or parts[0] * parts[1] > MAX_PIXELS:
        expected = f"a number of pixels, or (height, width), at most {MAX_PIXELS:,} pixels in all"
        raise ValueError(
            _checks.problem(name, expected=expected, received=repr(value), remedy=f"Pass {name}=64, for instance.")
        )
    return int(parts[0]), int(parts[1])


def _colour(value: Any) -> tuple[int, int, int]:
    """Red, green and blue of a colour: a name, "#rrggbb", or three numbers from 0 to 255."""
    from PIL import ImageColor

    if isinstance(value, str):
        try:
            return ImageColor.getrgb(value)[:3]
        except ValueError:
            value = f"{value!r}"
    elif isinstance(value, tuple | list) and len(value) == 3 and all(map(_is_byte, value)):
        return (int(value[0]), int(value[1]), int(value[2]))
    expected = 'a colour: a name, "#rrggbb", or (red, green, blue) from 0 to 255'
    raise ValueError(_checks.problem("background", expected=expected, received=value, remedy='Pass "white", say.'))


def _is_byte(value: Any) -> bool:
    return bool(isinstance(value, int | np.integer) and 0 <= value <= 255)


def decode(file: BinaryIO, preparation: Preparation) -> np.ndarray:
    """The pixels of an image file, `[H, W, C]`: uint8, or float32 in [0, 1] where it has 16 bits for each channel.

    Of an animation, and of a file of several pages, the first image is taken. The orientation that a camera noted in
    EXIF is applied; a colour profile is not.

    Raises:
        OSError: Or another of `BROKEN`, for a file that cannot be decoded.
        ValueError: For too many pixels, other depths than 8 and 16 bits, and an image that is smaller than `crop`.
    """
    from PIL import Image, UnidentifiedImageError

    head = file.read(26)
    file.seek(0)
    try:
        opened = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"no image in one of the formats {', '.join(FORMATS)}") from error
    with opened as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
        deep = _is_deep(image, head)
        if deep and (image.format != "PNG" or head[25] == 0):
            planes = _deep_grey(image, preparation.background)
        elif deep:
            planes = _deep_png(image, file, preparation.background)
        else:
            planes = [_eight_bits(image, preparation)]
    return _pixels([_placed(plane, preparation) for plane in _in_channels(planes, preparation.channels)])


def prepare(image: Image.Image, preparation: Preparation) -> np.ndarray:
    """As `decode`, for an image of Pillow with 8 bits for each channel."""
    _is_deep(image, b"")
    plane = _eight_bits(image, preparation)
    return _pixels([_placed(part, preparation) for part in _in_channels([plane], preparation.channels)])


def scaled(pixels: np.ndarray) -> np.ndarray:
    """8-bit pixels divided by 255, as float32; float32 as it is."""
    return np.divide(pixels, 255, dtype=np.float32) if pixels.dtype == np.uint8 else pixels


def _is_deep(image: Image.Image, head: bytes) -> bool:
    """Whether a channel has 16 bits; a ValueError for images whose white is not known or whose bits would be lost."""
    if image.format == "PNG" and head:
        return head[24] == 16  # the header's bit depth; Pillow reduces colours to 8 bits and does not say so
    if image.format == "TIFF":
        bits = set(image.tag_v2.get(_BITS, (1,)))  # type: ignore[attr-defined]
        if image.mode.startswith("I;16") and bits == {16}:
            return True
        if max(bits) > 8:
            raise ValueError(f"{max(bits)} bits for each channel of a TIFF file (mode {image.mode}): save it as PNG")
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"mode {image.mode}, whose white is not known: save it with 8 or 16 bits for each channel")
    return False


def _eight_bits(image: Image.Image, preparation: Preparation) -> Image.Image:
    """The image in mode L or RGB, upright and opaque."""
    from PIL import Image

    _draft(image, preparation)
    grey = image.mode in ("1", "L", "LA", "La")
    image.load()
    turned = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    upright = image.transpose(getattr(Image.Transpose, turned)) if turned else image
    if image.has_transparency_data:
        colours = upright.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", colours.size, (*preparation.background, 255)), colours)
        one_grey = grey and len(set(preparation.background)) == 1
        return opaque.getchannel("R") if one_grey else opaque.convert("RGB")
    return upright.convert("L" if grey else "RGB")


_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Pillow's names of the turns that make an image upright, by its orientation in EXIF."""


def _draft(image: Image.Image, preparation: Preparation) -> None:
    """Lets the JPEG decoder make a large photo smaller while it decodes it, to no less than twice what is needed."""
    if image.format not in ("JPEG", "MPO") or preparation.size is None or preparation.crop is not None:
        return
    factor = 2 * max(preparation.size) / min(image.size)
    if factor < 1:
        image.draft(None, (math.ceil(image.width * factor), math.ceil(image.height * factor)))


def _deep_grey(image: Image.Image, background: tuple[int, int, int]) -> list[Image.Image]:
    """The planes, from 0 to 65535, of a grey image of 16 bits."""
    turn = _turn(image)
    values = np.asarray(image).astype(np.float32)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
        values = 65535 - values
    clear = image.info.get("transparency")
    if clear is None:
        return [turn(values)]
    behind = [np.where(values == clear, np.float32(257 * part), values) for part in background]
    return [turn(plane) for plane in (behind[:1] if len(set(background)) == 1 else behind)]


def _deep_png(image: Image.Image, file: BinaryIO, background: tuple[int, int, int]) -> list[Image.Image]:
    """The planes, from 0 to 65535, of a PNG of 16 bits with colours or transparency, which Pillow would reduce to 8."""
    import tensorflow as tf

    turn = _turn(image)
    file.seek(0)
    with tf.device("CPU"):
        values = tf.io.decode_png(file.read(), dtype=tf.uint16).numpy().astype(np.float32)
    if values.shape[-1] in (1, 3):
        return [turn(plane) for plane in np.moveaxis(values, -1, 0)]
    *planes, alpha = np.moveaxis(values, -1, 0)
    alpha = alpha / np.float32(65535)
    planes = planes if len(planes) == 3 or len(set(background)) == 1 else planes * 3
    behind = zip(planes, background, strict=False)
    return [turn(plane * alpha + np.float32(257 * part) * (1 - alpha)) for plane, part in behind]


def _turn(image: Image.Image) -> Callable[[np.ndarray], Image.Image]:
    """A function that makes an upright plane of the values of one."""
    from PIL import Image

    image.load()
    turned = _TURNS.get(image.getexif().get(_ORIENTATION, 1))

    def turn(values: np.ndarray) -> Image.Image:
        plane = Image.fromarray(values)
        return plane.transpose(getattr(Image.Transpose, turned)) if turned else plane

    return turn


def _in_channels(planes: list[Image.Image], channels: int | None) -> list[Image.Image]:
    """The planes of as many channels as were asked for."""
    from PIL import Image

    if planes[0].mode != "F":
        mode = {None: planes[0].mode, 1: "L", 3: "RGB"}[channels]
        return [planes[0].convert(mode)]
    if channels == 1 and len(planes) == 3:
        values = [np.asarray(plane) * np.float32(part) for plane, part in zip(planes, _LUMA, strict=True)]
        return [Image.fromarray(values[0] + values[1] + values[2])]
    return planes * 3 if channels == 3 and len(planes) == 1 else planes


def _placed(image: Image.Image, preparation: Preparation) -> Image.Image:
    """The image cropped, and then resized with antialiasing (bicubic)."""
    from PIL import Image

    if preparation.crop is not None:
        height, width = preparation.crop
        if height > image.height or width > image.width:
            raise ValueError(f"{image.width} x {image.height} pixels, less than the crop of {width} x {height}")
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    if preparation.size is None:
        return image
    height, width = preparation.size
    share = min(image.width / width, image.height / height)
    kept = image.size if preparation.stretch else (width * share, height * share)
    x, y = (image.width - kept[0]) / 2, (image.height - kept[1]) / 2
    box = (x, y, min(x + kept[0], image.width), min(y + kept[1], image.height))
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _pixels(planes: list[Image.Image]) -> np.ndarray:
    if planes[0].mode != "F":
        pixels = np.asarray(planes[0])
        return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    values = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return np.clip(np.divide(values, 65535, dtype=np.float32), 0, 1)
