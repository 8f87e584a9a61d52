"""Many pictures through one function: every output is planned before any work, and a report says how each fared."""

from .job import Function, Output, Result, Task, Work
from .plan import Item, check_writable, plan
from .report import Outcome, Report
from .run import run

__all__ = ["Function", "Item", "Outcome", "Output", "Report", "Result", "Task", "Work", "check_writable", "plan", "run"]
