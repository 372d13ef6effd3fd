"""Any module as an estimator."""

from __future__ import annotations

import collections
import copy
import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import metrics

TORCH = torch.Generator().manual_seed(5)
X = torch.randn(64, 4, generator=TORCH)
Y = (X.sum(1) > 0).long()


def batches(size=16):
    return lambda: [(X[at : at + size], Y[at : at + size]) for at in range(0, len(X), size)]


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def estimator(module, **changes):
    given = {"optimizer": "Adam", "loss": nn.BCEWithLogitsLoss(), **changes}
    return torchest.model_to_estimator(module, **given)


def trained_by_hand(module, optimizer, steps):
    module.train()
    given = batches()() * steps
    for features, labels in given[:steps]:
        optimizer.zero_grad()
        loss = nn.BCEWithLogitsLoss()(module(features), labels.unsqueeze(1).float())
        loss.backward()
        optimizer.step()
    return module.state_dict()


def saved(model):
    checkpoint = torchest.checkpoint.directory.Checkpoint(model.latest_checkpoint())
    return {name.removeprefix("model."): value for name, value in checkpoint.model().items()}


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=0, msg=name)


class TestTraining:
    def test_is_a_bare_loop_bit_for_bit(self):
        module = net()
        by_hand = copy.deepcopy(module)
        expected = trained_by_hand(
            by_hand, torch.optim.Adam(by_hand.parameters(), lr=0.01), steps=4
        )
        model = estimator(module, optimizer=lambda p: torch.optim.Adam(p, lr=0.01))
        assert_same(saved(model.train(batches())), expected)

    def test_leaves_the_module_alone(self):
        module = net()
        before = copy.deepcopy(module.state_dict())
        estimator(module).train(batches())
        assert_same(module.state_dict(), before)

    def test_starts_from_the_weights_at_the_time_of_the_call(self):
        module = net()
        model = estimator(module)
        with torch.no_grad():
            expected = module.eval()(X).numpy()
            module[0].weight.zero_()
        (batch,) = model.predict(lambda: [X], yield_single_examples=False)
        np.testing.assert_array_equal(batch["output"], expected)

    def test_an_optimizer_of_the_module_goes_on_with_its_slots(self):
        module = net()
        optimizer = torch.optim.SGD(
            [
                {"params": module[0].parameters(), "lr": 0.1},
                {"params": module[3].parameters(), "lr": 0.2, "momentum": 0.9},
            ]
        )
        trained_by_hand(module, optimizer, steps=2)
        model = estimator(module, optimizer=optimizer)
        expected = trained_by_hand(module, optimizer, steps=4)
        assert_same(saved(model.train(batches())), expected)

    def test_a_schedule(self):
        module = net()
        by_hand = copy.deepcopy(module)
        other = torch.optim.SGD(by_hand.parameters(), lr=0.5)
        schedule = torch.optim.lr_scheduler.StepLR(other, 1, gamma=0.5)
        other.register_step_post_hook(lambda *_: schedule.step())
        expected = trained_by_hand(by_hand, other, steps=4)
        model = estimator(
            module,
            optimizer=lambda parameters: torch.optim.lr_scheduler.StepLR(
                torch.optim.SGD(parameters, lr=0.5), 1, gamma=0.5
            ),
        )
        assert_same(saved(model.train(batches())), expected)

    def test_frozen_parameters_and_their_statistics_do_not_move(self):
        module = net()
        module[:2].requires_grad_(False)
        before = copy.deepcopy(module.state_dict())
        after = saved(estimator(module).train(batches()))
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved == {"3.weight", "3.bias"}

    def test_statistics_of_a_layer_that_learns_are_saved(self):
        module = net()
        model = estimator(module).train(batches())
        after = saved(model)
        assert after["1.num_batches_tracked"] == 4
        module.load_state_dict(after)
        with torch.no_grad():
            expected = module.eval()(X).numpy()
        (batch,) = model.predict(lambda: [X], yield_single_examples=False)
        np.testing.assert_array_equal(batch["output"], expected)


class TestMetrics:
    def test_functions_and_metrics_of_torchmetrics(self):
        torchmetrics = pytest.importorskip("torchmetrics")
        module = net()
        model = estimator(
            module,
            metrics={
                "accuracy": lambda output, labels: metrics.accuracy(labels, output > 0),
                "squared": torchmetrics.MeanSquaredError(),
            },
        )
        actual = model.evaluate(batches(7))
        with torch.no_grad():
            output = module.eval()(X)
        expected = ((output[:, 0] > 0) == Y.bool()).float().mean().item()
        assert actual["accuracy"] == pytest.approx(expected, abs=1e-6)
        squared = (output[:, 0] - Y).square().mean().item()
        assert actual["squared"] == pytest.approx(squared, rel=1e-5)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, left, right=None):
        return {"both": self.layer(left if right is None else left + right), "note": "text"}


class TestArguments:
    def model(self, module):
        return estimator(
            module, loss=lambda output, labels: nn.functional.cross_entropy(output["both"], labels)
        )

    def predict(self, module, features):
        (batch,) = self.model(module).predict(lambda: [features], yield_single_examples=False)
        return batch

    def test_features_are_arguments_by_name(self):
        module = Pair()
        actual = self.predict(module, {"right": X, "left": 2 * X})
        assert list(actual) == ["both"]
        np.testing.assert_allclose(actual["both"], module.layer(3 * X).detach(), rtol=1e-5)

    @pytest.mark.parametrize("features", [X, {"left": X}, {"anything": X}, (X,)], ids=type)
    def test_one_feature_whatever_its_name(self, features):
        module = Pair()
        actual = self.predict(module, features)
        np.testing.assert_array_equal(actual["both"], module.layer(X).detach())

    def test_labels_of_classes_reach_the_loss_as_they_are(self):
        model = self.model(Pair())
        assert model.evaluate(lambda: [({"left": X}, Y)])["loss"] > 0

    def test_a_forward_of_all_features(self):
        columns = [torchest.columns.numeric_column("a"), torchest.columns.numeric_column("b")]
        module = torchest.columns.LinearFeatures(columns)
        nn.init.ones_(module.part("a").weight)
        model = estimator(module)
        actual = [row["output"] for row in model.predict(lambda: [{"a": X[:, 0], "b": X[:, 1]}])]
        np.testing.assert_allclose(actual, X[:, :1])

    def test_outputs_in_a_tuple(self):
        class Two(nn.Module):
            def forward(self, x):
                return x, -x

        actual = self.predict(Two(), X)
        np.testing.assert_array_equal(actual["output_1"], -X)


WRONG = {
    "a class for the module": (
        {"module": nn.Linear},
        TypeError,
        "module=<class 'torch.nn.modules.linear.Linear'> must be an object of a torch.nn.Module class.",
    ),
    "a class for the loss": (
        {"loss": nn.MSELoss},
        TypeError,
        "loss=<class 'torch.nn.modules.loss.MSELoss'> must be a function of output and labels, such as "
        "torch.nn.BCEWithLogitsLoss().",
    ),
    "a misspelt optimizer": (
        {"optimizer": "Adm"},
        ValueError,
        "optimizer='Adm' is not an optimizer. Did you mean 'Adam' or 'Adamax'?",
    ),
    "an optimizer of another module": (
        {"optimizer": torch.optim.SGD(net().parameters(), lr=0.1)},
        ValueError,
        "optimizer holds parameters that the module does not have: make it of module.parameters().",
    ),
    "a list of metrics": (
        {"metrics": ["accuracy"]},
        TypeError,
        "metrics=['accuracy'] must be a dict of metrics by name, such as "
        '{"accuracy": lambda output, labels: torchest.metrics.accuracy(labels, output > 0)}.',
    ),
    "a name for a metric": (
        {"metrics": {"accuracy": "accuracy"}},
        TypeError,
        "metrics['accuracy'] is 'accuracy' but must be a function of output and labels, or a metric of "
        "torchmetrics.",
    ),
    "another checkpoint format": (
        {"checkpoint_format": "h5"},
        ValueError,
        "checkpoint_format='h5': leave it out, checkpoints are safetensors.",
    ),
    "custom objects": (
        {"custom_objects": {"layer": 3}},
        ValueError,
        "custom_objects={'layer': 3} have no effect, as the module needs none: leave them out.",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        estimator(**{"module": net(), **arguments})


WRONG_FEATURES = {
    "one that forward does not take": (
        {"left": X, "rihgt": X},
        "Pair.forward(left, right) takes no 'rihgt', which is a feature. Did you mean 'right'? There are: "
        "'left', 'right'. Leave the feature out in the input_fn if the module does not need it.",
    ),
    "one is missing": (
        {"lft": X, "right": X},
        "Pair.forward(left, right) needs 'left', which is not a feature. Did you mean 'lft'?",
    ),
}


@pytest.mark.parametrize(("features", "message"), WRONG_FEATURES.values(), ids=WRONG_FEATURES)
def test_wrong_features(features, message):
    model = estimator(Pair())
    with pytest.raises(ValueError, match=re.escape(message)):
        list(model.predict(lambda: [features]))


def test_an_output_that_is_no_tensor():
    class Text(nn.Module):
        def forward(self, x):
            return str(x)

    with pytest.raises(
        TypeError, match="The module returned a str: it must return a tensor, or a dict, dataclass"
    ):
        list(estimator(Text()).predict(lambda: [X]))


class Encoder(nn.Module):
    """Called as those of transformers are: by keywords, with a dict of outputs, some of which are not there."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.classifier = nn.Linear(4, 2)

    def forward(self, input_ids, attention_mask=None, labels=None):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        pooled = (self.embed(input_ids) * mask.unsqueeze(2)).sum(1)
        logits = self.classifier(pooled)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return collections.OrderedDict(loss=loss, logits=logits, hidden_states=(pooled,))


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


class EncoderOfDataclasses(Encoder):
    def forward(self, **inputs):
        return Output(super().forward(**inputs)["logits"])


class Images(nn.Module):
    """As those of timm are: blocks, features without the head on request, and a drop rate."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward_features(self, x):
        return self.stem(x)

    def forward(self, x):
        return self.head(self.global_pool(self.forward_features(x)).flatten(1))


GOOD, BAD = torch.tensor([[1, 2, 3], [3, 2, 0]]), torch.tensor([[5, 6, 0], [7, 6, 5]])
IDS = torch.cat([GOOD, BAD] * 4)
FEELING = torch.tensor([1, 1, 0, 0] * 4)


class TestModulesOfOthers:
    @pytest.mark.parametrize("kind", [Encoder, EncoderOfDataclasses])
    def test_keywords_and_outputs_by_name(self, kind):
        torch.manual_seed(1)
        model = torchest.model_to_estimator(
            kind(),
            lambda parameters: torch.optim.Adam(parameters, lr=0.1),
            lambda output, labels: nn.functional.cross_entropy(logits_of(output), labels),
            {"accuracy": lambda o, labels: metrics.accuracy(labels, logits_of(o).argmax(1))},
        )
        features = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}
        model.train(lambda: (features, FEELING), steps=20)
        actual = model.evaluate(lambda: [(features, FEELING)])
        assert actual["accuracy"] == 1
        row = next(model.predict(lambda: features))
        assert {name: value.shape for name, value in row.items()} == {"logits": (2,)}
        assert row["logits"].argmax() == 1

    def test_a_loss_that_the_module_computes(self):
        features = {"input_ids": IDS, "labels": FEELING}
        module = Encoder()
        expected = module(**features)["loss"].item()
        model = torchest.model_to_estimator(module, "SGD", lambda output, labels: output["loss"])
        assert model.evaluate(lambda: [features])["loss"] == pytest.approx(expected)

    def test_named_tuples(self):
        Found = collections.namedtuple("Found", ["values", "indices"])

        class Two(nn.Module):
            def forward(self, x):
                return Found(*torch.max(x, 1))

        row = next(estimator(Two()).predict(lambda: [X]))
        assert row["indices"] == X[0].argmax()

    def test_images(self):
        torch.manual_seed(1)
        labels = torch.tensor([0, 1] * 8)
        images = labels[:, None, None, None] + 0.1 * torch.randn(16, 3, 8, 8)
        model = torchest.model_to_estimator(
            Images(),
            lambda parameters: torch.optim.Adam(parameters, lr=0.1),
            nn.CrossEntropyLoss(),
            {"accuracy": lambda output, labels: metrics.accuracy(labels, output.argmax(1))},
        )
        model.train(lambda: ({"x": images}, labels), steps=20)
        assert model.evaluate(lambda: [({"image": images}, labels)])["accuracy"] == 1


def logits_of(output):
    return output.logits if isinstance(output, Output) else output["logits"]
