"""Give a message to a channel. Raises DeliveryFailed, whose text names the host and the reason and nothing that is secret."""

from __future__ import annotations

import hashlib
import json
import smtplib
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx

from tailrace.alerts.notify import forms
from tailrace.alerts.notify.channels import PAGERDUTY_URL, Channel, host_of
from tailrace.errors import Invalid, TailraceError, Unavailable

TIMEOUT_S = 10.0


class DeliveryFailed(Unavailable):
    """It was not taken, or nobody knows; it is tried again."""


def send(channel: Channel, told: forms.Told) -> None:
    """Returns once the other side has taken it. Raises DeliveryFailed, or Invalid for a channel that cannot work as it is set.

    What nobody foresaw is told without its text: that may name what nothing may show.
    """
    try:
        _send(channel, told)
    except TailraceError:
        raise
    except Exception as error:
        raise DeliveryFailed(f"it failed: {type(error).__name__}", hint="please report it") from error


def _send(channel: Channel, told: forms.Told) -> None:
    match channel.kind:
        case "alertmanager_webhook":
            _post(channel, channel.text("url"), forms.alertmanager_webhook(told), told)
        case "alertmanager":
            url = channel.text("url").rstrip("/")
            path = "" if urlsplit(url).path.endswith("/alerts") else "/api/v2/alerts"
            _post(channel, url + path, forms.alertmanager_push(told), told)
        case "webhook":
            _post(channel, channel.text("url"), forms.webhook(told, channel.text("template")), told)
        case "slack":
            _post(channel, channel.text("url"), forms.slack(told), told)
        case "pagerduty":
            severity = channel.text("severity", "error")
            for event in forms.pagerduty(told, channel.text("routing_key"), severity):
                _post(channel, channel.text("url", PAGERDUTY_URL), event, told)
        case "email":
            _mail(channel, told)
        case _:
            _apprise(channel, told)


def _post(channel: Channel, url: str, body: Any, told: forms.Told) -> None:
    content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    key = hashlib.sha256(told.message.dedup_key.encode()).hexdigest()[:32]
    headers = {"Content-Type": channel.text("content_type", "application/json"), "Idempotency-Key": key}
    if token := channel.text("token"):
        headers["Authorization"] = f"Bearer {token}"
    try:
        answer = httpx.request(
            channel.text("method", "POST"), url, content=content.encode(), headers=headers, timeout=TIMEOUT_S
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = type(error).__name__ if not isinstance(error, httpx.ConnectError) else "nobody answers"
        raise DeliveryFailed(f"`{host_of(url)}`: {reason}", hint="look at the channel's url and the network") from error
    if answer.status_code >= 300:
        after = answer.headers.get("retry-after", "")
        wait_s = int(after) if after.isascii() and after.isdigit() and len(after) < 6 else 1
        raise DeliveryFailed(f"`{host_of(url)}` answered {answer.status_code}", retry_after_s=wait_s, hint=_why(answer))


def _why(answer: httpx.Response) -> str:
    if answer.status_code in (401, 403, 404, 410):
        return "check the channel's url and its secret"
    return "it is tried again"


def _mail(channel: Channel, told: forms.Told) -> None:
    tls = channel.text("tls", "starttls")
    host = channel.text("host")
    port = int(channel.given.get("port", {"tls": 465, "starttls": 587}.get(tls, 25)))
    mail = forms.email(told, channel.text("from"), channel.given["to"])
    user, password = channel.text("user"), channel.text("password")
    try:
        server: smtplib.SMTP
        if tls == "tls":
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        with server:
            if tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if user:
                server.login(user, password)
            refused = server.send_message(mail)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        code = getattr(error, "smtp_code", None)
        reason = f"answered {code}" if code else getattr(error, "strerror", None) or type(error).__name__
        raise DeliveryFailed(f"`{host}:{port}`: {reason}", hint="look at host, port, tls, user and password") from error
    if refused:
        raise DeliveryFailed(f"`{host}:{port}` refused some of the receivers", hint="look at `to`")


def _apprise(channel: Channel, told: forms.Told) -> None:
    try:
        import apprise
    except ImportError as error:
        raise Invalid(
            f"channel `{channel.name}` needs apprise, which is not installed", hint='pip install "tailrace[alerts]"'
        ) from error
    sender = apprise.Apprise()
    if not sender.add(channel.text("url")):
        raise Invalid(
            f"channel `{channel.name}`: apprise does not know such a url", hint="see apprise's list of services"
        )
    kind = apprise.NotifyType.FAILURE if told.message.firing else apprise.NotifyType.SUCCESS
    if not sender.notify(title=told.title, body=forms.text_of(told), notify_type=kind):
        raise DeliveryFailed("apprise could not deliver it", hint="look at the channel's url")
