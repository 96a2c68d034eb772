"""Language models: what a service is told of them, and what is said where there is no runner."""

import pytest

from tests.project import Project


@pytest.mark.covers("services.*", "models")
@pytest.mark.covers("services.*.models.*", "endpoint_var model_var")
@pytest.mark.covers("", "models")
@pytest.mark.covers("models.*", "name model")
def test_models(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            models: {small-one: {}, other: {endpoint_var: WHERE, model_var: WHICH}}
            environment: {SMALL_ONE_MODEL: mine}
        models:
          small-one: {model: ai/small}
          other: {model: ai/other, name: x, context_size: 4096}
        """
    )
    refused = project.run("up", "-d", code=1).stderr
    assert "compose.yaml:7:" in refused and "MODEL_RUNNER_URL" in refused
    project.environ["MODEL_RUNNER_URL"] = "http://127.0.0.1:9/v1"
    told = project.run("up", "-d").stderr
    assert "context_size has no effect" in told
    variables = project.exec("a", "env").splitlines()
    assert {"SMALL_ONE_URL=http://127.0.0.1:9/v1", "WHERE=http://127.0.0.1:9/v1", "WHICH=ai/other"} <= {
        *variables
    }
    assert "SMALL_ONE_MODEL=mine" in variables, "what the file says wins"
    project.run("down", "-t", "0")
