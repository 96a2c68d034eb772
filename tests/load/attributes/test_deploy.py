"""deploy, gpus, and the limits that are given twice."""

import pytest

from composer.model.deploy import Limits, RestartPolicy, UpdateConfig
from composer.model.parts import DeviceRequest

SECOND = 10**9


def test_all_of_it(given):
    text = """
deploy:
  mode: replicated
  replicas: 3
  endpoint_mode: vip
  labels: [a=b]
  update_config: {parallelism: 2, delay: 10s, failure_action: rollback, monitor: 1m, max_failure_ratio: 0.5, order: start-first}
  rollback_config: {parallelism: 0, order: stop-first}
  restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}
  placement: {constraints: [node.role == manager], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 1}
  resources:
    limits: {cpus: '0.5', memory: 64m, pids: 10}
    reservations:
      cpus: 0.25
      memory: 32m
      generic_resources: [{discrete_resource_spec: {kind: SSD, value: 2}}]
      devices: [{capabilities: [gpu], driver: nvidia, count: all, options: {a: 1}}, {capabilities: [tpu], device_ids: ['0']}]
"""
    loaded = given(text)
    deploy = loaded.service.deploy
    assert (deploy.mode, deploy.replicas, deploy.endpoint_mode, deploy.labels) == (
        "replicated",
        3,
        "vip",
        {"a": "b"},
    )
    assert deploy.update_config == UpdateConfig(2, 10 * SECOND, "rollback", 60 * SECOND, 0.5, "start-first")
    assert deploy.rollback_config.parallelism == 0
    assert deploy.restart_policy == RestartPolicy("on-failure", 5 * SECOND, 3, 120 * SECOND)
    assert deploy.resources.limits == Limits(0.5, 64 * 2**20, 10)
    assert deploy.resources.reservations.generic_resources[0].discrete_resource_spec.value == 2
    assert deploy.resources.reservations.devices == (
        DeviceRequest(("gpu",), -1, (), "nvidia", {"a": "1"}),
        DeviceRequest(("tpu",), 0, ("0",)),
    )
    assert (deploy.placement.constraints, deploy.placement.max_replicas_per_node) == (
        ("node.role == manager",),
        1,
    )
    assert loaded.service.replicas == 3


def test_two_files(given):
    loaded = given("deploy: {replicas: 1, labels: {a: 1}}", over="deploy: {replicas: 2, labels: [b=2]}")
    assert loaded.printed["deploy"] == {"replicas": 2, "labels": {"a": "1", "b": "2"}}


@pytest.mark.parametrize(("text", "count"), [("all", -1), ("[{count: 2}]", 2), ("[{driver: x}]", -1)])
def test_gpus(given, text, count):
    assert given(f"gpus: {text}").service.gpus[0].count == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deploy: {replicas: -1}", "less than 0"),
        ("deploy: {replica: 1}", "unknown key 'replica'"),
        ("deploy: {resources: {limits: {memory: 5}}}", "text is expected, not the number 5"),
        ("deploy: {update_config: {order: x}}", "not one of start-first, stop-first"),
        (
            "deploy: {resources: {reservations: {devices: [{count: 1, device_ids: ['0'], capabilities: [x]}]}}}",
            "exclude",
        ),
        (
            "mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}",
            "mem_limit and deploy.resources.limits.memory differ",
        ),
        (
            "cpus: 1\ndeploy: {resources: {limits: {cpus: '2'}}}",
            "cpus and deploy.resources.limits.cpus differ",
        ),
        (
            "pids_limit: 1\ndeploy: {resources: {limits: {pids: 2}}}",
            "pids_limit and deploy.resources.limits.pids differ",
        ),
        ("scale: 1\ndeploy: {replicas: 2}", "scale and deploy.replicas differ"),
        ("container_name: xx\nscale: 2", "2 containers cannot all be named 'xx'"),
    ],
)
def test_bad_deploys(refused, text, message):
    assert message in refused(text)


def test_equal_limits_may_be_given_twice(given):
    assert given("mem_limit: 1g\ndeploy: {resources: {limits: {memory: 1024m}}}").service.mem_limit == 2**30
