"""Exporters for `EvalSpec`: `LatestExporter`, `BestExporter`, `FinalExporter`.

torchest.EvalSpec(eval_input_fn, exporters=[torchest.BestExporter("best", serving_input_receiver_fn)])
"""

from __future__ import annotations

import abc
import inspect
import json
import logging
import math
import os
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torchest.checkpoint.checksums import identity
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.errors import suggest
from torchest.export.directory import check_names_of_extra, copied, exports_in
from torchest.export.receivers import ServingInputReceiver, input_names
from torchest.keys import MetricKeys
from torchest.utils import files
from torchest.utils.checks import boolean, shown, text, whole_number

if TYPE_CHECKING:
    from torchest.estimator.estimator import Estimator

_log = logging.getLogger("torchest")
_BEST = "best.json"
_COMPARE_ARGUMENTS = ("best_eval_result", "current_eval_result")

ReceiverFn = Callable[[], object]
AssetsExtra = Mapping[str, "str | os.PathLike[str]"]
Compare = Callable[..., bool]


class Exporter(abc.ABC):
    """Base of exporters. `train_and_evaluate` calls them after each evaluation, and they decide whether to export."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name of the directory of the exports; the exporters of an `EvalSpec` need different names."""

    @abc.abstractmethod
    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, float],
        is_the_final_export: bool,
    ) -> object:
        """Exports the model, or decides not to.

        Args:
            estimator: The estimator.
            export_path: The directory for this exporter's exports: `<model_dir>/export/<name>`.
            checkpoint_path: The checkpoint that was evaluated.
            eval_result: The result of `Estimator.evaluate` for it.
            is_the_final_export: Whether training has ended with this checkpoint. If an exporter returned None for a
                checkpoint that turns out to be the last, it is called again with True.

        Returns:
            The path of the export; None if nothing was exported.
        """


def loss_smaller(
    best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]
) -> bool:
    """Whether the current loss is smaller than the best one."""
    return bool(current_eval_result[MetricKeys.LOSS] < best_eval_result[MetricKeys.LOSS])


class _Export(NamedTuple):
    """An export: its checkpoint and assets, the function for its receiver, and its path."""

    content: tuple[object, ...]
    receiver_fn: ReceiverFn
    path: str


# of each estimator: exporters of the same checkpoint share the work
_newest: weakref.WeakKeyDictionary[Estimator, _Export] = weakref.WeakKeyDictionary()


def _identity(checkpoint_path: str) -> object:
    try:
        return identity(checkpoint_path)
    except FileNotFoundError:
        return object()  # equal to nothing else


def _are_alike(one: ReceiverFn, other: ReceiverFn) -> bool:
    """Whether two functions are the same, or make the same receiver of specs."""
    if one is other:
        return True
    described = _described(one)
    return described is not None and described == _described(other)


def _described(receiver_fn: ReceiverFn) -> tuple[object, ...] | None:
    """The contents of a receiver of specs; None for one of example arrays, which cannot be compared."""
    receiver = receiver_fn()
    if not isinstance(receiver, ServingInputReceiver):
        return None
    features = tuple(receiver.by_key.items())
    if not all(isinstance(spec, FixedLenFeature | VarLenFeature) for _, spec in features):
        return None
    return features, tuple(input_names(receiver).items()), tuple(receiver.receiver_tensors)


class _ExportingExporter(Exporter):
    """Base of the exporters here: a name, a receiver, and how many exports to keep."""

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: ReceiverFn | None,
        assets_extra: AssetsExtra | None,
        as_text: bool,
        exports_to_keep: int | None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"name={shown(name)} must be a string: it names the directory of exports."
            )
        if not callable(serving_input_receiver_fn):
            raise ValueError(
                f"serving_input_receiver_fn is {shown(serving_input_receiver_fn)}: give a function, such as "
                "torchest.export.build_parsing_serving_input_receiver_fn(spec) makes."
            )
        if exports_to_keep is not None:
            way_out = " None keeps all."
            exports_to_keep = whole_number("exports_to_keep", exports_to_keep, way_out, at_least=1)
        check_names_of_extra(assets_extra)
        boolean("as_text", as_text)
        self._name = name
        self._receiver_fn = serving_input_receiver_fn
        self._assets_extra = assets_extra
        self._as_text = as_text
        self._keep = exports_to_keep

    @property
    def name(self) -> str:
        """The name of the directory of the exports."""
        return self._name

    def _export(self, estimator: Estimator, export_path: str, checkpoint_path: str) -> str:
        """Exports, and removes the oldest exports beyond the number to keep."""
        path = self._made(estimator, export_path, checkpoint_path)
        older = [each for each in exports_in(export_path) if each != path]
        for each in [] if self._keep is None else older[: len(older) + 1 - self._keep]:
            _log.info("Removing an older export: %s", each)
            files.remove_directory(each)
        return path

    def _made(self, estimator: Estimator, export_path: str, checkpoint_path: str) -> str:
        """Makes an export; copies one if another exporter has just exported the same."""
        assets = tuple(sorted((self._assets_extra or {}).items()))
        content = (_identity(checkpoint_path), assets)
        last = _newest.get(estimator)
        if (
            last is not None
            and last.content == content
            and _are_alike(last.receiver_fn, self._receiver_fn)
            and files.is_directory(last.path)
        ):
            _log.info("Exporter %s: copies %s", self.name, last.path)
            return copied(last.path, export_path)
        path = estimator.export_saved_model(
            export_path,
            self._receiver_fn,
            assets_extra=self._assets_extra,
            as_text=self._as_text,
            checkpoint_path=checkpoint_path,
        )
        _newest[estimator] = _Export(content, self._receiver_fn, path)
        return path


class LatestExporter(_ExportingExporter):
    """Exports after each evaluation, and keeps the newest exports.

    Args:
        name: The name of the directory of the exports, `<model_dir>/export/<name>`.
        serving_input_receiver_fn: As for `Estimator.export_saved_model`.
        assets_extra: Likewise.
        as_text: Likewise.
        exports_to_keep: The number of exports to keep; None: all. Other files are never removed.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: ReceiverFn,
        assets_extra: AssetsExtra | None = None,
        as_text: bool = False,
        exports_to_keep: int | None = 5,
    ) -> None:
        super().__init__(name, serving_input_receiver_fn, assets_extra, as_text, exports_to_keep)

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, float],  # noqa: ARG002
        is_the_final_export: bool,  # noqa: ARG002
    ) -> str:
        """Exports the model; see `Exporter.export`."""
        return self._export(estimator, export_path, checkpoint_path)


class FinalExporter(_ExportingExporter):
    """Exports once, when training has ended.

    Args:
        name: The name of the directory of the exports, `<model_dir>/export/<name>`.
        serving_input_receiver_fn: As for `Estimator.export_saved_model`.
        assets_extra: Likewise.
        as_text: Likewise.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: ReceiverFn,
        assets_extra: AssetsExtra | None = None,
        as_text: bool = False,
    ) -> None:
        super().__init__(name, serving_input_receiver_fn, assets_extra, as_text, None)

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, float],  # noqa: ARG002
        is_the_final_export: bool,
    ) -> str | None:
        """Exports the model if training has ended; see `Exporter.export`."""
        if not is_the_final_export:
            return None
        _log.info("Exporter %s: training has ended.", self.name)
        return self._export(estimator, export_path, checkpoint_path)


class BestExporter(_ExportingExporter):
    """Exports a model that is better than all before it, also across restarts.

    The file `best.json` beside the exports has the best result so far. The first evaluation is exported. A result with
    NaN in a metric that `compare_fn` reads is never the best.

    Args:
        name: The name of the directory of the exports, `<model_dir>/export/<name>`.
        serving_input_receiver_fn: As for `Estimator.export_saved_model`; required.
        event_file_pattern: Has no effect: the best result is not read from event files.
        compare_fn: A function of `best_eval_result` and `current_eval_result` that returns whether the current one is
            better; the default compares losses.
        assets_extra: As for `Estimator.export_saved_model`.
        as_text: Likewise.
        exports_to_keep: The number of exports to keep, the best among them; None: all. Other files are never removed.

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        name: str = "best_exporter",
        serving_input_receiver_fn: ReceiverFn | None = None,
        event_file_pattern: str | None = "eval/*.tfevents.*",
        compare_fn: Compare = loss_smaller,
        assets_extra: AssetsExtra | None = None,
        as_text: bool = False,
        exports_to_keep: int | None = 5,
    ) -> None:
        super().__init__(name, serving_input_receiver_fn, assets_extra, as_text, exports_to_keep)
        if event_file_pattern is not None:
            text("event_file_pattern", event_file_pattern, " None is allowed, too.")
        self._compare = _checked_compare(compare_fn)

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, float],
        is_the_final_export: bool,  # noqa: ARG002
    ) -> str | None:
        """Exports the model if it is the best so far; see `Exporter.export`.

        Raises:
            ValueError: `compare_fn` reads a metric that the evaluation does not have.
        """
        current = {key: float(value) for key, value in eval_result.items()}
        best = _read_best(export_path)
        if not self._is_better(best, current):
            return None
        path = self._export(estimator, export_path, checkpoint_path)
        kept = {"eval_result": current, "export": os.path.basename(path)}
        files.write_text(files.join(export_path, _BEST), json.dumps(kept, indent=1) + "\n")
        return path

    def _is_better(self, best: Mapping[str, float] | None, current: Mapping[str, float]) -> bool:
        watched = _Watched(self.name, current, "the evaluation")
        kept = f"the best result so far, in {_BEST} beside the exports,"
        against = watched if best is None else _Watched(self.name, best, kept)
        better = bool(self._compare(best_eval_result=against, current_eval_result=watched))
        unknown = sorted(key for key in watched.read if math.isnan(current[key]))
        if unknown:
            _log.warning(
                "Exporter %s: not the best, as %s is NaN.", self.name, " and ".join(unknown)
            )
            return False
        if best is None:
            _log.info("Exporter %s: the first evaluation.", self.name)
            return True
        _log.info("Exporter %s: %s.", self.name, "the best so far" if better else "not the best")
        return better


class _Watched(dict[str, float]):
    """Metrics that record which of them are read."""

    def __init__(self, exporter: str, metrics: Mapping[str, float], where: str) -> None:
        super().__init__(metrics)
        self.read: set[str] = set()
        self._exporter = exporter
        self._where = where

    def __getitem__(self, key: str) -> float:
        if key not in self:
            raise ValueError(
                f"Exporter {self._exporter!r}: compare_fn reads the metric {key!r}, which {self._where} does not have."
                f"{suggest(key, self)}"
            )
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: object = None) -> Any:
        if key not in self:
            return default
        return self[key]


def _checked_compare(compare_fn: object) -> Compare:
    if not callable(compare_fn):
        raise ValueError(
            f"compare_fn={compare_fn!r} must be a function of {' and '.join(_COMPARE_ARGUMENTS)}."
        )
    taken = inspect.signature(compare_fn).parameters
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values()):
        for name in _COMPARE_ARGUMENTS:
            if name not in taken:
                raise ValueError(
                    f"compare_fn takes ({', '.join(taken)}): it must take {name}, as "
                    f"(best_eval_result, current_eval_result) -> bool."
                )
    checked: Compare = compare_fn
    return checked


def _read_best(export_path: str) -> dict[str, float] | None:
    path = files.join(export_path, _BEST)
    try:
        kept = files.read_json(path)["eval_result"]
        return {key: float(value) for key, value in kept.items()}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path!r} is damaged ({error!r}): delete it, to export the next evaluation as the best one so far."
        ) from error
