"""Parameters in groups: learning rates by layer, and no weight decay of norms and biases."""

import difflib
from collections.abc import Mapping
from typing import Any

from minidl.optim.average import HasParameters
from minidl.scalars import flag, number
from minidl.tensor import Tensor


def parameter_groups(model: HasParameters, lr: float, weight_decay: float = 0.0,
                     factors: Mapping[str, float] | None = None, decay_norms_and_biases: bool = True
                     ) -> list[dict[str, Any]]:
    """The parameters of a model as groups for an optimizer:  SGD(parameter_groups(model, 0.1, 5e-4), momentum=0.9)

    factors                 {dotted name of a part of the model: factor}: the learning rate of the parameters in it is
                            factor * lr; of several names that fit, the longest counts. So early layers of a trained
                            network can learn more slowly than its new head (Howard and Ruder, "Universal language model
                            fine-tuning", ACL 2018, section 3.2)
    decay_norms_and_biases  if False, parameters with a single axis, those of norms and all biases, have weight decay 0
                            (He et al., "Bag of tricks for image classification", CVPR 2019, section 3.1)
    ->  groups with "params", as (name, parameter), "lr" and "weight_decay", in the order of the model; for
        OneCycleLR: max_lr=[group["lr"] for group in groups]
    Raises ValueError for a name that is no part of the model, with the closest ones.
    """
    owner = "parameter_groups"
    if not hasattr(model, "named_parameters"):
        raise TypeError(f"{owner}: pass the model, not {type(model).__name__}")
    lr, weight_decay = number(owner, "lr", lr, 0), number(owner, "weight_decay", weight_decay, 0)
    decays_all = flag(owner, "decay_norms_and_biases", decay_norms_and_biases)
    named = list(model.named_parameters())
    chosen = checked_factors(factors, [name for name, _ in named], type(model).__name__)
    groups: dict[tuple[float, float], list[tuple[str, Tensor]]] = {}
    for name, p in named:
        rate = lr * factor_of(name, chosen)
        decay = weight_decay if decays_all or p.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append((name, p))
    return [{"params": pairs, "lr": rate, "weight_decay": decay} for (rate, decay), pairs in groups.items()]


def checked_factors(factors: Mapping[str, float] | None, parameters: list[str], model: str) -> dict[str, float]:
    """The factors as floats of at least 0. Raises ValueError unless each name is that of a part with parameters."""
    if not isinstance(factors, Mapping | None):
        raise TypeError(f'parameter_groups: factors={factors!r} must be a dictionary, such as {{"blocks": 0.1}}')
    known = dict.fromkeys(path for name in parameters for path in prefixes(name))
    for name in factors or ():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 3) or list(known)[:8]
            raise ValueError(f"parameter_groups: factors: {name!r} is no part of {model} with parameters; there are, "
                             f"for example, {', '.join(near)}")
    return {name: number("parameter_groups", f"factors[{name!r}]", factor, 0)
            for name, factor in (factors or {}).items()}


def prefixes(name: str) -> list[str]:
    """["a", "a.b", "a.b.c"] of "a.b.c": the parts that the parameter belongs to, and itself."""
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def factor_of(name: str, factors: dict[str, float]) -> float:
    """The factor of the longest name that the parameter belongs to; 1 without one."""
    return next((factors[path] for path in reversed(prefixes(name)) if path in factors), 1.0)
