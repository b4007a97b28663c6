-- states: rows duplicates
-- case: insert
-- form: INSERT
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
INSERT INTO orgs (name, plan) VALUES ('zeta', 'pro'), ('eta', NULL);

-- case: insert-keyless
-- form: INSERT
-- forward
INSERT INTO logs VALUES (NULL, NULL), (1, 'same'), (1, 'same'), ('1', 'same');

-- case: insert-select
-- form: INSERT SELECT
-- forward
WITH x AS (SELECT id, email FROM users) INSERT INTO logs SELECT * FROM x;

-- case: insert-returning
-- form: INSERT RETURNING
-- forward
INSERT INTO "users" AS u (email) VALUES ('x') RETURNING id;

-- case: insert-since-changed
-- form: INSERT
-- expect: held 1 row of orgs was changed since
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta'), (101, 'eta');
-- since
UPDATE orgs SET name = 'Zeta' WHERE id = 100;

-- case: insert-since-deleted
-- form: INSERT
-- states: rows
-- expect: held 1 row of orgs was changed since
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta');
-- since
DELETE FROM orgs WHERE id = 100;

-- case: insert-since-referenced
-- form: INSERT
-- states: rows
-- expect: held users
-- forward
INSERT INTO orgs (id, name) VALUES (100, 'zeta');
-- since
UPDATE users SET org_id = 100 WHERE id = 1;

-- case: insert-since-more
-- form: INSERT
-- forward
INSERT INTO logs VALUES (7, 'x');
-- since
INSERT INTO logs VALUES (7, 'x'), (8, 'y');

-- case: insert-since-vacuumed
-- form: INSERT
-- states: rows
-- expect: held 1 row of logs was changed since
-- forward
INSERT INTO logs VALUES (7, 'x');
-- since
UPDATE logs SET message = 'X' WHERE at = 7;

-- case: replace
-- form: REPLACE
-- forward
REPLACE INTO orgs (id, name, plan) VALUES (1, 'new', 'gold'), (50, 'acme', 'tin');

-- case: insert-or-replace
-- form: INSERT OR REPLACE
-- expect rows: guarded rows would be left without their parent
-- forward
INSERT OR REPLACE INTO orgs (id, name, plan) VALUES (1, 'bolt', 'gold');

-- case: insert-or-ignore
-- form: INSERT OR IGNORE
-- forward
INSERT OR IGNORE INTO orgs (id, name) VALUES (1, 'acme'), (60, 'sixty');

-- case: insert-conflict-clause-of-table
-- form: INSERT
-- states: empty
-- setup
CREATE TABLE items (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, code UNIQUE ON CONFLICT REPLACE);
INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c');
-- forward
INSERT INTO items VALUES (1, 'b');

-- case: upsert
-- form: INSERT ON CONFLICT DO UPDATE
-- forward
INSERT INTO orgs (name, plan) VALUES ('acme', 'gold'), ('new', 'gold') ON CONFLICT (name) DO UPDATE SET plan = excluded.plan;

-- case: insert-or-rollback
-- form: INSERT OR ROLLBACK
-- states: rows
-- expect: refused OR ROLLBACK ends the transaction
-- forward
INSERT OR ROLLBACK INTO orgs (name) VALUES ('x');

-- case: update
-- form: UPDATE
-- forward
UPDATE users SET balance = balance + 1, note = lower(note) WHERE id > 1;

-- case: update-all
-- form: UPDATE
-- states: rows nulls duplicates foreign_keys
-- forward
UPDATE main.users SET (name, age) = ('x', 5), email = upper(email);

-- case: update-from
-- form: UPDATE FROM
-- forward
UPDATE users SET note = o.name FROM orgs AS o WHERE o.id = users.org_id;

-- case: update-key
-- form: UPDATE
-- forward
UPDATE users SET id = id + 100;

-- case: update-or-replace
-- form: UPDATE OR REPLACE
-- states: empty
-- setup
INSERT INTO orgs (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
-- forward
UPDATE OR REPLACE orgs SET name = 'a' WHERE id > 1;

-- case: update-keyless
-- form: UPDATE
-- forward
UPDATE logs SET message = coalesce(message, '') || '!' WHERE message IS NOT 'two';

-- case: update-nothing
-- form: UPDATE
-- forward
UPDATE users SET note = 'x' WHERE id < 0;

-- case: update-since-changed
-- form: UPDATE
-- states: rows
-- expect: held 1 row of users was changed since
-- forward
UPDATE users SET balance = 5;
-- since
UPDATE users SET email = upper(email) WHERE id = 2;

-- case: update-since-others
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET balance = 5 WHERE id = 1;
-- since
UPDATE users SET email = upper(email) WHERE id = 2;

-- case: update-without-rowid
-- form: UPDATE
-- states: rows
-- expect: guarded codes may be WITHOUT ROWID
-- forward
UPDATE codes SET meaning = 7;

-- case: delete
-- form: DELETE
-- forward
DELETE FROM users WHERE age > 30 OR age IS NULL;

-- case: delete-all
-- form: DELETE
-- forward
DELETE FROM logs;

-- case: delete-referenced
-- form: DELETE
-- states: foreign_keys
-- expect: guarded memberships
-- forward
DELETE FROM users WHERE id = 1;

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
CREATE TABLE items (id TEXT PRIMARY KEY, doc, loud AS (upper(doc)) STORED, "odd ""name" REAL);
INSERT INTO items (id, doc, "odd ""name") VALUES ('a', x'01', 0.1), ('b', 5, 3), ('c', NULL, NULL);
-- forward
DELETE FROM items WHERE id <> 'b';

-- case: null-keys-insert
-- form: INSERT
-- states: empty
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY, c TEXT);
INSERT INTO items VALUES ('x', 'e'), (NULL, '1'), (NULL, '1'), (NULL, '2');
-- forward
INSERT INTO items VALUES (NULL, '1'), ('y', '1');

-- case: null-keys-update
-- form: UPDATE
-- states: empty
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY, c TEXT);
INSERT INTO items VALUES ('x', 'e'), (NULL, '1'), (NULL, '1'), (NULL, '2');
-- forward
UPDATE items SET c = '2' WHERE c = '1';

-- case: null-keys-delete
-- form: DELETE
-- states: empty
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY, c TEXT);
INSERT INTO items VALUES ('x', 'e'), (NULL, '1'), (NULL, '1'), (NULL, '2');
-- forward
DELETE FROM items WHERE c = '1';

-- case: null-keys-keys
-- form: UPDATE
-- states: empty
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY, c TEXT);
INSERT INTO items VALUES ('x', 'e'), (NULL, '1'), (NULL, '1'), (NULL, '2');
-- forward
UPDATE items SET a = NULL;

-- case: null-keys-since-changed
-- form: INSERT
-- states: empty
-- expect: held 1 row of items was changed since
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY, c TEXT);
INSERT INTO items VALUES ('x', 'e'), (NULL, '1'), (NULL, '1'), (NULL, '2');
-- forward
INSERT INTO items VALUES (NULL, '9');
-- since
UPDATE items SET c = 'mine' WHERE c = '9';

-- case: null-keys-of-numbers-backwards
-- form: INSERT
-- states: empty
-- setup
CREATE TABLE items (a INTEGER PRIMARY KEY DESC, c TEXT);
INSERT INTO items VALUES (1, 'e'), (NULL, '1'), (NULL, '1');
-- forward
INSERT INTO items VALUES (NULL, '1');

-- case: delete-since-there-again-by-conflict-clause
-- form: DELETE
-- states: empty
-- expect: held UNIQUE constraint failed: items.a
-- setup
CREATE TABLE items (a TEXT PRIMARY KEY ON CONFLICT REPLACE, c TEXT);
INSERT INTO items VALUES ('x', 'e');
-- forward
DELETE FROM items WHERE a = 'x';
-- since
INSERT INTO items VALUES ('x', 'live');

-- case: triggers
-- form: UPDATE
-- states: triggers
-- expect: guarded users has triggers
-- forward
UPDATE users SET note = 'x';

-- case: view
-- form: UPDATE
-- states: rows
-- expect: guarded grown is no table
-- forward
UPDATE grown SET email = 'x';

-- case: too-many
-- form: UPDATE
-- states: rows
-- options: rows=2
-- expect: guarded it changes more than 2 rows of users
-- forward
UPDATE users SET note = 'x';

-- case: trigger-since
-- form: UPDATE
-- states: rows
-- expect: held users has triggers
-- forward
UPDATE users SET balance = 5;
-- since
CREATE TRIGGER noisy AFTER DELETE ON users BEGIN DELETE FROM logs; END;

-- case: backfill
-- form: ADD COLUMN and UPDATE
-- forward
ALTER TABLE users ADD COLUMN handle TEXT;
ALTER TABLE users ADD COLUMN score INTEGER DEFAULT 3;
UPDATE users SET handle = lower(email), score = age IS DISTINCT FROM 5;

-- case: backfill-and-more
-- form: ADD COLUMN and UPDATE
-- forward
ALTER TABLE users ADD COLUMN handle TEXT;
UPDATE users SET handle = name IS NOT DISTINCT FROM note, balance = 7;

-- case: backfill-renamed
-- form: ADD COLUMN and UPDATE
-- forward
ALTER TABLE users ADD COLUMN handle TEXT;
ALTER TABLE users RENAME COLUMN handle TO nick;
ALTER TABLE users RENAME TO people;
UPDATE people SET nick = lower(email);

-- case: backfill-since-changed
-- form: ADD COLUMN and UPDATE
-- states: rows
-- expect: lost 1 row of users has a value in handle that the delta did not give
-- forward
ALTER TABLE users ADD COLUMN handle TEXT;
UPDATE users SET handle = lower(email);
-- since
UPDATE users SET handle = 'mine' WHERE id = 1;

-- case: backfill-since-untouched
-- form: ADD COLUMN and UPDATE
-- states: rows
-- forward
ALTER TABLE users ADD COLUMN handle TEXT;
UPDATE users SET handle = lower(email);
-- since
UPDATE users SET note = 'mine' WHERE id = 1;
INSERT INTO users (email) VALUES ('another');

-- case: seeded
-- form: CREATE TABLE and INSERT
-- forward
CREATE TABLE plans (code PRIMARY KEY, price);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
UPDATE plans SET price = 12 WHERE code = 'pro';

-- case: seeded-since-changed
-- form: CREATE TABLE and INSERT
-- states: rows
-- expect: lost 1 row of plans is none that the delta put there
-- forward
CREATE TABLE plans (code PRIMARY KEY, price);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
-- since
UPDATE plans SET price = 12 WHERE code = 'pro';

-- case: seeded-if-not-exists
-- form: CREATE TABLE and INSERT
-- forward
CREATE TABLE IF NOT EXISTS plans (code PRIMARY KEY, price);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);

-- case: normalized
-- form: several
-- forward
CREATE TABLE plans (id INTEGER PRIMARY KEY, code UNIQUE);
INSERT INTO plans (code) SELECT DISTINCT plan FROM orgs WHERE plan IS NOT NULL ORDER BY 1;
ALTER TABLE orgs ADD COLUMN plan_id INTEGER REFERENCES plans;
UPDATE orgs SET plan_id = (SELECT id FROM plans WHERE code = plan);
ALTER TABLE orgs DROP COLUMN plan;

-- case: same-row-twice
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET balance = 1 WHERE id = 1;
UPDATE users SET balance = 2 WHERE id < 3;
DELETE FROM users WHERE id = 1;
INSERT INTO users (id, email) VALUES (1, 'new one');
