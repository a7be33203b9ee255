"""Twins of router_scores, route, expert_tiles, expert_matvec, expert_matmul and mix_norm_sum."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from leadout.devices.twins import Call, Floats, twin
from leadout.devices.twins.linear import gelu, matrix
from leadout.devices.twins.norm import normalize


@twin
def router_scores(call: Call) -> None:
    """The scores of every row, and the row normed for the experts."""
    size, outputs, first = call.integer("K"), call.integer("N"), call.integer("FIRST", 0)
    weights, num_planes = matrix(call, outputs, size)
    x = normalize(call.floats(num_planes).reshape(-1, size), call.number("EPS"))
    scaled = x * call.floats(num_planes + 1)[:size] * np.float32(call.constants.get("SCALE", 1.0))
    stride = call.integer("STRIDE")
    scores = call.floats(num_planes + 3)[: len(x) * stride].reshape(-1, stride)
    scores[:, first : first + outputs] = np.stack([weights @ row for row in scaled])
    call.floats(num_planes + 4)[: x.size] = (x * call.floats(num_planes + 2)[:size]).ravel()


@twin
def route(call: Call) -> None:
    """The experts of every row, and their weights."""
    experts, top = call.integer("EXPERTS"), call.integer("TOP")
    scores = call.floats(0).reshape(-1, experts)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    best = np.take_along_axis(scores, order, axis=-1)
    shares = np.exp(best - best[:, :1])
    weights = shares / shares.sum(axis=-1, keepdims=True) * call.floats(1)[:experts][order]
    call.bindings[2][: order.size] = order.astype(np.uint32).ravel()
    call.floats(3)[: order.size] = weights.astype(np.float32).ravel()


@twin
def expert_tiles(call: Call) -> None:
    """Pairs in the order of their experts, and runs of them."""
    pairs, tile = call.integer("PAIRS"), call.integer("TILE")
    chosen = call.bindings[0][:pairs]
    call.bindings[1][:pairs] = np.argsort(chosen, kind="stable")
    counts = np.bincount(chosen, minlength=call.integer("EXPERTS"))
    firsts = np.cumsum(counts) - counts
    tiles = [
        (expert, firsts[expert] + i, min(tile, count - i), 0)
        for expert, count in enumerate(counts)
        for i in range(0, count, tile)
    ]
    call.bindings[2][: 4 * call.integer("TILES")] = 0
    call.bindings[2][: 4 * len(tiles)] = np.array(tiles, np.uint32).ravel()


@twin
def expert_matvec(call: Call) -> None:
    """One product per row and chosen expert."""
    weights, num_planes = matrix(call, call.integer("COUNT"), call.integer("K"))
    chosen = call.bindings[num_planes]
    _products(call, weights, enumerate(chosen), num_planes + 1)


@twin
def expert_matmul(call: Call) -> None:
    """The same, with the pairs of an expert side by side."""
    weights, num_planes = matrix(call, call.integer("COUNT"), call.integer("K"))
    order = call.bindings[num_planes + 1]
    tiles = call.bindings[num_planes].reshape(-1, 4)
    pairs = (
        (int(order[first + i]), expert) for expert, first, count, _ in tiles for i in range(count)
    )
    _products(call, weights, pairs, num_planes + 2)


def _products(
    call: Call, weights: Floats, pairs: Iterable[tuple[int, int]], first_binding: int
) -> None:
    """Write the product of every (pair, expert), as far as this shard has the expert's rows."""
    epilogue = call.args[1]
    outputs, first, count = call.integer("N"), call.integer("FIRST", 0), call.integer("COUNT")
    top, stride, offset = (call.integer(name) for name in ("TOP", "OUT_STRIDE", "OUT_OFFSET"))
    x = call.floats(first_binding).reshape(-1, call.integer("K"))
    y = call.floats(first_binding + 1)
    for pair, expert in pairs:
        begin = int(expert) * outputs - first
        low, high = max(begin, 0), min(begin + outputs, count)
        if low < high:
            row = pair // top if call.integer("SHARED_INPUT") == 1 else pair
            product = weights[low:high] @ x[row]
            if epilogue == "gelu_mul":
                product = gelu(product[: outputs // 2]) * product[outputs // 2 :]
            at = pair * stride + offset + low - begin
            y[at : at + len(product)] = product


@twin
def mix_norm_sum(call: Call) -> None:
    """The weighted sum of a row's experts, normed, beside another normed row."""
    size, top, eps = call.integer("D"), call.integer("TOP"), call.number("EPS")
    x = call.floats(0).reshape(-1, size)
    z = call.floats(2)[: x.size * top].reshape(-1, top, size)
    weights = call.floats(3)[: len(x) * top].reshape(-1, top)
    mixed = np.zeros((len(x), size), np.float32)
    for i in range(top):
        mixed += weights[:, i : i + 1] * z[:, i]
    y = normalize(x, eps) * call.floats(1)[:size] + normalize(mixed, eps) * call.floats(4)[:size]
    call.floats(5)[: y.size] = y.ravel()
