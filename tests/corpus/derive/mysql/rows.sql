-- states: empty rows nulls
-- case: insert
-- form: INSERT
-- forward
INSERT INTO users (id, email, name, age) VALUES (70, 'new@acme.example', 'Nëw', 20), (71, 'x', NULL, NULL);

-- case: insert-numbered
-- form: INSERT
-- states: rows
-- forward
INSERT INTO users SET email = 'counted', org_id = (SELECT min(id) FROM orgs);

-- case: delete-number-zero
-- form: DELETE
-- states: rows
-- expect: held has the number 0
-- setup
SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO');
CREATE TABLE counts (id int AUTO_INCREMENT PRIMARY KEY, note text);
INSERT INTO counts VALUES (0, 'none'), (1, 'one');
SET sql_mode = DEFAULT;
-- forward
DELETE FROM counts WHERE id = 0;
-- since
INSERT INTO counts (note) VALUES ('new');

-- case: insert-select
-- form: INSERT … SELECT
-- states: rows nulls
-- forward
INSERT INTO users (id, email, name) SELECT id + 100, email, name FROM users;

-- case: insert-ignore
-- form: INSERT IGNORE
-- states: rows nulls
-- forward
INSERT IGNORE INTO orgs (id, name) VALUES (1, 'other'), (9, 'acme'), (10, 'dune');

-- case: insert-keyless
-- form: INSERT
-- expect: guarded logs has no primary key
-- forward
INSERT INTO logs VALUES ('2026-01-01', 'x');

-- case: insert-since-changed
-- form: INSERT
-- states: rows
-- expect: held 1 row of users was changed since
-- forward
INSERT INTO users (id, email, name) VALUES (70, 'new', 'a');
-- since
UPDATE users SET name = 'A' WHERE id = 70;

-- case: insert-since-deleted
-- form: INSERT
-- states: rows
-- expect: held 1 row of users was changed since
-- forward
INSERT INTO users (id, email) VALUES (70, 'new'), (71, 'other');
-- since
DELETE FROM users WHERE id = 71;

-- case: insert-since-more
-- form: INSERT
-- states: rows nulls
-- forward
INSERT INTO users (id, email) VALUES (70, 'new');
-- since
INSERT INTO users (id, email) VALUES (72, 'later');
UPDATE users SET name = 'changed' WHERE id = 1;

-- case: insert-since-pointed-to
-- form: INSERT
-- states: rows
-- expect: held 1 row of other tables points to rows that would go
-- forward
INSERT INTO orgs (id, name) VALUES (70, 'new');
-- since
UPDATE users SET org_id = 70 WHERE id = 1;

-- case: insert-since-not-pointed-to
-- form: INSERT
-- states: rows
-- forward
INSERT INTO orgs (id, name) VALUES (70, 'new');
-- since
UPDATE users SET org_id = 2 WHERE id = 1;

-- case: insert-since-restricted
-- form: INSERT
-- states: rows
-- expect: held foreign key constraint fails
-- setup
CREATE TABLE rooms (id int PRIMARY KEY, org_id int, CONSTRAINT rooms_org FOREIGN KEY (org_id) REFERENCES orgs (id));
-- forward
INSERT INTO orgs (id, name) VALUES (70, 'new');
-- since
INSERT INTO rooms VALUES (1, 70);

-- case: insert-since-key-came
-- form: INSERT
-- states: rows
-- expect: held foreign keys to orgs have come or gone since
-- forward
INSERT INTO orgs (id, name) VALUES (70, 'new');
-- since
CREATE TABLE rooms (id int PRIMARY KEY, org_id int, CONSTRAINT rooms_org FOREIGN KEY (org_id) REFERENCES orgs (id) ON DELETE CASCADE);
INSERT INTO rooms VALUES (1, 70);

-- case: insert-since-triggers
-- form: INSERT
-- states: rows
-- expect: held users has triggers
-- forward
INSERT INTO users (id, email) VALUES (70, 'new');
-- since
CREATE TRIGGER users_quiet BEFORE DELETE ON users FOR EACH ROW SET @gone = OLD.id;

-- case: insert-self-referencing
-- form: INSERT
-- states: rows
-- expect: guarded foreign keys to parts may change other rows
-- setup
CREATE TABLE parts (id int PRIMARY KEY, part_of int, CONSTRAINT whole FOREIGN KEY (part_of) REFERENCES parts (id) ON DELETE CASCADE);
-- forward
INSERT INTO parts VALUES (1, NULL), (2, 1);

-- case: insert-several-tables
-- form: INSERT
-- states: rows nulls
-- forward
INSERT INTO orgs (id, name) VALUES (70, 'new');
INSERT INTO users (id, email, org_id) VALUES (70, 'new', 70);
UPDATE users SET note = 'again' WHERE id = 70;

-- case: insert-duplicate-update
-- form: INSERT … ON DUPLICATE KEY UPDATE
-- states: rows nulls
-- forward
INSERT INTO users (id, email, name) VALUES (1, 'x', 'y'), (80, 'new', 'z'), (80, 'twice', 'zz')
    ON DUPLICATE KEY UPDATE name = concat(VALUES(name), '!');

-- case: insert-duplicate-update-of-parent
-- form: INSERT … ON DUPLICATE KEY UPDATE
-- states: rows
-- expect: guarded foreign keys to orgs may change other rows
-- forward
INSERT INTO orgs (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y';

-- case: replace
-- form: REPLACE
-- states: rows nulls
-- forward
REPLACE INTO users (id, email) VALUES (1, 'replaced'), (90, 'new'), (90, 'twice');

-- case: replace-by-another-key
-- form: REPLACE
-- states: rows
-- setup
CREATE TABLE words (id int PRIMARY KEY, word varchar(20), UNIQUE KEY (word));
INSERT INTO words VALUES (1, 'one'), (2, 'two'), (3, 'three');
-- forward
REPLACE INTO words VALUES (4, 'two'), (1, 'three');

-- case: update
-- form: UPDATE
-- states: rows nulls
-- forward
UPDATE users SET name = upper(name), balance = balance + 1 WHERE id > 1;

-- case: update-all
-- form: UPDATE
-- states: rows nulls
-- forward
UPDATE users u SET u.note = concat('x', u.id), u.age = NULL;

-- case: update-nothing
-- form: UPDATE
-- forward
UPDATE users SET name = 'x' WHERE id = 1000;

-- case: update-ordered
-- form: UPDATE
-- states: rows nulls
-- forward
UPDATE users SET note = 'last' ORDER BY id DESC LIMIT 1;

-- case: update-case-alone
-- form: UPDATE
-- states: rows
-- forward
UPDATE orgs SET name = 'ACME', plan = 'Pro ' WHERE name = 'acme';

-- case: update-key
-- form: UPDATE
-- states: rows nulls
-- forward
UPDATE users SET id = id + 1 ORDER BY id DESC;

-- case: update-unique-up
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE turns SET place = place + 1 ORDER BY place DESC;

-- case: update-unique-down
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE turns SET place = place - 1, note = upper(note) ORDER BY place LIMIT 2;

-- case: update-unique-calculated
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, twice int AS (place * 2) STORED UNIQUE);
INSERT INTO turns (id, place) VALUES (1, 1), (2, 2), (3, 3);
-- forward
UPDATE turns SET place = place - 1 ORDER BY place;

-- case: update-key-beside-unique
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE turns SET id = id + 1 ORDER BY id DESC;

-- case: update-key-and-unique
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE turns SET id = id - 1, place = place - 1 ORDER BY id;

-- case: update-unique-since
-- form: UPDATE
-- states: rows
-- expect: held 1 row of turns was changed since
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE turns SET place = place - 1 ORDER BY place;
-- since
UPDATE turns SET place = 9 WHERE id = 2;

-- case: update-ignore
-- form: UPDATE
-- states: rows
-- expect: refused IGNORE
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
UPDATE IGNORE turns SET place = place + 1;

-- case: insert-duplicate-update-unique
-- form: INSERT … ON DUPLICATE KEY UPDATE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
INSERT INTO turns VALUES (1, 0, ''), (2, 0, ''), (3, 0, '') ON DUPLICATE KEY UPDATE place = place - 1;

-- case: insert-duplicate-update-twice
-- form: INSERT … ON DUPLICATE KEY UPDATE
-- states: rows
-- expect: guarded changes a row of turns more than once
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
INSERT INTO turns VALUES (1, 0, ''), (1, 0, '') ON DUPLICATE KEY UPDATE place = place - 1;

-- case: insert-duplicate-update-key
-- form: INSERT … ON DUPLICATE KEY UPDATE
-- states: rows
-- expect: guarded changes the primary key of turns, which has another unique index
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
INSERT INTO turns VALUES (3, 0, '') ON DUPLICATE KEY UPDATE id = id + 1;

-- case: replace-unique
-- form: REPLACE
-- states: rows
-- setup
CREATE TABLE turns (id int PRIMARY KEY, place int, note text, UNIQUE KEY turns_place (place));
INSERT INTO turns VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
-- forward
REPLACE INTO turns VALUES (1, 9, 'x'), (2, 1, 'y'), (3, 2, 'z'), (4, 3, 'v');

-- case: update-key-of-parent
-- form: UPDATE
-- states: rows
-- expect: guarded foreign keys to orgs may change other rows
-- forward
UPDATE orgs SET id = id + 100 WHERE id = 3;

-- case: update-key-of-parent-restricted
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE parts (id int PRIMARY KEY, name varchar(9));
CREATE TABLE screws (id int PRIMARY KEY, part int, FOREIGN KEY (part) REFERENCES parts (id));
INSERT INTO parts VALUES (1, 'a'), (2, 'b');
INSERT INTO screws VALUES (1, 1);
-- forward
UPDATE parts SET name = 'A' WHERE id = 1;
UPDATE parts SET id = 3 WHERE id = 2;

-- case: update-cascading
-- form: UPDATE
-- states: rows
-- expect: guarded foreign keys to parts may change other rows
-- setup
CREATE TABLE parts (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE screws (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES parts (code) ON UPDATE CASCADE);
-- forward
UPDATE parts SET code = 3 WHERE id = 2;

-- case: update-beside-cascading
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE parts (id int PRIMARY KEY, code int UNIQUE, name varchar(9));
CREATE TABLE screws (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES parts (code) ON UPDATE CASCADE ON DELETE CASCADE);
INSERT INTO parts VALUES (1, 10, 'a');
INSERT INTO screws VALUES (1, 10);
-- forward
UPDATE parts SET name = 'b' WHERE id = 1;

-- case: update-of-several-keys
-- form: UPDATE
-- states: rows
-- setup
CREATE TABLE `odd "table"` (`a``b` varchar(10) COLLATE utf8mb4_general_ci, other blob, n float, at timestamp(6) NULL, j json, b bit(3), e enum('x', 'y'), place point, PRIMARY KEY (`a``b`, other(5)));
INSERT INTO `odd "table"` VALUES ('k', 'v', 0.1, '2026-01-01 00:00:00.123456', '{"a": 1}', b'101', 'x', point(1, 2)), ('K2', 'w', 3e10, NULL, NULL, NULL, NULL, NULL);
-- forward
UPDATE `odd "table"` SET `a``b` = upper(`a``b`), n = n * 3, e = 'y', place = point(3, 4);

-- case: update-sets-itself
-- form: UPDATE
-- states: rows
-- options: clock
-- setup
ALTER TABLE users ADD COLUMN changed timestamp NOT NULL DEFAULT '2020-01-01' ON UPDATE current_timestamp();
-- forward
UPDATE users SET name = 'x' WHERE id = 2;

-- case: update-since-changed
-- form: UPDATE
-- states: rows
-- expect: held 1 row of users was changed since
-- forward
UPDATE users SET name = 'x' WHERE id < 3;
-- since
UPDATE users SET note = 'mine' WHERE id = 1;

-- case: update-since-others
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET name = 'x' WHERE id < 3;
-- since
UPDATE users SET note = 'mine' WHERE id = 3;
DELETE FROM orgs WHERE id = 3;

-- case: update-column-came
-- form: UPDATE
-- states: rows
-- forward
UPDATE users SET name = 'x' WHERE id < 3;
ALTER TABLE users ADD COLUMN later int DEFAULT 4;

-- case: update-several-tables
-- form: UPDATE
-- expect: refused a statement that may change several tables
-- forward
UPDATE users, orgs SET users.name = 'x', orgs.name = 'y' WHERE users.org_id = orgs.id;

-- case: update-calling
-- form: UPDATE
-- states: rows
-- expect: guarded it calls a function of the database
-- setup
CREATE FUNCTION noted(a varchar(80)) RETURNS varchar(80) BEGIN INSERT INTO logs VALUES (NULL, a); RETURN a; END;
-- forward
UPDATE users SET name = Noted(name);

-- case: update-calling-elsewhere
-- form: UPDATE
-- expect: refused noted may be a function of another database
-- forward
UPDATE users SET name = other.noted(name);

-- case: update-fresh-and-old-columns
-- form: ADD COLUMN and UPDATE
-- states: rows nulls
-- forward
ALTER TABLE users ADD COLUMN handle varchar(200);
UPDATE users SET handle = 'x', note = 'y';

-- case: delete
-- form: DELETE
-- states: rows nulls
-- forward
DELETE FROM users WHERE age IS NULL OR age > 30;

-- case: delete-all
-- form: DELETE
-- states: rows nulls
-- forward
DELETE FROM users;

-- case: delete-limited
-- form: DELETE
-- states: rows nulls
-- forward
DELETE FROM users ORDER BY id LIMIT 1;

-- case: delete-referenced
-- form: DELETE
-- states: rows
-- expect: guarded foreign keys to orgs may change other rows
-- forward
DELETE FROM orgs WHERE id = 3;

-- case: delete-since-there-again
-- form: DELETE
-- states: rows
-- expect: held 1 row of users is there again
-- forward
DELETE FROM users WHERE id = 1;
-- since
INSERT INTO users (id, email) VALUES (1, 'other');

-- case: delete-since-more
-- form: DELETE
-- states: rows
-- forward
DELETE FROM users WHERE id = 1;
-- since
INSERT INTO users (id, email) VALUES (6, 'other');

-- case: delete-since-parent-gone
-- form: DELETE
-- states: rows
-- expect: held foreign key constraint fails
-- forward
DELETE FROM users WHERE id = 3;
-- since
DELETE FROM orgs WHERE id = 2;

-- case: delete-by-another
-- form: DELETE
-- expect: refused a statement that may change several tables
-- forward
DELETE FROM users USING users JOIN orgs ON users.org_id = orgs.id;

-- case: triggers
-- form: UPDATE
-- states: triggers
-- expect: guarded users has triggers, and what they change is not kept
-- forward
UPDATE users SET name = 'x';

-- case: view
-- form: DELETE
-- states: rows
-- expect: guarded grown is no plain table
-- forward
DELETE FROM grown WHERE id = 1;

-- case: versioned
-- mysql: lacks
-- form: UPDATE
-- states: rows
-- expect: guarded kept_once is no plain table
-- setup
CREATE TABLE kept_once (id int PRIMARY KEY, a int) WITH SYSTEM VERSIONING;
-- forward
UPDATE kept_once SET a = 1;

-- case: too-many
-- form: DELETE
-- states: rows
-- options: rows=2
-- expect: guarded it changes more than 2 rows of users
-- forward
DELETE FROM users;

-- case: moved
-- form: INSERT … SELECT and DELETE
-- states: rows nulls
-- setup
CREATE TABLE gone (id bigint unsigned PRIMARY KEY, email varchar(200));
-- forward
INSERT INTO gone SELECT id, email FROM users WHERE age IS NULL OR age < 40;
DELETE FROM users WHERE id IN (SELECT id FROM gone);
