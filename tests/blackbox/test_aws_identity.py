"""Who we are and where AWS is, compared with botocore, the library of the AWS CLI: the same variables and files give the same credentials (or
ask the same service for them with the same parameters), the same region and the same endpoint of SQS. Where botocore 1.29 of Debian 12 is
older than what all SDKs do today, the row says what they do."""
import json
import os
import pathlib
import subprocess
import tempfile

from support import DEBUG_BUILD, figure

HERE = pathlib.Path(__file__).resolve().parent
KEYS = "aws_access_key_id = AK{0}\naws_secret_access_key = SK{0}\n"
EU = "region = eu-west-1\n"
REGIONAL = {"AWS_STS_REGIONAL_ENDPOINTS": "regional"}
ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "SKENV"}
METHODS = {"env": ("keys", "environment"), "shared-credentials-file": ("keys", "profile"), "config-file": ("keys", "config, profile"),
           "assume-role": ("role", None), "assume-role-with-web-identity": ("web identity", None), "sso": ("SSO", None),
           "custom-process": ("credential_process", None), "container-role": ("container endpoint", None), "iam-role": ("instance metadata", None)}
TABLE = []


class Row:
    """config, credentials: the files' text. differs: what sluice says instead of botocore, and why. error: both refuse it, and what sluice
    names."""

    def __init__(self, name, variables=None, config="", credentials="", error=None, differs=None, files=None):
        self.name, self.variables, self.config, self.credentials = name, variables or {}, config, credentials
        self.error, self.differs, self.files = error, differs or {}, files or {}
        TABLE.append(self)


def role(arn="arn:aws:iam::123456789012:role/job", **more):
    return "".join(f"{k} = {v}\n" for k, v in {"role_arn": arn, **more}.items())


def declare_keys():
    Row("nothing", {"AWS_EC2_METADATA_DISABLED": "true"})
    Row("keys of the environment", {**ENV_KEYS, "AWS_DEFAULT_REGION": "eu-west-1"})
    Row("with a session token", {**ENV_KEYS, "AWS_SESSION_TOKEN": "TOK"})
    Row("with the old name of the token", {**ENV_KEYS, "AWS_SECURITY_TOKEN": "OLD", "AWS_SESSION_TOKEN": "TOK"})
    Row("half of a pair", {"AWS_ACCESS_KEY_ID": "AKENV"}, error="AWS_SECRET_ACCESS_KEY")
    Row("empty variables are unset", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, credentials="[default]\n" + KEYS.format(1))
    Row("keys of the environment beside a profile", {**ENV_KEYS, "AWS_PROFILE": "a"}, credentials="[a]\n" + KEYS.format(1))
    Row("credentials file", credentials="[default]\n" + KEYS.format(1) + "aws_session_token = T1\n" + EU)
    Row("credentials file, other profile", {"AWS_PROFILE": "a"}, credentials="[default]\n" + KEYS.format(1) + "[a]\n" + KEYS.format(2))
    Row("AWS_DEFAULT_PROFILE", {"AWS_DEFAULT_PROFILE": "a", "AWS_PROFILE": "b"},
        credentials="[a]\n" + KEYS.format(1) + "[b]\n" + KEYS.format(2))
    Row("config file", config="[default]\n" + KEYS.format(1) + EU)
    Row("config file, profile x", {"AWS_PROFILE": "x"}, config="[default]\nregion = us-west-2\n[profile x]\n" + KEYS.format(1) + EU)
    Row("a quoted name", {"AWS_PROFILE": "my own"}, config="[profile \"my own\"]\n" + KEYS.format(1) + EU)
    Row("the credentials file comes before the config file", config="[default]\n" + KEYS.format(1) + EU, credentials="[default]\n" + KEYS.format(2))
    Row("and its region, too", config="[default]\n" + EU, credentials="[default]\nregion = us-west-1\n" + KEYS.format(2))
    Row("a profile that is nowhere", {"AWS_PROFILE": "gone"}, config="[default]\n" + KEYS.format(1), error="gone")
    Row("half of a pair in the file", credentials="[default]\naws_access_key_id = AK1\n", error="aws_secret_access_key")
    Row("how people write files", config="# a comment\n; another\n\n[default]\r\nREGION: eu-west-1  \r\naws_access_key_id=AK1\n"
                                         "aws_secret_access_key = a=b#c;d\ns3 =\n    max_concurrent_requests = 20\n    addressing_style = path\n")
    Row("a line that is none", config="[default]\nregion\n", error="line 2")
    Row("a key before its section", config="region = eu-west-1\n[default]\n", error="line 1")
    Row("a section twice", config="[default]\nregion = eu-west-1\n[default]\n", error="line 3")
    Row("a key twice", config="[default]\nregion = eu-west-1\nregion = eu-west-2\n", error="line 3")
    Row("files elsewhere", {"AWS_CONFIG_FILE": "{home}/c", "AWS_SHARED_CREDENTIALS_FILE": "~/k"},
        files={"c": "[default]\n" + EU, "k": "[default]\n" + KEYS.format(7)})


def declare_roles():
    Row("role by another profile", {**REGIONAL, "AWS_PROFILE": "r"},
        config="[profile r]\n" + role(source_profile="base", external_id="ext", role_session_name="me", duration_seconds="900") + EU,
        credentials="[base]\n" + KEYS.format(1))
    Row("role of the default profile", REGIONAL, config="[default]\n" + role(source_profile="base") + EU + "[profile base]\n" + KEYS.format(1))
    Row("role on top of a role", {**REGIONAL, "AWS_PROFILE": "c"}, config="[profile a]\n" + KEYS.format(1) + "[profile b]\n"
        + role("arn:aws:iam::1:role/b", source_profile="a") + "[profile c]\n" + role("arn:aws:iam::2:role/c", source_profile="b") + EU)
    Row("role by its own keys", {**REGIONAL, "AWS_PROFILE": "a"}, config="[profile a]\n" + KEYS.format(1) + role(source_profile="a") + EU)
    Row("a circle", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role(source_profile="b") + EU + "[profile b]\n" + role(source_profile="a"),
        error="leads back")
    Row("role by the environment", {**REGIONAL, **ENV_KEYS, "AWS_PROFILE": "a"}, config="[profile a]\n" + role(credential_source="Environment") + EU)
    Row("role by the instance", {**REGIONAL, "AWS_PROFILE": "a"}, config="[profile a]\n" + role(credential_source="Ec2InstanceMetadata") + EU)
    Row("role by the container", {**REGIONAL, "AWS_PROFILE": "a", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"},
        config="[profile a]\n" + role(credential_source="EcsContainer") + EU)
    Row("both kinds of source", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role(credential_source="Environment", source_profile="a") + EU,
        error="one of both")
    Row("no source", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role() + EU, error="neither source_profile")
    Row("an unknown source", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role(credential_source="Moon") + EU, error="Moon")
    Row("a source profile that is nowhere", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role(source_profile="gone") + EU, error="gone")
    Row("a source profile without credentials", {"AWS_PROFILE": "a"}, config="[profile a]\n" + role(source_profile="b") + EU + "[profile b]\n" + EU,
        error="no credentials")
    Row("role by a process", {**REGIONAL, "AWS_PROFILE": "a"}, config="[profile a]\n" + role(source_profile="p") + EU + "[profile p]\n"
        "credential_process = {home}/give AKPROC\n")
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/pod", "AWS_DEFAULT_REGION": "eu-west-1", **REGIONAL}
    Row("web identity", web, files={"token": "jwt"})
    Row("web identity with a name", {**web, "AWS_ROLE_SESSION_NAME": "pod-7"}, files={"token": "jwt"})
    Row("web identity of a profile", {**REGIONAL, "AWS_PROFILE": "w"}, files={"token": "jwt"},
        config="[profile w]\n" + role(web_identity_token_file="{home}/token") + EU)
    Row("web identity without a role", {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token"}, files={"token": "jwt"}, error="AWS_ROLE_ARN")
    Row("web identity before the credentials file", web, credentials="[default]\n" + KEYS.format(1), files={"token": "jwt"})
    Row("role in China", {**REGIONAL, "AWS_PROFILE": "r", "AWS_DEFAULT_REGION": "cn-north-1"},
        config="[profile r]\n" + role("arn:aws-cn:iam::1:role/x", source_profile="base"), credentials="[base]\n" + KEYS.format(1))
    Row("the global endpoint of STS", {"AWS_STS_REGIONAL_ENDPOINTS": "legacy", "AWS_PROFILE": "r"},
        config="[profile r]\n" + role(source_profile="base") + EU, credentials="[base]\n" + KEYS.format(1))


def declare_services():
    sso = "sso_account_id = 111122223333\nsso_role_name = ops\n"
    Row("SSO", config="[default]\n" + sso + "sso_start_url = https://a.awsapps.com/start\nsso_region = eu-central-1\n" + EU,
        files={".aws/sso/cache/{sha1:https://a.awsapps.com/start}.json": "{token}"})
    Row("SSO by a session", config="[default]\nsso_session = s\n" + sso + EU + "[sso-session s]\nsso_region = eu-central-1\n"
        "sso_start_url = https://a.awsapps.com/start\n", files={".aws/sso/cache/{sha1:s}.json": "{token}"})
    Row("SSO without a region", config="[default]\n" + sso + "sso_start_url = https://a.awsapps.com/start\n", error="sso_region")
    Row("SSO by a session that is nowhere", config="[default]\nsso_session = gone\n" + sso, error="gone")
    Row("a process", config="[default]\ncredential_process = {home}/give AKPROC\n" + EU)
    Row("a process with quoted words", config="[default]\ncredential_process = {home}/give 'AK WITH SPACE'\n" + EU)
    Row("the process comes after the credentials file", config="[default]\ncredential_process = {home}/give AKPROC\n",
        credentials="[default]\n" + KEYS.format(1))
    Row("the process comes before the config file's keys", config="[default]\ncredential_process = {home}/give AKPROC\n" + KEYS.format(1))
    Row("ECS", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"})
    Row("a full address", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:8123/get", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"})
    Row("both addresses", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:8123/get", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/y"})
    Row("a container endpoint far away", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/get"}, error="https://")
    Row("EKS Pod Identity", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
        differs={"kind": "container endpoint", "url": "http://169.254.170.23/v1/credentials"})
    Row("instance metadata", {"AWS_DEFAULT_REGION": "eu-west-1"})
    Row("instance metadata elsewhere", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338/", "AWS_METADATA_SERVICE_TIMEOUT": "3",
                                        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "4"})
    Row("instance metadata by IPv6", {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"})
    Row("no instance metadata", {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "eu-west-1"})


def declare_endpoints():
    for region in ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1", "me-central-1", "xx-new-9"):
        Row(f"endpoint in {region}", {**ENV_KEYS, "AWS_DEFAULT_REGION": region})
    for region in ("us-east-1", "us-gov-west-1", "cn-north-1"):
        where = {**ENV_KEYS, "AWS_DEFAULT_REGION": region}
        Row(f"FIPS in {region}", {**where, "AWS_USE_FIPS_ENDPOINT": "true"})
        Row(f"dual-stack in {region}", {**where, "AWS_USE_DUALSTACK_ENDPOINT": "true"})
        Row(f"both in {region}", {**where, "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"})
    Row("FIPS by the profile", ENV_KEYS, config="[default]\nuse_fips_endpoint = true\n" + EU)
    Row("no dual-stack there", {**ENV_KEYS, "AWS_DEFAULT_REGION": "us-iso-east-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
        differs={"endpoint_error": "dual-stack"})
    Row("a region that is none", {**ENV_KEYS, "AWS_DEFAULT_REGION": "eu west"}, differs={"region_error": "eu west"})
    Row("AWS_REGION", {**ENV_KEYS, "AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-1"},
        differs={"region": "eu-west-3", "endpoint": "https://sqs.eu-west-3.amazonaws.com"})
    given = {**ENV_KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}
    Row("AWS_ENDPOINT_URL", {**given, "AWS_ENDPOINT_URL": "http://localhost:4566/"}, differs={"endpoint": "http://localhost:4566"})
    Row("AWS_ENDPOINT_URL_SQS", {**given, "AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_SQS": "http://localhost:2"},
        differs={"endpoint": "http://localhost:2"})
    services = "[default]\nservices = mine\nendpoint_url = http://localhost:5\n" + EU + "[services mine]\nsqs =\n  endpoint_url = http://localhost:4\n"
    Row("endpoint of the profile's services", ENV_KEYS, config=services, differs={"endpoint": "http://localhost:4"})
    Row("endpoints ignored", {**ENV_KEYS, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://localhost:1"}, config=services,
        differs={"endpoint": "https://sqs.eu-west-1.amazonaws.com"})
    Row("an endpoint and FIPS", {**given, "AWS_ENDPOINT_URL": "http://localhost:1", "AWS_USE_FIPS_ENDPOINT": "true"},
        differs={"endpoint_error": "one of both"})


# ---- running both ----

GIVE = """#!/bin/sh
echo "{\\"Version\\": 1, \\"AccessKeyId\\": \\"$1\\", \\"SecretAccessKey\\": \\"S\\", \\"SessionToken\\": \\"T\\"}"
"""


def prepare(row, home):
    import hashlib

    def fill(text):
        while "{sha1:" in text:
            start = text.index("{sha1:")
            end = text.index("}", start)
            text = text[:start] + hashlib.sha1(text[start + 6:end].encode()).hexdigest() + text[end + 1:]
        token = json.dumps({"accessToken": "sso-token", "expiresAt": "2099-01-01T00:00:00Z"})
        return text.replace("{home}", home).replace("{token}", token)
    files = {".aws/config": row.config, ".aws/credentials": row.credentials, **row.files}
    for name, text in files.items():
        if text:
            path = pathlib.Path(home, fill(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(text), newline="")
    pathlib.Path(home, "give").write_text(GIVE)
    os.chmod(pathlib.Path(home, "give"), 0o755)
    return {"HOME": home, "PATH": "/usr/bin:/bin", **{k: fill(v) for k, v in row.variables.items()}}


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr[-800:]}"
    return json.loads(done.stdout)


def compare_role(ours, asked, environment):
    """One call of STS, and what sluice would ask it."""
    p = asked["parameters"]
    assert (ours["role_arn"], ours.get("external_id")) == (p["RoleArn"], p.get("ExternalId")), p
    assert ours["duration_s"] == p.get("DurationSeconds", 3600), p
    made_up = p["RoleSessionName"].startswith("botocore-session-") or asked["operation"].endswith("WebIdentity") and "RoleSessionName" not in p
    assert ours["session_name"] == ("sluice" if made_up else p["RoleSessionName"]), p
    # The global endpoint is signed for us-east-1, whatever botocore calls the client's region.
    region = "us-east-1" if asked["endpoint"] == "https://sts.amazonaws.com" else asked["region"]
    assert (ours["sts_endpoint"], ours["sts_region"]) == (asked["endpoint"], region), asked


def compare_credentials(row, ours, theirs, environment):
    sources, asked = ours["sources"], theirs["asked"]
    if theirs["method"] is None:
        assert sources == [], sources
        return
    kind, said_by = METHODS[theirs["method"]]
    first = sources[0]
    assert first["kind"] == kind and (said_by is None or said_by in first["said_by"]), f"{first} for {theirs['method']}"
    if kind == "keys":
        assert [first.get(k) for k in ("access_key", "secret_key", "token")] == [theirs[k] for k in ("access_key", "secret_key", "token")]
    elif kind == "credential_process":
        assert first["command"].split()[0] == environment["HOME"] + "/give"
    elif kind in ("role", "web identity"):
        calls = [a for a in asked if a["operation"].startswith("AssumeRole")]
        roles = [s for s in sources if "role_arn" in s]
        assert len(calls) == len(roles), f"{calls} for {roles}"
        for one, call in zip(roles, reversed(calls)):
            compare_role(one, call, environment)
        if kind == "role" and sources[-1]["kind"] == "keys":
            assert calls[0]["signed_by"] == sources[-1]["access_key"]
    for a in asked:
        if a["operation"] == "container":
            assert (sources[-1]["url"], sources[-1].get("authorization")) == (a["url"], a["authorization"])
        elif a["operation"] == "instance":
            assert sources[-1]["instance_endpoint"] == a["endpoint"]
            assert (sources[-1]["timeout_s"], sources[-1]["attempts"]) == (a["timeout_s"], a["attempts"])
        elif a["operation"] == "GetRoleCredentials":
            assert (first["account_id"], first["role_name"]) == (a["parameters"]["accountId"], a["parameters"]["roleName"])
            assert first["sso_region"] == a["region"] and pathlib.Path(first["cache_path"]).exists()


def compare(row, ours, theirs, environment):
    if row.error:
        said = " ".join(str(ours.get(k, "")) for k in ("error", "credentials_error"))
        assert "error" in theirs, f"botocore took it: {theirs}"
        assert row.error in said, f"no {row.error!r} in {said!r}; botocore says {theirs['error']}"
        return
    for key, value in row.differs.items():
        found = ours["sources"][0][key] if key in ("kind", "url") else ours.get(key)
        assert value == found or ("error" in key and value in (found or "")), f"{key}: {found}, not {value}"
    if {"region_error", "kind"} & set(row.differs):
        return
    assert "error" not in theirs and "credentials_error" not in ours and "error" not in ours, (ours, theirs)
    compare_credentials(row, ours, theirs, environment)
    if "region" not in row.differs:
        assert ours.get("region") == theirs["region"], f"region {ours.get('region')}, not {theirs['region']}"
    assert ours["profile"] == theirs["profile"]
    if not {"endpoint", "endpoint_error"} & set(row.differs) and theirs["region"] is not None:
        assert ours["endpoint"] == theirs["endpoint"], f"endpoint {ours['endpoint']}, not {theirs['endpoint']}"


def test_aws_identity_is_that_of_the_sdk():
    for declare in (declare_keys, declare_roles, declare_services, declare_endpoints):
        declare()
    wrong, same = [], 0
    for row in TABLE:
        with tempfile.TemporaryDirectory() as home:
            environment = prepare(row, home)
            ours = run([str(DEBUG_BUILD / "tests" / "identity_tool")], environment)
            theirs = run(["/usr/bin/python3", str(HERE / "sdk_identity.py")], environment)
            try:
                compare(row, ours, theirs, environment)
                same += not row.differs
            except (AssertionError, KeyError, IndexError) as e:
                wrong.append(f"{row.name}: {type(e).__name__} {e}")
    figure(f"identity: {len(TABLE)} environments, {same} as botocore has them, {len(TABLE) - same} by newer rules")
    assert not wrong, "\n".join([f"{len(wrong)} are wrong:"] + wrong)
    assert same >= 40
