"""Recipes by the names of the public callables."""

from __future__ import annotations

from benchmarks.fuzz.recipes import columns, estimators, exports, heads, inputs, parts, v1

RECIPES = {
    **columns.RECIPES,
    **estimators.RECIPES,
    **exports.RECIPES,
    **heads.RECIPES,
    **inputs.RECIPES,
    **parts.RECIPES,
    **v1.RECIPES,
}
# Public names that no user calls with arguments, and why.
EXEMPT = {
    "CheckpointMismatchError": "torchest raises it",
    "DamagedCheckpointError": "torchest raises it",
    "DamagedExportError": "torchest raises it",
    "ExportError": "torchest raises it",
    "MissingFeatureError": "torchest raises it",
    "NanLossDuringTrainingError": "torchest raises it",
    "Head": "abstract",
    "Exporter": "abstract",
    "SessionRunHook": "takes no arguments",
    "CheckpointSaverListener": "takes no arguments",
    "ModeKeys": "a namespace",
    "losses.Reduction": "a namespace",
    "v1.losses.Reduction": "a namespace",
    "v1.train.Optimizer": "the base of optimizers",
    "columns.CategoricalColumn": "abstract",
    "columns.DenseColumn": "abstract",
    "columns.FeatureColumn": "abstract",
    "columns.ColumnDescription": "made by describe",
    "columns.Description": "made by describe",
    "columns.InferredColumns": "made by infer",
    "columns.Cells": "made by columns for every batch, and checked with them",
    "columns.OnnxGraph": "made by an export",
    "columns.Ids": "made by columns for every batch, and not checked",
    "columns.Steps": "made by columns for every batch, and not checked",
    "metrics.Metric": "abstract",
    "metrics.Mean": "made by functions for every batch, and not checked",
    "metrics.RootMean": "made by functions for every batch, and not checked",
    "metrics.MajorityShare": "made by functions for every batch, and not checked",
    "inputs.Dataset": "made by its class methods",
    "export.ExportOutput": "abstract",
    "export.ExportedModel": "made by load",
    "distributed.Strategy": "takes no arguments",
    "distributed.ParameterServerStrategy": "refuses to be made, whatever it is given",
    "distributed.TPUStrategy": "needs torch_xla",
    "FeedFnHook": "refuses to be made, whatever it is given",
    "SessionRunContext": "made by the loop for every step",
    # what parts of torchest call
    **dict.fromkeys(
        (
            *(
                f"Features.{name}"
                for name in (
                    "check_there", "expect", "is_nested_list", "on_host", "placed", "prepare", "raw_of", "read_by",
                    "sources", "text",
                )
            ),
            *(f"Cells.{name}" for name in ("ids", "map", "where", "with_offsets")),
            *(f"Ids.{name}" for name in ("padded", "row_of_each", "rows", "from_padded")),
            "Steps.padded",
            *(f"TensorGroup.{name}" for name in ("pin_memory", "to")),
            "Parts.add_part",
            "Parts.part",
            "LinearSDCA.linear_model_fn",
            "TensorSpec.converted",
            "DenseFeatures.blocks", "LinearFeatures.logits_in_loops",
            "WarmStartSettings.matches",
            "WarmStartSettings.selects",
            "RunConfig.as_markdown",
            "RunConfig.ignored",
            "SessionRunContext.request_stop",
        ),
        "torchest calls it",
    ),
}  # fmt: skip
