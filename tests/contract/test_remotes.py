"""Options of a DVC remote, each on a real S3 server or in the requests that are sent."""

import base64
import ipaddress
import os
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dvc.config_schema import REMOTE_SCHEMAS

from placet.adapters.objects import azure, gcs, s3open
from placet.adapters.objects.open import open_store
from placet.config import dvc_config
from placet.core.digest import digest
from placet.dataplane import DataPlane
from placet.errors import Invalid, NotFound, Refused, Unavailable
from placet.ports import StoreTraits
from placet.wire import data as wire

KEY = base64.b64encode(bytes(range(32))).decode()
BIG = os.urandom(9 << 20)
KMS = {"sse": "aws:kms", "sse_kms_key_id": "a-key"}
SEALED = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
NOWHERE = {"url": "s3://b/p", "endpointurl": "http://127.0.0.1:9"}
OWN = {"access_key_id": "AK", "secret_access_key": "s"}


def opened(remote, **environ):
    return open_store(remote, environ={"HOME": "/nowhere", **environ}, now=wire.SystemClock().now)


@pytest.mark.parametrize("kind", ["s3", "gs", "azure"])
def test_every_option_of_dvcs_schema_has_an_answer(kind):
    """What DVC accepts is honoured or refused by name; none is unknown to us."""
    known = {"s3": s3open._KNOWN, "gs": gcs._KNOWN, "azure": azure._KNOWN}[kind]
    everywhere = {"url", "verify", "jobs", "checksum_jobs", "no_traverse", "listobjects"}
    schema = {str(one) for one in REMOTE_SCHEMAS[kind]}
    assert schema - known - everywhere == {"version_aware", "worktree"}
    assert known - schema == set()


@pytest.mark.parametrize(
    ("options", "reader", "shown"),
    [
        ({"sse": "AES256"}, {}, {"ServerSideEncryption": "AES256"}),
        (KMS, {}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key"}),
        ({"sse_customer_key": KEY}, SEALED, {"SSECustomerAlgorithm": "AES256"}),
        ({"sse_customer_key": KEY, "sse_customer_algorithm": "AES256"}, SEALED, {}),
    ],
    ids=["s3", "kms", "customer", "customer-algorithm"],
)
def test_encryption_of_both_clients(seaweed, options, reader, shown):
    """Short bodies go by obstore, long ones by parts of our own; both are encrypted, and read back."""
    remote = {**seaweed.remote("target"), **options}
    store, client = wire.open_store(remote), seaweed.server.client()
    for key, data in {"short": b"short", "long": BIG}.items():
        assert store.put(key, [data], digest(data))
        assert store.head(key).size == len(data)
        assert b"".join(store.get(key)) == data
        found = client.head_object(Bucket="target", Key=f"{store.address.prefix}/{key}", **reader)
        assert shown.items() <= found.items()
    assert store.traits().verifies_sha256
    if reader:
        other = wire.open_store({key: value for key, value in remote.items() if not key.startswith("sse")})
        with pytest.raises(Exception, match="InvalidArgument"):
            list(other.get("short"))


def test_objects_under_a_customers_key_are_streamed(seaweed):
    """The service has no key to copy with; the copy is verified all the same."""
    sealed = wire.open_store({**seaweed.remote("source"), "sse_customer_key": KEY})
    plain = wire.open_store(seaweed.remote("target"))
    sealed.put("key", [BIG], digest(BIG))
    assert plain.copy_from(sealed, "key", digest(BIG)) is None
    assert sealed.copy_from(plain, "key", digest(BIG)) is None


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"acl": "bucket-owner-full-control"}, "x-amz-acl", "bucket-owner-full-control"),
        ({"grant_read": 'id="abc"'}, "x-amz-grant-read", 'id="abc"'),
        ({"grant_read_acp": 'id="abc"'}, "x-amz-grant-read-acp", 'id="abc"'),
        ({"grant_write_acp": 'id="abc"'}, "x-amz-grant-write-acp", 'id="abc"'),
        ({"grant_full_control": 'id="abc"'}, "x-amz-grant-full-control", 'id="abc"'),
    ],
)
def test_grants_are_signed_into_each_write(told, options, header, value):
    store = remote_of(told, options)
    store.put("k", [b"x"], digest(b"x"))
    store.put("k", [BIG], digest(BIG), overwrite=True)
    one, begin, *rest = told.asked
    for _, _, headers in (one, begin):
        assert headers[header] == value
        assert header in headers["authorization"]
    assert one[2]["x-amz-checksum-sha256"]
    assert one[2]["if-none-match"] == "*"
    assert not any(header in headers for _, _, headers in rest)


def test_grants_on_a_real_server(seaweed):
    store = wire.open_store({**seaweed.remote("target"), "acl": "bucket-owner-full-control"})
    assert store.put("key", [b"first"], digest(b"first")) is True
    assert store.put("key", [b"second"], digest(b"second")) is False
    assert store.put("long", [BIG], digest(BIG)) is True
    assert b"".join(store.get("key")) == b"first"


def remote_of(told, options=None, **environ):
    """A store on the told server, with answers for one put of each kind."""
    told.answers = [done(), done(b"<R><UploadId>u</UploadId></R>"), done(), done(), COMPLETED]
    remote = {"url": "s3://b/p", "endpointurl": f"http://127.0.0.1:{told.server_port}", **OWN}
    return open_store(
        {**remote, **(options or {})}, environ=environ, now=wire.SystemClock().now, traits=StoreTraits()
    )


def done(body=b"", **headers):
    return 200, {"etag": '"e"', **{name.replace("_", "-"): value for name, value in headers.items()}}, body


COMPLETED = done(b"<CompleteMultipartUploadResult/>")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sse": "rot13"}, "'sse'"),
        ({"sse_kms_key_id": "k"}, "'sse_kms_key_id'"),
        ({"sse": "AES256", "sse_kms_key_id": "k"}, "'sse_kms_key_id'"),
        ({"sse": "AES256", "sse_customer_key": KEY}, "'sse_customer_key'"),
        ({"sse_customer_key": "short"}, "sse_customer_key"),
        ({"sse_customer_key": KEY, "sse_customer_algorithm": "DES"}, "'sse_customer_algorithm'"),
        ({"sse_customer_algorithm": "AES256"}, "'sse_customer_algorithm'"),
        ({"acl": "private", "grant_read": "id=x"}, "'grant_read'"),
        ({"version_aware": True}, "'version_aware'"),
        ({"worktree": True}, "'worktree'"),
        ({"no_such_option": "x"}, "'no_such_option'"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(options, named):
    with pytest.raises(Invalid, match=named) as caught:
        opened({"url": "s3://b/p", "endpointurl": "http://127.0.0.1:9", **OWN, **options})
    assert caught.value.kind == "remote-option"
    assert KEY not in str(caught.value)


class TestWhereAndWho:
    """Endpoint, region, addressing, certificates: in botocore's order."""

    @pytest.fixture
    def home(self, tmp_path):
        (tmp_path / ".aws").mkdir()
        for name in ("lab.pem", "env.pem"):
            (tmp_path / name).write_bytes(Path(certifi.where()).read_bytes())
        (tmp_path / ".aws/config").write_text(
            f"[profile lab]\nregion = eu-west-1\nendpoint_url = http://profile:1\nca_bundle = {tmp_path}/lab.pem\n"
            "s3 =\n  addressing_style = virtual\n"
            "[profile lab2]\nendpoint_url = http://profile:1\nservices = mine\n"
            "[services mine]\ns3 =\n  endpoint_url = http://services:1\n"
        )
        return tmp_path

    def service(self, home, options=None, **environ):
        remote = {"url": "s3://b/p", **OWN, **(options or {})}
        return opened(remote, **{"HOME": str(home), **environ})._service

    def test_a_profile_says_where(self, home):
        found = self.service(home, {"profile": "lab"})
        assert (found.endpoint, found.region, found.verify) == (
            "http://profile:1",
            "eu-west-1",
            f"{home}/lab.pem",
        )
        assert found.virtual_host

    def test_what_is_nearer_wins(self, home):
        lab = {"profile": "lab2", "region": "r"}
        assert self.service(home, lab).endpoint == "http://services:1"
        assert self.service(home, lab, AWS_ENDPOINT_URL="http://all:1").endpoint == "http://all:1"
        both = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_S3": "http://s3:1"}
        assert self.service(home, lab, **both).endpoint == "http://s3:1"
        own = {**lab, "endpointurl": "http://own:1"}
        assert self.service(home, own, **both).endpoint == "http://own:1"
        ignored = {**both, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
        assert self.service(home, lab, **ignored).endpoint == "https://s3.r.amazonaws.com"

    def test_regions(self, home):
        lab = {"profile": "lab"}
        assert self.service(home, lab, AWS_DEFAULT_REGION="us-west-2").region == "us-west-2"
        assert self.service(home, lab, AWS_REGION="us-west-2").region == "us-west-2"
        assert self.service(home, {**lab, "region": "cn-north-1"}, AWS_REGION="x").region == "cn-north-1"
        cn = self.service(home, {"region": "cn-north-1", "use_ssl": False})
        assert cn.endpoint == "http://s3.cn-north-1.amazonaws.com.cn"

    @pytest.mark.parametrize("kind", ["fips", "dualstack", "accelerate"])
    def test_another_endpoint_of_aws_is_not_replaced_by_the_usual_one(self, home, kind):
        name = f"use_{kind}_endpoint"
        there = {"region": "r"}
        with pytest.raises(Invalid, match=name) as caught:
            self.service(home, there, **{f"AWS_{name.upper()}": "True"})
        assert caught.value.kind == "remote-option"
        assert self.service(home, there, **{f"AWS_{name.upper()}": "false"}).endpoint
        own = {**there, "endpointurl": "https://s3-fips.r.amazonaws.com"}
        assert self.service(home, own, **{f"AWS_{name.upper()}": "true"}).endpoint == own["endpointurl"]
        for text in (f"{name} = true\n", f"s3 =\n  {name} = true\n"):
            (home / ".aws/config").write_text(f"[profile lab]\n{text}")
            with pytest.raises(Invalid, match=name):
                self.service(home, {**there, "profile": "lab"})

    def test_certificates(self, home):
        lab = {"profile": "lab"}
        assert self.service(home, {**lab, "ssl_verify": False}).verify is False
        assert self.service(home, lab, AWS_CA_BUNDLE=f"{home}/env.pem").verify == f"{home}/env.pem"
        assert self.service(home, {"region": "r"}).verify is True

    def test_proxies(self, home):
        there = {"endpointurl": "https://store:1", "region": "r"}
        assert self.service(home, there, HTTPS_PROXY="http://proxy:1").proxy == "http://proxy:1"
        assert self.service(home, there, http_proxy="http://proxy:1").proxy is None
        assert self.service(home, there, all_proxy="http://proxy:1", no_proxy="store").proxy is None
        assert self.service(home, there).proxy is None


def test_a_bucket_tells_its_region(told):
    told.answers = [(403, {"x-amz-bucket-region": "eu-north-1"}, b"")]
    assert s3open.bucket_region(told.store()._service) == "eu-north-1"
    assert told.asked[0][:2] == ("HEAD", "/b")
    assert "authorization" not in told.asked[0][2]


def test_both_clients_go_through_the_proxy(told):
    proxy = f"http://127.0.0.1:{told.server_port}"
    store = remote_of(told, {"endpointurl": "http://nowhere.invalid"}, http_proxy=proxy)
    store.put("k", [b"x"], digest(b"x"))
    store.put("k", [BIG], digest(BIG), overwrite=True)
    assert {path.partition("/b/p")[0] for _, path, _ in told.asked} == {"http://nowhere.invalid"}


def test_both_clients_show_the_proxy_its_credential(told):
    """The URL's characters may be encoded; a scheme may be missing."""
    proxy = f"us%40er:p%C3%A4ss@127.0.0.1:{told.server_port}"
    store = remote_of(told, {"endpointurl": "http://nowhere.invalid"}, http_proxy=proxy)
    store.put("k", [b"x"], digest(b"x"))
    store.put("k", [BIG], digest(BIG), overwrite=True)
    shown = {headers["proxy-authorization"] for *_, headers in told.asked}
    assert shown == {f"Basic {base64.b64encode('us@er:päss'.encode()).decode()}"}
    assert "ss@" not in repr(store._service)


@pytest.mark.parametrize("exempt", ["127.0.0.1:{port}", "127.0.0.1", "*"])
def test_both_clients_go_around_the_proxy(told, monkeypatch, exempt):
    environ = {"http_proxy": "http://127.0.0.1:9", "no_proxy": exempt.format(port=told.server_port)}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    store = remote_of(told, **environ)
    store.put("k", [b"x"], digest(b"x"))
    store.put("k", [BIG], digest(BIG), overwrite=True)
    assert [path.partition("?")[0] for _, path, _ in told.asked] == ["/b/p/k"] * 5


@pytest.mark.parametrize(
    "proxy",
    ["socks5://u:secret@127.0.0.1:9", "http://u:secret@host:port", "http://u:secret@host:99999", "http://"],
)
def test_a_proxy_that_cannot_be_used(proxy):
    with pytest.raises(Invalid, match="The proxy") as caught:
        opened({**NOWHERE, **OWN}, http_proxy=proxy)
    assert caught.value.kind == "remote-option"
    assert "secret" not in str(caught.value)


def test_an_endpoint_with_a_bad_port():
    with pytest.raises(Invalid, match="no endpoint") as caught:
        opened({**NOWHERE, **OWN, "endpointurl": "http://host:port"})
    assert caught.value.kind == "remote-option"


def test_variables_never_lead_one_client_elsewhere(seaweed, monkeypatch):
    """obstore reads the environment for itself; the remote's own options are what counts."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_REQUEST_PAYER": "requester", "AWS_S3_EXPRESS": "true", "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    store = wire.open_store(seaweed.remote("target"))
    assert store.put("key", [b"x"], digest(b"x"))
    assert b"".join(store.get("key")) == b"x"
    assert store.head("key").size == 1


def certified(folder, server):
    """The server speaks TLS now; returns the file of the CA that vouches for it."""
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])  # noqa: E731
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in "ab"]
    made = []
    for key, subject in zip(keys, ("a CA", "127.0.0.1"), strict=True):
        builder = x509.CertificateBuilder(
            name("a CA"), name(subject), key.public_key(), x509.random_serial_number(),
            datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip
        builder = builder.add_extension(
            x509.BasicConstraints(ca=key is keys[0], path_length=None), critical=True
        )
        place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made.append(builder.add_extension(place, critical=False).sign(keys[0], hashes.SHA256()))
    pem = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(pem + made[1].public_bytes(Encoding.PEM))
    (folder / "ca.pem").write_bytes(made[0].public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return str(folder / "ca.pem")


def test_a_ca_file_keeps_bodies_from_other_servers(told, tmp_path, monkeypatch):
    """Also where the system's roots vouch for the server: the file is the narrower."""
    file = certified(tmp_path, told)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    there = {"endpointurl": f"https://127.0.0.1:{told.server_port}"}
    store = remote_of(told, {**there, "ssl_verify": certifi.where()})
    with pytest.raises(Unavailable):
        store.put("k", [b"x"], digest(b"x"))
    assert told.asked == []
    store = remote_of(told, {**there, "ssl_verify": file})
    told.answers = [done()]
    assert store.put("k", [b"x"], digest(b"x"))
    assert told.asked[0][2]["if-none-match"] == "*"


@pytest.mark.parametrize(
    "text", ["", "junk", "-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_file_without_a_certificate(tmp_path, text):
    (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(Invalid, match="CA file") as caught:
        opened({**NOWHERE, **OWN, "ssl_verify": str(tmp_path / "ca.pem")})
    assert caught.value.kind == "remote-option"


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_KMS_KEY_ID", "AWS_SSE_CUSTOMER_KEY_BASE64",
        "AWS_SSE_BUCKET_KEY_ENABLED",
    ],
)  # fmt: skip
def test_variables_that_one_client_would_encrypt_by_are_refused(name):
    with pytest.raises(Invalid, match=f"variable {name}\\.") as caught:
        opened({**NOWHERE, **OWN}, **{name: KEY})
    assert caught.value.kind == "remote-option"
    assert "`sse`" in caught.value.mend
    assert KEY not in str(caught.value)


def test_what_obstore_does_not_take_is_one_of_our_errors(monkeypatch):
    monkeypatch.setenv("AWS_DISABLE_TAGGING", "perhaps")
    with pytest.raises(Invalid) as caught:
        opened({**NOWHERE, **OWN})
    assert caught.value.kind == "remote-option"


@pytest.mark.parametrize(
    "held",
    [
        {"access_key_id": "AK"},
        {"secret_access_key": "s"},
        {"session_token": "t"},
        {"secret_access_key": "s", "session_token": "t"},
    ],
)
def test_half_a_credential_is_not_completed_by_somebody_elses(held):
    with pytest.raises(Invalid, match="half a credential") as caught:
        opened({**NOWHERE, **held}, AWS_ACCESS_KEY_ID="other", AWS_SECRET_ACCESS_KEY="other")
    assert caught.value.kind == "remote-option"


PROCESS = """
import json, pathlib, sys
count = pathlib.Path(sys.argv[1])
number = int(count.read_text() or 0) + 1 if count.exists() else 1
count.write_text(str(number))
if number > int(sys.argv[3]):
    sys.exit("the vault is closed")
print(json.dumps({"Version": 1, "AccessKeyId": f"KEY{number}", "SecretAccessKey": "s", "SessionToken": "t",
                  "Expiration": sys.argv[2]}))
"""


class TestChain:
    """Credentials that only AWS's own chain finds, by botocore: renewed before they expire."""

    @pytest.fixture
    def vault(self, tmp_path, monkeypatch):
        """A `credential_process` with numbered keys that last five minutes: botocore asks twice, then each time."""
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        script = tmp_path / "vault.py"
        script.write_text(PROCESS)
        expiry = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        (tmp_path / ".aws").mkdir()

        def write(good=99):
            command = f"{sys.executable} {script} {tmp_path / 'count'} {expiry} {good}"
            (tmp_path / ".aws/config").write_text(f"[profile lab]\ncredential_process = {command}\n")
            return tmp_path

        return write

    def store(self, told, home, time):
        remote = {"url": "s3://b/p", "endpointurl": f"http://127.0.0.1:{told.server_port}", "profile": "lab"}
        return open_store(remote, environ={"HOME": str(home)}, now=lambda: time[0], traits=StoreTraits())

    def keys(self, told):
        return [
            headers["authorization"].split("Credential=")[1].partition("/")[0] for *_, headers in told.asked
        ]

    def test_both_clients_use_what_is_valid_now(self, told, vault):
        time = [datetime.now(UTC) - timedelta(hours=1)]
        store = self.store(told, vault(), time)
        told.answers = [done(), (404, {}, b""), done(), (404, {}, b"")]
        store.put("k", [b"x"], digest(b"x"), overwrite=True)
        store.head("k")
        time[0] += timedelta(minutes=2)
        store.put("k", [b"x"], digest(b"x"), overwrite=True)
        store.head("k")
        assert self.keys(told) == ["KEY2", "KEY2", "KEY3", "KEY3"]
        assert all(headers["x-amz-security-token"] == "t" for *_, headers in told.asked)

    def test_a_source_that_fails_later_is_said_by_both(self, told, vault):
        time = [datetime.now(UTC) - timedelta(hours=1)]
        store = self.store(told, vault(good=2), time)
        time[0] += timedelta(minutes=2)
        with pytest.raises(Refused, match="the vault is closed"):
            store.head("k")
        with pytest.raises(Refused, match="no credentials"):
            list(store.get("k"))

    def test_a_source_that_fails_at_once(self, told, vault):
        with pytest.raises(Refused) as caught:
            self.store(told, vault(good=0), [datetime.now(UTC)])
        assert caught.value.kind == "credentials-failed"
        assert "the vault is closed" in caught.value.why

    def test_a_role_comes_before_the_keys_of_its_profile(self, told, vault):
        """As in AWS's tools: the role is the one that was meant, and it is not got without its service."""
        home = vault()
        (home / ".aws/config").write_text(
            "[profile lab]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = nobody\n"
            "aws_access_key_id = AK\naws_secret_access_key = s\n"
        )
        with pytest.raises(Refused) as caught:
            self.store(told, home, [datetime.now(UTC)])
        assert caught.value.kind == "credentials-failed"

    def test_without_botocore_it_is_named(self, told, vault, monkeypatch):
        monkeypatch.setitem(sys.modules, "botocore.session", None)
        with pytest.raises(NotFound) as caught:
            self.store(told, vault(), [datetime.now(UTC)])
        assert caught.value.kind == "no-credentials"
        assert 'pip install "dvc[s3]"' in caught.value.mend

    def test_nobody_has_any(self, told, tmp_path, monkeypatch):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for profile in ({}, {"profile": "none"}):
            with pytest.raises(NotFound) as caught:
                opened({"url": "s3://b", "endpointurl": "http://127.0.0.1:9", **profile}, HOME=str(tmp_path))
            assert caught.value.kind == "no-credentials"


class TestConfiguration:
    """Options of a remote as DVC's configuration has them, through the data plane."""

    @pytest.fixture
    def project(self, tmp_path, monkeypatch):
        for level in ("GLOBAL", "SYSTEM"):
            monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
        monkeypatch.delenv("PLACET_JOBS", raising=False)
        root = tmp_path / "project"
        (root / ".dvc").mkdir(parents=True)
        return root

    def write(self, project: Path, text: str, file: str = "config") -> None:
        (project / ".dvc" / file).write_text(text)

    def test_a_remote_that_builds_on_another(self, project):
        self.write(
            project,
            "['remote \"base\"']\nurl = s3://bucket/base\nregion = eu-west-1\njobs = 3\n"
            "['remote \"part\"']\nurl = remote://base/sub\njobs = 5\n",
        )
        self.write(
            project, "['remote \"base\"']\naccess_key_id = AK\nsecret_access_key = s\n", "config.local"
        )
        with DataPlane(project) as plane:
            store = plane._wire.store("part")
            assert (store.address.bucket, store.address.prefix) == ("bucket", "base/sub")
            assert store._service.region == "eu-west-1"
            assert store._service.credentials.access_key == "AK"
            assert plane._wire.jobs("part", str) == 5
            assert plane._wire.jobs("base", str) == 3

    def test_remotes_in_a_circle(self, project):
        self.write(project, "['remote \"a\"']\nurl = remote://b/x\n['remote \"b\"']\nurl = remote://a/y\n")
        with DataPlane(project) as plane, pytest.raises(Invalid, match="refer to each other"):
            plane._wire.remote("a")

    def test_jobs_of_placet_come_first(self, project, tmp_path):
        self.write(project, "['remote \"a\"']\nurl = ../../a\njobs = 3\n['remote \"b\"']\nurl = ../../b\n")
        with DataPlane(project, jobs=9) as plane:
            assert plane._wire.jobs("a", str) == 9
        with DataPlane(project) as plane:
            assert plane._wire.jobs("a", str) == 3
            assert plane._wire.jobs("b", str) == plane.settings.jobs
            assert plane._wire.jobs(None, lambda: "a") == 3
            assert plane._wire.jobs(None, plane._wire.default_remote) == plane.settings.jobs
        (project / "placet.toml").write_text("jobs = 7\n")
        with DataPlane(project) as plane:
            assert plane._wire.jobs("a", str) == 7

    def test_a_servers_jobs_are_modest(self, project):
        self.write(project, "['remote \"far\"']\nurl = ssh://host/path\n")
        with DataPlane(project) as plane:
            assert plane._wire.jobs("far", str) == 16

    def test_secrets_are_not_remembered(self, project):
        """The memo of DVC's configuration holds no customer's key."""
        self.write(project, f"['remote \"a\"']\nurl = s3://b\nsse_customer_key = {KEY}\n")
        assert dvc_config(project)["remote"]["a"]["sse_customer_key"] == KEY
        assert not (project / ".dvc/tmp/placet/config.json").exists()
