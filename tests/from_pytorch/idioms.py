"""PyTorch's commonest idioms, as people write them: each runs with PyTorch and with `minidl.torch`.

An idiom is code that ends in an expression, its value; " | " stands for a new line. WORK are those with equal values;
REFUSED raise, and say what to write. The names in them: torch, nn, F, optim, lr_scheduler, data, init, np, and clip for
torch.nn.utils; and, made anew for each, x and y (3, 4), of which y is positive, images (2, 3, 8, 8), labels (3,),
scores (3, 5), net, a small network, and weights, its parameters.
`python tests/from_pytorch/idioms.py` writes recorded.json: the values, computed with PyTorch.
"""

import ast
import json
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).with_name("recorded.json")

WORK = """
x.view(-1)
x.view(2, 6)
x.view(x.size(0), -1)
x.reshape(4, 3)
x.size()
x.size(1)
x.shape[0]
x.dim()
x.numel()
x.tolist()
x[0, 0].item()
x.argmax(dim=1)
x.argmax(1, keepdim=True)
x.argmin()
x.max()
x.max(1)[1]
x.max(dim=1).values
x.min(0).indices
torch.max(x, 1)
torch.max(x, y)
x.mean(dim=1, keepdim=True)
x.mean((0, 1))
x.sum(dim=(0, 1))
x.std()
x.std(dim=0)
x.var(0)
x.var(dim=1, correction=0)
x.norm()
x.norm(dim=1)
x.norm(p=1)
torch.norm(x, dim=0)
x.clone() * 2
x.contiguous().view(-1)
x.cpu().numpy()
x.detach().cpu().numpy()
x.double().sum()
x.float().mean()
labels.long()
(x > 0).float()
(x > 0).int().sum()
(x > 0) & (y > 1)
~(x > 0)
(x > 0).any()
(x > 0).all()
x.masked_fill(x > 0, 0.0)
x[x > 0]
x[:, None].expand(-1, 2, -1)
x.repeat(2, 1)
x.chunk(2, dim=1)
torch.chunk(x, 2, 1)[1]
x.split(2)
torch.split(x, [1, 3], dim=1)
x.permute(1, 0)
x.transpose(0, 1)
x.unsqueeze(0).squeeze(0)
x.unsqueeze(dim=1)
x.flatten(0)
torch.flatten(images, 1)
x.clamp(0, 1)
x.clamp(min=0)
torch.clamp(x, -1, 1)
x.gather(1, labels.view(-1, 1))
x.topk(2, dim=1)
x.sort(dim=1, descending=True)
torch.cat([x, y], dim=1)
torch.stack((x, y), dim=0)
torch.where(x > 0, x, y)
torch.zeros(2, 3)
torch.ones((2, 3))
torch.full((2, 2), 7.0)
torch.arange(5)
torch.arange(0, 1, 0.25)
torch.linspace(0, 1, 5)
torch.eye(3)
torch.zeros_like(x)
torch.tensor([1, 2, 3])
torch.tensor([1.0, 2.0]).dtype == torch.float32
torch.tensor(3.5) * x
torch.from_numpy(np.ones(3))
torch.randn(2, 3).shape
torch.rand(4).min() >= 0
torch.randperm(5).sort().values
torch.randint(0, 10, (3,)).shape
torch.allclose(x, x + 1e-9)
torch.device("cuda" if torch.cuda.is_available() else "cpu").type
x.to(torch.device("cpu"))
x.to(torch.float64).dtype == torch.float64
x @ y.T
torch.matmul(x, y.transpose(0, 1))
torch.exp(x) + torch.sqrt(y)
torch.sigmoid(x)
torch.softmax(x, dim=1)
F.softmax(x, dim=-1)
F.log_softmax(x, dim=1)
F.relu(x, inplace=True)
F.leaky_relu(x, 0.2)
F.max_pool2d(images, 2)
F.avg_pool2d(images, 2, 2)
F.adaptive_avg_pool2d(images, 1).view(2, -1)
F.interpolate(images, scale_factor=2, mode="nearest")
F.pad(images, (1, 1, 1, 1))
F.cross_entropy(scores, labels)
F.cross_entropy(scores, labels, weight=torch.ones(5))
F.one_hot(labels, 5)
F.normalize(x, dim=1)
F.dropout(x, 0.5, False)
F.mse_loss(x, y)
nn.CrossEntropyLoss(label_smoothing=0.1)(scores, labels)
nn.MSELoss()(x, y)
nn.BCEWithLogitsLoss()(x, (y > 1).float())
nn.NLLLoss()(F.log_softmax(scores, 1), labels)
nn.L1Loss(reduction="sum")(x, y)
nn.ReLU(inplace=True)(x)
nn.Sequential(nn.Flatten(), nn.Identity())(images)
nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])[1].in_features
len(list(net.children()))
[type(m).__name__ for m in net.modules()]
[n for n, p in net.named_parameters()]
sum(p.numel() for p in net.parameters() if p.requires_grad)
net.apply(lambda m: init.constant_(m.weight, 0.1) if isinstance(m, nn.Linear) else None)(x)
net.train(); net.eval(); net.training
net.to("cpu")(x)
net.state_dict()["0.weight"].shape
(net(x).argmax(1) == labels).float().mean().item()
net(x).argmax(dim=1).eq(labels).sum().item()
loss = net(x).sum(); loss.backward(); net[0].weight.grad.shape
opt = optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=1e-4); net(x).sum().backward(); opt.step(); net(x)
opt = optim.AdamW(weights, lr=1e-2); opt.zero_grad(set_to_none=True); net(x).sum().backward(); opt.step(); net(x)
opt = optim.SGD(weights, 0.1); s = lr_scheduler.CosineAnnealingLR(opt, T_max=10); opt.step(); s.step(); s.get_last_lr()
opt = optim.SGD(weights, 0.1); s = lr_scheduler.StepLR(opt, 1, 0.5); opt.step(); s.step(); opt.param_groups[0]["lr"]
opt = optim.SGD([{"params": net[0].parameters(), "lr": 0.5}, {"params": weights[2:]}], 0.1); opt.param_groups[0]["lr"]
net(x).sum().backward(); clip.clip_grad_norm_(net.parameters(), 0.5)
init.zeros_(net[0].bias); net[0].bias
with torch.no_grad(): z = net(x) | z.requires_grad
p = nn.Parameter(torch.ones(2)); p.requires_grad
torch.no_grad()(lambda: net(x).requires_grad)()
h = net[0].register_forward_hook(lambda m, i, o: o * 0); z = net(x); h.remove(); z
next(iter(data.DataLoader(data.TensorDataset(x, labels), batch_size=2)))
len(data.DataLoader(data.TensorDataset(x, labels), batch_size=2, drop_last=True))
[len(p) for p in data.random_split(data.TensorDataset(x, labels), [2, 1])]
""".strip().splitlines()
REFUSED = {                                      # the idiom, and words of what its error says
    "x.view_as(y)": "write x.reshape(y.shape)",
    "x.half()": "half precision",
    "x.cumsum(0)": "numpy.cumsum",
    "torch.einsum('ij,kj->ik', x, y)": "with @",
    "x.var(unbiased=False)": "correction=0",
    "x.add_(y) if x.requires_grad_() is x else x": "no_grad",
    "torch.compile(net)": "leave it out",
    "torch.cuda.amp.GradScaler()": "GradScaler",
    "nn.LSTM(3, 4)": "recurrent",
    "nn.Conv1d(3, 4, 3)": "images of height 1",
    "nn.Embedding(10, 3)": "Parameter",
    "optim.LBFGS(weights)": "optim.Adam",
    "F.grid_sample(images, None)": "F.interpolate",
    "data.DataLoader(data.TensorDataset(x), sampler=[0])": "Subset",
    "opt = optim.SGD(weights, 0.1); opt.add_param_group({'params': weights})": "again, with all groups",
    "torch.set_grad_enabled(False)": "no_grad",
    "net.register_full_backward_hook(print)": "retain_grad",
    "torch.save(net, 'net.pt')": "state_dict()",
    "next(net.parameters()).dtype": "write model.parameters()",
}


def namespace(torch):
    """The names of an idiom; `torch` is PyTorch or minidl.torch."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    draws = {name: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
             for name, shape in (("x", (3, 4)), ("y", (3, 4)), ("images", (2, 3, 8, 8)), ("scores", (3, 5)))}
    nn = torch.nn
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5))
    net.load_state_dict({name: torch.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
                         for name, p in net.named_parameters()})
    draws["y"] = draws["y"].abs() + 0.5
    return {**draws, "torch": torch, "nn": nn, "F": nn.functional, "optim": torch.optim, "data": torch.utils.data,
            "lr_scheduler": torch.optim.lr_scheduler, "init": nn.init, "clip": nn.utils, "np": np, "net": net,
            "weights": list(net.parameters()), "labels": torch.from_numpy(np.array([2, 0, 3]))}


def value_of(idiom, torch):
    """The value of an idiom's last statement, as lists and numbers."""
    names = namespace(torch)
    *before, last = ast.parse(idiom.replace(" | ", "\n")).body
    exec(compile(ast.Module(before, []), "idiom", "exec"), names)
    return plain(eval(compile(ast.Expression(last.value), "idiom", "eval"), names))


def plain(value):
    """Tensors and arrays as {"dtype", "shape", "values"}; everything else as JSON has it."""
    if hasattr(value, "detach") or hasattr(value, "dtype"):
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
        values = [float(f"{v:.7g}") for v in array.ravel()]
        return {"dtype": str(array.dtype), "shape": list(array.shape), "values": values}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


if __name__ == "__main__":
    import torch

    recorded = {idiom: value_of(idiom, torch) for idiom in WORK}
    lines = ",\n".join(f"{json.dumps(idiom)}: {json.dumps(value)}" for idiom, value in recorded.items())
    RECORDED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
