"""What `deform evaluate` measures with: methods on the same items, by chosen metrics, into tables with intervals.

torch is imported when these are used.
"""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    describers=("Remembered",),
    evaluation=("Evaluation", "evaluate", "tabulate"),
    gallery=("training_people",),
    gap=("gap_auc",),
    measurements=("TARGET", "Describer", "GroundTruth", "Label", "Measurements", "Method", "measure", "measure_sets"),
    metrics=("Column", "FeatureMetric", "ItemMetric", "SetMetric"),
    selection=("Selection", "select_metrics"),
    statistics=("Comparison", "Interval", "Row", "Worst"),
)
