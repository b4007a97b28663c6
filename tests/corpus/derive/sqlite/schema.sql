-- states: rows
-- case: table-create
-- form: CREATE TABLE
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
CREATE TABLE invoices (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id REFERENCES users, total CHECK (total > 0));

-- case: table-create-if-not-exists-new
-- form: CREATE TABLE IF NOT EXISTS
-- forward
CREATE TABLE IF NOT EXISTS main.invoices (id INTEGER PRIMARY KEY);

-- case: table-create-if-not-exists-there
-- form: CREATE TABLE IF NOT EXISTS
-- forward: changes nothing
-- forward
CREATE TABLE IF NOT EXISTS "USERS" (id INTEGER PRIMARY KEY);

-- case: table-create-quoted
-- form: CREATE TABLE
-- forward
CREATE TABLE "Robert'); DROP TABLE users" ([a b], `c``d` TEXT, "e""f");
CREATE TABLE 'group by' (x);

-- case: table-create-as
-- form: CREATE TABLE AS
-- forward
CREATE TABLE copies AS SELECT id, email FROM users;

-- case: table-create-as-then-rows
-- form: CREATE TABLE AS
-- expect: lost 1 row of copies is none that the delta put there
-- forward
CREATE TABLE copies AS SELECT id, email FROM users;
-- since
INSERT INTO copies VALUES (99, 'new');

-- case: table-create-then-rows
-- form: CREATE TABLE
-- expect: lost 2 rows of invoices would be lost
-- forward
CREATE TABLE invoices (id INTEGER PRIMARY KEY);
-- since
INSERT INTO invoices VALUES (1), (2);

-- case: table-create-then-column
-- form: CREATE TABLE
-- states: rows
-- expect: lost invoices is not as the delta left it: column live
-- forward
CREATE TABLE invoices (a, b);
INSERT INTO invoices VALUES (1, 1);
-- since
ALTER TABLE invoices ADD COLUMN live;
UPDATE invoices SET live = 'live';

-- case: table-rebuilt-then-more
-- form: several
-- states: rows
-- expect: lost new_logs is not as the delta left it: column live, index logs_live, trigger logs_gone
-- forward
CREATE TABLE new_logs (at, message TEXT NOT NULL DEFAULT '');
INSERT INTO new_logs SELECT at, coalesce(message, '') FROM logs;
DROP TABLE logs;
ALTER TABLE new_logs RENAME TO logs;
-- since
ALTER TABLE logs ADD COLUMN live;
CREATE INDEX logs_live ON logs (live);
CREATE TRIGGER logs_gone AFTER DELETE ON logs BEGIN DELETE FROM codes; END;

-- case: table-create-virtual
-- form: CREATE VIRTUAL TABLE
-- forward
CREATE VIRTUAL TABLE texts USING fts5(body);

-- case: table-create-temporary
-- form: CREATE TEMPORARY TABLE
-- expect: refused what is temporary belongs to the connection
-- forward
CREATE TEMP TABLE work (id);

-- case: table-create-elsewhere
-- form: CREATE TABLE
-- expect: refused other is another file
-- forward
CREATE TABLE other.work (id);

-- case: index-create
-- form: CREATE INDEX
-- states: empty rows nulls duplicates
-- forward
CREATE INDEX users_age ON users (age, lower(name)) WHERE age > 5;

-- case: index-create-unique-refused-by-data
-- form: CREATE UNIQUE INDEX
-- states: duplicates
-- expect: guarded UNIQUE constraint failed
-- forward
CREATE UNIQUE INDEX users_note ON users (note);

-- case: index-create-if-not-exists
-- form: CREATE INDEX IF NOT EXISTS
-- forward
CREATE INDEX IF NOT EXISTS users_email ON users (age);
CREATE UNIQUE INDEX IF NOT EXISTS "Users Age" ON users (age, id);

-- case: view-create
-- form: CREATE VIEW
-- forward
CREATE VIEW IF NOT EXISTS names (label) AS SELECT name FROM users;

-- case: trigger-create
-- form: CREATE TRIGGER
-- forward
CREATE TRIGGER noted AFTER UPDATE OF name ON users BEGIN
    UPDATE users SET note = CASE WHEN NEW.age > 3 THEN 'a; b' END WHERE id = NEW.id;
END;

-- case: index-drop
-- form: DROP INDEX
-- forward
DROP INDEX users_email;

-- case: index-drop-if-exists
-- form: DROP INDEX IF EXISTS
-- forward
DROP INDEX IF EXISTS no_thing;
DROP INDEX IF EXISTS USERS_EMAIL;

-- case: view-drop
-- form: DROP VIEW
-- forward
DROP VIEW grown;

-- case: trigger-drop
-- form: DROP TRIGGER
-- states: triggers
-- forward
DROP TRIGGER logs_noted;
DROP TRIGGER IF EXISTS users_noted;

-- case: table-drop
-- form: DROP TABLE
-- states: empty rows nulls duplicates triggers
-- forward
DROP TABLE logs;

-- case: table-drop-with-all
-- form: DROP TABLE
-- setup
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- counted
    code TEXT UNIQUE, loud TEXT AS (upper(code)) STORED, "from" DEFAULT (1 + 2), UNIQUE (code, "from")
);
CREATE INDEX items_code ON items (code);
CREATE INDEX items_expr ON items (lower(code));
CREATE TRIGGER items_quiet BEFORE INSERT ON items BEGIN SELECT RAISE(IGNORE) WHERE NEW.code = 'x'; END;
INSERT INTO items (code) VALUES ('a'), ('b'), (x'00'), (NULL);
DELETE FROM items WHERE id = 4;
-- forward
DROP TABLE items;

-- case: table-drop-without-rowid
-- form: DROP TABLE
-- forward
DROP TABLE main.codes;

-- case: table-drop-referenced
-- form: DROP TABLE
-- states: foreign_keys
-- expect: guarded memberships
-- forward
DROP TABLE users;

-- case: table-drop-seen-by-view
-- form: DROP TABLE
-- states: empty
-- forward
DROP TABLE users;

-- case: table-drop-if-exists-there
-- form: DROP TABLE IF EXISTS
-- forward
DROP TABLE IF EXISTS "Logs";

-- case: table-drop-if-exists-missing
-- form: DROP TABLE IF EXISTS
-- forward
DROP TABLE IF EXISTS no_thing;
CREATE TABLE something (id);

-- case: table-drop-virtual
-- form: DROP TABLE
-- states: empty
-- expect: guarded texts is a virtual table
-- setup
CREATE VIRTUAL TABLE texts USING fts5(body);
-- forward
DROP TABLE texts;

-- case: table-drop-too-large
-- form: DROP TABLE
-- options: rows=2
-- expect: guarded it changes more than 2 rows of logs
-- forward
DROP TABLE logs;

-- case: table-drop-no-park
-- form: DROP TABLE
-- options: no-park
-- expect: refused parking is switched off
-- forward
DROP TABLE logs;

-- case: table-rebuilt
-- form: several
-- states: empty rows nulls duplicates triggers
-- forward
PRAGMA foreign_keys = OFF;
CREATE TABLE new_users (id INTEGER PRIMARY KEY, org_id INTEGER REFERENCES orgs (id), email TEXT NOT NULL, age int);
INSERT INTO new_users SELECT id, org_id, email, age FROM users;
DROP VIEW grown;
DROP TABLE users;
ALTER TABLE new_users RENAME TO users;
CREATE INDEX users_email ON users (email);
CREATE VIEW grown AS SELECT id, email FROM users WHERE age > 18;
PRAGMA foreign_key_check;
PRAGMA foreign_keys = ON;

-- case: table-rebuilt-that-others-refer-to
-- form: several
-- states: empty rows foreign_keys
-- forward
CREATE TABLE new_orgs (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, plan TEXT NOT NULL DEFAULT 'free');
INSERT INTO new_orgs (id, name, plan) SELECT id, name, coalesce(plan, '') FROM orgs;
DELETE FROM sqlite_sequence WHERE name = 'new_orgs';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_orgs', seq + 3 FROM sqlite_sequence WHERE name = 'orgs';
DROP TABLE "Orgs";
ALTER TABLE new_orgs RENAME TO orgs;

-- case: table-rebuilt-under-another-name
-- form: several
-- states: foreign_keys
-- forward
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT);
INSERT INTO people SELECT id, email FROM users;
DROP VIEW grown;
ALTER TABLE people RENAME TO folk;
ALTER TABLE orgs RENAME TO groups;

-- case: counter-of-a-new-table
-- form: INSERT INTO sqlite_sequence
-- states: rows
-- forward
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO sqlite_sequence VALUES ('items', 6);
UPDATE main.sqlite_sequence SET seq = seq + 1 WHERE name = 'Items';

-- case: counter-of-another
-- form: UPDATE sqlite_sequence
-- states: empty
-- expect: refused orgs counts on from its number
-- forward
UPDATE sqlite_sequence SET seq = 70 WHERE name = 'orgs';

-- case: counters-of-all
-- form: DELETE FROM sqlite_sequence
-- states: empty
-- expect: refused whose number that is can't be told
-- forward
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT);
DELETE FROM sqlite_sequence WHERE name = 'items' OR name = 'orgs';

-- case: counters-of-several
-- form: INSERT INTO sqlite_sequence
-- states: empty
-- expect: refused whose number that is can't be told
-- forward
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO sqlite_sequence SELECT 'items', 3 UNION SELECT 'orgs', 7;

-- case: counter-renamed
-- form: UPDATE sqlite_sequence
-- states: empty
-- expect: refused whose number that is can't be told
-- forward
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT);
UPDATE sqlite_sequence SET seq = 3, name = 'orgs' WHERE name = 'items';

-- case: view-dropped-with-its-triggers
-- form: DROP VIEW
-- states: rows
-- setup
CREATE TRIGGER grown_gone INSTEAD OF DELETE ON grown BEGIN DELETE FROM users WHERE id = OLD.id; END;
CREATE TRIGGER grown_new INSTEAD OF INSERT ON grown BEGIN INSERT INTO users (email, age) VALUES (NEW.email, 18); END;
-- forward
DROP VIEW Grown;

-- case: table-rename
-- form: RENAME TABLE
-- states: empty rows triggers foreign_keys
-- forward
ALTER TABLE users RENAME TO "All People";

-- case: column-rename
-- form: RENAME COLUMN
-- states: empty rows triggers foreign_keys
-- forward
ALTER TABLE users RENAME COLUMN email TO mail;
ALTER TABLE users RENAME name TO "full name";

-- case: column-add
-- form: ADD COLUMN
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
ALTER TABLE users ADD COLUMN last_login TEXT;

-- case: column-add-default
-- form: ADD COLUMN
-- states: empty rows
-- forward
ALTER TABLE users ADD logins INTEGER NOT NULL DEFAULT '5';
ALTER TABLE users ADD COLUMN rate REAL DEFAULT -1;
ALTER TABLE users ADD COLUMN word TEXT COLLATE NOCASE DEFAULT "Some" CHECK (word <> 'x');

-- case: column-add-references
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN boss INTEGER REFERENCES users (id) ON DELETE SET NULL;

-- case: column-add-generated
-- form: ADD COLUMN
-- forward
ALTER TABLE users ADD COLUMN shout TEXT GENERATED ALWAYS AS (upper(email)) VIRTUAL;

-- case: column-add-then-filled
-- form: ADD COLUMN
-- expect: lost 1 row of users has a value in word
-- forward
ALTER TABLE users ADD COLUMN word TEXT COLLATE NOCASE DEFAULT 'x';
-- since
UPDATE users SET word = 'X' WHERE id = 1;

-- case: column-drop
-- form: DROP COLUMN
-- states: empty rows nulls duplicates foreign_keys triggers
-- forward
ALTER TABLE users DROP COLUMN name;

-- case: column-drop-default
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP balance;

-- case: column-drop-then-rows
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN balance;
-- since
INSERT INTO users (email) VALUES ('new');
UPDATE users SET age = 5 WHERE id = 1;
DELETE FROM users WHERE id = 2;

-- case: column-drop-then-other-rows
-- form: DROP COLUMN
-- states: rows
-- expect: lost 1 row of users had a value in balance that would be lost: its key
-- forward
ALTER TABLE users DROP COLUMN balance;
-- since
INSERT INTO users (email) VALUES ('new');
DELETE FROM users WHERE id = 1;

-- case: column-drop-counted
-- form: DROP COLUMN
-- forward
ALTER TABLE orgs DROP COLUMN plan;

-- case: column-drop-without-rowid
-- form: DROP COLUMN
-- forward
ALTER TABLE codes DROP COLUMN meaning;

-- case: column-drop-generated
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN shout TEXT AS (upper(name));
-- forward
ALTER TABLE users DROP COLUMN shout;

-- case: column-drop-indexed
-- form: DROP COLUMN
-- expect: guarded error in index users_email
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-drop-key
-- form: DROP COLUMN
-- expect: guarded id is of the primary key
-- forward
ALTER TABLE users DROP COLUMN id;

-- case: column-drop-keyless
-- form: DROP COLUMN
-- expect: guarded logs has no primary key
-- forward
ALTER TABLE logs DROP COLUMN message;

-- case: column-drop-then-deleted
-- form: DROP COLUMN
-- states: rows
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
DELETE FROM users WHERE id < 3;

-- case: column-drop-then-other-keys
-- form: DROP COLUMN
-- states: rows
-- expect: lost 1 row of users had a value in name that would be lost: its key
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
UPDATE users SET id = 100 WHERE id = 1;

-- case: column-drop-then-other-key-of-default
-- form: DROP COLUMN
-- states: empty
-- setup
CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER DEFAULT '5', o);
INSERT INTO items VALUES (1, 5, 'x'), (2, 7, 'y');
-- forward
ALTER TABLE items DROP COLUMN n;
-- since
UPDATE items SET id = 100 WHERE id = 1;

-- case: column-drop-then-more
-- form: DROP COLUMN
-- states: rows
-- expect: held users is not as the delta left it: column z, index iz, its definition, trigger noisy
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
ALTER TABLE users ADD COLUMN z TEXT;
CREATE INDEX iz ON users (z);
CREATE TRIGGER noisy AFTER DELETE ON users BEGIN DELETE FROM logs; END;
UPDATE users SET z = 'live';

-- case: column-drop-then-again
-- form: DROP COLUMN
-- states: rows
-- expect: held users is not as the delta left it: column name, its definition
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
ALTER TABLE users ADD COLUMN name TEXT;
UPDATE users SET name = 'live';

-- case: column-drop-then-less
-- form: DROP COLUMN
-- states: rows
-- expect: held users is not as the delta left it: index users_email
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
DROP INDEX users_email;

-- case: column-drop-then-another-index
-- form: DROP COLUMN
-- states: rows
-- expect: held users is not as the delta left it: index users_email
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
DROP INDEX users_email;
CREATE INDEX users_email ON users (email);

-- case: column-drop-then-gone
-- form: DROP COLUMN
-- states: empty
-- expect: held codes is not as the delta left it: column code, its definition
-- forward
ALTER TABLE codes DROP COLUMN meaning;
-- since
DROP TABLE codes;

-- case: column-drop-then-there-and-back
-- form: DROP COLUMN
-- states: rows
-- forward
ALTER TABLE users DROP COLUMN name;
-- since
ALTER TABLE users ADD COLUMN z TEXT;
CREATE INDEX iz ON users (z);
DROP INDEX iz;
ALTER TABLE users DROP COLUMN z;
ALTER TABLE USERS RENAME TO people;
ALTER TABLE people RENAME COLUMN note TO remark;
ALTER TABLE people RENAME COLUMN remark TO note;
ALTER TABLE people RENAME TO users;

-- case: column-drop-null-keys
-- form: DROP COLUMN
-- states: empty
-- setup
CREATE TABLE items (code TEXT, part INT, c TEXT DEFAULT 'none', other, PRIMARY KEY (code, part));
INSERT INTO items VALUES ('a', 1, 'one', 5), ('a', NULL, 'two', 5), ('a', NULL, 'two', 5), ('a', NULL, 'three', 5),
    ('a', NULL, NULL, 6), (NULL, NULL, 'four', NULL), (NULL, NULL, 'five', NULL);
-- forward
ALTER TABLE items DROP COLUMN c;

-- case: column-drop-null-keys-then-rows
-- form: DROP COLUMN
-- states: empty
-- setup
CREATE TABLE items (code TEXT PRIMARY KEY, c TEXT DEFAULT 'none', other);
INSERT INTO items VALUES ('a', 'one', 5), (NULL, 'two', 5), (NULL, 'none', 6);
-- forward
ALTER TABLE items DROP COLUMN c;
-- since
INSERT INTO items (code, other) VALUES (NULL, 7), ('b', 8);
DELETE FROM items WHERE other = 6;
UPDATE items SET other = 9 WHERE code = 'a';

-- case: column-drop-and-add
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN name;
ALTER TABLE users ADD COLUMN name TEXT;
ALTER TABLE users DROP COLUMN name;

-- case: column-other
-- form: ALTER TABLE
-- expect: refused ALTER TABLE … ALTER is not derived
-- forward
ALTER TABLE users ALTER COLUMN name SET DEFAULT 'x';

-- case: pragma-version
-- form: PRAGMA user_version
-- forward
PRAGMA user_version = 7;
PRAGMA main.application_id(55);

-- case: pragma-enforced
-- form: PRAGMA foreign_keys
-- expect: refused with foreign keys enforced, cascades reach rows
-- forward
PRAGMA foreign_keys = ON;

-- case: pragma-other
-- form: PRAGMA
-- expect: refused PRAGMA case_sensitive_like changes
-- forward
PRAGMA case_sensitive_like = ON;

-- case: reads
-- form: several
-- forward
SELECT count(*) FROM users;
WITH one AS (SELECT 1) SELECT * FROM one;
EXPLAIN SELECT 1;
ANALYZE;
REINDEX users_email;
PRAGMA integrity_check;
CREATE TABLE something (id);

-- case: transaction
-- form: COMMIT
-- expect: refused COMMIT is not derived
-- forward
COMMIT;

-- case: attach
-- form: ATTACH
-- expect: refused ATTACH is not derived
-- forward
ATTACH 'x' AS y;

-- case: unreadable
-- form: none
-- expect: refused a name was expected before the end
-- forward
DROP TABLE;
