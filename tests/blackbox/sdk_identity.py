"""What botocore makes of the environment it is started in, in the words of identity_tool; nothing is called: what it would ask of STS, of the
container endpoint or of the instance is written down instead. Run by test_aws_identity in a process of its own."""
import datetime
import json

import botocore.credentials
import botocore.exceptions
import botocore.session
import botocore.utils

FUTURE = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
ASKED = []


def keys(name):
    return {"roleCredentials": {"accessKeyId": name, "secretAccessKey": "s", "sessionToken": "t", "expiration": int(FUTURE.timestamp() * 1000)},
            "Credentials": {"AccessKeyId": name, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": FUTURE.isoformat()},
            "AssumedRoleUser": {"AssumedRoleId": "a:b", "Arn": "arn"}}


def write_down_what_is_asked():
    create = botocore.session.Session.create_client

    def create_client(self, service, *args, **kwargs):
        client = create(self, service, *args, **kwargs)
        if service in ("sts", "sso"):
            def call(operation, parameters):
                signer = client._request_signer._credentials
                ASKED.append({"operation": operation, "parameters": parameters, "endpoint": client.meta.endpoint_url,
                              "region": client.meta.region_name, "signed_by": signer and signer.access_key})
                return keys(f"role{len(ASKED)}")
            client._make_api_call = call
        return client
    botocore.session.Session.create_client = create_client

    def from_container(self, url, headers=None):
        self._validate_allowed_url(url)
        ASKED.append({"operation": "container", "url": url, "authorization": (headers or {}).get("Authorization")})
        return {"AccessKeyId": "container", "SecretAccessKey": "s", "Token": "t", "Expiration": FUTURE.isoformat()}
    botocore.utils.ContainerMetadataFetcher.retrieve_full_uri = from_container

    def from_instance(self):
        if self._disabled:
            return {}
        ASKED.append({"operation": "instance", "endpoint": self._base_url.rstrip("/"), "timeout_s": self._timeout, "attempts": self._num_attempts})
        return {"role_name": "r", "access_key": "instance", "secret_key": "s", "token": "t", "expiry_time": FUTURE.isoformat()}
    botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials = from_instance


def main():
    write_down_what_is_asked()
    out = {}
    session = botocore.session.Session()
    try:
        session.get_scoped_config()
        out["profile"] = session.get_config_variable("profile") or "default"
        out["region"] = session.get_config_variable("region")
        credentials = session.get_credentials()
        out["method"] = credentials and credentials.method
        frozen = credentials and credentials.get_frozen_credentials()
        out.update(access_key=frozen and frozen.access_key, secret_key=frozen and frozen.secret_key, token=frozen and frozen.token)
    except (botocore.exceptions.BotoCoreError, ValueError) as e:
        out["error"] = f"{type(e).__name__}: {e}"
    out["asked"] = list(ASKED)
    if "error" not in out:
        try:
            out["endpoint"] = session.create_client("sqs", aws_access_key_id="x", aws_secret_access_key="x").meta.endpoint_url
        except (botocore.exceptions.BotoCoreError, ValueError) as e:
            out["endpoint_error"] = f"{type(e).__name__}: {e}"
    print(json.dumps(out))


main()
