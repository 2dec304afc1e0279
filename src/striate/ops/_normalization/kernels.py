"""Sums over neighbours along one axis of numbers that lie in a row."""

from typing import Any

from striate.ops._compile import kernel


@kernel
def add_neighbours(source: Any, outer: int, length: int, inner: int, weights: Any, low: int, target: Any) -> None:
    """target[o, l, i] = sum over t of weights[t] * source[o, l + t - low, i], nothing outside; both arrays are flat."""
    row, count = length * inner, weights.size
    for o in range(outer):
        read, sums = source[o * row : (o + 1) * row], target[o * row : (o + 1) * row]
        sums[:] = 0
        t = 0
        while t + 4 <= count:
            # Four at once wherever all of them are inside, and the rest of each by itself.
            shift = (t - low) * inner
            first, last = max(0, -shift), row - max(0, shift + 3 * inner)
            if first < last:
                n, w0, w1, w2, w3 = last - first, weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
                s, r0 = sums[first:last], read[first + shift :]
                r1, r2, r3 = r0[inner:], r0[2 * inner :], r0[3 * inner :]
                for i in range(n):
                    s[i] += w0 * r0[i] + w1 * r1[i] + w2 * r2[i] + w3 * r3[i]
            else:
                first = last = row
            for u in range(t, t + 4):
                _add(read, weights[u], (u - low) * inner, 0, first, sums)
                _add(read, weights[u], (u - low) * inner, last, row, sums)
            t += 4
        while t < count:
            _add(read, weights[t], (t - low) * inner, 0, row, sums)
            t += 1


@kernel
def _add(read: Any, weight: float, shift: int, first: int, last: int, sums: Any) -> None:
    """sums[i] += weight * read[i + shift] for i from `first` up to `last`, where there are such numbers."""
    first, last = max(first, -shift), min(last, read.size - shift)
    if first < last:
        r, s = read[first + shift : last + shift], sums[first:last]
        for i in range(last - first):
            s[i] += weight * r[i]
