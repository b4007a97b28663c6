-- states: empty rows nulls duplicates foreign_keys
-- case: insert
-- form: INSERT
-- forward
INSERT INTO orgs (name, plan) VALUES ('zeta', 'pro'), ('eta', NULL);

-- case: insert-select
-- form: INSERT SELECT
-- states: rows duplicates
-- forward
INSERT INTO logs SELECT created_at, email FROM users;

-- case: insert-keyless-twice
-- form: INSERT
-- forward
INSERT INTO logs VALUES (NULL, NULL), ('2025-01-01 00:00+00', 'same'), ('2025-01-01 00:00+00', 'same');

-- case: insert-nothing
-- form: INSERT SELECT
-- forward: changes nothing
-- states: rows
-- forward
INSERT INTO logs SELECT created_at, email FROM users WHERE age > 500;

-- case: insert-returning
-- form: INSERT RETURNING
-- states: empty rows
-- forward
INSERT INTO users (email, created_at) VALUES ('x', '2025-01-01') RETURNING id;

-- case: insert-identity-always
-- form: INSERT
-- states: empty
-- setup
CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, loud text GENERATED ALWAYS AS (upper(name)) STORED);
INSERT INTO items (name) VALUES ('a');
-- forward
INSERT INTO items (id, name) OVERRIDING SYSTEM VALUE VALUES (50, 'b');

-- case: insert-since-changed
-- form: INSERT
-- states: rows
-- expect: held 1 row of orgs was changed since
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta'), (101, 'eta');
-- since
UPDATE orgs SET plan = 'pro' WHERE id = 100;

-- case: insert-since-deleted
-- form: INSERT
-- states: rows
-- expect: held 1 row of orgs was changed since
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta'), (101, 'eta');
-- since
DELETE FROM orgs WHERE id = 100;

-- case: insert-since-referenced
-- form: INSERT
-- states: rows
-- expect: held violates foreign key constraint
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta');
-- since
UPDATE users SET org_id = 100 WHERE id = 1;

-- case: insert-since-cascading
-- form: INSERT
-- states: foreign_keys
-- expect: held 1 row of memberships points to rows that were added to users
-- forward
INSERT INTO users (id, email, created_at) VALUES (100, 'z', '2025-01-01');
-- since
INSERT INTO memberships VALUES (100, 1);

-- case: insert-keyless-since-changed
-- form: INSERT
-- states: rows duplicates
-- expect: held 1 row of logs was changed since
-- forward
INSERT INTO logs VALUES (NULL, 'x'), (NULL, 'x');
-- since
UPDATE logs SET message = 'y' WHERE ctid = (SELECT min(ctid) FROM logs WHERE message = 'x');

-- case: insert-keyless-since-more
-- form: INSERT
-- states: rows
-- forward
INSERT INTO logs VALUES (NULL, 'x'), (NULL, 'x');
-- since
INSERT INTO logs VALUES (NULL, 'x');

-- case: upsert-nothing
-- form: INSERT ON CONFLICT DO NOTHING
-- states: rows nulls duplicates
-- forward
INSERT INTO orgs (name) VALUES ('acme'), ('new') ON CONFLICT DO NOTHING;

-- case: upsert-update
-- form: INSERT ON CONFLICT DO UPDATE
-- states: rows nulls duplicates
-- forward
INSERT INTO orgs (name, plan) VALUES ('acme', 'gold'), ('new', 'gold') ON CONFLICT (name) DO UPDATE SET plan = EXCLUDED.plan;

-- case: update
-- form: UPDATE
-- states: rows nulls duplicates foreign_keys
-- forward
UPDATE users SET balance = balance + 10, note = lower(note), name = NULL WHERE id > 1;

-- case: update-all
-- form: UPDATE
-- states: rows nulls duplicates foreign_keys
-- forward
UPDATE users SET feeling = 'sad';

-- case: update-nothing
-- form: UPDATE
-- forward: changes nothing
-- forward
UPDATE users SET note = 'x' WHERE id = -1;

-- case: update-from
-- form: UPDATE FROM
-- states: rows duplicates foreign_keys
-- forward
WITH grown AS (SELECT id FROM users WHERE age > 10)
UPDATE users AS u SET note = o.name, (age, name) = (SELECT 5, 'five') FROM orgs o, grown g WHERE o.id = u.org_id AND g.id = u.id;

-- case: update-key
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET id = id + 1 WHERE id = 3;
UPDATE users SET id = id + 100;

-- case: update-keyless
-- form: UPDATE
-- states: rows nulls duplicates
-- forward
UPDATE logs SET message = coalesce(message, '') || '!' WHERE message IS DISTINCT FROM 'two';

-- case: update-since-changed
-- form: UPDATE
-- states: rows
-- expect: held 1 row of users was changed since
-- forward
UPDATE users SET balance = 5;
-- since
UPDATE users SET note = 'other' WHERE id = 2;

-- case: update-since-others-changed
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET balance = 5 WHERE id = 1;
-- since
UPDATE users SET note = 'other' WHERE id = 2;

-- case: update-key-cascading
-- form: UPDATE
-- states: foreign_keys
-- expect: guarded it also changes memberships, and those rows are not kept
-- forward
DELETE FROM orders;
UPDATE users SET id = 200 WHERE id = 2;

-- case: delete
-- form: DELETE
-- states: rows nulls duplicates
-- forward
DELETE FROM users WHERE age > 30 OR age IS NULL;

-- case: delete-all-keyless
-- form: DELETE
-- states: rows nulls duplicates
-- forward
DELETE FROM logs;

-- case: delete-using
-- form: DELETE USING
-- states: rows foreign_keys
-- forward
DELETE FROM orders USING users u WHERE u.id = orders.user_id;
DELETE FROM logs USING orgs;

-- case: delete-referenced
-- form: DELETE
-- states: foreign_keys
-- expect: guarded violates foreign key constraint
-- forward
DELETE FROM users;

-- case: delete-cascading
-- form: DELETE
-- states: foreign_keys
-- expect: guarded it also changes memberships, and those rows are not kept
-- forward
DELETE FROM orders;
DELETE FROM users WHERE id = 1;

-- case: delete-cascading-nobody
-- form: DELETE
-- states: foreign_keys
-- setup
INSERT INTO users (id, email, created_at) VALUES (50, 'alone', '2025-01-01');
-- forward
DELETE FROM users WHERE id = 50;

-- case: delete-since-there-again
-- form: DELETE
-- states: rows
-- expect: held 1 row of orgs is there again
-- forward
DELETE FROM orgs WHERE id = 3;
-- since
INSERT INTO orgs (id, name) VALUES (3, 'coil 2');

-- case: delete-generated
-- form: DELETE
-- states: empty
-- setup
CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, doc json, spot point, loud text GENERATED ALWAYS AS (upper(doc::text)) STORED, gone int, x xml);
INSERT INTO items (doc, spot, gone) VALUES ('{"a":  1}', '(1,2)', 1), (NULL, NULL, 2);
ALTER TABLE items DROP COLUMN gone;
-- forward
DELETE FROM items;

-- case: move-between
-- form: WITH DELETE INSERT
-- states: rows duplicates
-- setup
CREATE TABLE archive (LIKE logs);
-- forward
WITH gone AS (DELETE FROM logs RETURNING *) INSERT INTO archive SELECT * FROM gone;

-- case: select-with-delete
-- form: WITH DELETE INSERT
-- states: rows
-- forward
WITH gone AS (DELETE FROM logs RETURNING *) SELECT count(*) FROM gone;

-- case: merge
-- form: MERGE
-- states: rows nulls duplicates
-- forward
MERGE INTO orgs o USING (VALUES ('acme', 'gold'), ('new', 'tin'), ('bolt', NULL)) AS s(name, plan) ON s.name = o.name
WHEN MATCHED AND s.plan IS NULL THEN DO NOTHING
WHEN MATCHED THEN UPDATE SET plan = s.plan
WHEN NOT MATCHED THEN INSERT (name, plan) VALUES (s.name, s.plan);

-- case: merge-delete
-- form: MERGE
-- states: empty
-- setup
INSERT INTO orgs (name) VALUES ('a'), ('b'), ('c');
-- forward
MERGE INTO orgs o USING (VALUES ('a'), ('b')) AS s(name) ON s.name = o.name WHEN MATCHED THEN DELETE;

-- case: truncate
-- form: TRUNCATE
-- states: rows nulls duplicates
-- forward
TRUNCATE logs;

-- case: truncate-two
-- form: TRUNCATE
-- states: rows foreign_keys
-- setup
CREATE TABLE more (id serial PRIMARY KEY, v text);
INSERT INTO more (v) VALUES ('a'), ('b');
-- forward
TRUNCATE TABLE orders, more CONTINUE IDENTITY;

-- case: truncate-restart
-- form: TRUNCATE
-- states: rows
-- expect: refused RESTART IDENTITY moves sequences
-- forward
TRUNCATE orders RESTART IDENTITY;

-- case: truncate-cascade
-- form: TRUNCATE CASCADE
-- states: rows
-- expect: refused CASCADE empties tables that are not named
-- forward
TRUNCATE users CASCADE;

-- case: select
-- form: SELECT
-- states: empty
-- expect: refused what functions do in a SELECT is not seen
-- forward
SELECT setval('orgs_id_seq', 100);

-- case: too-many
-- form: UPDATE
-- states: duplicates
-- options: rows=3
-- expect: guarded it changes more than 3 rows of users
-- forward
UPDATE users SET note = 'x';

-- case: too-many-deleted
-- form: TRUNCATE
-- states: duplicates
-- options: rows=3
-- expect: guarded it changes more than 3 rows of logs
-- forward
TRUNCATE logs;

-- case: just-enough
-- form: UPDATE
-- states: duplicates
-- options: rows=5
-- forward
UPDATE users SET note = 'x';

-- case: trigger-elsewhere
-- form: UPDATE
-- states: triggers
-- expect: guarded it also changes audit, and those rows are not kept
-- forward
UPDATE users SET note = 'x';

-- case: trigger-elsewhere-nothing-changed
-- form: UPDATE
-- states: triggers
-- forward: changes nothing
-- forward
UPDATE users SET note = 'x' WHERE id = 77;

-- case: trigger-disabled
-- form: UPDATE
-- states: triggers
-- setup
ALTER TABLE users DISABLE TRIGGER users_noted;
-- forward
UPDATE users SET note = 'x';

-- case: trigger-on-row
-- form: UPDATE
-- states: triggers
-- setup
ALTER TABLE users DISABLE TRIGGER users_noted;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.created_at := '2030-01-01'; NEW.name := 'touched'; RETURN NEW; END $$;
CREATE TRIGGER users_touched BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touched();
ALTER TABLE users ENABLE ALWAYS TRIGGER users_touched;
-- forward
UPDATE users SET note = 'x';
INSERT INTO users (email, created_at) VALUES ('new', '2025-05-05');
DELETE FROM users WHERE id = 2;

-- case: trigger-keyless
-- form: INSERT
-- states: triggers
-- expect: guarded logs has no key, and triggers
-- forward
INSERT INTO logs VALUES (NULL, 'x');

-- case: trigger-same-table-again
-- form: UPDATE
-- states: empty
-- expect: guarded triggers change rows of items a second time
-- setup
CREATE TABLE items (id int PRIMARY KEY, n int);
INSERT INTO items VALUES (1, 1), (2, 2);
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() < 2 THEN UPDATE items SET n = n + 1; END IF; RETURN NULL; END $$;
CREATE TRIGGER items_again AFTER UPDATE ON items FOR EACH STATEMENT EXECUTE FUNCTION again();
-- forward
UPDATE items SET n = 10 WHERE id = 1;

-- case: trigger-late
-- form: UPDATE
-- states: triggers
-- expect: guarded users has triggers that come later
-- setup
DROP TRIGGER users_noted ON users;
CREATE CONSTRAINT TRIGGER users_noted AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted();
-- forward
UPDATE users SET note = 'x';

-- case: function-elsewhere
-- form: INSERT
-- states: rows
-- expect: guarded it also changes counters, and those rows are not kept
-- setup
CREATE TABLE counters (n int);
INSERT INTO counters VALUES (0);
CREATE FUNCTION counted() RETURNS int LANGUAGE sql AS 'UPDATE counters SET n = n + 1 RETURNING n';
-- forward
INSERT INTO orgs (name) VALUES ('number ' || counted());

-- case: function-creates
-- form: INSERT
-- states: rows
-- expect: guarded it also changes made, and those rows are not kept
-- setup
CREATE FUNCTION made() RETURNS text LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE made (id int); RETURN 'x'; END $$;
-- forward
INSERT INTO orgs (name) VALUES (made());

-- case: function-truncates
-- form: INSERT
-- states: rows
-- expect: guarded it also changes logs, and those rows are not kept
-- setup
CREATE FUNCTION emptied() RETURNS text LANGUAGE plpgsql AS $$ BEGIN TRUNCATE logs; RETURN 'x'; END $$;
-- forward
INSERT INTO orgs (name) VALUES (emptied());

-- case: cascade-in-itself
-- form: DELETE
-- states: empty
-- setup
CREATE TABLE items (id int PRIMARY KEY, parent int REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE, n int);
INSERT INTO items VALUES (1, NULL, 0), (2, 1, 0), (3, 2, 0), (4, NULL, 0), (5, 4, 0);
-- forward
DELETE FROM items WHERE id = 1;

-- case: cascade-in-itself-of-key
-- form: UPDATE
-- states: empty
-- expect: guarded triggers change rows of items a second time
-- setup
CREATE TABLE items (id int PRIMARY KEY, parent int REFERENCES items ON UPDATE CASCADE, n int);
INSERT INTO items VALUES (1, NULL, 0), (2, 1, 0), (3, 2, 0);
-- forward
UPDATE items SET id = id + 10;

-- case: trigger-skips
-- form: INSERT
-- states: empty
-- setup
CREATE TABLE items (id int PRIMARY KEY);
INSERT INTO items VALUES (71);
CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER items_odd BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION odd();
-- forward
INSERT INTO items VALUES (1), (2), (3), (4);
UPDATE items SET id = id + 1;
UPDATE items SET id = id + 4 WHERE id < 5;

-- case: rule
-- form: DELETE
-- states: rows
-- expect: guarded logs has rules
-- setup
CREATE RULE keep AS ON DELETE TO logs DO INSTEAD NOTHING;
-- forward
DELETE FROM logs;

-- case: view
-- form: UPDATE
-- states: rows
-- expect: guarded v is no table
-- setup
CREATE VIEW v AS SELECT * FROM logs;
-- forward
UPDATE v SET message = 'x';

-- case: children
-- form: UPDATE
-- states: rows
-- expect: guarded logs has children
-- setup
CREATE TABLE more_logs () INHERITS (logs);
-- forward
UPDATE logs SET message = 'x';

-- case: partitioned
-- form: UPDATE
-- states: empty
-- setup
CREATE TABLE events (id int, kind text, what text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a');
CREATE TABLE events_b PARTITION OF events FOR VALUES IN ('b');
INSERT INTO events VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'a', 'z');
-- forward
UPDATE events SET kind = 'b' WHERE id = 1;
UPDATE events_a SET what = 'new';
INSERT INTO events VALUES (9, 'a', 'q');
DELETE FROM events WHERE id = 2;

-- case: backfill
-- form: ADD COLUMN and UPDATE
-- states: rows nulls duplicates foreign_keys
-- options: rows=1
-- forward
ALTER TABLE users ADD COLUMN handle text, ADD COLUMN score int DEFAULT 3;
UPDATE users SET handle = lower(email);
UPDATE users SET score = age WHERE age IS NOT NULL;
ALTER TABLE users ALTER COLUMN handle SET NOT NULL;

-- case: backfill-renamed
-- form: ADD COLUMN and UPDATE
-- states: rows
-- forward
ALTER TABLE users ADD COLUMN handle text;
ALTER TABLE users RENAME COLUMN handle TO nick;
ALTER TABLE users RENAME TO people;
UPDATE people SET nick = 'x';
ALTER TABLE people RENAME COLUMN nick TO label;

-- case: backfill-since-changed
-- form: ADD COLUMN and UPDATE
-- states: rows
-- expect: lost 3 rows of users have a value in handle that would be lost, not all of them as the delta left them
-- forward
ALTER TABLE users ADD COLUMN handle text;
UPDATE users SET handle = lower(email);
-- since
UPDATE users SET handle = 'mine' WHERE id = 1;

-- case: backfill-since-untouched
-- form: ADD COLUMN and UPDATE
-- states: rows
-- forward
ALTER TABLE users ADD COLUMN handle text;
UPDATE users SET handle = lower(email);
-- since
UPDATE users SET note = 'mine' WHERE id = 1;
INSERT INTO users (email, created_at) VALUES ('another', '2025-05-05');

-- case: backfill-with-trigger-elsewhere
-- form: ADD COLUMN and UPDATE
-- states: triggers
-- expect: guarded it also changes audit
-- forward
ALTER TABLE users ADD COLUMN handle text;
UPDATE users SET handle = lower(email);

-- case: backfill-with-trigger-on-row
-- form: ADD COLUMN and UPDATE
-- states: triggers
-- setup
ALTER TABLE users DISABLE TRIGGER users_noted;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.created_at := '2030-01-01'; RETURN NEW; END $$;
CREATE TRIGGER users_touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touched();
-- forward
ALTER TABLE users ADD COLUMN handle text;
UPDATE users SET handle = lower(email);

-- case: seeded
-- form: CREATE TABLE and INSERT
-- states: empty rows
-- forward
CREATE TABLE plans (code text PRIMARY KEY, price numeric);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
UPDATE plans SET price = 12 WHERE code = 'pro';
DELETE FROM plans WHERE code = 'free';

-- case: seeded-since-changed
-- form: CREATE TABLE and INSERT
-- states: empty
-- expect: lost 2 rows of plans would be lost, not all of them as the delta left them
-- forward
CREATE TABLE plans (code text PRIMARY KEY, price numeric);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
-- since
UPDATE plans SET price = 12 WHERE code = 'pro';

-- case: seeded-if-not-exists
-- form: CREATE TABLE and INSERT
-- states: empty rows
-- forward
CREATE TABLE IF NOT EXISTS plans (code text PRIMARY KEY, price numeric);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);

-- case: seeded-if-not-exists-there
-- form: CREATE TABLE and INSERT
-- states: rows
-- forward
CREATE TABLE IF NOT EXISTS orgs (id int);
INSERT INTO orgs (name) VALUES ('new');

-- case: normalized
-- form: several
-- states: rows duplicates
-- forward
CREATE TABLE plans (id serial PRIMARY KEY, code text UNIQUE);
INSERT INTO plans (code) SELECT DISTINCT plan FROM orgs WHERE plan IS NOT NULL ORDER BY 1;
ALTER TABLE orgs ADD COLUMN plan_id int REFERENCES plans;
UPDATE orgs SET plan_id = p.id FROM plans p WHERE p.code = orgs.plan;
ALTER TABLE orgs DROP COLUMN plan;

-- case: same-row-twice
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET balance = 1 WHERE id = 1;
UPDATE users SET balance = 2 WHERE id < 3;
DELETE FROM users WHERE id = 1;
INSERT INTO users (id, email, created_at) VALUES (1, 'new one', '2025-01-01');

-- case: deferred
-- form: INSERT
-- states: rows
-- setup
ALTER TABLE users ADD CONSTRAINT late UNIQUE (email) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE users ALTER CONSTRAINT users_org_id_fkey DEFERRABLE INITIALLY DEFERRED;
-- forward
UPDATE users SET email = email || id;
INSERT INTO users (org_id, email, created_at) VALUES (1, 'z', '2025-01-01');

-- case: column-names-like-ours
-- form: UPDATE
-- states: empty
-- setup
CREATE TABLE "Odd Table" (n int, r text, o int, k int, "Key" int PRIMARY KEY, columns text, pdelta text);
INSERT INTO "Odd Table" VALUES (1, 'a', 2, 3, 4, 'b', 'c'), (5, 'd', 6, 7, 8, 'e', NULL);
-- forward
UPDATE "Odd Table" SET r = 'z', n = n + 1;
DELETE FROM "Odd Table" WHERE "Key" = 8;
