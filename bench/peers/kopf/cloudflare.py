"""The few calls of Cloudflare's API v4 that zones and records need, over one keep-alive session."""

from __future__ import annotations

import dataclasses
from typing import Any

import aiohttp

# Connections at the same time; the controller-runtime peer has as many workers.
CONNECTIONS = 32
# Seconds for one call.
TIMEOUT = 30
# Code of "zone already exists" (POST /zones).
ZONE_EXISTS = 1061
# Records that one page may have; a page holds every zone of the race, and of most customers.
PAGE = 5000


class CloudflareError(Exception):
    """The API refused: status, code and text of the first error."""

    def __init__(self, status: int, code: int | None, message: str) -> None:
        super().__init__(f"Cloudflare answered {status}: {message}")
        self.status = status
        self.code = code

    @property
    def missing(self) -> bool:
        """The zone or the record is not there. Cloudflare answers 403 for a zone that it does not know."""
        return self.status in (403, 404)


@dataclasses.dataclass(frozen=True)
class Record:
    """A record, as it is or as it shall be; the id is empty for the latter."""

    name: str
    type: str
    content: str
    ttl: int
    priority: int | None = None
    comment: str = ""
    id: str = ""

    def says_the_same(self, other: Record) -> bool:
        """Whether a resolver sees no difference."""
        return (self.name, self.type, self.content, self.ttl, self.priority) == (
            other.name,
            other.type,
            other.content,
            other.ttl,
            other.priority,
        )

    def body(self) -> dict[str, Any]:
        """What is sent to make it so."""
        body: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "content": self.content,
            "ttl": self.ttl,
            "comment": self.comment,
        }
        if self.priority is not None:
            body["priority"] = self.priority
        return body


class Cloudflare:
    """A client; one for the whole operator."""

    def __init__(self, url: str, token: str, account: str) -> None:
        self._url = url.rstrip("/")
        self._account = account
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=90),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        )

    async def close(self) -> None:
        await self._session.close()

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        async with self._session.request(method, self._url + path, **arguments) as answer:
            body = await answer.json(content_type=None)
            if answer.status >= 400 or not body.get("success"):
                first = (body.get("errors") or [{}])[0]
                raise CloudflareError(answer.status, first.get("code"), str(first.get("message", "")))
            return body["result"]

    async def find_zone(self, name: str) -> dict[str, Any] | None:
        """The zone of this name."""
        zones = await self._call("GET", "/zones", params={"name": name})
        return zones[0] if zones else None

    async def create_zone(self, name: str) -> dict[str, Any]:
        return await self._call(
            "POST", "/zones", json={"name": name, "account": {"id": self._account}, "type": "full"}
        )

    async def delete_zone(self, zone: str) -> None:
        await self._call("DELETE", f"/zones/{zone}")

    async def records(self, zone: str) -> list[Record]:
        """All records of the zone."""
        found = await self._call("GET", f"/zones/{zone}/dns_records", params={"per_page": str(PAGE)})
        return [
            Record(
                id=record["id"],
                name=record["name"],
                type=record["type"],
                content=record["content"],
                ttl=record["ttl"],
                priority=record.get("priority"),
                comment=record.get("comment") or "",
            )
            for record in found
        ]

    async def create_record(self, zone: str, record: Record) -> None:
        await self._call("POST", f"/zones/{zone}/dns_records", json=record.body())

    async def change_record(self, zone: str, id: str, record: Record) -> None:
        await self._call("PATCH", f"/zones/{zone}/dns_records/{id}", json=record.body())

    async def delete_record(self, zone: str, id: str) -> None:
        await self._call("DELETE", f"/zones/{zone}/dns_records/{id}")
