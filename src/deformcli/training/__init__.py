"""The trainer: one loop, its step, its files. torch is imported when they are used."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    checkpoint=("checkpoint_config", "find_checkpoint"),
    processes=("Processes", "joined"),
    step=("Losses", "TrainingStep"),
    trainer=("Trainer",),
)
