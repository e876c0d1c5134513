"""The demo's two simulated people judge the pairs of a comparison."""

from backend.errors import BadInput
from backend.local.demo import MODELS
from backend.local.demo_annotators import arrive
from backend.run.comparison import Comparison
from backend.run.records import Run
from backend.settings import Settings


def judge_pairs(settings: Settings, run: Run, comparison: Comparison) -> None:
    """Let them answer until nothing is left in the comparison's project.

    Raises:
        BadInput: they cannot judge what the run's model draws.
        LabelStudioError
    """
    if run.config.get("model") not in MODELS:
        raise BadInput(
            f"The simulated annotators cannot judge what {run.config.get('model')!r} draws; they "
            f"know {', '.join(MODELS)}. Judge the pairs yourself."
        )
    accounts = settings.home / "demo" / "annotators.json"
    accounts.parent.mkdir(parents=True, exist_ok=True)
    token = settings.label_studio_api_key.get_secret_value()
    annotators = arrive(settings.label_studio_url, token, comparison.prompts, accounts)
    try:
        annotators.answer_all(comparison.project_id or 0)
    finally:
        annotators.close()
