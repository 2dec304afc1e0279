"""Training that resumes exactly: the loop, the run folder, the report."""

from striate.training.config import Config, learning_rate
from striate.training.evaluation import Evaluation, evaluate_part
from striate.training.fit import Result, carry_out, fit, resume
from striate.training.listing import RunRow, list_runs
from striate.training.plan import Plan, plan
from striate.training.trained import Prediction, Trained, evaluate, load_trained, predict

__all__ = [
    "Config",
    "Evaluation",
    "Plan",
    "Prediction",
    "Result",
    "RunRow",
    "Trained",
    "carry_out",
    "evaluate",
    "evaluate_part",
    "fit",
    "learning_rate",
    "list_runs",
    "load_trained",
    "plan",
    "predict",
    "resume",
]
