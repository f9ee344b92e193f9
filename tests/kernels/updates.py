"""The updates of all optimizers by kernels k: x parameters, g gradients, s state, a and b numbers."""

UPDATES = {
    "sgd": lambda k, x, g, s, a, b: k.sgd(x, g, None, a, 0.0, b, False),
    "sgd with momentum": lambda k, x, g, s, a, b: k.sgd(x, g, s[0], a, b, 0.1, False),
    "nesterov": lambda k, x, g, s, a, b: k.sgd(x, g, s[0], a, b, 0.0, True),
    "adam": lambda k, x, g, s, a, b: k.adam(x, g, s[0], s[1], 3, a, (0.9, b), 1e-2, 0.1, False),
    "adamw": lambda k, x, g, s, a, b: k.adam(x, g, s[0], s[1], 1, a, (b, 0.99), 1e-2, 0.1, True),
    "nadam": lambda k, x, g, s, a, b: k.nadam(x, g, s[0], s[1], 3, a, 0.2, (0.9, b), 1e-2, 0.1, None),
    "nadam, decoupled": lambda k, x, g, s, a, b: k.nadam(x, g, s[0], s[1], 1, a, 0.2, (b, 0.99), 1e-2, 0.1, 0.3),
    "nadam, another mean": lambda k, x, g, s, a, b: k.nadam(x, g, s[0], s[1], 3, a, b, (0.9, b), 1e-2, 0.1, None),
    "nadam, shrinking": lambda k, x, g, s, a, b: k.nadam(x, g, s[0], s[1], 3, a, b, (0.9, b), 1e-2, 0.0, 0.1),
    "adagrad": lambda k, x, g, s, a, b: k.adagrad(x, g, s[1], a, 1e-2, 0.1, b),
    "rmsprop": lambda k, x, g, s, a, b: k.rmsprop(x, g, s[1], None, None, a, b, 1e-2, 0.1, 0.0),
    "rmsprop with momentum": lambda k, x, g, s, a, b: k.rmsprop(x, g, s[1], s[0], None, a, b, 1e-2, 0.0, 0.5),
    "rmsprop, centered": lambda k, x, g, s, a, b: k.rmsprop(x, g, s[1], None, s[0], a, b, 1e-2, 0.0, 0.0),
    "rmsprop with all": lambda k, x, g, s, a, b: k.rmsprop(x, g, s[1], s[2], s[0], a, b, 1e-2, 0.1, 0.5),
    "lerp": lambda k, x, g, s, a, b: k.lerp(x, g, a),
}
