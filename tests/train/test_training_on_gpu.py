"""Training on a GPU, for which strict_array stands in: what waits for it, what is noticed late, on which one it is."""

import math

import emulator
import numpy as np
import pytest
import toy_run

import minidl
import minidl.functional as F
from minidl import Device, NonFiniteError, Tensor, augment, nn, optim
from minidl.data import DataLoader, ImageDataset, SegmentationDataset
from minidl.data.resident import Resident, kept_on
from minidl.data.upload import uploaded
from minidl.evaluation import evaluate
from minidl.io import CheckpointError
from minidl.train import Callback

needs_emulator = pytest.mark.skipif(emulator.missing() is not None, reason=emulator.missing() or "")


class Watch(Callback):
    """Notes what was read back in each step."""

    def __init__(self, gpu):
        self.gpu, self.steps = gpu, []

    def epoch_started(self, run):
        self.gpu.read_backs.clear()

    def step_finished(self, run):
        self.steps.append(list(self.gpu.read_backs))
        self.gpu.read_backs.clear()


@pytest.mark.parametrize("settings", [
    {}, {"accumulate": 2, "clip_norm": 1.0}, {"ema_decay": 0.9, "label_smoothing": 0.1, "class_weights": [1.0] * 10},
], ids=str)
def test_no_step_reads_anything_back(gpu, tmp_path, settings):
    watch = Watch(gpu)
    toy_run.train(tmp_path / "run", device="gpu", epochs=1, callbacks=[watch], validation_set=None, **settings)
    assert watch.steps == [[]] * 7


def test_the_log_is_that_of_the_cpu(gpu, tmp_path):
    rows = []
    for device in ("cpu", "gpu"):
        model = Columns()
        model.dropout.p = 0.0                    # its random numbers are others
        rows.append(toy_run.fit(model, optim.SGD(model.parameters(), 0.1), toy_run.TRAIN_SET, toy_run.VALIDATION_SET,
                                output_dir=tmp_path / device, epochs=2, batch_size=16, device=device, log_interval=0))
    for cpu, other in zip(*rows, strict=True):
        for name in ("train_loss", "validation_loss"):
            assert math.isclose(cpu[name], other[name], rel_tol=1e-4)
        assert cpu["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=0.03)


def test_evaluation_reads_once(gpu, monkeypatch):
    """The losses of all batches together, and then their logits; or whenever these fill the memory they may take."""
    model = toy_run.net().to("gpu")
    batches = [toy_run.TRAIN_SET.batch(range(i, i + 20)) for i in range(0, 100, 20)]
    read = {}
    for waiting in (1 << 26, 2 * 20 * 10 * 4):
        monkeypatch.setattr("minidl.evaluation.evaluation.WAITING", waiting)
        order = []

        def loss(logits, labels, order=order):
            order.append(len(gpu.read_backs))
            return F.cross_entropy(logits, labels)
        gpu.read_backs.clear()
        read[waiting] = evaluate(model, batches, 10, "gpu", loss)
        assert order == ([0] * 5 if waiting == 1 << 26 else [0, 0, order[2], order[2], order[4]])
    one, other = read.values()
    assert one.summary() == other.summary()
    assert one.summary() == pytest.approx(evaluate(model.to("cpu"), batches, 10).summary(), rel=1e-4)


def test_a_callback_that_asks_for_the_loss_gets_that_of_the_step(gpu, tmp_path):
    losses, positions = [], []

    class Ask(Callback):
        def step_finished(self, run):
            losses.append(run.loss)
            positions.append((run.position.step, run.position.train_loss))

    toy_run.train(tmp_path / "run", device="gpu", epochs=1, callbacks=[Ask()], validation_set=None)
    assert [step for step, _ in positions] == list(range(1, 8))
    assert positions[2][1] == pytest.approx(sum(losses[:3]) / 3)


def test_a_loss_that_is_not_finite_is_noticed_late_and_its_step_is_known(gpu, tmp_path):
    calls = iter(range(100))

    def loss(logits, labels):
        value = F.cross_entropy(logits, labels)
        return value * math.nan if next(calls) == 9 else value

    with pytest.raises(NonFiniteError, match=r"^epoch 2, step 3: the loss, or the norm of the gradient, is not finite"):
        toy_run.train(tmp_path / "run", device="gpu", loss=loss, validation_set=None)


def test_a_wrong_target_is_told_where_the_loss_is_read(gpu):
    loss = F.cross_entropy(Tensor(np.zeros((2, 3), np.float32), device="gpu"), Tensor(np.array([0, 7]), device="gpu"))
    assert gpu.read_backs == []
    with pytest.raises(ValueError, match=r"^cross_entropy: the target holds 7; classes are numbered 0 to 2 and"):
        loss.item()
    assert math.isfinite(F.cross_entropy(Tensor(np.zeros((2, 3), np.float32), device="gpu"),
                                         Tensor(np.array([0, 2]), device="gpu")).item())


@pytest.mark.parametrize(("loss", "message"), [
    (lambda x, t: F.nll_loss(x, t), "nll_loss: the target holds 7"),
    (lambda x, t: F.dice_loss(x, t), "dice_loss: the target holds 7"),
    (lambda x, t: F.focal_loss(x, t), "focal_loss: the target holds 7"),
    (lambda x, t: F.binary_cross_entropy_with_logits(x[:, 0], t), "binary_cross_entropy_with_logits: targets must be"),
])  # fmt: skip
def test_no_loss_waits_for_its_targets(gpu, loss, message):
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True, device="gpu")
    with gpu.Device(0):
        value = loss(x, Tensor(np.array([0, 7]), device="gpu"))
        value.backward()
    assert gpu.read_backs == []
    with pytest.raises(ValueError, match=message):
        value.item()


def test_a_run_on_the_second_gpu_allocates_nothing_on_the_first(gpu, tmp_path):
    gpu.runtime.devices = 2
    toy_run.train(tmp_path / "run", device="gpu:1", epochs=1, ema_decay=0.9, clip_norm=1.0)
    assert gpu.allocations[1] > 1000
    assert gpu.allocations.get(0, 0) == 0


def test_operations_run_where_their_inputs_are(gpu):
    gpu.runtime.devices = 2
    model = toy_run.net().to("gpu:1")
    x = Tensor(np.zeros((4, 1, 28, 28), np.float32), device="gpu:1")
    optimizer = toy_run.SGD(model.named_parameters(), 0.1, momentum=0.9)
    F.cross_entropy(model(x), Tensor(np.arange(4), device="gpu:1")).backward()
    optimizer.step()
    probabilities = Tensor(np.full((4, 10), 0.1, np.float32), device="gpu:1")
    for loss in (F.cross_entropy, F.dice_loss, F.focal_loss):
        loss(model(x), probabilities if loss is F.cross_entropy else Tensor(np.arange(4), device="gpu:1")).backward()
    assert gpu.allocations.get(0, 0) == 0
    moved = (x * 2).to("gpu:0") * 3
    assert str(moved.device) == "gpu:0"


def test_gradients_come_back_from_another_gpu(gpu):
    gpu.runtime.devices = 2
    x = Tensor(np.ones(3, np.float32), requires_grad=True, device="gpu:1")
    ((x.to("gpu:0") * 2 + x.to("gpu:0")).sum()).backward()
    assert str(Tensor(x.grad).device) == "gpu:1"
    assert Tensor(x.grad).numpy().tolist() == [3, 3, 3]


def test_a_wrong_label_of_a_data_set_ends_the_run_with_its_number(gpu, tmp_path):
    class Wrong(ImageDataset):
        def batch(self, indices, epoch=None):
            images, labels = super().batch(indices)
            return images, labels + 10 * (epoch is not None)

    images = np.zeros((40, 1, 28, 28), np.uint8)
    dataset = Wrong(images, np.zeros(40, np.int64), map(str, range(10)))
    model = toy_run.net()
    with pytest.raises(ValueError, match="cross_entropy: the target holds 10; classes are numbered 0 to 9"):
        toy_run.fit(model, toy_run.SGD(model.parameters(), 0.1), dataset, output_dir=tmp_path / "run", epochs=1,
                    device="gpu", batch_size=8, log_interval=0)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("transform", [
    None, augment.Compose([augment.RandomCrop(28, 2), augment.RandomHorizontalFlip()]),
])  # fmt: skip
def test_the_bits_of_batches_are_those_of_the_cpu(gpu, transform, resident):
    dataset = toy_run.DIGITS.augmented(transform).subset(range(70, 170))
    loader = DataLoader(dataset, 16, shuffle=True, seed=3)
    if resident:
        batches = DataLoader(Resident(dataset, Device("gpu")), 16, shuffle=True, seed=3, prefetch=0)
    else:
        batches = uploaded(DataLoader(dataset, 16, shuffle=True, seed=3), Device("gpu"))
    count = 0
    for (images, labels), (there, classes) in zip(loader, batches, strict=True):
        np.testing.assert_array_equal(there.get(), images)
        np.testing.assert_array_equal(classes.get(), labels)
        count += 1
    assert count == 7


def test_masks_are_made_on_the_gpu_too(gpu):
    masks = np.random.default_rng(0).integers(0, 2, (6, 8, 8)).astype(np.uint8)
    masks[0, 0] = 255
    images = np.random.default_rng(1).integers(0, 256, (6, 3, 8, 8), np.uint8)
    dataset = SegmentationDataset(images, masks, "ab").augmented(augment.RandomVerticalFlip())
    for ours, theirs in zip(Resident(dataset, Device("gpu")).batch([0, 3], 1, 2), dataset.batch([0, 3], 1, 2),
                            strict=True):
        np.testing.assert_array_equal(ours.get(), theirs)


def test_images_stay_on_the_cpu_where_they_have_to(gpu):
    device, digits = Device("gpu"), toy_run.TRAIN_SET
    assert isinstance(kept_on(digits, device, None), Resident)
    assert kept_on(digits, Device("cpu"), None) is digits
    assert kept_on(digits, device, False) is digits
    gpu.runtime.memory_free = 4 * 100 * 28 * 28
    assert kept_on(digits, device, None) is digits
    assert isinstance(kept_on(digits, device, True), Resident)
    gpu.runtime.memory_free = 2**30
    mirrored = digits.augmented(augment.Compose([augment.RandomRotation(5), Mirror()]))
    assert kept_on(mirrored, device, None) is mirrored
    with pytest.raises(ValueError, match=r"cannot be kept on gpu:0: Compose\(\[ RandomRotation.* works on the CPU"):
        kept_on(mirrored, device, True)


class Mirror(augment.Transform):
    """A transform of a user, in NumPy."""

    def apply(self, images):
        return np.ascontiguousarray(images[..., ::-1])


@pytest.mark.parametrize(("transform", "mix"), [
    (augment.RandAugment(), None), (None, augment.MixUp()), (Mirror(), [augment.MixUp(), augment.CutMix()]),
], ids=repr)
def test_whole_pipelines_run_on_the_gpu_or_say_once_why_not(gpu, tmp_path, capsys, transform, mix):
    settings = {"device": "gpu", "epochs": 1, "validation_set": None, "mix": mix, "log_interval": 0}
    train_set = toy_run.TRAIN_SET.augmented(transform)
    rows = toy_run.train(tmp_path / "run", train_set=train_set, **settings)
    said = capsys.readouterr().out.count("the images are not kept on gpu:0, and batches are made on the CPU: Mirror() ")
    assert said == (type(transform) is Mirror)
    if said:
        return
    other = toy_run.train(tmp_path / "other", train_set=train_set, resident=False, **settings)
    assert rows[-1]["train_loss"] == pytest.approx(other[-1]["train_loss"], rel=1e-3)


@pytest.mark.parametrize("resident", [True, False])
def test_where_the_images_are_changes_no_bit_of_the_result(gpu, tmp_path, resident):
    rows = toy_run.train(tmp_path / "run", device="gpu", epochs=1, validation_set=None, resident=resident)
    assert rows[0]["train_loss"] == toy_run.train(tmp_path / "other", device="gpu", epochs=1, validation_set=None,
                                                  prefetch=0)[0]["train_loss"]


def test_float16_trains_as_well_and_resumes(gpu, tmp_path):
    settings = {"device": "gpu", "validation_set": None, "clip_norm": 9, "epochs": 1}
    watch = Watch(gpu)
    rows = toy_run.train(tmp_path / "whole", amp="float16", callbacks=[watch], **settings)
    assert watch.steps == [[]] * 7
    full = toy_run.train(tmp_path / "float32", **settings)
    assert rows[-1]["train_loss"] == pytest.approx(full[-1]["train_loss"], rel=0.15)     # float16 overflows at first

    class Stop(Callback):
        def step_finished(self, run):
            if run.steps == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_run.train(tmp_path / "part", amp="float16", callbacks=[Stop()], checkpoint_interval=0, **settings)
    resumed = toy_run.train(tmp_path / "part", amp="float16", resume=True, **settings)
    assert [row["train_loss"] for row in resumed] == [row["train_loss"] for row in rows]
    with pytest.raises(CheckpointError, match="amp"):
        toy_run.train(tmp_path / "part", resume=True, **settings)


def test_bfloat16_needs_no_scale(gpu, tmp_path):
    pytest.importorskip("ml_dtypes")
    row, = toy_run.train(tmp_path / "run", device="gpu", validation_set=None, epochs=1, amp="bfloat16")
    assert row["train_loss"] == pytest.approx(2.36, abs=0.2)


def test_half_precision_on_the_cpu_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^fit: amp='float16' needs a GPU; the CPU computes in float32$"):
        toy_run.train(tmp_path, amp="float16")


class Columns(nn.Module):
    """A classifier without products, which are not part of every capture."""

    def __init__(self):
        self.scale = nn.Parameter(np.linspace(-1, 1, 10, dtype=np.float32).reshape(1, 10, 1, 1))
        self.norm, self.dropout = nn.BatchNorm2d(10), nn.Dropout(0.2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(x * self.scale)), 4)
        return F.mean(self.dropout(x), (2, 3))


@needs_emulator
@pytest.mark.parametrize("settings", [
    {"clip_norm": 0.5, "ema_decay": 0.9}, {"amp": "float16", "accumulate": 2}, {"freeze": {"norm": 1}},
], ids=str)
def test_a_graph_trains_with_the_bits_of_eager_steps(gpu, tmp_path, capsys, settings):
    results = []
    for graph in (False, True):
        minidl.manual_seed(1)
        model, watch = Columns(), Watch(gpu)
        optimizer = optim.Adam(model.named_parameters(), 0.01)
        schedule = optim.CosineAnnealingLR(optimizer, 2 * toy_run.STEPS)
        rows = toy_run.fit(model, optimizer, toy_run.TRAIN_SET, output_dir=tmp_path / str(graph), epochs=2,
                           batch_size=16, schedule=schedule, device="gpu", graph=graph, log_interval=0,
                           callbacks=[watch], **settings)
        assert watch.steps == [[]] * 14
        results.append(([{**row, "seconds": 0} for row in rows], model.state_dict()))
    (eager, weights), (captured, others) = results
    assert eager == captured
    for name, array in weights.items():
        np.testing.assert_array_equal(others[name], array, err_msg=name)
    assert "cannot be captured" not in capsys.readouterr().out


@needs_emulator
def test_a_model_with_hooks_takes_eager_steps(gpu, tmp_path, capsys):
    model, calls = Columns(), []
    model.norm.register_forward_hook(lambda *_: calls.append(1))
    toy_run.fit(model, optim.SGD(model.parameters(), 0.1), toy_run.TRAIN_SET, output_dir=tmp_path / "run", epochs=1,
                batch_size=16, device="gpu", graph=True, log_interval=0)
    assert len(calls) >= toy_run.STEPS
    assert "graph: this step is eager, because the model has hooks" in capsys.readouterr().out


@needs_emulator
def test_a_graph_of_convolutions(gpu, tmp_path, capsys):
    rows = [toy_run.train(tmp_path / str(graph), device="gpu", epochs=1, validation_set=None, graph=graph)
            for graph in (False, True)]
    assert rows[0][0]["train_loss"] == rows[1][0]["train_loss"]
    said = capsys.readouterr().out
    assert said.count("graph: ") == said.count("its batch has another shape than the first") == 1
