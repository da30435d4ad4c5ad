-- Values and names that SQLite can hold and a sync may break. Every table has a date column "day";
-- its rows stand on the first three days of 2025 (and some on none).

CREATE TABLE classes (
    id INTEGER PRIMARY KEY, day DATE, none, i INTEGER, n NUMERIC, r REAL, t TEXT, b BLOB, any_ ANY,
    v VARCHAR(3), dec DECIMAL(10, 2), bo BOOLEAN, point FLOATING POINT, odd "odd ""type""()", f DOUBLE PRECISION,
    at TIMESTAMP, js JSON, chars CHARINT);
CREATE TEMP TABLE value (id INTEGER PRIMARY KEY, v);
INSERT INTO value (v) VALUES
    (NULL), (''), (x''), (0), (-0.0), (1), (-1), (9223372036854775807), (-9223372036854775808),
    (9223372036854775808), (9007199254740993), (9007199254740993.0), (0.1), (1.0), (5e-324), (1.7976931348623157e308),
    (9e999), (-9e999), (1e15), (123456789012345680.0), ('1'), ('01'), (' 1 '), ('1.0'), ('1e2'), ('0x10'), ('-0'),
    ('+5'), ('.5'), ('Inf'), ('nan'), ('9223372036854775808'), ('1234567890123456789012345678901234567890'),
    ('0.1000000000000000055511151231257827'), ('NULL'), ('\N'), ('\.'), (char(9, 10, 13, 92, 34, 39)), (char(0)),
    ('a' || char(0) || 'b'), (cast(x'ff' AS TEXT)), (cast(x'c328' AS TEXT)), (cast(x'eda080' AS TEXT)),
    (cast(x'610062ff' AS TEXT)), (cast(x'f4908080' AS TEXT)), (char(0xfeff, 0x200b, 0x10ffff)), ('👩‍👩‍👧‍👦 密 é é'),
    (x'00ff00'), (x'31'), (cast('text as bytes' AS BLOB)), (zeroblob(20000)), (printf('%.*c', 20000, 'x')),
    (1 = 1), ('2025-01-01'), (2460676.5), ('2025-01-01T00:00:00Z'), ('{"b": 1, "a": 2.50, "a": 3e0}');
INSERT INTO classes
    SELECT id, date('2025-01-01', '+' || (id % 3) || ' days'), v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v FROM value;
INSERT INTO classes (day, none) VALUES (NULL, 'no day'), ('', 'no day'), (x'00', 'no day'), (5, 'no day');

CREATE TABLE keyed (
    id INT PRIMARY KEY, day DATE, v TEXT COLLATE NOCASE);
INSERT OR IGNORE INTO keyed SELECT v, date('2025-01-01', '+' || (id % 3) || ' days'), v FROM value;
INSERT INTO keyed VALUES (NULL, '2025-01-01', 'second NULL key');
CREATE TABLE backwards (id INTEGER PRIMARY KEY DESC, day DATE);
INSERT INTO backwards VALUES ('a', '2025-01-01'), (NULL, '2025-01-01'), (1.5, '2025-01-02'), (x'00', '2025-01-03');
CREATE TABLE rowless (a INTEGER, b, day DATE, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
INSERT INTO rowless VALUES ('a', 1, '2025-01-01'), (1, 'b', '2025-01-02'), (x'00', 1.5, '2025-01-03');
CREATE TABLE rowless_alone (id INTEGER PRIMARY KEY, day DATE) WITHOUT ROWID;
INSERT INTO rowless_alone VALUES ('a', '2025-01-01'), (1.5, '2025-01-02'), (7, '2025-01-03');
CREATE TABLE strict (
    id INTEGER PRIMARY KEY, day TEXT, i INT, n INTEGER, r REAL, t TEXT, b BLOB, a ANY,
    gone TEXT AS (t || '!')) STRICT;
INSERT INTO strict SELECT id, date('2025-01-01', '+' || (id % 3) || ' days'), id, -id, id + 0.0, 't' || id, x'00', v
    FROM value;
CREATE TABLE day_of (id INTEGER PRIMARY KEY, day DATE);
INSERT INTO day_of SELECT id, date('2025-01-01', '+' || (id % 3) || ' days') FROM value;
CREATE VIEW strict_days AS SELECT strict.id, a, day_of.day FROM strict JOIN day_of USING (id);

CREATE TABLE untyped (day TIMESTAMP, a, b);
INSERT INTO untyped VALUES
    ('2025-01-01', 1, 2), ('2025-01-01T23:59:59.999999', '1', x'31'), ('2025-01-02 00:00', 1.0, NULL),
    ('2025-01-03 12:00:00.5', 1, 2), ('2025-01-03 12:00:00.5', 1, 2), ('2025-01-04', 1, 2);
CREATE TABLE instants (day TIMESTAMPTZ, a ANY);
INSERT INTO instants VALUES
    ('2025-01-01 00:00:00', '01'), ('2025-01-01T00:00:00Z', 1), ('2025-01-02 12:00:00.123456+02:00', 1.0),
    ('2024-12-31 23:00:00-01:00', 'in'), ('2025-01-04 00:30:00+01:00', 'in'), ('2025-01-04 00:00:00Z', 'out');
CREATE TABLE computed (
    id INTEGER PRIMARY KEY AUTOINCREMENT, day DATE, a, virtual TEXT GENERATED ALWAYS AS (a || '!'),
    stored INTEGER AS (id * 2) STORED, other TEXT DEFAULT 'set' CHECK (other <> ''));
INSERT INTO computed (day, a, other) SELECT date('2025-01-01', '+' || (id % 3) || ' days'), v, NULL FROM value;

CREATE TABLE "Tab. ""密"" %s :y ? \ '[`" (
    "select" INTEGER, day DATE, "DAY " TEXT, "%s" "my type", "%(x)s", ":name", "?" "TEXT", "a\b", "quo""te", "'",
    "密é", "e", "tab	new
line", "x.y", "rowid", "oid", "main", "", "batch_sync_source", PRIMARY KEY ("select", "DAY "));
INSERT INTO "Tab. ""密"" %s :y ? \ '[`"
    SELECT id, date('2025-01-01', '+' || (id % 3) || ' days'), v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v
    FROM value WHERE id < 20;
CREATE TABLE half_indexed (day DATE, a INTEGER, b TEXT);
CREATE UNIQUE INDEX half_a ON half_indexed (a) WHERE a > 0;
CREATE UNIQUE INDEX half_b ON half_indexed (lower(b));
INSERT INTO half_indexed SELECT date('2025-01-01', '+' || (id % 3) || ' days'), id * (id % 2), id FROM value;

CREATE VIEW seen AS SELECT id, day, i, i + 0.5 AS more, none, cast(t AS INTEGER) AS number, t FROM classes;
CREATE VIEW both AS SELECT id, day, i AS v FROM classes UNION ALL SELECT id, day, none FROM classes;
DROP TABLE temp.value;
