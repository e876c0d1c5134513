"""What Prometheus gets, and whether the dashboard asks for what there is."""

import json
import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import create_app
from tests.backend.made_runs import MadeRun

DEPLOY = Path(__file__).parents[3] / "deploy"


def metrics(settings: Settings) -> dict[str, dict[str, float]]:
    """Value of each sample, by name and labels, after a webhook."""
    client = create_app(settings).test_client()
    who = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
    body = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "task": {}, "annotation": {}}
    assert client.post("/webhook", json=body, auth=who).status_code == 201
    text = client.get("/metrics", auth=who).get_data(as_text=True)
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def filled(tmp_path: Path) -> Settings:
    settings = ensure_secrets(Settings(home=tmp_path))
    store = Store.open(settings)
    made = MadeRun(settings, store, epochs=3)
    made.go_round("t", "g", "b", "b")
    made.go_round("t", "g", "g", "b")
    store.ask(made.id, "images", {"n": 1})
    store.close()
    return settings


def test_the_figures_are_the_stores(tmp_path: Path):
    found = metrics(filled(tmp_path))
    assert found["hero_labels"] == {"": 8}
    assert found["hero_runs"]["state=generating"] == 1
    assert found["hero_runs_waiting"]["step=generating"] == 1
    assert found["hero_stage_seconds_count"]["stage=learning"] == 2
    assert found["hero_between_batches_seconds_count"] == {"": 1}
    assert found["hero_jobs"] == {"state=waiting": 1}


def test_the_dashboard_asks_for_what_there_is(tmp_path: Path):
    there = metrics(filled(tmp_path))
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for expr in asked for name in re.findall(r"\bhero_\w+", expr)}
    assert len(asked) == 10 and names <= set(there)
    for expr in asked:
        for by in re.findall(r"by \((\w+)\) \((?:\w+\()?(hero_\w+)", expr):
            label, name = by
            assert all(f"{label}=" in labels for labels in there[name]), expr


def test_prometheus_logs_in():
    [job] = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    assert set(job["basic_auth"]) == {"username", "password_file"}
    assert job["static_configs"][0]["targets"]
