"""One image file: depths, transparency, orientation, sizes, and files that are refused."""

import io
import resource
import struct
import time

import numpy as np
import pytest
import tensorflow as tf
from image_files import header_only
from PIL import Image

from vae_tf.data import _decoding
from vae_tf.data._decoding import Preparation, decode, scaled

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)
PLAIN = {"size": None, "crop": None, "stretch": False, "channels": None, "background": "white"}


def preparation(**changes):
    return Preparation.of(**(PLAIN | changes))


def decoded(image, kind="PNG", prepare=None, **options):
    """The pixels of an image, or of bytes, after a way through a file."""
    if not isinstance(image, bytes):
        file = io.BytesIO()
        image.save(file, kind, **options)
        image = file.getvalue()
    return decode(io.BytesIO(image), prepare or Preparation())


class TestDepth:
    @pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
    def test_16_bit_grey_is_exact(self, kind, mode):
        values = DEEP[..., 0]
        image = Image.frombytes(mode, (7, 5), values.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
        pixels = decoded(image, kind)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels[..., 0], (values / 65535).astype(np.float32))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_16_bit_png_is_exact(self, channels):
        values = DEEP[..., :channels]
        pixels = decoded(tf.io.encode_png(values).numpy())
        np.testing.assert_array_equal(pixels, (values / 65535).astype(np.float32))

    @pytest.mark.parametrize("channels", [2, 4])
    def test_16_bit_png_with_transparency(self, channels):
        values = DEEP[..., :channels]
        pixels = decoded(tf.io.encode_png(values).numpy(), prepare=preparation(background="black"))
        expected = values[..., :-1] / 65535 * (values[..., -1:] / 65535)
        np.testing.assert_allclose(pixels, expected, atol=1e-6)

    def test_white_is_zero_in_some_tiff_files(self):
        values = DEEP[..., 0]
        image = Image.fromarray(values)
        pixels = decoded(image, "TIFF", tiffinfo={262: 0})
        np.testing.assert_array_equal(pixels[..., 0], ((65535 - values) / 65535).astype(np.float32))

    def test_16_bit_colours_of_a_tiff_file_are_refused(self):
        """Pillow would read them as 8 bits."""
        entries = {256: 1, 257: 1, 258: 3, 259: 1, 262: 2, 273: 200, 277: 3, 279: 6}  # 258 counts three numbers at 190
        content = bytearray(b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)))
        for tag, value in entries.items():
            count, value = (3, 190) if tag == 258 else (1, value)
            content += struct.pack("<HHII", tag, 3 if tag != 273 else 4, count, value)
        content = content.ljust(190, b"\0") + struct.pack("<HHH", 16, 16, 16)
        content = content.ljust(200, b"\0") + DEEP[0, 0, :3].tobytes()
        assert Image.open(io.BytesIO(content)).mode == "RGB"
        with pytest.raises(ValueError, match=r"16 bits for each channel of a TIFF file .*PNG"):
            decoded(bytes(content))

    def test_8_bits_are_not_touched(self):
        values = DEEP[..., :3].astype(np.uint8)
        pixels = decoded(Image.fromarray(values))
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, values)
        np.testing.assert_array_equal(scaled(pixels), (values / 255).astype(np.float32))


class TestTransparency:
    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    def test_background_shows_through(self, kind):
        image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
        image.putpixel((1, 0), (255, 0, 0, 0))
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = decoded(image, kind, preparation(background=(0, 0, 255)), **options)
        assert pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]
        assert decoded(image, kind, **options).tolist() == [[[255, 0, 0], [255, 255, 255]]]

    def test_grey_stays_grey_on_a_grey_background(self):
        image = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 51)])
        assert decoded(image).tolist() == [[[round(100 * 0.2 + 255 * 0.8)]]]
        assert decoded(image, prepare=preparation(background="#ff0000")).shape == (1, 1, 3)

    def test_one_transparent_value(self):
        image = Image.new("L", (2, 1), 7)
        image.putpixel((0, 0), 200)
        assert decoded(image, transparency=7, prepare=preparation(background="black")).tolist() == [[[200], [0]]]
        deep = Image.fromarray(np.array([[7, 65535]], np.uint16))
        assert decoded(deep, transparency=7).tolist() == [[[1.0], [1.0]]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_orientation_of_a_camera(orientation, deep):
    """The picture is an F, which is like none of its turns; ImageOps is the twin."""
    from PIL import ImageOps

    values = np.zeros((5, 4), np.uint16 if deep else np.uint8)
    values[:, 0] = values[0] = values[2, :2] = np.iinfo(values.dtype).max
    image, exif = Image.fromarray(values), Image.Exif()
    exif[0x0112] = orientation
    pixels = decoded(image, exif=exif)
    file = io.BytesIO()
    Image.fromarray((values > 0).astype(np.uint8)).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(pixels[..., 0] > 0, expected > 0)


class TestSize:
    def test_covers_and_cuts_the_middle(self):
        values = np.repeat(np.arange(30, dtype=np.uint8)[None], 10, axis=0)  # [10, 30]
        pixels = decoded(Image.fromarray(values), prepare=preparation(size=10))
        np.testing.assert_array_equal(pixels[..., 0], values[:, 10:20])

    @pytest.mark.parametrize(("height", "width"), [(64, 48), (1, 1), (7, 33)])
    def test_height_comes_first(self, height, width):
        assert decoded(Image.new("RGB", (50, 60)), prepare=preparation(size=(height, width))).shape == (
            height,
            width,
            3,
        )

    def test_stretching_cuts_nothing(self):
        image = Image.new("L", (40, 10), 0)
        image.paste(255, (0, 0, 10, 10))
        pixels = decoded(image, prepare=preparation(size=8, stretch=True))
        assert pixels[:, 0].min() > 200, "the left edge is there"
        assert decoded(image, prepare=preparation(size=8)).max() < 20, "cut off"

    def test_is_antialiased(self):
        stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
        pixels = decoded(Image.fromarray(stripes), prepare=preparation(size=8))
        assert np.abs(pixels.astype(int) - 127).max() <= 6, "and not 127"

    @pytest.mark.parametrize("size", [(600, 400), (4000, 3000)])
    def test_large_photos_are_reduced_alike(self, size):
        """The decoder of JPEG makes the large one smaller by itself."""
        smooth = Image.linear_gradient("L").resize(size)
        pixels = decoded(smooth, "JPEG", preparation(size=16), quality=95)
        twin = np.asarray(smooth.resize((16, 16), box=_middle(size)))
        assert np.abs(pixels[..., 0].astype(int) - twin).max() <= 3

    def test_16_bits_are_resized_as_16_bits(self):
        values = np.full((8, 8), 1000, np.uint16)
        pixels = decoded(Image.fromarray(values), prepare=preparation(size=4))
        np.testing.assert_allclose(pixels, 1000 / 65535, rtol=1e-6)

    def test_crop_comes_first(self):
        values = np.arange(100, dtype=np.uint8).reshape(10, 10)
        pixels = decoded(Image.fromarray(values), prepare=preparation(crop=(4, 2)))
        np.testing.assert_array_equal(pixels[..., 0], values[3:7, 4:6])
        assert decoded(Image.fromarray(values), prepare=preparation(crop=4, size=2)).shape == (2, 2, 1)

    def test_crop_larger_than_the_image(self):
        with pytest.raises(ValueError, match="10 x 5 pixels, less than the crop of 8 x 6"):
            decoded(Image.new("L", (10, 5)), prepare=preparation(crop=(6, 8)))


def _middle(size):
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


class TestChannels:
    def test_grey(self):
        image = Image.fromarray(DEEP[..., :3].astype(np.uint8))
        np.testing.assert_array_equal(decoded(image, prepare=preparation(channels=1))[..., 0], image.convert("L"))
        deep = decoded(tf.io.encode_png(DEEP[..., :3]).numpy(), prepare=preparation(channels=1))
        np.testing.assert_allclose(deep[..., 0], DEEP[..., :3] / 65535 @ [0.299, 0.587, 0.114], rtol=1e-6)

    def test_colour(self):
        for image in (Image.new("L", (2, 2), 9), Image.fromarray(DEEP[..., 0])):
            pixels = decoded(image, prepare=preparation(channels=3))
            assert pixels.shape[-1] == 3
            assert np.ptp(pixels, axis=-1).max() == 0


class TestRefused:
    def test_no_other_format_is_opened(self):
        """Pillow opens PostScript under any name, and runs Ghostscript."""
        eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
        assert Image.open(io.BytesIO(eps)).format == "EPS"
        with pytest.raises(ValueError, match="no image in one of the formats PNG, JPEG"):
            decoded(eps)

    @pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
    @pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (64_000_001, 1), (2**31 - 1, 2**31 - 1)])
    def test_too_many_pixels_by_the_header(self, width, height):
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match=r"(more than 64,000,000|received)"):
            decoded(header_only(width, height))
        assert time.monotonic() - start < 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"

    def test_a_camera_of_61_megapixels(self, monkeypatch):
        monkeypatch.setattr(_decoding, "MAX_PIXELS", 99)
        with pytest.raises(ValueError, match="10 x 10 pixels, more than 99"):
            decoded(Image.new("L", (10, 10)))
        assert 9504 * 6336 < 64_000_000

    @pytest.mark.parametrize(
        ("name", "value", "match"),
        [
            ("size", 0, "size: expected a number of pixels"),
            ("size", (1, 2, 3), "size: expected"),
            ("size", 1.5, "size: expected"),
            ("size", True, "size: expected"),
            ("size", 10**6, "at most 64,000,000"),
            ("crop", "a", "crop: expected"),
            ("channels", 2, "channels: expected 1 or 3, received 2"),
            ("channels", "3", "channels: expected 1 or 3"),
            ("background", "whyte", "background: expected a colour"),
            ("background", (1, 2), "background: expected a colour"),
            ("background", (1, 2, 256), "background: expected a colour"),
            ("stretch", True, "stretch: expected a size beside it"),
        ],
    )
    def test_arguments(self, name, value, match):
        with pytest.raises(ValueError, match=match):
            preparation(**{name: value})
