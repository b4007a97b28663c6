-- states: rows
-- case: table-create
-- form: CREATE TABLE
-- states: empty rows nulls triggers
-- forward
CREATE TABLE invoices (id int AUTO_INCREMENT PRIMARY KEY, user_id bigint unsigned, CONSTRAINT inv FOREIGN KEY (user_id) REFERENCES users (id));

-- case: table-create-if-not-exists
-- form: CREATE TABLE IF NOT EXISTS
-- forward
CREATE TABLE IF NOT EXISTS invoices (id int);
CREATE TABLE IF NOT EXISTS users (id int);

-- case: table-create-like
-- form: CREATE TABLE LIKE
-- forward
CREATE TABLE `users ``old``` LIKE users;

-- case: table-create-then-rows
-- form: CREATE TABLE
-- expect: lost 2 rows of invoices would be lost
-- forward
CREATE TABLE invoices (id int);
-- since
INSERT INTO invoices VALUES (1), (2);

-- case: table-create-temporary
-- form: CREATE TEMPORARY TABLE
-- expect: refused a temporary table
-- forward
CREATE TEMPORARY TABLE work (id int);

-- case: table-create-elsewhere
-- form: CREATE TABLE
-- expect: refused other is a database by name
-- forward
CREATE TABLE other.work (id int);

-- case: table-rename
-- form: RENAME TABLE
-- states: rows triggers
-- forward
RENAME TABLE orgs TO firms, logs TO `Order`;

-- case: table-rename-alter
-- form: ALTER TABLE RENAME
-- forward
ALTER TABLE logs RENAME TO log;

-- case: table-drop
-- form: DROP TABLE
-- states: empty rows nulls
-- forward
DROP TABLE logs;

-- case: table-drop-if-exists
-- form: DROP TABLE IF EXISTS
-- forward
DROP TABLE IF EXISTS no_thing, logs;

-- case: table-drop-and-create
-- form: DROP TABLE
-- forward
DROP TABLE logs;
CREATE TABLE logs (at datetime, level int, KEY logs_at (at));

-- case: table-drop-with-keys
-- form: DROP TABLE
-- expect: guarded foreign keys lead from users or to it
-- forward
DROP TABLE users;

-- case: table-drop-view
-- form: DROP TABLE
-- expect: guarded grown is no table
-- forward
DROP TABLE grown;

-- case: table-drop-with-triggers
-- form: DROP TABLE
-- states: triggers
-- expect: guarded users has triggers
-- setup
ALTER TABLE users DROP FOREIGN KEY users_org;
-- forward
DROP TABLE users;

-- case: table-comment
-- form: COMMENT =
-- forward
ALTER TABLE users COMMENT = 'it''s new';
ALTER TABLE logs COMMENT 'first';

-- case: table-comment-backslash
-- form: COMMENT =
-- expect: guarded holds a backslash
-- setup
ALTER TABLE users COMMENT = 'a\\b';
-- forward
ALTER TABLE users COMMENT = 'new';

-- case: table-engine
-- form: ENGINE =
-- expect: refused ALTER TABLE … ENGINE is not derived
-- forward
ALTER TABLE users ENGINE = MyISAM;

-- case: index-create
-- form: CREATE INDEX
-- states: empty rows nulls
-- forward
CREATE INDEX users_name ON users (name(10), balance DESC);
CREATE UNIQUE INDEX `users id` USING BTREE ON users (id, email);
CREATE FULLTEXT INDEX users_note ON users (note);

-- case: index-create-in-place-of-a-keys
-- mysql: an index of a foreign key of users may go
-- form: CREATE INDEX
-- forward
CREATE INDEX users_org_age ON users (org_id, age);

-- case: index-create-if-not-exists
-- mysql: lacks
-- form: CREATE INDEX IF NOT EXISTS
-- forward
CREATE INDEX IF NOT EXISTS users_age ON users (name);
CREATE INDEX IF NOT EXISTS users_name ON users (name);

-- case: index-add
-- form: ADD INDEX
-- forward
ALTER TABLE users ADD INDEX users_name (name), ADD UNIQUE KEY users_all (id, name), ADD FULLTEXT INDEX users_note (note), ALGORITHM = COPY;

-- case: index-add-unnamed
-- form: ADD INDEX
-- expect: refused what the server names can't be told apart
-- forward
ALTER TABLE users ADD INDEX (name);

-- case: index-drop
-- form: DROP INDEX
-- forward
DROP INDEX users_email ON users;
ALTER TABLE orgs DROP INDEX orgs_name;

-- case: index-rename
-- form: RENAME INDEX
-- forward
ALTER TABLE users RENAME INDEX users_email TO users_mail, RENAME KEY users_age TO `age``s`;

-- case: key-dropped
-- form: DROP PRIMARY KEY
-- setup
CREATE TABLE items (a int NOT NULL, b varchar(50) NOT NULL, PRIMARY KEY (b(10), a));
-- forward
ALTER TABLE items DROP PRIMARY KEY;

-- case: key-added
-- form: ADD PRIMARY KEY
-- setup
CREATE TABLE items (a int NOT NULL, b int NOT NULL);
-- forward
ALTER TABLE items ADD PRIMARY KEY (b, a);

-- case: key-added-nullable
-- form: ADD PRIMARY KEY
-- expect: guarded columns of the key of items can be NULL
-- setup
CREATE TABLE items (a int, b int NOT NULL);
-- forward
ALTER TABLE items ADD PRIMARY KEY (b, a);

-- case: foreign-key-added
-- form: ADD FOREIGN KEY
-- states: empty rows
-- forward
ALTER TABLE logs ADD COLUMN user_id bigint unsigned, ADD CONSTRAINT logs_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

-- case: foreign-key-added-with-index
-- form: ADD FOREIGN KEY
-- setup
ALTER TABLE logs ADD COLUMN user_id bigint unsigned, ADD INDEX u (user_id, at);
-- forward
ALTER TABLE logs ADD CONSTRAINT logs_user FOREIGN KEY (user_id) REFERENCES users (id);

-- case: foreign-key-unnamed
-- form: ADD FOREIGN KEY
-- expect: refused what the server names
-- forward
ALTER TABLE logs ADD FOREIGN KEY (user_id) REFERENCES users (id);

-- case: foreign-key-dropped
-- form: DROP FOREIGN KEY
-- forward
ALTER TABLE users DROP FOREIGN KEY users_org;

-- case: constraint-dropped
-- form: DROP CONSTRAINT
-- forward
ALTER TABLE users DROP CONSTRAINT rich, DROP CONSTRAINT users_org;

-- case: check-added
-- form: ADD CONSTRAINT CHECK
-- forward
ALTER TABLE users ADD CONSTRAINT young CHECK (age < 200);

-- case: unique-added
-- form: ADD CONSTRAINT UNIQUE
-- forward
ALTER TABLE users ADD CONSTRAINT users_one UNIQUE KEY (id, email);

-- case: column-add
-- form: ADD COLUMN
-- states: empty rows nulls triggers
-- forward
ALTER TABLE users ADD COLUMN phone varchar(30), ADD score decimal(5, 1) NOT NULL DEFAULT 1.5 AFTER id, ADD COLUMN word varchar(10) DEFAULT 'x' FIRST;

-- case: column-drop-beside-calculated
-- form: ALTER TABLE DROP COLUMN
-- states: rows
-- setup
CREATE TABLE shares (id int PRIMARY KEY, a int, part int AS (a DIV b) STORED, b int unsigned NOT NULL, less int AS (100 DIV b) VIRTUAL,
    c int NOT NULL, UNIQUE KEY shares_part (part), KEY shares_less (less, c));
INSERT INTO shares (id, a, b, c) VALUES (1, 8, 2, 0), (2, 9, 3, 1);
-- forward
ALTER TABLE shares DROP COLUMN part, DROP COLUMN b, DROP COLUMN less;

-- case: column-drop-before-calculated
-- form: ALTER TABLE DROP COLUMN
-- states: rows
-- setup
CREATE TABLE shares (id int PRIMARY KEY, a int, part int AS (a DIV b) STORED, b int unsigned NOT NULL, less int AS (100 DIV b) VIRTUAL,
    c int NOT NULL, UNIQUE KEY shares_part (part), KEY shares_less (less, c));
INSERT INTO shares (id, a, b, c) VALUES (1, 8, 2, 0), (2, 9, 3, 1);
-- forward
ALTER TABLE shares DROP COLUMN less, DROP COLUMN b, ADD COLUMN d int AFTER a, DROP COLUMN part, RENAME COLUMN c TO e;

-- case: column-drop-calculated-redefined
-- form: ALTER TABLE DROP COLUMN
-- states: rows
-- setup
CREATE TABLE shares (id int PRIMARY KEY, a int, part int AS (a DIV b) STORED, b int unsigned NOT NULL, less int AS (100 DIV b) VIRTUAL,
    c int NOT NULL, UNIQUE KEY shares_part (part), KEY shares_less (less, c));
INSERT INTO shares (id, a, b, c) VALUES (1, 8, 2, 0), (2, 9, 3, 1);
-- forward
ALTER TABLE shares MODIFY part int AS (a * 2) STORED, DROP COLUMN less, DROP COLUMN b, DROP COLUMN c;

-- case: column-drop-calculated-alone
-- form: ALTER TABLE DROP COLUMN
-- states: rows
-- setup
CREATE TABLE shares (id int PRIMARY KEY, a int, part int AS (a DIV b) STORED, b int unsigned NOT NULL, less int AS (100 DIV b) VIRTUAL,
    c int NOT NULL, UNIQUE KEY shares_part (part), KEY shares_less (less, c));
INSERT INTO shares (id, a, b, c) VALUES (1, 8, 2, 0), (2, 9, 3, 1);
-- forward
ALTER TABLE shares DROP COLUMN part, DROP COLUMN less;

-- case: column-add-more
-- form: ADD COLUMN
-- options: clock
-- forward
ALTER TABLE users ADD COLUMN code varchar(30) UNIQUE, ADD COLUMN seen datetime DEFAULT current_timestamp() ON UPDATE current_timestamp();
ALTER TABLE users ADD COLUMN low varchar(80) AS (lower(name)) VIRTUAL;
ALTER TABLE logs ADD COLUMN id int NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST;

-- case: column-add-if-not-exists
-- mysql: lacks
-- form: ADD COLUMN IF NOT EXISTS
-- forward
ALTER TABLE users ADD COLUMN IF NOT EXISTS email int, ADD COLUMN IF NOT EXISTS phone varchar(20) DEFAULT '5';

-- case: column-add-then-filled
-- form: ADD COLUMN
-- expect: lost 1 row of users has a value in word
-- forward
ALTER TABLE users ADD COLUMN word varchar(10) DEFAULT 'x';
-- since
UPDATE users SET word = 'X' WHERE id = 1;

-- case: column-add-brackets
-- form: ADD COLUMN
-- expect: refused several columns in brackets
-- forward
ALTER TABLE users ADD COLUMN (a int, b int);

-- case: column-add-references
-- form: ADD COLUMN
-- expect: refused a column with a foreign key
-- forward
ALTER TABLE users ADD COLUMN boss bigint unsigned REFERENCES users (id);

-- case: column-drop
-- form: DROP COLUMN
-- states: empty rows nulls
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-drop-first-with-indexes
-- form: DROP COLUMN
-- states: rows nulls
-- forward
ALTER TABLE users DROP COLUMN age;

-- case: column-drop-with-its-index
-- mysql: an index of users goes with a column
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP INDEX users_age, DROP INDEX users_email, DROP COLUMN age, ADD COLUMN born date AFTER email;

-- case: column-drop-not-null
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN email;
ALTER TABLE orgs DROP name;

-- case: column-drop-generated
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN loud;

-- case: column-drop-key
-- form: DROP COLUMN
-- expect: guarded users.id is of the primary key
-- forward
ALTER TABLE users DROP COLUMN id;

-- case: column-drop-keyless
-- form: DROP COLUMN
-- expect: guarded logs has no primary key
-- forward
ALTER TABLE logs DROP COLUMN message;

-- case: column-drop-triggers
-- form: DROP COLUMN
-- states: triggers
-- expect: guarded users has triggers
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-drop-too-many
-- form: DROP COLUMN
-- options: rows=2
-- expect: guarded users has more than 2 rows
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-drop-self-updating
-- form: DROP COLUMN
-- setup
ALTER TABLE users ADD COLUMN changed timestamp NOT NULL DEFAULT '2020-01-01' ON UPDATE current_timestamp();
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: column-drop-then-rows
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN balance, DROP CONSTRAINT rich;
-- since
INSERT INTO users (id, email) VALUES (50, 'new');

-- case: column-rename
-- form: RENAME COLUMN
-- states: rows nulls
-- setup
DROP VIEW grown;
-- forward
ALTER TABLE users RENAME COLUMN email TO mail, RENAME COLUMN note TO `no``te`;

-- case: clauses-drop-columns-of-one-index
-- form: DROP COLUMN
-- states: rows nulls
-- forward
ALTER TABLE users DROP COLUMN email, DROP COLUMN age;

-- case: clauses-drop-columns-beside-each-other
-- form: DROP COLUMN
-- states: rows nulls
-- setup
ALTER TABLE users ADD KEY all_of_them (note(10), name, id);
-- forward
ALTER TABLE users DROP COLUMN loud, DROP COLUMN name, DROP COLUMN note, DROP COLUMN balance, DROP CONSTRAINT rich;

-- case: clauses-drop-column-of-a-keys-index
-- form: DROP COLUMN
-- setup
CREATE INDEX users_both ON users (org_id, note(5));
-- forward
ALTER TABLE users DROP COLUMN note;

-- case: clauses-swap-columns
-- mysql: lacks
-- form: RENAME COLUMN
-- states: rows nulls
-- forward
ALTER TABLE users RENAME COLUMN note TO name, RENAME COLUMN name TO note;

-- case: clauses-change-columns-beside-each-other
-- mysql: lacks
-- form: CHANGE COLUMN
-- states: rows nulls
-- forward
ALTER TABLE users CHANGE age years smallint, CHANGE balance money decimal(12, 2) FIRST, RENAME COLUMN note TO remark,
    MODIFY updated_at timestamp(3) NOT NULL AFTER id, ALTER COLUMN org_id SET DEFAULT 1;

-- case: clauses-rename-into-a-dropped-column
-- form: RENAME COLUMN
-- expect: refused note stands for two columns
-- forward
ALTER TABLE users DROP COLUMN note, RENAME COLUMN age TO note;

-- case: clauses-add-column-of-a-renamed-ones-name
-- form: CHANGE COLUMN
-- expect: refused age stands for two columns
-- forward
ALTER TABLE users CHANGE Age years smallint, ADD COLUMN age text AFTER email;

-- case: clauses-swap-indexes
-- form: RENAME INDEX
-- forward
ALTER TABLE users RENAME INDEX users_email TO users_x, RENAME INDEX users_age TO users_email;

-- case: clauses-rename-index-that-goes
-- form: RENAME INDEX
-- expect: refused an index that is renamed may go
-- forward
ALTER TABLE users RENAME INDEX users_age TO users_years, DROP COLUMN age;

-- case: clauses-rename-table
-- form: ALTER TABLE RENAME
-- expect: refused RENAME TO beside other clauses
-- forward
ALTER TABLE logs RENAME TO log, ADD COLUMN q int;

-- case: clauses-rename-key-and-drop
-- form: DROP COLUMN
-- expect: guarded the key of users is renamed
-- forward
ALTER TABLE users RENAME COLUMN id TO number, DROP COLUMN note;

-- case: clauses-index-beside-a-renamed-foreign-key
-- form: ADD INDEX
-- expect: guarded a column of a foreign key of users is renamed
-- forward
ALTER TABLE users RENAME COLUMN org_id TO firm, ADD INDEX users_firm (firm, age);

-- case: clauses-index-of-a-foreign-key-replaced
-- form: DROP INDEX
-- expect: guarded a foreign key may need an index of users that is replaced
-- setup
CREATE INDEX users_both ON users (org_id, age);
-- forward
ALTER TABLE users DROP INDEX users_both, ADD INDEX users_other (org_id, balance);

-- case: clauses-index-replaced
-- form: DROP INDEX
-- forward
ALTER TABLE users DROP INDEX users_email, ADD INDEX users_email (email), DROP KEY users_age, ADD KEY x (age, name);

-- case: clauses-key-that-counts
-- form: DROP PRIMARY KEY
-- expect: guarded a column of the primary key of users counts by itself
-- forward
ALTER TABLE users DROP PRIMARY KEY, ADD PRIMARY KEY (id, email);

-- case: clauses-key-for-what-counts
-- form: ADD PRIMARY KEY
-- expect: refused a column that counts by itself
-- forward
ALTER TABLE logs ADD COLUMN id int AUTO_INCREMENT, ADD PRIMARY KEY (id);

-- case: column-drop-then-another-key
-- form: DROP COLUMN
-- expect: lost 2 rows of users are not found by their key, and their note would be lost
-- forward
ALTER TABLE users DROP COLUMN note;
-- since
UPDATE users SET id = id + 100 WHERE id > 1;

-- case: column-drop-then-rows-gone
-- form: DROP COLUMN
-- forward
ALTER TABLE users DROP COLUMN note;
-- since
DELETE FROM users WHERE id = 2;

-- case: column-modify
-- form: MODIFY COLUMN
-- forward
ALTER TABLE users MODIFY COLUMN name varchar(200) NOT NULL DEFAULT 'x' COMMENT 'longer' AFTER id;

-- case: column-modify-number
-- form: MODIFY COLUMN
-- states: rows nulls
-- forward
ALTER TABLE users MODIFY age bigint, MODIFY balance decimal(14, 4) DEFAULT NULL FIRST;

-- case: column-modify-narrower
-- form: MODIFY COLUMN
-- expect: guarded users.balance is decimal\(10,2\), and values may not come back from decimal
-- forward
ALTER TABLE users MODIFY balance decimal(6, 1);

-- case: column-modify-then-longer
-- form: MODIFY COLUMN
-- expect: held 1 row of users has a name that would be cut
-- setup
ALTER TABLE users DROP COLUMN loud;
-- forward
ALTER TABLE users MODIFY name varchar(200);
-- since
UPDATE users SET name = repeat('x', 150) WHERE id = 1;

-- case: column-modify-then-larger
-- form: MODIFY COLUMN
-- expect: held 1 row of users has a age that would be cut
-- forward
ALTER TABLE users MODIFY age int;
-- since
UPDATE users SET age = 40000 WHERE id = 1;

-- case: column-change
-- form: CHANGE COLUMN
-- expect: guarded users.email is varchar\(200\), and values may not come back
-- setup
DROP VIEW grown;
-- forward
ALTER TABLE users CHANGE COLUMN email mail varchar(300) CHARACTER SET utf8mb4 NOT NULL, CHANGE name name varchar(80);

-- case: column-change-renamed
-- form: CHANGE COLUMN
-- forward
ALTER TABLE users CHANGE note remark mediumtext COMMENT 'more' FIRST;

-- case: column-default
-- form: ALTER COLUMN SET DEFAULT
-- forward
ALTER TABLE users ALTER COLUMN name SET DEFAULT 'it''s', ALTER age SET DEFAULT 5, ALTER COLUMN balance DROP DEFAULT;

-- case: view-create
-- form: CREATE VIEW
-- forward
CREATE ALGORITHM = MERGE SQL SECURITY INVOKER VIEW names AS SELECT name FROM users;
CREATE OR REPLACE VIEW others AS SELECT id FROM orgs;

-- case: view-replace
-- form: CREATE OR REPLACE VIEW
-- forward
CREATE OR REPLACE VIEW grown AS SELECT id, name FROM users;

-- case: view-drop
-- form: DROP VIEW
-- forward
DROP VIEW IF EXISTS grown;

-- case: trigger-create
-- form: CREATE TRIGGER
-- forward
CREATE TRIGGER users_quiet BEFORE INSERT ON users FOR EACH ROW SET NEW.note = 'x';

-- case: trigger-drop
-- form: DROP TRIGGER
-- states: triggers
-- expect: refused DROP TRIGGER is not derived
-- forward
DROP TRIGGER users_noted;

-- case: procedure-create
-- form: CREATE PROCEDURE
-- forward
CREATE PROCEDURE tidy(IN a int) BEGIN SELECT 1; END;

-- case: rows-fresh
-- form: CREATE TABLE and INSERT
-- forward
CREATE TABLE plans (code varchar(10) PRIMARY KEY, price int);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
UPDATE plans SET price = 12 WHERE code = 'pro';

-- case: rows-fresh-since-changed
-- form: CREATE TABLE and INSERT
-- expect: lost 2 rows of plans would be lost, not all of them as the delta left them
-- forward
CREATE TABLE plans (code varchar(10) PRIMARY KEY, price int);
INSERT INTO plans VALUES ('free', 0), ('pro', 10);
-- since
UPDATE plans SET price = 12 WHERE code = 'pro';

-- case: rows-fresh-since-added
-- form: CREATE TABLE and INSERT
-- expect: lost 3 rows of plans would be lost, not all of them as the delta left them
-- forward
CREATE TABLE plans AS SELECT 'free' AS code, 0 AS price;
INSERT INTO plans VALUES ('pro', 10);
ALTER TABLE plans ADD COLUMN note text;
-- since
INSERT INTO plans VALUES ('max', 20, NULL);

-- case: rows-fresh-of-every-type
-- form: CREATE TABLE and INSERT
-- forward
CREATE TABLE plans (a tinyint unsigned, b decimal(30, 10), c double, d float, e bit(9), f datetime(6), g timestamp(3) NULL,
    h time(2), i year, j varchar(20) CHARACTER SET latin1, k text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, l varbinary(9),
    m blob, n enum('x', 'y'), o set('x', 'y'), p json, q point, `it's "r" ``\` int, s int AS (a + 1) STORED);
INSERT INTO plans (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, `it's "r" ``\`) VALUES (255, 1.5, 1e300, 0.1, b'101',
    '2024-01-02 03:04:05.6', '2024-01-02 03:04:05.6', '-10:00:00', 2024, 'ä', 'ß', x'00ff', x'275c', 'y', 'x,y', '{"a": 1}',
    point(1, 2), 7);
INSERT INTO plans () VALUES ();

-- case: rows-fresh-pointed-to
-- form: CREATE TABLE and INSERT
-- states: rows
-- forward
CREATE TABLE plans (id int PRIMARY KEY);
CREATE TABLE prices (plan int, user_id bigint unsigned, FOREIGN KEY (plan) REFERENCES plans (id) ON DELETE CASCADE,
    CONSTRAINT payer FOREIGN KEY (user_id) REFERENCES users (id));
INSERT INTO plans VALUES (1), (2);
INSERT INTO prices SELECT 1, id FROM users;

-- case: rows-backfill
-- form: ADD COLUMN and UPDATE
-- states: rows nulls
-- forward
ALTER TABLE users ADD COLUMN handle varchar(200), ADD COLUMN score int DEFAULT 3;
UPDATE users u SET u.handle = lower(email), score = (SELECT count(*) FROM orgs) WHERE id > 0;

-- case: rows-backfill-since-changed
-- form: ADD COLUMN and UPDATE
-- expect: lost 3 rows of users have a value in handle that would be lost, not all of them as the delta left them
-- forward
ALTER TABLE users ADD COLUMN handle varchar(200);
UPDATE users SET handle = lower(email);
-- since
UPDATE users SET handle = 'BOB@acme.example' WHERE id = 2;

-- case: rows-several-tables
-- form: UPDATE
-- expect: refused a statement that may change several tables
-- forward
UPDATE users, orgs SET note = plan;

-- case: rows-backfill-trigger
-- form: ADD COLUMN and UPDATE
-- states: triggers
-- expect: guarded users has triggers
-- forward
ALTER TABLE users ADD COLUMN handle varchar(200);
UPDATE users SET handle = 'x';

-- case: versioned-comment
-- form: none
-- expect: refused what stands in a comment for some servers alone
-- forward
/*!50000 DROP TABLE users */;

-- case: other
-- form: TRUNCATE
-- expect: refused TRUNCATE logs is not derived
-- forward
TRUNCATE logs;

-- case: analyze
-- form: ANALYZE
-- forward
ANALYZE TABLE users;
CREATE TABLE something (id int);

-- case: columns-swapped-then-first-filled
-- form: RENAME COLUMN
-- expect: lost 1 row of users has a value in one
-- forward
ALTER TABLE users ADD COLUMN one varchar(10), ADD COLUMN two varchar(10);
ALTER TABLE users RENAME COLUMN one TO two, RENAME COLUMN two TO one;
-- since
UPDATE users SET one = 'x' WHERE id = 1;

-- case: columns-swapped-then-second-filled
-- form: CHANGE
-- expect: lost 1 row of users has a value in two
-- forward
ALTER TABLE users ADD COLUMN one varchar(10), ADD COLUMN two varchar(10);
ALTER TABLE users CHANGE one two varchar(10), CHANGE two one varchar(10);
-- since
UPDATE users SET two = 'x' WHERE id = 1;

-- case: clauses-longer-beside-a-foreign-key
-- form: ADD FOREIGN KEY
-- expect: held 1 row of logs has a message that would be cut
-- setup
ALTER TABLE logs ADD COLUMN user_id bigint unsigned;
-- forward
ALTER TABLE logs MODIFY message varchar(200), ADD CONSTRAINT logs_user FOREIGN KEY (user_id) REFERENCES users (id);
-- since
INSERT INTO logs (message) VALUES (repeat('x', 150));

-- case: clauses-renamed-and-longer-beside-a-foreign-key
-- form: ADD FOREIGN KEY
-- expect: held 1 row of logs has a text that would be cut
-- setup
ALTER TABLE logs ADD COLUMN user_id bigint unsigned;
-- forward
ALTER TABLE logs CHANGE message text varchar(200), ADD CONSTRAINT logs_user FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE logs ADD COLUMN more int;
-- since
INSERT INTO logs (text) VALUES (repeat('x', 150));
