"""Runs every kernel on random arrays from a seed: results must not change with threads, and little with vector widths.

The sizes are such that every code path of every kernel runs, that all threads have work, and that there are remainders
of vectors and tiles. `python every_kernel.py` prints a hash of all results; `python every_kernel.py FILE` writes the
results of float32 to a file.
"""

import hashlib
import sys

import numpy as np

from minidl.functional.resize import linear
from minidl.kernels import Arrays, Taps, Window, cpu
from minidl.kernels.cpu.scalar_functions import ACTIVATIONS

DTYPES = ("float32", "float64")
ODD = Window((3, 3), (2, 1), ((1, 1), (1, 0)), (1, 2))
SAME = Window((3, 3), padding=((1, 1), (1, 1)))
SAME_5 = Window((5, 5), padding=((2, 2), (2, 2)))
HALF = Window((2, 2), (2, 2))
CONVOLUTIONS = {               # x, weight, window, groups
    "direct": ((5, 6, 13, 12), (40, 6, 3, 3), ODD, 1),
    "of one channel": ((6, 1, 28, 28), (6, 1, 5, 5), SAME_5, 1),
    "of few channels": ((20, 3, 13, 30), (20, 3, 4, 7), Window((4, 7), (3, 2), ((1, 2), (3, 1)), (2, 1)), 1),
    "grouped": ((3, 12, 9, 8), (20, 3, 3, 3), ODD, 4),
    "side by side": ((3, 6, 10, 12), (40, 6, 2, 2), HALF, 1),
    "1x1": ((3, 40, 9, 8), (50, 40, 1, 1), Window((1, 1)), 1),
    "1x1, strided": ((3, 40, 9, 8), (50, 40, 1, 1), Window((1, 1), (2, 2)), 1),
    "Winograd's, 2x2": ((5, 32, 6, 6), (48, 32, 3, 3), SAME, 1),
    "Winograd's, 4x4": ((2, 32, 18, 18), (48, 32, 3, 3), SAME, 1),
    "Winograd's, of 5x5": ((2, 32, 13, 14), (48, 32, 5, 5), SAME_5, 1),
    "Winograd's, grouped": ((2, 64, 13, 14), (96, 32, 5, 5), SAME_5, 2),
    "depthwise": ((3, 70, 13, 12), (70, 1, 3, 3), SAME, 70),
    "depthwise, odd": ((3, 21, 13, 12), (42, 1, 3, 3), ODD, 21),
}


def results(dtype, kernels=cpu):
    """{description: array} of all kernels of a backend in one dtype."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    out = {}
    for name, (x_shape, w_shape, window, groups) in CONVOLUTIONS.items():
        x, w, b, n, f = draw(*x_shape), draw(*w_shape), draw(w_shape[0]), x_shape[0], w_shape[0]
        grad = draw(n, f, *window.out(x_shape[2:]))
        out[name] = kernels.conv2d(x, w, b, window, groups, relu=True)
        bias = draw(x_shape[1])
        out[f"{name}, gradient of x"] = kernels.conv2d_input_gradient(grad, w, x.shape, window, groups, bias)
        out[f"{name}, gradient of weight"] = kernels.conv2d_weight_gradient(grad, x, window, groups)
    last = draw(3, 30, 29, 40).transpose(0, 3, 1, 2)
    odd = (slice(None), slice(3, 43), slice(None, None, -1), slice(1, 58, 2))
    out["placed"] = kernels.place(last, odd, (3, 50, 30, 59), last, 7.0)
    out["side by side"] = kernels.concatenate([last, draw(3, 5, 30, 29)], 1)
    sums = np.array([0, 0, 0, 0, np.inf])
    kernels.tally(sums, draw(1).reshape(()), 7, draw(7, 5), np.arange(7) - 2, -2, False)
    scaled, found = Arrays([draw(5, 3), draw(7)]), np.zeros((), np.float32)
    kernels.unscale(scaled, np.array(4, np.float32), found)
    out |= {"tally": sums[np.isfinite(sums)], "unscaled": scaled[0], "found": found}     # infinite: no fault yet
    (out["clipped"], _), out["norm"] = kernels.clip(list(scaled), 1.5, 1e-6)
    out["matmul"] = kernels.matmul(draw(100, 130), draw(130, 77))
    for c in (3, 40):
        x = draw(4, c, 30, 29)
        for name, window in (("odd", ODD), ("half", HALF)):
            pooled, winner = kernels.max_pool2d(x, window, relu=True)
            grad = draw(*pooled.shape)
            out |= {f"max, {c}, {name}": pooled, f"winner, {c}, {name}": winner,
                    f"max, {c}, {name}, gradient": kernels.max_pool2d_gradient(grad, winner, x.shape, window),
                    f"mean, {c}, {name}": kernels.avg_pool2d(x, window, 0.25),
                    f"mean, {c}, {name}, gradient": kernels.avg_pool2d_gradient(grad, x.shape, window, 0.25)}
        best, pixel = kernels.adaptive_max_pool2d(x, (7, 13))
        back = kernels.adaptive_max_pool2d_gradient(draw(*best.shape), pixel, x.shape)
        out |= {f"adaptive, {c}": best, f"adaptive winner, {c}": pixel, f"adaptive, {c}, gradient": back}
        whole, pixel = Window((30, 29)), draw(4, c, 1, 1)
        out |= {f"mean of all, {c}": kernels.avg_pool2d(x, whole, 0.25),
                f"mean of all, {c}, gradient": kernels.avg_pool2d_gradient(pixel, x.shape, whole, 0.25)}
        mean, var = kernels.channel_moments(x)
        weight, bias, grad, other = draw(c), draw(c), draw(*x.shape), draw(*x.shape)
        out |= {f"moments, {c}": mean, f"variance, {c}": var, f"sums, {c}": kernels.axis_sums(x, (0, 2, 3))}
        wide = np.random.default_rng(c).standard_normal((3, c, 90, 85)).astype(dtype)
        out |= {f"sums over {axes}, {c}": kernels.axis_sums(wide, axes)
                for axes in ((0,), (1,), (2,), (3,), (0, 2), (1, 3), (0, 1, 2, 3))}
        for add in (None, other):
            name, adds = f"norm, {c}" + ", added" * (add is not None), add is not None
            normed, passed = kernels.batch_norm(x, weight, bias, add, mean, var, 1e-5, True)
            back = kernels.batch_norm_gradient(grad, passed, x, weight, mean, var, 1e-5, True, adds)[:3 + adds]
            out |= {f"{name}, {i}": array for i, array in enumerate((normed, *back))}
        of_groups = kernels.group_norm(x, 1 if c == 3 else 8, weight, bias, 1e-5)
        back = kernels.group_norm_gradient(grad, x, weight, *of_groups[1:])
        out |= {f"group norm, {c}, {i}": array for i, array in enumerate(of_groups + back)}
        for some in (x.shape[1:], x.shape[3:]):
            weights, biases = draw(*some), draw(*some)
            of_layers = kernels.layer_norm(x, weights, biases, 1e-5)
            back = kernels.layer_norm_gradient(grad, x, weights, *of_layers[1:])
            out |= {f"layer norm, {c}, {len(some)}, {i}": array for i, array in enumerate(of_layers + back)}
        out[f"response, {c}"] = kernels.local_response_norm(x, 5, 1.0, 0.75, 2.0)
        out[f"response, {c}, gradient"] = kernels.local_response_norm_gradient(grad, x, 5, 1.0, 0.75, 2.0)
        rows, columns = linear(30, 47, 30 / 47, False)[0], linear(29, 11, 29 / 11, False)[0]
        out[f"resample, {c}"] = kernels.resample(x, rows, columns)
        out[f"sum, {c}"] = kernels.add(x, other)
        out[f"selected, {c}"] = kernels.select(other > 0, x, 2.0)
        out[f"dropped, {c}"], _ = kernels.dropout(x, x.shape, c, 0.5, 2.0)
        out[f"running, {c}"], *_ = kernels.move_moments(weight, bias, np.array(3), mean, var, 0.1, len(x))
        out[f"relu, {c}"] = kernels.relu(x, 6.0)
        out[f"relu, {c}, gradient"] = kernels.relu_gradient(grad, x, 6.0)
    x, grad = 3 * draw(5, 7, 60, 50), draw(5, 7, 60, 50)
    for name in ACTIVATIONS:
        settings = {"leaky_relu": (0.1,), "elu": (1.0,), "softplus": (2.0, 20.0)}.get(name, ())
        out[name] = kernels.activation(name, x, *settings)
        out[f"{name}, gradient"] = kernels.activation_gradient(name, grad, x, *settings)
    for shape in ((700, 10), (70, 1000), (3, 5, 40, 30)):
        target = rng.integers(shape[1], size=(shape[0], *shape[2:]))
        losses, total, gradient = kernels.cross_entropy(3 * draw(*shape), target, abs(draw(shape[1])), -100, 0.1, True)
        out |= {f"losses {shape}": losses, f"total {shape}": np.asarray(total), f"of softmax {shape}": gradient}
    for shape in ((700, 10), (70, 1000), (3, 5, 40, 30)):
        x, grad = 3 * draw(*shape), draw(*shape)
        p, logs = kernels.softmax(x, 1), kernels.log_softmax(x, 1)
        out |= {f"p {shape}": p, f"p {shape}, gradient": kernels.softmax_gradient(grad, p, 1),
                f"log p {shape}": logs, f"log p {shape}, gradient": kernels.log_softmax_gradient(grad, logs, 1)}
    return out | copies(kernels, draw) | updates(kernels, draw)


def augmented(dtype, kernels=cpu):
    """Images, of floats where they are computed: bytes could be rounded to either side. GPUs take float32 only."""
    rng, n = np.random.default_rng(0), 3
    images = rng.standard_normal((3, 3, 20, 24)).astype(dtype)
    rows, columns = rng.integers(-1, 20, (n, 9)), rng.integers(-1, 24, (n, 11))
    taps = [Taps(rng.integers(0, size, (n, 7, 3)), rng.random((n, 7, 3))) for size in (20, 24)]
    codes, tables = (rng.integers(0, 256, shape).astype(np.uint8) for shape in (images.shape, (n, 3, 256)))
    return {
        "gather": kernels.gather(images, rows, columns, 7),
        "warp": kernels.warp(images, rng.normal(0, 1, (n, 2, 3)) * [1, 1, 9], (18, 19), True, 1, 0),
        "displace": kernels.displace(images, rng.normal(0, 3, (n, 2, 20, 24)), True, 2, 0),
        "blend": kernels.blend_each(images, *taps),
        "look up": kernels.look_up(codes, tables),
        "mix": kernels.mix_channels(images, rng.random((n, 3, 3)), rng.random((n, 3, 3))),
        "levels": kernels.level_tables(codes, np.arange(n)),
        "sharpen": kernels.sharpen(images, rng.random(n)),
        "erase": kernels.erase(images, rng.integers(0, 20, (n, 4)), 7),
        "pairs": kernels.mix_pairs(images, rng.random(), (2, 3, 15, 20)),
        "fields": kernels.noise_fields(images, rng.integers(0, 2**63, n).astype(np.uint64), 50.0),
        "blur": kernels.blur(images, rng.random((n, 5))),
        "noise": kernels.add_noise(images, rng.integers(0, 2**63, n).astype(np.uint64), rng.random(n)),
    }


def copies(kernels, draw):
    """Images in a part of larger ones, and some side by side."""
    last = draw(3, 9, 8, 40).transpose(0, 3, 1, 2)
    index = slice(None), slice(4, None), slice(1, 10), slice(15, None, -2)
    return {"placed": kernels.place(last, index, (3, 44, 12, 16), last, 7.0),
            "side by side": kernels.concatenate([last, draw(3, 5, 9, 8), last], 1)}


def updates(kernels, draw):
    """Parameters after a step of each optimizer."""
    shapes = [(40, 30, 3, 3), (40,), (1000, 37)]
    out = {}
    for name, update in {
        "sgd": lambda xs, grads, v, s, m: kernels.sgd(xs, grads, v, 0.1, 0.9, 0.01, True),
        "adam": lambda xs, grads, v, s, m: kernels.adam(xs, grads, m, s, 3, 0.1, (0.9, 0.99), 1e-2, 0.1, True),
        "nadam": lambda xs, grads, v, s, m: kernels.nadam(xs, grads, m, s, 3, 0.1, 0.2, (0.9, 0.99), 1e-2, 0.1, None),
        "adagrad": lambda xs, grads, v, s, m: kernels.adagrad(xs, grads, s, 0.1, 1e-2, 0.1, 0.5),
        "rmsprop": lambda xs, grads, v, s, m: kernels.rmsprop(xs, grads, s, v, m, 0.1, 0.9, 1e-1, 0.1, 0.5),
        "lerp": lambda xs, grads, v, s, m: kernels.lerp(xs, grads, 0.3),
    }.items():
        xs, grads, velocities, squares, means = ([draw(*shape) for shape in shapes] for _ in range(5))
        squares = [np.square(x) for x in squares]
        update(Arrays(xs), grads, Arrays(velocities), Arrays(squares), Arrays(means))
        out |= {f"{name}, {kind} {i}": array for kind, arrays in (("x", xs), ("velocity", velocities))
                for i, array in enumerate(arrays)}
    return out


def digest():
    """A hash of the bits of all results."""
    bits = hashlib.sha256()
    for dtype in DTYPES:
        for array in (results(dtype) | augmented(dtype)).values():
            bits.update(np.ascontiguousarray(array).tobytes())
    return bits.hexdigest()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        every = results("float32") | augmented("float32")
        np.savez(sys.argv[1], **{name.replace("/", "|"): array for name, array in every.items()})
    else:
        print(digest())
