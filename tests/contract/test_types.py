"""Which types of the target take the source's values as they are; the others are refused."""

from pathlib import Path

import pytest

from sync.errors import SchemaError
from sync.model import Only
from tests.installation import Both, asked, table
from tests.servers import LOADER, PostgresServer

pytestmark = pytest.mark.matrix

MONDAY = "2025-01-06"
# Each type of the source, and what in the target holds all of it; then what does not.
HOLDS = {
    "smallint": (
        "integer bigint real numeric(5,0) numeric text varchar(6)",
        "numeric(5,1) varchar(5)",
    ),
    "integer": ("bigint float8 numeric(12,2) text varchar(11)", "smallint real numeric(11,2) oid"),
    "bigint": ("numeric numeric(19,0) text", "integer float8 numeric(18,0) money"),
    "real": ("float8 text", "numeric integer"),
    "float8": ("text", "real numeric"),
    "numeric": ("text", "numeric(1000,500) float8 bigint"),
    "numeric(12,2)": ("numeric numeric(13,3) text", "numeric(12,3) numeric(10,1) float8 money"),
    "varchar(20)": ("varchar(21) varchar text", "varchar(19) char(20) name"),
    "char(5)": ("char(6) varchar(5) text", "char(4) varchar(4)"),
    "text": ("varchar", "varchar(10000) char(9) name integer bytea"),
    "timestamp": ("timestamp(6) text", "timestamp(3) timestamptz date"),
    "timestamp(3)": ("timestamp timestamp(4) text", "timestamp(2) timestamptz(3)"),
    "timestamptz(0)": ("timestamptz(3)", "timestamp date"),
    "time(3)": ("time", "time(2) timetz interval"),
    "interval day to second(3)": ("interval interval(3)", "interval(2) time"),
    "interval[]": ("interval[] text[]", "interval"),
    "date": ("text", "timestamp timestamptz"),
    "bit(3)": ("bit varying(3) bit varying text", "bit(4) bit varying(2)"),
    "json": ("text", "jsonb"),
    "jsonb": ("json text", "text[]"),
    "cidr": ("inet text", "macaddr"),
    "uuid": ("varchar(36) text", "varchar(35) bytea"),
    "boolean": ("text varchar", "integer varchar(4)"),
    "integer[]": ("bigint[] text[] text", "smallint[] integer"),
    "real[]": ("float8[]", "numeric[]"),
    "mood": ("text", "other_mood varchar(3)"),
    "cents": ("integer bigint", "other_cents smallint"),
    "pair": ("text", "other_pair"),
}
USER_TYPES = """
    CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE other_mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN cents AS integer; CREATE DOMAIN other_cents AS smallint;
    CREATE TYPE pair AS (a integer); CREATE TYPE other_pair AS (a integer);"""


def columns(kinds: dict[str, str]) -> str:
    return "".join(f', "{name}" {type_}' for name, type_ in kinds.items())


def words(types: str) -> list[str]:
    """Types with blanks in their names stay whole."""
    return types.replace("bit varying", "bit_varying").split()


CASES = [
    (there, here.replace("_varying", " varying"), good)
    for there, sides in HOLDS.items()
    for good, side in zip((True, False), sides, strict=True)
    for here in words(side)
]


def test_a_type_that_holds_all_of_another_is_taken_and_each_other_one_is_told(
    postgresql: Both, tmp_path: Path
) -> None:
    for side in (postgresql.source, postgresql.target):
        side.execute(USER_TYPES)
    names = {n: f"{there} {here}"[:50] + str(n) for n, (there, here, _) in enumerate(CASES)}
    theirs = columns({names[n]: there for n, (there, _, _) in enumerate(CASES)})
    ours = columns({names[n]: here for n, (_, here, _) in enumerate(CASES)})
    postgresql.source.execute(f"CREATE TABLE t (day date{theirs})")
    postgresql.target.execute(f"CREATE TABLE t (day date{ours})")
    with pytest.raises(SchemaError) as refused:
        postgresql.installation(tmp_path, table("t", "day")).run(MONDAY)
    taken = {n for n in names if f"Column {names[n]} of t is" not in str(refused.value)}
    assert [case for n, case in enumerate(CASES) if (n in taken) != case[2]] == []


WIDE = {
    "a": ("smallint", "numeric(7,2)", "-32768"),
    "b": ("real", "double precision", "0.1"),
    "c": ("real[]", "double precision[]", "{0.1,NaN}"),
    "d": ("boolean", "text", "true"),
    "e": ("inet", "text", "10.0.0.1"),
    "f": ("char(5)", "text", "a"),
    "g": ("jsonb", "json", '{"b": 1, "a": 1.0}'),
    "h": ("timestamp(3)", "timestamp", "2025-01-06 00:00:00.001"),
    "i": ("cidr", "inet", "10.0.0.0/8"),
    "j": ("mood", "mood", "glad"),
    "k": ("mood[]", "text[]", "{glad}"),
}


def test_wider_types_hold_the_same_values_and_the_digest_agrees(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    postgresql.target.execute("CREATE TYPE mood AS ENUM ('glad', 'wild', 'sad')")
    for side, n in ((postgresql.source, 0), (postgresql.target, 1)):
        side.execute(f"CREATE TABLE t (day date{columns({k: v[n] for k, v in WIDE.items()})})")
    values = ", ".join(f"'{value[2]}'" for value in WIDE.values())
    postgresql.source.execute(f"INSERT INTO t VALUES ('{MONDAY}', {values})")
    installation = postgresql.installation(tmp_path, table("t", "day"), run={"verify": "digest"})
    assert installation.run(MONDAY).error is None
    exact = "a = -32768 AND b = 0.1::real AND c[1] = 0.1::real AND d = 't' AND e = '10.0.0.1'"
    exact += " AND f = 'a    ' AND g::text = '{\"a\": 1.0, \"b\": 1}' AND j = 'glad'"
    assert postgresql.target.execute(f"SELECT {exact} FROM t") == [(True,)]
    assert installation.operations().verify(asked(MONDAY)).differing == []


def test_a_conversion_that_is_asked_for_is_made_and_is_no_difference_afterwards(
    both: Both, tmp_path: Path
) -> None:
    kinds = {
        "postgresql": (
            "price numeric(12,2), at timestamp, note text, name text",
            "price numeric(12,1), at timestamp(0), note varchar(3), name integer",
            ("9.99", "2025-01-06 12:00:00.7", "ab", "7"),
        ),
        "sqlite": (
            "price, at TEXT, note REAL, name TEXT",
            "price TEXT, at INTEGER, note INTEGER, name REAL",
            (1.5, "007", 2.0, "1e3"),
        ),
    }
    there, here, values = kinds[both.kind]
    both.source.execute(f"CREATE TABLE t (day date, {there})")
    both.target.execute(f"CREATE TABLE t (day date, {here})")
    both.source.insert("t", [(MONDAY, *values), (MONDAY, *values[:3], None)])
    with pytest.raises(
        SchemaError, match=r'values change: convert = \["price"\]\.\nColumn at of t'
    ):
        both.installation(tmp_path, table("t", "day")).run(MONDAY)
    allowed = table("t", "day", convert=["price", "at", "note", "name"])
    installation = both.installation(tmp_path, allowed)
    assert installation.run(MONDAY).error is None
    found = installation.operations().verify(asked(MONDAY))
    plan = installation.operations().plan(asked(MONDAY, only=Only.CHANGED))
    assert (found.differences, plan.partitions) == ([], ())


def test_an_enum_of_the_target_without_a_label_is_told_with_the_statement_that_adds_it(
    postgresql: Both, tmp_path: Path
) -> None:
    postgresql.source.execute("CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'glad')")
    postgresql.target.execute("CREATE TYPE mood AS ENUM ('glad')")
    postgresql.source.execute("CREATE TABLE t (day date, m mood[])")
    with pytest.raises(SchemaError, match=r"m of t is mood\[\]") as refused:
        postgresql.installation(tmp_path, table("t", "day")).run(MONDAY)
    (statements,) = [str(refused.value).partition("In the target: ")[2].partition(" Or let")[0]]
    postgresql.target.execute(statements)
    assert postgresql.installation(tmp_path, table("t", "day")).run(MONDAY).error is None


TARGETS = {
    "view": "CREATE VIEW t AS SELECT * FROM u",
    "materialized view": "CREATE MATERIALIZED VIEW t AS SELECT * FROM u",
    "foreign table": """
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE t (day date, n integer, d integer) SERVER s""",
    "partition that is a foreign table": """
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE TABLE t (day date, n integer, d integer) PARTITION BY RANGE (day);
        CREATE FOREIGN TABLE t1 PARTITION OF t DEFAULT SERVER s""",
    "computed column": "CREATE TABLE t (day date, n integer, d integer AS (n) STORED)",
}
TOLD = {
    "partition that is a foreign table": "t in the target .* is a foreign table: rows are replaced",
    "computed column": r"Column d of t is computed in the target, and cannot be written",
}


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        *(("postgresql", what) for what in TARGETS),
        ("sqlite", "view"),
        ("sqlite", "computed column"),
    ],
)
def test_what_takes_no_rows_is_no_target(
    request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path, engine: str, what: str
) -> None:
    both: Both = request.getfixturevalue(engine)
    both.source.execute("CREATE TABLE t (day date, n integer, d integer)")
    both.target.execute("CREATE TABLE u (day date, n integer, d integer)")
    statement = TARGETS[what]
    if engine == "postgresql":
        statement = statement.replace("AS (n)", "GENERATED ALWAYS AS (n)")
    if "WRAPPER" in statement:
        postgres.execute(f"ALTER ROLE {LOADER} SUPERUSER")
    both.target.execute(statement)
    postgres.execute(f"ALTER ROLE {LOADER} NOSUPERUSER")
    with pytest.raises(SchemaError, match=TOLD.get(what, f"is a {what}: rows are replaced in")):
        both.installation(tmp_path, table("t", "day")).run(MONDAY)


def test_identity_columns_of_the_target_take_the_values_of_the_source(
    postgresql: Both, tmp_path: Path
) -> None:
    make = "CREATE TABLE t (id integer GENERATED {} AS IDENTITY PRIMARY KEY, day date)"
    postgresql.source.execute(make.format("BY DEFAULT"))
    postgresql.target.execute(make.format("ALWAYS"))
    postgresql.source.execute(f"INSERT INTO t VALUES (7, '{MONDAY}'), (-7, '{MONDAY}')")
    installation = postgresql.installation(tmp_path, table("t", "day"))
    assert installation.run(MONDAY).error is None
    # A key that moved goes by way of a temporary table.
    postgresql.source.execute("UPDATE t SET day = '2025-01-07' WHERE id = 7")
    assert installation.run("2025-01-07").error is None
    source, target = postgresql.rows("SELECT * FROM t")
    assert target == source


def test_check_says_what_becomes_plain_in_the_target(both: Both, tmp_path: Path) -> None:
    both.source.execute("CREATE TABLE t (id integer, day date)")
    both.source.execute("CREATE VIEW v AS SELECT * FROM t")
    tables = [table("v", "day")]
    told = ["view in the source, and becomes a table"]
    if both.kind == "postgresql":
        both.source.execute("""
            CREATE TABLE p (id integer GENERATED ALWAYS AS IDENTITY, day date,
                d integer GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY RANGE (day)""")
        tables.append(table("p", "day"))
        told += [
            "partitioned table in the source, and becomes a table",
            "plain columns with the source's values: id",
            "the source computes them: d",
        ]
    checked = both.installation(tmp_path, *tables).cli("check", "--json").stdout
    assert [words for words in told if words not in checked] == [], checked
