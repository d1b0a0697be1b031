"""Measures of an image, each from its definition over the whole image at once: what tests compare with."""

import numpy as np
import torch
from PIL import ImageFilter

LAPLACIAN = (-1, -1, -1, -1, 8, -1, -1, -1, -1)


def measure_plainly(image):
    """Return all measures, each from its definition in one expression."""
    rgb, grey = np.asarray(image, dtype=np.float64), np.asarray(image.convert("L"), dtype=np.float64)
    edges = np.asarray(image.convert("L").filter(ImageFilter.Kernel((3, 3), LAPLACIAN, scale=1, offset=0)))
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > (6 / 29) ** 3, 116 * np.cbrt(luminance) - 16, luminance * (29 / 3) ** 3)
    return {
        "sharpness": edges.std(),
        "snr": rgb.mean() / rgb.std() if rgb.std() else 0,
        "meanRed": encoded[..., 0].mean(),
        "meanGreen": encoded[..., 1].mean(),
        "meanBlue": encoded[..., 2].mean(),
        "contrast": (grey / 255).std(),
        "luminance": lightness.mean(),
        "uniformRowRatio": find_uniform_rows(grey),
    }


def find_uniform_rows(grey):
    """The share of uniform rows, as LightlyOne computes it with torch, in grey levels of float64."""
    height, width = grey.shape
    if min(height, width) < 3:
        return 0.0
    levels = torch.from_numpy(grey.copy())[None, None]
    if (shrink := 400 / height) < 1:
        size = int(height * shrink), max(3, int(width * shrink))
        levels = torch.nn.functional.interpolate(levels, size, mode="bilinear", antialias=False)
    kernel = torch.tensor(LAPLACIAN, dtype=torch.float64).view(1, 1, 3, 3)
    is_uniform = torch.nn.functional.conv2d(levels, kernel)[0, 0].abs() < 5
    return (is_uniform.double().mean(dim=1) > 0.97).double().mean().item()
