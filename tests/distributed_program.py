"""Trains small models, in one process or in several that torchrun started; the tests read what each process leaves.

python distributed_program.py <directory> <case> ...
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import torchest
from torchest import columns, inputs
from torchest.columns.layers import bank_look_ups
from torchest.distributed import dense_gradients, exchange, traffic
from torchest.distributed.exchange import Exchange
from torchest.engine.train_step import TrainStep
from torchest.optimizers import row_gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RANK = torchest.RunConfig().global_id_in_cluster or 0
STEPS = 20
WATCHED = slice(2, 6)  # steps whose costs are counted
WATCHED_CASES = ("linear", "dnn", "wide_and_deep", "statistics", "accumulated_and_clipped")
UNEVEN = (
    "linear", "dnn", "wide_and_deep", "two_backwards", "seldom", "seldom_accumulated", "statistics",
    "accumulated_and_clipped", "normalised", "normalised_dnn",
)  # fmt: skip
BATCH = 12  # rows of a step, in all processes


class Keep(torchest.SessionRunHook):
    """Keeps losses, and what this process holds when training ends: parameters, buffers and slots."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.global_step = -1

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(float(run_values.results))

    def end(self, session):
        contents = session.contents()
        tensors = {**contents.model, **contents.optimizer}
        self.tensors = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.global_step = session.global_step


def rows(count: int, seed: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    random = np.random.default_rng(seed)
    words = random.choice(["red", "green", "blue", "violet"], count)
    features = {
        "amount": random.normal(size=count),
        "word": words.tolist(),
        "user": [f"user {number}" for number in random.integers(0, 30, count)],
    }
    labels = (random.random(count) < np.where(words == "red", 0.8, 0.3)).astype(np.int64)
    return features, labels


def sharded(data: Any, batch_size: int = BATCH) -> Callable[[Any], inputs.Dataset]:
    def input_fn(input_context):
        size = input_context.get_per_replica_batch_size(batch_size)
        dataset = inputs.Dataset.from_tensor_slices(data)
        pipelines, this_one = input_context.num_input_pipelines, input_context.input_pipeline_id
        return dataset.shard(pipelines, this_one).batch(size)

    return input_fn


def feature_columns() -> tuple[Any, Any, Any, Any]:
    word = columns.categorical_column_with_vocabulary_list("word", ["red", "green", "blue"])
    user = columns.categorical_column_with_hash_bucket("user", 40)
    crossed = columns.crossed_column(["word", "user"], 60)
    return columns.numeric_column("amount"), word, user, crossed


def linear(model_dir: str | None, config: Any = None) -> torchest.Estimator:
    return torchest.LinearClassifier(feature_columns(), model_dir, config=config)


def dnn(model_dir: str | None, config: Any, dropout: float | None = None) -> torchest.Estimator:
    amount, word, user, crossed = feature_columns()
    dense = [
        amount,
        columns.indicator_column(word),
        columns.embedding_column(user, 4),
        columns.embedding_column(crossed, 4),
    ]
    return torchest.DNNClassifier([8, 4], dense, model_dir, dropout=dropout, config=config)


def wide_and_deep(model_dir: str | None, config: Any) -> torchest.Estimator:
    amount, word, user, crossed = feature_columns()
    return torchest.DNNLinearCombinedClassifier(
        model_dir,
        linear_feature_columns=[word, crossed],
        dnn_feature_columns=[amount, columns.embedding_column(user, 4)],
        dnn_hidden_units=[8, 4],
        config=config,
    )


def own_layers() -> tuple[Any, Any]:
    amount, _, user, _ = feature_columns()
    layer = torchest.get_or_create(
        "columns", lambda: columns.DenseFeatures([amount, columns.embedding_column(user, 3)])
    )

    def net() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))

    return layer, torchest.get_or_create("net", net)


def two_optimizers(features, labels, mode):
    """Adagrad of torchest for the columns; torch's Adam, which wants dense gradients, for the net."""
    layer, net = own_layers()
    loss = (net(layer(features)).squeeze(1) - labels).square().mean()
    ada = torchest.get_or_create(
        "ada", lambda: torchest.optimizers.Adagrad(layer.parameters(), lr=0.1)
    )
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=[ada, adam])


def two_backwards(features, labels, mode):
    """A function that steps by the gradients of two losses, one of them of the columns' table alone."""
    layer, net = own_layers()
    loss = (net(layer(features)).squeeze(1) - labels).square().mean()
    other = layer(features).square().mean()
    every = [*layer.parameters(), *net.parameters()]
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(every, lr=0.1, momentum=0.9))

    def train_op():
        sgd.zero_grad()
        torchest.backward(loss)
        torchest.backward(other * 0.5)
        sgd.step()

    return torchest.EstimatorSpec(mode, loss=loss + other * 0.5, train_op=train_op)


def summed_loss(features, labels, mode):
    layer, net = own_layers()
    loss = (net(layer(features)).squeeze(1) - labels).square().sum()
    every = [*layer.parameters(), *net.parameters()]
    sgd = torchest.get_or_create("sgd", lambda: torchest.optimizers.SGD(every, lr=0.001))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd, loss_reduction="sum")


def sparse_gradients(features, labels, mode):
    """A table of torch's own with sparse gradients, beside a parameter that only some batches use."""

    def make() -> torch.nn.Module:
        return torch.nn.ModuleDict(
            {
                "table": torch.nn.EmbeddingBag(7, 1, mode="sum", sparse=True),
                "seldom": torch.nn.Linear(1, 1),
                "never": torch.nn.Linear(1, 1),
            }
        )

    net = torchest.get_or_create("net", make)
    amount = features["amount"]
    output = net["table"]((amount.abs() * 10).long().remainder(7).unsqueeze(1)).squeeze(1)
    chosen = (amount > 1.5).nonzero().squeeze(1)
    if len(chosen):
        output = output.index_add(0, chosen, net["seldom"](amount[chosen].unsqueeze(1)).squeeze(1))
    loss = (output - labels).square().mean()
    adagrad = torchest.get_or_create(
        "adagrad", lambda: torch.optim.Adagrad(net.parameters(), lr=0.1)
    )
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adagrad)


def seldom(features, labels, mode):
    """A layer that only some rows use and one that nobody uses, beside a net and a table."""
    layer, net = own_layers()

    def make() -> torch.nn.Module:
        return torch.nn.ModuleDict(
            {"seldom": torch.nn.Linear(1, 1), "never": torch.nn.Linear(1, 1)}
        )

    rare = torchest.get_or_create("rare", make)
    amount = features["amount"]
    output = net(layer(features)).squeeze(1)
    chosen = (amount > 1.5).nonzero().squeeze(1)
    if len(chosen):
        output = output.index_add(0, chosen, rare["seldom"](amount[chosen].unsqueeze(1)).squeeze(1))
    loss = (output - labels).square().mean()
    ada = torchest.get_or_create(
        "ada", lambda: torchest.optimizers.Adagrad(layer.parameters(), lr=0.1)
    )
    adam = torchest.get_or_create(
        "adam", lambda: torch.optim.Adam([*net.parameters(), *rare.parameters()], lr=0.01)
    )
    return torchest.EstimatorSpec(mode, loss=loss, train_op=[ada, adam])


def statistics(features, labels, mode):
    """A buffer that keeps a running mean, as batch normalisation does, and one that never changes."""

    def make() -> torch.nn.Module:
        net = torch.nn.Linear(1, 1)
        net.register_buffer("mean", torch.zeros(()))
        net.register_buffer("constant", torch.full((3,), 0.1))
        return net

    net = torchest.get_or_create("net", make)
    amount = features["amount"].unsqueeze(1)
    with torch.no_grad():
        net.mean.mul_(0.9).add_(amount.mean(), alpha=0.1)
    loss = (net(amount).squeeze(1) - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def normalised(features, labels, mode):
    """Batch normalisation as torch has it, of sequences and of rows, the latter with cumulative statistics."""

    def make() -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Conv1d(1, 3, 1),
            torch.nn.BatchNorm1d(3),
            torch.nn.Flatten(),
            torch.nn.Linear(12, 4),
            torch.nn.BatchNorm1d(4, momentum=None, affine=False),
            torch.nn.Tanh(),
            torch.nn.Linear(4, 1),
        )

    layer, _ = own_layers()
    net = torchest.get_or_create("convolutions", make)
    loss = (net(layer(features).unsqueeze(1)).squeeze(1) - labels).square().mean()
    every = [*layer.parameters(), *net.parameters()]
    sgd = torchest.get_or_create("sgd", lambda: torchest.optimizers.SGD(every, lr=0.05))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def normalised_dnn(model_dir: str | None, config: Any) -> torchest.Estimator:
    amount, word, user, _ = feature_columns()
    dense = [amount, columns.indicator_column(word), columns.embedding_column(user, 4)]
    return torchest.DNNClassifier([8, 4], dense, model_dir, batch_norm=True, config=config)


def custom(model_fn: Any) -> Callable[[str | None, Any], torchest.Estimator]:
    return lambda model_dir, config: torchest.Estimator(model_fn, model_dir, config)


MODELS = {
    "linear": linear,
    "dnn": dnn,
    "wide_and_deep": wide_and_deep,
    "accumulated_and_clipped": custom(two_optimizers),
    "two_optimizers": custom(two_optimizers),
    "two_backwards": custom(two_backwards),
    "summed_loss": custom(summed_loss),
    "sparse_gradients": custom(sparse_gradients),
    "seldom": custom(seldom),
    "seldom_accumulated": custom(seldom),
    "statistics": custom(statistics),
    "normalised": custom(normalised),
    "normalised_dnn": normalised_dnn,
}


def keep(directory: Path, case: str, tensors: Any = None, **values: Any) -> None:
    """Leaves values for the tests, by case and rank."""
    np.savez(directory / f"{case}.{RANK}.npz", **(tensors or {}))
    (directory / f"{case}.{RANK}.json").write_text(json.dumps(values))


def train(
    directory: Path,
    case: str,
    input_fn: Any = None,
    hooks: Any = (),
    model_dir: str | None = None,
    **limits: Any,
) -> None:
    """Trains a model on the joined batches or on shards of them, and keeps all of its tensors."""
    torch.manual_seed(5 + RANK)  # each process makes other weights: those of the chief must win
    kept = Keep()
    options = {"accumulate_steps": 3} if "accumulated" in case else {}
    if "clipped" in case:
        options["clip_norm"] = 0.01
    config = torchest.RunConfig(**options, sync_batch_norm=True)
    model = MODELS[case](model_dir or str(directory / f"model_{case}"), config)
    input_fn = input_fn or sharded(rows(STEPS * BATCH))
    with written() as files:
        model.train(input_fn, hooks=[kept, *hooks], **limits)
    keep(
        directory,
        case,
        tensors=kept.tensors,
        losses=kept.losses,
        step=kept.global_step,
        files=files,
    )


@contextlib.contextmanager
def written():
    """A list of all files and directories that this process opens for writing, makes, renames or removes inside."""
    actual: list[str] = []
    LISTENERS.append(actual)
    yield actual
    LISTENERS.remove(actual)


LISTENERS: list[list[str]] = []
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link")
    if changes or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        for listener in LISTENERS:
            listener.append(str(arguments[0]))


def by_exchange(directory: Path) -> None:
    """Dense gradients are summed after the backward pass."""
    with path(largest=1 << 40):
        train_all(directory)


def by_ddp(directory: Path) -> None:
    """DistributedDataParallel sums dense gradients during the backward pass."""
    with path(largest=0):
        train_all(directory)


def by_sums(directory: Path) -> None:
    """Gradients of all sizes are summed after the backward pass in a message of their own."""
    with path(largest=1 << 40), replaced(exchange, "_SMALLEST_LARGE", 0):
        train_all(directory)


def as_on_a_device(directory: Path) -> None:
    """Each tensor is taken for one on a device."""
    with path(largest=1 << 40), on_a_device():
        train_all(directory)


def by_exchange_switched_off(directory: Path) -> None:
    with path(largest=1 << 40), replaced(Exchange, "add_up", lambda self, loss: loss):
        train_all(directory, steps=5)


def by_ddp_switched_off(directory: Path) -> None:
    def own(_: object, bucket: Any, *others: object) -> Any:
        future: Any = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    with path(largest=0), replaced(dense_gradients, "_sum", own):
        train_all(directory, steps=5)


def train_all(directory: Path, **limits: Any) -> None:
    for case in MODELS:
        train(directory, case, **limits)


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """A context in which an object has another attribute."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def on_a_device() -> Iterator[None]:
    """A context in which tensors of a model are taken for some on a device, which compiled loops do not read."""
    with contextlib.ExitStack() as stack:
        for module in (row_gradients, exchange):
            stack.enter_context(replaced(module, "is_on_host", lambda _: False))
        stack.enter_context(replaced(row_gradients, "suit_loops", lambda _: False))
        stack.enter_context(replaced(bank_look_ups, "is_traced", lambda: False))
        stack.enter_context(replaced(TrainStep, "_planned", lambda _: None))
        stack.enter_context(replaced(TrainStep, "_origin_of_nan", lambda *_: ""))
        yield


class Watch(torchest.SessionRunHook):
    """Counts the messages and the waits of some steps."""

    def __init__(self) -> None:
        self.waits = traffic.DeviceWaits()
        self.counted = traffic.counted()
        self.done = 0

    def after_run(self, run_context, run_values):
        self.done += 1
        if self.done == WATCHED.start:
            self.traffic = self.counted.__enter__()
            self.waits.__enter__()
        if self.done == WATCHED.stop:
            self.waits.__exit__(None, None, None)
            self.counted.__exit__(None, None, None)


def costs(directory: Path) -> None:
    """Messages and waits of a step, as on a device and as on the CPU."""
    for where, context in (("cpu", contextlib.nullcontext), ("device", on_a_device)):
        for how, largest in (("exchange", 1 << 40), ("ddp", 0)):
            for case in WATCHED_CASES:
                watch = Watch()
                name = f"{case}_{how}_{where}"
                with path(largest), context():
                    train(directory, case, hooks=[watch], model_dir=str(directory / name))
                kept = dataclasses.asdict(watch.traffic)
                keep(directory, name, waits=watch.waits.places, **kept)


def compressed(directory: Path) -> None:
    """Gradients travel as bfloat16; `seen` are the dtypes of what was sent."""
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook

    seen: list[str] = []
    send = torch.distributed.all_reduce

    def noting(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        seen.append(str(tensor.dtype))
        return send(tensor, *arguments, **options)

    for name, hook in (("exact", None), ("compressed", bf16_compress_hook)):
        torch.manual_seed(5)
        kept = Keep()
        config = torchest.RunConfig(ddp_comm_hook=hook, accumulate_steps=2)
        model = dnn(str(directory / name), config)
        with replaced(torch.distributed, "all_reduce", noting):
            model.train(sharded(rows(STEPS * BATCH)), hooks=[kept])
        keep(directory, name, kept.tensors, losses=kept.losses, seen=seen)
        seen.clear()


def half_precision(directory: Path) -> None:
    """The loss of the last process is huge in its third step."""

    def model_fn(features, labels, mode):
        layer, net = own_layers()
        loss = (net(layer(features)).float().squeeze(1) - labels).square().mean() * 0.1
        every = [*layer.parameters(), *net.parameters()]
        sgd = torchest.get_or_create("sgd", lambda: torchest.optimizers.SGD(every, lr=0.05))
        calls.append(len(calls))  # the first one makes the model
        if len(calls) == 4 and int(os.environ["WORLD_SIZE"]) - 1 == RANK:
            loss = loss * 1e38
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    torch.set_default_dtype(torch.float32)
    for name, largest in (("exchange", 1 << 40), ("ddp", 0)):
        torch.manual_seed(5)
        calls: list[int] = []
        kept = Keep()
        scales = Scales()
        config = torchest.RunConfig(precision="fp16", clip_norm=1.0)
        model = torchest.Estimator(model_fn, str(directory / name), config)
        with path(largest):
            model.train(sharded(rows(STEPS * BATCH)), hooks=[kept, scales])
        keep(directory, name, kept.tensors, scales=scales.scales, weights=scales.weights)
    torch.set_default_dtype(torch.float64)


class Scales(torchest.SessionRunHook):
    """Keeps the loss scale and a weight after each step."""

    def __init__(self) -> None:
        self.scales: list[float] = []
        self.weights: list[float] = []

    def after_run(self, run_context, run_values):
        session = run_context.session
        self.scales.append(session._training.state(session)["hooks"]["LossScale"]["scale"])
        self.weights.append(float(session.objects["net"][0].weight[0, 0]))


def gathering(directory: Path) -> None:
    """Vectors of bytes of different lengths, which grow and shrink."""
    from torchest.distributed.gathering import Gathering

    linear(None)  # connects the processes
    ranks = range(int(os.environ["WORLD_SIZE"]))
    random = np.random.default_rng(1)
    gather = Gathering()
    with traffic.counted() as counted:
        for count in (0, 1, 7, 8, 1000, 1000, 1100, 3, 0, 5000):
            sent = [
                torch.from_numpy(random.integers(0, 256, count // (rank + 1)).astype(np.uint8))
                for rank in ranks
            ]
            received = gather(sent[RANK])
            assert all(map(torch.equal, received, sent))
    keep(directory, "gathered", messages=counted.messages)


def path(largest: int) -> Any:
    """A context in which parameters of more bytes have their gradients summed by DistributedDataParallel."""
    return replaced(dense_gradients, "LARGEST_OF_ONE_BUCKET", largest)


def stop(directory: Path) -> None:
    """The last process wants to stop after its third step."""

    class Stop(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if int(os.environ["WORLD_SIZE"]) - 1 == RANK and run_context.session.global_step == 3:
                run_context.request_stop()

    train(directory, "linear", hooks=[Stop()])


def uneven_by_ddp(directory: Path) -> None:
    with path(largest=0):
        uneven(directory)


def uneven(directory: Path) -> None:
    """The processes have batches of other numbers and sizes; the third has none."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger("torchest").addHandler(handler)
    logging.getLogger("torchest").setLevel(logging.INFO)
    for case in UNEVEN:
        train(directory, case, lambda: uneven_batches(RANK))
    logging.getLogger("torchest").removeHandler(handler)
    keep(directory, "log", lines=lines)


def uneven_batches(rank: int) -> list[Any]:
    counts, size = (10, 7, 0), (6, 4, 5)
    features, labels = rows(100, seed=rank)
    return [
        (
            {name: values[start : start + size[rank]] for name, values in features.items()},
            labels[start : start + size[rank]],
        )
        for start in range(0, counts[rank] * size[rank], size[rank])
    ]


def with_counts(model: torchest.Estimator) -> torchest.Estimator:
    """The model with metrics that are counted per threshold, per class, or among the best classes."""

    def counts(labels, predictions):
        metrics, scores = torchest.metrics, predictions["logistic"]
        thresholds, both = [0.2, 0.3, 0.5], predictions["probabilities"]
        return {
            "hits": metrics.true_positives(labels, predictions["class_ids"]),
            "precisions": metrics.precision_at_thresholds(labels, scores, thresholds),
            "misses": metrics.false_negatives_at_thresholds(labels, scores, thresholds),
            "sensitivity": metrics.sensitivity_at_specificity(labels, scores, 0.7),
            "iou": metrics.mean_iou(labels, predictions["class_ids"], 2),
            "per_class": metrics.mean_per_class_accuracy(labels, predictions["class_ids"], 2),
            "best": metrics.precision_at_k(labels, both, 1),
            "average": metrics.average_precision_at_k(labels, both, 2),
        }

    return torchest.add_metrics(model, counts)


def evaluation(directory: Path) -> None:
    """101 rows in each number of processes; two rows in all, so that a third process has none."""
    model = linear(None)
    model.train(sharded(rows(STEPS * BATCH)), steps=STEPS)
    for count in (101, 2):
        metrics = with_counts(model).evaluate(sharded(rows(count, seed=9), 30))
        numbers = {name: value.tolist() for name, value in metrics.items()}
        keep(directory, f"evaluated_{count}", metrics=numbers, model_dir=model.model_dir)
    predicted = [float(row["logistic"][0]) for row in model.predict(sharded(rows(101, seed=9), 30))]
    keep(directory, "predicted", predictions=predicted)


def alternation(directory: Path) -> None:
    """Evaluations after the checkpoints of step 5 and 10."""
    config = torchest.RunConfig(save_checkpoints_steps=5)
    model = linear(str(directory / "model"), config)
    with written() as files:
        metrics, exports = torchest.train_and_evaluate(
            model,
            torchest.TrainSpec(sharded(rows(STEPS * BATCH)), max_steps=10),
            torchest.EvalSpec(sharded(rows(101, seed=9), 30), steps=None, throttle_secs=0),
        )
    numbers = {name: value.item() for name, value in metrics.items()}
    own = [path for path in files if str(directory) in path]
    keep(directory, "alternation", metrics=numbers, exports=exports, files=own)


def launched(directory: Path) -> None:
    """Trains and evaluates, and knows nothing of what started it; each task of the cluster keeps its results."""
    config = torchest.RunConfig(save_checkpoints_steps=10)
    kept = Keep()
    model = linear(str(directory / "model"), config)
    metrics, _ = torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(sharded(rows(STEPS * BATCH)), max_steps=STEPS, hooks=[kept]),
        torchest.EvalSpec(
            sharded(rows(101, seed=9), 30), steps=None, start_delay_secs=0, throttle_secs=0
        ),
    )
    task = f"{config.task_type} {config.task_id}"
    np.savez(directory / f"{task}.npz", **kept.tensors)
    numbers = metrics and {name: value.item() for name, value in metrics.items()}
    values = {
        "metrics": numbers,
        "is_chief": config.is_chief,
        "replicas": config.num_worker_replicas,
    }
    (directory / f"{task}.json").write_text(json.dumps(values))


def in_a_group_of_its_own(directory: Path) -> None:
    """Trains in a process group that the program makes, and leaves it as it is."""
    address, rank, size = os.environ["GROUP"].split()
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://{address}", rank=int(rank), world_size=int(size)
    )
    launched(directory)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def failure(directory: Path) -> None:
    """The second process fails in its third step."""

    class Fail(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if RANK == 1 and run_context.session.global_step == 3:
                raise RuntimeError("a failure of the second process")

    train(directory, "linear", hooks=[Fail()])


def death(directory: Path) -> None:
    """The second process dies in its sixth step, but not when it was started again."""
    with path(largest=0):
        interrupted(directory, "death", signal.SIGKILL)


def termination(directory: Path) -> None:
    """The second process alone is told to end in its sixth step, but not when it was started again."""
    interrupted(directory, "termination", signal.SIGTERM)


def interrupted(directory: Path, case: str, number: signal.Signals) -> None:
    """Each process has rows of its own, in another number, as when it reads files of its own, and dropout."""

    class Interrupt(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
            if RANK == 1 and first and run_context.session.global_step == 6:
                os.kill(os.getpid(), number)

    def input_fn():
        dataset = inputs.Dataset.from_tensor_slices(rows(20 + RANK, seed=RANK))
        return dataset.repeat().shuffle(15).batch(4)

    for hooks in ([Interrupt()], []):
        name = case if hooks else f"{case}_left_alone"
        config = torchest.RunConfig(save_checkpoints_steps=5, tf_random_seed=3)
        kept = Keep()
        model = dnn(str(directory / name), config, dropout=0.3)
        model.train(input_fn, hooks=[kept, *hooks], max_steps=10)
        keep(directory, name, kept.tensors, steps=len(kept.losses), step=kept.global_step)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.addaudithook(audit)
    torch.set_default_dtype(torch.float64)
    for name in sys.argv[2:]:
        directory = Path(sys.argv[1]) / name
        directory.mkdir(exist_ok=True, parents=True)
        globals()[name](directory)
