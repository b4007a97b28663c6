-- states: rows
-- case: add-plain
-- form: ADD COLUMN
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
ALTER TABLE users ADD COLUMN last_login timestamp;

-- case: add-default
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN logins integer NOT NULL DEFAULT 0;

-- case: add-default-cast
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN rate numeric(5, 2) DEFAULT '1.5'::numeric, ADD tags text[] DEFAULT '{}';

-- case: add-now
-- form: ADD COLUMN
-- options: clock
-- forward
ALTER TABLE users ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();

-- case: add-serial
-- form: ADD COLUMN
-- forward
ALTER TABLE logs ADD COLUMN id bigserial;

-- case: add-identity-key
-- form: ADD COLUMN
-- forward
ALTER TABLE logs ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;

-- case: add-unique
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN code text UNIQUE;

-- case: add-references
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN boss int REFERENCES users (id) ON DELETE SET NULL CHECK (boss <> 5);

-- case: add-generated
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN shout text GENERATED ALWAYS AS (upper(email)) STORED;

-- case: add-quoted
-- form: ADD COLUMN
-- forward
ALTER TABLE "users" ADD COLUMN "Order" int, ADD COLUMN "it's \ ""so""" int DEFAULT 3;

-- case: add-if-not-exists-new
-- form: ADD COLUMN IF NOT EXISTS
-- forward
ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text;

-- case: add-if-not-exists-serial
-- form: ADD COLUMN IF NOT EXISTS
-- forward
ALTER TABLE logs ADD COLUMN IF NOT EXISTS id bigserial, ADD COLUMN IF NOT EXISTS message text DEFAULT md5('x');

-- case: add-if-not-exists-serial-then-changed
-- form: ADD COLUMN IF NOT EXISTS
-- expect: lost 2 rows of logs have a value in id that would be lost, not all of them as the delta left them
-- forward
ALTER TABLE logs ADD COLUMN IF NOT EXISTS id bigserial, ADD COLUMN IF NOT EXISTS message text DEFAULT md5('x');
-- since
UPDATE logs SET id = id + 10;

-- case: add-if-not-exists-there
-- form: ADD COLUMN IF NOT EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE users ADD COLUMN IF NOT EXISTS email text;

-- case: add-if-not-exists-mixed
-- form: ADD COLUMN IF NOT EXISTS
-- forward
ALTER TABLE users ADD COLUMN IF NOT EXISTS email text, ADD COLUMN IF NOT EXISTS phone text DEFAULT 'none';

-- case: add-if-exists-missing-table
-- form: ALTER TABLE IF EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE IF EXISTS nowhere ADD COLUMN x int, ADD COLUMN IF NOT EXISTS y int;

-- case: add-then-filled
-- form: ADD COLUMN
-- states: rows
-- expect: lost 1 row of users has a value in phone
-- forward
ALTER TABLE users ADD COLUMN phone text;
-- since
UPDATE users SET phone = '1' WHERE id = 1;

-- case: add-default-then-changed
-- form: ADD COLUMN
-- states: rows
-- expect: lost 2 rows of users have a value in logins
-- forward
ALTER TABLE users ADD COLUMN logins int DEFAULT 7;
-- since
UPDATE users SET logins = 8 WHERE id < 3;

-- case: add-if-not-exists-then-filled
-- form: ADD COLUMN IF NOT EXISTS
-- states: rows
-- expect: lost 1 row of users has a value in phone
-- forward
ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text;
-- since
UPDATE users SET phone = '1' WHERE id = 1;

-- case: add-now-then-changed
-- form: ADD COLUMN
-- options: clock
-- states: rows
-- expect: lost 3 rows of users have a value in seen_at
-- forward
ALTER TABLE users ADD COLUMN seen_at timestamptz DEFAULT now();
-- since
UPDATE users SET seen_at = '2020-01-01' WHERE id = 2;

-- case: add-to-view-free-column-order
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN a int, ADD COLUMN b int, ADD CONSTRAINT ab CHECK (a < b), ADD UNIQUE (a, b);

-- case: drop
-- form: DROP COLUMN
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-default-not-null
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN balance;

-- case: drop-checked
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP age;

-- case: drop-indexed
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN email;

-- case: drop-foreign-key
-- form: DROP COLUMN
-- states: empty rows nulls foreign_keys
-- forward
ALTER TABLE users DROP COLUMN org_id;

-- case: drop-key
-- form: DROP COLUMN
-- states: empty
-- expect: guarded constraint orders_user_fkey on table orders depends on users.id
-- forward
ALTER TABLE users DROP COLUMN id;

-- case: drop-key-cascade
-- form: DROP COLUMN CASCADE
-- states: empty rows
-- expect: guarded constraint orders_user_fkey on table orders depends on users.id
-- forward
ALTER TABLE users DROP COLUMN id CASCADE;

-- case: drop-serial-key
-- form: DROP COLUMN
-- states: empty rows foreign_keys
-- forward
ALTER TABLE orders DROP COLUMN id;

-- case: drop-identity-key
-- form: DROP COLUMN
-- setup
CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY, name text);
INSERT INTO items (name) VALUES ('a'), ('b');
-- forward
ALTER TABLE items DROP COLUMN id;

-- case: drop-marked-unique
-- form: DROP COLUMN
-- setup
CREATE TABLE items (id int, code text NOT NULL, other int, note text COLLATE "C",
    CONSTRAINT items_code UNIQUE (code) WITH (fillfactor = 70), CONSTRAINT pair CHECK (other > 0 AND code <> ''));
CREATE INDEX items_partial ON items (id) WHERE code <> 'x';
CREATE UNIQUE INDEX items_more ON items USING btree (code DESC, (other + 1)) INCLUDE (note);
COMMENT ON CONSTRAINT items_code ON items IS 'of each item';
COMMENT ON INDEX items_code IS 'its index';
COMMENT ON INDEX items_partial IS 'a part of them';
COMMENT ON COLUMN items.code IS 'printed on it';
ALTER TABLE items CLUSTER ON items_code;
ALTER TABLE items REPLICA IDENTITY USING INDEX items_code;
ALTER INDEX items_more ALTER COLUMN 2 SET STATISTICS 55;
CREATE STATISTICS items_stats (dependencies) ON code, other FROM items;
COMMENT ON STATISTICS items_stats IS 'they go together';
ALTER TABLE items ALTER code SET STATISTICS 500, ALTER code SET STORAGE EXTERNAL, ALTER code SET (n_distinct = 5);
GRANT SELECT (code), UPDATE (code, id) ON items TO reader;
INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2);
-- forward
ALTER TABLE items DROP COLUMN code;

-- case: drop-if-exists-missing
-- form: DROP COLUMN IF EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE users DROP COLUMN IF EXISTS nothing;

-- case: add-calling-own-function
-- form: ADD COLUMN
-- expect: guarded it calls ticket\(\), and what that changes is not seen
-- setup
CREATE TABLE tickets (n int);
CREATE FUNCTION ticket() RETURNS int LANGUAGE sql AS 'INSERT INTO tickets VALUES (1) RETURNING n';
-- forward
ALTER TABLE users ADD COLUMN ticket int DEFAULT ticket(), ADD COLUMN code uuid DEFAULT gen_random_uuid();

-- case: add-calling-harmless-function
-- form: ADD COLUMN
-- options: clock
-- setup
CREATE FUNCTION one() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
-- forward
ALTER TABLE users ADD COLUMN ticket int DEFAULT one(), ADD COLUMN code uuid DEFAULT gen_random_uuid();

-- case: drop-domain
-- form: DROP COLUMN
-- expect: guarded is a domain without NULLs
-- setup
CREATE DOMAIN word AS text NOT NULL;
ALTER TABLE users ADD COLUMN word word DEFAULT 'x';
-- forward
ALTER TABLE users DROP COLUMN word;

-- case: drop-missing
-- form: DROP COLUMN
-- states: empty
-- expect: guarded there is no column users.nothing
-- forward
ALTER TABLE users DROP COLUMN nothing;

-- case: drop-if-exists-table-missing
-- form: ALTER TABLE IF EXISTS
-- forward: changes nothing
-- forward
ALTER TABLE IF EXISTS nowhere DROP COLUMN x;

-- case: drop-used-by-view
-- form: DROP COLUMN
-- states: empty
-- expect: guarded rule _RETURN on view notes depends on users.note
-- setup
CREATE VIEW notes AS SELECT id, note FROM users;
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-used-by-trigger
-- form: DROP COLUMN
-- states: triggers
-- expect: guarded trigger users_note on table users depends on users.note
-- setup
CREATE TRIGGER users_note AFTER UPDATE OF note ON users FOR EACH ROW EXECUTE FUNCTION noted();
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-used-by-policy
-- form: DROP COLUMN
-- states: empty
-- expect: guarded policy mine on table users depends on users.note
-- setup
CREATE POLICY mine ON users USING (note = current_user);
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-used-by-generated
-- form: DROP COLUMN
-- states: empty
-- expect: guarded depends on users.note
-- setup
ALTER TABLE users ADD loud text GENERATED ALWAYS AS (upper(note)) STORED;
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-generated-and-its-base
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD loud text GENERATED ALWAYS AS (upper(note)) STORED;
-- forward
ALTER TABLE users DROP COLUMN loud, DROP COLUMN note;

-- case: drop-of-parent
-- form: DROP COLUMN
-- states: empty
-- expect: guarded users has children or partitions
-- setup
CREATE TABLE guests () INHERITS (users);
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-no-park
-- form: DROP COLUMN
-- states: empty
-- options: no-park
-- expect: refused parking is switched off
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: drop-then-add-again
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN note;
ALTER TABLE users ADD COLUMN note int DEFAULT 5;

-- case: drop-and-add-in-one
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN note, ADD COLUMN note int NOT NULL DEFAULT 5, DROP COLUMN name;

-- case: drop-with-its-constraint
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP CONSTRAINT users_age_check, DROP COLUMN age, ADD COLUMN born date;

-- case: drop-twice
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN note;
ALTER TABLE users ADD COLUMN note int;
ALTER TABLE users DROP COLUMN note;

-- case: drop-with-type
-- form: DROP COLUMN
-- states: empty rows nulls
-- forward
ALTER TABLE users DROP COLUMN feeling;
DROP TYPE mood;

-- case: drop-then-rows
-- form: DROP COLUMN
-- states: rows
-- forward
ALTER TABLE users DROP COLUMN balance;
-- since
INSERT INTO users (email, created_at) VALUES ('new', '2025-05-05');

-- case: drop-not-null-then-rows
-- form: DROP COLUMN
-- states: rows
-- expect: held contains null values
-- setup
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items VALUES (1, 'a');
-- forward
ALTER TABLE items DROP COLUMN name;
-- since
INSERT INTO items VALUES (2);

-- case: rename
-- form: RENAME COLUMN
-- states: empty rows nulls foreign_keys triggers
-- forward
ALTER TABLE users RENAME COLUMN email TO mail;

-- case: rename-without-column
-- form: RENAME COLUMN
-- forward
ALTER TABLE users RENAME name TO "Full Name";

-- case: rename-used-by-view
-- form: RENAME COLUMN
-- setup
CREATE VIEW v AS SELECT id, name FROM users WHERE age > 5;
-- forward
ALTER TABLE users RENAME COLUMN name TO label;

-- case: rename-swap
-- form: RENAME COLUMN
-- forward
ALTER TABLE users RENAME COLUMN name TO tmp;
ALTER TABLE users RENAME COLUMN note TO name;
ALTER TABLE users RENAME COLUMN tmp TO note;

-- case: rename-added
-- form: RENAME COLUMN
-- forward
ALTER TABLE users ADD COLUMN phone text;
ALTER TABLE users RENAME COLUMN phone TO mobile;

-- case: rename-if-exists-missing
-- form: RENAME COLUMN
-- forward: changes nothing
-- forward
ALTER TABLE IF EXISTS nowhere RENAME COLUMN a TO b;

-- case: default-set
-- form: SET DEFAULT
-- forward
ALTER TABLE users ALTER COLUMN age SET DEFAULT 18;

-- case: default-replaced
-- form: SET DEFAULT
-- forward
ALTER TABLE users ALTER name SET DEFAULT 'it''s' || chr(92), ALTER balance SET DEFAULT 5;

-- case: default-dropped
-- form: DROP DEFAULT
-- forward
ALTER TABLE users ALTER COLUMN created_at DROP DEFAULT, ALTER COLUMN feeling DROP DEFAULT;

-- case: default-dropped-none
-- form: DROP DEFAULT
-- forward: changes nothing
-- forward
ALTER TABLE users ALTER COLUMN note DROP DEFAULT;

-- case: default-dropped-serial
-- form: DROP DEFAULT
-- forward
ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;

-- case: default-in-family
-- form: SET DEFAULT
-- setup
CREATE TABLE guests (badge int) INHERITS (users);
ALTER TABLE guests ALTER name SET DEFAULT 'guest';
-- forward
ALTER TABLE users ALTER COLUMN name SET DEFAULT 'all';

-- case: default-only-parent
-- form: SET DEFAULT
-- setup
CREATE TABLE guests (badge int) INHERITS (users);
-- forward
ALTER TABLE ONLY users ALTER COLUMN name SET DEFAULT 'parent';

-- case: default-in-partitions
-- form: SET DEFAULT
-- setup
CREATE TABLE parts (id int, kind text DEFAULT 'x') PARTITION BY LIST (id);
CREATE TABLE part_one PARTITION OF parts (kind DEFAULT 'one') FOR VALUES IN (1);
-- forward
ALTER TABLE parts ALTER COLUMN kind SET DEFAULT 'y';

-- case: not-null-set
-- form: SET NOT NULL
-- states: empty rows
-- forward
ALTER TABLE users ALTER COLUMN note SET NOT NULL;

-- case: not-null-set-refused-by-data
-- form: SET NOT NULL
-- states: nulls
-- expect: guarded contains null values
-- forward
ALTER TABLE users ALTER COLUMN note SET NOT NULL;

-- case: not-null-set-already
-- form: SET NOT NULL
-- forward: changes nothing
-- forward
ALTER TABLE users ALTER COLUMN email SET NOT NULL;

-- case: not-null-dropped
-- form: DROP NOT NULL
-- forward
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;

-- case: not-null-dropped-then-nulls
-- form: DROP NOT NULL
-- states: rows
-- expect: held contains null values
-- forward
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
-- since
UPDATE users SET email = NULL WHERE id = 1;

-- case: not-null-in-family
-- form: SET NOT NULL
-- states: empty
-- setup
CREATE TABLE parts (id int, kind text) PARTITION BY LIST (id);
CREATE TABLE part_one PARTITION OF parts (kind NOT NULL) FOR VALUES IN (1);
CREATE TABLE part_two PARTITION OF parts FOR VALUES IN (2);
-- forward
ALTER TABLE parts ALTER COLUMN kind SET NOT NULL;

-- case: not-null-dropped-in-family
-- form: DROP NOT NULL
-- states: empty
-- setup
CREATE TABLE parts (id int, kind text NOT NULL) PARTITION BY LIST (id);
CREATE TABLE part_one PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_two PARTITION OF parts FOR VALUES IN (2) PARTITION BY LIST (kind);
CREATE TABLE part_two_a PARTITION OF part_two FOR VALUES IN ('a');
-- forward
ALTER TABLE parts ALTER COLUMN kind DROP NOT NULL;

-- case: not-null-dropped-with-a-name
-- form: DROP NOT NULL
-- states: rows
-- setup
CREATE TABLE guests (id int CONSTRAINT there NOT NULL, plain int NOT NULL);
-- forward
ALTER TABLE guests ALTER COLUMN id DROP NOT NULL, ALTER COLUMN plain DROP NOT NULL;

-- case: statistics
-- form: SET STATISTICS
-- forward
ALTER TABLE users ALTER COLUMN email SET STATISTICS 500;

-- case: storage
-- form: SET STORAGE
-- forward
ALTER TABLE users ALTER COLUMN note SET STORAGE EXTERNAL;

-- case: compression
-- form: SET COMPRESSION
-- forward
ALTER TABLE users ALTER COLUMN note SET COMPRESSION pglz;

-- case: column-options
-- form: SET (column options)
-- setup
ALTER TABLE users ALTER email SET (n_distinct = 10);
-- forward
ALTER TABLE users ALTER COLUMN email SET (n_distinct = -0.5, n_distinct_inherited = 3);

-- case: column-options-reset
-- form: RESET (column options)
-- setup
ALTER TABLE users ALTER email SET (n_distinct = 10);
-- forward
ALTER TABLE users ALTER COLUMN email RESET (n_distinct);

-- case: identity-added
-- form: ADD GENERATED AS IDENTITY
-- setup
ALTER TABLE logs ADD id int NOT NULL DEFAULT 0;
ALTER TABLE logs ALTER id DROP DEFAULT;
-- forward
ALTER TABLE logs ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;

-- case: identity-set
-- form: SET GENERATED
-- forward
ALTER TABLE users ALTER COLUMN id SET GENERATED ALWAYS;

-- case: identity-dropped
-- form: DROP IDENTITY
-- forward
ALTER TABLE users ALTER COLUMN id DROP IDENTITY;

-- case: identity-options
-- form: SET GENERATED
-- states: empty
-- expect: refused options of an identity's sequence
-- forward
ALTER TABLE users ALTER COLUMN id SET GENERATED ALWAYS SET INCREMENT BY 2;

-- case: expression-dropped
-- form: DROP EXPRESSION
-- states: empty
-- expect: refused nothing makes a column a generated one again
-- setup
ALTER TABLE users ADD loud text GENERATED ALWAYS AS (upper(note)) STORED;
-- forward
ALTER TABLE users ALTER COLUMN loud DROP EXPRESSION;

-- case: identity-goes-on
-- form: SELECT setval
-- states: empty rows
-- setup
ALTER TABLE logs ADD id int NOT NULL DEFAULT 41;
ALTER TABLE logs ALTER id DROP DEFAULT;
-- forward
ALTER TABLE logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "Log ids" START 3);
SELECT setval('"Log ids"', max(id)) FROM logs HAVING max(id) >= 1;

-- case: identity-goes-on-by-its-column
-- form: SELECT setval
-- states: rows
-- setup
ALTER TABLE logs ADD id int NOT NULL DEFAULT 41;
ALTER TABLE logs ALTER id DROP DEFAULT;
-- forward
ALTER TABLE logs ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;
SELECT pg_catalog.setval(pg_get_serial_sequence('logs', 'id'), (SELECT max(id) FROM logs), true);

-- case: serial-goes-on
-- form: SELECT setval
-- states: empty rows
-- setup
ALTER TABLE logs ADD id int NOT NULL DEFAULT 41;
-- forward
CREATE SEQUENCE log_ids;
ALTER TABLE logs ALTER id SET DEFAULT nextval('log_ids');
ALTER SEQUENCE log_ids OWNED BY logs.id;
SELECT setval('log_ids'::regclass, max(id)) FROM logs HAVING max(id) > 0;

-- case: serial-of-new-things
-- form: SELECT setval
-- states: rows
-- forward
CREATE TABLE items (id bigserial PRIMARY KEY, name text);
INSERT INTO items VALUES (7, 'x');
ALTER TABLE logs ADD COLUMN id serial;
SELECT setval(pg_get_serial_sequence('items', 'id'), (SELECT max(id) FROM items)), setval(pg_get_serial_sequence('logs', 'id'), 500);

-- case: sequence-there-already
-- form: SELECT setval
-- states: empty
-- expect: refused what functions do in a SELECT is not seen
-- forward
CREATE SEQUENCE IF NOT EXISTS orgs_id_seq;
SELECT setval('orgs_id_seq', 100);

-- case: sequence-of-another
-- form: SELECT setval
-- states: empty
-- expect: refused what functions do in a SELECT is not seen
-- forward
CREATE SEQUENCE log_ids;
SELECT setval('log_ids', nextval('orgs_id_seq'));

-- case: sequence-gone
-- form: SELECT setval
-- states: empty
-- expect: refused what functions do in a SELECT is not seen
-- forward
CREATE SEQUENCE log_ids;
DROP SEQUENCE log_ids;
SELECT setval('log_ids', 3);

-- case: add-domain-with-default
-- form: ADD COLUMN
-- states: rows empty
-- setup
CREATE DOMAIN zip AS varchar(10) DEFAULT 'none';
CREATE DOMAIN short_zip AS zip CHECK (length(VALUE) < 6);
-- forward
ALTER TABLE users ADD COLUMN zip zip, ADD COLUMN short short_zip, ADD COLUMN zips zip[];

-- case: add-domain-with-default-then-changed
-- form: ADD COLUMN
-- states: rows
-- expect: lost 3 rows of users have a value in zip that would be lost, not all of them as the delta left them
-- setup
CREATE DOMAIN zip AS varchar(10) DEFAULT 'none';
-- forward
ALTER TABLE users ADD COLUMN zip zip;
-- since
UPDATE users SET zip = '8000' WHERE name = 'Ann';
