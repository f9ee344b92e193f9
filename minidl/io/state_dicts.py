"""Which dictionary of a file holds the weights, and which names they have in the network.

A checkpoint is a tree: beside the weights there are an epoch, a loss, an optimizer, averaged weights, a second network.
The weights are the dictionary whose names are those of the network, if one is known. Otherwise they are the one
dictionary of tensors with names of layers; if there are several, the one under a usual name such as "state_dict".
"""

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any, NamedTuple

from minidl.io.checkpoint import CheckpointError
from minidl.io.foreign import object_of
from minidl.io.pickles import Opaque
from minidl.io.torch_tensors import StoredTensor, tensor_of

WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
PREFIXES = ("module.", "model.")                 # before every name: of DataParallel and AveragedModel, of Lightning
INNER = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")      # anywhere: torch.compile, FSDP
COUNTER = ".num_batches_tracked"                 # a buffer of batch normalization, absent before PyTorch 0.4.1
OPTIMIZERS = ("optim", "optims", "opt")
EXTRA = "_extra_state"                           # PyTorch's name for what a module saves that is no tensor
DEPTH, MANY = 6, 1000                            # levels, and dictionaries, that are searched at most
PARTS = 8                                        # of a prefix; a name from a file may have a million

Shapes = Mapping[str, tuple[int, ...]]


class Found(NamedTuple):
    """A dictionary with tensors, and the keys that lead to it, joined by slashes; "" for the outermost."""

    path: str
    entries: dict[Any, Any]

    @property
    def tensors(self) -> dict[str, StoredTensor]:
        """Its tensors by name."""
        return {name: tensor for name, value in self.entries.items()
                if isinstance(name, str) and isinstance(tensor := tensor_of(value), StoredTensor)}


def dictionaries(tree: Any) -> list[Found]:
    """All dictionaries in `tree` that hold tensors under names, the outermost first; none of an optimizer."""
    found: list[Found] = []
    seen: set[int] = set()
    waiting = [("", tree)]
    for _ in range(DEPTH):
        level, waiting = waiting, []
        for path, value in level:
            if isinstance(value, Opaque):
                value = value.items
            if is_optimizer(path, value):
                continue
            if isinstance(value, dict) and len(found) < MANY and Found(path, value).tensors:
                found.append(Found(path, value))
            if id(value) in seen:
                continue
            seen.add(id(value))
            waiting += [(f"{path}/{key}".lstrip("/"), item) for key, item in items(value)]
    return found


def items(value: Any) -> list[tuple[Any, Any]]:
    """The keys and values in a dictionary, list or tuple that may hold more."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif type(value) in (list, tuple):
        pairs = enumerate(value)
    return [(key, item) for key, item in pairs
            if isinstance(key, str | int) and (isinstance(item, dict | Opaque) or type(item) in (list, tuple))]


def is_optimizer(path: str, value: Any) -> bool:
    """Whether a dictionary is the state of an optimizer."""
    name = path.rpartition("/")[2].lower()
    return "optimizer" in name or name in OPTIMIZERS or (isinstance(value, dict) and "param_groups" in value)


def choose(found: list[Found], key: str | None, shapes: Shapes | None) -> Found | None:
    """The dictionary of the weights: that of `key`, else the one that fits the network. None if there is none.

    Raises CheckpointError if `key` names none, or if several are as good as each other.
    """
    if key is not None:
        return named(found, key)
    fitting = [one for one in found if shapes and fits(one, shapes)]
    best = [one for one in fitting if shapes and has_shapes(one, shapes)]
    candidates = best or fitting or likely(found)
    usual = [one for name in WRAPPINGS for one in candidates if one.path.rpartition("/")[2] == name]
    candidates = usual[:1] or candidates
    if len({id(one.entries) for one in candidates}) > 1:
        several = f"it holds several dictionaries of weights: {listing(candidates)}; choose one with "
        path = next((one.path for one in candidates if one.path), "")
        raise CheckpointError(f"{several}load_weights(path, key={path!r})",
                              f"{several}`minidl convert --key {quote(path)}`")
    return candidates[0] if candidates else None


def named(found: list[Found], key: str) -> Found:
    """The dictionary at the path `key`, or the only one under the last key of that name."""
    chosen = ([one for one in found if one.path == key]
              or [one for one in found if one.path.rpartition("/")[2] == key])
    if len(chosen) != 1:
        count = "several dictionaries" if chosen else "no dictionary"
        raise CheckpointError(f"it holds {count} of weights {key!r}; there are {listing(found) or 'none'}")
    return chosen[0]


def listing(found: list[Found]) -> str:
    """The paths of some dictionaries, and how many tensors each has."""
    rest = f" and {len(found) - 9} more" if len(found) > 9 else ""
    return ", ".join(f"{one.path or '(outermost)'} ({len(one.tensors)} tensors)" for one in found[:9]) + rest


def likely(found: list[Found]) -> list[Found]:
    """The dictionaries that look most like a network's; none of those around them, unless it looks so too."""
    looks = [look(one.tensors) for one in found]
    best = [one for one, rank in zip(found, looks, strict=True) if rank == max(looks)]
    around = {one.path for one in best if look(one.tensors) == 0
              and any(other.path.startswith(f"{one.path}/" if one.path else "") for other in best if other is not one)}
    return [one for one in best if one.path not in around]


def look(tensors: dict[str, StoredTensor]) -> int:
    """How much tensors look like a network's: 2 with a matrix "weight", 1 with names of several parts."""
    if any(name.rpartition(".")[2] == "weight" and len(tensor.shape) > 1 for name, tensor in tensors.items()):
        return 2
    return int(any("." in name for name in tensors))


def checked(found: Found, shapes: Shapes | None) -> dict[str, StoredTensor]:
    """Its tensors. Raises CheckpointError for an object that stands where a tensor should be."""
    tensors = found.tensors
    flat = not all("." in name for name in tensors)
    for name, value in found.entries.items():
        value = tensor_of(value)
        if not isinstance(value, Opaque) or not isinstance(name, str) or name.endswith(EXTRA):
            continue
        if flat or "." in name or name in (shapes or ()):            # others are facts, such as "epoch"
            raise CheckpointError(f"it asks for {value.name!r} where the tensor {name!r} should be, "
                                  f"{object_of(value.name)}")
    return tensors


# Names

def plain_names(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays by the names in their network, without what wrappers put before all of them."""
    arrays = {without(INNER, name): array for name, array in arrays.items()}
    for _ in range(PARTS):
        prefix = next((p for p in PREFIXES if all(n.startswith(p) or is_fact(n, a) for n, a in arrays.items())), None)
        if prefix is None or not stripped(arrays, prefix):
            break
        arrays = stripped(arrays, prefix)
    return arrays


def is_fact(name: str, array: Any) -> bool:
    """Whether an array is a single number beside the weights, such as AveragedModel's "n_averaged", or an "epoch"."""
    return "." not in name and array.shape == ()


def stripped(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The arrays whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def without(parts: Iterable[str], name: str) -> str:
    """A name without the parts that wrappers put into it."""
    for part in parts:
        name = name.removeprefix(part).replace(f".{part}", ".")
    return name


def renamed(arrays: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """The arrays by the names `own`, if only a prefix of all names or numbers beside differ; else as they are."""
    wanted = essential(own)
    ours = common_prefix(wanted)
    weights = {name: array for name, array in arrays.items() if name in wanted or not is_fact(name, array)}
    for names in (weights, plain_names(weights)):
        for _ in range(PARTS):
            if essential(names) == wanted:
                return names
            if ours and {ours + name for name in essential(names)} == wanted:
                return {ours + name: array for name, array in names.items()}
            names = stripped(names, first_part(names))
    return dict(arrays)


def fits(found: Found, own: Iterable[str]) -> bool:
    """Whether its tensors have the names `own`, but for a prefix of all."""
    return essential(renamed(found.tensors, own)) == essential(own)


def has_shapes(found: Found, shapes: Shapes) -> bool:
    """Whether its tensors have the shapes of the network's too."""
    tensors = renamed(found.tensors, shapes)
    return all(tensors[name].shape == shape for name, shape in shapes.items() if name in tensors)


def essential(names: Iterable[str]) -> set[str]:
    """Names, without those of counters, which a file may lack."""
    return {name for name in names if not name.endswith(COUNTER)}


def first_part(names: Iterable[str]) -> str:
    """The first part of all names, such as "net."; "" if they differ, or if one has no other part."""
    parts = {name.partition(".")[:2] for name in essential(names)}
    return "".join(next(iter(parts))) if len(parts) == 1 and all(dot for _, dot in parts) else ""


def common_prefix(names: set[str]) -> str:
    """All first parts that the names share, such as "model.net."."""
    prefix = ""
    while part := first_part(name.removeprefix(prefix) for name in names):
        prefix += part
    return prefix


def fitting_prefix(names: Iterable[str], own: Iterable[str]) -> str | None:
    """The prefix without which some of the names are all of `own`; None if there is none."""
    names, wanted = set(names), essential(own)
    last = min(wanted, key=lambda name: (-name.count("."), name), default="")
    prefixes = {name.removesuffix(last) for name in names if name.endswith(last) and name != last}
    return next((p for p in sorted(prefixes) if p.endswith(".") and {p + name for name in wanted} <= names), None)
