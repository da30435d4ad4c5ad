-- Values and names that PostgreSQL can hold and a sync may break. Every table has a date column
-- "day"; its rows stand on the first three days of 2025 (and one on none).

CREATE TABLE numbers (
    id integer PRIMARY KEY, day date, i2 smallint, i4 integer, i8 bigint, n numeric,
    n_fixed numeric(12, 2), n_tens numeric(5, -2), n_small numeric(3, 6), f4 real,
    f8 double precision, m money, b boolean, o oid);
INSERT INTO numbers VALUES
    (1, '2025-01-01', -32768, -2147483648, -9223372036854775808, 'NaN', 'NaN', -99999.4, 0.000999,
        'NaN', 'NaN', '-92233720368547758.08', false, 0),
    (2, '2025-01-01', 32767, 2147483647, 9223372036854775807, 'Infinity', 9999999999.99, 100,
        -0.000999, 'Infinity', 'Infinity', '92233720368547758.07', true, 4294967295),
    (3, '2025-01-02', 0, 0, 0, '-Infinity', -0.00, 0, 0, '-Infinity', '-Infinity', '0', NULL, 1),
    (4, '2025-01-02', -1, -1, -1, 0, 0, 0, 0, '-0', '-0', '-0.01', true, 1),
    (5, '2025-01-02', 1, 1, 1, 1.50, 1.5, 1, 0.000001, 1e-45, 5e-324, '0.01', true, 1),
    (6, '2025-01-02', 1, 1, 1, 1.5000000000000000000000000000000000000, 1, 1, 0, 1.17549435e-38,
        2.2250738585072014e-308, '1000.00', true, 1),
    (7, '2025-01-03', 1, 1, 9007199254740993, 1e-1000, 1, 1, 0, 3.4028235e38,
        1.7976931348623157e308, '1', true, 1),
    (8, '2025-01-03', 1, 1, 1, 1e131071, 1, 1, 0, 0.1, 0.1, '1', true, 1),
    (9, '2025-01-03', 1, 1, 1, repeat('9', 1000)::numeric / 10::numeric ^ 500, 1, 1, 0,
        16777217, 0.30000000000000004, '1', true, 1),
    (10, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (11, '2025-01-03', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE texts (
    id integer PRIMARY KEY, day date, t text, v varchar(40), c char(8), bare bpchar, one "char",
    n name);
INSERT INTO texts VALUES
    (1, '2025-01-01', '', '', '', '', '', ''),
    (2, '2025-01-01', NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '2025-01-01', '\N', '\N', '\N', '\N', 'N', '\N'),
    (4, '2025-01-01', '\.', '\.', E'\\.\n', '\.', '.', '\.'),
    (5, '2025-01-01', E'\\.\n\\.\r\n', E'a\tb\nc\rd\\e', E'\t\n\r', E'a \n ', E'\n', E'a\nb'),
    (6, '2025-01-02', E'\b\f\v\x01\x1f\x7f', '''"`$$;--/*', '"''', E'\\', E'\\', '"x"'),
    (7, '2025-01-02', '👩‍👩‍👧‍👦 🏳️‍🌈 密', 'é', E'e\u0301', 'ß', 'x', 'ﬁ'),
    (8, '2025-01-02', E'\uFEFF\u200B\u202E\uFFFD\uFFFF\U0010FFFF', E'\u00a0', E'\u3000', ' ', ' ',
        ' '),
    (9, '2025-01-02', ' a ', ' a ', ' a ', ' a ', 'a', ' a '),
    (10, '2025-01-03', 'NULL', 'null', 'None', 'NaN', '0', '%s %(x)s :x ?'),
    (11, '2025-01-03', '{a,b}', '(a,b)', '[a,b]', 'a|b', '|', 'x'),
    (12, '2025-01-03', repeat('long 密', 40000), repeat('x', 40), 'x', repeat(' ', 3000) || 'x',
        E'\u0080'::text::"char", repeat('n', 63));

CREATE TABLE bytes (
    id integer PRIMARY KEY, day date, raw bytea, bits bit(9), more bit varying(70), any_bits varbit);
INSERT INTO bytes
    SELECT n, date '2025-01-01' + n % 3, decode(lpad(to_hex(n), 2, '0'), 'hex'),
           (n * 2)::bit(9), substr(n::bit(32)::text || n::bit(32)::text, 1, n % 65)::bit varying,
           repeat('01', n)::bit varying
    FROM generate_series(0, 255) n;
INSERT INTO bytes
    SELECT 256, '2025-01-01', string_agg(raw, '' ORDER BY id), NULL, '', NULL FROM bytes;
INSERT INTO bytes VALUES (257, '2025-01-02', '', B'000000001', NULL, ''), (258, '2025-01-02', '\x5c4e0a', NULL, NULL, NULL);

CREATE TABLE times (
    id integer PRIMARY KEY, day date NOT NULL, d date, ts timestamp, ts3 timestamp(3),
    tz timestamptz, tz0 timestamptz(0), t time, ttz timetz, i interval, i_months interval year to month,
    i2 interval second(2));
INSERT INTO times VALUES
    (1, '2025-01-01', '4713-01-01 BC', '4713-01-01 00:00:00 BC', '0001-01-01', '4713-01-02 00:00+00 BC',
        '0044-03-15 12:00 BC', '00:00', '00:00+15:59:59', '-178000000 years', '-1 year', '-1.239'),
    (2, '2025-01-01', '5874897-12-31', '294276-12-31 23:59:59.999999', '9999-12-31 23:59:59.9994',
        '294276-12-31 23:59:59.999999+00', '9999-12-31 23:59:59+00', '24:00', '24:00-15:59:59',
        '178000000 years', '11 mon', '1.236'),
    (3, '2025-01-02', 'infinity', 'infinity', '-infinity', 'infinity', '-infinity',
        '23:59:59.999999', '12:00:00.000001+05:30', '1 mon -30 days +24:00:00.000001', NULL, NULL),
    (4, '2025-01-02', '-infinity', '-infinity', 'infinity', '-infinity', 'infinity',
        '12:34:56.789012', '12:00-00:00:01', '-1 mon 30 days -23:59:59.999999', NULL, NULL),
    (5, '2025-01-03', '1969-12-31', '1969-12-31 23:59:59.999999', '1582-10-10', '1883-11-18 12:03:58-04:56:02',
        '2025-03-30 01:00+00', '00:00:00.000001', '02:30+02', '2562047788:00:54.775807', NULL, NULL),
    (6, '2025-01-03', '0001-01-01', '1900-02-28 24:00', '2000-02-29 23:59:60', '2016-12-31 23:59:60+00',
        '2025-10-26 02:30+01', '23:59:60', '00:00+00', '00:00', '0', '0'),
    (7, '2025-01-03', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE documents (
    id integer PRIMARY KEY, day date, u uuid, i inet, c cidr, m macaddr, m8 macaddr8, j json, jb jsonb,
    path jsonpath, v tsvector, q tsquery, lsn pg_lsn, p point, l line, s lseg, bx box, pt path, pg polygon,
    ci circle, x xid8, snap pg_snapshot, ti tid);
INSERT INTO documents VALUES
    (1, '2025-01-01', '00000000-0000-0000-0000-000000000000', '10.0.0.1', '10.0.0.0/8',
        '08:00:2b:01:02:03', '08:00:2b:ff:fe:01:02:03', E' {"b": 1,\n "a": 2.50, "a" : 3e0}\t', '{"b": 1, "a": 2.50, "c": 1e400}',
        '$.a[*] ? (@ > 1)', E'''a b'':1A,2B ''\\\\'':3 ''密'':16383', '''a b'':AB* & !(x <-> y | z)', 'FFFFFFFF/FFFFFFFF',
        '(-0,1e-300)', '{1,-1,0.1}', '[(0,0),(NaN,Infinity)]', '(1,1),(0,0)', '[(0,0),(1,1)]',
        '((0,0),(1,1),(2,0))', '<(0.1,0.2),0.3>', '18446744073709551615', '10:20:10,14,15', '(4294967295,65535)'),
    (2, '2025-01-02', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '::ffff:1.2.3.4/100', '::/0',
        '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '"\u0000 \ud83d\ude00 \\N"', '"\\N \ud83d\ude00 \t"',
        'strict $."a b"', '', '', '0/0', '(Infinity,NaN)', '{0,1,0}', '[(0,0),(0,0)]', '(Infinity,0),(0,-Infinity)',
        '((0,0))', '((0,0))', '<(0,0),0>', '0', '1:1:', '(0,0)'),
    (3, '2025-01-03', NULL, '10.0.0.1/8', NULL, NULL, NULL, 'null', 'null', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, '2025-01-03', NULL, NULL, NULL, NULL, NULL, '[]', '[1, 1.0, 1.00, {}]', NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE arrays (
    id integer PRIMARY KEY, day date, i integer[], t text[], n numeric(6, 2)[], f double precision[],
    b bytea[], z timestamptz[], j jsonb[], c char(3)[], bo boolean[], o oidvector, ix int2vector);
INSERT INTO arrays VALUES
    (1, '2025-01-01', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '', ''),
    (2, '2025-01-01', '{NULL}', '{NULL,"NULL","",null}', '{1.50,NULL,NaN}', '{NaN,-0,-Infinity,5e-324}',
        ARRAY['\x00ff'::bytea, '', NULL], '{infinity,"2025-01-01 00:00:00.000001+14"}', ARRAY['null'::jsonb, NULL],
        '{a,"b ",NULL}', '{t,f,NULL}', '1 2', '-1 0 1'),
    (3, '2025-01-02', '[-2:0]={1,NULL,3}', E'{"a,b","{c}","\\"","\\\\","\\\\N"," x ","密\n\t"}',
        '[5:5]={9999.99}', '{{1,2},{3,4}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, '2025-01-03', '{{{1,2},{3,4}},{{5,6},{7,NULL}}}', '[0:1][2:2]={{a},{b}}', NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL);

CREATE TABLE ranges (
    id integer PRIMARY KEY, day date, i int4range, i8 int8range, n numrange, d daterange, ts tsrange,
    tz tstzrange, im int4multirange, nm nummultirange, a tsrange[]);
INSERT INTO ranges VALUES
    (1, '2025-01-01', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', '{}', '{}', '{}'),
    (2, '2025-01-02', '(,)', '[1,)', '(1.0,1.00]', '[infinity,)', '(,infinity)',
        '[2025-01-01 00:00:00.000001+14,)', '{[1,3),[5,6)}', '{(,1.50],(2,NaN]}', '{empty,"[,]",NULL}'),
    (3, '2025-01-03', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '密', '\N', '');
CREATE TYPE "Odd ""type"", %" AS ENUM ('a', 'b');
CREATE DOMAIN cents AS numeric(12, 2) DEFAULT 1 NOT NULL CHECK (VALUE >= 0) CHECK (VALUE <> 13.13);
CREATE DOMAIN moods AS mood[];
CREATE TYPE inner_pair AS (x integer, "Y y" text);
CREATE TYPE outer_pair AS (a inner_pair, m mood, many inner_pair[], c cents);
CREATE TYPE float_range AS RANGE (SUBTYPE = double precision);
CREATE TABLE made (
    id integer PRIMARY KEY, day date, m mood, o "Odd ""type"", %", c cents, ms moods, m2 mood[],
    p inner_pair, op outer_pair, ps inner_pair[], r float_range, mr float_multirange, acl aclitem,
    rc regclass, rt regtype[]);
INSERT INTO made VALUES
    (1, '2025-01-01', 'sad', 'a', 0, '{sad,NULL,"\\N",""}', '[0:0]={密}', '(1,"a,b")',
        '("(1,""(x)"")",密,"{""(1,\\""\\\\\\""q\\"")"",NULL}",1.5)', '{NULL,"(,)"}', '[1.5,NaN]', '{[-0,0],(1,Infinity)}',
        'loader=r*w/loader', 'pg_class', '{integer,text}'),
    (2, '2025-01-02', '', 'b', 9999999999.99, '{}', NULL, '(,)', '(,,,1)', '{}', 'empty', '{}', NULL, 'made', NULL),
    (3, '2025-01-03', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE SCHEMA "Sch. ""é"" % :x \";
CREATE TABLE "Sch. ""é"" % :x \"."Tab. ""密"" %s :y \ '" (
    "select" integer, "day" date, "Day" date, "DAY " text, "%s" text, "%(x)s" text, ":name" text, "?" text,
    "a\b" text, "quo""te" text, "'" text, "密é" text, "e" text, "n" text, "h" text, "batch_sync_step" text, "r" text,
    "tab	new
line" text, "x.y" text, "ctid2" text, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" text,
    "密密密密密密密密密密密密密密密密密密密密密" text, PRIMARY KEY ("select", "day"));
INSERT INTO "Sch. ""é"" % :x \"."Tab. ""密"" %s :y \ '"
    SELECT n, date '2025-01-01' + n % 3, NULL, 'b', '%s', '%', ':x', '?', '\', '"', '''', 'g', 'h', 'i', 'j', 'k',
           'l', E'\t', 'n', 'o', 'p', n::text
    FROM generate_series(1, 9) n;

CREATE TABLE keyless (day date, note text, more numeric);
INSERT INTO keyless SELECT date '2025-01-01' + n % 3, NULLIF(n % 2, 0)::text, 1.0
    FROM generate_series(1, 30) n;
CREATE TABLE half_indexed (day timestamptz, a integer, b text);
CREATE UNIQUE INDEX ON half_indexed (a) WHERE a > 0;
CREATE UNIQUE INDEX ON half_indexed (lower(b));
CREATE INDEX ON half_indexed ((day AT TIME ZONE 'UTC'));
CREATE INDEX ON half_indexed (day) WHERE a > 0;
INSERT INTO half_indexed SELECT '2025-01-01'::timestamptz + n * interval '1 hour', n * (n % 2), NULLIF(n, 3)::text
    FROM generate_series(0, 71, 3) n;

CREATE TABLE computed (
    id bigint GENERATED ALWAYS AS IDENTITY (START -5 INCREMENT -7) PRIMARY KEY,
    other integer GENERATED BY DEFAULT AS IDENTITY, third serial, day date,
    twice numeric GENERATED ALWAYS AS (third * 2.50) STORED, dropped integer, note text DEFAULT 'set');
ALTER TABLE computed DROP COLUMN dropped;
INSERT INTO computed (day, note) SELECT date '2025-01-01' + n % 3, NULL FROM generate_series(1, 9) n;

CREATE TABLE parted (id integer, day date NOT NULL, note text) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2025-01-02') PARTITION BY LIST (id);
CREATE TABLE parted_odd (note text, gone text, day date NOT NULL, id integer);
ALTER TABLE parted_odd DROP COLUMN gone;
ALTER TABLE parted_old ATTACH PARTITION parted_odd DEFAULT;
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
CREATE INDEX ON parted (day);
INSERT INTO parted SELECT n, date '2025-01-01' + n % 3, 'n' || n FROM generate_series(1, 30) n;
CREATE TABLE parent (id integer, day date);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1, '2025-01-01');
INSERT INTO child VALUES (2, '2025-01-01', 'x'), (3, '2025-01-02', NULL);
CREATE VIEW seen AS SELECT id, day, i8 + 0.5 AS more, f8, n::text AS n, 'x'::text AS word FROM numbers WHERE id < 8;
CREATE MATERIALIZED VIEW kept AS SELECT day, count(*) AS rows, array_agg(id ORDER BY id) AS ids FROM numbers GROUP BY day;
CREATE UNIQUE INDEX ON kept (day);
CREATE INDEX ON kept (day);

CREATE TABLE nothing (day timestamp);
INSERT INTO nothing VALUES ('2025-01-01'), ('2025-01-03 23:59:59.999999'), ('2025-01-04'), (NULL), ('infinity'), ('0044-03-15 BC');
