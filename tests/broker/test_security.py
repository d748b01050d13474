"""TLS and every SASL mechanism, on a real Kafka that asks for them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from benchmarks import kafka_client
from benchmarks.kafka_jars import KafkaUnavailableError
from benchmarks.kafka_server import RealKafka
from stream.errors import UserError
from stream.kafka.client.admin import Admin
from stream.kafka.config import WorkerConfig
from stream.settings import KafkaSection, Settings
from stream.tools import clients, reading
from stream.tools.topic_records import Period, TopicRecords
from tests.conftest import lacking
from tests.e2e.service import Service, ember, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

USER, PASSWORD = "ember", "open sesame"
_STORE = "not-a-secret"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_TOKENS = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key store for the broker, and its certificate for the clients."""
    keytool = shutil.which("keytool")
    if keytool is None:
        lacking("kafka", "keytool is not installed (it comes with Java)")
    folder = tmp_path_factory.mktemp("certificates")
    store = ("-keystore", str(folder / "broker.p12"), "-storepass", _STORE, "-alias", "broker")
    key = ("-keyalg", "EC", "-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1")
    run = [keytool, "-genkeypair", *store, *key, "-storetype", "PKCS12", "-validity", "2"]
    subprocess.run(run, check=True, capture_output=True)
    run = [keytool, "-exportcert", *store, "-rfc", "-file", str(folder / "broker.pem")]
    subprocess.run(run, check=True, capture_output=True)
    other = [keytool, "-genkeypair", "-keystore", str(folder / "other.p12"), *store[2:], *key]
    subprocess.run([*other, "-storetype", "PKCS12"], check=True, capture_output=True)
    run = [keytool, "-exportcert", "-keystore", str(folder / "other.p12"), *store[2:], "-rfc"]
    subprocess.run([*run, "-file", str(folder / "other.pem")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secure(certificates: Path) -> Iterator[RealKafka]:
    """Kafka with a listener that asks for TLS and a login."""
    listener = "listener.name.safe."
    config = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # whoever comes by the plain listener
        f"{listener}ssl.keystore.location": str(certificates / "broker.p12"),
        f"{listener}ssl.keystore.type": "PKCS12",
        f"{listener}ssl.keystore.password": _STORE,
        f"{listener}ssl.key.password": _STORE,
        f"{listener}sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{listener}plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
        f"{listener}scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        f"{listener}scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        f"{listener}oauthbearer.sasl.jaas.config": (
            f'{_TOKENS} required unsecuredLoginStringClaim_sub="broker";'
        ),
    }
    server = RealKafka(config, listeners={"SAFE": "SASL_SSL"})
    try:
        server.start()
    except KafkaUnavailableError as error:
        lacking("kafka", str(error))
    with server:
        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            how = ScramCredentialInfo(mechanism, 4096)
            made = UserScramCredentialUpsertion(USER, how, PASSWORD.encode())
            admin.alter_user_scram_credentials([made])[USER].result(30)
        yield server


def unsecured_token() -> str:
    """A token without a signature, which a broker without a validator of its own takes."""
    now = time.time()

    def part(claims: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'sub': USER, 'iat': now, 'exp': now + 600})}."


def settings(secure: RealKafka, certificates: Path, mechanism: str, **more: str) -> dict[str, str]:
    """The `[kafka]` section for a mechanism."""
    found = {
        "bootstrap_servers": f"127.0.0.1:{secure.ports['SAFE']}",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "ssl_ca_location": str(certificates / "broker.pem"),
    }
    if mechanism == "OAUTHBEARER":
        token = certificates / "token"
        token.write_text(unsecured_token())
        found["sasl_oauth_token_file"] = str(token)
    else:
        found |= {"sasl_username": USER, "sasl_password": PASSWORD}
    return found | more


MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


def allow(secure: RealKafka, plan: dict[str, Any]) -> None:
    """Do what `ember topics plan` says, as the cluster's own people would."""
    admin = AdminClient({"bootstrap.servers": secure.bootstrap})
    for topic in plan["topics"]:
        if not topic["exists"]:
            made = NewTopic(topic["name"], topic["partitions"], config=topic["config"])
            admin.create_topics([made])[topic["name"]].result(30)
    bindings = [
        AclBinding(
            ResourceType[right["kind"].replace("-", "_").upper()],
            right["name"],
            ResourcePatternType.PREFIXED if right["prefixed"] else ResourcePatternType.LITERAL,
            plan["principal"],
            "*",
            _OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for right in plan["rights"]
        for operation in right["operations"]
    ]
    for made in admin.create_acls(bindings).values():
        made.result(30)


_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_both_clients_know_every_mechanism(
    secure: RealKafka, certificates: Path, mechanism: str
) -> None:
    """librdkafka for the commands, aiokafka for the worker."""
    section = KafkaSection(**settings(secure, certificates, mechanism))
    assert clients.fetch_metadata(section).brokers
    config = WorkerConfig.from_settings(Settings(kafka=section))
    async with Admin(config.client_settings()) as admin:
        assert admin.can_fence


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "OAUTHBEARER"])
def test_worker_and_commands_log_in(
    secure: RealKafka, certificates: Path, fleet_model: Path, tmp_path: Path, mechanism: str
) -> None:
    """With the rights of `ember topics plan` and no others, the service runs and the doctor too."""
    topic = f"safe-{mechanism.lower()}"
    kafka = settings(secure, certificates, mechanism, group=topic)
    kafka_client.create_topics(secure.bootstrap, {topic: 2})
    sections = {
        "kafka": kafka,
        "input": {"topics": [topic], "start": "earliest"},
        "model": {"path": str(fleet_model)},
        "checkpoint": {"interval_seconds": 0.3},
        "state": {"standby_replicas": 0},
        "http": {"port": 0},
    }
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    config = tmp_path / "ember.toml"
    config.write_text("\n".join(lines))
    outside = tmp_path / "outside"  # without this ember.toml, and by the plain listener
    outside.mkdir()
    plain = ("--bootstrap-servers", secure.bootstrap)
    (outside / "ember.toml").write_text(
        f'[kafka]\ngroup = "{topic}"\n[input]\ntopics = ["{topic}"]\n'
    )
    planned = ember("topics", "plan", "--json", *plain, cwd=outside)
    allow(secure, json.loads(planned.stdout))
    read = ("--time", "ts", "--key", "key")
    ember("simulate", "--history", "h.csv", "--rows", "30", "--keys", "13", cwd=outside)
    with Service(tmp_path, config) as service:
        ember("replay", "h.csv", *read, "--to", topic, "--flat-out", *plain, cwd=outside)
        wait_until("the commit", lambda: _committed(secure, topic) == 13 * 30, service)
        report = ember("doctor", "--json", cwd=tmp_path)
        assert json.loads(report.stdout.splitlines()[-1])["ok"]
        assert service.stop() == 0
    assert PASSWORD not in service.log.read_text()


def _committed(secure: RealKafka, topic: str) -> int:
    section = KafkaSection(bootstrap_servers=secure.bootstrap)
    consumer = clients.open_consumer(section, topic)
    try:
        return sum(mark or 0 for mark in reading.committed(consumer, topic, 2))
    finally:
        consumer.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_sentence(
    secure: RealKafka, certificates: Path, fleet_model: Path, tmp_path: Path, mechanism: str
) -> None:
    """Worker and commands end with 1 and say so; the password is not shown."""
    kafka = settings(secure, certificates, mechanism, sasl_password="guessed wrong")
    lines = [f"{name} = {json.dumps(value)}" for name, value in kafka.items()]
    text = "\n".join(
        [
            *("[kafka]", *lines, "[model]", f'path = "{fleet_model}"'),
            *("[http]", "port = 0", "[alertmanager]", "port = 0"),
        ]
    )
    (tmp_path / "ember.toml").write_text(text)
    for command in (("run",), ("tail", "triggers"), ("bridge", "alertmanager")):
        done = ember(*command, cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert "The broker refused the login." in done.stderr.splitlines()[-1]
        assert "sasl_username='ember'" in done.stderr
        assert "Traceback" not in done.stderr
        assert "guessed wrong" not in done.stderr + done.stdout


def test_a_broker_nobody_vouches_for_is_not_talked_to(
    secure: RealKafka, certificates: Path
) -> None:
    kafka = settings(secure, certificates, "PLAIN", ssl_ca_location=str(certificates / "other.pem"))
    with pytest.raises(UserError, match="The connection is not safe"):
        clients.fetch_metadata(KafkaSection(**kafka), 5)


def test_a_topic_that_may_not_be_read_is_one_sentence(
    secure: RealKafka, certificates: Path
) -> None:
    """Without any right to the topic, and with that to see it only."""
    section = KafkaSection(**settings(secure, certificates, "SCRAM-SHA-512"))
    kafka_client.create_topics(secure.bootstrap, {"shut": 1})
    kafka_client.produce(secure.bootstrap, "shut", [kafka_client.Send(b"k", b"v")])
    with pytest.raises(
        UserError, match=r"topic 'shut' may not be read. Expected the right to DESC"
    ):
        TopicRecords(section, ["shut"], Period())
    admin = AdminClient({"bootstrap.servers": secure.bootstrap})
    see = AclBinding(
        ResourceType.TOPIC,
        "shut",
        ResourcePatternType.LITERAL,
        f"User:{section.sasl_username}",
        "*",
        AclOperation.DESCRIBE,
        AclPermissionType.ALLOW,
    )
    for made in admin.create_acls([see]).values():
        made.result(30)
    records = None
    for _ in range(50):  # until the broker has heard of it
        try:
            records = TopicRecords(section, ["shut"], Period())
            break
        except UserError:
            time.sleep(0.1)
    assert records is not None
    with pytest.raises(UserError, match=r"refused to be read.*authorization failed"):
        list(records)
