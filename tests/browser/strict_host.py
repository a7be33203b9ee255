"""A page's own server, with the policies that the package's README names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadout_build import ROOT

_POLICIES = re.findall(r"```csp\n(.*)\n```", (ROOT / "web/README.md").read_text("utf-8"))
OWN_POLICY, CDN_POLICY = (f"default-src 'none'; {policy}" for policy in _POLICIES)


@dataclass
class Host:
    """A page's own server; `policy` goes with every answer."""

    origin: str = ""
    policy: str = OWN_POLICY


class WithPolicy:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, host: Host) -> None:
        self.app = app
        self.host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", self.host.policy.encode())
                message["headers"] = [*message["headers"], policy]
            await send(message)

        await self.app(scope, receive, send_with_policy)
