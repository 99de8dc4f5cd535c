"""DnsZone on Cloudflare with kopf: the peer of the race. See ../README.md for the reasons of its settings."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
from typing import Any

import aiohttp
import kopf

from cloudflare import ZONE_EXISTS, Cloudflare, CloudflareError, Record

KIND = ("hostwright.dev", "v1alpha1", "dnszones")
PROVIDER = os.environ["PROVIDER"]
CLUSTER = os.environ["CLUSTER_ID"]
RESYNC = float(os.environ.get("RESYNC_SECONDS", "30"))
# Part of the period by which the first look is put off, so that objects made together are not looked at together.
JITTER = 0.1
# Connections to the API server at the same time, its watches included.
API_CONNECTIONS = int(os.environ.get("API_CONNECTIONS", "64"))
# Seconds until a failed handler runs again.
RETRY = 5.0


class Missing(Exception):
    """The zone that status names is gone."""


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    settings.peering.standalone = True
    settings.posting.level = logging.WARNING
    settings.scanning.disabled = True
    settings.persistence.finalizer = "kopf.hostwright.dev/finalizer"
    settings.networking.request_timeout = 60
    settings.watching.server_timeout = 10 * 60
    memo.cloudflare = Cloudflare(
        url=os.environ["CLOUDFLARE_API_URL"],
        token=os.environ["CLOUDFLARE_API_TOKEN"],
        account=os.environ["CLOUDFLARE_ACCOUNT_ID"],
    )


@kopf.on.login()
async def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.AiohttpSession | None:
    """A session of our own for the API server: kopf's opens a connection for each request that is under way, and a
    thousand handshakes at once cost both sides more than they bring."""
    found = kopf.login_with_kubeconfig(settings=settings) or kopf.login_with_service_account(settings=settings)
    if found is None:
        return None
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=API_CONNECTIONS, keepalive_timeout=90, ssl=found.as_ssl_context()),
        headers=found.as_http_headers(),
    )
    return kopf.AiohttpSession(server=found.server, aiohttp_session=session)


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    await memo.cloudflare.close()


def ours(spec: kopf.Spec, **_: Any) -> bool:
    """Whether the object is for our Provider."""
    return spec.get("provider") == PROVIDER


def first_delay(**_: Any) -> float:
    return RESYNC * (1 + random.uniform(0, JITTER))


@kopf.on.create(*KIND, when=ours, backoff=RETRY)
@kopf.on.update(*KIND, when=ours, field="spec", backoff=RETRY)
@kopf.on.resume(*KIND, when=ours, backoff=RETRY)
@kopf.timer(*KIND, when=ours, interval=RESYNC, initial_delay=first_delay, backoff=RETRY)
async def ensure(memo: kopf.Memo, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    """Makes the zone and its records as the spec says. The timer runs beside the other handlers, hence the lock."""
    async with memo.setdefault("lock", asyncio.Lock()):
        known = memo.get("zone") or {
            name: body.status[name] for name in ("zoneId", "origin") if body.status.get(name)
        }
        try:
            try:
                zone, conflicts, foreign = await converge(memo.cloudflare, body, known)
            except Missing:
                zone, conflicts, foreign = await converge(memo.cloudflare, body, {})
        except (CloudflareError, aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise kopf.TemporaryError(str(error), delay=RETRY) from error
        memo.zone = zone
        wanted = status(body, zone, conflicts, foreign)
        current = {name: body.status.get(name) for name in wanted}
        if current != wanted:
            patch.status.update(wanted)


@kopf.on.delete(*KIND, when=ours, backoff=RETRY)
async def remove(memo: kopf.Memo, body: kopf.Body, **_: Any) -> None:
    """Removes our records, then the zone if we made it. kopf removes the finalizer after that."""
    if body.spec.get("deletionPolicy") == "Retain":
        return
    async with memo.setdefault("lock", asyncio.Lock()):
        known = memo.get("zone") or body.status
        zone, origin = known.get("zoneId"), known.get("origin")
        cloudflare: Cloudflare = memo.cloudflare
        try:
            if zone is None:
                found = await cloudflare.find_zone(body.spec["zone"])
                if found is None:
                    return
                zone = found["id"]
                origin = await origin_of(cloudflare, body, found)
            own = mark(body)
            left = 0
            for record in await cloudflare.records(zone):
                if record.comment == own:
                    await cloudflare.delete_record(zone, record.id)
                else:
                    left += 1
            if origin == "Created" and left == 0:
                await cloudflare.delete_zone(zone)
        except CloudflareError as error:
            if not error.missing:
                raise kopf.TemporaryError(str(error), delay=RETRY) from error
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise kopf.TemporaryError(str(error), delay=RETRY) from error


async def converge(
    cloudflare: Cloudflare, body: kopf.Body, known: dict[str, Any]
) -> tuple[dict[str, Any], int, int]:
    """The zone as we know it, the number of records that conflict, and that of foreign ones."""
    zone, fresh = dict(known), False
    if "zoneId" not in zone:
        found = await cloudflare.find_zone(body.spec["zone"])
        if found is None:
            try:
                found, fresh = await cloudflare.create_zone(body.spec["zone"]), True
            except CloudflareError as error:
                if error.code != ZONE_EXISTS:
                    raise
                # An earlier attempt of ours, or somebody else a moment ago; the look-up tells.
                raise kopf.TemporaryError(str(error), delay=1) from error
            zone["origin"] = "Created"
        else:
            origin = await origin_of(cloudflare, body, found)
            if origin is not None:
                zone["origin"] = origin
        zone["zoneId"] = found["id"]
    try:
        # A zone that was made in this moment is empty.
        present = [] if fresh else await cloudflare.records(zone["zoneId"])
    except CloudflareError as error:
        if error.missing:
            raise Missing from error
        raise
    return zone, *await converge_records(cloudflare, body, zone["zoneId"], present)


async def converge_records(
    cloudflare: Cloudflare, body: kopf.Body, zone: str, present: list[Record]
) -> tuple[int, int]:
    own = mark(body)
    mine = [record for record in present if record.comment == own]
    foreign = [record for record in present if record.comment != own]
    wanted = desired(body, own)
    missing = []
    for record in wanted:
        same = next((other for other in mine if other.says_the_same(record)), None)
        if same is None:
            missing.append(record)
        else:
            mine.remove(same)
    conflicts = 0
    for record in missing:
        change = next((other for other in mine if (other.name, other.type) == (record.name, record.type)), None)
        if change is not None:
            mine.remove(change)
            await cloudflare.change_record(zone, change.id, record)
        elif any(
            (other.name, other.type, other.content) == (record.name, record.type, record.content)
            for other in foreign
        ):
            conflicts += 1
        else:
            await cloudflare.create_record(zone, record)
    for record in mine:
        await cloudflare.delete_record(zone, record.id)
    return conflicts, len(foreign)


async def origin_of(cloudflare: Cloudflare, body: kopf.Body, found: dict[str, Any]) -> str | None:
    """Whether a zone that is there is one that we made and were stopped before we could say so: it is younger than
    the object, and holds no record but ours."""
    made = datetime.datetime.fromisoformat(found["created_on"])
    asked = datetime.datetime.fromisoformat(body.metadata["creationTimestamp"])
    if made < asked:
        return None
    own = mark(body)
    return "Created" if all(record.comment == own for record in await cloudflare.records(found["id"])) else None


def mark(body: kopf.Body) -> str:
    return f"hostwright:{CLUSTER}:{body.metadata['uid']}"


def desired(body: kopf.Body, own: str) -> list[Record]:
    zone = body.spec["zone"].rstrip(".")
    records = []
    for record in body.spec.get("records", []):
        name = record.get("name", "").rstrip(".")
        if name in ("", "@"):
            name = zone
        elif name != zone and not name.endswith("." + zone):
            name = f"{name}.{zone}"
        records.append(
            Record(
                name=name,
                type=record["type"],
                content=record["content"],
                ttl=record.get("ttl", 3600),
                priority=record.get("priority", 10 if record["type"] == "MX" else None),
                comment=own,
            )
        )
    return records


def status(body: kopf.Body, zone: dict[str, Any], conflicts: int, foreign: int) -> dict[str, Any]:
    generation = body.metadata["generation"]
    ready = conflicts == 0
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "Applied" if ready else "RecordConflict",
        "message": "The zone is as it shall be." if ready else f"{conflicts} records are there and not ours.",
        "observedGeneration": generation,
    }
    before = next((c for c in body.status.get("conditions", []) if c["type"] == "Ready"), None)
    changed = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if before is not None and before["status"] == condition["status"]:
        changed = before["lastTransitionTime"]
    condition["lastTransitionTime"] = changed
    return {
        **zone,
        "observedGeneration": generation,
        "quota": {"records": {"used": len(body.spec.get("records", []))}},
        "recordErrors": conflicts,
        "foreignRecords": foreign,
        "conditions": [condition],
    }
