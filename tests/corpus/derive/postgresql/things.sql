-- states: rows
-- case: enum-create
-- form: CREATE TYPE AS ENUM
-- forward
CREATE TYPE status AS ENUM ('new', 'it''s done');

-- case: composite-create
-- form: CREATE TYPE AS
-- forward
CREATE TYPE point3 AS (x int, y numeric(5, 2), z text COLLATE "C");

-- case: range-create
-- form: CREATE TYPE AS RANGE
-- forward
CREATE TYPE ages AS RANGE (SUBTYPE = int);

-- case: enum-value-added
-- form: ALTER TYPE ADD VALUE
-- states: empty
-- expect: refused can't take a value away
-- forward
ALTER TYPE mood ADD VALUE 'great';

-- case: enum-value-renamed
-- form: ALTER TYPE RENAME VALUE
-- forward
ALTER TYPE mood RENAME VALUE 'sad' TO 'it''s bad';

-- case: type-rename
-- form: ALTER TYPE RENAME
-- forward
ALTER TYPE mood RENAME TO feeling;

-- case: type-owner
-- form: ALTER TYPE OWNER TO
-- forward
ALTER TYPE mood OWNER TO writer;

-- case: attribute-added
-- form: ALTER TYPE ADD ATTRIBUTE
-- setup
CREATE TYPE pair AS (a int, b text);
-- forward
ALTER TYPE pair ADD ATTRIBUTE c numeric(5, 2), ALTER ATTRIBUTE a TYPE bigint;

-- case: attribute-renamed
-- form: ALTER TYPE RENAME ATTRIBUTE
-- setup
CREATE TYPE pair AS (a int, b text);
-- forward
ALTER TYPE pair RENAME ATTRIBUTE a TO z;

-- case: attribute-dropped
-- form: ALTER TYPE DROP ATTRIBUTE
-- states: empty
-- expect: refused an attribute that is dropped
-- forward
ALTER TYPE pair DROP ATTRIBUTE a;

-- case: type-drop
-- form: DROP TYPE
-- setup
CREATE TYPE status AS ENUM ('new', 'done');
COMMENT ON TYPE status IS 'how far';
REVOKE ALL ON TYPE status FROM PUBLIC;
CREATE TYPE pair AS (a int, b text);
COMMENT ON COLUMN pair.a IS 'first';
-- forward
DROP TYPE status, pair;

-- case: type-drop-used
-- form: DROP TYPE
-- states: empty
-- expect: guarded column feeling of table users depends on mood
-- forward
DROP TYPE mood;

-- case: type-drop-cascade-used
-- form: DROP TYPE CASCADE
-- states: empty
-- expect: guarded column feeling of table users depends on mood
-- forward
DROP TYPE mood CASCADE;

-- case: type-drop-if-exists
-- form: DROP TYPE IF EXISTS
-- forward: changes nothing
-- forward
DROP TYPE IF EXISTS nothing;

-- case: type-replaced
-- form: DROP TYPE
-- setup
CREATE TYPE status AS ENUM ('new', 'done');
-- forward
DROP TYPE IF EXISTS status;
CREATE TYPE status AS ENUM ('open', 'shut');

-- case: domain-create
-- form: CREATE DOMAIN
-- forward
CREATE DOMAIN email AS text NOT NULL DEFAULT 'x' CONSTRAINT has_at CHECK (VALUE LIKE '%@%');

-- case: domain-default
-- form: ALTER DOMAIN SET DEFAULT
-- setup
CREATE DOMAIN email AS text DEFAULT 'it''s';
-- forward
ALTER DOMAIN email SET DEFAULT 'y';

-- case: domain-default-dropped
-- form: ALTER DOMAIN DROP DEFAULT
-- setup
CREATE DOMAIN serial_no AS int DEFAULT 5 + 3;
-- forward
ALTER DOMAIN serial_no DROP DEFAULT;

-- case: domain-not-null
-- form: ALTER DOMAIN SET NOT NULL
-- setup
CREATE DOMAIN email AS text;
-- forward
ALTER DOMAIN email SET NOT NULL;

-- case: domain-null
-- form: ALTER DOMAIN DROP NOT NULL
-- setup
CREATE DOMAIN email AS text NOT NULL;
-- forward
ALTER DOMAIN email DROP NOT NULL;

-- case: domain-constraint-added
-- form: ALTER DOMAIN ADD CONSTRAINT
-- setup
CREATE DOMAIN email AS text CHECK (VALUE <> 'a');
-- forward
ALTER DOMAIN email ADD CHECK (VALUE <> 'b');
ALTER DOMAIN email ADD CONSTRAINT "C" CHECK (VALUE <> 'c') NOT VALID;

-- case: domain-constraint-dropped
-- form: ALTER DOMAIN DROP CONSTRAINT
-- setup
CREATE DOMAIN email AS varchar(50) CONSTRAINT has_at CHECK (VALUE IN ('a', 'b'));
COMMENT ON CONSTRAINT has_at ON DOMAIN email IS 'one of them';
-- forward
ALTER DOMAIN email DROP CONSTRAINT has_at;
ALTER DOMAIN email DROP CONSTRAINT IF EXISTS has_at;

-- case: domain-validate
-- form: ALTER DOMAIN VALIDATE CONSTRAINT
-- setup
CREATE DOMAIN email AS text;
ALTER DOMAIN email ADD CONSTRAINT c CHECK (VALUE <> 'c') NOT VALID;
-- forward
ALTER DOMAIN email VALIDATE CONSTRAINT c;

-- case: domain-constraint-renamed
-- form: ALTER DOMAIN RENAME CONSTRAINT
-- setup
CREATE DOMAIN email AS text CONSTRAINT c CHECK (VALUE <> 'c');
-- forward
ALTER DOMAIN email RENAME CONSTRAINT c TO d;
ALTER DOMAIN email RENAME TO mail;

-- case: domain-drop
-- form: DROP DOMAIN
-- setup
CREATE DOMAIN email AS text CONSTRAINT c CHECK (VALUE <> 'c');
-- forward
DROP DOMAIN email;

-- case: sequence-create
-- form: CREATE SEQUENCE
-- forward
CREATE SEQUENCE numbers AS smallint INCREMENT 5 START 20 OWNED BY users.age;

-- case: sequence-create-if-not-exists
-- form: CREATE SEQUENCE IF NOT EXISTS
-- forward
CREATE SEQUENCE IF NOT EXISTS numbers;
CREATE SEQUENCE IF NOT EXISTS orgs_id_seq;

-- case: sequence-alter
-- form: ALTER SEQUENCE
-- setup
CREATE SEQUENCE numbers AS int INCREMENT -3 MINVALUE -50 MAXVALUE 100 START 7 CACHE 4 CYCLE OWNED BY users.age;
-- forward
ALTER SEQUENCE numbers AS bigint INCREMENT 2 NO MINVALUE NO MAXVALUE START 9 CACHE 1 NO CYCLE OWNED BY NONE;

-- case: sequence-owned
-- form: ALTER SEQUENCE
-- setup
CREATE SEQUENCE numbers;
-- forward
ALTER SEQUENCE IF EXISTS numbers OWNED BY users.age;

-- case: sequence-restart
-- form: ALTER SEQUENCE RESTART
-- states: empty
-- expect: refused RESTART moves a sequence
-- forward
ALTER SEQUENCE users_id_seq RESTART WITH 100;

-- case: sequence-rename
-- form: ALTER SEQUENCE RENAME
-- forward
ALTER SEQUENCE orgs_id_seq RENAME TO "Numbers";

-- case: sequence-owner
-- form: ALTER SEQUENCE OWNER TO
-- setup
CREATE SEQUENCE numbers;
-- forward
ALTER SEQUENCE numbers OWNER TO writer;

-- case: sequence-drop
-- form: DROP SEQUENCE
-- setup
CREATE SEQUENCE numbers START 50;
SELECT nextval('numbers');
COMMENT ON SEQUENCE numbers IS 'of all';
GRANT USAGE ON SEQUENCE numbers TO reader;
-- forward
DROP SEQUENCE numbers;

-- case: sequence-drop-used
-- form: DROP SEQUENCE
-- states: empty
-- expect: guarded default value for column id of table orders depends on orders_id_seq
-- forward
DROP SEQUENCE orders_id_seq;

-- case: sequence-drop-identity
-- form: DROP SEQUENCE
-- states: empty
-- expect: guarded belongs to an identity column
-- forward
DROP SEQUENCE users_id_seq;

-- case: sequence-drop-if-exists
-- form: DROP SEQUENCE IF EXISTS
-- forward
CREATE SEQUENCE numbers;
DROP SEQUENCE IF EXISTS nothing, numbers;

-- case: statistics-create
-- form: CREATE STATISTICS
-- forward
CREATE STATISTICS users_stats (ndistinct) ON age, org_id FROM users;
CREATE STATISTICS IF NOT EXISTS users_stats ON age, id FROM users;

-- case: statistics-unnamed
-- form: CREATE STATISTICS
-- states: empty
-- expect: refused statistics without a name
-- forward
CREATE STATISTICS ON age, org_id FROM users;

-- case: statistics-drop
-- form: DROP STATISTICS
-- setup
CREATE STATISTICS users_stats (ndistinct, mcv) ON age, org_id, (age + 1) FROM users;
COMMENT ON STATISTICS users_stats IS 'together';
-- forward
DROP STATISTICS users_stats;
DROP STATISTICS IF EXISTS users_stats;

-- case: statistics-rename
-- form: ALTER STATISTICS RENAME
-- setup
CREATE STATISTICS users_stats ON age, org_id FROM users;
-- forward
ALTER STATISTICS users_stats RENAME TO other_stats;

-- case: comment-table
-- form: COMMENT ON TABLE
-- forward
COMMENT ON TABLE users IS 'it''s new \';

-- case: comment-first
-- form: COMMENT ON TABLE
-- forward
COMMENT ON TABLE logs IS E'a \\ "b"\n';

-- case: comment-removed
-- form: COMMENT ON COLUMN
-- setup
COMMENT ON COLUMN users.note IS E'it''s \\ so\nand more';
-- forward
COMMENT ON COLUMN users.note IS NULL;

-- case: comment-many
-- form: COMMENT ON (others)
-- setup
CREATE VIEW v AS SELECT id FROM users;
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER hush AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION quiet();
CREATE POLICY mine ON users USING (true);
CREATE RULE keep AS ON DELETE TO logs DO INSTEAD NOTHING;
CREATE DOMAIN email AS text CONSTRAINT c CHECK (VALUE <> 'c');
CREATE STATISTICS stats ON age, org_id FROM users;
COMMENT ON INDEX users_email_idx IS 'old';
COMMENT ON TYPE mood IS 'old';
-- forward
COMMENT ON VIEW v IS 'v';
COMMENT ON MATERIALIZED VIEW m IS 'm';
COMMENT ON COLUMN v.id IS 'vc';
COMMENT ON COLUMN m.one IS 'mc';
COMMENT ON FUNCTION plus(int, int) IS 'f';
COMMENT ON TRIGGER hush ON users IS 't';
COMMENT ON POLICY mine ON users IS 'p';
COMMENT ON RULE keep ON logs IS 'r';
COMMENT ON DOMAIN email IS 'd';
COMMENT ON CONSTRAINT c ON DOMAIN email IS 'dc';
COMMENT ON CONSTRAINT users_age_check ON users IS 'c';
COMMENT ON STATISTICS stats IS 's';
COMMENT ON INDEX users_email_idx IS NULL;
COMMENT ON TYPE mood IS 'new';
COMMENT ON SEQUENCE orgs_id_seq IS 'seq';

-- case: comment-database
-- form: COMMENT ON DATABASE
-- states: empty
-- expect: refused a comment on a database is not derived
-- forward
COMMENT ON DATABASE postgres IS 'x';

-- case: grant
-- form: GRANT
-- states: empty
-- forward
GRANT SELECT, INSERT ON users, logs TO reader, writer;

-- case: grant-more
-- form: GRANT
-- setup
GRANT SELECT ON users TO reader;
GRANT UPDATE (name) ON users TO reader WITH GRANT OPTION;
GRANT ALL ON users TO writer;
-- forward
GRANT SELECT, DELETE ON users TO reader WITH GRANT OPTION;
GRANT SELECT (email, name), UPDATE (note) ON users TO reader, PUBLIC;

-- case: revoke
-- form: REVOKE
-- setup
GRANT SELECT, UPDATE ON users TO reader WITH GRANT OPTION;
GRANT INSERT (name, email) ON users TO reader;
-- forward
REVOKE ALL ON users FROM reader;
REVOKE INSERT ON users FROM postgres;

-- case: revoke-option
-- form: REVOKE GRANT OPTION FOR
-- setup
GRANT SELECT, UPDATE ON users TO reader WITH GRANT OPTION;
-- forward
REVOKE GRANT OPTION FOR UPDATE ON users FROM reader;

-- case: grant-others
-- form: GRANT
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
-- forward
GRANT USAGE ON SEQUENCE orgs_id_seq TO reader;
GRANT EXECUTE ON FUNCTION plus(int, int) TO reader;
REVOKE EXECUTE ON FUNCTION plus FROM PUBLIC;
GRANT USAGE ON TYPE mood TO reader;
REVOKE USAGE ON TYPE mood FROM PUBLIC;

-- case: grant-all-tables
-- form: GRANT ON ALL TABLES
-- states: empty
-- expect: refused rights on everything of a kind
-- forward
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;

-- case: grant-schema
-- form: GRANT ON SCHEMA
-- states: empty
-- expect: refused rights on a schema are not derived
-- forward
GRANT USAGE ON SCHEMA public TO reader;

-- case: grant-role
-- form: GRANT (role)
-- states: empty
-- expect: refused roles belong to the server
-- forward
GRANT reader TO writer;

-- case: default-privileges
-- form: ALTER DEFAULT PRIVILEGES
-- states: empty
-- expect: refused rights on what is created later
-- forward
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;

-- case: statistics-target
-- form: ALTER STATISTICS SET STATISTICS
-- states: empty
-- setup
CREATE STATISTICS users_stats ON age, email FROM users;
-- forward
ALTER STATISTICS users_stats SET STATISTICS 200;

-- case: statistics-target-changed
-- form: ALTER STATISTICS SET STATISTICS
-- states: empty
-- setup
CREATE STATISTICS users_stats ON age, email FROM users;
ALTER STATISTICS users_stats SET STATISTICS 7;
-- forward
ALTER STATISTICS IF EXISTS users_stats SET STATISTICS -1;

-- case: statistics-owner
-- form: OWNER TO
-- states: empty
-- setup
CREATE STATISTICS users_stats ON age, email FROM users;
-- forward
ALTER STATISTICS users_stats OWNER TO writer;

-- case: statistics-dropped-with-all-that-is-theirs
-- form: DROP STATISTICS
-- states: empty
-- setup
CREATE STATISTICS users_stats ON age, email FROM users;
ALTER STATISTICS users_stats SET STATISTICS 70;
ALTER STATISTICS users_stats OWNER TO writer;
COMMENT ON STATISTICS users_stats IS 'why';
-- forward
DROP STATISTICS users_stats;

-- case: statistics-of-a-dropped-column
-- form: DROP COLUMN
-- states: rows
-- setup
CREATE STATISTICS users_stats ON age, email FROM users;
ALTER STATISTICS users_stats SET STATISTICS 70;
ALTER STATISTICS users_stats OWNER TO writer;
-- forward
ALTER TABLE users DROP COLUMN age;
