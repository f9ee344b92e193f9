"""What to write in place of PyTorch's names that are not here: one table, read where a name is missing.

    >>> x.view_as(y)
    AttributeError: Tensor has no view_as; write x.reshape(y.shape)

`docs/from_pytorch.md` shows the same table. The test of it holds that no name in it exists, and that what each of
Tensor's methods and functions says is right.
"""

import re
from typing import Any, NoReturn

RECURRENT = "there are no recurrent layers"
VECTORS = "there are convolutions of images (N, C, H, W) only; give sequences as images of height 1"
HALF = "tensors are float32 or float64; minidl.autocast computes products in half precision, on a GPU"
RANKS = "write fit(..., communicator=minidl.distributed.MPI()), and start the script by mpiexec"
COMPILE = "kernels are compiled at their first call; leave it out"
LOADER = "use minidl.data.DataLoader(dataset, batch_size)"

TENSOR = {                                       # methods and attributes of Tensor
    "view_as": "write x.reshape(y.shape)",
    "reshape_as": "write x.reshape(y.shape)",
    "expand_as": "write x.expand(*y.shape)",
    "type_as": "write x.to(y.dtype)",
    "type": "write x.to(dtype), or x.dtype to ask for it",
    "half": HALF,
    "bfloat16": HALF,
    "mm": "write x @ y",
    "bmm": "write x @ y",
    "mv": "write x @ y",
    "dot": "write x @ y",
    "t": "write x.T",
    "mT": "write x.transpose(-2, -1)",
    "swapaxes": "write x.transpose(i, j)",
    "movedim": "write x.permute(...)",
    "nelement": "write x.numel()",
    "ndimension": "write x.dim()",
    "stride": "write x.data.strides, which are in bytes",
    "is_contiguous": "operations here accept any memory order; leave it out",
    "is_cuda": "write x.device.kind == 'gpu'",
    "is_floating_point": "write x.dtype.kind == 'f'",
    "get_device": "write x.device",
    "grad_fn": "write x.node",
    "detach_": "write x = x.detach()",
    "register_hook": "write x.retain_grad(), and read x.grad after backward",
    "square": "write x * x",
    "rsqrt": "write 1 / x.sqrt()",
    "reciprocal": "write 1 / x",
    "sum_to_size": "write x.sum(dims, keepdim=True)",
    "flip": "write x[:, ::-1], with the step -1 where the axis is",
    "fliplr": "write x[:, ::-1]",
    "flipud": "write x[::-1]",
    "roll": "write torch.cat([x[-n:], x[:-n]])",
    "narrow": "write x[start:start + length]",
    "select": "write x[:, index]",
    "index_select": "write x[index]",
    "take": "write x.flatten()[index]",
    "unbind": "write list(x)",
    "tile": "write x.repeat(...)",
    "repeat_interleave": "write x[numpy.repeat(numpy.arange(len(x)), n)]",
    "scatter": "write x + onehot * (value - x), or x.data[...] = value",
    "scatter_": "write x[...] = value under no_grad; F.one_hot(y, classes) for labels",
    "scatter_add_": "write numpy.add.at(x.data, index, y)",
    "masked_fill_": "write x = x.masked_fill(mask, value)",
    "masked_select": "write x[mask]",
    "nonzero": "write numpy.nonzero(x.numpy())",
    "unique": "write numpy.unique(x.numpy())",
    "bincount": "write numpy.bincount(x.numpy())",
    "cumsum": "write numpy.cumsum(x.numpy(), axis); it has no gradient",
    "cumprod": "write numpy.cumprod(x.numpy(), axis); it has no gradient",
    "prod": "write numpy.prod(x.numpy(), axis), or x.log().sum().exp()",
    "median": "write numpy.median(x.numpy())",
    "quantile": "write numpy.quantile(x.numpy(), q)",
    "kthvalue": "write x.sort().values[k - 1]",
    "floor": "write numpy.floor(x.numpy()); its gradient is 0",
    "ceil": "write numpy.ceil(x.numpy()); its gradient is 0",
    "round": "write numpy.round(x.numpy()); its gradient is 0",
    "trunc": "write numpy.trunc(x.numpy()); its gradient is 0",
    "sign": "write numpy.sign(x.numpy()); its gradient is 0",
    "isnan": "write x != x",
    "isinf": "write x.abs() == float('inf')",
    "isfinite": "write x.abs() < float('inf')",
    "logical_and": "write x & y",
    "logical_or": "write x | y",
    "logical_not": "write ~x",
    "fmod": "write x % y, which has the sign of y",
    "floor_divide": "write (x - x % y) / y",
    "tan": "write x.sin() / x.cos()",
    "log2": "write x.log() / math.log(2)",
    "log10": "write x.log() / math.log(10)",
    "log1p": "write (1 + x).log()",
    "expm1": "write x.exp() - 1",
    "clip": "write x.clamp(low, high)",
    "clamp_min": "write x.clamp(min=low)",
    "clamp_max": "write x.clamp(max=high)",
    "clamp_": "write x[...] = x.clamp(low, high) under no_grad",
    "relu_": "write x = x.relu()",
    "sigmoid_": "write x = x.sigmoid()",
    "sqrt_": "write x = x.sqrt()",
    "pow_": "write x **= y under no_grad",
    "unsqueeze_": "write x = x.unsqueeze(dim)",
    "squeeze_": "write x = x.squeeze()",
    "t_": "write x = x.T",
    "resize_": "write x = x.reshape(...)",
    "lerp": "write x + (y - x) * weight",
    "lerp_": "write x += (y - x) * weight under no_grad",
    "addmm": "write x + a @ b",
    "addcmul_": "write x += value * a * b under no_grad",
    "addcdiv_": "write x += value * a / b under no_grad",
    "normal_": "write nn.init.normal_(x, mean, std), from minidl.torch",
    "uniform_": "write nn.init.uniform_(x, low, high), from minidl.torch",
    "random_": "write x[...] = numpy.random.default_rng(seed).integers(n, size=x.shape)",
    "bernoulli_": "write x[...] = numpy.random.default_rng(seed).random(x.shape) < p",
    "new_zeros": "write torch.zeros(shape, dtype=x.dtype)",
    "new_ones": "write torch.ones(shape, dtype=x.dtype)",
    "new_tensor": "write torch.tensor(data, dtype=x.dtype)",
    "share_memory_": "processes share no memory; leave it out",
    "pin_memory": "leave it out",
}

MODULE = {                                       # methods of Module
    "half": HALF,
    "bfloat16": HALF,
    "type": "write model.to(dtype=...)",
    "compile": COMPILE,
    "share_memory": "processes share no memory; leave it out",
    "register_full_backward_hook": "keep the output, call out.retain_grad(), and read out.grad after backward",
    "register_backward_hook": "keep the output, call out.retain_grad(), and read out.grad after backward",
    "get_submodule": "write dict(model.named_modules())[name]",
    "get_parameter": "write dict(model.named_parameters())[name]",
    "get_buffer": "write dict(model.named_buffers())[name]",
    "to_empty": "write model.to(device)",
}

LAYERS = {                                       # of nn
    "Conv1d": VECTORS,
    "Conv3d": VECTORS,
    "ConvTranspose1d": VECTORS,
    "ConvTranspose3d": VECTORS,
    "MaxPool1d": VECTORS,
    "MaxPool3d": VECTORS,
    "AvgPool1d": VECTORS,
    "AvgPool3d": VECTORS,
    "AdaptiveAvgPool1d": VECTORS,
    "AdaptiveMaxPool1d": VECTORS,
    "BatchNorm3d": VECTORS,
    "LazyLinear": "give the number of inputs: nn.Linear(inputs, outputs)",
    "LazyConv2d": "give the number of channels: nn.Conv2d(channels, filters, kernel)",
    "LazyBatchNorm2d": "give the number of channels: nn.BatchNorm2d(channels)",
    "RNN": RECURRENT,
    "LSTM": RECURRENT,
    "GRU": RECURRENT,
    "LSTMCell": RECURRENT,
    "GRUCell": RECURRENT,
    "Embedding": "keep a Parameter (words, size), and index it with integers: self.table[words]",
    "MultiheadAttention": "write it with F.softmax(q @ k.transpose(-2, -1) / math.sqrt(d), -1) @ v",
    "Transformer": "there are no transformers",
    "TransformerEncoderLayer": "there are no transformers",
    "InstanceNorm2d": "write nn.GroupNorm(channels, channels)",
    "SyncBatchNorm": "write minidl.nn.SyncBatchNorm2d; in one process it is nn.BatchNorm2d",
    "RMSNorm": "write x / (x * x).mean(-1, keepdim=True).sqrt() * weight in forward",
    "PReLU": "write nn.LeakyReLU(slope)",
    "RReLU": "write nn.LeakyReLU(slope)",
    "SELU": "write nn.ELU()",
    "CELU": "write nn.ELU(alpha)",
    "Mish": "write x * F.tanh(F.softplus(x)) in forward",
    "Hardsigmoid": "write F.relu6(x + 3) / 6 in forward",
    "Hardtanh": "write x.clamp(-1, 1) in forward",
    "Softsign": "write x / (1 + x.abs()) in forward",
    "Softmax2d": "write nn.Softmax(1)",
    "Dropout3d": VECTORS,
    "AlphaDropout": "write nn.Dropout(p)",
    "PixelShuffle": "write x.reshape(...).permute(...).reshape(...) in forward",
    "Unfold": "there is no im2col layer; nn.Conv2d needs none",
    "Fold": "there is no col2im layer; nn.ConvTranspose2d needs none",
    "Bilinear": "write (a @ weight * b).sum(-1) in forward",
    "CosineSimilarity": "write F.cosine_similarity(a, b), from minidl.torch",
    "DataParallel": RANKS,
    "MaxUnpool2d": "there is none; write nn.Upsample or nn.ConvTranspose2d",
    "FractionalMaxPool2d": "write nn.AdaptiveMaxPool2d(size)",
    "LPPool2d": "write nn.AvgPool2d of the powers",
    "ReflectionPad2d": "write F.pad(x, pad, 'reflect') in forward",
    "ReplicationPad2d": "write F.pad(x, pad, 'replicate') in forward",
    "ZeroPad2d": "write F.pad(x, pad) in forward",
    "UpsamplingNearest2d": "write nn.Upsample(scale_factor=...)",
    "UpsamplingBilinear2d": "write nn.Upsample(scale_factor=..., mode='bilinear', align_corners=True)",
    "CTCLoss": "there is no such loss",
    "TripletMarginLoss": "write F.relu((a - p).norm(dim=1) - (a - n).norm(dim=1) + margin).mean()",
    "HingeEmbeddingLoss": "write it with F.relu",
    "KLDivLoss": "write (target * (target.log() - logp)).sum() / len(logp)",
    "HuberLoss": "write delta * F.smooth_l1_loss(x, target, beta=delta)",
    "PoissonNLLLoss": "write (x.exp() - target * x).mean()",
    "GaussianNLLLoss": "write ((x - target) ** 2 / var + var.log()).mean() / 2",
}

FUNCTIONS = {                                    # of nn.functional
    "conv1d": VECTORS,
    "conv3d": VECTORS,
    "max_pool1d": VECTORS,
    "avg_pool1d": VECTORS,
    "embedding": "write weight[index]",
    "scaled_dot_product_attention": "write F.softmax(q @ k.transpose(-2, -1) / math.sqrt(d), -1) @ v",
    "instance_norm": "write F.group_norm(x, x.shape[1], weight, bias)",
    "grid_sample": "there is none; F.interpolate resizes, and minidl.augment warps training images",
    "affine_grid": "there is none; minidl.augment warps training images",
    "unfold": "there is none; F.conv2d needs no columns",
    "fold": "there is none; F.conv_transpose2d needs no columns",
    "upsample": "write F.interpolate(x, size)",
    "pixel_shuffle": "write x.reshape(...).permute(...).reshape(...)",
    "prelu": "write F.relu(x) - weight * F.relu(-x)",
    "selu": "write 1.0507 * F.elu(x, 1.67326)",
    "mish": "write x * F.tanh(F.softplus(x))",
    "hardtanh": "write x.clamp(low, high)",
    "hardsigmoid": "write F.relu6(x + 3) / 6",
    "logsigmoid": "write -F.softplus(-x)",
    "softsign": "write x / (1 + x.abs())",
    "softmin": "write F.softmax(-x, axis)",
    "gumbel_softmax": "write F.softmax((x + noise) / tau, axis)",
    "kl_div": "write (target * (target.log() - logp)).sum() / len(logp)",
    "huber_loss": "write delta * F.smooth_l1_loss(x, target, beta=delta)",
    "triplet_margin_loss": "write F.relu((a - p).norm(dim=1) - (a - n).norm(dim=1) + margin).mean()",
    "multi_margin_loss": "write it with F.relu",
    "ctc_loss": "there is no such loss",
    "pairwise_distance": "write (a - b).norm(dim=-1)",
    "relu_": "write x = F.relu(x)",
    "alpha_dropout": "write F.dropout(x, p)",
    "bilinear": "write (a @ weight * b).sum(-1)",
    "max_unpool2d": "there is none; write F.interpolate or F.conv_transpose2d",
}

OPTIM = {                                        # of optim
    "LBFGS": "there is none; write optim.Adam",
    "Adadelta": "write optim.RMSprop or optim.Adam",
    "Adamax": "write optim.Adam or optim.NAdam",
    "RAdam": "write optim.AdamW with a warmup: optim.LinearWarmup",
    "ASGD": "write optim.SGD, and optim.ExponentialMovingAverage(model)",
    "Rprop": "write optim.RMSprop",
    "SparseAdam": "write optim.Adam",
    "Muon": "write optim.SGD(params, lr, momentum=0.95, nesterov=True)",
    "swa_utils": "write optim.ExponentialMovingAverage(model)",
}

SCHEDULES = {                                    # of optim.lr_scheduler
    "MultiplicativeLR": "write LambdaLR with the product so far",
    "ChainedScheduler": "write SequentialLR, or LambdaLR with the product",
}

OPTIMIZER = {                                    # methods of optimizers
    "state": "write optimizer.states: a dictionary for each parameter",
    "add_param_group": "make the optimizer again, with all groups",
    "register_step_post_hook": "call the function after optimizer.step()",
    "register_step_pre_hook": "call the function before optimizer.step()",
}

TOP = {                                          # of torch
    "half": HALF,
    "float16": HALF,
    "bfloat16": HALF,
    "complex64": "complex numbers are not supported",
    "from_dlpack": "write torch.from_numpy(numpy.from_dlpack(x))",
    "mm": "write a @ b",
    "bmm": "write a @ b",
    "dot": "write a @ b",
    "mv": "write a @ b",
    "outer": "write a[:, None] * b",
    "einsum": "write the product with @, permute and sum",
    "tensordot": "write the product with @, permute and reshape",
    "addmm": "write x + a @ b",
    "cumsum": "write torch.from_numpy(numpy.cumsum(x.numpy(), axis)); it has no gradient",
    "cumprod": "write torch.from_numpy(numpy.cumprod(x.numpy(), axis)); it has no gradient",
    "prod": "write numpy.prod(x.numpy(), axis), or x.log().sum().exp()",
    "floor": "write numpy.floor(x.numpy()); its gradient is 0",
    "ceil": "write numpy.ceil(x.numpy()); its gradient is 0",
    "round": "write numpy.round(x.numpy()); its gradient is 0",
    "sign": "write numpy.sign(x.numpy()); its gradient is 0",
    "isnan": "write x != x",
    "isfinite": "write x.abs() < float('inf')",
    "flip": "write x[:, ::-1], with the step -1 where the axis is",
    "roll": "write torch.cat([x[-n:], x[:-n]])",
    "unique": "write numpy.unique(x.numpy())",
    "nonzero": "write numpy.nonzero(x.numpy())",
    "bincount": "write numpy.bincount(x.numpy())",
    "histc": "write numpy.histogram(x.numpy(), bins)",
    "meshgrid": "write numpy.meshgrid(..., indexing='ij')",
    "tril": "write numpy.tril(x.numpy())",
    "triu": "write numpy.triu(x.numpy())",
    "diag": "write numpy.diag(x.numpy())",
    "multinomial": "write numpy.random.default_rng(seed).choice(len(p), n, p=p.numpy())",
    "bernoulli": "write torch.rand(p.shape) < p",
    "square": "write x * x",
    "rsqrt": "write 1 / x.sqrt()",
    "erf": "there is none; F.gelu uses it",
    "lerp": "write a + (b - a) * weight",
    "linalg": "write numpy.linalg, on x.numpy()",
    "fft": "write numpy.fft, on x.numpy()",
    "jit": COMPILE,
    "compile": COMPILE,
    "amp": "write minidl.autocast and minidl.optim.GradScaler, on a GPU",
    "autocast": "write minidl.autocast, on a GPU",
    "distributed": RANKS,
    "multiprocessing": RANKS,
    "backends": "the same seed gives the same bits here; leave it out",
    "use_deterministic_algorithms": "the same seed gives the same bits here; leave it out",
    "set_num_threads": "set NUMBA_NUM_THREADS before Python starts",
    "get_num_threads": "write os.environ.get('NUMBA_NUM_THREADS')",
    "set_grad_enabled": "write `with torch.no_grad():` where nothing is to be recorded",
    "enable_grad": "close the `with torch.no_grad():` block before",
    "hub": "write minidl.io.pretrained, or minidl.io.load_weights(path)",
    "onnx": "write minidl.io.export_onnx(model, path)",
    "profiler": "write `with minidl.profile() as p:`",
    "set_default_dtype": "write dtype= where a tensor is made",
    "vmap": "write the function for a batch",
    "func": "there are no function transforms",
    "sparse": "tensors are dense",
    "quantization": "weights are float32 or float64",
}

DATA = {                                         # of utils.data
    "IterableDataset": "write a Dataset with __len__ and __getitem__",
    "ConcatDataset": "write a Dataset whose __getitem__ looks into one or the other",
    "ChainDataset": "write a Dataset with __len__ and __getitem__",
    "WeightedRandomSampler": "write minidl.data.DataLoader(dataset, balanced=True)",
    "SubsetRandomSampler": "write DataLoader(Subset(dataset, indices), shuffle=True)",
    "RandomSampler": "write DataLoader(dataset, shuffle=True)",
    "SequentialSampler": "write DataLoader(dataset)",
    "BatchSampler": "write DataLoader(dataset, batch_size)",
    "Sampler": "write DataLoader(dataset, shuffle=True)",
    "distributed": RANKS,
    "get_worker_info": "batches are made by one thread; leave it out",
}

SETTINGS = {                                     # of any function
    "unbiased": "write correction=0 for unbiased=False",
    "ddof": "write correction",
    "dtype": "convert the tensor first, with .to(dtype)",
    "out": "use the value that is returned",
    "size_average": "write reduction='mean' or 'sum'",
    "reduce": "write reduction='none'",
    "input": "give tensors without a name, in their order",
    "other": "give tensors without a name, in their order",
    "target": "give tensors without a name, in their order",
    "tensors": "give tensors without a name, in their order",
    "antialias": "smooth the images first; antialias is not supported",
}


class Missing:
    """Stands for a name that a class lacks: asking for it raises AttributeError, and `hasattr` says no.

    A `__getattr__` of the class would do the same, and slow down the attributes that are there.
    """

    def __init__(self, name: str, remedy: str):
        self.name, self.remedy = name, remedy

    def __get__(self, thing: Any, owner: type) -> NoReturn:
        raise no_such(owner.__name__, self.name, {self.name: self.remedy}, thing)


def answer(owner: type, table: dict[str, str]) -> None:
    """Let a class answer the names in a table. A subclass and an object may have attributes of these names."""
    for name, remedy in table.items():
        setattr(owner, name, Missing(name, remedy))


class ListOfTensors(list[Any]):
    """A list where PyTorch has an iterator, such as the parameters of a module: `next` says what to write."""

    def __next__(self) -> NoReturn:
        raise TypeError("next: this is a list, not an iterator; write model.parameters()[0] for the first, "
                        "or next(iter(...))")


ListOfTensors.__name__ = "list"                  # what messages about a wrong type say


def no_such(owner: str, name: str, table: dict[str, str], thing: Any = None) -> AttributeError:
    """The error for an attribute that is not there, with what to write instead if the table knows the name."""
    remedy = f"; {table[name]}" if name in table else ""
    return AttributeError(f"{owner} has no {name}{remedy}", name=name, obj=thing)


def setting_instead(message: str) -> str:
    """What to write in place of a setting of PyTorch's that a TypeError's message is about; "" if it is none."""
    found = re.search(r"unexpected keyword argument '(\w+)'", message)
    return f"; {SETTINGS[found[1]]}" if found and found[1] in SETTINGS else ""
