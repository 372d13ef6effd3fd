"""torchvision, which works beside the torch that it was built for only: its models become estimators."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import metrics

pytestmark = pytest.mark.xla
REASON = "needs torchvision: make test-accelerators"
BATCH = 16


def vision():
    return pytest.importorskip("torchvision", reason=REASON)


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, 2))
    yield
    torch.set_num_threads(before)


def test_its_operations_are_there():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    kept = vision().ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 2]


def images(rows, size, seed):
    """Noise with bright stripes: upright ones in class 0, and lying ones in class 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (rows,), generator=generator)
    stripes = ((torch.arange(size) // 8) % 2).float() * 2 - 1
    upright = stripes.expand(3, size, size)
    noise = torch.randn(rows, 3, size, size, generator=generator)
    return torch.stack([upright, upright.transpose(1, 2)])[labels] + 0.5 * noise, labels


def batches(pair):
    features, labels = pair
    dataset = torchest.inputs.Dataset.from_tensor_slices(({"image": features}, labels))
    return lambda: dataset.batch(BATCH)


class OnTop(nn.Module):
    """One output on a frozen net without its top, as transfer learning has it."""

    def __init__(self, base, width):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(width, 1)

    def forward(self, image):
        return self.output(self.pool(self.base(image)).flatten(1))


def estimator(module, model_dir, lr):
    return torchest.model_to_estimator(
        module,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=lr),
        loss=nn.BCEWithLogitsLoss(),
        metrics={"accuracy": lambda output, labels: metrics.accuracy(labels, output > 0)},
        model_dir=model_dir,
    )


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0, msg=name)


def test_mobilenet_v2_learns_with_its_top_alone(tmp_path):
    torch.manual_seed(1)
    base = vision().models.mobilenet_v2(weights=None).features
    module = OnTop(base, 1280)
    for layer in base.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # statistics of such images, as after long training
    with torch.no_grad():
        module.train()(images(BATCH, 160, seed=7)[0])
    before = copy.deepcopy(module.state_dict())
    model = estimator(module, tmp_path, lr=0.03)
    training, others = images(4 * BATCH, 160, seed=1), images(2 * BATCH, 160, seed=2)
    at_first = model.evaluate(batches(others))
    for _ in range(3):
        model.train(batches(training))
    actual = model.evaluate(batches(others))
    assert actual["loss"] < 0.8 * at_first["loss"]
    assert actual["accuracy"] > 0.75
    after = torchest.load_checkpoint(tmp_path).module("model")
    is_top = {name: name.startswith("output.") for name in before}
    assert sum(is_top.values()) == 2
    for name, value in before.items():
        assert torch.equal(after[name], value) != is_top[name], name
    logits = np.stack([row["output"] for row in model.predict(batches(others))])
    assert logits.shape == (2 * BATCH, 1)
    assert ((logits[:, 0] > 0) == others[1].numpy()).mean() == pytest.approx(actual["accuracy"])
    module.load_state_dict(after)
    with torch.no_grad():
        expected = module.eval()(others[0])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_resnet_18_is_a_bare_loop_bit_for_bit_after_a_restart_too(tmp_path):
    torch.manual_seed(2)
    module = vision().models.resnet18(weights=None, num_classes=1)
    training = images(4 * BATCH, 64, seed=3)
    for _ in range(2):  # the second one restores weights, statistics and slots
        estimator(module, tmp_path, lr=1e-3).train(batches(training))
    by_hand = copy.deepcopy(module).train()
    adam = torch.optim.Adam(by_hand.parameters(), lr=1e-3)
    losses = []
    for at in [*range(0, 4 * BATCH, BATCH)] * 2:
        output = by_hand(training[0][at : at + BATCH])
        labels = training[1][at : at + BATCH]
        loss = nn.functional.binary_cross_entropy_with_logits(output[:, 0], labels.float())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[4:]) < np.mean(losses[:4])
    after = torchest.load_checkpoint(tmp_path).module("model")
    assert_same(after, by_hand.state_dict())
    assert after["bn1.num_batches_tracked"] == 8
    model = estimator(module, tmp_path, lr=1e-3)
    (batch,) = model.predict(lambda: [{"image": training[0][:BATCH]}], yield_single_examples=False)
    with torch.no_grad():
        expected = by_hand.eval()(training[0][:BATCH])
    np.testing.assert_array_equal(batch["output"], expected)


def test_mobilenet_v2_is_exported_and_answers_as_in_python(tmp_path):
    torch.manual_seed(3)
    module = OnTop(vision().models.mobilenet_v2(weights=None).features, 1280)
    model = estimator(module, tmp_path / "model", lr=1e-3).train(batches(images(BATCH, 64, seed=4)))
    others = images(7, 64, seed=5)
    expected = [row["output"] for row in model.predict(batches(others))]
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn({"image": others[0][:2]})
    formats = ("onnx", "torchscript")
    path = model.export_saved_model(tmp_path / "exports", receiver_fn, formats=formats)
    for engine in ("onnx", "torchscript"):
        served = torchest.export.load(path, engine)
        for rows in (7, 1):
            actual = served.signatures["serving_default"](image=others[0][:rows])
            np.testing.assert_allclose(actual["output"], expected[:rows], rtol=1e-4, atol=1e-5)
