"""A strategy of the user's own, made of public names."""

from __future__ import annotations

import torch

import torchest


class Counting(torchest.distributed.Strategy):
    """Runs on the CPU, and counts the steps and what they are weighed by."""

    def __init__(self):
        super().__init__()
        self.device = torch.device("cpu")
        self.steps = 0
        self.reductions = set()

    def backward(self, loss, reduction):
        self.reductions.add(reduction)
        return super().backward(loss, reduction)

    def end_step(self):
        self.steps += 1


def input_fn():
    return {"x": torch.tensor([1.0, 2.0])}, torch.tensor([0, 1])


def test_a_strategy_of_ones_own_trains_evaluates_and_predicts(tmp_path):
    training, other = Counting(), Counting()
    config = torchest.RunConfig(train_distribute=training, eval_distribute=other)
    columns = [torchest.columns.numeric_column("x")]
    model = torchest.LinearClassifier(columns, tmp_path, config=config)
    model.train(input_fn, steps=3)
    assert (training.steps, training.reductions) == (3, {"sum_over_batch_size"})
    model.evaluate(input_fn)
    next(model.predict(input_fn))
    assert other.steps == 2
