"""The official SDK as a client of the simulated cloud.

Each test is a function whose name is its claim; `run` makes the environment they need. The
simulated cloud is as good as the real one for Refit only as far as the official client cannot tell
them apart, and its answers are those of the OpenAPI file.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

# The SDK leaves an id in the home directory.
HOME = tempfile.TemporaryDirectory(prefix="refit-sdk-")
os.environ["HOME"] = HOME.name

import requests
import yaml
from huaweicloudsdkcore.auth import internal
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.auth.provider import MetadataCredentialProvider
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkdcs import v2 as dcs
from openapi_schema_validator import OAS30Validator

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "0f5181caba0024e72f89c0045e707b91"
KEY = ("SDKACCESSKEY00000001", "simulated-secret")
SECOND_KEY = "SDKACCESSKEY00000002"

# Upgrades of this world take three seconds at most; a cloud that is this late is broken.
PATIENCE_SECONDS = 60


class Cloud:
    """A running `refit simulate`."""

    def __init__(self, *arguments):
        target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
        command = [target / "debug/refit", "simulate"]
        command += ["--world", ROOT / "tests/sdk/world.toml", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        prefix = "listening on "
        assert first.startswith(prefix), first
        self.url = first.removeprefix(prefix).strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(timeout=PATIENCE_SECONDS) == 0

    def client(self, key=KEY):
        return self.client_with(BasicCredentials(*key, PROJECT))

    def client_with(self, credentials):
        builder = dcs.DcsClient.new_builder().with_credentials(credentials)
        return builder.with_endpoint(self.url).build()


def instances(client, **query):
    answer = client.list_instances(dcs.ListInstancesRequest(limit=1000, **query))
    return {instance.name: instance for instance in answer.instances}


def upgrade(client, instance_id, **parts):
    body = dcs.UpgradeMinorVersionRequestBody(**parts)
    request = dcs.UpgradeInstanceMinorVersionRequest(instance_id=instance_id, body=body)
    return client.upgrade_instance_minor_version(request).task_id


def tasks(client, instance_id):
    request = dcs.ListBackgroundTaskRequest(instance_id=instance_id, limit=100)
    return client.list_background_task(request).tasks


def version(client, instance_id):
    return client.show_instance_version(dcs.ShowInstanceVersionRequest(instance_id=instance_id))


def wait_for_end(client, instance_id, task_id):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        [task] = [task for task in tasks(client, instance_id) if task.id == task_id]
        if task.status in ("SUCCESS", "FAILED"):
            return task
        assert task.status == "EXECUTING", task
        time.sleep(0.05)
    raise AssertionError(f"task {task_id} never ended")


def refusal(call):
    try:
        call()
    except ClientRequestException as error:
        return error
    raise AssertionError("the call was not refused")


def the_list_pages_and_filters(cloud):
    client = cloud.client()
    page = client.list_instances(dcs.ListInstancesRequest(offset=2, limit=3))
    assert (page.instance_num, len(page.instances)) == (8, 3), page
    assert len(instances(client)) == 8
    assert set(instances(client, name="cart")) == {f"cart-{n:04}" for n in range(1, 5)}
    assert set(instances(client, name="current", name_equal="true")) == {"current"}
    assert set(instances(client, status="FROZEN")) == {"frozen"}
    assert set(instances(client, tags="env=test")) == {"proxy"}


def an_instance_shows_what_it_is(cloud):
    client = cloud.client()
    shown = client.show_instance(
        dcs.ShowInstanceRequest(instance_id=instances(client)["proxy"].instance_id)
    )
    assert (shown.status, shown.cache_mode, shown.engine) == ("RUNNING", "proxy", "Redis"), shown
    assert shown.service_upgrade is False and not shown.service_task_id, shown


def an_upgrade_runs_to_its_end_and_moves_both_versions(cloud):
    client = cloud.client()
    instance_id = instances(client)["proxy"].instance_id
    before = version(client, instance_id)
    assert before.engine_minor_version_upgradable and before.proxy_minor_version_upgradable
    began = datetime.now(timezone.utc).strftime("%Y%m%d%H%M%S")
    task_id = upgrade(
        client, instance_id, engine_minor_version="latest", proxy_minor_version="latest"
    )
    again = refusal(lambda: upgrade(client, instance_id, engine_minor_version="latest"))
    assert (again.status_code, again.error_code) == (400, "DCS.4116"), again
    progress = client.show_background_task_progress(
        dcs.ShowBackgroundTaskProgressRequest(instance_id=instance_id, task_id=task_id)
    )
    assert 0 <= progress.progress <= 100, progress
    assert wait_for_end(client, instance_id, task_id).status == "SUCCESS"
    centre = client.list_center_task(dcs.ListCenterTaskRequest(limit=1000, start_time=began))
    assert task_id in [task.id for task in centre.tasks], centre
    after = version(client, instance_id)
    assert after.engine_minor_version == before.latest_engine_minor_version, after
    assert after.proxy_minor_version == before.latest_proxy_minor_version, after
    assert not after.engine_minor_version_upgradable, after


def a_failed_upgrade_says_so_and_moves_nothing(cloud):
    client = cloud.client()
    instance_id = instances(client)["failing"].instance_id
    before = version(client, instance_id)
    task_id = upgrade(client, instance_id, engine_minor_version="latest")
    assert wait_for_end(client, instance_id, task_id).status == "FAILED"
    assert version(client, instance_id).engine_minor_version == before.engine_minor_version


def the_record_of_a_finished_task_can_be_deleted(cloud):
    client = cloud.client()
    instance_id = instances(client)["cart-0001"].instance_id
    task_id = upgrade(client, instance_id, engine_minor_version="latest")
    wait_for_end(client, instance_id, task_id)
    client.delete_background_task(
        dcs.DeleteBackgroundTaskRequest(instance_id=instance_id, task_id=task_id)
    )
    assert tasks(client, instance_id) == []


def refusals_carry_their_codes(cloud):
    client = cloud.client()
    known = instances(client)
    for name, code in [("current", "DCS.4053"), ("frozen", "DCS.4120")]:
        instance_id = known[name].instance_id
        refused = refusal(lambda: upgrade(client, instance_id, engine_minor_version="latest"))
        assert (refused.status_code, refused.error_code) == (400, code), refused
    unknown = "00000000-0000-4000-a000-000000000000"
    refused = refusal(lambda: version(client, unknown))
    assert (refused.status_code, refused.error_code) == (404, "DCS.3022"), refused


def a_wrong_secret_is_refused_and_locks_the_key(cloud):
    client = cloud.client((SECOND_KEY, "wrong"))
    errors = [refusal(lambda: instances(client)) for _ in range(6)]
    assert all((error.status_code, error.error_code) == (401, "APIGW.0301") for error in errors)
    assert "failed to reach the limit" in errors[-1].error_msg, errors[-1]
    assert instances(cloud.client())


def the_project_is_found_by_its_region(cloud):
    credentials = BasicCredentials(*KEY).with_iam_endpoint(cloud.url)
    builder = dcs.DcsClient.new_builder().with_credentials(credentials)
    client = builder.with_region(Region("sim-1", cloud.url)).build()
    assert len(instances(client)) == 8


def keys_of_the_machine_come_from_the_metadata_address(cloud):
    internal.MetadataAccessor._METADATA_ENDPOINT = cloud.url
    credentials = MetadataCredentialProvider.get_basic().get_credentials()
    credentials.project_id = PROJECT
    assert len(instances(cloud.client_with(credentials))) == 8


def counters_and_loads_can_be_read(cloud):
    client = cloud.client()
    counts = client.list_number_of_instances_in_different_status(
        dcs.ListNumberOfInstancesInDifferentStatusRequest()
    )
    assert (counts.frozen_count, counts.redis.frozen_count) == (1, 1), counts
    loads = client.list_statistics_of_running_instances(
        dcs.ListStatisticsOfRunningInstancesRequest()
    )
    assert len(loads.statistics) == 7, loads
    windows = client.list_maintenance_windows(dcs.ListMaintenanceWindowsRequest())
    assert len(windows.maintain_windows) == 6, windows


def dereferenced(schema, document):
    """The schema with every reference replaced by what it refers to."""
    if isinstance(schema, list):
        return [dereferenced(item, document) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return dereferenced(target, document)
    return {key: dereferenced(value, document) for key, value in schema.items()}


class Contract:
    """The OpenAPI file, by operation."""

    def __init__(self):
        document = yaml.safe_load((ROOT / "tests/fixtures/openapi.yaml").read_text())
        self.operations = {
            operation["operationId"]: dereferenced(operation["responses"], document)
            for path in document["paths"].values()
            for method, operation in path.items()
            if method in ("get", "post", "delete")
        }
        self.checked = set()

    def check(self, operation, answer):
        responses = self.operations[operation]
        response = responses.get(str(answer.status_code), responses["default"])
        for header, about in response.get("headers", {}).items():
            required = about.get("required") or header == "X-Request-Id"
            assert not required or header in answer.headers, (operation, header)
        if answer.status_code == 204:
            assert not answer.content, operation
        else:
            schema = response["content"]["application/json"]["schema"]
            assert answer.headers["Content-Type"] == "application/json", operation
            errors = list(OAS30Validator(schema).iter_errors(answer.json()))
            assert not errors, f"{operation} {answer.status_code}: {errors[0]}"
        self.checked.add((operation, answer.status_code))


def answers_are_those_of_the_contract(cloud):
    contract = Contract()
    login = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {
                        "domain": {"name": "simulated"},
                        "name": "sdk",
                        "password": "simulated-password",
                    }
                },
            },
            "scope": {"project": {"name": "sim-1"}},
        }
    }
    issued = requests.post(f"{cloud.url}/v3/auth/tokens?nocatalog=true", json=login)
    assert issued.status_code == 201, issued.text
    contract.check("KeystoneCreateUserTokenByPassword", issued)
    headers = {"X-Auth-Token": issued.headers["X-Subject-Token"]}
    login["auth"]["identity"]["password"]["user"]["password"] = "wrong"
    wrong = requests.post(f"{cloud.url}/v3/auth/tokens", json=login)
    assert wrong.status_code == 401
    contract.check("KeystoneCreateUserTokenByPassword", wrong)

    project = f"{cloud.url}/v2/{PROJECT}"

    def get(operation, url, status=200):
        answer = requests.get(url, headers=headers)
        assert answer.status_code == status, (operation, answer.status_code, answer.text)
        contract.check(operation, answer)
        return answer

    rows = get("ListInstances", f"{project}/instances?limit=1000").json()["instances"]
    ids = {row["name"]: row["instance_id"] for row in rows}
    for row in rows:
        get("ShowInstance", f"{project}/instances/{row['instance_id']}")
        get("ShowInstanceVersion", f"{project}/instances/{row['instance_id']}/version")

    def post(instance_id, status):
        url = f"{project}/instances/{instance_id}/minor-version/upgrade"
        answer = requests.post(url, headers=headers, json={"engine_minor_version": "latest"})
        assert answer.status_code == status, answer.text
        contract.check("UpgradeInstanceMinorVersion", answer)
        return answer

    cart = f"{project}/instances/{ids['cart-0002']}"
    task = post(ids["cart-0002"], 200).json()["task_id"]
    post(ids["cart-0002"], 400)
    post("00000000-0000-4000-a000-000000000000", 404)
    # While it runs, and once it has ended.
    for _ in range(2):
        get("ShowInstance", cart)
        get("ListInstances", f"{project}/instances?limit=1000")
        get("ListBackgroundTask", f"{cart}/tasks")
        get("ShowBackgroundTaskProgress", f"{cart}/tasks/{task}/progress")
        get("ListCenterTask", f"{project}/tasks?limit=1000")
        wait_for_end(cloud.client(), ids["cart-0002"], task)
    deleted = requests.delete(f"{cart}/tasks/{task}", headers=headers)
    contract.check("DeleteBackgroundTask", deleted)
    get("ShowBackgroundTaskProgress", f"{cart}/tasks/{task}/progress", 404)
    get("ListNumberOfInstancesInDifferentStatus", f"{project}/instances/status")
    get("ListStatisticsOfRunningInstances", f"{project}/instances/statistic")
    get("ListBackupRecords", f"{cart}/backups", 204)
    get("ListMaintenanceWindows", f"{cloud.url}/v2/instances/maintain-windows")
    get("KeystoneListProjects", f"{cloud.url}/v3/projects?name=sim-1")
    refused = requests.get(f"{project}/instances")
    assert refused.status_code == 401
    contract.check("ListInstances", refused)
    not_simulated = {"ShowJobInfo", "CopyInstance"}
    missing = set(contract.operations) - {name for name, _ in contract.checked} - not_simulated
    assert not missing, missing


def a_limit_that_is_reached_meets_the_client_as_documented():
    with Cloud("--knob", "upgrade_limit=1/1h", "--knob", "retry_after=seconds") as cloud:
        client = cloud.client()
        known = instances(client)
        upgrade(client, known["cart-0003"].instance_id, engine_minor_version="latest")
        refused = refusal(
            lambda: upgrade(client, known["cart-0004"].instance_id, engine_minor_version="latest")
        )
        assert (refused.status_code, refused.error_code) == (429, "APIGW.0308"), refused
        assert "limit:1,time:1 hour" in refused.error_msg, refused


def contradictory_types_are_readable_for_the_official_client():
    with Cloud("--knob", "types=contradictory", "--knob", "error_codes=numeric") as cloud:
        client = cloud.client()
        known = instances(client)
        assert len(known) == 8
        instance_id = known["current"].instance_id
        refused = refusal(lambda: upgrade(client, instance_id, engine_minor_version="latest"))
        assert refused.error_code == "111400053", refused


TESTS_ON_ONE_CLOUD = [
    the_list_pages_and_filters,
    an_instance_shows_what_it_is,
    an_upgrade_runs_to_its_end_and_moves_both_versions,
    a_failed_upgrade_says_so_and_moves_nothing,
    the_record_of_a_finished_task_can_be_deleted,
    refusals_carry_their_codes,
    a_wrong_secret_is_refused_and_locks_the_key,
    the_project_is_found_by_its_region,
    keys_of_the_machine_come_from_the_metadata_address,
    counters_and_loads_can_be_read,
    answers_are_those_of_the_contract,
]

TESTS_WITH_KNOBS = [
    a_limit_that_is_reached_meets_the_client_as_documented,
    contradictory_types_are_readable_for_the_official_client,
]


def main():
    with Cloud() as cloud:
        for test in TESTS_ON_ONE_CLOUD:
            test(cloud)
            print(f"ok {test.__name__}")
    for test in TESTS_WITH_KNOBS:
        test()
        print(f"ok {test.__name__}")


if __name__ == "__main__":
    sys.exit(main())
