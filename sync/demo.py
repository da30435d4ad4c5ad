"""The embedded sample databases: a small web shop to look at when there are no settings yet.

What happened on a day depends on that day alone, never on when the files were made. Python rolls,
from its date, how busy the day was; SQLite makes the rows, from their ids: millions in seconds.
"""

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from filelock import FileLock

TABLES: tuple[tuple[str, str], ...] = (
    ("orders", "created_at"), ("order_items", "ordered_at"), ("page_views", "viewed_at"),
    ("refunds", "refunded_at"), ("stock_levels", "counted_on"),
)  # fmt: skip
_SCHEMA = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL, customer TEXT NOT NULL,
    country TEXT NOT NULL, amount DECIMAL(12,2) NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, note TEXT);
CREATE TABLE order_items (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, ordered_at TIMESTAMP NOT NULL,
    product TEXT NOT NULL, quantity INTEGER NOT NULL, list_price DECIMAL(12,2) NOT NULL);
CREATE TABLE page_views (
    id INTEGER PRIMARY KEY, viewed_at TIMESTAMP NOT NULL, visitor INTEGER NOT NULL,
    path TEXT NOT NULL, duration_ms INTEGER);
CREATE TABLE refunds (
    order_id INTEGER PRIMARY KEY, refunded_at TIMESTAMP NOT NULL,
    amount DECIMAL(12,2) NOT NULL, reason TEXT);
CREATE TABLE stock_levels (
    counted_on DATE NOT NULL, warehouse TEXT NOT NULL, product TEXT NOT NULL,
    quantity INTEGER NOT NULL, PRIMARY KEY (counted_on, warehouse, product));
""" + "".join(f"CREATE INDEX {table}_{column} ON {table} ({column});\n" for table, column in TABLES)

_EPOCH = date(2000, 1, 1)
_ORDERS, _VIEWS = 1_400, 19_500  # of a plain day
_ROOM = 10_000  # orders have the ids day × 10,000 + n; items and views have ten times that room
_WEEK = (0.98, 0.92, 0.94, 1.0, 1.12, 1.3, 1.22)  # from Monday
_PEAKS = {(6, 18): 1.7, (11, 11): 2.2, (11, 28): 1.9, (12, 12): 1.6, (12, 25): 0.4, (1, 1): 0.5}
_HOURS = (6, 4, 2, 2, 2, 3, 6, 11, 16, 19, 21, 22, 24, 22, 20, 20, 21, 23, 27, 32, 34, 29, 20, 12)
_Pool = tuple[str, Sequence[object]]
_POOLS: dict[str, _Pool] = {  # columns and rows to pick from
    "customer": ("name, country, currency, rate", (  # rate: for one euro
        ("王小明", "CN", "CNY", 7.8), ("欧阳静怡", "CN", "CNY", 7.8), ("陳美玲", "TW", "TWD", 35),
        ("佐藤 健", "JP", "JPY", 160), ("김민준", "KR", "KRW", 1480), ("ليلى حسن", "EG", "EGP", 52),
        ("محمد العلي", "AE", "AED", 4), ("נועה כהן", "IL", "ILS", 4), ("प्रिया", "IN", "INR", 91),
        ("Олена Шевченко", "UA", "UAH", 45), ("Иван Петров", "BG", "EUR", 1),
        ("Ελένη Παππά", "GR", "EUR", 1), ("José Núñez", "ES", "EUR", 1),
        ("Zoë Müller", "DE", "EUR", 1), ("François Lefèvre", "FR", "EUR", 1),
        ("Đặng Thị Hương", "VN", "VND", 27500), ("Łukasz Wójcik", "PL", "PLN", 4.3),
        ("Siobhán O'Brien", "IE", "EUR", 1), ("Grace Smith", "US", "USD", 1.1))),
    "product": ("name, cents", (
        ("Teapot", 3490), ("Oolong 100 g", 1290), ("Darjeeling 100 g", 1150), ("Whisk", 1890),
        ("Matcha 30 g", 2450), ("Cup, blue", 990), ("Cup, white", 990), ("Kettle", 8900),
        ("Tray", 2790), ("Strainer", 750), ("Honey", 680), ("Biscuits", 445), ("Tin", 520),
        ("Gift box", 5900), ("Filter papers", 399), ("Scale", 4250), ("Tea towel", 825))),
    "page": ("value", ("/", "/", "/search", "/cart", "/checkout", *(f"/p/{n}" for n in range(17)))),
    "warehouse": ("value", ("Hamburg", "Kraków", "València", "深圳")),
    "status": ("value", (*["delivered"] * 9, *["shipped"] * 4, "paid", "paid", "refunded")),
    "note": ("value", (
        "Happy birthday! 🎂", "请放在门口", "Bitte klingeln", "اتصل قبل التسليم", "It's a gift 🎁",
        "Позвоните заранее", "Two lines:\nfloor 3", *[None] * 60)),
    "reason": ("value", ("damaged", "too late", "changed my mind", None)),
    "line": ("value", (1, 2, 3)),
}  # fmt: skip


def _dice(key: str, throw: int, sides: int) -> str:
    """SQL for a number below `sides` that looks random and depends on `key` and `throw` alone."""
    x = f"({key} * 1103515245 + {throw * 362437} & 2147483647)"
    return f"({x} * {x} >> 15) % {sides}"


def _pick(pool: str, key: str) -> str:
    """SQL that joins one row of `pool`, the same for the same `key`."""
    throw = list(_POOLS).index(pool)
    return f"CROSS JOIN {pool} ON {pool}.n = {_dice(key, throw, len(_POOLS[pool][1]))}"


def _moments(count: str, room: int) -> str:
    """SQL for `count` rows (id, at) of each day, spread over it as the shop is busy."""
    return f"""(
        SELECT day.no * {room} + tick.n AS id, day.day || ' ' || moment.value AS at
        FROM day CROSS JOIN tick ON tick.n < day.{count}
        CROSS JOIN tick AS moment ON moment.n = tick.n * {sum(_HOURS) * 180} / day.{count}
        LIMIT -1)"""  # no limit, but keeps SQLite from computing id anew at each use


_ROWS = (
    f"""INSERT INTO order_items
    SELECT i.id, i.order_id, i.at, product.name, 1 + {_dice("i.id", 20, 7)} / 4, cents / 100.0
    FROM (SELECT o.id * 10 + line.n AS id, o.id AS order_id, o.at
          FROM {_moments("orders", _ROOM)} AS o
          CROSS JOIN line ON line.n <= {_dice("o.id", 21, 3)}) AS i {_pick("product", "i.id")}""",
    f"""INSERT INTO orders
    SELECT o.id, o.at, customer.name, country,
           (SELECT round(sum(quantity * list_price) * rate, 2) FROM order_items AS i
            WHERE i.id BETWEEN o.id * 10 AND o.id * 10 + 9), currency, status.value, note.value
    FROM {_moments("orders", _ROOM)} AS o
    {_pick("customer", "o.id")} {_pick("status", "o.id")} {_pick("note", "o.id")}""",
    f"""INSERT INTO page_views
    SELECT v.id, v.at, {_dice("v.id", 22, 90_000)}, page.value,
           nullif({_dice("v.id", 23, 9)}, 0) * (200 + {_dice("v.id", 24, 4000)})
    FROM {_moments("views", _ROOM * 10)} AS v {_pick("page", "v.id")}""",
    f"""INSERT INTO refunds
    SELECT o.id, max(o.created_at, day.day || ' 18:30:00'), o.amount, reason.value
    FROM day CROSS JOIN orders AS o
    ON o.id BETWEEN day.no * {_ROOM} AND day.no * {_ROOM} + {_ROOM - 1} AND o.status = 'refunded'
    {_pick("reason", "o.id")}""",
    f"""INSERT INTO stock_levels
    SELECT day.day, warehouse.value, product.name,
           {_dice(f"(day.no * {_ROOM} + warehouse.n * 100 + product.n)", 25, 240)}
    FROM day CROSS JOIN warehouse CROSS JOIN product""",
)


def _busy(day: date) -> float:
    """How busy the shop was: week, year (most before Christmas), sales days, and some luck."""
    year = 1 + 0.25 * math.cos(math.tau * (day.timetuple().tm_yday - 345) / 365)
    luck = Random(day.isoformat()).gauss(1, 0.05)
    return _WEEK[day.weekday()] * year * _PEAKS.get((day.month, day.day), 1) * luck


def _day(day: date, scale: float) -> tuple[str, int, int, int]:
    busy = min(_busy(day) * scale, 5)  # more would not fit into the ids
    return day.isoformat(), (day - _EPOCH).days, int(_ORDERS * busy) + 1, int(_VIEWS * busy) + 1


def _ticks() -> Iterator[str]:
    """Times of day, ascending, dense in the busy hours."""
    for hour, weight in enumerate(_HOURS):
        for second in range(0, 3600 * weight, 20):
            yield f"{hour:02}:{second // weight // 60:02}:{second // weight % 60:02}"


def _fill(db: sqlite3.Connection, days: Iterable[date], scale: float) -> None:
    """Add the rows of `days`, in one transaction."""
    db.executescript("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536")
    counts: _Pool = ("day, no, orders, views", [_day(day, scale) for day in days])
    db.execute("BEGIN IMMEDIATE")
    for name, (columns, rows) in ({"day": counts, "tick": ("value", [*_ticks()])} | _POOLS).items():
        numbered = [(n, *(r if isinstance(r, tuple) else (r,))) for n, r in enumerate(rows)]
        db.execute(f"CREATE TEMP TABLE {name} (n INTEGER PRIMARY KEY, {columns})")
        db.executemany(f"INSERT INTO {name} VALUES (?{', ?' * (columns.count(',') + 1)})", numbered)
    for statement in _ROWS:
        db.execute(statement)
    db.execute("COMMIT")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFiles:
    source: Path
    target: Path


def ensure(folder: Path, *, today: date, days: int = 180, scale: float = 1.0) -> DemoFiles:
    """Make in `folder` what is missing: the files, and in the source the days up to yesterday.

    At most the last `days` are filled in: a shop that slept for years wakes up with a gap. Who
    calls at the same time waits. Raises `OSError`, `sqlite3.Error` and `filelock.Timeout`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = DemoFiles(source=folder / "demo_source.db", target=folder / "demo_target.db")
    wanted = [today - timedelta(days=back) for back in range(days, 0, -1)]
    with FileLock(folder / "demo.lock", timeout=120, fallback_to_soft=False):
        for path, schema, fill in ((files.target, "", []), (files.source, _SCHEMA, wanted)):
            if not path.exists():
                _make(path, schema, fill, scale)
        with closing(_open(files.source)) as db:
            (newest,) = db.execute("SELECT max(counted_on) FROM stock_levels").fetchone()
            if missing := [day for day in wanted if day.isoformat() > (newest or "")]:
                _fill(db, missing, scale)
    return files


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30, isolation_level=None)


def _make(path: Path, schema: str, days: list[date], scale: float) -> None:
    """Build the database under another name, then rename: a kill leaves it whole or absent."""
    new = path.with_name(f"{path.name}.new")
    for orphan in (*path.parent.glob(f"{path.name}-*"), *path.parent.glob(f"{new.name}*")):
        orphan.unlink()  # SQLite would replay a log that is left over into the new file
    with closing(_open(new)) as db:
        db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")
        if days:
            _fill(db, days, scale)
        db.execute("PRAGMA journal_mode = WAL")
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)
