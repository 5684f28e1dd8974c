"""Operations on values in plain NumPy, float64: the specification of the kernels
csrc/augment_{point,colour,noise,shot,blur,resize}.c."""

import numpy as np
from scipy import ndimage, special, stats

WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
LUMA = np.array([0.299, 0.587, 0.114])
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)


def stored(values, dtype):
    """Rounded to nearest (ties to even) and saturated on integers; floats as they are."""
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.clip(np.rint(values), 0, WHITE[np.dtype(dtype).name]).astype(dtype)


def brightness(x, shift):
    return stored(x + np.float64(shift), x.dtype)


def contrast(x, factor):
    v = x.astype(np.float64)
    mean = np.nanmean(v)
    return stored(mean + factor * (v - mean), x.dtype)


def gamma(x, power, white=None):
    white, v = white or WHITE[x.dtype.name], x.astype(np.float64)
    positive = np.where(v > 0, v, 1.0)
    return stored(np.where(v > 0, white * (positive / white) ** power, v), x.dtype)


def normalize(x, mean, std):
    return ((x / WHITE[x.dtype.name] - mean) / std).astype(np.float32)


def mixed(x, matrix):
    """Channels through a 3 x 3 matrix."""
    return stored(x.astype(np.float64) @ np.asarray(matrix).T, x.dtype)


def saturation(x, factor):
    return mixed(x, (1 - factor) * np.tile(LUMA, (3, 1)) + factor * np.eye(3))


def hue(x, degrees):
    """HSV there and back, hue in sixths of a turn."""
    r, g, b = np.moveaxis(x.astype(np.float64), -1, 0)
    top, bottom = np.max([r, g, b], axis=0), np.min([r, g, b], axis=0)
    chroma = top - bottom
    safe = np.where(chroma > 0, chroma, 1)
    h = np.where(top == r, (g - b) / safe,
                 np.where(top == g, (b - r) / safe + 2, (r - g) / safe + 4))  # fmt: skip
    h = np.where(chroma > 0, h, 0) + degrees / 60
    sectors = [(n + h) % 6 for n in (5, 3, 1)]
    out = [top - chroma * np.clip(np.minimum(k, 4 - k), 0, 1) for k in sectors]
    return stored(np.stack(out, axis=-1), x.dtype)


def blur(x, sigma, mode="mirror"):
    """The Gaussian cut at round(3 sigma); x (H, W, C)."""
    radius = round(3 * sigma)
    weight = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-9)) ** 2)
    v = x.astype(np.float64)
    for axis in (0, 1):
        v = ndimage.correlate1d(v, weight / weight.sum(), axis, mode=mode)
    return v


def resize_matrix(n_in, n_out):
    """Shares of coverage where it shrinks, two neighbours otherwise: (n_out, n_in)."""
    scale, j = n_in / n_out, np.arange(n_out)[:, None]
    i = np.arange(n_in)[None, :]
    if scale > 1:
        return np.clip(np.minimum((j + 1) * scale, i + 1) - np.maximum(j * scale, i), 0, 1) / scale
    centre = np.clip((j + 0.5) * scale - 0.5, 0, n_in - 1)
    return np.clip(1 - np.abs(centre - i), 0, 1)


def resize(x, height, width):
    """x (H, W, C) in float64."""
    rows, cols = resize_matrix(x.shape[0], height), resize_matrix(x.shape[1], width)
    return np.einsum("ij,jkc,lk->ilc", rows, x.astype(np.float64), cols)


def philox(counters, purpose, key):
    """Words (n, 4) of Philox4x32-10 at (counter, purpose, key[2], key[3])."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(counters, np.uint64) & low,
         *(np.full(len(counters), v, np.uint64) for v in (purpose, key[2], key[3]))]  # fmt: skip
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0, p1 = M0 * c[0], M1 * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & low,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & low]  # fmt: skip
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack(c, axis=1)


def rounded_normal(sigma, values):
    """P(rint(N(0, sigma)) = v)."""
    upper = special.ndtr((values + 0.5) / sigma)
    return upper - special.ndtr((values - 0.5) / sigma)


def shot_law(level, photons):
    """P(result = k), k = 0 .. 255, of uint8 shot noise; photons a grey level."""
    counts = np.ceil((np.arange(256) + 0.5) * photons) - 1
    below = stats.poisson.cdf(counts, level * photons)
    below[-1] = 1
    return np.diff(below, prepend=0)
