"""Many pictures through one function: every output is planned before any work, and a report says how each fared."""

from .job import Done, FunctionJob, Item, Job, Output, Refused, Result, Skipped, Work
from .plan import check_writable, plan
from .report import Outcome, Report
from .run import run

__all__ = [
    "Done",
    "FunctionJob",
    "Item",
    "Job",
    "Outcome",
    "Output",
    "Refused",
    "Report",
    "Result",
    "Skipped",
    "Work",
    "check_writable",
    "plan",
    "run",
]
