"""Messages as real servers receive them, over HTTP and SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.alerts.notify.channels import Channel, read_routing
from tailrace.alerts.notify.forms import Told
from tailrace.alerts.notify.plan import Message
from tailrace.alerts.notify.senders import DeliveryFailed, send
from tailrace.errors import Invalid
from tests.alerts.receiver import Web, receiving
from tests.alerts.test_plan import NOW_US, alert

SECRET = "T0PSECRET"


@pytest.fixture
def web() -> Iterator[Web]:
    with receiving() as found:
        yield found


def told(*, resolved: bool = False) -> Told:
    one = alert("/a<b>")
    message = Message(
        "ops", '{}:{alertname="r"}', {"alertname": "r"}, () if resolved else (one,), (one,) if resolved else (), None, 7
    )
    return Told(message, "http://node:1", NOW_US, {one.episode: ['{"message": "a \\"line\\" & <b>"}']})


def channel(kind: str, **given: Any) -> Channel:
    return read_routing({"channel": [{"name": "ops", "kind": kind, **given}]}).channels["ops"]


def test_alertmanager_webhook_version_4(web: Web) -> None:
    send(channel("alertmanager_webhook", url=web.url + "/hook"), told())
    path, headers, body = web.taken[0]
    assert path == "/hook"
    assert headers["Idempotency-Key"]
    assert set(body) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations",
        "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "ops")
    (one,) = body["alerts"]
    assert set(one) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert one["labels"] == {"alertname": "r", "endpoint": "/a<b>", "severity": "critical"}
    assert "x of view v over 1m (endpoint = /a<b>): 9 > 5, firing since" in one["annotations"]["explain"]
    assert "a \\" in one["annotations"]["lines"]
    assert one["generatorURL"].startswith("http://node:1/?page=alerts&rule=r")


def test_a_push_to_an_alertmanager_ends_what_is_over(web: Web) -> None:
    push = channel("alertmanager", url=web.url, token=SECRET)
    send(push, told())
    send(push, told(resolved=True))
    assert [path for path, _, _ in web.taken] == ["/api/v2/alerts"] * 2
    assert web.taken[0][1]["Authorization"] == f"Bearer {SECRET}"
    begun, over = (body[0] for _, _, body in web.taken)
    assert begun["startsAt"] == over["startsAt"]
    assert begun["endsAt"] > over["endsAt"]


def test_webhook_with_and_without_a_template(web: Web) -> None:
    send(channel("webhook", url=web.url), told())
    assert web.taken[0][2]["alerts"][0]["lines"] == ['{"message": "a \\"line\\" & <b>"}']
    send(channel("webhook", url=web.url, template='{"t": "{{text}}", "u": "{{url}}"}'), told())
    assert 'a "line" & <b>'.replace('"', '\\"') in web.taken[1][2]["t"]


def test_slack_escapes_what_logs_say(web: Web) -> None:
    send(channel("slack", url=web.url + f"/services/{SECRET}"), told())
    body = web.taken[0][2]
    text = json.dumps(body["blocks"])
    assert "&lt;b&gt;" in text
    assert "<b>" not in text


def test_pagerduty_opens_and_closes_one_incident(web: Web) -> None:
    duty = channel("pagerduty", routing_key=SECRET, url=web.url)
    send(duty, told())
    send(duty, told(resolved=True))
    first, last = (body for _, _, body in web.taken)
    assert (first["event_action"], last["event_action"]) == ("trigger", "resolve")
    assert first["dedup_key"] == last["dedup_key"] == alert("/a<b>").episode
    assert first["payload"]["severity"] == "critical"


@pytest.mark.parametrize("kind", ["webhook", "slack", "alertmanager", "alertmanager_webhook"])
def test_what_is_refused_names_the_host_and_no_secret(web: Web, kind: str) -> None:
    web.status = 404
    to = channel(kind, url=f"{web.url}/{SECRET}?key={SECRET}")
    with pytest.raises(DeliveryFailed) as failed:
        send(to, told())
    said = f"{failed.value.message} {failed.value.hint} {to!r} {to.target}"
    assert "404" in said
    assert SECRET not in said


def test_nobody_there_is_told_without_the_secret() -> None:
    to = channel("slack", url=f"http://127.0.0.1:9/{SECRET}")
    with pytest.raises(DeliveryFailed) as failed:
        send(to, told())
    assert SECRET not in f"{failed.value.message} {failed.value.hint}"
    assert "127.0.0.1:9" in failed.value.message


def test_secrets_from_the_environment_and_from_files(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    monkeypatch.setenv("HOOK_URL", web.url)
    send(channel("webhook", url_env="HOOK_URL", token_file=str(tmp_path / "token")), told())
    assert web.taken[0][1]["Authorization"] == f"Bearer {SECRET}"
    monkeypatch.delenv("HOOK_URL")
    with pytest.raises(Invalid, match="HOOK_URL"):
        send(channel("webhook", url_env="HOOK_URL"), told())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_apprise_hands_it_on(web: Web) -> None:
    pytest.importorskip("apprise", reason="apprise is not installed")
    send(channel("apprise", url=web.url.replace("http://", "json://")), told())
    assert "FIRING:1" in web.taken[0][2]["title"]


def test_apprise_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(Invalid) as refused:
        send(channel("apprise", url="json://127.0.0.1:9"), told())
    assert refused.value.hint == 'pip install "tailrace[alerts]"'


class Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        mails: list[bytes] = self.server.mails  # type: ignore[attr-defined]
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                lines = []
                while (each := self.rfile.readline()) != b".\r\n":
                    lines.append(each)
                mails.append(b"".join(lines))
            elif verb == b"RCPT" and b"nobody" in line:
                self.wfile.write(b"550 no\r\n")
                continue
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


def test_email_over_smtp() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.mails = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        given = {"host": "127.0.0.1", "port": server.server_address[1], "tls": "none", "from": "a@b.example"}
        send(channel("email", **given, to=["c@d.example"]), told())
        with pytest.raises(DeliveryFailed):
            send(channel("email", **given, to=["nobody@d.example"]), told())
        server.shutdown()
        thread.join()
        (mail,) = server.mails  # type: ignore[attr-defined]
    text = mail.decode()
    assert "Subject: [FIRING:1] r" in text
    assert "Message-ID: <" in text
    assert "9 > 5" in text.replace("=\r\n", "")
