-- states: rows nulls
-- case: widened
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN name TYPE varchar(200);

-- case: to-text
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN name TYPE text;

-- case: to-bigint
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN age SET DATA TYPE bigint;

-- case: numeric-wider
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN balance TYPE numeric(14, 4);

-- case: serial-key-wider
-- form: ALTER COLUMN TYPE
-- states: empty rows foreign_keys
-- forward
ALTER TABLE orgs ALTER COLUMN id TYPE bigint;

-- case: narrower-fits
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN note TYPE varchar(40);

-- case: narrower-lossy
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: guarded 2 rows of users have a balance that would not come back
-- forward
ALTER TABLE users ALTER COLUMN balance TYPE numeric(6, 0);

-- case: using-cast
-- form: ALTER COLUMN TYPE USING
-- states: empty nulls
-- forward
ALTER TABLE users ALTER COLUMN note TYPE int USING note::int;

-- case: using-lossy
-- form: ALTER COLUMN TYPE USING
-- states: rows
-- expect: guarded 3 rows of users have a note that would not come back
-- forward
ALTER TABLE users ALTER COLUMN note TYPE int USING length(note);

-- case: enum-to-text
-- form: ALTER COLUMN TYPE USING
-- forward
ALTER TABLE users ALTER COLUMN feeling DROP DEFAULT, ALTER COLUMN feeling TYPE text USING feeling::text,
    ALTER COLUMN feeling SET DEFAULT 'fine';

-- case: text-to-enum
-- form: ALTER COLUMN TYPE USING
-- states: empty nulls
-- forward
ALTER TABLE users ALTER COLUMN note TYPE mood USING note::mood;

-- case: collation
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN note TYPE text COLLATE "C";

-- case: collation-back
-- form: ALTER COLUMN TYPE
-- setup
ALTER TABLE users ALTER note TYPE text COLLATE "C";
ALTER TABLE users ALTER note SET STORAGE EXTERNAL, ALTER note SET COMPRESSION pglz;
-- forward
ALTER TABLE users ALTER COLUMN note TYPE varchar(100);

-- case: indexed-and-checked
-- form: ALTER COLUMN TYPE
-- setup
CREATE INDEX users_age_idx ON users (age) WHERE age > 3;
COMMENT ON INDEX users_age_idx IS 'of the grown';
COMMENT ON CONSTRAINT users_age_check ON users IS 'nobody is younger';
-- forward
ALTER TABLE users ALTER COLUMN age TYPE bigint;

-- case: checked-varchar
-- form: ALTER COLUMN TYPE
-- setup
ALTER TABLE users ADD CONSTRAINT named CHECK (name IN ('nobody', 'Ann', 'Bob', 'Cid', 'Same'));
-- forward
ALTER TABLE users ALTER COLUMN name TYPE text;

-- case: two-at-once
-- form: ALTER COLUMN TYPE
-- forward
ALTER TABLE users ALTER COLUMN age TYPE bigint, ALTER COLUMN name TYPE text;

-- case: used-by-view
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: guarded cannot alter type of a column used by a view
-- setup
CREATE VIEW v AS SELECT age FROM users;
-- forward
ALTER TABLE users ALTER COLUMN age TYPE bigint;

-- case: default-dropped-and-set
-- form: ALTER COLUMN TYPE USING
-- states: empty nulls
-- setup
ALTER TABLE users ALTER note SET DEFAULT '44';
-- forward
ALTER TABLE users ALTER note DROP DEFAULT, ALTER note TYPE int USING note::int, ALTER note SET DEFAULT 3;

-- case: default-set-alone
-- form: ALTER COLUMN TYPE USING
-- states: empty nulls
-- forward
ALTER TABLE users ALTER note SET DEFAULT 'sad', ALTER note TYPE mood USING note::mood;

-- case: default-of-a-flag
-- form: ALTER COLUMN TYPE USING
-- states: empty
-- setup
ALTER TABLE users DROP CONSTRAINT users_age_check, ALTER age SET DEFAULT 0;
-- forward
ALTER TABLE users ALTER age DROP DEFAULT, ALTER age TYPE boolean USING age <> 0, ALTER age SET DEFAULT false;

-- case: default-of-children
-- form: ALTER COLUMN TYPE USING
-- setup
CREATE TABLE notes (note text DEFAULT '1');
CREATE TABLE more_notes (CHECK (note <> 'x')) INHERITS (notes);
ALTER TABLE more_notes ALTER note SET DEFAULT '2';
-- forward
ALTER TABLE notes ALTER note DROP DEFAULT, ALTER note TYPE varchar(9), ALTER note SET DEFAULT '3';

-- case: check-dropped
-- form: ALTER COLUMN TYPE USING
-- forward
ALTER TABLE users DROP CONSTRAINT users_age_check, ALTER age TYPE text USING age::text;

-- case: check-dropped-and-added
-- form: ALTER COLUMN TYPE USING
-- forward
ALTER TABLE users ALTER age TYPE text USING age::text, DROP CONSTRAINT users_age_check,
    ADD CONSTRAINT users_age_check CHECK (length(age) > 0);

-- case: check-of-two-columns
-- form: ALTER COLUMN TYPE USING
-- setup
ALTER TABLE users DROP CONSTRAINT users_age_check, ADD other int, ADD CHECK (age + other <> 7);
CREATE INDEX users_both ON users ((age + other));
-- forward
ALTER TABLE users ALTER age TYPE bigint, ALTER other TYPE bigint;

-- case: check-of-two-texts
-- form: ALTER COLUMN TYPE USING
-- setup
ALTER TABLE users DROP CONSTRAINT users_age_check, ADD other int, ADD CHECK (age <> other);
-- forward
ALTER TABLE users ALTER age TYPE text USING age::text, ALTER other TYPE text USING other::text;

-- case: view-around
-- form: ALTER COLUMN TYPE
-- setup
CREATE VIEW v AS SELECT id, age FROM users;
COMMENT ON VIEW v IS 'ages';
GRANT SELECT ON v TO reader;
-- forward
DROP VIEW v;
ALTER TABLE users ALTER COLUMN age TYPE bigint;
CREATE VIEW v AS SELECT id, age, name FROM users;

-- case: wide-values-since
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: lost 1 row of users has a note that would be cut to
-- setup
ALTER TABLE users ALTER note TYPE varchar(10);
-- forward
ALTER TABLE users ALTER COLUMN note TYPE text;
-- since
UPDATE users SET note = 'much longer than before' WHERE id = 1;

-- case: too-large-since
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: held 2 rows of users have a age that is no integer: change them first
-- forward
ALTER TABLE users ALTER age TYPE bigint;
-- since
UPDATE users SET age = 99999999999 WHERE id < 3;

-- case: too-large-for-bigint-since
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: held 1 row of users has a total that is no bigint
-- setup
ALTER TABLE users ADD total bigint;
-- forward
ALTER TABLE users ALTER total TYPE double precision;
-- since
UPDATE users SET total = 9223372036854775808 WHERE id = 1;
UPDATE users SET total = -9223372036854775808 WHERE id = 2;

-- case: fraction-since
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: lost 1 row of users has a age that would be cut to integer
-- forward
ALTER TABLE users ALTER age TYPE numeric;
-- since
UPDATE users SET age = 1.5 WHERE id = 1;

-- case: too-many-digits-since
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: held 1 row of users has a balance that is no numeric\(10,2\)
-- forward
ALTER TABLE users ALTER balance TYPE numeric(14, 4);
-- since
UPDATE users SET balance = 99999999.9951 WHERE id = 1;
UPDATE users SET balance = 99999999.99 WHERE id = 2;

-- case: no-number-since
-- form: ALTER COLUMN TYPE USING
-- states: rows
-- expect: held 1 row of users has a age that is no integer
-- setup
ALTER TABLE users DROP CONSTRAINT users_age_check;
-- forward
ALTER TABLE users ALTER age TYPE text USING age::text;
-- since
UPDATE users SET age = 'old' WHERE id = 1;
UPDATE users SET age = NULL WHERE id = 2;

-- case: no-mood-since
-- form: ALTER COLUMN TYPE USING
-- states: rows
-- expect: held 1 row of users has a feeling that is no mood
-- forward
ALTER TABLE users ALTER feeling DROP DEFAULT, ALTER feeling TYPE text USING feeling::text;
-- since
UPDATE users SET feeling = 'angry' WHERE id = 1;
UPDATE users SET feeling = NULL WHERE id = 2;

-- case: date-to-timestamp
-- form: ALTER COLUMN TYPE
-- states: foreign_keys empty
-- forward
ALTER TABLE orders ALTER COLUMN placed TYPE timestamp;

-- case: timestamp-to-date
-- form: ALTER COLUMN TYPE
-- states: rows
-- expect: guarded 3 rows of users have a created_at that would not come back
-- forward
ALTER TABLE users ALTER COLUMN created_at TYPE date;

-- case: to-jsonb
-- form: ALTER COLUMN TYPE USING
-- setup
CREATE TABLE docs (body json);
INSERT INTO docs VALUES ('{"a": 1}'), (NULL);
-- forward
ALTER TABLE docs ALTER COLUMN body TYPE jsonb USING body::jsonb;

-- case: to-jsonb-lossy
-- form: ALTER COLUMN TYPE USING
-- states: empty
-- expect: guarded 1 row of docs has a body that would not come back
-- setup
CREATE TABLE docs (body json);
INSERT INTO docs VALUES ('{"a":1,   "a":2}'), (NULL);
-- forward
ALTER TABLE docs ALTER COLUMN body TYPE jsonb USING body::jsonb;

-- case: in-partitions
-- form: ALTER COLUMN TYPE
-- states: empty
-- setup
CREATE TABLE parts (id int, kind varchar(5)) PARTITION BY LIST (id);
CREATE TABLE part_one PARTITION OF parts FOR VALUES IN (1);
INSERT INTO parts VALUES (1, 'a');
-- forward
ALTER TABLE parts ALTER COLUMN kind TYPE text;
