"""Lays patches over the damage: one stretch after another, each from the sources that suit it best.

A source is a shift under which the known pixels round a stretch look like those round it. It is judged by the
variance of its difference along that ring, summed over channels: a shift of tone costs almost nothing, since
the membrane takes care of it (Georgiev 2004).

All compiled functions that call each other stand in this file: numba compiles a function again when its own
file has changed, not when that of a function it calls has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from restore.engines.heal.compiled import compiled
from restore.imaging.pixels import Floats

Numbers = npt.NDArray[np.intp]
Bytes = npt.NDArray[np.uint8]

OVERLAP_PX = 4  # by which a stretch reaches into its neighbours
RING_PX = 3  # width of the ring; 5 and 7 lose 0.1 to 0.3 dB on dust and thin scratches
MAX_RING = 240  # px; of a longer ring an even sample
MIN_RING = 8  # px; fewer say nothing
LAID_WEIGHT = 0.5  # in a ring, of what was laid itself, against what is known
MEMORY = 16  # stretches whose shifts are tried again and whose sources are not shown again
FAR_REACH_PX = 256  # where nothing nearby is known
RELIABLE = 0.2
"""Cost over the ring's variance at which structure is believed by half.

Over 4,800 stretches the factor that brings the mean source nearest to the truth is 0.9 at a ratio of 0.05,
0.5 at 0.15, 0.4 at 0.25, 0.2 at 0.4 and below 0.1 from 0.5 on.
"""
MAX_STRUCTURE = 0.6  # variance of the structure over that of the ring: more shows something else
MAX_TEXTURE = 1.0  # the same of texture

COARSE_STEP_PX = 4  # between the shifts that are tried first, in luma
FINE_PX = 2  # round the best of them every shift is tried, in all channels
CANDIDATES = 8  # shifts that are refined; 16 win 0.01 dB
SOURCES = 16  # the best shifts, whose mean is the structure; 8 lose 0.01 dB
RING_SAMPLES = 80  # of the ring, for a coarse comparison
PATCH_SAMPLES = 60  # of the patch, for a first look at whether a source is known
TONE_COST = 0.02  # of the squared shift of tone: among equal sources the one of the same tone wins
STAMP_PX = 8  # a source nearer than that to one in use shows the same thing again
STAMP_COST = 1.25
NONE = np.float32(1e30)


class Scene(NamedTuple):
    """One window.

    Attributes:
        colours: float32 `(H, W, C)`, 0 to 255, the membrane where pixels are unknown.
        luma: float32 `(H, W)`, the mean over channels.
        unknown: uint8 `(H, W)`, 1 = no source.
        zone: uint8 `(H, W)`, 1 = to be laid: the damage and 2 px round it.
        labels: int32 `(H, W)`: the components of the damage and its ring; 0 elsewhere.
    """

    colours: Floats
    luma: Floats
    unknown: Bytes
    zone: Bytes
    labels: npt.NDArray[np.int32]


class Patch(NamedTuple):
    """The pixels that a stretch is to be given, and their weights against the neighbouring stretches'."""

    rows: Numbers
    columns: Numbers
    weights: Floats


class Ring(NamedTuple):
    """The pixels round a stretch with what is known of them: `colours` is `(n, C)`. Laid ones weigh less."""

    rows: Numbers
    columns: Numbers
    colours: Floats
    luma: Floats
    weights: Floats


class Shifts(NamedTuple):
    """The best shifts, best first; those of cost `NONE` are not set."""

    costs: Floats
    down: Numbers
    across: Numbers


class Span(NamedTuple):
    """Shifts that keep patch and ring within the window, ends included."""

    up: int
    down: int
    back: int
    on: int


class Paint(NamedTuple):
    """What is laid, as a difference to the scene's colours.

    Attributes:
        structure: float32 `(H, W, C)`, what the sources agree on, as far as the ring says they are right.
        texture: float32 `(H, W, C)`, the best source as it is.
        weights: float32 `(H, W)`; above 0 where something is laid. Until `lay` ends the others are sums.
    """

    structure: Floats
    texture: Floats
    weights: Floats


@compiled
def lay(scene: Scene, paint: Paint, boxes: Numbers, labels: Numbers, reach: Numbers) -> int:
    """Fill `paint`, in the order of the stretches. Returns how many stretches have no source."""
    votes, used, without = _no_shifts(MEMORY), _no_shifts(MEMORY), 0
    for k in range(len(boxes)):
        patch = _patch(scene, boxes[k], labels[k])
        ring = _ring(scene, paint, boxes[k], labels[k])
        if len(ring.rows) < MIN_RING or len(patch.rows) == 0:
            without += 1
            continue
        sources = _sources(scene, patch, ring, reach[k], votes, used)
        if sources.costs[0] >= NONE:
            without += 1
            continue
        _remember(votes, k, sources.down[0], sources.across[0])
        _remember(used, k, patch.rows[0] + sources.down[0], patch.columns[0] + sources.across[0])
        _lay_stretch(scene, paint, patch, ring, sources)
    _normalise(scene, paint)
    return without


@compiled
def _sources(scene: Scene, patch: Patch, ring: Ring, reach: int, votes: Shifts, used: Shifts) -> Shifts:
    """The best shifts within reach, or where there is none, further away."""
    span, sources = _span(scene, patch, ring), _no_shifts(SOURCES)
    for limit, step in ((reach, COARSE_STEP_PX), (FAR_REACH_PX, 2 * COARSE_STEP_PX)):
        sources = _refined(
            scene, patch, ring, span, _candidates(scene, patch, ring, span, limit, step, votes), used
        )
        if sources.costs[0] < NONE:
            break
    return sources


@compiled
def _remember(shifts: Shifts, k: int, down: int, across: int) -> None:
    slot = k % MEMORY
    shifts.costs[slot] = 0
    shifts.down[slot] = down
    shifts.across[slot] = across


@compiled
def _patch(scene: Scene, box: Numbers, label: int) -> Patch:
    """The zone's pixels in the box and its overlap; weights fall linearly across the overlap."""
    height, width = scene.zone.shape
    top, bottom = max(0, box[0] - OVERLAP_PX), min(height, box[1] + OVERLAP_PX)
    left, right = max(0, box[2] - OVERLAP_PX), min(width, box[3] + OVERLAP_PX)
    room = (bottom - top) * (right - left)
    rows, columns = np.empty(room, np.intp), np.empty(room, np.intp)
    weights, count = np.empty(room, np.float32), 0
    for y in range(top, bottom):
        for x in range(left, right):
            if scene.zone[y, x] and scene.labels[y, x] == label:
                inside = min(y - box[0], box[1] - 1 - y, x - box[2], box[3] - 1 - x)
                rows[count], columns[count] = y, x
                weights[count] = min(np.float32(1), np.float32(inside + OVERLAP_PX + 0.5) / (2 * OVERLAP_PX))
                count += 1
    return Patch(rows[:count], columns[:count], weights[:count])


@compiled
def _ring(scene: Scene, paint: Paint, box: Numbers, label: int) -> Ring:
    """The pixels near the box that are known or laid, an even sample of at most `MAX_RING`."""
    height, width = scene.zone.shape
    margin = OVERLAP_PX + RING_PX
    top, bottom = max(0, box[0] - margin), min(height, box[1] + margin)
    left, right = max(0, box[2] - margin), min(width, box[3] + margin)
    room = (bottom - top) * (right - left)
    rows, columns, found = np.empty(room, np.intp), np.empty(room, np.intp), 0
    for y in range(top, bottom):
        for x in range(left, right):
            if scene.labels[y, x] == label and (scene.unknown[y, x] == 0 or paint.weights[y, x] > 0):
                rows[found], columns[found] = y, x
                found += 1
    step = max(1, (found + MAX_RING - 1) // MAX_RING)
    count, channels = (found + step - 1) // step, scene.colours.shape[2]
    for i in range(count):
        rows[i], columns[i] = rows[i * step], columns[i * step]
    rows, columns = rows[:count], columns[:count]
    colours, luma = np.empty((count, channels), np.float32), np.empty(count, np.float32)
    weights = np.empty(count, np.float32)
    for i in range(count):
        y, x = rows[i], columns[i]
        laid = scene.unknown[y, x] != 0
        weights[i], mean = LAID_WEIGHT if laid else 1, np.float32(0)
        for c in range(channels):
            colours[i, c] = scene.colours[y, x, c]
            if laid:
                colours[i, c] += paint.texture[y, x, c] / paint.weights[y, x]
            mean += colours[i, c]
        luma[i] = mean / channels
    return Ring(rows, columns, colours, luma, weights)


@compiled
def _lay_stretch(scene: Scene, paint: Paint, patch: Patch, ring: Ring, sources: Shifts) -> None:
    """Add the sources of one stretch to the paint, each in the tone of its ring."""
    shares = _shares(sources)
    tones = _tones(scene, ring, sources, len(shares))
    structure = np.zeros((len(patch.rows), scene.colours.shape[2]), np.float32)
    texture = np.zeros_like(structure)
    for i in range(len(patch.rows)):
        y, x = patch.rows[i], patch.columns[i]
        for c in range(structure.shape[1]):
            for k in range(len(shares)):
                there = scene.colours[y + sources.down[k], x + sources.across[k], c] + tones[k, c]
                structure[i, c] += shares[k] * (there - scene.colours[y, x, c])
                if k == 0:
                    texture[i, c] = there - scene.colours[y, x, c]
    variance = _variance(ring)
    belief = _belief(sources.costs[0], variance, _mean_square(structure))
    contrast = _limit(_mean_square(texture), MAX_TEXTURE * variance)
    for i in range(len(patch.rows)):
        y, x, weight = patch.rows[i], patch.columns[i], patch.weights[i]
        paint.weights[y, x] += weight
        for c in range(structure.shape[1]):
            paint.structure[y, x, c] += weight * belief * structure[i, c]
            paint.texture[y, x, c] += weight * np.sqrt(contrast) * texture[i, c]


@compiled
def _shares(sources: Shifts) -> Floats:
    """The weights of the sources in their mean: half for a cost twice as high as the best, and 1 more."""
    count = 0
    while count < len(sources.costs) and sources.costs[count] < NONE:
        count += 1
    best, shares, total = sources.costs[0], np.empty(count, np.float32), np.float32(0)
    for k in range(count):
        excess = (sources.costs[k] - best) / (best + np.float32(1))
        shares[k] = np.float32(1) / (np.float32(1) + excess * excess)
        total += shares[k]
    for k in range(count):
        shares[k] /= total
    return shares


@compiled
def _tones(scene: Scene, ring: Ring, sources: Shifts, count: int) -> Floats:
    """For each source and channel the mean difference along the ring."""
    tones = np.zeros((count, scene.colours.shape[2]), np.float32)
    total = _total(ring)
    for k in range(count):
        for i in range(len(ring.rows)):
            y, x = ring.rows[i] + sources.down[k], ring.columns[i] + sources.across[k]
            for c in range(tones.shape[1]):
                tones[k, c] += ring.weights[i] * (ring.colours[i, c] - scene.colours[y, x, c]) / total
    return tones


@compiled
def _variance(ring: Ring) -> np.float32:
    """Weighted variance of the ring, summed over channels."""
    total, variance = _total(ring), np.float32(0)
    for c in range(ring.colours.shape[1]):
        mean, squares = np.float32(0), np.float32(0)
        for i in range(len(ring.rows)):
            mean += ring.weights[i] * ring.colours[i, c] / total
        for i in range(len(ring.rows)):
            excess = ring.colours[i, c] - mean
            squares += ring.weights[i] * excess * excess
        variance += squares / total
    return variance


@compiled
def _mean_square(values: Floats) -> np.float32:
    """The mean over pixels, summed over channels."""
    total = np.float32(0)
    for i in range(values.shape[0]):
        for c in range(values.shape[1]):
            total += values[i, c] * values[i, c]
    return total / np.float32(values.shape[0])


@compiled
def _belief(cost: np.float32, variance: np.float32, power: np.float32) -> np.float32:
    """How much of the structure is laid, 0 to 1: see `RELIABLE` and `MAX_STRUCTURE`."""
    doubt = cost / (np.float32(RELIABLE) * (variance + np.float32(0.5)))
    return _limit(power, MAX_STRUCTURE * variance) / (np.float32(1) + doubt * doubt)


@compiled
def _limit(power: np.float32, most: np.floating[Any]) -> np.float32:
    """The factor that brings `power` down to `most`, 1 at most."""
    return np.float32(most / power) if power > most else np.float32(1)


@compiled
def _normalise(scene: Scene, paint: Paint) -> None:
    """Divide the sums by their weights."""
    for y in range(scene.zone.shape[0]):
        for x in range(scene.zone.shape[1]):
            weight = paint.weights[y, x]
            if weight > 0:
                for c in range(paint.structure.shape[2]):
                    paint.structure[y, x, c] /= weight
                    paint.texture[y, x, c] /= weight


@compiled
def _no_shifts(count: int) -> Shifts:
    """Room for `count` shifts, none of them set."""
    return Shifts(np.full(count, NONE, np.float32), np.zeros(count, np.intp), np.zeros(count, np.intp))


@compiled
def _span(scene: Scene, patch: Patch, ring: Ring) -> Span:
    """Which shifts keep patch and ring within the window."""
    height, width = scene.unknown.shape
    top, bottom, left, right = height, 0, width, 0
    for rows, columns in ((patch.rows, patch.columns), (ring.rows, ring.columns)):
        for i in range(len(rows)):
            top, bottom = min(top, rows[i]), max(bottom, rows[i])
            left, right = min(left, columns[i]), max(right, columns[i])
    return Span(-top, height - 1 - bottom, -left, width - 1 - right)


@compiled
def _candidates(
    scene: Scene, patch: Patch, ring: Ring, span: Span, reach: int, step: int, votes: Shifts
) -> Shifts:
    """The best shifts of a grid, and of those that earlier stretches took, by luma on part of the ring."""
    found = _no_shifts(CANDIDATES)
    for down in range(-(min(reach, -span.up) // step) * step, min(reach, span.down) + 1, step):
        for across in range(-(min(reach, -span.back) // step) * step, min(reach, span.on) + 1, step):
            _try_luma(scene, patch, ring, down, across, found)
    for k in range(len(votes.down)):
        down, across = votes.down[k], votes.across[k]
        if votes.costs[k] < NONE and _within(span, down, across):
            _try_luma(scene, patch, ring, down, across, found)
    return found


@compiled
def _refined(scene: Scene, patch: Patch, ring: Ring, span: Span, coarse: Shifts, used: Shifts) -> Shifts:
    """The best shifts near the coarse ones, by all channels on the whole ring."""
    found, total = _no_shifts(SOURCES), _total(ring)
    for k in range(len(coarse.costs)):
        if coarse.costs[k] >= NONE:
            break
        for down in range(coarse.down[k] - FINE_PX, coarse.down[k] + FINE_PX + 1):
            for across in range(coarse.across[k] - FINE_PX, coarse.across[k] + FINE_PX + 1):
                if not _within(span, down, across):
                    continue
                cost = _colour_cost(scene, ring, total, down, across, found.costs[-1])
                if cost < found.costs[-1]:
                    cost *= _stamp(patch, used, down, across)
                    if cost < found.costs[-1] and _known(scene.unknown, patch, down, across, 1):
                        _insert(found, cost, down, across)
    return found


@compiled
def _within(span: Span, down: int, across: int) -> bool:
    return span.up <= down <= span.down and span.back <= across <= span.on


@compiled
def _try_luma(scene: Scene, patch: Patch, ring: Ring, down: int, across: int, found: Shifts) -> None:
    middle = len(patch.rows) // 2
    if scene.unknown[patch.rows[middle] + down, patch.columns[middle] + across]:
        return
    if _known(scene.unknown, patch, down, across, max(1, len(patch.rows) // PATCH_SAMPLES)):
        cost = _luma_cost(scene, ring, down, across, max(1, len(ring.rows) // RING_SAMPLES))
        if cost < found.costs[-1]:
            _insert(found, cost, down, across)


@compiled
def _known(unknown: Bytes, patch: Patch, down: int, across: int, step: int) -> bool:
    """Whether every `step`-th pixel of the source is known."""
    for i in range(0, len(patch.rows), step):
        if unknown[patch.rows[i] + down, patch.columns[i] + across]:
            return False
    return True


@compiled
def _luma_cost(scene: Scene, ring: Ring, down: int, across: int, step: int) -> np.float32:
    """Weighted variance of the difference along the ring in luma; `NONE` where part of it is unknown."""
    weights, total, squares = np.float32(0), np.float32(0), np.float32(0)
    for i in range(0, len(ring.rows), step):
        y, x = ring.rows[i] + down, ring.columns[i] + across
        if scene.unknown[y, x]:
            return NONE
        difference, weight = ring.luma[i] - scene.luma[y, x], ring.weights[i]
        weights += weight
        total += weight * difference
        squares += weight * difference * difference
    return (squares - total * total / weights) / weights


@compiled
def _colour_cost(
    scene: Scene, ring: Ring, total: np.float32, down: int, across: int, most: np.float32
) -> np.float32:
    """As `_luma_cost`, summed over channels on the whole ring, with a little for the shift of tone.

    `NONE` also where a first part of the ring shows that it costs more than `most`.
    """
    channels, part = scene.colours.shape[2], len(ring.rows) // 3
    weights, squares, sums = np.float32(0), np.float32(0), np.zeros(channels, np.float32)
    for i in range(len(ring.rows)):
        y, x, weight = ring.rows[i] + down, ring.columns[i] + across, ring.weights[i]
        if scene.unknown[y, x]:
            return NONE
        weights += weight
        for c in range(channels):
            difference = ring.colours[i, c] - scene.colours[y, x, c]
            sums[c] += weight * difference
            squares += weight * difference * difference
        if i == part and squares - _power(sums) / weights > most * total:
            return NONE
    return max(np.float32(0), squares - np.float32(1 - TONE_COST) * _power(sums) / weights) / total


@compiled
def _power(values: Floats) -> np.float32:
    """The sum of squares of `(C,)` values."""
    total = np.float32(0)
    for c in range(len(values)):
        total += values[c] * values[c]
    return total


@compiled
def _total(ring: Ring) -> np.float32:
    """The sum of the ring's weights."""
    total = np.float32(0)
    for i in range(len(ring.weights)):
        total += ring.weights[i]
    return total


@compiled
def _stamp(patch: Patch, used: Shifts, down: int, across: int) -> np.float32:
    """`STAMP_COST` where an earlier stretch took what lies there, else 1. `used`: where sources begin."""
    y, x = patch.rows[0] + down, patch.columns[0] + across
    for k in range(len(used.costs)):
        if used.costs[k] < NONE and abs(used.down[k] - y) < STAMP_PX and abs(used.across[k] - x) < STAMP_PX:
            return np.float32(STAMP_COST)
    return np.float32(1)


@compiled
def _insert(shifts: Shifts, cost: np.float32, down: int, across: int) -> None:
    """Put a shift in its place among the best, once."""
    for k in range(len(shifts.costs)):
        if shifts.costs[k] < NONE and shifts.down[k] == down and shifts.across[k] == across:
            return
    k = len(shifts.costs) - 1
    while k > 0 and shifts.costs[k - 1] > cost:
        shifts.costs[k] = shifts.costs[k - 1]
        shifts.down[k] = shifts.down[k - 1]
        shifts.across[k] = shifts.across[k - 1]
        k -= 1
    shifts.costs[k] = cost
    shifts.down[k] = down
    shifts.across[k] = across
