"""`models`: where a service finds its language models, told by variables (Compose spec 05-services: models). Pure."""

from collections.abc import Mapping

from composer.model.parts import ModelUse
from composer.model.project import Project
from composer.model.service import Service
from composer.plan.desired import TEXT, Content

# The variable that names the model runner of this machine.
MODEL_RUNNER = "MODEL_RUNNER_URL"


def translate_models(
    service: Service, project: Project, contents: Mapping[str, Content]
) -> tuple[tuple[str, str], ...]:
    """NAME_URL and NAME_MODEL, or the variables the service wants instead, for each model it uses."""
    runner = contents.get("models/url")
    if runner is None or runner.kind != TEXT:
        return ()
    variables: list[tuple[str, str]] = []
    for key, use in service.models.items():
        wanted = use or ModelUse()
        prefix = key.upper().replace("-", "_")
        variables.append((wanted.endpoint_var or f"{prefix}_URL", runner.value))
        variables.append((wanted.model_var or f"{prefix}_MODEL", project.models[key].model))
    return tuple(variables)
