"""Google Cloud Storage and Azure Blob Storage: the options of DVC's remotes, and the suite of all stores."""

import base64
import contextlib
import hmac
import itertools
import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime

import obstore.store
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import servers
from placet.adapters.objects import azure, gcs
from placet.adapters.objects.open import open_store
from placet.core.digest import digest
from placet.errors import Invalid, NotFound, Refused, Unavailable
from placet.testing.object_store_suite import ObjectStoreContract, Stores
from placet.wire import data as wire

NUMBERS = itertools.count()
ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(bytes(range(64))).decode()


def opened(remote, **environ):
    return open_store(remote, environ={"HOME": "/nowhere", **environ}, now=wire.SystemClock().now)


@pytest.fixture(scope="module")
def service(seaweed):
    with servers.gcs(seaweed.server.endpoint, *seaweed.server.credentials("writer")) as found:
        yield found


class TestGcs(ObjectStoreContract):
    """obstore's client of GCS against its XML API, translated to a real S3 server's."""

    @pytest.fixture
    def stores(self, seaweed, service, monkeypatch):
        endpoint, token = service
        real = obstore.store.GCSStore

        def signed_in(*args, **options):
            provider = lambda: {"token": token, "expires_at": None}  # noqa: E731
            return real(*args, **{**options, "credential_provider": provider})

        monkeypatch.setattr(obstore.store, "GCSStore", signed_in)
        number = next(NUMBERS)
        source = opened({"url": f"gs://source/gcs{number}", "endpointurl": endpoint})
        client = seaweed.server.client()

        def write(key: str, data: bytes) -> None:
            client.put_object(Bucket="source", Key=f"{source.address.prefix}/{key}", Body=data)

        store = opened({"url": f"gs://target/gcs{number}", "endpointurl": endpoint})
        return Stores(store, source, write)

    def test_a_bucket_that_is_not_there(self, stores):
        store = opened({"url": "gs://no-such-bucket/x", "endpointurl": stores.store.address.service[3:]})
        with pytest.raises((NotFound, Refused)) as caught:
            store.put("key", [b"x"], digest(b"x"))
        assert caught.value.kind in {"no-bucket", "store-denied"}


class TestGcsOptions:
    def test_a_service_account_signs_in(self, told, tmp_path, monkeypatch):
        """Without OAuth here: its file says so, as obstore's documentation has it for emulators. No variable
        of obstore's names another."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = key.private_bytes(*form).decode()
        file = tmp_path / "key.json"
        held = {
            "type": "service_account", "private_key": pem, "private_key_id": "", "client_email": "",
            "disable_oauth": True, "gcs_base_url": "http://127.0.0.1:9",
        }  # fmt: skip
        file.write_text(json.dumps(held))
        another = str(tmp_path / "another.json")
        for name in ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"):
            monkeypatch.setenv(name, another)
        told.answers = [(200, {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"")]
        endpoint = f"http://127.0.0.1:{told.server_port}"
        store = opened(
            {"url": "gs://b/p", "endpointurl": endpoint, "projectname": "x", "credentialpath": str(file)}
        )
        assert store.put("k", [b"x"], digest(b"x"))
        assert told.asked[0][:2] == ("PUT", "/b/p%2Fk")
        assert told.asked[0][2]["x-goog-if-generation-match"] == "0"

    def test_anonymous_reading(self, told):
        told.answers = [(200, {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"data")]
        host = f"127.0.0.1:{told.server_port}"
        store = opened({"url": "gs://b/p", "allow_anonymous_login": True}, STORAGE_EMULATOR_HOST=host)
        assert b"".join(store.get("k")) == b"data"
        assert "authorization" not in told.asked[0][2]

    @pytest.mark.parametrize("options", [{}, {"allow_anonymous_login": True}])
    @pytest.mark.parametrize(
        "name", ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY"]
    )
    def test_variables_of_obstores_alone_sign_nothing(self, options, name):
        with pytest.raises(Invalid, match=f"variable {name}\\.") as caught:
            opened({"url": "gs://b/p", **options}, **{name: "a secret"})
        assert caught.value.kind == "remote-option"
        assert "a secret" not in str(caught.value)

    def test_a_key_in_a_variable_never_replaces_the_remotes(self, tmp_path):
        (tmp_path / "key.json").write_text('{"type": "service_account"}')
        remote = {"url": "gs://b/p", "credentialpath": str(tmp_path / "key.json")}
        with pytest.raises(Invalid, match="variable GOOGLE_SERVICE_ACCOUNT_KEY"):
            opened(remote, GOOGLE_SERVICE_ACCOUNT_KEY="{}")

    def test_an_emulator_gets_no_credential(self, told, monkeypatch):
        """The token of a real account, sent to whoever listens there, would be given away."""
        signed = {}
        real = obstore.store.GCSStore

        def seen(*args, **options):
            signed.update(options)
            return real(*args, **options)

        monkeypatch.setattr(obstore.store, "GCSStore", seen)
        told.answers = [(200, {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"data")]
        environ = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{told.server_port}"}
        store = opened({"url": "gs://b/p", "credentialpath": "/no/such/file"}, **environ)
        assert b"".join(store.get("k")) == b"data"
        assert "authorization" not in told.asked[0][2]
        assert signed["config"]["skip_signature"] is True
        assert "service_account" not in signed["config"]

    @pytest.mark.parametrize("url", ["gs:///p", "azure:///p", "s3:///p"])
    def test_a_bucket_must_be_named(self, url):
        with pytest.raises(Invalid, match="names no bucket") as caught:
            opened({"url": url, "allow_anonymous_login": True})
        assert caught.value.kind == "remote-option"

    def test_files_that_are_no_credentials(self, tmp_path):
        for text in ("no json", "[]"):
            (tmp_path / "key.json").write_text(text)
            with pytest.raises(Invalid, match="no file of Google credentials"):
                opened({"url": "gs://b/p", "credentialpath": str(tmp_path / "key.json")})
        with pytest.raises(Invalid, match="no file of Google credentials"):
            opened({"url": "gs://b/p"}, GOOGLE_APPLICATION_CREDENTIALS="/no/such/file")

    def test_federated_identities_need_google_auth(self, tmp_path, monkeypatch):
        (tmp_path / "key.json").write_text('{"type": "external_account"}')
        monkeypatch.setitem(sys.modules, "google.auth", None)
        with pytest.raises(Invalid) as caught:
            opened({"url": "gs://b/p", "credentialpath": str(tmp_path / "key.json")})
        assert caught.value.kind == "remote-not-installed"
        assert caught.value.mend == 'pip install "dvc[gs]"'

    def test_what_is_refused(self):
        with pytest.raises(Invalid, match="'version_aware'"):
            opened({"url": "gs://b/p", "version_aware": True})
        with pytest.raises(Invalid, match="'acl'"):
            opened({"url": "gs://b/p", "acl": "private"})

    def test_trouble_is_told_apart(self, told, monkeypatch):
        monkeypatch.setitem(gcs.RETRY, "max_retries", 0)
        remote = {
            "url": "gs://b/p", "allow_anonymous_login": True,
            "endpointurl": f"http://127.0.0.1:{told.server_port}",
        }  # fmt: skip
        told.answers = [
            (403, {}, b"<Error><Code>AccessDenied</Code></Error>"),
            (404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"),
            (404, {}, b"<Error><Code>NoSuchKey</Code></Error>"),
        ]
        store = opened(remote)
        for expected in ("store-denied", "no-bucket", "no-object"):
            with pytest.raises((Refused, NotFound)) as caught:
                list(store.get("k"))
            assert caught.value.kind == expected
        with pytest.raises(Unavailable) as dead:
            opened({**remote, "endpointurl": "http://127.0.0.1:9"}).head("k")
        assert dead.value.kind == "store-unreachable"


class TestAzureOptions:
    """What is sent, to a server that records it."""

    def remote(self, told, **options):
        told.answers = [(201, {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"")]
        endpoint = f"http://127.0.0.1:{told.server_port}/{ACCOUNT}"
        return {
            "url": "azure://c/p",
            "connection_string": f"BlobEndpoint={endpoint};{options.pop('more', '')}",
            **options,
        }

    def sent(self, told, remote, **environ):
        opened(remote, **environ).put("k", [b"x"], digest(b"x"))
        return told.asked[0]

    def test_a_connection_string_with_a_key(self, told):
        method, path, headers = self.sent(
            told, self.remote(told, more=f"AccountName={ACCOUNT};AccountKey={KEY}")
        )
        assert (method, path) == ("PUT", f"/{ACCOUNT}/c/p/k")
        assert headers["authorization"].startswith(f"SharedKey {ACCOUNT}:")
        assert headers["if-none-match"] == "*"

    def test_a_signature_comes_without_a_key_of_the_environment(self, told, monkeypatch):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        remote = self.remote(told, more=f"AccountName={ACCOUNT};SharedAccessSignature=sv=1&sig=abc")
        _, path, headers = self.sent(told, remote)
        assert "sig=abc" in path
        assert "authorization" not in headers

    def test_a_connection_string_is_taken_alone(self, told, monkeypatch):
        """Neither another key, nor a signature beside its own, nor the emulator's address joins it."""
        environ = {
            "AZURE_STORAGE_KEY": base64.b64encode(b"other").decode(), "AZURE_STORAGE_ACCOUNT_KEY": "b3RoZXI=",
            "AZURE_STORAGE_SAS_TOKEN": "sig=other", "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURE_STORAGE_ACCOUNT": "another", "AZURE_SKIP_SIGNATURE": "true",
        }  # fmt: skip
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        remote = self.remote(told, more=f"AccountName={ACCOUNT};SharedAccessSignature=sv=1&sig=abc")
        _, path, headers = self.sent(told, remote, **environ)
        assert "sig=abc" in path
        assert "sig=other" not in path
        assert "authorization" not in headers
        remote = self.remote(told, more=f"AccountName={ACCOUNT};AccountKey={KEY}")
        opened(remote, **environ).put("k", [b"x"], digest(b"x"))
        assert told.asked[1][1] == f"/{ACCOUNT}/c/p/k"
        assert told.asked[1][2]["authorization"].startswith(f"SharedKey {ACCOUNT}:")

    def test_the_remotes_own_credential_comes_before_variables(self):
        other = "AccountName=other;AccountKey=b3RoZXI="
        environ = {
            "HOME": "/nowhere",
            "AZURE_STORAGE_CONNECTION_STRING": other,
            "AZURE_STORAGE_KEY": "b3RoZXI=",
        }
        for own, kind in (({"account_key": KEY}, "account_key"), ({"sas_token": "sig=own"}, "sas_key")):
            remote = {"url": "azure://c/p", "account_name": "acc", **own}
            account, _, config, _ = azure._credentials(remote, azure._values(remote, environ))
            assert account == "acc"
            assert config[kind] == next(iter(own.values()))
        with pytest.raises(Invalid, match="another account than the remote's 'acc'"):
            opened({"url": "azure://c/p", "account_name": "acc"}, **environ)

    def test_a_customers_key_of_a_variable_is_refused(self):
        with pytest.raises(Invalid, match="variable AZURE_ENCRYPTION_KEY"):
            opened(
                {"url": "azure://c/p", "account_name": "acc", "account_key": KEY}, AZURE_ENCRYPTION_KEY=KEY
            )

    def test_what_variables_and_the_command_lines_file_say(self, told, tmp_path):
        string = self.remote(told, more=f"AccountName={ACCOUNT};AccountKey={KEY}").pop("connection_string")
        told.answers *= 2
        self.sent(told, {"url": "azure://c/p"}, AZURE_STORAGE_CONNECTION_STRING=string)
        (tmp_path / "config").write_text(f"[storage]\nconnection_string = {string}\n")
        self.sent(told, {"url": "azure://c/p"}, AZURE_CONFIG_DIR=str(tmp_path))
        assert {headers["authorization"].partition(":")[0] for *_, headers in told.asked} == {
            f"SharedKey {ACCOUNT}"
        }

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"account_key": KEY}, {"credential_type": "access_key", "account_key": KEY}),
            ({"sas_token": "?sv=1"}, {"credential_type": "sas_token", "sas_key": "sv=1"}),
            (
                {"tenant_id": "t", "client_id": "c", "client_secret": "s", "account_key": "k"},
                {
                    "credential_type": "client_secret",
                    "tenant_id": "t",
                    "client_id": "c",
                    "client_secret": "s",
                },
            ),
            ({"allow_anonymous_login": True}, {"skip_signature": True}),
        ],
    )
    def test_ways_to_sign_in(self, options, expected):
        remote = {"url": "azure://c/p", "account_name": "acc", **options}
        found = azure._credentials(remote, azure._values(remote, {"HOME": "/nowhere"}))
        assert found == ("acc", "https://acc.blob.core.windows.net", expected, None)
        assert opened(remote).address.service == "azure:https://acc.blob.core.windows.net"

    def test_the_parts_of_connection_strings(self):
        cloud = (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=core.chinacloudapi.cn"
        )
        assert azure._connection(cloud) == {
            "account_name": "a", "endpoint": "https://a.blob.core.chinacloudapi.cn", "account_key": "k==",
        }  # fmt: skip
        assert azure._connection("BlobEndpoint=https://me.blob.core.windows.net/")["account_name"] == "me"

    def test_the_default_chain_needs_azure_identity(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "azure.identity", None)
        remote = {"url": "azure://c/p", "account_name": "acc", "exclude_managed_identity_credential": True}
        with pytest.raises(Invalid) as caught:
            opened(remote)
        assert caught.value.mend == 'pip install "dvc[azure]"'

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"account_name": "a", "worktree": True}, "'worktree'"),
            ({"account_name": "a", "tenant_id": "t"}, "'tenant_id'"),
            ({"account_name": "a", "endpointurl": "http://x"}, "'endpointurl'"),
            ({"connection_string": "UseDevelopmentStorage=true"}, "UseDevelopmentStorage"),
            ({"connection_string": "AccountKey=k"}, "neither an account nor an endpoint"),
        ],
    )
    def test_what_is_refused_by_name(self, options, named):
        with pytest.raises(Invalid, match=named):
            opened({"url": "azure://c/p", **options})

    def test_no_account(self):
        with pytest.raises(NotFound) as caught:
            opened({"url": "azure://c/p"})
        assert caught.value.kind == "no-credentials"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    process = subprocess.Popen(
        [
            "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder),
            "--skipApiVersionCheck", "--disableTelemetry",
        ],
        stdout=subprocess.PIPE, text=True, env={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}", **_path()},
    )  # fmt: skip
    try:
        for line in process.stdout:
            if "successfully listens" in line:
                break
        url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        for name in ("source", "target"):
            _make_container(url, name)
        yield url
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(shutil.which("azurite-blob") is None, reason="Azurite comes from npm: make test-azure")
class TestAzurite(ObjectStoreContract):
    """Microsoft's emulator of Azure Blob Storage."""

    @pytest.fixture
    def stores(self, endpoint):
        number = next(NUMBERS)
        string = f"BlobEndpoint={endpoint};AccountName={ACCOUNT};AccountKey={KEY}"
        source = opened({"url": f"azure://source/p{number}", "connection_string": string})
        store = opened({"url": f"azure://target/p{number}", "connection_string": string})
        return Stores(
            store, source, lambda key, data: source.put(key, [data], digest(data), overwrite=True) and None
        )

    def test_a_container_that_is_not_there(self, endpoint):
        string = f"BlobEndpoint={endpoint};AccountName={ACCOUNT};AccountKey={KEY}"
        store = opened({"url": "azure://none/p", "connection_string": string})
        with pytest.raises(NotFound) as caught:
            store.put("key", [b"x"], digest(b"x"))
        assert caught.value.kind == "no-bucket"
        with pytest.raises(NotFound) as listed:
            list(store.list(""))
        assert listed.value.kind == "no-bucket"

    def test_a_wrong_key(self, endpoint):
        other = base64.b64encode(bytes(range(1, 65))).decode()
        string = f"BlobEndpoint={endpoint};AccountName={ACCOUNT};AccountKey={other}"
        with pytest.raises(Refused) as caught:
            list(opened({"url": "azure://source/p", "connection_string": string}).list(""))
        assert caught.value.kind == "store-denied"


def _path():
    import os

    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def _make_container(url, name):
    """Create Container, signed by Shared Key; obstore makes none."""
    when = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    names = f"x-ms-date:{when}\nx-ms-version:2021-08-06\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + names
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    request = urllib.request.Request(
        f"{url}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": when,
            "x-ms-version": "2021-08-06",
            "authorization": f"SharedKey {ACCOUNT}:{signature}",
        },
    )
    with contextlib.closing(urllib.request.urlopen(request)) as answer:
        assert answer.status == 201
