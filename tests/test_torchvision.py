"""torchvision, which works beside the torch that it was built for only: its models become estimators."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from module_from import module_from
from torch import nn

import torchest

pytestmark = pytest.mark.xla
REASON = "needs torchvision: make test-accelerators"


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


EXAMPLE = Path(__file__).parent.parent / "examples" / "guide" / "existing_module.py"
guide = module_from(EXAMPLE)


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0, msg=name)


def test_mobilenet_v2_learns_with_its_top_alone(tmp_path):
    vision()
    torch.manual_seed(1)
    module = guide.make_mobilenet()
    before = copy.deepcopy(module.state_dict())
    actual = guide.run(module, str(tmp_path), steps=12, size=160)
    assert actual["after"]["loss"] < 0.8 * actual["before"]["loss"]
    assert actual["after"]["accuracy"] > 0.75
    after = torchest.load_checkpoint(tmp_path).module("model")
    is_top = {name: name.startswith("output.") for name in before}
    assert sum(is_top.values()) == 2
    for name, value in before.items():
        assert torch.equal(after[name], value) != is_top[name], name
    assert actual["estimator"].shape == (32,)
    np.testing.assert_allclose(actual["estimator"], actual["module"], rtol=1e-4, atol=1e-5)


def test_mobilenet_v2_starts_from_a_file_of_weights(tmp_path):
    whole = vision().models.mobilenet_v2(weights=None)
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    module = guide.make_mobilenet(str(tmp_path / "weights.pt"))
    assert_same(module.base.state_dict(), whole.features.state_dict())


def test_resnet_18_is_a_bare_loop_bit_for_bit_after_a_restart_too(tmp_path):
    torch.manual_seed(2)
    module = vision().models.resnet18(weights=None, num_classes=1)
    training = guide.make_images(4 * guide.BATCH, 64, seed=3)
    for _ in range(2):  # the second one restores weights, statistics and slots
        guide.make_model(module, tmp_path, lr=1e-3).train(guide.input_fn(training))
    by_hand = copy.deepcopy(module).train()
    adam = torch.optim.Adam(by_hand.parameters(), lr=1e-3)
    losses = []
    for at in [*range(0, 4 * guide.BATCH, guide.BATCH)] * 2:
        output = by_hand(training[0][at : at + guide.BATCH])
        labels = training[1][at : at + guide.BATCH]
        loss = nn.functional.binary_cross_entropy_with_logits(output[:, 0], labels.float())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[4:]) < np.mean(losses[:4])
    after = torchest.load_checkpoint(tmp_path).module("model")
    assert_same(after, by_hand.state_dict())
    assert after["bn1.num_batches_tracked"] == 8
    model = guide.make_model(module, tmp_path, lr=1e-3)
    (batch,) = model.predict(
        lambda: [{"image": training[0][: guide.BATCH]}], yield_single_examples=False
    )
    with torch.no_grad():
        expected = by_hand.eval()(training[0][: guide.BATCH])
    np.testing.assert_array_equal(batch["output"], expected)


def test_mobilenet_v2_is_exported_and_answers_as_in_python(tmp_path):
    vision()
    torch.manual_seed(3)
    module = guide.make_mobilenet(size=64)
    training = guide.make_images(guide.BATCH, 64, seed=4)
    model = guide.make_model(module, tmp_path / "model", lr=1e-3).train(guide.input_fn(training))
    others = guide.make_images(7, 64, seed=5)
    expected = [row["output"] for row in model.predict(guide.input_fn(others))]
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn({"image": others[0][:2]})
    formats = ("onnx", "torchscript")
    path = model.export_saved_model(tmp_path / "exports", receiver_fn, formats=formats)
    for engine in ("onnx", "torchscript"):
        served = torchest.export.load(path, engine)
        for rows in (7, 1):
            actual = served.signatures["serving_default"](image=others[0][:rows])
            np.testing.assert_allclose(actual["output"], expected[:rows], rtol=1e-4, atol=1e-5)
