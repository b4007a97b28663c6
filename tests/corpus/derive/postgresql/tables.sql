-- states: rows
-- case: create
-- form: CREATE TABLE
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
CREATE TABLE invoices (id bigserial PRIMARY KEY, user_id int REFERENCES users, total numeric CHECK (total > 0), UNIQUE (user_id, total));

-- case: create-if-not-exists-new
-- form: CREATE TABLE IF NOT EXISTS
-- forward
CREATE TABLE IF NOT EXISTS invoices (id int GENERATED ALWAYS AS IDENTITY);

-- case: create-if-not-exists-there
-- form: CREATE TABLE IF NOT EXISTS
-- forward: changes nothing
-- forward
CREATE TABLE IF NOT EXISTS users (id int);

-- case: create-if-not-exists-view-there
-- form: CREATE TABLE IF NOT EXISTS
-- forward: changes nothing
-- setup
CREATE VIEW people AS SELECT 1 AS one;
-- forward
CREATE TABLE IF NOT EXISTS people (id int);

-- case: create-quoted
-- form: CREATE TABLE
-- forward
CREATE TABLE "Robert'); DROP TABLE users" ("select" int, "a""b" text);

-- case: create-like
-- form: CREATE TABLE LIKE
-- forward
CREATE TABLE users_old (LIKE users INCLUDING ALL);

-- case: create-as
-- form: CREATE TABLE AS
-- forward
CREATE TABLE grown AS SELECT id, email FROM users WHERE age > 30;

-- case: create-as-if-not-exists
-- form: CREATE TABLE AS IF NOT EXISTS
-- forward
CREATE TABLE IF NOT EXISTS grown AS SELECT id, email FROM users;

-- case: create-as-if-not-exists-there
-- form: CREATE TABLE AS IF NOT EXISTS
-- forward: changes nothing
-- forward
CREATE TABLE IF NOT EXISTS users AS SELECT 1 AS one;

-- case: create-as-if-not-exists-then-rows
-- form: CREATE TABLE AS IF NOT EXISTS
-- expect: lost 4 rows of grown would be lost, not all of them as the delta left them
-- setup
CREATE TABLE others (r int);
INSERT INTO others VALUES (1);
-- forward
CREATE TABLE IF NOT EXISTS others AS SELECT 1 AS r;
CREATE TABLE IF NOT EXISTS grown AS SELECT id AS r FROM users;
-- since
INSERT INTO grown VALUES (9);
INSERT INTO others VALUES (9);

-- case: create-as-then-rows
-- form: CREATE TABLE AS
-- states: rows
-- expect: lost 4 rows of copies would be lost, not all of them as the delta left them
-- forward
CREATE TABLE copies AS SELECT id, email FROM users;
-- since
INSERT INTO copies VALUES (77, 'new');

-- case: create-as-calling-own-function
-- form: CREATE TABLE AS
-- expect: guarded it calls emptied\(\), and what that changes is not seen
-- setup
CREATE FUNCTION emptied() RETURNS int LANGUAGE sql AS 'DELETE FROM logs; SELECT 1';
-- forward
CREATE TABLE copies AS SELECT emptied() AS n FROM users;

-- case: select-into
-- form: SELECT INTO
-- forward
SELECT id, name INTO names FROM users;

-- case: create-then-rows
-- form: CREATE TABLE
-- states: rows
-- expect: lost 2 rows of invoices would be lost
-- forward
CREATE TABLE invoices (id int);
-- since
INSERT INTO invoices VALUES (1), (2);

-- case: create-partitioned
-- form: CREATE TABLE PARTITION BY
-- forward
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON events (what);

-- case: create-partition
-- form: CREATE TABLE PARTITION OF
-- setup
CREATE TABLE events (id int PRIMARY KEY, user_id int REFERENCES users) PARTITION BY RANGE (id);
CREATE INDEX events_user ON events (user_id);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
-- forward
CREATE TABLE events_one PARTITION OF events FOR VALUES FROM (1) TO (100);

-- case: create-inherits
-- form: CREATE TABLE INHERITS
-- forward
CREATE TABLE guests (badge int) INHERITS (users);

-- case: create-unlogged
-- form: CREATE TABLE
-- forward
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value jsonb) WITH (fillfactor = 70);

-- case: create-temporary
-- form: CREATE TEMPORARY TABLE
-- states: empty
-- expect: refused a temporary table belongs to the connection
-- forward
CREATE TEMP TABLE work (id int);

-- case: create-with-everything
-- form: CREATE TABLE
-- forward
CREATE TABLE projects (id int PRIMARY KEY, org_id int);
CREATE UNIQUE INDEX projects_org ON projects (org_id);
ALTER TABLE projects ADD CONSTRAINT projects_org_fkey FOREIGN KEY (org_id) REFERENCES orgs;
COMMENT ON TABLE projects IS 'what is worked on';
GRANT SELECT ON projects TO reader;
CREATE TABLE tasks (id int PRIMARY KEY, project_id int REFERENCES projects ON DELETE CASCADE);

-- case: create-typed
-- form: CREATE TABLE OF
-- setup
CREATE TYPE pair AS (a int, b text);
-- forward
CREATE TABLE pairs OF pair (PRIMARY KEY (a));

-- case: rename
-- form: RENAME TABLE
-- states: empty rows foreign_keys triggers
-- forward
ALTER TABLE users RENAME TO people;

-- case: rename-quoted
-- form: RENAME TABLE
-- forward
ALTER TABLE IF EXISTS logs RENAME TO "Order";

-- case: rename-if-exists-missing
-- form: RENAME TABLE
-- forward: changes nothing
-- forward
ALTER TABLE IF EXISTS nowhere RENAME TO somewhere;

-- case: rename-created
-- form: RENAME TABLE
-- forward
CREATE TABLE invoices (id int);
ALTER TABLE invoices RENAME TO bills;
ALTER TABLE bills ADD COLUMN total int;

-- case: rename-swap
-- form: RENAME TABLE
-- forward
ALTER TABLE logs RENAME TO logs_old;
CREATE TABLE logs (at timestamptz, message text, level int);

-- case: drop
-- form: DROP TABLE
-- states: empty rows nulls duplicates triggers
-- forward
DROP TABLE logs;

-- case: drop-marked-unique
-- form: DROP TABLE
-- states: empty rows foreign_keys
-- forward
DROP TABLE orders;

-- case: drop-and-create-again
-- form: DROP TABLE
-- states: empty rows foreign_keys
-- forward
DROP TABLE orders;
CREATE TABLE orders (id bigserial PRIMARY KEY, user_id int REFERENCES users, note text);
CREATE INDEX orders_user ON orders (user_id);

-- case: drop-and-create-again-with-checks
-- form: DROP TABLE
-- states: empty
-- setup
CREATE TABLE visits (id int NOT NULL CHECK (id > 0), note text NOT NULL, CONSTRAINT told CHECK (note <> ''));
CREATE TABLE halls (id int CHECK (id > 0), kind text NOT NULL) PARTITION BY LIST (id);
CREATE TABLE hall_one PARTITION OF halls FOR VALUES IN (1);
-- forward
DROP TABLE visits, halls;
CREATE TABLE visits (id int NOT NULL CHECK (id > 0), note text NOT NULL, CONSTRAINT told CHECK (note <> ''));
CREATE TABLE halls (id int CHECK (id > 0), kind text NOT NULL) PARTITION BY LIST (id);
CREATE TABLE hall_one PARTITION OF halls FOR VALUES IN (1);

-- case: drop-with-all
-- form: DROP TABLE
-- setup
CREATE TABLE items (id serial PRIMARY KEY, org int REFERENCES orgs, parent int REFERENCES items, code text NOT NULL UNIQUE,
    big text, EXCLUDE USING btree (code WITH =));
CREATE INDEX items_code ON items (lower(code)) WHERE org > 5;
CREATE STATISTICS items_stats ON org, parent FROM items;
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER items_quiet AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION quiet();
CREATE CONSTRAINT TRIGGER items_late AFTER UPDATE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION quiet();
ALTER TABLE items DISABLE TRIGGER items_quiet;
COMMENT ON TRIGGER items_late ON items IS 'at the end';
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY a_few ON items USING (id > 0);
CREATE RULE quietly AS ON DELETE TO items WHERE OLD.id = 1 DO INSTEAD NOTHING;
COMMENT ON TABLE items IS 'all of them';
GRANT SELECT, UPDATE (code) ON items TO reader;
INSERT INTO items (code, big) VALUES ('a', repeat('x', 10000)), ('b', NULL);
-- forward
DROP TABLE items;
DROP FUNCTION quiet();

-- case: drop-referenced
-- form: DROP TABLE
-- states: empty
-- expect: guarded constraint orders_user_fkey on table orders depends on
-- forward
DROP TABLE users;

-- case: drop-referenced-cascade
-- form: DROP TABLE CASCADE
-- states: empty rows foreign_keys
-- forward
DROP TABLE users CASCADE;

-- case: drop-two
-- form: DROP TABLE
-- states: empty rows
-- forward
DROP TABLE orders, users;

-- case: drop-used-by-view
-- form: DROP TABLE
-- states: empty
-- expect: guarded rule _RETURN on view v depends on logs
-- setup
CREATE VIEW v AS SELECT * FROM logs;
-- forward
DROP TABLE logs;

-- case: drop-used-by-view-cascade
-- form: DROP TABLE CASCADE
-- states: empty
-- expect: guarded rule _RETURN on view v depends on logs
-- setup
CREATE VIEW v AS SELECT * FROM logs;
-- forward
DROP TABLE logs CASCADE;

-- case: drop-used-by-function
-- form: DROP TABLE
-- states: empty
-- expect: guarded function f\(\) depends on logs
-- setup
CREATE FUNCTION f() RETURNS SETOF logs LANGUAGE sql AS 'SELECT * FROM logs';
-- forward
DROP TABLE logs;

-- case: drop-if-exists-missing
-- form: DROP TABLE IF EXISTS
-- forward: changes nothing
-- forward
DROP TABLE IF EXISTS nothing, "No thing";

-- case: drop-if-exists-some
-- form: DROP TABLE IF EXISTS
-- forward
DROP TABLE IF EXISTS nothing, logs;

-- case: drop-missing
-- form: DROP TABLE
-- states: empty
-- expect: guarded does not exist
-- forward
DROP TABLE nothing;

-- case: drop-a-view
-- form: DROP TABLE
-- states: empty
-- expect: guarded v is no table
-- setup
CREATE VIEW v AS SELECT 1 AS one;
-- forward
DROP TABLE v;

-- case: drop-partitioned
-- form: DROP TABLE
-- setup
CREATE TABLE events (id int PRIMARY KEY, user_id int REFERENCES users) PARTITION BY RANGE (id);
CREATE INDEX events_user ON events (user_id);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE events_one PARTITION OF events FOR VALUES FROM (1) TO (100);
INSERT INTO events VALUES (1), (500);
-- forward
DROP TABLE events;

-- case: drop-partition
-- form: DROP TABLE
-- setup
CREATE TABLE events (id int PRIMARY KEY, what text NOT NULL) PARTITION BY RANGE (id);
CREATE INDEX events_what ON events (what);
CREATE TABLE events_one PARTITION OF events FOR VALUES FROM (1) TO (100);
CREATE TABLE events_two PARTITION OF events FOR VALUES FROM (100) TO (200);
INSERT INTO events VALUES (1, 'a'), (150, 'b');
-- forward
DROP TABLE events_one;

-- case: drop-parent
-- form: DROP TABLE
-- states: empty
-- expect: guarded tables that inherit
-- setup
CREATE TABLE guests () INHERITS (logs);
-- forward
DROP TABLE guests;

-- case: drop-no-park
-- form: DROP TABLE
-- states: empty
-- options: no-park
-- expect: refused parking is switched off
-- forward
DROP TABLE logs;

-- case: drop-then-created
-- form: DROP TABLE
-- states: rows
-- expect: held relation "logs" already exists
-- forward
DROP TABLE logs;
-- since
CREATE TABLE logs (id int);

-- case: drop-own-schema
-- form: DROP TABLE
-- setup
CREATE TABLE "Big Table" (id serial PRIMARY KEY);
-- forward
DROP TABLE "Big Table";

-- case: options
-- form: SET (storage parameters)
-- setup
ALTER TABLE users SET (fillfactor = 90);
-- forward
ALTER TABLE users SET (fillfactor = 70, autovacuum_enabled = false);

-- case: options-reset
-- form: RESET (storage parameters)
-- setup
ALTER TABLE users SET (fillfactor = 90);
-- forward
ALTER TABLE users RESET (fillfactor);

-- case: options-toast
-- form: SET (storage parameters)
-- states: empty
-- forward
ALTER TABLE users SET (toast.autovacuum_enabled = false, fillfactor = 80);

-- case: options-toast-changed
-- form: SET (storage parameters)
-- states: empty
-- setup
ALTER TABLE users SET (toast.autovacuum_freeze_max_age = 1000000, autovacuum_enabled = true, toast.autovacuum_enabled = false);
-- forward
ALTER TABLE users SET (toast.autovacuum_enabled = true), RESET (autovacuum_enabled);

-- case: owner
-- form: OWNER TO
-- forward
ALTER TABLE users OWNER TO writer;

-- case: unlogged
-- form: SET UNLOGGED
-- forward
ALTER TABLE logs SET UNLOGGED;

-- case: logged
-- form: SET LOGGED
-- setup
ALTER TABLE logs SET UNLOGGED;
-- forward
ALTER TABLE logs SET LOGGED;

-- case: tablespace
-- form: SET TABLESPACE
-- forward: changes nothing
-- forward
ALTER TABLE logs SET TABLESPACE pg_default;

-- case: row-security
-- form: ENABLE ROW LEVEL SECURITY
-- forward
ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- case: row-security-off
-- form: DISABLE ROW LEVEL SECURITY
-- setup
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- forward
ALTER TABLE users DISABLE ROW LEVEL SECURITY;

-- case: row-security-again
-- form: ENABLE ROW LEVEL SECURITY
-- forward: changes nothing
-- setup
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- forward
ALTER TABLE users ENABLE ROW LEVEL SECURITY;

-- case: clustered
-- form: CLUSTER ON
-- setup
CREATE INDEX users_age ON users (age);
ALTER TABLE users CLUSTER ON users_pkey;
-- forward
ALTER TABLE users CLUSTER ON users_age;

-- case: cluster-statement
-- form: CLUSTER
-- forward
CLUSTER users USING users_pkey;

-- case: clustered-off
-- form: SET WITHOUT CLUSTER
-- setup
ALTER TABLE users CLUSTER ON users_pkey;
-- forward
ALTER TABLE users SET WITHOUT CLUSTER;

-- case: replica-identity
-- form: REPLICA IDENTITY
-- forward
ALTER TABLE users REPLICA IDENTITY FULL;

-- case: replica-identity-index
-- form: REPLICA IDENTITY
-- setup
ALTER TABLE orgs REPLICA IDENTITY USING INDEX orgs_name_key;
-- forward
ALTER TABLE orgs REPLICA IDENTITY NOTHING;

-- case: inherit
-- form: INHERIT
-- setup
CREATE TABLE guests (LIKE users INCLUDING CONSTRAINTS);
-- forward
ALTER TABLE guests INHERIT users;

-- case: no-inherit-own-columns
-- form: NO INHERIT
-- setup
CREATE TABLE guests (at timestamptz, message text);
ALTER TABLE guests INHERIT logs;
-- forward
ALTER TABLE guests NO INHERIT logs;

-- case: no-inherit
-- form: NO INHERIT
-- states: empty
-- expect: guarded would keep what it inherits as its own
-- setup
CREATE TABLE guests () INHERITS (logs);
-- forward
ALTER TABLE guests NO INHERIT logs;

-- case: attach
-- form: ATTACH PARTITION
-- setup
CREATE TABLE events (id int NOT NULL, user_id int REFERENCES users, what text UNIQUE, CHECK (id > 0)) PARTITION BY LIST (what);
CREATE INDEX events_user ON events (user_id);
CREATE INDEX ON events (id);
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER events_quiet AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION quiet();
CREATE TABLE events_a (id int NOT NULL CONSTRAINT events_id_check CHECK (id > 0), user_id int, what text);
CREATE INDEX mine ON events_a (id);
CREATE INDEX other ON events_a (what, id);
INSERT INTO events_a VALUES (1, NULL, 'a');
-- forward
ALTER TABLE events ATTACH PARTITION events_a FOR VALUES IN ('a');

-- case: attach-default
-- form: ATTACH PARTITION
-- setup
CREATE TABLE events (id int, what text) PARTITION BY LIST (what);
CREATE TABLE events_rest (id int, what text);
-- forward
ALTER TABLE events ATTACH PARTITION events_rest DEFAULT;

-- case: detach
-- form: DETACH PARTITION
-- setup
CREATE TABLE events (id int NOT NULL, user_id int REFERENCES users, what text UNIQUE, CHECK (id > 0)) PARTITION BY LIST (what);
CREATE INDEX events_user ON events (user_id);
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER events_quiet AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION quiet();
CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a', 'b');
INSERT INTO events VALUES (1, NULL, 'a');
-- forward
ALTER TABLE events DETACH PARTITION events_a;

-- case: set-schema
-- form: SET SCHEMA
-- states: empty
-- expect: refused it leaves the schema of the tenant
-- forward
ALTER TABLE users SET SCHEMA public;

-- case: access-method
-- form: SET ACCESS METHOD
-- states: empty
-- expect: refused changing how a table is stored
-- forward
ALTER TABLE users SET ACCESS METHOD heap;

-- case: without-reverse
-- form: several
-- forward
LOCK TABLE users IN SHARE MODE;
SET LOCAL statement_timeout = '5s';
CREATE TABLE a (id int);
REINDEX INDEX users_email_idx;
ANALYZE users;
SET CONSTRAINTS ALL DEFERRED;

-- case: analyze
-- form: ANALYZE
-- forward: changes nothing
-- forward
ANALYZE users;

-- case: search-path
-- form: SET
-- states: empty
-- expect: refused this form is not derived \(VariableSet\)
-- forward
SET LOCAL search_path TO public;

-- case: session-setting
-- form: SET
-- states: empty
-- expect: refused this form is not derived \(VariableSet\)
-- forward
SET statement_timeout = 0;

-- case: do-block
-- form: DO
-- states: empty
-- expect: refused what a DO block does is not seen
-- forward
DO $$ BEGIN DELETE FROM users; END $$;

-- case: call
-- form: CALL
-- states: empty
-- expect: refused what a procedure does is not seen
-- forward
CALL something();

-- case: copy
-- form: COPY
-- states: empty
-- expect: refused COPY reads from outside
-- forward
COPY users FROM '/data/users.csv';

-- case: extension
-- form: CREATE EXTENSION
-- states: empty
-- expect: refused it belongs to the database
-- forward
CREATE EXTENSION IF NOT EXISTS citext;

-- case: extension-once
-- form: CREATE EXTENSION
-- states: empty
-- options: once
-- forward
CREATE EXTENSION IF NOT EXISTS citext;

-- case: schema
-- form: CREATE SCHEMA
-- states: empty
-- expect: refused it belongs to the database
-- forward
CREATE SCHEMA other;

-- case: role
-- form: CREATE ROLE
-- states: empty
-- expect: refused roles belong to the server
-- forward
CREATE ROLE somebody;

-- case: unreadable
-- form: none
-- states: empty
-- expect: refused PostgreSQL's parser does not read it
-- forward
ALTER TABEL users ADD x int;

-- case: placeholder
-- form: none
-- states: empty
-- expect: refused a placeholder stands for what only the tenant knows
-- forward
ALTER TABLE users ADD x int DEFAULT ${limit};

-- case: transaction
-- form: COMMIT
-- states: empty
-- expect: refused the delta's own transaction
-- forward
COMMIT;
