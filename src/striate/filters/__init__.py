"""Image kernels of the textbooks, and laying them over pictures.

A kernel is a small tensor; `apply` lays it over a picture as networks do, without flipping it;
`striate.convolve` flips.
"""

from striate.filters.kernels import blur, gabor, gabor_bank, gaussian, laplacian, lines, prewitt, sharpen, sobel
from striate.filters.pictures import apply

__all__ = [
    "apply",
    "blur",
    "gabor",
    "gabor_bank",
    "gaussian",
    "laplacian",
    "lines",
    "prewitt",
    "sharpen",
    "sobel",
]
