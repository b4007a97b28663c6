-- states: rows
-- case: create
-- form: CREATE INDEX
-- states: empty rows nulls duplicates foreign_keys
-- forward
CREATE INDEX users_age_idx ON users (age);

-- case: create-unique-partial
-- form: CREATE UNIQUE INDEX
-- forward
CREATE UNIQUE INDEX "Users Email" ON users USING btree (lower(email) DESC NULLS LAST) INCLUDE (age) WHERE age > 3;

-- case: create-unnamed
-- form: CREATE INDEX (unnamed)
-- setup
CREATE INDEX ON users (age);
-- forward
CREATE INDEX ON users (age);

-- case: create-two-unnamed
-- form: CREATE INDEX (unnamed)
-- forward
CREATE INDEX ON users (age);
CREATE INDEX ON users (age);
CREATE INDEX ON users ((age + 1));

-- case: create-if-not-exists-new
-- form: CREATE INDEX IF NOT EXISTS
-- forward
CREATE INDEX IF NOT EXISTS users_age_idx ON users (age);

-- case: create-if-not-exists-there
-- form: CREATE INDEX IF NOT EXISTS
-- forward: changes nothing
-- forward
CREATE INDEX IF NOT EXISTS users_email_idx ON users (age);

-- case: create-unique-refused-by-data
-- form: CREATE UNIQUE INDEX
-- states: duplicates
-- expect: guarded could not create unique index
-- forward
CREATE UNIQUE INDEX users_email_key ON users (email);

-- case: create-qualified
-- form: CREATE INDEX
-- forward: changes nothing
-- setup
CREATE SCHEMA IF NOT EXISTS beside;
DROP TABLE IF EXISTS beside.t;
CREATE TABLE beside.t (id int);
-- forward
CREATE INDEX t_idx ON beside.t (id);

-- case: create-on-partitioned
-- form: CREATE INDEX
-- setup
CREATE TABLE events (id int, what text) PARTITION BY LIST (id);
CREATE TABLE events_one PARTITION OF events FOR VALUES IN (1);
-- forward
CREATE INDEX events_what ON events (what);

-- case: drop
-- form: DROP INDEX
-- forward
DROP INDEX users_email_idx;

-- case: drop-marked
-- form: DROP INDEX
-- setup
CREATE UNIQUE INDEX marked ON users (email, id) WITH (fillfactor = 60) WHERE name IN ('a', 'b') OR email IS NOT NULL;
CREATE UNIQUE INDEX ident ON orders (user_id, id);
COMMENT ON INDEX marked IS 'for logins';
CREATE INDEX exprs ON users ((age + 1), lower(name));
ALTER INDEX exprs ALTER COLUMN 1 SET STATISTICS 77;
ALTER TABLE users CLUSTER ON exprs;
ALTER TABLE orders REPLICA IDENTITY USING INDEX ident;
-- forward
DROP INDEX marked, exprs, ident;

-- case: drop-if-exists-missing
-- form: DROP INDEX IF EXISTS
-- forward: changes nothing
-- forward
DROP INDEX IF EXISTS nothing_idx;

-- case: drop-if-exists-there
-- form: DROP INDEX IF EXISTS
-- forward
DROP INDEX IF EXISTS nothing_idx, users_email_idx;

-- case: drop-of-constraint
-- form: DROP INDEX
-- states: empty
-- expect: guarded requires it
-- forward
DROP INDEX orgs_name_key;

-- case: drop-used-by-foreign-key
-- form: DROP INDEX CASCADE
-- setup
CREATE TABLE codes (code text NOT NULL);
CREATE UNIQUE INDEX codes_code ON codes (code);
CREATE TABLE uses (code text CONSTRAINT uses_code REFERENCES codes (code) ON UPDATE CASCADE);
-- forward
DROP INDEX codes_code CASCADE;

-- case: drop-partitioned
-- form: DROP INDEX
-- states: empty
-- expect: guarded is an index of a partitioned table
-- setup
CREATE TABLE events (id int, what text) PARTITION BY LIST (id);
CREATE INDEX events_what ON events (what);
-- forward
DROP INDEX events_what;

-- case: rename
-- form: RENAME INDEX
-- forward
ALTER INDEX users_email_idx RENAME TO users_mail;

-- case: rename-of-constraint
-- form: RENAME INDEX
-- forward
ALTER INDEX IF EXISTS users_pkey RENAME TO "Key";

-- case: options
-- form: ALTER INDEX SET
-- forward
ALTER INDEX users_email_idx SET (fillfactor = 50);

-- case: statistics
-- form: ALTER INDEX SET STATISTICS
-- forward
ALTER INDEX users_email_idx ALTER COLUMN 1 SET STATISTICS 99;

-- case: attach
-- form: ALTER INDEX ATTACH PARTITION
-- states: empty
-- expect: refused an index that was attached
-- forward
ALTER INDEX a ATTACH PARTITION b;

-- case: replaced
-- form: DROP INDEX
-- forward
DROP INDEX users_email_idx;
CREATE UNIQUE INDEX users_email_idx ON users (email, id);
